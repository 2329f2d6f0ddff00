//! What the renderer's tests share: media made by GStreamer, a small web server, listeners that remember, and patience.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

pub mod capture;
pub mod web;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use antiphon_audio::tone::Tone;
use antiphon_domain::media::Media;
use antiphon_domain::{Lead, SpeakerId};
use antiphon_endpoint::{Clock, EndpointEvent, Kind, Pace};
use antiphon_host::VirtualKind;
use antiphon_host::recording::Recording;
use antiphon_render::{Feed, FeedEvent, HubClock, Output, OutputEvent, RenderConfig, Renderer};
use capture::{Capture, Captured};
use gstreamer as gst;
use gstreamer::prelude::*;

/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Events in the order they came, and a way to wait for one.
pub struct Events<T> {
    seen: Mutex<Vec<T>>,
    more: Condvar,
}

impl<T: Clone + Send + std::fmt::Debug + 'static> Events<T> {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { seen: Mutex::new(Vec::new()), more: Condvar::new() })
    }

    pub fn sink(self: &Arc<Self>) -> Arc<dyn Fn(T) + Send + Sync> {
        let events = Arc::clone(self);
        Arc::new(move |event| {
            events.seen.lock().unwrap().push(event);
            events.more.notify_all();
        })
    }

    pub fn all(&self) -> Vec<T> {
        self.seen.lock().unwrap().clone()
    }

    /// The first event that `pick` makes something of.
    pub fn wait<R>(&self, what: &str, mut pick: impl FnMut(&T) -> Option<R>) -> R {
        let mut seen = self.seen.lock().unwrap();
        loop {
            if let Some(found) = seen.iter().find_map(&mut pick) {
                return found;
            }
            let (again, late) = self.more.wait_timeout(seen, PATIENCE).unwrap();
            assert!(!late.timed_out(), "no {what} in {PATIENCE:?}: {:?}", *again);
            seen = again;
        }
    }
}

pub type FeedEvents = Arc<Events<FeedEvent>>;

pub fn finished(events: &FeedEvents) -> Duration {
    events.wait("end", |event| match event {
        FeedEvent::Finished { offset } => Some(*offset),
        FeedEvent::Failed { error, .. } => panic!("it failed: {error:?}"),
        _ => None,
    })
}

pub fn started(events: &FeedEvents) -> antiphon_domain::HubTime {
    events.wait("start", |event| match event {
        FeedEvent::Started { at } => Some(*at),
        FeedEvent::Failed { error, .. } => panic!("it failed: {error:?}"),
        _ => None,
    })
}

/// A hub without actors.
pub struct Hub {
    pub clock: Arc<HubClock>,
    pub renderer: Renderer,
    pub kind: VirtualKind,
    pub registry: prometheus::Registry,
    dir: PathBuf,
}

pub struct VirtualOutput {
    pub output: Output,
    pub events: Arc<Events<OutputEvent>>,
    pub endpoint_events: Arc<Events<EndpointEvent>>,
    pub file: PathBuf,
}

impl VirtualOutput {
    /// What it played, once its session is closed.
    pub fn close(self) -> Recording {
        let Self { output, events, file, .. } = self;
        events.wait("silence", |event| matches!(event, OutputEvent::Silent).then_some(()));
        drop(output);
        // The last header is written when the session ends, soon after.
        let mut before = 0;
        loop {
            std::thread::sleep(Duration::from_millis(150));
            let recording = Recording::read(&file).unwrap();
            if recording.frames() == before {
                return recording;
            }
            before = recording.frames();
        }
    }
}

impl Hub {
    pub fn new() -> Self {
        // A busy machine may keep a decoder waiting for long.
        Self::with(RenderConfig { prebuffer: Duration::from_millis(500), ..RenderConfig::default() })
    }

