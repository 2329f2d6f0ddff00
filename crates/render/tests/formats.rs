//! Every format that is promised, decoded: right tone, right length, no gap; from the middle too.

mod support;

use std::time::Duration;

use antiphon_audio::tone::{Tone, largest_step, strength};
use antiphon_domain::Lead;
use support::web::{Page, Web};
use support::{Hub, encode, file_url, finished, media, tone_wav};

const SECOND: usize = 44_100;

/// Long enough for a busy machine.
const LEAD: Lead = Lead(Duration::from_millis(1_500));

/// Frames heard of a two-second tone through `encoder`, checked for tone and gaps away from the edges.
fn heard_frames(hub: &Hub, name: &str, encoder: &str, url: impl Fn(&std::path::Path) -> String) -> usize {
    let wav = hub.dir().join("in.wav");
    tone_wav(&wav, 441.0, 2 * SECOND);
    let encoded = hub.dir().join(name);
    encode(&wav, encoder, &encoded);
    let captured = hub.capture(name, LEAD);
    let (feed, events) = hub.open(&url(&encoded));
    captured.output.attach(&feed);
    feed.start(LEAD);
    finished(&events);
    let sound = captured.whole().samples;
    let middle = &sound[SECOND..3 * SECOND];
    assert!((strength(middle, 441.0) - 0.5).abs() < 0.02, "{name}: {}", strength(middle, 441.0));
    // 441 Hz at half scale steps by at most 1,030; codecs add a little.
    assert!(largest_step(middle) < 1_200, "{name}: step {}", largest_step(middle));
    sound.len() / 2
}

/// Within a few codec frames, and padded to a block.
fn about(frames: usize) -> bool {
    (2 * SECOND - 2_400..2 * SECOND + 5_000).contains(&frames)
}

#[test]
fn files_of_every_format_are_heard() {
    let hub = Hub::new();
    for (name, encoder) in [
        ("a.mp3", "lamemp3enc"),
        ("a.aac", "avenc_aac ! aacparse ! audio/mpeg,stream-format=adts"),
        ("a.m4a", "avenc_aac ! aacparse ! mp4mux"),
        ("a.opus", "opusenc ! oggmux"),
        ("a.ogg", "vorbisenc ! oggmux"),
    ] {
        let frames = heard_frames(&hub, name, encoder, file_url);
        assert!(about(frames), "{name}: {frames} frames");
    }
}

#[test]
fn flac_is_exact() {
    let hub = Hub::new();
    let wav = hub.dir().join("in.wav");
    tone_wav(&wav, 441.0, 2 * SECOND);
    let flac = hub.dir().join("in.flac");
    encode(&wav, "flacenc", &flac);
    let captured = hub.capture("kitchen", LEAD);
    let (feed, events) = hub.open(&file_url(&flac));
    captured.output.attach(&feed);
    feed.start(LEAD);
    finished(&events);
    let expected = Tone::new(441.0, 0.5).stereo(2 * SECOND);
    assert_eq!(captured.whole().samples[..expected.len()], expected);
}

#[test]
fn ogg_and_mp4_come_over_the_web() {
    let hub = Hub::new();
    for (name, encoder) in [("a.opus", "opusenc ! oggmux"), ("a.m4a", "avenc_aac ! aacparse ! mp4mux")] {
        let frames = heard_frames(&hub, name, encoder, |path| {
            let web = Web::serve(vec![("/media", Page::Bytes(std::fs::read(path).unwrap()))]);
            web.url("/media")
        });
        assert!(about(frames), "{name}: {frames} frames");
    }
}

#[test]
fn an_offset_and_an_end_are_obeyed_to_the_sample() {
    let hub = Hub::new();
    let wav = hub.dir().join("in.wav");
    tone_wav(&wav, 441.0, 4 * SECOND);
    let captured = hub.capture("kitchen", LEAD);
    let mut part = media(&file_url(&wav));
    part.offset = Duration::from_millis(1_500);
    part.end = Some(Duration::from_millis(2_500));
    let (feed, events) = hub.open_media(part);
    assert_eq!(feed.position(), Duration::from_millis(1_500));
    captured.output.attach(&feed);
    feed.start(LEAD);
    assert_eq!(finished(&events), Duration::from_millis(2_500));
    let whole = Tone::new(441.0, 0.5).stereo(4 * SECOND);
    let expected = &whole[3 * SECOND..5 * SECOND];
    assert_eq!(captured.whole().samples[..expected.len()], *expected);
    assert_eq!(feed.position(), Duration::from_millis(2_500));
}

/// A server that ignores `Range` without saying so (Python's `http.server`) makes GStreamer's Ogg fail.
#[test]
fn servers_without_ranges_serve_every_format() {
    let hub = Hub::new();
    for (name, encoder) in
        [("a.opus", "opusenc ! oggmux"), ("a.ogg", "vorbisenc ! oggmux"), ("a.flac", "flacenc")]
    {
        let frames = heard_frames(&hub, name, encoder, |path| {
            let web = Web::serve(vec![("/media", Page::NoRanges(std::fs::read(path).unwrap()))]);
            web.url("/media")
        });
        assert!(about(frames), "{name}: {frames} frames");
    }
}

#[test]
fn a_server_without_ranges_is_skipped_through() {
    let hub = Hub::new();
    let wav = hub.dir().join("in.wav");
    tone_wav(&wav, 441.0, 3 * SECOND);
    let flac = hub.dir().join("in.flac");
    encode(&wav, "flacenc", &flac);
    let web = Web::serve(vec![("/a.flac", Page::NoRanges(std::fs::read(&flac).unwrap()))]);
    let captured = hub.capture("kitchen", LEAD);
    let mut part = media(&web.url("/a.flac"));
    part.offset = Duration::from_secs(1);
    part.end = Some(Duration::from_secs(2));
    let (feed, events) = hub.open_media(part);
    captured.output.attach(&feed);
    feed.start(LEAD);
    assert_eq!(finished(&events), Duration::from_secs(2));
    let whole = Tone::new(441.0, 0.5).stereo(3 * SECOND);
    let expected = &whole[2 * SECOND..4 * SECOND];
    assert_eq!(captured.whole().samples[..expected.len()], *expected);
}
