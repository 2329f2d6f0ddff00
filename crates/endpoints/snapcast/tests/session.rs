//! Sessions with clients that keep to the protocol.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expects")]

mod fake;
mod support;

use std::time::Duration;

use antiphon_audio::Block;
use antiphon_domain::{HubTime, Level, SpeakerId, Volume};
use antiphon_endpoint::conformance::{Setup, suite, two_beside_each_other, what_was_lost_comes_again};
use antiphon_endpoint::{Arrival, Control, Descriptor, EndpointEvent, Kind, LostReason, Pace};

use fake::{Fake, Heard, hello};
use support::{Hub, blocks, listen, options, samples};

/// Where our clock's epoch lies on the clock that clients are told.
const EPOCH_MICROS: i64 = 1_000_000_000;

fn level(volume: i64, muted: bool) -> Level {
    Level { volume: Volume::new(volume).unwrap(), muted }
}

fn micros(moment: HubTime) -> i64 {
    (moment.nanos() + 500) / 1_000
}

/// When a chunk is heard by the hub's clock.
fn heard_at(told: i64) -> i64 {
    told - EPOCH_MICROS
}

/// The chunks follow each other to the microsecond, whatever is in them.
fn assert_contiguous(heard: &Heard, first: HubTime) {
    let mut frames = 0;
    for (stamp, payload) in heard.chunks() {
        let expected = first.nanos() + frames * 1_000_000_000 / 44_100;
        let wrong = heard_at(stamp) * 1_000 - expected;
        assert!(wrong.abs() <= 1_001, "a chunk {wrong} ns off, after {frames} frames");
        frames += payload.len() as i64 / 4;
    }
}

#[test]
fn it_passes_the_conformance_suite() {
    let hub = Hub::new(options());
    let client = Fake::call(hub.port, &hello("suite", "den", 1)).lively();
    let descriptor = hub.here();
    let refusing = Descriptor { id: SpeakerId::new("nobody"), ..descriptor.clone() };
    let setup =
        Setup { kind: hub.kind.clone(), descriptor, refusing: Some(refusing), clock: hub.clock.clone() };
    suite(&setup);
    let _other = Fake::call(hub.port, &hello("other", "loft", 1)).lively();
    two_beside_each_other(&setup, &hub.here());
    let mut again = None;
    let call = || again = Some(Fake::call(hub.port, &hello("suite", "den", 1)).lively());
    what_was_lost_comes_again(&setup, || client.hang_up(), call);
}

#[test]
fn a_hello_makes_a_speaker() {
    let hub = Hub::new(options());
    let client = Fake::call(hub.port, &hello("00:aa", "den", 1));
    let descriptor = hub.here();
    assert_eq!((descriptor.id.as_str(), descriptor.name.as_str()), ("00:aa", "den"));
    assert_eq!((descriptor.kind, descriptor.addresses.len()), ("snapcast", 0));
    assert!(hub.kind.remembers(), "a hub that begins anew knows it before it calls again");
    for (key, value) in [("version", "0.26.0"), ("os", "Debian"), ("arch", "x86_64")] {
        assert_eq!(descriptor.properties[key], value);
    }
    // The answer names the question, and nobody knows yet how loud it may be.
    let heard = client.wait("settings", |heard| !heard.settings.is_empty());
    assert_eq!(heard.settings[0].0, 7);
    assert_eq!(
        heard.settings[0].1,
        serde_json::json!({ "bufferMs": 2400, "latency": 0, "muted": false, "volume": 40 })
    );
    let second = Fake::call(hub.port, &hello("00:aa", "den", 2));
    let descriptor = hub.here();
    assert_eq!((descriptor.id.as_str(), descriptor.name.as_str()), ("00:aa#2", "den #2"));
    // Whoever listens anew is told of both.
    let (adverts, arrivals) = listen(&hub.kind, &hub.clock);
    assert_eq!(adverts[0].port, hub.port);
    assert_eq!(arrivals.iter().take(2).filter(|a| matches!(a, Arrival::Here(_))).count(), 2);
    second.hang_up();
    assert_eq!(arrivals.recv().unwrap(), Arrival::Gone(SpeakerId::new("00:aa#2")));
}

