//! Sounds of one speaker over its content: when they begin, what they leave of the content, and how they end.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use antiphon_audio::chime;
use antiphon_audio::ramp::{DUCK_RAMP, RETURN_RAMP};
use antiphon_audio::tone::{Tone, largest_step, strength};
use antiphon_domain::media::MediaErrorKind;
use antiphon_domain::mix::InputGains;
use antiphon_domain::sound::{BuiltIn, Voice};
use antiphon_domain::{Frames, Gain, HubTime, Lead, SampleRate};
use antiphon_endpoint::Clock;
use antiphon_render::{
    ByteWriter, FeedEvent, OutputEvent, RenderConfig, Sound, SoundEvent, Start, StreamSource, byte_pipe,
};
use support::capture::{Captured, Stretch};
use support::{Events, Hub, encode, file_url, finished, media, started, tone_wav, write_wav};

const SECOND: usize = 44_100;
const LONG: Lead = Lead(Duration::from_millis(1_500));
const DUCKED: InputGains = InputGains { content: Gain::Db(-15.0), ..InputGains::UNITY };

type SoundEvents = Arc<Events<SoundEvent>>;

fn open(hub: &Hub, source: impl Into<StreamSource>) -> (Sound, SoundEvents) {
    let events = Events::new();
    (hub.renderer.open_sound(source, events.sink()), events)
}

fn over(events: &SoundEvents) {
    events.wait("end", |event| match event {
        SoundEvent::Finished => Some(()),
        SoundEvent::Failed(error) => panic!("it failed: {error:?}"),
        _ => None,
    });
}

fn scheduled(events: &SoundEvents) -> HubTime {
    events.wait("schedule", |event| match event {
        SoundEvent::Scheduled { at } => Some(*at),
        _ => None,
    })
}

fn failed(events: &SoundEvents) -> MediaErrorKind {
    events.wait("failure", |event| match event {
        SoundEvent::Failed(error) => Some(error.kind),
        SoundEvent::Finished => panic!("it finished"),
        _ => None,
    })
}

fn silent(captured: &Captured) {
    captured.events.wait("silence", |event| matches!(event, OutputEvent::Silent).then_some(()));
}

/// Frames from the beginning of a stretch to a moment, to the nearest.
fn frames_to(stretch: &Stretch, at: HubTime) -> usize {
    let nanos = u64::try_from(at.nanos() - stretch.due.nanos()).unwrap();
    Frames::within(Duration::from_nanos(nanos + 11_337), SampleRate::HUB).0 as usize
}

#[test]
fn a_sound_begins_at_its_moment_over_silence() {
    let hub = Hub::new();
    let captured = hub.capture("kitchen", LONG);
    let (sound, events) = open(&hub, BuiltIn::Notification);
    let at = hub.clock.now() + Duration::from_millis(2_123);
    captured.output.play_sound(&sound, Voice::Notification, Start::At(at));
    let told = scheduled(&events);
    assert!(told.nanos().abs_diff(at.nanos()) <= 11_338, "to the frame");
    over(&events);
    silent(&captured);
    let heard = captured.whole();
    // From as early as its block begins and no earlier.
    let begin = frames_to(&heard, at);
    assert!(begin < 352);
    let expected = chime::render(BuiltIn::Notification);
    assert!(heard.samples[..begin * 2].iter().all(|&sample| sample == 0));
    assert_eq!(heard.samples[begin * 2..][..expected.len()], expected);
    assert!(heard.samples[begin * 2 + expected.len()..].iter().all(|&sample| sample == 0));
    let begun = events.all();
    assert_eq!(begun[..2], [SoundEvent::Scheduled { at: told }, SoundEvent::Started { at: told }]);
    assert!(matches!(captured.events.all()[0], OutputEvent::Playing { feed: None, .. }));
    assert!((hub.metric("antiphon_render_sounds_started_total") - 1.0).abs() < 0.1);
    assert!(hub.metric("antiphon_render_sounds_late_total") < 0.1);
}

