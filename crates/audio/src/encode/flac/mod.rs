//! FLAC (RFC 9639), its streamable subset: a short encoder for small frames that are made once and sent to many.
//!
//! Fixed predictors, Rice coding with parted parameters, the best of four ways to write two channels: within a few
//! percent of the reference encoder's usual size at a fraction of its work (measured: `benches/encode.rs`). Blocks
//! are of variable size, so that every frame stands for itself. Lossless by a property test against another decoder.

mod bits;
mod subframe;

use bytes::Bytes;

use self::bits::{Bits, crc8, crc16};
use self::subframe::Channel;
use super::{Depth, Format, Piece};
use crate::block::CHANNELS;

/// Samples of a channel in a frame, at most: below the subset's 4,608 (RFC 9639, section 7).
const MOST: usize = 4_096;

/// Which two channels are written (RFC 9639, section 9.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stereo {
    LeftRight = 0b0001,
    LeftSide = 0b1000,
    SideRight = 0b1001,
    MidSide = 0b1010,
}

/// The encoder: room to work in.
///
/// Frames are numbered 0, all of them: a receiver is sent frames that were made for it alone and frames that all share, and
/// where the numbers of these leave a hole libFLAC 1.4 fills it with silence (seen with snapclient 0.26). It fills nothing
/// where numbers go back or stay, and streaming decoders have no other use for them.
#[derive(Debug, Default)]
pub(super) struct Flac {
    left: Vec<i32>,
    right: Vec<i32>,
    mid: Vec<i32>,
    side: Vec<i32>,
    bits: Bits,
}

/// `fLaC` and STREAMINFO, the only block of metadata (RFC 9639, section 8.2).
pub(super) fn header(format: Format) -> Bytes {
    let mut bits = Bits::default();
    for byte in b"fLaC" {
        bits.put(u32::from(*byte), 8);
    }
    // The last block, of type 0, 34 bytes.
    bits.put(0x80, 8);
    bits.put(34, 24);
    bits.put(16, 16);
    bits.put(MOST as u32, 16);
    // The sizes of frames are not known.
    bits.put(0, 24);
    bits.put(0, 24);
    bits.put(format.rate.hertz(), 20);
    bits.put(CHANNELS as u32 - 1, 3);
    bits.put(format.depth.bits() - 1, 5);
    // How many samples there will be, and their digest: not known.
    bits.put(0, 4);
    for _ in 0..5 {
        bits.put(0, 32);
    }
    bits.whole_bytes().to_vec().into()
}

impl Flac {
    /// Appends the pieces to `out`: one frame, or several where they are longer than a frame may be.
    pub(super) fn encode(&mut self, format: Format, pieces: &[Piece], out: &mut Vec<u8>) {
        self.left.clear();
        self.right.clear();
        for piece in pieces {
            for frame in piece.meant().chunks_exact(CHANNELS) {
                self.left.push(i32::from(frame[0]));
                self.right.push(i32::from(frame[1]));
            }
        }
        let (left, right) = (std::mem::take(&mut self.left), std::mem::take(&mut self.right));
        for (left, right) in left.chunks(MOST).zip(right.chunks(MOST)) {
            self.frame(format, left, right);
            out.extend_from_slice(self.bits.whole_bytes());
        }
        (self.left, self.right) = (left, right);
    }

    fn frame(&mut self, format: Format, left: &[i32], right: &[i32]) {
        let wasted = format.depth.bits() - 16;
        // With zeros below every sample the halved sum loses none of its bits, only a zero.
        let halved = u32::from(wasted == 0);
        self.mid.clear();
        self.side.clear();
        for (left, right) in left.iter().zip(right) {
            self.mid.push((left + right) >> halved);
            self.side.push(left - right);
        }
        let stereo = cheapest(left, right, &self.mid, &self.side);
        let plain = |samples| Channel { samples, depth: 16, wasted };
        // One bit more, and one zero less below it.
        let mid = Channel { samples: &self.mid, depth: 17 - halved, wasted: wasted - (1 - halved) };
        let side = Channel { samples: &self.side, depth: 17, wasted };
        let channels = match stereo {
            Stereo::LeftRight => [plain(left), plain(right)],
            Stereo::LeftSide => [plain(left), side],
            Stereo::SideRight => [side, plain(right)],
            Stereo::MidSide => [mid, side],
        };
        let bits = &mut self.bits;
        bits.clear();
        frame_header(bits, format, left.len(), stereo);
        for channel in channels {
            channel.write(bits);
        }
        let check = crc16(bits.whole_bytes());
        bits.put(u32::from(check), 16);
    }
}

/// The way that leaves least to write, judged by what a predictor of the second order leaves.
fn cheapest(left: &[i32], right: &[i32], mid: &[i32], side: &[i32]) -> Stereo {
    let [left, right, mid, side] = [left, right, mid, side].map(subframe::roughness);
    let ways = [
        (left + right, Stereo::LeftRight),
        (left + side, Stereo::LeftSide),
        (side + right, Stereo::SideRight),
        (mid + side, Stereo::MidSide),
    ];
    ways.into_iter().min_by_key(|(cost, _)| *cost).map_or(Stereo::LeftRight, |(_, way)| way)
}

/// RFC 9639, section 9.1.
fn frame_header(bits: &mut Bits, format: Format, length: usize, stereo: Stereo) {
    // The sync code, and that blocks vary in size.
    bits.put(0xFFF9, 16);
    // The size follows in 16 bits.
    bits.put(0b0111, 4);
    bits.put(
        match format.rate.hertz() {
            44_100 => 0b1001,
            48_000 => 0b1010,
            // As STREAMINFO says.
            _ => 0,
        },
        4,
    );
    bits.put(stereo as u32, 4);
    bits.put(
        match format.depth {
            Depth::Sixteen => 0b100,
            Depth::TwentyFour => 0b110,
        },
        3,
    );
    bits.put(0, 1);
    // The number of its first sample, written as UTF-8 would: see `Flac`.
    bits.put(0, 8);
    // At most 4,096, and never 0.
    bits.put(length as u32 - 1, 16);
    let check = crc8(bits.whole_bytes());
    bits.put(u32::from(check), 8);
}
