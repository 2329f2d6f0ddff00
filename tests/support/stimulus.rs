//! Sounds that a recording can be judged by, and the WAV files they travel in.

use std::f64::consts::TAU;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Length of a chirp, seconds.
pub const CHIRP: f64 = 0.04;

/// A sine of `hertz` whose peaks are at `level` (0 to 1).
pub fn sine(rate: u32, seconds: f64, hertz: f64, level: f64) -> Vec<f32> {
    let step = TAU * hertz / f64::from(rate);
    (0..frames(rate, seconds)).map(|i| (level * (step * i as f64).sin()) as f32).collect()
}

/// A quiet pilot tone of 997 Hz with a chirp at the beginning of each second: 500 Hz to 8 kHz in 40 ms, rising in
/// even seconds and falling in odd ones, so that two neighbours are not taken for each other.
pub fn chirps(rate: u32, seconds: f64) -> Vec<f32> {
    let mut sound = sine(rate, seconds, 997.0, 0.05);
    let length = frames(rate, CHIRP);
    for (number, second) in sound.chunks_mut(rate as usize).enumerate() {
        for (i, sample) in second.iter_mut().take(length).enumerate() {
            let t = i as f64 / f64::from(rate);
            let (from, to) = if number % 2 == 0 { (500.0, 8_000.0) } else { (8_000.0, 500.0) };
            let phase = TAU * (from * t + (to - from) * t * t / (2.0 * CHIRP));
            let window = 0.5 - 0.5 * (TAU * i as f64 / length as f64).cos();
            *sample += (0.5 * window * phase.sin()) as f32;
        }
    }
    sound
}

/// Writes channels of equal length, samples from -1 to 1, as 16-bit WAV.
pub fn write_wav(path: &Path, rate: u32, channels: &[&[f32]]) -> io::Result<()> {
    let frames = channels.first().map_or(0, |channel| channel.len());
    let count = u16::try_from(channels.len()).map_err(io::Error::other)?;
    let size = u32::try_from(frames * channels.len() * 2).map_err(io::Error::other)?;
    let mut out = BufWriter::new(File::create(path)?);
    out.write_all(b"RIFF")?;
    out.write_all(&(36 + size).to_le_bytes())?;
    out.write_all(b"WAVEfmt \x10\0\0\0\x01\0")?;
    out.write_all(&count.to_le_bytes())?;
    out.write_all(&rate.to_le_bytes())?;
    out.write_all(&(rate * u32::from(count) * 2).to_le_bytes())?;
    out.write_all(&(count * 2).to_le_bytes())?;
    out.write_all(b"\x10\0data")?;
    out.write_all(&size.to_le_bytes())?;
    for frame in 0..frames {
        for channel in channels {
            let sample = (channel[frame] * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16;
            out.write_all(&sample.to_le_bytes())?;
        }
    }
    out.flush()
}

/// One sound on both channels as S16LE, for programs that read raw samples.
pub fn stereo(sound: &[f32]) -> Vec<u8> {
    interleaved(sound, sound)
}

/// Two channels as S16LE, for programs that read raw samples.
pub fn interleaved(left: &[f32], right: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(left.len() * 4);
    for sample in left.iter().zip(right).flat_map(|(left, right)| [left, right]) {
        let sample = (sample * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16;
        bytes.extend_from_slice(&sample.to_le_bytes());
    }
    bytes
}

fn frames(rate: u32, seconds: f64) -> usize {
    (seconds * f64::from(rate)).round() as usize
}
