//! The tones the hub makes itself: bells of a few partials that die away, laid out in time.
//!
//! Each built-in is a list of notes. Bells begin within 4 ms and end in silence, so nothing clicks, and every chime is
//! brought to the same peak: how loud it is heard is the mixer's business.

use std::f64::consts::TAU;

use antiphon_domain::SampleRate;
use antiphon_domain::sound::BuiltIn;

use crate::block::CHANNELS;

/// The largest sample of every chime, of full scale: -6 dBFS, which leaves room for content beneath.
pub const PEAK: f64 = 0.5;

/// How long a bell takes to come up.
const ATTACK_SECONDS: f64 = 0.004;

/// How long the end of a chime takes to reach nothing, where a bell still sounds.
const RELEASE_SECONDS: f64 = 0.02;

/// Multiples of the note and how strong each is: the sound of a struck bar.
const PARTIALS: [(f64, f64); 3] = [(1.0, 1.0), (2.0, 0.25), (3.98, 0.12)];

/// A struck bell.
struct Note {
    /// When, seconds.
    at: f64,
    hertz: f64,
    /// How loud against the others.
    strength: f64,
    /// How soon it is down to a thousandth, seconds.
    rings: f64,
}

const fn note(at: f64, hertz: f64, strength: f64, rings: f64) -> Note {
    Note { at, hertz, strength, rings }
}

// Equal temperament, A4 = 440 Hz.
const C5: f64 = 523.25;
const D5: f64 = 587.33;
const E5: f64 = 659.26;
const G5: f64 = 783.99;
const A5: f64 = 880.0;
const C6: f64 = 1_046.5;
const E6: f64 = 1_318.51;
const G6: f64 = 1_567.98;

const ALARM: [Note; 8] = [
    note(0.0, C5, 1.0, 0.8),
    note(0.2, E5, 1.0, 0.8),
    note(0.4, G5, 1.0, 0.8),
    note(0.6, C6, 1.0, 1.0),
    note(1.0, C5, 1.0, 0.8),
    note(1.2, E5, 1.0, 0.8),
    note(1.4, G5, 1.0, 0.8),
    note(1.6, C6, 1.0, 0.9),
];
const TIMER: [Note; 6] = [
    note(0.0, A5, 1.0, 0.35),
    note(0.18, A5, 1.0, 0.35),
    note(0.36, E6, 1.0, 0.5),
    note(1.0, A5, 1.0, 0.35),
    note(1.18, A5, 1.0, 0.35),
    note(1.36, E6, 1.0, 0.5),
];
const REMINDER: [Note; 3] = [note(0.0, G5, 1.0, 1.0), note(0.3, D5, 1.0, 1.0), note(0.6, G5, 0.8, 1.2)];
const ALARM_SHORT: [Note; 2] = [note(0.0, G5, 1.0, 0.5), note(0.2, C6, 1.0, 0.7)];
const TIMER_SHORT: [Note; 2] = [note(0.0, A5, 1.0, 0.3), note(0.18, E6, 1.0, 0.5)];
const REMINDER_SHORT: [Note; 2] = [note(0.0, G5, 1.0, 0.5), note(0.3, D5, 1.0, 0.6)];
const NOTIFICATION: [Note; 2] = [note(0.0, E6, 1.0, 0.7), note(0.15, C6, 0.9, 0.9)];
const LISTENING: [Note; 2] = [note(0.0, C6, 0.8, 0.2), note(0.08, G6, 1.0, 0.25)];
const HEARD: [Note; 2] = [note(0.0, G6, 0.8, 0.2), note(0.08, C6, 1.0, 0.25)];

/// How long a chime lasts, seconds; the passes of alerts include the rest before the next pass.
fn seconds(chime: BuiltIn) -> f64 {
    match chime {
        BuiltIn::Alarm | BuiltIn::Timer => 2.5,
        BuiltIn::Reminder => 2.0,
        BuiltIn::AlarmShort | BuiltIn::TimerShort | BuiltIn::ReminderShort => 1.0,
        BuiltIn::Notification => 1.2,
        BuiltIn::Listening | BuiltIn::Heard => 0.35,
    }
}