#[test]
fn it_is_told_the_time() {
    let hub = Hub::new(options());
    let client = Fake::call(hub.port, &hello("a", "den", 1));
    hub.here();
    // A client whose clock is far ahead, and one that has just begun.
    for asked in [5_000_000_000_000_i64 % 2_000_000_000_000, 12] {
        let before = micros(hub.clock.now()) + EPOCH_MICROS;
        client.ask(300, asked);
        let count = client.heard().times.len() + 1;
        let heard = client.wait("an answer", |heard| heard.times.len() >= count.min(2));
        let after = micros(hub.clock.now()) + EPOCH_MICROS;
        let (id, latency, sent) = *heard.times.last().unwrap();
        assert_eq!(id, 300);
        assert!((before..=after).contains(&(latency + asked)), "{latency} us between");
        assert!((before..=after).contains(&sent));
    }
}

#[test]
fn sound_comes_stamped_and_whole() {
    let hub = Hub::new(options());
    let clients = ["a", "b"].map(|id| Fake::call(hub.port, &hello(id, id, 1)).lively());
    let descriptors = [hub.here(), hub.here()];
    let mut sessions = descriptors.each_ref().map(|descriptor| hub.open(descriptor).ready());
    let first = hub.in_time(&sessions[0]);
    let sound = blocks(first, 0, 120);
    for block in &sound {
        sessions.iter_mut().for_each(|session| session.endpoint.play(block));
    }
    for client in &clients {
        let heard = client.wait("all of it", |heard| heard.samples().len() == samples(&sound).len());
        assert_eq!(heard.samples(), samples(&sound));
        assert_contiguous(&heard, first);
        assert_eq!(heard.headers(), 1);
    }
    // Once for both.
    assert_eq!(hub.counted("chunks_encoded_total"), 40);
    assert_eq!(hub.counted("chunks_shared_total"), 40);
    assert_eq!(hub.counted("blocks_late_total"), 0);
    // Its clock is told while it plays.
    let report = sessions[0].event();
    assert!(matches!(report, EndpointEvent::Sync(sync) if sync.clock.is_some() && sync.error.is_none()));
}

#[test]
fn what_comes_too_early_waits_here() {
    let hub = Hub::new(options());
    let client = Fake::call(hub.port, &hello("a", "den", 1)).lively();
    let mut session = hub.open(&hub.here()).ready();
    let first = hub.in_time(&session);
    blocks(first, 0, 375).iter().for_each(|block| session.endpoint.play(block));
    client.wait("the first chunks", |heard| heard.chunks().len() >= 3);
    let now = micros(hub.clock.now());
    for (stamp, _) in client.heard().chunks() {
        assert!(heard_at(stamp) < now + 1_100_000, "a chunk was sent more than its lead before");
    }
    // So a flush of what waits costs the client nothing.
    session.endpoint.flush(first + Duration::from_secs(2));
    client.wait("the rest", |heard| heard.chunks().len() >= 80);
    assert_eq!(client.heard().drops(), 0);
    let last = heard_at(client.heard().chunks().last().unwrap().0);
    assert!(last <= micros(first) + 2_000_000);
}

#[test]
fn a_flush_makes_it_forget() {
    let hub = Hub::new(options());
    let client = Fake::call(hub.port, &hello("a", "den", 1)).lively();
    let descriptor = hub.here();
    let mut session = hub.open(&descriptor).ready();
    let first = hub.in_time(&session);
    blocks(first, 0, 30).iter().for_each(|block| session.endpoint.play(block));
    client.wait("sound", |heard| !heard.chunks().is_empty());
    session.endpoint.flush(first);
    client.wait("a word to forget", |heard| heard.drops() == 1);
    // Earlier than before, even.
    let again = first - Duration::from_millis(100);
    let sound = blocks(again, 1_000, 1_030);
    let moved: Vec<Block> = sound
        .iter()
        .zip(blocks(again, 0, 30))
        .map(|(sound, at)| Block { due: at.due, samples: sound.samples.clone() })
        .collect();
    moved.iter().for_each(|block| session.endpoint.play(block));
    let heard = client.wait("the new sound", |heard| heard.chunks().len() == 10);
    assert_eq!(heard.samples(), samples(&moved));
    assert_contiguous(&heard, again);
    assert_eq!(hub.counted("flushes_total"), 1);
    // The end of a session is heard, too. The player is never made anew.
    drop(session);
    client.wait("another word", |heard| heard.drops() == 2);
    let mut session = hub.open(&descriptor).ready();
    let first = hub.in_time(&session);
    blocks(first, 0, 3).iter().for_each(|block| session.endpoint.play(block));
    let heard = client.wait("sound again", |heard| !heard.chunks().is_empty());
    assert_eq!(heard.headers(), 1);
    assert_contiguous(&heard, first);
}

