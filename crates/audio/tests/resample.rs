//! 48 kHz on its grid: exact places, one allocation for a group, and what is left when the sine is taken away.

mod support;

use std::sync::Arc;
use std::time::Duration;

use antiphon_audio::playout::Playout;
use antiphon_audio::resample::fixed::{Run, Stream, To48};
use antiphon_audio::{BLOCK_FRAMES, Block, CHANNELS};
use antiphon_domain::{Frames, HubTime, SampleRate};
use proptest::prelude::*;
use support::{noise, sine};

/// The block with this number on the hub's grid, `shift` nanoseconds later than the grid says.
fn block(number: u64, shift: i64, sound: fn(u64) -> [i16; 2]) -> Block {
    let first = number * BLOCK_FRAMES as u64;
    let due = HubTime::EPOCH + Frames(first).duration(SampleRate::HUB);
    let samples: Arc<[i16]> = (first..first + BLOCK_FRAMES as u64).flat_map(sound).collect();
    Block { due: HubTime::from_nanos(due.nanos() + shift), samples }
}

fn frames(run: &Run) -> i64 {
    (run.samples.len() / CHANNELS) as i64
}

#[test]
fn a_sine_of_one_kilohertz_keeps_its_purity() {
    let (mut to48, mut stream) = (To48::new(), Stream::default());
    let mut sides: [Vec<f64>; 2] = Default::default();
    for number in 0..700 {
        let run = to48.run(&mut stream, &block(number, 0, sine::one_kilohertz));
        for frame in run.samples.chunks_exact(2) {
            sides[0].push(f64::from(frame[0]));
            sides[1].push(f64::from(frame[1]));
        }
    }
    for side in sides {
        let left = sine::thd_n(&side[48_000..192_000], 48_000.0, 1_000.0);
        assert!(left < -93.0, "{left} dB");
    }
}

#[test]
fn the_top_of_what_is_heard_passes_and_images_do_not() {
    fn high(frame: u64) -> [i16; 2] {
        let sample = ((std::f64::consts::TAU * 18_000.0 * frame as f64 / 44_100.0).sin() * 20_000.0).round();
        [sample as i16; 2]
    }
    let (mut to48, mut stream) = (To48::new(), Stream::default());
    let mut out = Vec::new();
    for number in 0..400 {
        out.extend(
            to48.run(&mut stream, &block(number, 0, high)).samples.chunks_exact(2).map(|f| f64::from(f[0])),
        );
    }
    let out = &out[20_000..116_000];
    let loudness = (2.0 * out.iter().map(|x| x * x).sum::<f64>() / out.len() as f64).sqrt() / 20_000.0;
    assert!((20.0 * loudness.log10()).abs() < 0.05, "{loudness}");
    let left = sine::thd_n(out, 48_000.0, 18_000.0);
    assert!(left < -85.0, "{left} dB");
}

#[test]
fn sound_is_where_it_was() {
    // A sine's phase on the grid of 48 kHz is that of its moment.
    let (mut to48, mut stream) = (To48::new(), Stream::default());
    let far = 1_000_000_000; // 92 days
    let mut worst = 0.0f64;
    for number in far..far + 20 {
        let run = to48.run(&mut stream, &block(number, 0, sine::one_kilohertz));
        for (index, frame) in run.samples.chunks_exact(2).enumerate() {
            if number == far {
                continue;
            }
            // Whole turns are left out beforehand: 1 kHz turns once in 48 frames.
            let at = (run.frame() + index as i64).rem_euclid(48) as f64 / 48.0;
            // 352 * far frames of 44.1 kHz begin a turn that the test's sine counts from 0 as well.
            let wanted = (std::f64::consts::TAU * at).sin() * 32_767.0 * 10f64.powf(-1.0 / 20.0);
            worst = worst.max((f64::from(frame[0]) - wanted).abs());
        }
    }
    assert!(worst < 4.0, "{worst}");
}

