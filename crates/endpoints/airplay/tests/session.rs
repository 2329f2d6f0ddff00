//! A session with a receiver that behaves: the order of requests, what is heard when, resends, volume, flush, farewell.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says where")]

mod fake;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use antiphon_audio::Block;
use antiphon_domain::{HubTime, Level, Volume};
use antiphon_endpoint::{Clock, Control, EndpointEvent};
use fake::hub::{Hub, block, soon};
use fake::{Fake, PATIENCE, Trick, timing_request};

/// How the first sync packet of a stretch begins, and all others.
const FIRST_SYNC: [u8; 2] = [0x90, 0xd4];
const SYNC: [u8; 2] = [0x80, 0xd4];

fn level(volume: i64) -> Control {
    Control::Level(Level { volume: Volume::new(volume).unwrap(), muted: false })
}

fn number(packet: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(packet[at..at + 4].try_into().unwrap())
}

/// When a receiver that follows the sync packet plays the frame `timestamp`, on the hub's clock, in nanoseconds.
fn heard(sync: &[u8], timestamp: u32) -> i128 {
    let frames = i128::from(timestamp.wrapping_sub(number(sync, 4).wrapping_sub(11_025)) as i32);
    let seconds = i128::from(number(sync, 8)) - 2_208_988_800;
    let nanos = seconds * 1_000_000_000 + ((i128::from(number(sync, 12)) * 1_000_000_000) >> 32);
    nanos + frames * 1_000_000_000 / 44_100
}

fn decoded(packet: &[u8]) -> Vec<i16> {
    let info = alac::StreamInfo::from_sdp_format_parameters("352 0 16 40 10 14 2 255 0 0 44100").unwrap();
    let mut out = vec![0; 704];
    alac::Decoder::new(info).decode_packet(&packet[12..], &mut out).unwrap().to_vec()
}

/// The first audio packet that is not silence, and how many came before it.
fn first_sound(fake: &Fake) -> (Vec<u8>, u32) {
    for before in 0.. {
        let packet = fake.audio();
        if decoded(&packet).iter().any(|sample| *sample != 0) {
            return (packet, before);
        }
    }
    unreachable!()
}

fn assert_near(a: i128, b: HubTime) {
    assert!((a - i128::from(b.nanos())).abs() < 2_000, "heard {a}, due {}", b.nanos());
}

#[test]
fn blocks_are_heard_when_they_are_due() {
    let hub = Hub::new(|_| {});
    let fake = Fake::new(&[]);
    let mut opened = hub.open(&hub.descriptor(fake.address));
    opened.endpoint.control(level(50));
    opened.ready();
    for method in ["OPTIONS", "ANNOUNCE", "SETUP"] {
        let request = fake.request(method);
        assert!(request.headers["user-agent"].starts_with("Antiphon/"));
        if method == "ANNOUNCE" {
            assert!(
                request.body.contains("a=fmtp:96 352 0 16 40 10 14 2 255 0 0 44100\r\n"),
                "{}",
                request.body
            );
        }
    }
    let record = fake.request("RECORD");
    assert_eq!(record.headers["session"], "DEADBEEF");
    assert_eq!(fake.request("SET_PARAMETER").body, "volume: -15.0\r\n");

    let anchor = soon(&hub.clock);
    let blocks: Vec<Block> = (0..40).map(|nth| block(anchor, nth)).collect();
    for block in &blocks {
        opened.endpoint.play(block);
    }
    let sync = fake.control(FIRST_SYNC);
    assert_eq!(sync[2..4], [0, 7]);
    // The latency that the receiver is told, its own fixed part included, is the lead.
    assert_eq!(number(&sync, 16).wrapping_sub(number(&sync, 4)) + 11_025, 44_100);
    let first = fake.audio();
    assert_eq!(first[..2], [0x80, 0xe0]);
    let info = format!("seq={};rtptime={}", u16::from_be_bytes([first[2], first[3]]), number(&first, 4));
    assert_eq!(record.headers["rtp-info"], info);
    let (mut packet, before) = first_sound(&fake);
    assert_eq!(before + 1, 25, "the run-up");
    for (nth, block) in blocks.iter().enumerate() {
        assert_eq!(packet[..2], [0x80, 0x60]);
        assert_near(heard(&sync, number(&packet, 4)), block.due);
        assert_eq!(decoded(&packet), block.samples.to_vec(), "block {nth}");
        if nth + 1 < blocks.len() {
            let before = packet;
            packet = fake.audio();
            assert_eq!(number(&packet, 4), number(&before, 4).wrapping_add(352));
        }
    }
}

