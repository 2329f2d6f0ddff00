//! Sound: to the sample, to the byte, in time.

use std::time::Duration;

use antiphon_audio::Block;
use antiphon_domain::{Frames, HubTime, Level, SampleRate, Volume};
use antiphon_endpoint::{Control, EndpointEvent, LostReason, NowPlaying, Pace, PlayState};
use proptest::prelude::*;
use serde_json::json;

use super::client::{PLENTY, Rig, block, due, frame_at, pcm, player, shared};

const CD: &[(&str, u32, u8)] = &[("pcm", 44_100, 16)];

/// The number of the first block that comes at least `ahead` before it is due.
fn first(now: HubTime, ahead: Duration) -> u64 {
    Frames::within((now + ahead).since(HubTime::EPOCH), SampleRate::HUB).0.div_ceil(352)
}

/// Plays so many blocks, each `ahead` before it is due.
fn play(rig: &mut Rig, from: u64, count: u64, ahead: Duration) {
    for number in from..from + count {
        rig.to((due(number) - ahead).max(rig.now));
        rig.roles.play(block(number));
        rig.drain();
    }
}

fn heard_is(rig: &Rig, from: u64, to: u64, bytes: usize) {
    let (first, last) = (rig.heard.keys().next().copied(), rig.heard.keys().last().copied());
    assert_eq!((first, last), (Some(from as i64 * 352), Some(to as i64 * 352 - 1)));
    assert_eq!(rig.heard.len() as u64, (to - from) * 352, "frames are missing in between");
    for (frame, heard) in &rig.heard {
        assert_eq!(heard, &pcm(*frame, bytes), "frame {frame}");
    }
}

#[test]
fn samples_come_bit_for_bit_and_timestamps_touch() {
    for (bits, bytes) in [(16, 2), (24, 3)] {
        for pace in [Pace::Steady, Pace::Quick] {
            let mut rig = Rig::begun(&shared(), PLENTY, &[("pcm", 44_100, bits)], pace);
            let lead = rig.lead(pace).0;
            let begin = first(rig.now, lead);
            play(&mut rig, begin, 500, lead);
            rig.pass(Duration::from_secs(2));
            heard_is(&rig, begin, begin + 500, bytes);
            assert!(rig.events.iter().all(|event| *event == EndpointEvent::Ready), "{:?}", rig.events);
            let short = rig.chunks.iter().filter(|chunk| chunk.frames < 662).count();
            assert!(short <= 1, "{short} chunks below 15 ms");
        }
    }
}

#[test]
fn a_stream_that_rests_is_ended_and_begins_again() {
    let mut rig = Rig::begun(&shared(), PLENTY, CD, Pace::Steady);
    let lead = rig.lead(Pace::Steady).0;
    let begin = first(rig.now, lead);
    play(&mut rig, begin, 25, lead);
    assert!(rig.roles.playing());
    for _ in 0..200 {
        let wake = rig.roles.wake();
        rig.to(wake.map_or(rig.now + Duration::from_millis(50), |wake| wake.max(rig.now)));
    }
    assert!(!rig.roles.playing());
    assert_eq!(rig.all("stream/end").len(), 1);
    let again = first(rig.now, lead);
    play(&mut rig, again, 25, lead);
    assert_eq!(rig.all("stream/start").len(), 2);
}

#[test]
fn members_of_a_group_share_their_chunks() {
    let shared = shared();
    let mut rigs =
        [Rig::begun(&shared, PLENTY, CD, Pace::Steady), Rig::begun(&shared, PLENTY, CD, Pace::Steady)];
    let lead = rigs[0].lead(Pace::Steady).0;
    let begin = first(rigs[0].now, lead);
    for number in begin..begin + 400 {
        let block = block(number);
        for (nth, rig) in rigs.iter_mut().enumerate() {
            rig.to((due(number) - lead).max(rig.now));
            // The second joins late, in the middle of a chunk.
            if nth == 0 || number >= begin + 137 {
                rig.roles.play(block.clone());
            }
            rig.drain();
        }
    }
    let made = rigs[0].chunks.len() as u64;
    assert_eq!(shared.metrics.chunks.get(), made + rigs[1].chunks.len() as u64);
    // Only the first chunk of the late one is its own.
    assert_eq!(shared.metrics.encoded_fresh(), made + 1);
    let same = rigs[1].chunks.iter().filter(|chunk| rigs[0].chunks.contains(chunk)).count();
    assert_eq!(same, rigs[1].chunks.len() - 1);
}

#[test]
fn a_flush_clears_the_client_and_loses_nothing_before_it() {
    let mut rig = Rig::begun(&shared(), PLENTY, CD, Pace::Steady);
    let lead = rig.lead(Pace::Steady).0;
    let begin = first(rig.now, lead);
    play(&mut rig, begin, 200, lead);
    // Half of what lies at the client is taken back.
    let cut = first(rig.now, lead / 2);
    rig.roles.flush(due(cut), rig.now);
    rig.drain();
    assert_eq!(rig.all("stream/clear").len(), 1);
    for number in cut..cut + 100 {
        rig.roles.play(block(number));
    }
    rig.drain();
    rig.pass(Duration::from_secs(3));
    // All is heard but what cannot be buffered again in time: 250 ms of the client's, less than one chunk of ours.
    let lost = (due(cut + 100).since(due(begin))) - Frames(rig.heard.len() as u64).duration(SampleRate::HUB);
    assert!(lost < Duration::from_millis(370), "{lost:?}");
    for (frame, heard) in &rig.heard {
        assert_eq!(heard, &pcm(*frame, 2));
    }
    assert_eq!(rig.all("stream/start").len(), 1);
}

