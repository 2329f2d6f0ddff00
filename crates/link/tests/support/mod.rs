//! A link against the simulator, and what it said. Each test binary uses its own part of this.
#![allow(dead_code, missing_docs, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use antiphon_avs::message::{ContextEntry, ContextHeader, Event};
use antiphon_domain::{HubTime, SpeakerId};
use antiphon_link::{
    AvsSettings, LinkConfig, LinkContext, LinkEvent, LinkHandle, LinkStart, LinkState, Secret, spawn,
};
use antiphon_simulator::{Options, Simulator};
use serde_json::{Value, json};
use tokio::sync::mpsc;

pub const PATIENCE: Duration = Duration::from_secs(20);

static COUNT: AtomicU64 = AtomicU64::new(0);

pub fn folder() -> PathBuf {
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("antiphon-link-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path
}

pub fn options() -> Options {
    Options::new(folder())
}

pub async fn simulator(options: Options) -> Simulator {
    if std::env::var_os("ANTIPHON_TEST_LOG").is_some() {
        let _ = tracing_subscriber::fmt().with_env_filter("antiphon_link=trace").try_init();
    }
    Simulator::start(options).await.unwrap()
}

pub fn context() -> Arc<LinkContext> {
    let epoch = Instant::now();
    let now = move || HubTime::EPOCH + epoch.elapsed();
    LinkContext::new(tokio::runtime::Handle::current(), &prometheus::Registry::new(), Arc::new(now)).unwrap()
}

/// Everything as in life, with waits short enough for a test.
pub fn config(simulator: &Simulator, dsn: &str) -> LinkConfig {
    config_at(&simulator.gateway(), simulator.ca_file(), dsn)
}

pub fn config_at(gateway: &str, ca_file: &Path, dsn: &str) -> LinkConfig {
    let mut settings = AvsSettings {
        gateway: Some(gateway.to_owned()),
        lwa: Some(gateway.to_owned()),
        capabilities: Some(gateway.to_owned()),
        ca_file: Some(ca_file.to_owned()),
        client_id: Some("amzn1.application-oa2-client.test".into()),
        product_id: Some("antiphon".into()),
        ..AvsSettings::default()
    };
    settings.timers.connect_delays_s = Some(vec![0.05, 0.1, 0.2, 0.5]);
    settings.timers.event_delays_s = Some(vec![0.05, 0.1, 0.2, 0.5]);
    settings.timers.lwa_delays_s = Some(vec![0.0, 0.1, 0.2]);
    settings.link_config(dsn).unwrap()
}

pub fn capabilities() -> Arc<Vec<Value>> {
    let of = |name: &str, version: &str| json!({"type":"AlexaInterface","interface":name,"version":version});
    Arc::new(vec![
        of("Alexa.ApiGateway", "1.0"),
        of("InteractionModel", "1.2"),
        of("System", "2.0"),
        of("Speaker", "1.0"),
        of("SpeechRecognizer", "2.3"),
    ])
}

pub fn synchronize_state(volume: i64) -> Event {
    let mut event = Event::new("System", "SynchronizeState", json!({}));
    event.context = Some(vec![ContextEntry {
        header: ContextHeader { namespace: "Speaker".into(), name: "VolumeState".into() },
        payload: json!({ "volume": volume, "muted": false }),
    }]);
    event
}

pub fn volume_changed(volume: i64) -> Event {
    Event::new("Speaker", "VolumeChanged", json!({ "volume": volume, "muted": false }))
}

/// A running link with a device behind it that answers for its state and nothing else.
pub struct Rig {
    pub handle: LinkHandle,
    pub events: mpsc::UnboundedReceiver<LinkEvent>,
    /// Refresh tokens in the order in which they were stored.
    pub stored: Arc<Mutex<Vec<Secret>>>,
    /// While false, storing fails.
    pub disk: Arc<AtomicBool>,
}

pub fn start(context: &Arc<LinkContext>, config: LinkConfig, token: Option<&str>) -> Rig {
    start_on(context, config, token, true)
}

/// As `start`; `works` says whether the disk does at first.
pub fn start_on(context: &Arc<LinkContext>, config: LinkConfig, token: Option<&str>, works: bool) -> Rig {
    let (sender, events) = mpsc::unbounded_channel();
    let (to_device, mut device) = mpsc::unbounded_channel::<()>();
    let stored = Arc::new(Mutex::new(Vec::new()));
    let disk = Arc::new(AtomicBool::new(works));
    let (keep, works) = (stored.clone(), disk.clone());
    let link = LinkStart {
        speaker: SpeakerId::new(config.serial_number.clone()),
        friendly_name: format!("Speaker {}", config.serial_number),
        config,
        capabilities: capabilities(),
        refresh_token: token.map(Secret::new),
        saved_gateway: None,
        declared: None,
    };
    let handle = spawn(
        context,
        link,
        Arc::new(move |event| {
            if matches!(event, LinkEvent::WantSynchronizeState) {
                let _ = to_device.send(());
            }
            let _ = sender.send(event);
        }),
        Arc::new(move |token| {
            let (keep, works) = (keep.clone(), works.clone());
            Box::pin(async move {
                let stored = works.load(Ordering::Relaxed);
                if stored {
                    keep.lock().unwrap().push(token);
                }
                stored
            })
        }),
    )
    .unwrap();
    let answering = handle.clone();
    tokio::spawn(async move {
        while device.recv().await.is_some() {
            let _ = answering.synchronize(synchronize_state(40));
        }
    });
    Rig { handle, events, stored, disk }
}

impl Rig {
    pub async fn wait<T>(&mut self, what: &str, mut fits: impl FnMut(LinkEvent) -> Option<T>) -> T {
        let mut seen = Vec::new();
        let search = async {
            loop {
                let event = self.events.recv().await.expect("the link lives");
                let text = format!("{event:?}");
                if let Some(found) = fits(event) {
                    return found;
                }
                seen.push(text);
            }
        };
        match tokio::time::timeout(PATIENCE, search).await {
            Ok(found) => found,
            Err(_) => panic!("no {what}; seen {seen:#?}"),
        }
    }

    pub async fn connected(&mut self) {
        self.wait("connected", |event| matches!(event, LinkEvent::State(LinkState::Connected)).then_some(()))
            .await;
    }

    pub async fn directive(&mut self, name: &str) -> antiphon_avs::message::Directive {
        self.wait(name, |event| match event {
            LinkEvent::Directive { directive, .. } if directive.header.name == name => Some(directive),
            _ => None,
        })
        .await
    }
}

/// A device name that no other test of this process uses.
pub fn dsn() -> String {
    format!("LINK{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A context and the registry of its metrics.
pub fn counted_context() -> (Arc<LinkContext>, prometheus::Registry) {
    let registry = prometheus::Registry::new();
    let epoch = Instant::now();
    let now = move || HubTime::EPOCH + epoch.elapsed();
    let context = LinkContext::new(tokio::runtime::Handle::current(), &registry, Arc::new(now)).unwrap();
    (context, registry)
}

/// All metrics as text.
pub fn metrics(registry: &prometheus::Registry) -> String {
    prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
}

/// Waits for a state.
pub async fn until(mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "it never came to be");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