#[test]
fn the_time_is_told() {
    let hub = Hub::new(|_| {});
    let fake = Fake::new(&[]);
    let begin = hub.clock.now();
    let opened = hub.open(&hub.descriptor(fake.address));
    opened.ready();
    let before = hub.clock.now();
    fake.send_timing(b"nonsense");
    fake.send_timing(&timing_request());
    // The first answers the request that the fake sent at SETUP.
    fake.timing();
    let answer = fake.timing();
    let after = hub.clock.now();
    assert_eq!(answer[..4], [0x80, 0xd3, 0, 7]);
    assert_eq!(answer[8..16], [1, 2, 3, 4, 5, 6, 7, 8]);
    let at = |from: usize| {
        let seconds = i64::from(number(&answer, from)) - 2_208_988_800;
        seconds * 1_000_000_000 + ((i64::from(number(&answer, from + 4)) * 1_000_000_000) >> 32)
    };
    assert!(before.nanos() <= at(16) + 1 && at(16) <= at(24) && at(24) <= after.nanos());
    hub.reaches("antiphon_airplay_garbage_total", 1.0);
    // Its requests carry its time (it stands still here), so its clock is known to half a round trip.
    let EndpointEvent::Sync(report) = opened.events.recv_timeout(PATIENCE).unwrap() else {
        panic!("no report")
    };
    let clock = report.clock.unwrap();
    let theirs = 16_909_060_019_623_221i64;
    let bound = clock.uncertainty.as_nanos() as i64;
    assert!(clock.offset_nanos - bound <= theirs - begin.nanos(), "{clock:?}");
    assert!(clock.offset_nanos + bound >= theirs - after.nanos(), "{clock:?}");
}

/// What shairport-sync says of itself.
const SHAIRPORT: [(&str, &str); 2] = [("am", "ShairportSync"), ("et", "0,1")];
/// How much too early it lies after a hole: it is told that much too late until it has landed.
const PACKET: Duration = Duration::from_nanos(7_981_859);

#[test]
fn the_time_is_told_slowly_to_who_clings_to_quick_answers() {
    let hub = Hub::new(|_| {});
    let fake = Fake::new(&[]);
    let begin = hub.clock.now();
    let opened = hub.open(&hub.recorded(fake.address, &SHAIRPORT));
    let answer = fake.timing();
    let end = hub.clock.now();
    let at = |from: usize| {
        let seconds = i64::from(number(&answer, from)) - 2_208_988_800;
        seconds * 1_000_000_000 + ((i64::from(number(&answer, from + 4)) * 1_000_000_000) >> 32)
    };
    // As if each way had taken 25 ms longer than it did.
    let half = Duration::from_millis(25);
    assert!(at(16) >= (begin + half).nanos() - 1 && at(24) <= (end - half).nanos() + 1);
    assert!(at(16) <= at(24), "an answer that left before the question came");
    opened.ready();
}

#[test]
fn a_hole_in_the_run_up_puts_right_who_knows_by_it_where_it_is() {
    let hub = Hub::new(|_| {});
    let fake = Fake::new(&[]);
    let mut opened = hub.open(&hub.recorded(fake.address, &SHAIRPORT));
    opened.ready();
    let anchor = soon(&hub.clock);
    for nth in 0..200 {
        opened.endpoint.play(&block(anchor, nth));
    }
    let sync = fake.control(FIRST_SYNC);
    let mut before = fake.audio();
    let mut jumps = Vec::new();
    let sound = loop {
        let packet = fake.audio();
        let jump = number(&packet, 4).wrapping_sub(number(&before, 4));
        if jump != 352 {
            jumps.push(f64::from(jump - 352) / 44_100.0);
        }
        if decoded(&packet).iter().any(|sample| *sample != 0) {
            break packet;
        }
        before = packet;
    };
    assert!(jumps.len() == 1 && (0.07..0.09).contains(&jumps[0]), "{jumps:?}");
    assert_near(heard(&sync, number(&sound, 4)), anchor + PACKET);
    // Before it begins to correct itself, it is told the truth.
    let mut sync = sync;
    while heard(&sync, number(&sound, 4)) - i128::from(anchor.nanos()) > 2_000 {
        sync = fake.control(SYNC);
    }
    assert_near(heard(&sync, number(&sound, 4)), anchor);
    assert!(hub.clock.now() < anchor + Duration::from_secs(3));
}

