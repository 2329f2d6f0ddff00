//! An encoder and the chunks it made last.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use antiphon_domain::Frames;
use bytes::Bytes;

use super::flac::{self, Flac};
use super::opus::{self, Opus};
use super::{Codec, EncodeError, Format, Grouping, Piece, pcm};

/// Chunks remembered. Members of a group come to the same sound within a tick or two of their task; 48 chunks of three
/// blocks are 1.1 s, enough for one whose session has just begun and who is given a whole lead at once.
const REMEMBERED: usize = 48;

/// Pieces of which is remembered where in a chunk they lie: half a second of two contents and some voices over them.
const PLACES: usize = 192;

/// A receiver's own state of an encoder that builds upon what came before; the others leave it empty.
#[derive(Clone, Debug, Default)]
pub struct Thread {
    /// The number of the chunk it was given last.
    last: Option<u64>,
}

/// Bytes to be sent.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// The encoded sound.
    pub bytes: Bytes,
    /// How many frames it holds.
    pub frames: usize,
    /// Whether it was made just now, not for another receiver before.
    pub fresh: bool,
}

/// An encoder whose work is shared by all receivers that are given the same samples.
#[derive(Debug)]
pub struct Shared {
    format: Format,
    coder: Coder,
    /// Chunks made so far.
    number: u64,
    made: VecDeque<Made>,
    /// Pieces that were put into chunks lately, and how many from each on end its chunk.
    places: VecDeque<(Arc<[i16]>, usize)>,
}

#[derive(Debug)]
enum Coder {
    Pcm,
    Flac(Box<Flac>),
    Opus(Opus),
}

#[derive(Debug)]
struct Made {
    number: u64,
    pieces: Vec<Piece>,
    bytes: Bytes,
}

impl Shared {
    /// An encoder that remembers nothing yet.
    pub fn new(format: Format) -> Result<Self, EncodeError> {
        let coder = match format.codec {
            Codec::Pcm => Coder::Pcm,
            Codec::Flac => Coder::Flac(Box::default()),
            Codec::Opus if format.rate.hertz() != 48_000 => {
                return Err(EncodeError::Rate { codec: format.codec, hertz: format.rate.hertz() });
            }
            Codec::Opus => Coder::Opus(Opus::new().ok_or(EncodeError::Library { codec: format.codec })?),
        };
        let (made, places) = (VecDeque::with_capacity(REMEMBERED), VecDeque::with_capacity(PLACES));
        Ok(Self { format, coder, number: 0, made, places })
    }

    /// What it makes.
    pub fn format(&self) -> Format {
        self.format
    }

    /// What goes before the first chunk of a stream; empty where the coding wants nothing.
    pub fn header(&self) -> Bytes {
        match self.format.codec {
            Codec::Flac => flac::header(self.format),
            Codec::Pcm | Codec::Opus => Bytes::new(),
        }
    }

    /// How chunks must be cut for this coding, of pieces of a block or the like: `most` each where it takes any.
    pub fn grouping(&self, most: usize) -> Grouping {
        match self.coder {
            Coder::Pcm | Coder::Flac(_) => Grouping::new(most),
            Coder::Opus(_) => Grouping::exact(opus::FRAMES, self.format.rate),
        }
    }

    /// How much later than put in a sound comes out of a decoder: chunks are to be stamped so much earlier.
    pub fn delay(&self) -> Duration {
        let frames = match &self.coder {
            Coder::Pcm | Coder::Flac(_) => 0,
            Coder::Opus(opus) => opus.delay() as u64,
        };
        Frames(frames).duration(self.format.rate)
    }

    /// The pieces as one chunk.
    pub fn chunk(&mut self, thread: &mut Thread, pieces: &[Piece]) -> Chunk {
        let frames = pieces.iter().map(Piece::frames).sum();
        if let Some(made) = self.find(pieces) {
            thread.last = Some(made.number);
            return Chunk { bytes: made.bytes.clone(), frames, fresh: false };
        }
        self.number += 1;
        let mut out = Vec::with_capacity(frames * 4);
        match &mut self.coder {
            Coder::Pcm => pcm::encode(pieces, self.format.depth, &mut out),
            Coder::Flac(flac) => flac.encode(self.format, pieces, &mut out),
            Coder::Opus(opus) => opus.encode(thread.last, self.number, pieces, &mut out),
        }
        thread.last = Some(self.number);
        let bytes = Bytes::from(out);
        if self.made.len() == REMEMBERED {
            self.made.pop_front();
        }
        self.made.push_back(Made { number: self.number, pieces: pieces.to_vec(), bytes: bytes.clone() });
        Chunk { bytes, frames, fresh: true }
    }

    /// How many pieces from this one on, itself included, end a chunk into which another receiver put it; `None` when
    /// none did lately.
    pub fn left_of_chunk(&self, samples: &Arc<[i16]>) -> Option<usize> {
        let known = self.places.iter().rev().find(|(other, _)| Arc::ptr_eq(other, samples));
        known.map(|(_, left)| *left)
    }

    /// Remembers where a piece lies, for others who begin.
    pub(super) fn place(&mut self, samples: &Arc<[i16]>, left: usize) {
        if self.left_of_chunk(samples).is_some() {
            return;
        }
        if self.places.len() == PLACES {
            self.places.pop_front();
        }
        self.places.push_back((Arc::clone(samples), left));
    }

    /// Newest first: that is where a group's other members find theirs.
    fn find(&self, pieces: &[Piece]) -> Option<&Made> {
        self.made.iter().rev().find(|made| {
            made.pieces.len() == pieces.len() && made.pieces.iter().zip(pieces).all(|(a, b)| a.is(b))
        })
    }
}
