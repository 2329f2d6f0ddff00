//! The playout against simulated outputs under virtual time: in time, unheard corrections, no needless jump.

mod support;

use std::time::Duration;

use antiphon_audio::align;
use antiphon_audio::playout::Playout;
use antiphon_audio::{BLOCK_FRAMES, Block, CHANNELS};
use antiphon_domain::{HubTime, SampleRate};
use support::{House, Output, Stream, Truth, noise, play, quantile, silence};

/// What came of one output.
#[derive(Debug, Default)]
struct Outcome {
    errors: Vec<f64>,
    worst_slew: f64,
    reanchored: u32,
    late: u32,
}

fn outcome(seed: u64, house: House, seconds: f64, settled: f64) -> Outcome {
    let mut output = Output::new(seed, house);
    let mut outcome = Outcome::default();
    let mut before: Option<Truth> = None;
    play(&mut output, seconds, silence, |truth| {
        if let Some(error) = truth.error.filter(|_| truth.now > settled * 1e9) {
            outcome.errors.push(error.abs() / 1e3);
        }
        if let Some(before) = before {
            // A piece is 10 ms.
            outcome.worst_slew = outcome.worst_slew.max((truth.rate_ppm - before.rate_ppm).abs() * 100.0);
        }
        before = truth.error.map(|_| truth);
    });
    let report = output.report();
    outcome.reanchored = report.corrections.reanchored;
    outcome.late = report.late_blocks;
    outcome
}

#[test]
fn calm_houses_are_in_time_and_never_jump() {
    for seed in 0..12 {
        let mut outcome = outcome(seed, House::CALM, 40.0, 15.0);
        assert_eq!((outcome.reanchored, outcome.late), (0, 0), "seed {seed}");
        let p99 = quantile(&mut outcome.errors, 0.99);
        assert!(p99 < 100.0, "seed {seed}: p99 {p99} us");
        assert!(outcome.worst_slew < 300.0, "seed {seed}: {} ppm/s", outcome.worst_slew);
    }
}

#[test]
fn wild_houses_are_in_time_and_never_jump() {
    for seed in 100..112 {
        let mut outcome = outcome(seed, House::WILD, 40.0, 20.0);
        assert_eq!(outcome.reanchored, 0, "seed {seed}");
        let p99 = quantile(&mut outcome.errors, 0.99);
        assert!(p99 < 150.0, "seed {seed}: p99 {p99} us");
    }
}

#[test]
fn what_is_heard_is_what_was_due() {
    // Not by the playout's own account: the sound itself, laid over what should be heard.
    for seed in [3, 4, 5, 6] {
        let mut output = Output::new(seed, House::CALM);
        output.heard = Some(Vec::new());
        play(&mut output, 25.0, noise, |_| {});
        let heard = output.heard.take().unwrap();
        let rate = 44_100.0;
        let from = 22.0e9;
        // The stream began with the block at 1.5 s.
        let begin = (1.5 * rate) as u64 / BLOCK_FRAMES as u64 * BLOCK_FRAMES as u64;
        let (mut wanted, mut got) = (Vec::new(), Vec::new());
        for index in 0..4_096 {
            let at = (from * rate / 1e9) as u64 + index;
            wanted.push(f32::from(noise(at - begin)[0]) / 32_768.0);
            // What the output plays at that moment, by its true crystal: close enough in a straight line for an
            // output of the hub's rate, so only the shift is judged.
            let frame = output.frame_at(at as f64 * 1e9 / rate);
            let whole = frame.floor() as usize;
            let part = (frame - frame.floor()) as f32;
            let sample = |index: usize| f32::from(heard[index * CHANNELS]) / 32_768.0;
            got.push(sample(whole) * (1.0 - part) + sample(whole + 1) * part);
        }
        let offset = align::offset(&wanted, &got, 44_100, 0.01).expect("the same sound");
        assert!(offset.seconds.abs() < 100e-6, "seed {seed}: {offset:?}");
        assert!(offset.likeness > 0.8, "seed {seed}: {offset:?}");
    }
}

#[test]
fn an_output_that_lost_its_place_is_jumped_after() {
    let mut output = Output::new(9, House::BROKEN);
    let mut errors = Vec::new();
    play(&mut output, 60.0, silence, |truth| {
        if let Some(error) = truth.error {
            errors.push((truth.now, error));
        }
    });
    let reanchored = output.report().corrections.reanchored;
    assert!(output.dry > 0, "nothing was tried");
    assert!(reanchored > 0 && u64::from(reanchored) <= output.dry, "{reanchored} of {}", output.dry);
    let off = errors.iter().filter(|(_, error)| error.abs() > 4e6).count();
    assert!(off < errors.len() / 10, "{off} of {} pieces were off by 4 ms", errors.len());
}

