//! What fails: servers, networks, files and endpoints; and that nobody else suffers.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::Duration;

use antiphon_audio::Block;
use antiphon_audio::tone::Tone;
use antiphon_domain::media::{MediaError, MediaErrorKind};
use antiphon_domain::{HubTime, Lead, SpeakerId};
use antiphon_endpoint::{Caps, Control, Endpoint};
use antiphon_render::{FeedEvent, OutputEvent, RenderConfig};
use support::web::{Page, Web};
use support::{Events, FeedEvents, Hub, file_url, finished, lead, media, started, tone_wav};

const SECOND: usize = 44_100;
const LONG: Lead = Lead(Duration::from_millis(1_500));

fn failure(events: &FeedEvents) -> MediaError {
    events.wait("failure", |event| match event {
        FeedEvent::Failed { error, .. } => Some(error.clone()),
        FeedEvent::Finished { .. } => panic!("it finished"),
        _ => None,
    })
}

fn impatient() -> Hub {
    Hub::with(RenderConfig { source_timeout: Duration::from_secs(2), ..RenderConfig::default() })
}

#[test]
fn servers_that_refuse_are_classed() {
    let hub = Hub::new();
    let web = Web::serve(vec![
        ("/forbidden", Page::Status(403, "Forbidden")),
        ("/broken", Page::Status(500, "Internal Server Error")),
        ("/busy", Page::Status(503, "Service Unavailable")),
        ("/text", Page::Bytes(b"this is no sound, only words, again and again ".repeat(200))),
    ]);
    for (path, kind) in [
        ("/missing", MediaErrorKind::InvalidRequest),
        ("/forbidden", MediaErrorKind::InvalidRequest),
        ("/broken", MediaErrorKind::InternalServerError),
        ("/busy", MediaErrorKind::InternalServerError),
        ("/text", MediaErrorKind::InternalDeviceError),
    ] {
        // Nobody has to start it to learn this.
        let (_feed, events) = hub.open(&web.url(path));
        let error = failure(&events);
        assert_eq!(error.kind, kind, "{path}: {error:?}");
        assert!(!error.message.is_empty());
        if path == "/forbidden" {
            assert!(error.message.contains("403") && error.message.contains("Forbidden"), "{error:?}");
        }
    }
    assert!((hub.metric("antiphon_render_source_failures_total") - 5.0).abs() < 0.1);
}

#[test]
fn hosts_that_cannot_be_reached_are_unavailable() {
    let hub = impatient();
    let web = Web::serve(vec![("/silence", Page::Silence)]);
    for url in ["http://127.0.0.1:1/x.mp3".to_owned(), web.url("/silence")] {
        let (_feed, events) = hub.open(&url);
        let error = failure(&events);
        assert_eq!(error.kind, MediaErrorKind::ServiceUnavailable, "{url}: {error:?}");
    }
}

#[test]
fn urls_that_are_not_for_us_are_refused() {
    let hub = Hub::new();
    for url in ["file:///nowhere/at/all.mp3", "rtsp://127.0.0.1/x", "no url at all", ""] {
        let (_feed, events) = hub.open(url);
        let error = failure(&events);
        assert_eq!(error.kind, MediaErrorKind::InvalidRequest, "{url:?}: {error:?}");
    }
}

#[test]
fn headers_go_with_the_request() {
    let hub = Hub::new();
    let web = Web::serve(vec![]);
    let mut asked = media(&web.url("/x"));
    asked.headers.push(("X-Token".into(), "Sesame".into()));
    let (_feed, events) = hub.open_media(asked);
    failure(&events);
    assert!(web.requests()[0].contains("x-token: sesame"), "{:?}", web.requests());
}

fn wav_bytes(hub: &Hub, frames: usize) -> Vec<u8> {
    let path = hub.dir().join("bytes.wav");
    tone_wav(&path, 441.0, frames);
    std::fs::read(path).unwrap()
}