fn notes(chime: BuiltIn) -> &'static [Note] {
    match chime {
        BuiltIn::Alarm => &ALARM,
        BuiltIn::Timer => &TIMER,
        BuiltIn::Reminder => &REMINDER,
        BuiltIn::AlarmShort => &ALARM_SHORT,
        BuiltIn::TimerShort => &TIMER_SHORT,
        BuiltIn::ReminderShort => &REMINDER_SHORT,
        BuiltIn::Notification => &NOTIFICATION,
        BuiltIn::Listening => &LISTENING,
        BuiltIn::Heard => &HEARD,
    }
}

/// The frames of a chime at [`SampleRate::HUB`].
pub fn frames(chime: BuiltIn) -> usize {
    (seconds(chime) * f64::from(SampleRate::HUB.hertz())).round() as usize
}

/// One pass of a chime: interleaved stereo at [`SampleRate::HUB`], both channels alike, its peak at [`PEAK`].
pub fn render(chime: BuiltIn) -> Vec<i16> {
    let rate = f64::from(SampleRate::HUB.hertz());
    let mut sum = vec![0.0; frames(chime)];
    for note in notes(chime) {
        let first = (note.at * rate) as usize;
        for (frame, sample) in sum.iter_mut().skip(first).enumerate() {
            let at = frame as f64 / rate;
            let attack = (at / ATTACK_SECONDS).min(1.0);
            let mut value = 0.0;
            for (multiple, strength) in PARTIALS {
                // Higher partials die sooner; -60 dB is a thousandth.
                let decay = (-6.9 * at * multiple.sqrt() / note.rings).exp();
                value += strength * decay * (TAU * note.hertz * multiple * at).sin();
            }
            *sample += note.strength * attack * value;
        }
    }
    let release = (RELEASE_SECONDS * rate) as usize;
    for (from_end, sample) in sum.iter_mut().rev().take(release).enumerate() {
        *sample *= from_end as f64 / release as f64;
    }
    let loudest =
        sum.iter().fold(0.0, |loudest: f64, sample| loudest.max(sample.abs())).max(f64::MIN_POSITIVE);
    let mut samples = Vec::with_capacity(sum.len() * CHANNELS);
    for sample in sum {
        samples.extend([(sample / loudest * PEAK * 32_767.0).round() as i16; CHANNELS]);
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tone::largest_step;

    #[test]
    fn chimes_are_whole_alike_in_peak_and_do_not_click() {
        for chime in BuiltIn::ALL {
            let samples = render(chime);
            assert_eq!(samples.len(), frames(chime) * CHANNELS, "{chime:?}");
            assert!((0.3..=3.0).contains(&seconds(chime)));
            let peak = samples.iter().map(|sample| sample.unsigned_abs()).max();
            assert_eq!(peak, Some(16_384), "{chime:?}");
            assert_eq!((samples[0], samples[samples.len() - 1]), (0, 0), "{chime:?}");
            // A partial at 6.2 kHz and an eighth, and 1.6 kHz at full: no step near half of the scale.
            assert!(largest_step(&samples) < 8_000, "{chime:?} steps by {}", largest_step(&samples));
            let end = &samples[samples.len() - 200..];
            assert!(end.iter().all(|sample| sample.unsigned_abs() < 400), "{chime:?}");
        }
    }

    #[test]
    fn no_two_sound_alike() {
        for one in BuiltIn::ALL {
            for two in BuiltIn::ALL.into_iter().filter(|two| *two != one) {
                let (a, b) = (render(one), render(two));
                let differing = a.iter().zip(&b).filter(|(a, b)| a.abs_diff(**b) > 500).count();
                assert!(differing > 1_000, "{one:?} and {two:?}");
            }
        }
    }
}
