//! The thin thread: a file or a URL through source, feed, mixer and a virtual speaker into a WAV file.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::Duration;

use antiphon_audio::tone::{Tone, largest_step, strength};
use antiphon_render::RenderConfig;
use support::web::{Page, Web};
use support::{Hub, encode, file_url, finished, lead, started, tone_wav};

const SECOND: usize = 44_100;

/// Blocks come half a second before a virtual speaker's last moment, so that a busy machine loses none.
fn patient() -> Hub {
    Hub::with(RenderConfig {
        margin: Duration::from_secs(1),
        prebuffer: Duration::from_millis(500),
        ..RenderConfig::default()
    })
}

#[test]
fn a_wav_file_is_heard_sample_for_sample_when_it_is_due() {
    let hub = patient();
    let path = hub.dir().join("in.wav");
    // An odd length, so that the last block is not whole.
    tone_wav(&path, 441.0, 2 * SECOND + 77);
    let speaker = hub.speaker("kitchen");
    let (feed, events) = hub.open(&file_url(&path));
    speaker.output.attach(&feed);
    feed.start(lead());
    let at = started(&events);
    assert_eq!(finished(&events).as_millis(), 2_001);
    let heard = speaker.close();
    let mut expected = Tone::new(441.0, 0.5).stereo(2 * SECOND + 77);
    assert_eq!(heard.samples[..expected.len()], expected);
    expected.clear();
    assert!(heard.frames() - (2 * SECOND + 77) < 352, "only padding may follow");
    assert!(heard.due_of(0).since(at).max(at.since(heard.due_of(0))).as_micros() <= 23);
}

#[test]
fn an_mp3_from_the_web_is_heard() {
    let hub = patient();
    let wav = hub.dir().join("in.wav");
    let mp3 = hub.dir().join("in.mp3");
    tone_wav(&wav, 441.0, 2 * SECOND);
    encode(&wav, "lamemp3enc", &mp3);
    let web = Web::serve(vec![("/in.mp3", Page::Bytes(std::fs::read(&mp3).unwrap()))]);
    let speaker = hub.speaker("kitchen");
    let (feed, events) = hub.open(&web.url("/in.mp3"));
    speaker.output.attach(&feed);
    feed.start(lead());
    finished(&events);
    let heard = speaker.close();
    let middle = heard.between(heard.origin + 22_050, heard.origin + 66_150);
    assert!((strength(&middle, 441.0) - 0.5).abs() < 0.01, "{}", strength(&middle, 441.0));
    assert!(largest_step(&middle) < 1_100, "{}", largest_step(&middle));
    assert!(web.requests()[0].contains("user-agent: antiphon/"), "{:?}", web.requests());
}
