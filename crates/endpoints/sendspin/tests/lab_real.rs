//! Against `aiosendspin`, which Sendspin's own players are made of: opening, trust, pairing and sound to the sample.
//!
//! Skipped, aloud, where no Python with that library is: `make setup-test` makes one, `ANTIPHON_SENDSPIN_PYTHON` names
//! another.
#![allow(clippy::unwrap_used)] // a test that cannot set the stage has failed

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use antiphon_audio::{BLOCK_FRAMES, Block, CHANNELS};
use antiphon_domain::{Frames, HubTime, SampleRate, Secret, SpeakerId};
use antiphon_endpoint::{
    Answer, Arrival, Clock, Descriptor, Endpoint, EndpointEvent, Kind, LostReason, Pace, Wants,
};
use antiphon_sendspin::{SendspinKind, SendspinOptions, Unpaired};
use prometheus::Registry;
use serde_json::Value;
use tokio::runtime::Runtime;

const PATIENCE: Duration = Duration::from_secs(20);

struct Monotonic(Instant);

impl Clock for Monotonic {
    fn now(&self) -> HubTime {
        HubTime::from_nanos(1_000_000_000_000 + self.0.elapsed().as_nanos() as i64)
    }
}

fn python() -> Option<PathBuf> {
    let named = std::env::var_os("ANTIPHON_SENDSPIN_PYTHON").map(PathBuf::from);
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap_or(Path::new("target"));
    let python = named.unwrap_or_else(|| built.join("peers/venv/bin/python3"));
    if python.is_file() {
        return Some(python);
    }
    eprintln!("SKIPPED: no Python with aiosendspin at {} (make setup-test)", python.display());
    None
}

/// The client, as a process.
struct Client {
    child: Child,
    input: ChildStdin,
    said: Receiver<Value>,
}

impl Client {
    fn start(python: &PathBuf, arguments: &[&str]) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/client.py");
        let mut child = Command::new(python)
            .arg(script)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (told, said) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                eprintln!("client: {line}");
                if let Ok(value) = serde_json::from_str(&line) {
                    // The test may be over.
                    let _ = told.send(value);
                }
            }
        });
        let input = child.stdin.take().unwrap();
        Self { child, input, said }
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    fn says(&self, event: &str) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let value = self.said.recv_timeout(left).unwrap_or_else(|_| panic!("it never said {event}"));
            if value["event"] == event {
                return value;
            }
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A hub of this kind alone.
struct House {
    runtime: Runtime,
    kind: SendspinKind,
    clock: Arc<dyn Clock>,
    arrivals: Receiver<Arrival>,
    _folder: tempfile::TempDir,
}