    pub fn with(config: RenderConfig) -> Self {
        let clock = Arc::new(HubClock::new());
        let registry = prometheus::Registry::new();
        let renderer = Renderer::start(config, Arc::clone(&clock) as Arc<dyn Clock>, &registry).unwrap();
        Self { clock, renderer, kind: VirtualKind::new(), registry, dir: scratch() }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn speaker(&self, name: &str) -> VirtualOutput {
        let file = self.dir.join(format!("{name}.wav"));
        let id = SpeakerId::new(name);
        let text = format!("virtual:{}", file.display());
        let descriptor = self.kind.configured(&text, &id, name).unwrap().unwrap();
        let (events, endpoint_events) = (Events::new(), Events::new());
        let endpoint = self.kind.open(
            &descriptor,
            Pace::Steady,
            Arc::clone(&self.clock) as Arc<dyn Clock>,
            endpoint_events.sink(),
        );
        let output = self.renderer.open_output(id, endpoint, events.sink());
        VirtualOutput { output, events, endpoint_events, file }
    }

    /// An output whose endpoint only remembers, with a lead that a busy machine cannot miss.
    pub fn capture(&self, name: &str, lead: Lead) -> Captured {
        let endpoint = Capture::new(lead);
        let blocks = endpoint.blocks();
        let events = Events::new();
        let output = self.renderer.open_output(SpeakerId::new(name), Box::new(endpoint), events.sink());
        Captured { output, events, blocks }
    }

    /// The value of a metric, summed over its labels.
    pub fn metric(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let metrics = family.map(|family| family.get_metric()).unwrap_or_default();
        metrics.iter().map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value()).sum()
    }

    pub fn open(&self, url: &str) -> (Feed, FeedEvents) {
        self.open_media(media(url))
    }

    pub fn open_media(&self, media: Media) -> (Feed, FeedEvents) {
        let events = Events::new();
        (self.renderer.open_feed(media, events.sink()), events)
    }
}

pub fn media(url: &str) -> Media {
    Media { url: url.to_owned(), offset: Duration::ZERO, end: None, headers: Vec::new() }
}

pub fn lead() -> Lead {
    Lead(Duration::from_millis(80))
}

fn scratch() -> PathBuf {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let unique =
        format!("antiphon-render-{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
    let dir = std::env::temp_dir().join(unique);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

pub fn file_url(path: &Path) -> String {
    format!("file://{}", path.display())
}

/// Writes samples as a plain WAV file.
pub fn write_wav(path: &Path, samples: &[i16]) {
    let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let mut wav = Vec::new();
    wav.extend(b"RIFF");
    wav.extend((36 + bytes.len() as u32).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x02\0");
    wav.extend(44_100u32.to_le_bytes());
    wav.extend(176_400u32.to_le_bytes());
    wav.extend(b"\x04\0\x10\0data");
    wav.extend((bytes.len() as u32).to_le_bytes());
    wav.extend(bytes);
    std::fs::write(path, wav).unwrap();
}

/// A tone as a WAV file.
pub fn tone_wav(path: &Path, hertz: f64, frames: usize) {
    write_wav(path, &Tone::new(hertz, 0.5).stereo(frames));
}

/// Encodes a WAV file by a piece of GStreamer pipeline, e.g. `flacenc`.
pub fn encode(wav: &Path, encoder: &str, to: &Path) {
    gst::init().unwrap();
    let pipeline = gst::parse::launch(&format!(
        "filesrc location={} ! wavparse ! audioconvert ! audioresample ! {encoder} ! filesink location={}",
        wav.display(),
        to.display()
    ))
    .unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let bus = pipeline.bus().unwrap();
    let end = bus.timed_pop_filtered(
        gst::ClockTime::from_seconds(30),
        &[gst::MessageType::Eos, gst::MessageType::Error],
    );
    pipeline.set_state(gst::State::Null).unwrap();
    let end = end.expect("the encoder to end");
    assert!(matches!(end.view(), gst::MessageView::Eos(_)), "{end:?}");
}
