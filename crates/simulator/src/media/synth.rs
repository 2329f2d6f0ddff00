//! Owns the synthesis of the simulator's sounds as 16 bit stereo PCM in a WAV file. Pure.

use std::f64::consts::TAU;

use super::Sound;

/// Samples a second.
const RATE: u32 = 44_100;
/// Peak of a tone, of full scale.
const AMPLITUDE: f64 = 0.25;
/// Length of one note of a melody, seconds.
const NOTE: f64 = 0.3;
/// Notes of a melody: half a minute.
const NOTES: u32 = 100;

/// A whole WAV file.
pub(crate) fn wav(sound: Sound) -> Vec<u8> {
    let (frames, sample): (u32, Box<dyn Fn(u32) -> f64>) = match sound {
        Sound::Tone { hertz, seconds } => {
            let step = TAU * f64::from(hertz) / f64::from(RATE);
            (seconds * RATE, Box::new(move |at| AMPLITUDE * (step * f64::from(at)).sin()))
        }
        Sound::Melody { number } => {
            let frames = (f64::from(NOTES) * NOTE * f64::from(RATE)) as u32;
            (frames, Box::new(move |at| melody(number, f64::from(at) / f64::from(RATE))))
        }
    };
    let mut file = header(frames);
    for at in 0..frames {
        // Rounded to the nearest step; never near the ends of the range.
        let value = (sample(at) * 32_767.0).round() as i16;
        file.extend_from_slice(&value.to_le_bytes());
        file.extend_from_slice(&value.to_le_bytes());
    }
    file
}

/// A broken-chord melody with two plucked voices: pleasant enough to leave running.
fn melody(number: u32, time: f64) -> f64 {
    // Semitones above the root: I, vi, IV, V.
    const CHORDS: [[i32; 4]; 4] = [[0, 4, 7, 12], [-3, 0, 4, 9], [-7, -3, 0, 5], [-5, -1, 2, 7]];
    const PATTERN: [usize; 8] = [0, 1, 2, 3, 2, 1, 2, 1];
    let root = match number {
        1 => 261.63,
        2 => 293.66,
        _ => 220.00,
    };
    let pitch = |semitones: i32| root * 2f64.powf(f64::from(semitones) / 12.0);
    let note = (time / NOTE) as usize;
    let chord = CHORDS[note / 8 % 4];
    let since_note = time % NOTE;
    let since_bass = time % (8.0 * NOTE);
    let voice = pluck(pitch(chord[PATTERN[note % 8]]), since_note, 5.0);
    let bass = pluck(pitch(chord[0]) / 2.0, since_bass, 1.2);
    // The last note dies away before the end, the first begins at nothing: no click at either side.
    0.16 * voice + 0.12 * bass
}

fn pluck(hertz: f64, since: f64, decay: f64) -> f64 {
    let attack = (since / 0.01).min(1.0);
    let phase = TAU * hertz * since;
    let tone = phase.sin() + 0.4 * (2.0 * phase).sin() + 0.15 * (3.0 * phase).sin();
    attack * (-decay * since).exp() * tone
}

/// RIFF/WAVE header for 16 bit stereo PCM.
fn header(frames: u32) -> Vec<u8> {
    let bytes = frames * 4;
    let mut header = Vec::with_capacity(44 + bytes as usize);
    header.extend_from_slice(b"RIFF");
    header.extend_from_slice(&(36 + bytes).to_le_bytes());
    header.extend_from_slice(b"WAVEfmt ");
    header.extend_from_slice(&16u32.to_le_bytes());
    header.extend_from_slice(&1u16.to_le_bytes());
    header.extend_from_slice(&2u16.to_le_bytes());
    header.extend_from_slice(&RATE.to_le_bytes());
    header.extend_from_slice(&(RATE * 4).to_le_bytes());
    header.extend_from_slice(&4u16.to_le_bytes());
    header.extend_from_slice(&16u16.to_le_bytes());
    header.extend_from_slice(b"data");
    header.extend_from_slice(&bytes.to_le_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_has_its_amplitude_and_length() {
        let file = wav(Sound::Tone { hertz: 441, seconds: 1 });
        assert_eq!(file.len(), 44 + 44_100 * 4);
        let peak = file[44..].chunks(2).map(|two| i16::from_le_bytes([two[0], two[1]]).unsigned_abs()).max();
        assert_eq!(peak, Some(8192));
    }

    #[test]
    fn melodies_stay_in_range() {
        for number in 1..=3 {
            let loud =
                (0..300_000).map(|at| melody(number, f64::from(at) / 10_000.0).abs()).fold(0.0, f64::max);
            assert!((0.1..0.9).contains(&loud), "{loud}");
        }
    }
}
