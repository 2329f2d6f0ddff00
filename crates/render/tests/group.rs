//! Several outputs on one feed: joined in time to the sample, paused, resumed, left, and loud as asked.

mod support;

use std::sync::Arc;
use std::time::Duration;

use antiphon_audio::ramp::VOLUME_RAMP;
use antiphon_audio::tone::{Tone, largest_step};
use antiphon_domain::mix::InputGains;
use antiphon_domain::{Frames, Gain, Lead, SampleRate};
use antiphon_endpoint::Clock;
use antiphon_render::{FeedEvent, OutputEvent};
use support::{Hub, file_url, finished, started, tone_wav, write_wav};

const SECOND: usize = 44_100;
const LONG: Lead = Lead(Duration::from_millis(1_500));

fn wait(what: Duration) {
    std::thread::sleep(what);
}

#[test]
fn two_feeds_join_without_a_seam_in_mid_block() {
    let hub = Hub::new();
    let whole = Tone::new(441.0, 0.5).stereo(3 * SECOND);
    // Neither part is a whole number of blocks.
    let cut = 2 * (SECOND + 123);
    let (one, two) = (hub.dir().join("one.wav"), hub.dir().join("two.wav"));
    write_wav(&one, &whole[..cut]);
    write_wav(&two, &whole[cut..]);
    let captured = hub.capture("kitchen", LONG);
    let (first, first_events) = hub.open(&file_url(&one));
    let (second, second_events) = hub.open(&file_url(&two));
    captured.output.attach(&first);
    first.then(&second);
    first.start(LONG);
    let began = started(&first_events);
    let joined = started(&second_events);
    finished(&second_events);
    finished(&first_events);
    let heard = captured.whole();
    assert_eq!(heard.samples[..whole.len()], whole);
    let seam = began + Frames(SECOND as u64 + 123).duration(SampleRate::HUB);
    assert!((seam.nanos() - joined.nanos()).abs() <= 1);
    assert!(first_events.all().contains(&FeedEvent::Buffered));
}

#[test]
fn a_successor_that_comes_late_still_plays() {
    let hub = Hub::new();
    let path = hub.dir().join("in.wav");
    tone_wav(&path, 441.0, SECOND / 2);
    let captured = hub.capture("kitchen", LONG);
    let (first, first_events) = hub.open(&file_url(&path));
    captured.output.attach(&first);
    first.start(LONG);
    finished(&first_events);
    let (second, second_events) = hub.open(&file_url(&path));
    first.then(&second);
    finished(&second_events);
    assert_eq!(captured.stretches().len(), 2);
}

#[test]
fn a_queued_feed_can_be_taken_back() {
    let hub = Hub::new();
    let (one, two) = (hub.dir().join("one.wav"), hub.dir().join("two.wav"));
    tone_wav(&one, 441.0, 3 * SECOND + 50);
    tone_wav(&two, 2_205.0, SECOND);
    let captured = hub.capture("kitchen", LONG);
    let (first, first_events) = hub.open(&file_url(&one));
    captured.output.attach(&first);
    first.start(LONG);
    let (second, second_events) = hub.open(&file_url(&two));
    first.then(&second);
    // Scheduled: its first blocks may be on their way already.
    second_events.wait("schedule", |event| matches!(event, FeedEvent::Scheduled { .. }).then_some(()));
    second.stop();
    second_events.wait("stop", |event| matches!(event, FeedEvent::Stopped { .. }).then_some(()));
    finished(&first_events);
    captured.events.wait("silence", |event| matches!(event, OutputEvent::Silent).then_some(()));
    let heard = captured.whole();
    let expected = Tone::new(441.0, 0.5).stereo(3 * SECOND + 50);
    assert_eq!(heard.samples[..expected.len()], expected);
    assert!(heard.samples[expected.len()..].iter().all(|&sample| sample == 0));
    assert!(!second_events.all().iter().any(|event| matches!(event, FeedEvent::Started { .. })));
}

#[test]
fn a_late_joiner_is_in_time_to_the_sample_and_disturbs_nobody() {
    let hub = Hub::new();
    let path = hub.dir().join("in.wav");
    tone_wav(&path, 441.0, 8 * SECOND);
    let (one, two) = (hub.capture("one", LONG), hub.capture("two", Lead(Duration::from_millis(1_500))));
    let (feed, events) = hub.open(&file_url(&path));
    one.output.attach(&feed);
    feed.start(LONG);
    started(&events);
    wait(Duration::from_millis(300));
    let joined_at = hub.clock.now();
    two.output.attach(&feed);
    two.events.wait("sound", |event| matches!(event, OutputEvent::Playing { .. }).then_some(()));
    finished(&events);
    let (first, second) = (one.whole(), two.whole());
    assert!(second.due.since(joined_at) < Duration::from_millis(4_000), "joins within its lead");
    let behind = Frames::within(second.due.since(first.due), SampleRate::HUB).0 as usize;
    let behind = (behind + 176) / 352 * 352;
    // After the 10 ms fade the very same samples at the very same time.
    let fade = 441 * 2 + 2;
    let skipped = behind * 2;
    assert_eq!(second.samples[fade..], first.samples[skipped + fade..]);
    assert!(largest_step(&second.samples) < 1_100);
    // And once faded in, the very same allocation: encoded once a group.
    let (a, b) = (one.blocks.lock().unwrap(), two.blocks.lock().unwrap());
    let (last_a, last_b) = (a.last().unwrap(), b.last().unwrap());
    assert_eq!(last_a.due, last_b.due);
    assert!(Arc::ptr_eq(&last_a.samples, &last_b.samples));
}

