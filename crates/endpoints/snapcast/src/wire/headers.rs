//! The codec headers that clients 0.15 to 0.3x read.

use antiphon_audio::encode::Format;

/// Channels, always.
const CHANNELS: u16 = 2;

/// The header of a WAV file without sound.
pub fn pcm(format: Format) -> Vec<u8> {
    let (rate, bits) = (format.rate.hertz(), format.depth.bits() as u16);
    let frame = CHANNELS * bits / 8;
    let mut out = Vec::with_capacity(44);
    out.extend_from_slice(b"RIFF");
    out.extend_from_slice(&36_u32.to_le_bytes());
    out.extend_from_slice(b"WAVEfmt ");
    out.extend_from_slice(&16_u32.to_le_bytes());
    // 1: samples as they are.
    out.extend_from_slice(&1_u16.to_le_bytes());
    out.extend_from_slice(&CHANNELS.to_le_bytes());
    out.extend_from_slice(&rate.to_le_bytes());
    out.extend_from_slice(&(rate * u32::from(frame)).to_le_bytes());
    out.extend_from_slice(&frame.to_le_bytes());
    out.extend_from_slice(&bits.to_le_bytes());
    out.extend_from_slice(b"data");
    out.extend_from_slice(&0_u32.to_le_bytes());
    out
}

/// What stands for a header of Opus: its name, then rate, bits and channels of what is decoded.
pub fn opus(format: Format) -> Vec<u8> {
    let mut out = Vec::with_capacity(12);
    out.extend_from_slice(&0x4F50_5553_u32.to_le_bytes());
    out.extend_from_slice(&format.rate.hertz().to_le_bytes());
    out.extend_from_slice(&16_u16.to_le_bytes());
    out.extend_from_slice(&CHANNELS.to_le_bytes());
    out
}
