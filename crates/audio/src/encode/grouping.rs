//! One receiver's way from contiguous pieces of sound to chunks.
//!
//! Driven by whoever sends, piece by piece. It promises chunks without a hole, and the same boundaries as those of the
//! receivers that were given the same samples before, so that all of them are sent the same bytes.

use std::sync::Arc;

use antiphon_domain::{Frames, HubTime, SampleRate};

use super::shared::Shared;
use crate::block::CHANNELS;

/// Frames `from` (included) to `to` (left out) of interleaved stereo samples.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Interleaved samples.
    pub samples: Arc<[i16]>,
    /// The first frame meant.
    pub from: usize,
    /// The frame after the last.
    pub to: usize,
}

impl Piece {
    /// All of it.
    pub fn whole(samples: Arc<[i16]>) -> Self {
        let to = samples.len() / CHANNELS;
        Self { samples, from: 0, to }
    }

    /// How many frames.
    pub fn frames(&self) -> usize {
        self.to.saturating_sub(self.from)
    }

    /// The samples meant.
    pub fn meant(&self) -> &[i16] {
        self.samples.get(self.from * CHANNELS..self.to * CHANNELS).unwrap_or_default()
    }

    /// Whether it is the same frames of the same allocation.
    pub fn is(&self, other: &Piece) -> bool {
        Arc::ptr_eq(&self.samples, &other.samples) && self.from == other.from && self.to == other.to
    }
}

/// What goes into one chunk.
#[derive(Clone, Debug)]
pub struct Run {
    /// When its first frame must be heard.
    pub due: HubTime,
    /// Its sound, contiguous.
    pub pieces: Vec<Piece>,
}

/// How chunks are cut.
#[derive(Clone, Copy, Debug)]
enum Cut {
    /// So many pieces each.
    Pieces(usize),
    /// So many frames each, at this rate.
    Frames(usize, SampleRate),
}

/// Makes runs of pieces.
#[derive(Debug)]
pub struct Grouping {
    cut: Cut,
    due: HubTime,
    pieces: Vec<Piece>,
    /// Pieces, or frames, that are still missing.
    missing: usize,
}

impl Grouping {
    /// Runs of `most` pieces, at least one.
    pub fn new(most: usize) -> Self {
        Self::with(Cut::Pieces(most.max(1)))
    }

    /// Runs of exactly so many frames at a rate, whatever the pieces are.
    pub fn exact(frames: usize, rate: SampleRate) -> Self {
        Self::with(Cut::Frames(frames.max(1), rate))
    }

    fn with(cut: Cut) -> Self {
        Self { cut, due: HubTime::EPOCH, pieces: Vec::new(), missing: 0 }
    }

    /// Takes the next piece, whose first frame is heard at `due` and follows the last one's, and hands every run that
    /// is complete to `out`.
    pub fn push(&mut self, due: HubTime, piece: Piece, shared: &mut Shared, mut out: impl FnMut(Run)) {
        match self.cut {
            Cut::Pieces(most) => {
                if self.pieces.is_empty() {
                    self.due = due;
                    self.missing = shared.left_of_chunk(&piece.samples).unwrap_or(most);
                }
                shared.place(&piece.samples, self.missing);
                self.pieces.push(piece);
                self.missing -= 1;
                if self.missing == 0 {
                    out(self.take());
                }
            }
            Cut::Frames(most, rate) => {
                let mut piece = piece;
                let mut due = due;
                while piece.frames() > 0 {
                    if self.pieces.is_empty() {
                        self.due = due;
                        self.missing = most;
                    }
                    let taken = piece.frames().min(self.missing);
                    let mut first = piece.clone();
                    first.to = first.from + taken;
                    piece.from = first.to;
                    due = due + Frames(taken as u64).duration(rate);
                    self.missing -= taken;
                    self.pieces.push(first);
                    if self.missing == 0 {
                        out(self.take());
                    }
                }
            }
        }
    }

    /// When the unfinished run begins.
    pub fn waits_since(&self) -> Option<HubTime> {
        (!self.pieces.is_empty()).then_some(self.due)
    }

    /// The unfinished run, as it is: what follows is not contiguous, or does not come.
    pub fn rest(&mut self) -> Option<Run> {
        (!self.pieces.is_empty()).then(|| self.take())
    }

    /// Forgets the unfinished run.
    pub fn clear(&mut self) {
        self.pieces.clear();
    }

    fn take(&mut self) -> Run {
        Run { due: self.due, pieces: std::mem::take(&mut self.pieces) }
    }
}