#[test]
fn a_group_shares_its_runs_whoever_joined_when_and_is_shifted() {
    let mut to48 = To48::new();
    let (mut first, mut shifted, mut late) = (Stream::default(), Stream::default(), Stream::default());
    let silence: Arc<[i16]> = vec![0; BLOCK_FRAMES * CHANNELS].into();
    for number in 10..200 {
        let mut block = block(number, 0, noise);
        if number % 50 < 5 {
            // A feed that gives the same silence again and again.
            block.samples = Arc::clone(&silence);
        }
        let of_shifted = Block { due: HubTime::from_nanos(block.due.nanos() + 3_700_123), ..block.clone() };
        let a = to48.run(&mut first, &block);
        let b = to48.run(&mut shifted, &of_shifted);
        assert!(Arc::ptr_eq(&a.samples, &b.samples), "{number}");
        assert!(b.due.nanos().abs_diff(a.due.nanos() + 3_700_123) <= 1);
        if number >= 70 {
            let c = to48.run(&mut late, &block);
            assert!(Arc::ptr_eq(&a.samples, &c.samples), "{number}");
            assert_eq!((a.due, c.continues), (c.due, number > 70));
        }
    }
    let (shared, made) = to48.shared_and_made();
    assert_eq!((shared, made), (190 + 130, 190));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn runs_are_contiguous_on_the_grid(start in 0u64..100_000_000, count in 2u64..60) {
        let (mut to48, mut stream) = (To48::new(), Stream::default());
        let mut next = None;
        for number in start..start + count {
            let run = to48.run(&mut stream, &block(number, 0, support::silence));
            prop_assert_eq!(run.continues, next.is_some());
            if let Some(next) = next {
                prop_assert_eq!(run.frame(), next);
            }
            next = Some(run.frame() + frames(&run));
            // Frame n is due n/48000 s, to the nanoseconds that were rounded.
            let exact = i128::from(run.frame()) * 1_000_000_000 / 48_000;
            prop_assert!((i128::from(run.due.nanos()) - exact).abs() <= 2);
        }
        // All but the filter's reach of what went in.
        let end = (start + count) * 352;
        let lacking = end as f64 * 160.0 / 147.0 - next.unwrap() as f64;
        prop_assert!((33.0..36.0).contains(&lacking), "{lacking}");
    }

    #[test]
    fn any_due_time_and_length_is_taken(dues in proptest::collection::vec((any::<i64>(), 0usize..2_000), 1..50)) {
        let (mut to48, mut stream) = (To48::new(), Stream::default());
        for (due, samples) in dues {
            let block = Block { due: HubTime::from_nanos(due), samples: vec![1; samples].into() };
            to48.run(&mut stream, &block);
        }
    }
}

#[test]
fn a_gap_begins_a_new_run_at_its_place() {
    let (mut to48, mut stream) = (To48::new(), Stream::default());
    to48.run(&mut stream, &block(5, 0, noise));
    let run = to48.run(&mut stream, &block(9, 0, noise));
    assert!(!run.continues);
    assert_eq!(run.frame(), (9i64 * 352 * 160 + 146) / 147);
}

#[test]
fn a_free_running_output_keeps_the_purity_too() {
    // 137 ppm fast, which its readings tell; then they end, so that the rate, and with it the pitch, stays.
    let pace = 1.0 + 137e-6;
    let mut playout = Playout::new(SampleRate::HUB);
    let mut out = vec![0i16; BLOCK_FRAMES * CHANNELS];
    let mut left = Vec::new();
    for number in 0..3_000u64 {
        let frame = playout.written();
        let at = (frame as f64 / 44_100.0 / pace * 1e9) as i64;
        if number < 1_500 {
            playout.heard(frame, HubTime::from_nanos(at), Duration::from_micros(2));
        }
        playout.play(&block(number + 3, 0, sine::one_kilohertz));
        playout.fill(&mut out);
        left.extend(out.chunks_exact(2).map(|frame| f64::from(frame[0])));
    }
    assert!((playout.rate_ppm() + 137.0).abs() < 1.0);
    let hertz = 1_000.0 * (1.0 + playout.rate_ppm() * 1e-6);
    let rest = sine::thd_n(&left[700_000..900_000], 44_100.0, hertz);
    assert!(rest < -90.0, "{rest} dB");
}