#[test]
fn a_chain_has_exactly_the_pause_that_was_asked_for() {
    let hub = Hub::new();
    let captured = hub.capture("kitchen", LONG);
    let (one, _) = open(&hub, BuiltIn::Listening);
    let (two, _) = open(&hub, BuiltIn::Heard);
    let (three, events) = open(&hub, BuiltIn::Listening);
    let pause = Duration::from_millis(100);
    captured.output.play_sound(&one, Voice::Alert, Start::Now);
    captured.output.play_sound(&two, Voice::Alert, Start::After { sound: one.id(), pause: Duration::ZERO });
    captured.output.play_sound(&three, Voice::Alert, Start::After { sound: two.id(), pause });
    over(&events);
    let mut expected = chime::render(BuiltIn::Listening);
    expected.extend(chime::render(BuiltIn::Heard));
    expected.extend(vec![0; 4_410 * 2]);
    expected.extend(chime::render(BuiltIn::Listening));
    // The pause is long enough for blocks that nobody needs to be left out.
    let stretches = captured.stretches();
    let origin = stretches[0].due;
    let mut heard = vec![0; expected.len() + 704];
    for stretch in &stretches {
        let first = frames_to(&Stretch { due: origin, end: origin, samples: vec![] }, stretch.due) * 2;
        heard[first..first + stretch.samples.len()].copy_from_slice(&stretch.samples);
    }
    assert_eq!(heard[..expected.len()], expected);
    // One that comes when all is over begins as soon as it can.
    let (late, events) = open(&hub, BuiltIn::Heard);
    captured.output.play_sound(
        &late,
        Voice::Alert,
        Start::After { sound: three.id(), pause: Duration::ZERO },
    );
    over(&events);
    assert!((hub.metric("antiphon_render_sounds_late_total") - 1.0).abs() < 0.1);
}

#[test]
fn content_ducks_beneath_a_voice_and_comes_back() {
    let hub = Hub::new();
    let (music, speech) = (hub.dir().join("music.wav"), hub.dir().join("speech.wav"));
    // A constant shows every gain; a voice of zeros leaves it alone to be seen.
    let constant = vec![20_000; 2 * 6 * SECOND];
    write_wav(&music, &constant);
    write_wav(&speech, &vec![0; 2 * SECOND]);
    let captured = hub.capture("kitchen", LONG);
    let (feed, feed_events) = hub.open(&file_url(&music));
    captured.output.attach(&feed);
    feed.start(LONG);
    let began = started(&feed_events);
    let at = began + Duration::from_millis(2_000);
    let (sound, events) = open(&hub, media(&file_url(&speech)));
    captured.output.play_sound(&sound, Voice::Dialog, Start::At(at));
    captured.output.set_gains(DUCKED, DUCK_RAMP, Some(at));
    let back = at + Duration::from_secs(1);
    over(&events);
    // Its end was heard; what is handed out is ahead of that by the lead, so the gain comes back after it.
    captured.output.set_gains(InputGains::UNITY, RETURN_RAMP, Some(back + Duration::from_millis(1_700)));
    finished(&feed_events);
    let heard = captured.whole();
    let left = |moment: HubTime| heard.samples[frames_to(&heard, moment) * 2];
    let low = (20_000.0 * Gain::Db(-15.0).factor()).round() as i16;
    let millis = Duration::from_millis;
    assert_eq!((left(at - millis(1)), left(at + DUCK_RAMP)), (20_000, low));
    let middle = (20_000 + i32::from(low)) / 2;
    assert!((i32::from(left(at + DUCK_RAMP / 2)) - middle).abs() < 20);
    let up = back + millis(1_700);
    assert_eq!((left(up - millis(1)), left(up + RETURN_RAMP + millis(1))), (low, 20_000));
    assert!((i32::from(left(up + RETURN_RAMP / 2)) - middle).abs() < 20);
    let all = frames_to(&heard, began) * 2..;
    assert!(largest_step(&heard.samples[all][..10 * SECOND]) <= 5, "no click");
}

#[test]
fn a_voice_is_added_to_content_sample_for_sample() {
    let hub = Hub::new();
    let path = hub.dir().join("in.wav");
    let music = Tone::new(441.0, 0.25).stereo(4 * SECOND);
    write_wav(&path, &music);
    let captured = hub.capture("kitchen", LONG);
    let (feed, feed_events) = hub.open(&file_url(&path));
    captured.output.attach(&feed);
    feed.start(LONG);
    let began = started(&feed_events);
    let (sound, events) = open(&hub, BuiltIn::Alarm);
    // It outlives the content.
    let at = began + Duration::from_millis(2_501);
    captured.output.play_sound(&sound, Voice::Alert, Start::At(at));
    over(&events);
    let heard = captured.whole();
    let mut expected = music;
    let chime = chime::render(BuiltIn::Alarm);
    let first = frames_to(&heard, at) * 2;
    expected.resize(first + chime.len(), 0);
    for (sample, more) in expected[first..].iter_mut().zip(&chime) {
        *sample = sample.saturating_add(*more);
    }
    assert!(heard.samples[..expected.len()] == expected, "the sum, to the sample");
}

