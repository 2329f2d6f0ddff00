//! Discovery on a real network: a private one that has nothing but loopback. Outside such a network these tests say
//! that they were skipped; nothing they send may reach a real one.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may panic")]

mod support;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use antiphon_discovery::{ConfiguredSpeaker, Discovery, DiscoveryConfig, DiscoveryError, DiscoveryEvent};
use antiphon_domain::SpeakerId;
use antiphon_endpoint::Descriptor;
use prometheus::{Registry, TextEncoder};
use tokio::runtime::Runtime;

use support::{Device, PATIENCE, Raop, Since, private};

/// One service for each test, so that those that run side by side do not see each other's devices.
const SERVICES: [&[&str]; 6] = [
    &["_raop._tcp.local."],
    &["_raop-1._tcp.local."],
    &["_raop-2._tcp.local."],
    &["_raop-3._tcp.local."],
    &["_raop-4._tcp.local."],
    &["_raop-5._tcp.local."],
];

/// A hub's discovery and what it said.
struct Hub {
    discovery: Discovery,
    events: Receiver<DiscoveryEvent>,
    registry: Registry,
    runtime: Runtime,
}

fn hub(config: DiscoveryConfig, test: usize) -> Result<Hub, DiscoveryError> {
    let runtime = Runtime::new().unwrap();
    let registry = Registry::new();
    let (sender, events) = channel();
    let discovery = Discovery::start(
        config,
        vec![Arc::new(Raop(SERVICES[test]))],
        Arc::new(Since(Instant::now())),
        runtime.handle(),
        Arc::new(move |event| drop(sender.send(event))),
        &registry,
    )?;
    Ok(Hub { discovery, events, registry, runtime })
}

fn device(test: usize) -> Device {
    Device::new(SERVICES[test][0])
}

fn goodbye(device: &Device, fullname: &str) {
    device.daemon.unregister(fullname).unwrap().recv_timeout(PATIENCE).unwrap();
}

fn on_lo() -> DiscoveryConfig {
    DiscoveryConfig { interfaces: Some(vec!["lo".into()]), ..DiscoveryConfig::default() }
}

impl Hub {
    /// Waits for an event that `want` makes something of; the others are let pass.
    fn until<T>(&self, what: &str, want: impl Fn(&DiscoveryEvent) -> Option<T>) -> T {
        let begun = Instant::now();
        let mut seen = Vec::new();
        while let Some(left) = PATIENCE.checked_sub(begun.elapsed()) {
            let Ok(event) = self.events.recv_timeout(left) else { break };
            if let Some(found) = want(&event) {
                return found;
            }
            seen.push(event);
        }
        panic!("{what} did not come; came {seen:#?}");
    }

    fn appeared(&self, id: &str) -> Descriptor {
        self.until(&format!("{id} appeared"), |event| match event {
            DiscoveryEvent::Appeared(d) if d.id.as_str() == id => Some(d.clone()),
            _ => None,
        })
    }

    fn gone(&self, id: &str) {
        self.until(&format!("{id} unreachable"), |event| match event {
            DiscoveryEvent::Unreachable { id: gone, .. } if gone.as_str() == id => Some(()),
            _ => None,
        });
    }

    fn returned(&self, id: &str) -> Descriptor {
        self.until(&format!("{id} returned"), |event| match event {
            DiscoveryEvent::Returned(d) if d.id.as_str() == id => Some(d.clone()),
            _ => None,
        })
    }

    fn metric(&self, line: &str) -> bool {
        let text = TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap();
        text.lines().any(|l| l == line)
    }
}

/// A port where nobody listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn local(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

