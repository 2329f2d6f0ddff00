//! What plays, as a receiver is told it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says where")]

mod fake;

use std::sync::Arc;
use std::time::Duration;

use antiphon_endpoint::{Artwork, Clock, Control, NowPlaying, PlayState};
use fake::hub::{Hub, block, soon};
use fake::{Fake, Request, Trick};

fn picture(bytes: &[u8]) -> Artwork {
    Artwork { media_type: "image/png".into(), bytes: bytes.into() }
}

fn playing(hub: &Hub) -> NowPlaying {
    NowPlaying {
        state: PlayState::Playing,
        title: Some("Ode an die Freude".into()),
        artist: Some("Wiener Symphoniker".into()),
        album: Some("Neunte".into()),
        artwork: Some(picture(b"\x89PNG\0\xff picture")),
        position: Some((hub.clock.now(), Duration::from_secs(60))),
        length: Some(Duration::from_secs(600)),
        group: None,
    }
}

/// The next thing told that is of this media type.
fn told(fake: &Fake, kind: &str) -> Request {
    loop {
        let request = fake.request("SET_PARAMETER");
        if request.headers["content-type"] == kind && !request.body.starts_with("volume") {
            return request;
        }
    }
}

#[test]
fn words_picture_and_progress_arrive_and_only_what_changed() {
    let hub = Hub::new(|_| {});
    let fake = Fake::new(&[]);
    let mut opened = hub.open(&hub.recorded(fake.address, &[("am", "X"), ("md", "0,1,2"), ("et", "0")]));
    opened.ready();
    let anchor = soon(&hub.clock);
    for nth in 0..40 {
        opened.endpoint.play(&block(anchor, nth));
    }
    let mut now = playing(&hub);
    opened.endpoint.control(Control::Now(Arc::new(now.clone())));
    let words = told(&fake, "application/x-dmap-tagged");
    assert!(words.headers["rtp-info"].starts_with("rtptime="));
    for text in
        ["minm\0\0\0\x11Ode an die Freude", "asar\0\0\0\x12Wiener Symphoniker", "asal\0\0\0\x06Neunte"]
    {
        assert!(words.body.contains(text), "{:?}", words.body);
    }
    assert_eq!(told(&fake, "image/png").bytes, b"\x89PNG\0\xff picture");
    let progress = told(&fake, "text/parameters").body;
    let numbers: Vec<u32> = progress
        .trim_end()
        .strip_prefix("progress: ")
        .unwrap()
        .split('/')
        .map(|n| n.parse().unwrap())
        .collect();
    assert_eq!(numbers[2].wrapping_sub(numbers[0]), 600 * 44_100);
    let at = f64::from(numbers[1].wrapping_sub(numbers[0])) / 44_100.0;
    assert!((60.0..62.0).contains(&at), "{at}");
    // The same again tells nothing; a new title alone, and no picture.
    opened.endpoint.control(Control::Now(Arc::new(now.clone())));
    now.title = Some("Scherzo".into());
    now.artwork = None;
    opened.endpoint.control(Control::Now(Arc::new(now)));
    let next = fake.request("SET_PARAMETER");
    assert!(next.body.contains("Scherzo"), "{next:?}");
    let gone = fake.request("SET_PARAMETER");
    assert_eq!((gone.headers["content-type"].as_str(), gone.bytes.len()), ("image/none", 0));
}

#[test]
fn what_a_receiver_does_not_take_it_is_not_told() {
    let hub = Hub::new(|_| {});
    let fake = Fake::new(&[]);
    let mut opened = hub.open(&hub.recorded(fake.address, &[("am", "X"), ("md", "1"), ("et", "0")]));
    opened.ready();
    opened.endpoint.control(Control::Now(Arc::new(playing(&hub))));
    assert_eq!(fake.request("SET_PARAMETER").headers["content-type"], "image/png");
    opened
        .endpoint
        .control(Control::Now(Arc::new(NowPlaying { artwork: Some(picture(b"2")), ..playing(&hub) })));
    assert_eq!(fake.request("SET_PARAMETER").bytes, b"2");
}

#[test]
fn a_receiver_that_refuses_it_goes_on_playing() {
    let hub = Hub::new(|_| {});
    let fake = Fake::new(&[("SET_PARAMETER", Trick::Status(501))]);
    let mut opened = hub.open(&hub.recorded(fake.address, &[("am", "X"), ("md", "0,1,2"), ("et", "0")]));
    opened.ready();
    for title in ["one", "two", "three"] {
        let now = NowPlaying { title: Some(title.into()), ..NowPlaying::default() };
        opened.endpoint.control(Control::Now(Arc::new(now)));
        fake.audio_after(|| opened.endpoint.play(&block(soon(&hub.clock), 0)));
        opened.endpoint.flush(hub.clock.now());
    }
    assert!(fake.request("SET_PARAMETER").body.contains("one"));
    assert_eq!(hub.metric("antiphon_airplay_sessions_lost_total"), 0.0);
    assert_eq!(hub.metric("antiphon_airplay_shown_total"), 0.0);
}

#[test]
fn a_receiver_that_does_not_answer_it_goes_on_playing() {
    let hub = Hub::new(|options| {
        options.answer_timeout = Duration::from_millis(300);
        options.keep_alive = Duration::from_millis(200);
    });
    let fake = Fake::new(&[("SET_PARAMETER", Trick::Silence)]);
    let mut opened = hub.open(&hub.recorded(fake.address, &[("am", "X"), ("md", "0,1,2"), ("et", "0")]));
    opened.ready();
    opened.endpoint.control(Control::Now(Arc::new(playing(&hub))));
    assert!(fake.request("SET_PARAMETER").body.contains("Freude"));
    // It is asked on, and told no more of it.
    fake.request("OPTIONS");
    opened.endpoint.control(Control::Now(Arc::new(NowPlaying { title: Some("2".into()), ..playing(&hub) })));
    fake.request("OPTIONS");
    fake.audio_after(|| opened.endpoint.play(&block(soon(&hub.clock), 0)));
    assert_eq!(hub.metric("antiphon_airplay_sessions_lost_total"), 0.0);
    assert_eq!(hub.metric("antiphon_airplay_shown_total"), 0.0);
}