impl House {
    fn new(unpaired: Unpaired) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let options = SendspinOptions {
            port: 0,
            interfaces: Some(vec!["lo".into()]),
            data_dir: Some(folder.path().into()),
            unpaired,
            ..SendspinOptions::default()
        };
        let kind = SendspinKind::new(runtime.handle().clone(), options, &Registry::new()).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(Monotonic(Instant::now()));
        let (told, arrivals) = channel();
        let told = std::sync::Mutex::new(told);
        let entered = runtime.enter();
        let adverts = kind.listen(
            Arc::clone(&clock),
            Arc::new(move |arrival| {
                let _ = told.lock().unwrap().send(arrival);
            }),
        );
        drop(entered);
        assert_eq!(adverts[0].service, "_sendspin-server._tcp.local.");
        Self { runtime, kind, clock, arrivals, _folder: folder }
    }

    fn url(&self) -> String {
        format!("ws://127.0.0.1:{}/sendspin", self.kind.port().unwrap())
    }

    fn here(&self) -> Descriptor {
        loop {
            match self.arrivals.recv_timeout(PATIENCE).unwrap() {
                Arrival::Here(descriptor) => return descriptor,
                Arrival::Gone(_) | Arrival::Free(_) => {}
            }
        }
    }

    fn open(&self, descriptor: &Descriptor) -> (Box<dyn Endpoint>, Receiver<EndpointEvent>) {
        let (told, events) = channel();
        let told = std::sync::Mutex::new(told);
        let sink = Arc::new(move |event| {
            eprintln!("hub: {event:?}");
            let _ = told.lock().unwrap().send(event);
        });
        (self.kind.open(descriptor, Pace::Steady, Arc::clone(&self.clock), sink), events)
    }

    fn wants(&self, speaker: &SpeakerId, wants: Wants) {
        let until = Instant::now() + PATIENCE;
        loop {
            let asks = self.kind.asks();
            if asks.iter().any(|ask| ask.speaker == *speaker && ask.wants == wants) {
                return;
            }
            assert!(Instant::now() < until, "it never wanted {wants:?}: {asks:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Opens again and again until it is ready, as a speaker does.
    fn ready(&self, descriptor: &Descriptor) -> (Box<dyn Endpoint>, Receiver<EndpointEvent>) {
        let until = Instant::now() + PATIENCE;
        loop {
            let (endpoint, events) = self.open(descriptor);
            loop {
                match events.recv_timeout(PATIENCE).unwrap() {
                    EndpointEvent::Ready => return (endpoint, events),
                    EndpointEvent::Lost(why) => {
                        assert!(Instant::now() < until, "{why}");
                        std::thread::sleep(Duration::from_millis(100));
                        break;
                    }
                    _ => {}
                }
            }
        }
    }
}

fn lost(events: &Receiver<EndpointEvent>) -> LostReason {
    loop {
        if let EndpointEvent::Lost(why) = events.recv_timeout(PATIENCE).unwrap() {
            return why;
        }
    }
}

/// Plays a second of known samples in real time; what the client heard is compared with them.
fn play(house: &House, client: &mut Client, endpoint: &mut dyn Endpoint) {
    use ring::digest::{Context, SHA256};
    let mut digest = Context::new(&SHA256);
    let first = house.clock.now() + endpoint.caps().lead.0 + Duration::from_millis(200);
    let mut random = 1u32;
    // Whole runs of blocks, whatever the pace.
    for index in 0..240u64 {
        let samples: Vec<i16> = (0..BLOCK_FRAMES * CHANNELS)
            .map(|_| {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (random >> 16) as i16
            })
            .collect();
        for sample in &samples {
            digest.update(&sample.to_le_bytes());
        }
        let due = first + Frames(index * BLOCK_FRAMES as u64).duration(SampleRate::HUB);
        endpoint.play(&Block { due, samples: samples.into() });
        std::thread::sleep(Duration::from_millis(4));
    }
    client.says("start");
    let expected: String = digest.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let bytes = 240 * BLOCK_FRAMES * CHANNELS * 2;
    let until = Instant::now() + PATIENCE;
    loop {
        client.tell("heard");
        let heard = client.says("heard");
        if heard["bytes"] == bytes {
            assert_eq!(heard["gaps"], 0);
            assert_eq!(heard["sha"], expected);
            return;
        }
        assert!(Instant::now() < until, "{heard}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn lab_who_dials_is_heard_once_approved() {
    let Some(python) = python() else { return };
    let house = House::new(Unpaired::Ask);
    let mut client = Client::start(&python, &["dial", &house.url(), "--unpaired"]);
    let here = house.here();
    assert_eq!(client.says("id")["id"], here.id.as_str());
    let (_refused, events) = house.open(&here);
    assert!(matches!(lost(&events), LostReason::Unpaired(_)));
    house.wants(&here.id, Wants::Approval);
    house.kind.answer(&here.id, &Answer::Approve).unwrap();
    let (mut endpoint, _events) = house.ready(&here);
    play(&house, &mut client, &mut *endpoint);
    drop(endpoint);
    client.says("end");
    house.wants(&here.id, Wants::Nothing);
    house.kind.answer(&here.id, &Answer::Refuse).unwrap();
    let (_refused, events) = house.open(&here);
    assert!(matches!(lost(&events), LostReason::Unpaired(_)));
}

fn found(client: &Client, port: u16) -> Descriptor {
    let id = client.says("id")["id"].as_str().unwrap().to_owned();
    let until = Instant::now() + PATIENCE;
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < until, "it does not listen");
        std::thread::sleep(Duration::from_millis(50));
    }
    Descriptor {
        id: SpeakerId::new(id),
        name: "Real".into(),
        kind: "sendspin",
        addresses: vec![SocketAddr::from(([127, 0, 0, 1], port))],
        properties: [("path".to_owned(), "/sendspin".to_owned())].into(),
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn lab_who_is_dialled_is_heard_with_the_other_suite_too() {
    let Some(python) = python() else { return };
    let house = House::new(Unpaired::Allow);
    let port = free_port();
    let mut client = Client::start(&python, &["serve", &port.to_string(), "--unpaired", "--suite", "aes"]);
    let descriptor = found(&client, port);
    let (mut endpoint, _events) = house.ready(&descriptor);
    play(&house, &mut client, &mut *endpoint);
    drop(endpoint);
    client.says("disconnected");
}

#[test]
fn lab_a_token_pairs() {
    let Some(python) = python() else { return };
    let house = House::new(Unpaired::Ask);
    let mut client = Client::start(&python, &["dial", &house.url()]);
    let here = house.here();
    let token = client.says("token")["token"].as_str().unwrap().to_owned();
    house.wants(&here.id, Wants::Code);
    house.kind.answer(&here.id, &Answer::Code(Secret::new(token))).unwrap();
    house.wants(&here.id, Wants::Nothing);
    let (mut endpoint, _events) = house.ready(&here);
    play(&house, &mut client, &mut *endpoint);
    drop(endpoint);
    house.kind.answer(&here.id, &Answer::Unpair).unwrap();
    client.says("disconnected");
    let again = house.here();
    house.wants(&again.id, Wants::Code);
}

#[test]
fn lab_a_code_that_is_shown_pairs_at_the_second_try() {
    let Some(python) = python() else { return };
    let house = House::new(Unpaired::Ask);
    let mut client = Client::start(&python, &["dial", &house.url(), "--code"]);
    let here = house.here();
    house.wants(&here.id, Wants::Approval);
    house.kind.answer(&here.id, &Answer::Approve).unwrap();
    let code = client.says("code")["code"].as_str().unwrap().to_owned();
    house.wants(&here.id, Wants::Code);
    let wrong = if code == "000000" { "000001" } else { "000000" };
    house.kind.answer(&here.id, &Answer::Code(Secret::new(wrong))).unwrap();
    assert_eq!(client.says("code")["code"], code.as_str());
    house.wants(&here.id, Wants::Code);
    house.kind.answer(&here.id, &Answer::Code(Secret::new(code))).unwrap();
    house.wants(&here.id, Wants::Nothing);
    let (mut endpoint, _events) = house.ready(&here);
    play(&house, &mut client, &mut *endpoint);
}

#[test]
fn lab_a_code_that_is_printed_pairs_once_somebody_is_at_the_device() {
    let Some(python) = python() else { return };
    let house = House::new(Unpaired::Ask);
    let mut client = Client::start(&python, &["dial", &house.url(), "--static", "12345678"]);
    let here = house.here();
    house.wants(&here.id, Wants::Code);
    house.kind.answer(&here.id, &Answer::Code(Secret::new("1234-5678"))).unwrap();
    client.says("gesture");
    client.tell("window");
    house.wants(&here.id, Wants::Nothing);
    let (mut endpoint, _events) = house.ready(&here);
    play(&house, &mut client, &mut *endpoint);
    house.runtime.block_on(async {});
}
