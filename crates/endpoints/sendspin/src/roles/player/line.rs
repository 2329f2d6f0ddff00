//! Blocks in, runs of sound out: what becomes one chunk each.
//!
//! Pure. Runs are contiguous to the sample as long as blocks are; a hole between two blocks ends a run early. They are
//! cut where every other client cuts them that is told the same moments, so that chunks are encoded once for all.

use std::time::Duration;

use antiphon_audio::Block;
use antiphon_audio::encode::{Piece, Thread};
use antiphon_audio::resample::fixed::Stream;
use antiphon_domain::{Frames, HubTime, SampleRate};
use bytes::Bytes;

use super::format::Format;
use super::lengths::number;
use super::press::Shared;

/// Blocks that follow each other within this are contiguous: their due times are whole nanoseconds of exact ones.
pub const TOUCH: Duration = Duration::from_micros(1);

/// A chunk ready to be sent.
#[derive(Clone, Debug)]
pub struct Ready {
    /// How it is encoded.
    pub format: Format,
    /// When its first frame is heard.
    pub due: HubTime,
    /// When its last frame has been heard.
    pub end: HubTime,
    /// Blocks in it.
    pub blocks: u32,
    /// The encoded sound.
    pub payload: Bytes,
}

/// What became of a block.
#[derive(Debug)]
pub enum Taken {
    /// It is in a run that is not complete.
    Waits,
    /// A run is complete.
    Run(Ready),
    /// It does not follow what waits: what waits goes first, and the block is to be offered again.
    After(Ready),
    /// It begins before what came last has ended.
    Overlaps,
}

/// One client's line from blocks to chunks, in one format.
pub struct Line {
    format: Format,
    /// Blocks in a run.
    most: usize,
    resampler: Stream,
    thread: Thread,
    pieces: Vec<Piece>,
    blocks: u32,
    due: HubTime,
    missing: usize,
    /// When the last block taken ends.
    end: Option<HubTime>,
    /// What was sent before this line ends here: nothing of it may come again.
    after: Option<HubTime>,
}

impl Line {
    /// A line that makes runs of `most` blocks, at least two, none of which begins before `after`.
    pub fn new(format: Format, most: usize, after: Option<HubTime>) -> Self {
        Self {
            format,
            most: most.max(2),
            resampler: Stream::default(),
            thread: Thread::default(),
            pieces: Vec::new(),
            blocks: 0,
            due: HubTime::EPOCH,
            missing: 0,
            end: None,
            after,
        }
    }

    /// What its chunks are.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Takes a block.
    pub fn take(&mut self, block: &Block, shared: &Shared) -> Taken {
        if let Some(end) = self.end {
            if block.due + TOUCH < end {
                return Taken::Overlaps;
            }
            if block.due > end + TOUCH {
                if let Some(ready) = self.rest(shared) {
                    return Taken::After(ready);
                }
                self.resampler = Stream::default();
            }
        }
        self.end = Some(block.end());
        let (due, piece) = self.piece(block, shared);
        if self.pieces.is_empty() {
            self.due = due;
            self.missing = left_of_run(block.due, self.most);
        }
        self.pieces.push(piece);
        self.blocks += 1;
        self.missing = self.missing.saturating_sub(1);
        if self.missing > 0 {
            return Taken::Waits;
        }
        match self.rest(shared) {
            Some(ready) => Taken::Run(ready),
            None => Taken::Waits,
        }
    }

    /// When the first block that waits is heard, and how many wait.
    pub fn waiting(&self) -> Option<(HubTime, u32)> {
        (!self.pieces.is_empty()).then_some((self.due, self.blocks))
    }

    /// What waits, as a chunk of its own.
    pub fn rest(&mut self, shared: &Shared) -> Option<Ready> {
        let pieces = std::mem::take(&mut self.pieces);
        let blocks = std::mem::take(&mut self.blocks);
        let frames: usize = pieces.iter().map(Piece::frames).sum();
        if frames == 0 {
            return None;
        }
        let payload = shared.chunk(self.format, &mut self.thread, &pieces);
        let end = self.due + Frames(frames as u64).duration(self.format.sample_rate());
        Some(Ready { format: self.format, due: self.due, end, blocks, payload })
    }

    /// The same line in another format: what waits in the old one is to be sent first. `next` is the block that will
    /// follow: at 48 kHz the end of the sound taken comes out with it only.
    pub fn change(&mut self, format: Format, next: &Block, shared: &Shared) -> Option<Ready> {
        if self.format.sample_rate() != SampleRate::HUB
            && let Some(end) = self.end
            && next.due <= end + TOUCH
            && next.due + TOUCH >= end
        {
            let run = shared.at_48k(&mut self.resampler, next);
            let mut piece = Piece::whole(run.samples);
            let tail = Frames::within(next.due.since(run.due), self.format.sample_rate()).0 as usize;
            piece.to = piece.to.min(tail);
            if self.pieces.is_empty() {
                self.due = run.due;
            }
            self.pieces.push(piece);
        }
        let last = self.rest(shared);
        let after = last.as_ref().map(|ready| ready.end).or(self.after).max(self.end);
        *self = Self { end: self.end, ..Self::new(format, self.most, after) };
        last
    }

    fn piece(&mut self, block: &Block, shared: &Shared) -> (HubTime, Piece) {
        if self.format.sample_rate() == SampleRate::HUB {
            return (block.due, Piece::whole(block.samples.clone()));
        }
        let run = shared.at_48k(&mut self.resampler, block);
        let mut piece = Piece::whole(run.samples);
        // A stream that joins in step with another begins with the end of the block before.
        let again = self.after.map_or(Duration::ZERO, |after| after.since(run.due + TOUCH));
        if run.continues || again.is_zero() {
            return (run.due, piece);
        }
        let rate = self.format.sample_rate();
        piece.from = (Frames::within(again, rate).0 as usize + 1).min(piece.to);
        (run.due + Frames(piece.from as u64).duration(rate), piece)
    }
}

/// Blocks from this one to the end of its run on the hub's grid; a run of one would be too short for a chunk (15 ms,
/// spec, player v1: "Chunk duration bounds"), so it joins the next.
fn left_of_run(due: HubTime, most: usize) -> usize {
    let most = most as i128;
    let left = most - number(due).rem_euclid(most);
    // At most a dozen or so.
    (if left < 2 { left + most } else { left }) as usize
}

#[cfg(test)]
mod tests {
    use antiphon_audio::BLOCK_FRAMES;

    use super::*;

    #[test]
    fn runs_end_on_the_same_blocks_for_everybody_and_are_never_too_short() {
        let due = |block: u64| HubTime::EPOCH + Frames(block * BLOCK_FRAMES as u64).duration(SampleRate::HUB);
        assert_eq!(left_of_run(due(0), 12), 12);
        assert_eq!(left_of_run(due(12_000_000), 12), 12);
        assert_eq!(left_of_run(due(12_000_005), 12), 7);
        assert_eq!(left_of_run(due(12_000_011), 12), 13);
        assert_eq!(left_of_run(due(3), 2), 3);
    }
}
