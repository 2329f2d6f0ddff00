//! Samples as they are, little endian.

use super::{Depth, Piece};

/// Appends the pieces' samples to `out`.
pub(super) fn encode(pieces: &[Piece], depth: Depth, out: &mut Vec<u8>) {
    for sample in pieces.iter().flat_map(|piece| piece.meant()) {
        match depth {
            Depth::Sixteen => out.extend_from_slice(&sample.to_le_bytes()),
            Depth::TwentyFour => {
                let [low, high] = sample.to_le_bytes();
                out.extend_from_slice(&[0, low, high]);
            }
        }
    }
}
