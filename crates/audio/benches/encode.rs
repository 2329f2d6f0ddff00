//! What encoding costs and saves: ours beside another FLAC encoder, the same sound in the same run.
//!
//! `cargo bench -p antiphon-audio --bench encode`
#![allow(clippy::unwrap_used, reason = "a bench ends where something is not as it must be")]
#![allow(clippy::disallowed_methods, reason = "a bench reads the time")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use antiphon_audio::BLOCK_FRAMES;
use antiphon_audio::encode::{Codec, Depth, Format, Piece, Shared, Thread};
use antiphon_domain::SampleRate;
use flacenc::component::BitRepr;
use flacenc::error::Verify;

const SECONDS: usize = 20;

/// Three notes with overtones that swell and fade, a little noise, not the same on both sides.
fn music() -> Vec<i16> {
    let mut noise = 1_u32;
    let mut out = Vec::new();
    for frame in 0..SECONDS * 44_100 {
        let t = frame as f64 / 44_100.0;
        let mut sides = [0.0; 2];
        for (number, pitch) in [220.0, 277.18, 329.63_f64].into_iter().enumerate() {
            for overtone in 1..8 {
                let f = pitch * f64::from(overtone);
                let swell = (t * (0.3 + 0.1 * number as f64)).sin().abs() / f64::from(overtone);
                let voice = (std::f64::consts::TAU * f * t).sin() * swell;
                sides[0] += voice * 0.6;
                sides[1] += voice * (0.4 + 0.2 * number as f64);
            }
        }
        for side in sides {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let hiss = f64::from(noise >> 16) / 65_536.0 - 0.5;
            out.push((side * 5_000.0 + hiss * 40.0) as i16);
        }
    }
    out
}

fn ours(codec: Codec, sound: &[i16]) {
    let format = Format { codec, rate: SampleRate::HUB, depth: Depth::Sixteen };
    let mut shared = Shared::new(format).unwrap();
    let mut thread = Thread::default();
    let pieces: Vec<Piece> =
        sound.chunks_exact(2 * BLOCK_FRAMES).map(|block| Piece::whole(Arc::from(block))).collect();
    let begin = Instant::now();
    let bytes: usize =
        pieces.chunks(3).map(|run| black_box(shared.chunk(&mut thread, run)).bytes.len()).sum();
    tell(&format!("{codec:?}"), begin.elapsed().as_secs_f64(), bytes, sound);
}

fn theirs(sound: &[i16]) {
    let mut config = flacenc::config::Encoder::default();
    config.block_size = 3 * BLOCK_FRAMES;
    config.multithread = false;
    let config = config.into_verified().unwrap();
    let samples: Vec<i32> = sound.iter().copied().map(i32::from).collect();
    let source = flacenc::source::MemSource::from_samples(&samples, 2, 16, 44_100);
    let begin = Instant::now();
    let stream = flacenc::encode_with_fixed_block_size(&config, source, 3 * BLOCK_FRAMES).unwrap();
    let mut sink = flacenc::bitsink::ByteSink::new();
    stream.write(&mut sink).unwrap();
    tell("flacenc 0.5", begin.elapsed().as_secs_f64(), sink.as_slice().len(), sound);
}

fn tell(what: &str, took: f64, bytes: usize, sound: &[i16]) {
    let share = 100.0 * took / SECONDS as f64;
    let ratio = bytes as f64 / (2 * sound.len()) as f64;
    println!(
        "encode: {what}, 44.1 kHz stereo in chunks of 23.9 ms: {share:.3} % of a core, {ratio:.3} of the size"
    );
}

fn main() {
    let sound = music();
    ours(Codec::Pcm, &sound);
    ours(Codec::Flac, &sound);
    theirs(&sound);
}