#[test]
fn a_flush_of_what_was_not_sent_yet_disturbs_nobody() {
    let mut rig = Rig::begun(&shared(), PLENTY, CD, Pace::Steady);
    let lead = rig.lead(Pace::Steady).0;
    let begin = first(rig.now, lead);
    play(&mut rig, begin, 205, lead);
    let cut = begin + 204;
    rig.roles.flush(due(cut), rig.now);
    for number in cut..cut + 100 {
        rig.roles.play(block(number));
    }
    rig.pass(Duration::from_secs(5));
    heard_is(&rig, begin, cut + 100, 2);
    assert_eq!(rig.all("stream/clear").len(), 0);
}

#[test]
fn a_change_of_format_leaves_no_gap() {
    let formats = &[("pcm", 44_100, 16), ("pcm", 48_000, 24), ("pcm", 44_100, 24)];
    let mut rig = Rig::begun(&shared(), PLENTY, formats, Pace::Steady);
    let lead = rig.lead(Pace::Steady).0;
    rig.by_frame = false;
    let mut number = first(rig.now, lead);
    for (rate, bits) in [(44_100, 24), (48_000, 24), (44_100, 16), (48_000, 24)] {
        play(&mut rig, number, 105, lead);
        number += 105;
        let wish = json!({"codec": "pcm", "sample_rate": rate, "channels": 2, "bit_depth": bits});
        let mut player = player(50, false);
        player["format"] = wish;
        let starts = rig.all("stream/start").len();
        rig.state(json!({"available": true, "player": player}));
        play(&mut rig, number, 12, lead);
        number += 12;
        assert_eq!(rig.all("stream/start").len(), starts + 1);
    }
    // No overlap, and no hole as long as a frame.
    for pair in rig.chunks.windows(2) {
        let hole = pair[1].timestamp * 1_000 - pair[0].end_nanos();
        assert!((-1_000..=21_700).contains(&hole), "{hole} ns between {pair:?}");
        assert!(pair[0].rate != pair[1].rate || hole.abs() <= 1_000);
    }
    assert_eq!(rig.all("stream/clear").len(), 0);
    assert_eq!(rig.all("stream/end").len(), 0);
}

#[test]
fn a_client_at_48_khz_gets_every_frame_of_its_grid() {
    let mut rig = Rig::begun(&shared(), PLENTY, &[("pcm", 48_000, 16)], Pace::Steady);
    let lead = rig.lead(Pace::Steady).0;
    let begin = first(rig.now, lead);
    play(&mut rig, begin, 500, lead);
    rig.pass(Duration::from_secs(2));
    let frames: Vec<i64> = rig.heard.keys().copied().collect();
    assert!(frames.windows(2).all(|pair| pair[1] == pair[0] + 1));
    let expected = 500 * 352 * 48_000 / 44_100;
    assert!((frames.len() as i64 - expected).abs() < 40, "{} of {expected}", frames.len());
    assert_eq!(frame_at(rig.chunks[0].timestamp, 48_000), frames[0]);
}

#[test]
fn holes_and_dues_off_the_grid_are_taken() {
    let mut rig = Rig::begun(&shared(), PLENTY, CD, Pace::Steady);
    let lead = rig.lead(Pace::Steady).0;
    let begin = first(rig.now, lead);
    rig.by_frame = false;
    let mut shift = Duration::ZERO;
    for number in begin..begin + 300 {
        if number == begin + 103 {
            shift = Duration::from_micros(4_321);
        }
        if (begin + 203..begin + 213).contains(&number) {
            continue;
        }
        rig.to((due(number) - lead).max(rig.now));
        rig.roles.play(Block { due: due(number) + shift, ..block(number) });
        rig.drain();
    }
    rig.pass(Duration::from_secs(1));
    assert_eq!(rig.heard.len(), 290 * 352);
    assert!(rig.events.iter().all(|event| *event == EndpointEvent::Ready), "{:?}", rig.events);
}

#[test]
fn a_connection_that_was_stuck_drops_what_is_late_and_goes_on() {
    let mut rig = Rig::begun(&shared(), PLENTY, CD, Pace::Steady);
    let lead = rig.lead(Pace::Steady).0;
    let begin = first(rig.now, lead);
    for number in begin..begin + 400 {
        let now = (due(number) - lead).max(rig.now);
        rig.roles.play(block(number));
        if (begin + 100..begin + 300).contains(&number) {
            rig.now = now;
        } else {
            rig.to(now);
        }
    }
    rig.pass(Duration::from_secs(2));
    for (frame, heard) in &rig.heard {
        assert_eq!(heard, &pcm(*frame, 2));
    }
    let missed: u32 = rig
        .events
        .iter()
        .map(|event| if let EndpointEvent::Underrun { blocks } = event { *blocks } else { 0 })
        .sum();
    assert_eq!(rig.heard.len() as u32 + missed * 352, 400 * 352);
    // 200 blocks were kept waiting, and as much as the lead of them is not late.
    assert!((70..=100).contains(&missed), "{missed}");
}