#[test]
fn a_device_is_found_says_goodbye_and_returns_elsewhere() {
    if !private() {
        return;
    }
    let hub = hub(on_lo(), 0).unwrap();
    let device = device(0);
    let (first, second) = (closed_port(), closed_port());
    let begun = Instant::now();
    let fullname = device.announce("33FA00A66F2E@Kitchen", "one.local.", first);
    let found = hub.appeared("33FA00A66F2E");
    let took = begun.elapsed();
    eprintln!("found after {} ms", took.as_millis());
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!((found.name.as_str(), found.addresses.as_slice()), ("Kitchen", &[local(first)][..]));
    assert_eq!(found.properties.get("et").map(String::as_str), Some("0,1"));
    assert!(hub.metric(r#"antiphon_discovery_endpoints{kind="airplay",state="present"} 1"#));

    goodbye(&device, &fullname);
    hub.gone("33FA00A66F2E");
    assert!(hub.metric(r#"antiphon_discovery_endpoints{kind="airplay",state="unreachable"} 1"#));

    let begun = Instant::now();
    device.announce("33FA00A66F2E@Kitchen", "one.local.", second);
    let back = hub.returned("33FA00A66F2E");
    eprintln!("returned after {} ms", begun.elapsed().as_millis());
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(back.addresses, [local(second)]);
    assert!(hub.metric(r#"antiphon_discovery_events_total{event="returned"} 1"#));
}

/// What was announced before the hub was there is asked for; `None` uses every interface, here only loopback.
#[test]
fn a_device_that_was_there_first_is_found_on_any_interface() {
    if !private() {
        return;
    }
    let device = device(5);
    device.announce("EE@Porch", "six.local.", closed_port());
    // Seen by a first hub, so the announcement is over when the second one starts.
    let first = hub(on_lo(), 5).unwrap();
    first.appeared("EE");
    drop(first);
    let begun = Instant::now();
    let second = hub(DiscoveryConfig::default(), 5).unwrap();
    second.appeared("EE");
    eprintln!("asked for and found after {} ms", begun.elapsed().as_millis());
    assert!(begun.elapsed() < Duration::from_secs(2));
    // A daemon that ends says goodbye for its services.
    drop(device);
    second.gone("EE");
}

#[test]
fn a_new_port_without_a_goodbye_is_a_change() {
    if !private() {
        return;
    }
    let hub = hub(on_lo(), 1).unwrap();
    let (first, second) = (closed_port(), closed_port());
    let device = device(1);
    device.announce("AA@Bath", "two.local.", first);
    hub.appeared("AA");
    let begun = Instant::now();
    device.announce("AA@Bath", "two.local.", second);
    let changed = hub.until("the change", |event| match event {
        DiscoveryEvent::Changed(d) if d.addresses == [local(second)] => Some(d.clone()),
        _ => None,
    });
    eprintln!("changed after {} ms", begun.elapsed().as_millis());
    assert_eq!(changed.id.as_str(), "AA");
}

#[test]
fn two_of_one_name_are_two_and_go_one_by_one() {
    if !private() {
        return;
    }
    let hub = hub(on_lo(), 2).unwrap();
    let device = device(2);
    // Two hosts: the daemon's goodbye for one service takes the address of its host back, whoever else uses it.
    let one = device.announce("B1@Hall", "three.local.", closed_port());
    device.announce("B2@Hall", "threes.local.", closed_port());
    let mut names = BTreeMap::new();
    while names.len() < 2 {
        let found = hub.until("both", |event| match event {
            DiscoveryEvent::Appeared(d) if d.id.as_str().starts_with('B') => Some(d.clone()),
            _ => None,
        });
        names.insert(found.id.as_str().to_owned(), found.name);
    }
    assert_eq!(names.values().collect::<Vec<_>>(), ["Hall", "Hall"]);
    goodbye(&device, &one);
    hub.gone("B1");
    assert!(hub.metric(r#"antiphon_discovery_endpoints{kind="airplay",state="present"} 1"#));
}

/// A device that is cut off and comes back with the very same record: a complaint finds out, its return is seen.
#[test]
fn a_silent_death_is_found_by_a_complaint_and_the_return_within_5_s() {
    if !private() {
        return;
    }
    let hub = hub(on_lo(), 3).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let device = device(3);
    device.announce("CC@Attic", "four.local.", port);
    hub.appeared("CC");
    // It listens, so a complaint finds nothing wrong. Then it dies without a word: a daemon that is shut down in
    // good order would say goodbye, so only the port is closed, and the record stays.
    drop(listener);
    hub.discovery.lost(&SpeakerId::new("CC"));
    hub.gone("CC");
    let begun = Instant::now();
    let _listener = TcpListener::bind(local(port)).unwrap();
    let back = hub.returned("CC");
    eprintln!("returned after {} ms", begun.elapsed().as_millis());
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(back.addresses, [local(port)]);
}

#[test]
fn a_configured_endpoint_comes_and_goes_by_probes_alone() {
    if !private() {
        return;
    }
    let port = closed_port();
    let speaker = ConfiguredSpeaker {
        id: SpeakerId::new("desk"),
        name: Some("Desk".into()),
        endpoint: Some(format!("airplay://127.0.0.1:{port}")),
    };
    // No interface: no daemon at all.
    let config =
        DiscoveryConfig { interfaces: Some(vec![]), configured: vec![speaker], ..DiscoveryConfig::default() };
    let hub = hub(config, 0).unwrap();
    assert_eq!(hub.appeared("desk").name, "Desk");
    hub.discovery.lost(&SpeakerId::new("desk"));
    hub.gone("desk");
    let _listener = TcpListener::bind(local(port)).unwrap();
    let begun = Instant::now();
    hub.returned("desk");
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(hub.metric(r#"antiphon_discovery_queries_total{service="_raop._tcp.local."} 0"#));
}

#[test]
fn no_interfaces_means_no_mdns() {
    if !private() {
        return;
    }
    let threads = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        tasks
            .filter_map(|t| std::fs::read_to_string(t.ok()?.path().join("comm")).ok())
            .filter(|name| name.trim() == "mDNS_daemon")
            .count()
    };
    // Tests may share this process, so that others' daemons are counted too: nextest gives each its own.
    if std::env::var_os("NEXTEST").is_none() {
        return;
    }
    let none = hub(DiscoveryConfig { interfaces: Some(vec![]), ..DiscoveryConfig::default() }, 0).unwrap();
    assert_eq!(threads(), 0);
    drop(none);
    let one = hub(on_lo(), 0).unwrap();
    // The thread takes its name after it has begun.
    let begun = Instant::now();
    while threads() != 1 {
        assert!(begun.elapsed() < PATIENCE, "no daemon");
        std::thread::yield_now();
    }
    let Hub { discovery, runtime, .. } = one;
    drop(discovery);
    let begun = Instant::now();
    while threads() > 0 {
        assert!(begun.elapsed() < PATIENCE, "the daemon outlives its discovery");
        std::thread::yield_now();
    }
    drop(runtime);
}

#[test]
fn an_interface_that_is_not_there_is_a_warning() {
    if !private() {
        return;
    }
    let config = DiscoveryConfig {
        interfaces: Some(vec!["lo".into(), "nosuch0".into()]),
        ..DiscoveryConfig::default()
    };
    let hub = hub(config, 4).unwrap();
    assert_eq!(hub.discovery.status().missing_interfaces, ["nosuch0"]);
    assert!(hub.metric("antiphon_discovery_missing_interfaces 1"));
    let device = device(4);
    device.announce("DD@Shed", "five.local.", closed_port());
    hub.appeared("DD");
}

#[test]
fn mistakes_in_the_configuration_are_named() {
    let speaker = |endpoint: &str| ConfiguredSpeaker {
        id: SpeakerId::new("x"),
        name: None,
        endpoint: Some(endpoint.into()),
    };
    let start = |configured| {
        let config = DiscoveryConfig { interfaces: Some(vec![]), configured, ..DiscoveryConfig::default() };
        hub(config, 0).err().map(|e| e.to_string())
    };
    assert_eq!(start(vec![speaker("airplay://1.2.3.4:5")]), None);
    assert_eq!(
        start(vec![speaker("airplay://nowhere")]).unwrap(),
        r#"speaker x: "airplay://nowhere": expected airplay://HOST:PORT"#
    );
    assert_eq!(start(vec![speaker("tape:")]).unwrap(), r#"speaker x: no kind of endpoint is called "tape:""#);
    let twice = vec![speaker("airplay://1.2.3.4:5"), speaker("airplay://1.2.3.4:6")];
    assert_eq!(start(twice).unwrap(), "speaker x is configured twice");
}