#[test]
fn paused_and_beginning_content_does_not_touch_a_voice() {
    let hub = Hub::new();
    let (music, speech) = (hub.dir().join("music.wav"), hub.dir().join("speech.wav"));
    write_wav(&music, &vec![0; 2 * 20 * SECOND]);
    let words = Tone::new(441.0, 0.5).stereo(6 * SECOND);
    write_wav(&speech, &words);
    let captured = hub.capture("kitchen", Lead(Duration::from_millis(400)));
    let (feed, feed_events) = hub.open(&file_url(&music));
    let (sound, events) = open(&hub, media(&file_url(&speech)));
    captured.output.play_sound(&sound, Voice::Dialog, Start::Now);
    scheduled(&events);
    captured.output.attach(&feed);
    feed.start(LONG);
    started(&feed_events);
    feed.pause();
    feed_events.wait("pause", |event| matches!(event, FeedEvent::Paused { .. }).then_some(()));
    std::thread::sleep(Duration::from_millis(300));
    feed.resume(LONG);
    feed_events.wait("resume", |event| matches!(event, FeedEvent::Resumed { .. }).then_some(()));
    std::thread::sleep(Duration::from_millis(600));
    feed.stop();
    over(&events);
    silent(&captured);
    let heard = captured.whole();
    let first = heard.samples.iter().position(|&sample| sample != 0).unwrap();
    // The tone's own first frame is zero.
    assert!(heard.samples[first - 2..][..words.len()] == words, "every sample of the voice");
}

#[test]
fn a_stopped_sound_is_gone_soon_and_without_a_click() {
    let hub = Hub::new();
    let speech = hub.dir().join("speech.wav");
    tone_wav(&speech, 441.0, 5 * SECOND);
    let captured = hub.capture("kitchen", LONG);
    let (sound, events) = open(&hub, media(&file_url(&speech)));
    captured.output.play_sound(&sound, Voice::Dialog, Start::Now);
    events.wait("start", |event| matches!(event, SoundEvent::Started { .. }).then_some(()));
    std::thread::sleep(Duration::from_millis(300));
    let asked = hub.clock.now();
    sound.stop();
    silent(&captured);
    let heard = captured.whole();
    assert!(heard.end.since(asked) < Duration::from_millis(1_000), "{:?}", heard.end.since(asked));
    assert!(largest_step(&heard.samples) < 1_100, "{}", largest_step(&heard.samples));
    assert!(!events.all().contains(&SoundEvent::Finished));
}

#[test]
fn a_swell_is_a_straight_line_through_all_that_follows() {
    let hub = Hub::new();
    let path = hub.dir().join("in.wav");
    write_wav(&path, &vec![20_000; 2 * SECOND]);
    let captured = hub.capture("kitchen", LONG);
    let (one, events) = open(&hub, media(&file_url(&path)));
    let (two, ended) = open(&hub, media(&file_url(&path)));
    captured.output.swell(Voice::Alert, Duration::from_millis(1_500));
    captured.output.play_sound(&one, Voice::Alert, Start::Now);
    captured.output.play_sound(&two, Voice::Alert, Start::After { sound: one.id(), pause: Duration::ZERO });
    over(&ended);
    let heard = captured.whole();
    let first = frames_to(&heard, scheduled(&events));
    for frame in (0..2 * SECOND).step_by(97) {
        let ideal = 20_000.0 * ((frame + 1) as f64 / 66_150.0).min(1.0);
        let sample = f64::from(heard.samples[(first + frame) * 2]);
        assert!((sample - ideal).abs() < 3.0, "frame {frame}: {sample} for {ideal}");
    }
}

#[test]
fn the_equalizer_colours_content_and_no_voice() {
    let hub = Hub::new();
    let path = hub.dir().join("in.wav");
    tone_wav(&path, 1_000.0, 4 * SECOND);
    let captured = hub.capture("kitchen", LONG);
    captured.output.set_equalizer([0, -12, 0]);
    let (sound, events) = open(&hub, media(&file_url(&path)));
    captured.output.play_sound(&sound, Voice::Dialog, Start::Now);
    over(&events);
    silent(&captured);
    let voice = captured.whole().samples;
    assert!((strength(&voice[SECOND..3 * SECOND], 1_000.0) - 0.5).abs() < 0.01);
    captured.blocks.lock().unwrap().clear();
    let (feed, feed_events) = hub.open(&file_url(&path));
    captured.output.attach(&feed);
    feed.start(LONG);
    finished(&feed_events);
    let content = captured.whole().samples;
    let db = 20.0 * (strength(&content[2 * SECOND..4 * SECOND], 1_000.0) / 0.5).log10();
    assert!((db + 12.0).abs() < 0.2, "{db} dB");
}