#[test]
fn a_slow_server_means_silence_and_then_the_rest() {
    let hub = Hub::new();
    let bytes = wav_bytes(&hub, 3 * SECOND);
    let first = 44 + SECOND * 4;
    let web = Web::serve(vec![("/a.wav", Page::Gap(bytes, first, Duration::from_secs(4)))]);
    let captured = hub.capture("kitchen", LONG);
    let (feed, events) = hub.open(&web.url("/a.wav"));
    captured.output.attach(&feed);
    feed.start(LONG);
    events.wait("stall", |event| matches!(event, FeedEvent::Stalled { .. }).then_some(()));
    events.wait("recovery", |event| matches!(event, FeedEvent::Recovered { .. }).then_some(()));
    finished(&events);
    let stretches = captured.stretches();
    assert_eq!(stretches.len(), 2, "one silence");
    let expected = Tone::new(441.0, 0.5).stereo(3 * SECOND);
    let split = stretches[0].samples.len();
    assert_eq!(stretches[0].samples, expected[..split]);
    assert_eq!(stretches[1].samples[884..expected.len() - split], expected[split + 884..]);
    assert!((hub.metric("antiphon_render_stalls_total") - 1.0).abs() < 0.1);
}

#[test]
fn what_came_before_a_cut_is_heard() {
    let hub = impatient();
    let bytes = wav_bytes(&hub, 3 * SECOND);
    let web = Web::serve(vec![("/a.wav", Page::Cut(bytes, 44 + SECOND * 4))]);
    let captured = hub.capture("kitchen", LONG);
    let (feed, events) = hub.open(&web.url("/a.wav"));
    captured.output.attach(&feed);
    feed.start(LONG);
    let offset = events.wait("end", |event| match event {
        FeedEvent::Failed { offset, .. } | FeedEvent::Finished { offset } => Some(*offset),
        _ => None,
    });
    assert!(offset >= Duration::from_millis(900), "{offset:?}");
}

struct Broken {
    panics_after: u32,
    sleeps: Duration,
}

impl Endpoint for Broken {
    fn caps(&self) -> Caps {
        Caps { lead: LONG, own_volume: false }
    }

    fn play(&mut self, _block: &Block) {
        std::thread::sleep(self.sleeps);
        if self.panics_after == 0 {
            panic!("a bug in this endpoint");
        }
        self.panics_after -= 1;
    }

    fn flush(&mut self, _from: HubTime) {}

    fn control(&mut self, _control: Control) {}
}

impl Drop for Broken {
    fn drop(&mut self) {
        std::thread::sleep(self.sleeps * 500);
    }
}

#[test]
fn a_broken_or_hanging_endpoint_harms_nobody_else() {
    let hub = Hub::new();
    let path = hub.dir().join("in.wav");
    tone_wav(&path, 441.0, 3 * SECOND);
    let captured = hub.capture("good", LONG);
    let (feed, events) = hub.open(&file_url(&path));
    let (panicking, hanging) = (Events::new(), Events::<OutputEvent>::new());
    let broken = Broken { panics_after: 20, sleeps: Duration::ZERO };
    let bad = hub.renderer.open_output(SpeakerId::new("bad"), Box::new(broken), panicking.sink());
    // Three milliseconds a call is far more than "never waits", and a second and a half to say farewell.
    let slow = Broken { panics_after: u32::MAX, sleeps: Duration::from_millis(3) };
    let slow = hub.renderer.open_output(SpeakerId::new("slow"), Box::new(slow), hanging.sink());
    for output in [&captured.output, &bad, &slow] {
        output.attach(&feed);
    }
    feed.start(LONG);
    started(&events);
    let told = panicking.wait("failure", |event| match event {
        OutputEvent::Failed(words) => Some(words == "a bug in this endpoint"),
        _ => None,
    });
    assert!(told, "the panic's own words");
    drop(slow);
    finished(&events);
    let expected = Tone::new(441.0, 0.5).stereo(3 * SECOND);
    assert_eq!(captured.whole().samples[..expected.len()], expected);
    assert!(hub.metric("antiphon_render_slow_calls_total") > 10.0);
    assert!((hub.metric("antiphon_render_endpoint_panics_total") - 1.0).abs() < 0.1);
}

#[test]
fn handles_end_the_thread() {
    let hub = Hub::new();
    let path = hub.dir().join("in.wav");
    tone_wav(&path, 441.0, SECOND);
    let (feed, events) = hub.open(&file_url(&path));
    events.wait("data", |event| matches!(event, FeedEvent::Prepared { .. }).then_some(()));
    // Dropped unplayed: no event, no trouble; another still works.
    drop(feed);
    let (feed, events) = hub.open(&file_url(&path));
    feed.start(lead());
    finished(&events);
}