#[test]
fn a_flush_in_the_run_up_lets_something_earlier_begin() {
    let hub = Hub::new(|_| {});
    let fake = Fake::new(&[]);
    let mut opened = hub.open(&hub.recorded(fake.address, &SHAIRPORT));
    opened.ready();
    let later = hub.clock.now() + Duration::from_millis(3_000);
    opened.endpoint.play(&block(later, 0));
    fake.control(FIRST_SYNC);
    fake.audio();
    opened.endpoint.flush(later);
    let anchor = soon(&hub.clock);
    for nth in 0..20 {
        opened.endpoint.play(&block(anchor, nth));
    }
    let sync = fake.control(FIRST_SYNC);
    let (sound, _) = first_sound(&fake);
    assert_near(heard(&sync, number(&sound, 4)), anchor + PACKET);
    assert_eq!(hub.metric("antiphon_airplay_blocks_late_total"), 0.0);
}

#[test]
fn missed_packets_are_sent_again() {
    let hub = Hub::new(|_| {});
    let fake = Fake::new(&[]);
    let mut opened = hub.open(&hub.descriptor(fake.address));
    opened.ready();
    let anchor = soon(&hub.clock);
    for nth in 0..30 {
        opened.endpoint.play(&block(anchor, nth));
    }
    let (_, missed) = (fake.audio(), fake.audio());
    fake.audio();
    // From the second packet on two, and one that never was.
    for (first, count) in [([missed[2], missed[3]], 2), ([missed[2] ^ 0x80, missed[3]], 1)] {
        fake.send_control(&[0x80, 0xd5, 0, 1, first[0], first[1], 0, count]);
    }
    let again = fake.control([0x80, 0xd6]);
    assert_eq!((&again[2..4], &again[4..]), (&missed[2..4], &missed[..]));
    fake.control([0x80, 0xd6]);
    assert_eq!(opened.next(), EndpointEvent::Resent { packets: 2 });
    hub.reaches("antiphon_airplay_packets_gone_total", 1.0);
    assert_eq!(hub.metric("antiphon_airplay_packets_resent_total"), 2.0);
}

#[test]
fn the_latest_volume_wins_and_storms_are_thinned() {
    let hub = Hub::new(|_| {});
    let fake = Fake::new(&[("SET_PARAMETER", Trick::Delay(Duration::from_millis(50)))]);
    let mut opened = hub.open(&hub.descriptor(fake.address));
    opened.ready();
    for volume in 1..=100 {
        opened.endpoint.control(level(volume));
    }
    let mut told = Vec::new();
    while told.last().map(String::as_str) != Some("volume: 0.0\r\n") {
        told.push(fake.request("SET_PARAMETER").body);
    }
    assert!(told.len() <= 10, "{told:?}");
    opened.endpoint.control(Control::Level(Level { volume: Volume::MAX, muted: true }));
    assert_eq!(fake.request("SET_PARAMETER").body, "volume: -144.0\r\n");
}

#[test]
fn a_flush_silences_and_the_next_stretch_keeps_its_time() {
    let hub = Hub::new(|_| {});
    let fake = Fake::new(&[("FLUSH", Trick::Delay(Duration::from_millis(60)))]);
    let mut opened = hub.open(&hub.descriptor(fake.address));
    opened.ready();
    let anchor = soon(&hub.clock);
    for nth in 0..60 {
        opened.endpoint.play(&block(anchor, nth));
    }
    let sync = fake.control(FIRST_SYNC);
    let mut last = fake.audio();
    opened.endpoint.flush(hub.clock.now());
    // Sooner than what was flushed, and not in step with it.
    let anchor = hub.clock.now() + Duration::from_nanos(1_000_010_000);
    for nth in 0..40 {
        opened.endpoint.play(&block(anchor, nth));
    }
    let flush = fake.request("FLUSH");
    let mut first = fake.audio();
    while first[1] == 0x60 {
        last = first;
        first = fake.audio();
    }
    let sequence = u16::from_be_bytes([last[2], last[3]]).wrapping_add(1);
    let timestamp = number(&last, 4).wrapping_add(352);
    assert_eq!(flush.headers["rtp-info"], format!("seq={sequence};rtptime={timestamp}"));
    let again = fake.control(FIRST_SYNC);
    assert_ne!(heard(&sync, timestamp), heard(&again, timestamp));
    assert_eq!((first[1], number(&first, 4)), (0xe0, timestamp));
    let (sound, _) = first_sound(&fake);
    assert_near(heard(&again, number(&sound, 4)), anchor);
    hub.reaches("antiphon_airplay_flushes_total", 1.0);
}