#[test]
fn holes_are_filled_and_laps_cut() {
    let hub = Hub::new(options());
    let client = Fake::call(hub.port, &hello("a", "den", 1)).lively();
    let mut session = hub.open(&hub.here()).ready();
    let first = hub.in_time(&session);
    let mut sound = blocks(first, 0, 12);
    // 500 frames of nothing, later 100 frames twice: what a person does who moves a speaker's offset.
    let frames = |count: u64| Duration::from_nanos(count * 1_000_000_000 / 44_100);
    sound[4..].iter_mut().for_each(|block| block.due = block.due + frames(500));
    sound[8..].iter_mut().for_each(|block| block.due = block.due - frames(100));
    sound.iter().for_each(|block| session.endpoint.play(block));
    let mut expected = samples(&sound[..4]);
    expected.extend(vec![0; 1_000]);
    expected.extend(samples(&sound[4..8]));
    expected.extend(&samples(&sound[8..])[200..]);
    let heard = client.wait("all of it", |heard| heard.samples().len() >= expected.len());
    assert_eq!(heard.samples(), expected);
    assert_contiguous(&heard, first);
}

#[test]
fn volume_goes_both_ways() {
    let hub = Hub::new(options());
    let client = Fake::call(hub.port, &hello("a", "den", 1)).lively();
    let descriptor = hub.here();
    let mut session = hub.open(&descriptor).ready();
    session.endpoint.control(Control::Level(level(31, true)));
    let last = |heard: &Heard, volume: i64, muted: bool| {
        heard.settings.last().is_some_and(|(_, said)| said["volume"] == volume && said["muted"] == muted)
    };
    client.wait("its level", |heard| last(heard, 31, true));
    // Its echo is no news, its own change is, to whoever plays to it; nonsense is counted.
    client.inform(31, true);
    client.inform(150, false);
    client.inform(32, true);
    assert_eq!(session.news(), EndpointEvent::VolumeTurned(Volume::new(32).unwrap()));
    client.inform(32, false);
    assert_eq!(session.news(), EndpointEvent::Muted(false));
    assert_eq!(hub.counted("garbage_total"), 1);
    // What it is set to survives its session and its connection.
    drop(session);
    client.hang_up();
    assert_eq!(hub.arrival(), Arrival::Gone(SpeakerId::new("a")));
    let client = Fake::call(hub.port, &hello("a", "den", 1));
    client.wait("its level", |heard| last(heard, 32, false));
}

#[test]
fn a_quick_session_has_a_small_buffer() {
    let hub = Hub::new(options());
    let client = Fake::call(hub.port, &hello("a", "den", 1)).lively();
    let descriptor = hub.here();
    let session = hub.open_at(&descriptor, Pace::Quick).ready();
    assert_eq!(session.endpoint.caps().lead.0, Duration::from_millis(250));
    client.wait("its buffer", |heard| heard.settings.last().is_some_and(|(_, said)| said["bufferMs"] == 900));
}

#[test]
fn a_client_that_leaves_ends_its_session() {
    let hub = Hub::new(options());
    let client = Fake::call(hub.port, &hello("a", "den", 1));
    let descriptor = hub.here();
    let session = hub.open(&descriptor).ready();
    client.hang_up();
    assert!(matches!(session.news(), EndpointEvent::Lost(LostReason::Disconnected(_))));
    assert_eq!(hub.arrival(), Arrival::Gone(descriptor.id.clone()));
    assert!(matches!(hub.open(&descriptor).news(), EndpointEvent::Lost(LostReason::Unreachable { .. })));
    // And is the same one when it is back.
    let _client = Fake::call(hub.port, &hello("a", "den", 1));
    assert_eq!(hub.here(), descriptor);
    hub.open(&descriptor).ready();
}
