//! The suite that every kind runs, for virtual speakers; and what a machine without a sound card says.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use antiphon_domain::{HubTime, SpeakerId};
use antiphon_endpoint::conformance::{Setup, suite, two_beside_each_other};
use antiphon_endpoint::{Clock, Descriptor, EndpointEvent, Kind, LostReason, Pace};
use antiphon_host::metrics::Metrics;
use antiphon_host::{LocalKind, VirtualKind};

struct TestClock(Instant);

impl Clock for TestClock {
    fn now(&self) -> HubTime {
        HubTime::EPOCH + self.0.elapsed()
    }
}

fn local(runtime: &tokio::runtime::Runtime) -> LocalKind {
    LocalKind::new(runtime.handle().clone(), Metrics::new(&prometheus::Registry::new()).unwrap())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(TestClock(Instant::now()))
}

fn describe(kind: &dyn Kind, text: &str) -> Descriptor {
    kind.configured(text, &SpeakerId::new("test"), "Test").unwrap().unwrap()
}

#[test]
fn a_virtual_speaker_conforms() {
    let kind = VirtualKind::new();
    let descriptor = describe(&kind, "virtual:");
    let refusing = Some(describe(&kind, "virtual:/nowhere/at/all.wav"));
    let other = Descriptor { id: SpeakerId::new("other"), ..descriptor.clone() };
    let setup = Setup { kind: Arc::new(kind), descriptor, refusing, clock: clock() };
    suite(&setup);
    two_beside_each_other(&setup, &other);
}

#[test]
fn a_virtual_speaker_with_a_file_conforms() {
    let kind = VirtualKind::new();
    let dir = std::env::temp_dir().join(format!("antiphon-host-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let descriptor = describe(&kind, &format!("virtual:{}/out.wav", dir.display()));
    // A folder in the file's place.
    std::fs::create_dir_all(dir.join("folder.wav")).unwrap();
    let refusing = Some(describe(&kind, &format!("virtual:{}/folder.wav", dir.display())));
    suite(&Setup { kind: Arc::new(kind), descriptor, refusing, clock: clock() });
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_missing_card_is_said_clearly() {
    let runtime = runtime();
    let kind = local(&runtime);
    let descriptor = describe(&kind, "local:antiphon-no-such-device");
    let (told, events) = channel();
    let told = std::sync::Mutex::new(told);
    let _endpoint = kind.open(
        &descriptor,
        Pace::Steady,
        clock(),
        Arc::new(move |event| {
            let _ = told.lock().unwrap().send(event);
        }),
    );
    let event = events.recv_timeout(Duration::from_secs(20)).unwrap();
    match event {
        EndpointEvent::Lost(LostReason::Local(words)) => assert!(words.contains("no sound card"), "{words}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn texts_are_recognised() {
    let (id, kind) = (SpeakerId::new("kitchen"), VirtualKind::new());
    let runtime = runtime();
    assert!(kind.configured("local:", &id, "Kitchen").is_none());
    assert!(kind.configured("virtual:x.mp3", &id, "Kitchen").unwrap().is_err());
    let file = kind.configured("virtual:x.wav", &id, "Kitchen").unwrap().unwrap();
    assert_eq!(file.properties.get("file").map(String::as_str), Some("x.wav"));
    assert!(local(&runtime).configured("virtual:", &id, "Kitchen").is_none());
    assert!(local(&runtime).configured("local:hw:1,0", &id, "Kitchen").unwrap().is_ok());
}