fn mp3(hub: &Hub, seconds: usize) -> Vec<u8> {
    let (wav, mp3) = (hub.dir().join("in.wav"), hub.dir().join("in.mp3"));
    tone_wav(&wav, 441.0, seconds * SECOND);
    encode(&wav, "lamemp3enc", &mp3);
    std::fs::read(&mp3).unwrap()
}

fn drip(writer: &ByteWriter, bytes: &[u8]) {
    for part in bytes.chunks(700) {
        assert!(writer.push(Box::new(part.to_vec())));
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn an_attachment_is_heard_while_it_still_arrives() {
    let hub = Hub::new();
    let bytes = mp3(&hub, 6);
    let captured = hub.capture("kitchen", Lead(Duration::from_millis(300)));
    let (writer, reader) = byte_pipe();
    let (sound, events) = open(&hub, reader);
    captured.output.play_sound(&sound, Voice::Dialog, Start::Now);
    let half = bytes.len() / 2;
    drip(&writer, &bytes[..half]);
    events.wait("start", |event| matches!(event, SoundEvent::Started { .. }).then_some(()));
    drip(&writer, &bytes[half..]);
    writer.finish(true);
    over(&events);
    let heard = captured.whole().samples;
    assert!(heard.len() / 2 > 6 * SECOND - 2_400, "{}", heard.len() / 2);
    let middle = &heard[SECOND..11 * SECOND];
    assert!((strength(middle, 441.0) - 0.5).abs() < 0.02);
    assert!(largest_step(middle) < 1_200);
}

#[test]
fn an_attachment_that_breaks_off_or_never_comes_fails() {
    let hub = Hub::with(RenderConfig { source_timeout: Duration::from_secs(2), ..RenderConfig::default() });
    let bytes = mp3(&hub, 4);
    let captured = hub.capture("kitchen", Lead(Duration::from_millis(300)));
    let (broken, reader) = byte_pipe();
    let (sound, events) = open(&hub, reader);
    captured.output.play_sound(&sound, Voice::Dialog, Start::Now);
    drip(&broken, &bytes[..bytes.len() / 2]);
    drop(broken);
    assert_eq!(failed(&events), MediaErrorKind::ServiceUnavailable);
    assert!(events.all().iter().any(|event| matches!(event, SoundEvent::Started { .. })));
    assert!(captured.whole().samples.len() / 2 > SECOND, "what came was heard");
    let (empty, reader) = byte_pipe();
    let (_sound, events) = open(&hub, reader);
    empty.finish(true);
    failed(&events);
    let (silent, reader) = byte_pipe();
    let (_sound, events) = open(&hub, reader);
    failed(&events);
    assert!(!silent.push(Box::new(vec![0; 10])), "nobody reads it any more");
}

#[test]
fn a_closed_output_fails_its_sounds_and_a_feed_may_be_a_device() {
    let hub = Hub::new();
    let captured = hub.capture("kitchen", LONG);
    let (sound, events) = open(&hub, BuiltIn::Alarm);
    captured.output.play_sound(&sound, Voice::Alert, Start::Now);
    let Captured { output, .. } = captured;
    drop(output);
    failed(&events);
    let captured = hub.capture("bath", LONG);
    let device = "audiotestsrc is-live=true num-buffers=100 samplesperbuffer=441 freq=441 volume=0.5 \
                  ! audio/x-raw,rate=44100,channels=2";
    let events = Events::new();
    let feed = hub.renderer.open_feed(StreamSource::Device(device.into()), events.sink());
    captured.output.attach(&feed);
    feed.start(LONG);
    finished(&events);
    let heard = captured.whole().samples;
    assert!(strength(&heard[8_820..52_920], 441.0) > 0.4);
    let events = Events::new();
    let _bad = hub.renderer.open_feed(StreamSource::Device("nosuchsrc".into()), events.sink());
    events.wait("failure", |event| matches!(event, FeedEvent::Failed { .. }).then_some(()));
}
