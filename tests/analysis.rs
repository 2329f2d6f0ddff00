//! The judge is judged: the analysis of recordings finds what was put in.

mod support;

use support::analysis::{
    chirp_offsets, is_tone, largest_jump, longest_gap, offset, quantile, sounding, tone_level, tone_levels,
    total_level,
};
use support::stimulus::{chirps, sine};

const RATE: u32 = 44_100;

#[test]
fn levels_of_tones_are_found() {
    for (hertz, level) in [(440.0, 1.0), (997.0, 0.5), (1234.5, 0.01), (10_000.0, 0.001)] {
        let sound = sine(RATE, 0.5, hertz, level);
        let expected = 20.0 * f64::log10(level);
        assert!((tone_level(&sound, RATE, hertz) - expected).abs() < 0.02, "{hertz} Hz");
        assert!((total_level(&sound) - expected).abs() < 0.05, "{hertz} Hz");
        assert!(tone_level(&sound, RATE, hertz + 40.0) < expected - 50.0, "{hertz} Hz leaks");
    }
    assert!(tone_level(&[0.0; 4410], RATE, 440.0) <= -120.0);
    assert!(tone_level(&[], RATE, 440.0) <= -120.0);
}

#[test]
fn a_change_of_level_is_found_in_its_window() {
    let mut sound = sine(RATE, 1.0, 440.0, 0.5);
    for sample in &mut sound[22_050..] {
        *sample *= 0.1;
    }
    let levels = tone_levels(&sound, RATE, 440.0, 0.1);
    assert_eq!(levels.len(), 10);
    for (start, level) in levels {
        let expected = if start < 0.49 { -6.02 } else { -26.02 };
        assert!((level - expected).abs() < 0.1, "{start} s: {level} dB");
    }
}

#[test]
fn a_tone_is_told_from_another_and_from_noise() {
    let sound = sine(RATE, 0.5, 440.0, 0.3);
    assert!(is_tone(&sound, RATE, 440.0));
    assert!(!is_tone(&sound, RATE, 660.0));
    assert!(!is_tone(&[0.0; 22_050], RATE, 440.0));
    let both: Vec<f32> = sound.iter().zip(sine(RATE, 0.5, 900.0, 0.1)).map(|(a, b)| a + b).collect();
    assert!(!is_tone(&both, RATE, 440.0));
}

#[test]
fn a_dropout_is_found() {
    let mut sound = vec![0.0; 1000];
    sound.extend(sine(RATE, 1.0, 440.0, 0.5));
    sound[20_000..20_352].fill(0.0);
    let range = sounding(&sound, -40.0).expect("it sounds");
    assert!((1000..1005).contains(&range.start));
    let (start, length) = longest_gap(&sound[range.clone()], -40.0);
    assert!(
        (19_990..20_001).contains(&(start + range.start)) && (352..372).contains(&length),
        "{start} {length}"
    );
    assert!(longest_gap(&sine(RATE, 1.0, 440.0, 0.5), -40.0).1 < 10);
}

#[test]
fn missing_samples_are_found_without_silence() {
    let steady = sine(RATE, 2.0, 997.0, 0.5);
    assert!(largest_jump(&steady, RATE, 997.0).1 < 2e-6);
    let mut cut = steady.clone();
    cut.drain(30_000..30_352);
    let (start, seconds) = largest_jump(&cut, RATE, 997.0);
    // 352 samples are 7.98 ms: eight periods of 997 Hz less 42 us.
    assert!((28_000..31_000).contains(&start) && (30e-6..60e-6).contains(&seconds), "{start} {seconds}");
    let mut slipped = steady;
    slipped.remove(40_000);
    let seconds = largest_jump(&slipped, RATE, 997.0).1;
    assert!((10e-6..30e-6).contains(&seconds), "{seconds}");
}

#[test]
fn known_offsets_are_recovered_between_samples() {
    // The same chirps, read at a rate eight times higher and a whole number of its samples later.
    let fine = chirps(RATE * 8, 3.0);
    let a: Vec<f32> = fine.iter().step_by(8).copied().collect();
    for eighths in [0_usize, 1, 3, 8, 100, 1411, 5000] {
        let mut late = vec![0.0; eighths];
        late.extend(&fine);
        let b: Vec<f32> = late.iter().step_by(8).map(|s| s * 0.2).collect();
        let expected = eighths as f64 / f64::from(RATE * 8);
        let offsets = chirp_offsets(&a, &b, RATE);
        assert!(offsets.len() >= 2, "{eighths}: {offsets:?}");
        for found in offsets {
            assert!((found.seconds - expected).abs() < 0.5e-6, "{expected} s: {found:?}");
            assert!(found.likeness > 0.9, "{found:?}");
        }
        let back = chirp_offsets(&b, &a, RATE);
        assert!(back.iter().all(|o| (o.seconds + expected).abs() < 0.5e-6), "{expected} s: {back:?}");
    }
}

#[test]
fn nothing_alike_gives_no_offset() {
    let chirp = chirps(RATE, 1.0);
    assert_eq!(offset(&chirp[..6000], &[0.0; 6000], RATE, 0.02), None);
    assert_eq!(offset(&chirp[..100], &chirp[..100], RATE, 0.02), None);
    assert!(chirp_offsets(&[0.0; 44_100], &chirp, RATE).is_empty());
}

#[test]
fn quantiles_are_of_sizes() {
    let values = [-3.0, 1.0, -2.0, 0.0, 4.0];
    assert_eq!(quantile(values, 0.5), 2.0);
    assert_eq!(quantile(values, 1.0), 4.0);
    assert!(quantile([], 0.5).is_nan());
}