#[test]
fn a_hole_is_kept_and_what_is_late_is_dropped() {
    let hub = Hub::new(|_| {});
    let fake = Fake::new(&[]);
    let mut opened = hub.open(&hub.descriptor(fake.address));
    opened.ready();
    let anchor = soon(&hub.clock);
    opened.endpoint.play(&block(hub.clock.now() - Duration::from_millis(1), 0));
    opened.endpoint.play(&block(anchor, 0));
    opened.endpoint.play(&block(anchor + Duration::from_nanos(100_000_007), 1));
    opened.endpoint.play(&block(anchor, 3));
    assert_eq!(opened.next(), EndpointEvent::Underrun { blocks: 1 });
    let sync = fake.control(FIRST_SYNC);
    let (before, _) = first_sound(&fake);
    assert_near(heard(&sync, number(&before, 4)), anchor);
    // The hole is told of at once, and between two blocks it is kept to the nanosecond.
    let after = fake.audio();
    let due = block(anchor + Duration::from_nanos(100_000_007), 1).due;
    let mut sync = fake.control(SYNC);
    while (heard(&sync, number(&after, 4)) - i128::from(due.nanos())).abs() >= 2_000 {
        sync = fake.control(SYNC);
    }
    let number = |packet: &[u8]| u16::from_be_bytes([packet[2], packet[3]]);
    assert_eq!(number(&after), number(&before).wrapping_add(1));
    hub.reaches("antiphon_airplay_blocks_late_total", 2.0);
}

#[test]
fn a_group_is_encoded_once_and_meets_one_moment() {
    let hub = Hub::new(|_| {});
    let fakes = [Fake::new(&[]), Fake::new(&[]), Fake::new(&[])];
    let mut opened: Vec<_> = fakes.iter().map(|fake| hub.open(&hub.descriptor(fake.address))).collect();
    for one in &opened {
        one.ready();
    }
    let anchor = soon(&hub.clock);
    for nth in 0..50 {
        let shared = block(anchor, nth);
        for one in &mut opened {
            one.endpoint.play(&shared);
        }
    }
    let mut moments = Vec::new();
    for fake in &fakes {
        let sync = fake.control(FIRST_SYNC);
        let (sound, _) = first_sound(fake);
        moments.push(heard(&sync, number(&sound, 4)));
        for _ in 1..50 {
            fake.audio();
        }
    }
    // What a nanosecond and 2^-32 s are rounded to.
    assert!(moments.iter().all(|moment| (moment - moments[0]).abs() <= 3), "{moments:?}");
    // 50 blocks and one silent block, whatever the number of receivers.
    assert_eq!(hub.metric("antiphon_airplay_encode_cache_misses_total"), 51.0);
    hub.reaches("antiphon_airplay_packets_total", 3.0 * 75.0);
}

#[test]
fn dropping_says_farewell_in_bounded_time() {
    let hub = Hub::new(|_| {});
    let (polite, deaf) = (Fake::new(&[]), Fake::new(&[("TEARDOWN", Trick::Silence)]));
    let opened = [&polite, &deaf].map(|fake| hub.open(&hub.descriptor(fake.address)));
    for one in &opened {
        one.ready();
    }
    let begun = Instant::now();
    drop(opened.map(|one| one.endpoint));
    assert_eq!(polite.request("TEARDOWN").headers["session"], "DEADBEEF");
    deaf.request("TEARDOWN");
    hub.runtime.block_on(hub.kind.farewell(PATIENCE));
    assert_eq!(hub.metric("antiphon_airplay_sessions"), 0.0);
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(hub.metric("antiphon_airplay_sessions_lost_total"), 0.0);
}

#[test]
fn a_receiver_that_takes_no_farewell_is_let_go_all_the_same() {
    let hub = Hub::new(|_| {});
    let fake = Fake::new(&[("TEARDOWN", Trick::Status(501))]);
    let opened = hub.open(&hub.descriptor(fake.address));
    opened.ready();
    drop(opened);
    fake.request("TEARDOWN");
    fake.is_let_go();
}

#[test]
fn one_that_still_takes_leave_of_us_is_asked_again() {
    let hub = Hub::new(|_| {});
    let fake = Fake::new(&[]);
    let first = hub.open(&hub.descriptor(fake.address));
    first.ready();
    fake.busy.store(2, Ordering::Relaxed);
    drop(first);
    hub.open(&hub.descriptor(fake.address)).ready();
    assert_eq!(hub.metric("antiphon_airplay_sessions_lost_total"), 0.0);
}

#[test]
fn play_never_waits() {
    let hub = Hub::new(|options| options.answer_timeout = Duration::from_secs(20));
    let fake = Fake::new(&[("OPTIONS", Trick::Silence)]);
    let mut opened = hub.open(&hub.descriptor(fake.address));
    let next = block(soon(&hub.clock), 0);
    let begun = Instant::now();
    for _ in 0..20_000 {
        opened.endpoint.play(&next);
        opened.endpoint.flush(next.due);
        opened.endpoint.control(level(30));
    }
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(hub.metric("antiphon_airplay_blocks_refused_total") > 19_000.0);
}