#[test]
fn a_client_that_is_taken_by_something_else_is_lost_and_not_dragged_back() {
    let mut rig = Rig::begun(&shared(), PLENTY, CD, Pace::Steady);
    let playing = NowPlaying { state: PlayState::Playing, ..NowPlaying::default() };
    rig.roles.control(Control::Now(playing.clone().into()));
    let lead = rig.lead(Pace::Steady).0;
    let begin = first(rig.now, lead);
    play(&mut rig, begin, 50, lead);
    rig.state(json!({"available": false}));
    assert!(matches!(rig.events.last(), Some(EndpointEvent::Lost(LostReason::Unavailable(_)))));
    assert_eq!(rig.all("stream/end").len(), 1);
    assert!(!rig.roles.playing());
    // The hub tries again: still not.
    rig.begin(Pace::Steady);
    assert!(matches!(rig.events.last(), Some(EndpointEvent::Lost(LostReason::Unavailable(_)))));
    // It is free again, but the same sound goes on.
    rig.state(json!({"available": true}));
    rig.begin(Pace::Steady);
    rig.roles.control(Control::Now(playing.clone().into()));
    assert_eq!(rig.events.last(), Some(&EndpointEvent::Ready));
    let begin = first(rig.now, lead);
    play(&mut rig, begin, 50, lead);
    assert_eq!(rig.all("stream/start").len(), 1);
    // New sound takes it over.
    rig.roles.control(Control::Now(NowPlaying::default().into()));
    rig.roles.control(Control::Now(playing.into()));
    let begin = first(rig.now, lead);
    play(&mut rig, begin, 50, lead);
    assert_eq!(rig.all("stream/start").len(), 2);
}

#[test]
fn a_client_without_a_volume_of_its_own_is_heard_at_the_level_asked_for() {
    let mut rig = Rig::new(&shared(), PLENTY, CD);
    let mut silent = player(0, false);
    silent["supported_commands"] = json!([]);
    rig.state(json!({"available": true, "player": silent}));
    let level = Level { volume: Volume::new(50).unwrap(), muted: false };
    rig.roles.control(Control::Level(level));
    rig.begin(Pace::Steady);
    rig.roles.control(Control::Level(level));
    let lead = rig.lead(Pace::Steady).0;
    let begin = first(rig.now, lead);
    play(&mut rig, begin, 50, lead);
    rig.pass(Duration::from_secs(2));
    assert_eq!(rig.all("server/command").len(), 0);
    for (frame, heard) in &rig.heard {
        let whole = i16::from_le_bytes([pcm(*frame, 2)[0], pcm(*frame, 2)[1]]);
        let quarter = i16::from_le_bytes([heard[0], heard[1]]);
        assert!((f32::from(whole) / 4.0 - f32::from(quarter)).abs() < 1.0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever the order of blocks, waits, flushes, states and sessions: the rig's own checks hold (the buffer is never
    /// overfilled, no sound outside a stream, no frame twice), and every frame heard is the right one.
    #[test]
    fn no_walk_breaks_the_protocol(
        capacity in 6_000u64..200_000,
        quick in any::<bool>(),
        delay in 0u64..300,
        steps in proptest::collection::vec((0u8..12, 0u64..400), 1..120),
    ) {
        let pace = if quick { Pace::Quick } else { Pace::Steady };
        let mut rig = Rig::new(&shared(), capacity, CD);
        let state = |delay: u64, available: bool| {
            let mut player = player(50, false);
            player["output_delay_ms"] = delay.into();
            json!({"available": available, "player": player})
        };
        rig.state(state(delay, true));
        rig.begin(pace);
        let lead = rig.lead(pace).0;
        let mut number = first(rig.now, lead);
        for (step, size) in steps {
            match step {
                0 => rig.pass(Duration::from_millis(size)),
                1 => {
                    number = first(rig.now, Duration::from_millis(size));
                    rig.roles.flush(due(number), rig.now);
                    rig.drain();
                }
                2 => {
                    rig.roles.end();
                    rig.drain();
                    rig.heard.clear();
                    rig.begin(pace);
                    number = number.max(first(rig.now, lead));
                }
                3 => rig.state(state(delay, size % 4 != 0)),
                4 => number = number.max(first(rig.now, lead)) + size % 5,
                _ => {
                    for _ in 0..size / 8 {
                        rig.to((due(number) - lead).max(rig.now));
                        rig.roles.play(block(number));
                        rig.drain();
                        number += 1;
                    }
                }
            }
        }
        rig.pass(Duration::from_secs(3));
        for (frame, heard) in &rig.heard {
            prop_assert_eq!(heard, &pcm(*frame, 2));
        }
    }
}
