//! Sound as it is sent: encoded once for all receivers that are given the same samples.
//!
//! Sans-IO. A kind's sending task owns one [`Shared`] a format; each of its receivers owns a [`Grouping`], which makes
//! chunks of the pieces it is given, along the same lines as its group's others, and a [`Thread`]. Sound is recognised
//! by the allocation of its samples, which is kept alive while its chunk is remembered, so that the address cannot come
//! to mean other samples.

mod flac;
mod grouping;
mod opus;
mod pcm;
mod shared;

use antiphon_domain::SampleRate;
use thiserror::Error;

pub use grouping::{Grouping, Piece, Run};
pub use shared::{Chunk, Shared, Thread};

/// How samples become bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Little endian samples, left before right.
    Pcm,
    /// Free Lossless Audio Codec (RFC 9639), its streamable subset: a frame a chunk.
    Flac,
    /// Opus (RFC 6716): a packet of 20 ms a chunk, at 48 kHz.
    Opus,
}

/// How many bits a sample has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Depth {
    /// As the hub has them.
    Sixteen,
    /// The hub's, shifted to the top.
    TwentyFour,
}

impl Depth {
    /// Bits of a sample.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Sixteen => 16,
            Self::TwentyFour => 24,
        }
    }
}

/// What a receiver is sent; always stereo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Format {
    /// The coding.
    pub codec: Codec,
    /// Frames a second.
    pub rate: SampleRate,
    /// Bits a sample; Opus knows none.
    pub depth: Depth,
}

impl Format {
    /// What the hub itself has.
    pub const fn pcm16() -> Self {
        Self { codec: Codec::Pcm, rate: SampleRate::HUB, depth: Depth::Sixteen }
    }
}

/// Why there is no encoder.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The coding has no such rate.
    #[error("{codec:?} cannot be had at {hertz} Hz")]
    Rate {
        /// The coding.
        codec: Codec,
        /// The rate wished for.
        hertz: u32,
    },
    /// The library that codes will not begin.
    #[error("{codec:?}'s library will not begin")]
    Library {
        /// The coding.
        codec: Codec,
    },
}