#[test]
fn a_pause_loses_nothing_and_repeats_nothing() {
    let hub = Hub::new();
    let path = hub.dir().join("in.wav");
    tone_wav(&path, 441.0, 2 * SECOND);
    let captured = hub.capture("kitchen", LONG);
    let (feed, events) = hub.open(&file_url(&path));
    captured.output.attach(&feed);
    feed.start(LONG);
    started(&events);
    wait(Duration::from_millis(500));
    feed.pause();
    let offset = events.wait("pause", |event| match event {
        FeedEvent::Paused { offset } => Some(*offset),
        _ => None,
    });
    captured.events.wait("silence", |event| matches!(event, OutputEvent::Silent).then_some(()));
    assert_eq!(feed.position(), offset);
    let before = captured.whole();
    assert!(before.end <= hub.clock.now(), "nothing is left for later");
    feed.resume(LONG);
    let (at, again) = events.wait("resumption", |event| match event {
        FeedEvent::Resumed { at, offset } => Some((*at, *offset)),
        _ => None,
    });
    assert_eq!(offset, again);
    finished(&events);
    let stretches = captured.stretches();
    assert_eq!(stretches.len(), 2);
    assert_eq!(stretches[1].due, at);
    let expected = Tone::new(441.0, 0.5).stereo(2 * SECOND);
    let split = stretches[0].samples.len();
    assert_eq!(stretches[0].samples, expected[..split]);
    // It comes back with a fade of 10 ms, so as not to click.
    assert_eq!(stretches[1].samples[884..expected.len() - split], expected[split + 884..]);
}

#[test]
fn a_stop_is_silence_now() {
    let hub = Hub::new();
    let path = hub.dir().join("in.wav");
    tone_wav(&path, 441.0, 5 * SECOND);
    let captured = hub.capture("kitchen", LONG);
    let (feed, events) = hub.open(&file_url(&path));
    captured.output.attach(&feed);
    feed.start(LONG);
    started(&events);
    feed.stop();
    events.wait("stop", |event| matches!(event, FeedEvent::Stopped { .. }).then_some(()));
    captured.events.wait("silence", |event| matches!(event, OutputEvent::Silent).then_some(()));
    assert!(captured.whole().end <= hub.clock.now());
    // The output is free for the next.
    let (next, next_events) = hub.open(&file_url(&path));
    captured.output.attach(&next);
    next.start(LONG);
    started(&next_events);
}

#[test]
fn a_leaver_does_not_disturb_the_rest() {
    let hub = Hub::new();
    let path = hub.dir().join("in.wav");
    tone_wav(&path, 441.0, 2 * SECOND);
    let (one, two) = (hub.capture("one", LONG), hub.capture("two", LONG));
    let (feed, events) = hub.open(&file_url(&path));
    one.output.attach(&feed);
    two.output.attach(&feed);
    feed.start(LONG);
    started(&events);
    two.output.detach();
    two.events.wait("silence", |event| matches!(event, OutputEvent::Silent).then_some(()));
    finished(&events);
    let expected = Tone::new(441.0, 0.5).stereo(2 * SECOND);
    assert_eq!(one.whole().samples[..expected.len()], expected);
    assert!(two.whole().end < one.whole().end);
}

#[test]
fn volume_moves_without_a_click_and_only_where_it_was_asked() {
    let hub = Hub::new();
    let path = hub.dir().join("in.wav");
    write_wav(&path, &vec![20_000; 2 * 5 * SECOND]);
    let (one, two) = (hub.capture("one", LONG), hub.capture("two", LONG));
    let (feed, events) = hub.open(&file_url(&path));
    one.output.attach(&feed);
    two.output.attach(&feed);
    feed.start(LONG);
    started(&events);
    one.output.set_gains(InputGains::all(Gain::Db(-20.0)), VOLUME_RAMP, None);
    wait(Duration::from_millis(200));
    one.output.set_gains(InputGains::all(Gain::UNITY), VOLUME_RAMP, None);
    wait(Duration::from_millis(200));
    one.output.set_gains(InputGains::all(Gain::Silence), VOLUME_RAMP, None);
    finished(&events);
    let heard = one.whole().samples;
    let end = 2 * 5 * SECOND;
    assert!(heard.contains(&2_000) && heard[end - 1] == 0, "both levels were reached");
    assert!(largest_step(&heard[..end]) <= 17, "largest step {}", largest_step(&heard[..end]));
    assert!(two.whole().samples[..end].iter().all(|&sample| sample == 20_000));
}
