//! mDNS records of PulseAudio sinks: each line of the input is an instance, a TXT entry `key=value`, or a configured text.
#![no_main]

use std::collections::BTreeMap;
use std::sync::OnceLock;

use antiphon_domain::SpeakerId;
use antiphon_endpoint::{Kind, Pace, ServiceRecord};
use antiphon_host::metrics::Metrics;
use antiphon_host::{PulseKind, PulseOptions};
use libfuzzer_sys::fuzz_target;

static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
static KIND: OnceLock<PulseKind> = OnceLock::new();

fn kind() -> &'static PulseKind {
    KIND.get_or_init(|| {
        let runtime = RUNTIME.get_or_init(|| {
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
        });
        let metrics = Metrics::new(&prometheus::Registry::new()).expect("metrics");
        PulseKind::new(runtime.handle().clone(), PulseOptions::default(), metrics)
    })
}

fuzz_target!(|input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    let mut lines = text.lines();
    let instance = lines.next().unwrap_or_default().to_owned();
    let txt: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_lowercase(), value.to_owned()))
        .collect();
    let record = ServiceRecord {
        service: "_pulse-sink._tcp.local.".into(),
        instance: instance.clone(),
        host: "h.local.".into(),
        addresses: Vec::new(),
        txt,
    };
    if let Some(descriptor) = kind().recognise(&record) {
        let _ = kind().caps(&descriptor, Pace::Steady);
        assert!(!descriptor.name.is_empty() && !descriptor.id.as_str().is_empty());
    }
    let _ = kind().configured(&instance, &SpeakerId::new("kitchen"), "Kitchen");
});