#[test]
fn an_output_that_says_so_is_in_place_again_at_once() {
    for seed in [9, 10, 11] {
        let mut output = Output::new(seed, House { tells: true, jitter: 100e3, ..House::BROKEN });
        let mut errors = Vec::new();
        play(&mut output, 60.0, silence, |truth| errors.extend(truth.error.map(f64::abs)));
        assert!(output.dry > 0, "seed {seed}: nothing was tried");
        let jumps = u64::from(output.report().corrections.reanchored);
        assert!(jumps <= output.dry, "seed {seed}: {jumps} of {}", output.dry);
        let worst = quantile(&mut errors, 1.0);
        assert!(worst < 300e3, "seed {seed}: {worst} ns");
    }
}

/// A playout with an output that keeps perfect time, 44.1 kHz, frame 0 heard at the epoch.
fn exact() -> Playout {
    let mut playout = Playout::new(SampleRate::HUB);
    playout.heard(0, HubTime::EPOCH, Duration::from_nanos(100));
    playout
}

fn block(index: i64, sample: i16) -> Block {
    let due = HubTime::from_nanos(index * BLOCK_FRAMES as i64 * 1_000_000_000 / 44_100);
    Block { due, samples: vec![sample; BLOCK_FRAMES * CHANNELS].into() }
}

#[test]
fn sound_begins_and_ends_at_its_place_with_silence_around() {
    let mut playout = exact();
    for index in 3..6 {
        assert!(playout.play(&block(index, 1_000)));
    }
    let mut out = vec![0; 10 * BLOCK_FRAMES * CHANNELS];
    for piece in out.chunks_mut(2 * 147) {
        playout.fill(piece);
    }
    let sounding = |index: usize| out[index * CHANNELS].abs() > 500;
    let first = (0..10 * BLOCK_FRAMES).position(sounding).unwrap();
    let last = (0..10 * BLOCK_FRAMES).rposition(sounding).unwrap();
    assert!(first.abs_diff(3 * BLOCK_FRAMES) <= 1, "{first}");
    assert!(last.abs_diff(6 * BLOCK_FRAMES) <= 1, "{last}");
    assert!((3 * BLOCK_FRAMES + 40..6 * BLOCK_FRAMES - 40).all(|i| (990..1_010).contains(&out[i * 2])));
    assert_eq!(playout.report().late_blocks, 0);
    assert_eq!(playout.due(), None);
}

#[test]
fn a_flush_takes_back_what_was_not_given() {
    let mut playout = exact();
    for index in 0..20 {
        playout.play(&block(index, 1_000));
    }
    let mut out = vec![0; 5 * BLOCK_FRAMES * CHANNELS];
    playout.fill(&mut out);
    playout.flush(block(5, 0).due);
    for index in 7..9 {
        assert!(playout.play(&block(index, -1_000)));
    }
    playout.fill(&mut out);
    let at = |block: usize| out[(block * BLOCK_FRAMES + 100) * CHANNELS];
    assert_eq!((at(0), at(1)), (0, 0));
    assert!(at(2) < -900 && at(3) < -900 && at(4) == 0, "{} {} {}", at(2), at(3), at(4));
}

#[test]
fn the_past_is_refused_and_counted() {
    let mut playout = exact();
    let mut out = vec![0; 4 * BLOCK_FRAMES * CHANNELS];
    for index in 0..4 {
        playout.play(&block(index, 5));
    }
    playout.fill(&mut out);
    assert!(!playout.play(&block(2, 5)));
    assert!(playout.play(&block(4, 5)));
    assert_eq!(playout.report().late_blocks, 1);
    // While nothing sounds, what is past is found out later.
    let mut playout = exact();
    playout.fill(&mut out);
    playout.play(&block(1, 5));
    playout.fill(&mut out);
    assert_eq!(playout.report().late_blocks, 1);
    assert!(out.iter().all(|sample| *sample == 0));
}

#[test]
fn no_reading_is_silence_and_memory_is_bounded() {
    let mut playout = Playout::new(SampleRate::HUB);
    let mut stream = Stream::new(Duration::ZERO, silence);
    for second in 0..100 {
        while let Some(block) = stream.before(f64::from(second) * 1e9) {
            playout.play(&block);
        }
    }
    let mut out = vec![7; 1_000];
    playout.fill(&mut out);
    assert!(out.iter().all(|sample| *sample == 0));
    assert!(playout.report().late_blocks > 10_000);
}
