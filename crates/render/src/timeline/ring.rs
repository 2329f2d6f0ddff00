//! The blocks of a timeline that are decoded and not yet heard, by number; and the frames that do not make a block yet.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use antiphon_audio::{BLOCK_FRAMES, CHANNELS};

use super::schedule::BLOCK;

const SAMPLES: usize = BLOCK_FRAMES * CHANNELS;

/// Decoded blocks in order. What goes in comes out sample for sample; only [`Ring::pad`] adds silence.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    blocks: VecDeque<Arc<[i16]>>,
    first: u64,
    tail: Vec<i16>,
}

impl Ring {
    /// The number after the last whole block.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.blocks.len() as u64
    }

    /// The frames that have gone in, from the timeline's beginning.
    pub(crate) fn frames(&self) -> u64 {
        self.end() * BLOCK + (self.tail.len() / CHANNELS) as u64
    }

    /// Whether frames wait that do not make a block yet.
    pub(crate) fn has_tail(&self) -> bool {
        !self.tail.is_empty()
    }

    /// A whole block.
    pub(crate) fn get(&self, index: u64) -> Option<&Arc<[i16]>> {
        let position = usize::try_from(index.checked_sub(self.first)?).ok()?;
        self.blocks.get(position)
    }

    /// Adds what a source gave.
    pub(crate) fn push(&mut self, samples: &Arc<[i16]>) {
        if self.tail.is_empty() && samples.len() == SAMPLES {
            self.blocks.push_back(Arc::clone(samples));
            return;
        }
        let mut rest: &[i16] = samples;
        while !rest.is_empty() {
            let room = SAMPLES - self.tail.len();
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.tail.extend_from_slice(now);
            rest = later;
            if self.tail.len() == SAMPLES {
                self.blocks.push_back(mem::take(&mut self.tail).into());
            }
        }
    }

    /// Makes a block of what waits, with silence behind it.
    pub(crate) fn pad(&mut self) {
        if self.tail.is_empty() {
            return;
        }
        self.tail.resize(SAMPLES, 0);
        self.blocks.push_back(mem::take(&mut self.tail).into());
    }

    /// Forgets every frame from `frame` on, which must still be kept.
    pub(crate) fn truncate(&mut self, frame: u64) {
        if frame >= self.frames() {
            return;
        }
        let index = frame / BLOCK;
        let keep = (frame % BLOCK) as usize * CHANNELS;
        if index >= self.end() {
            self.tail.truncate(keep);
            return;
        }
        let Some(position) = index.checked_sub(self.first) else { return };
        // Fits: it is less than the count of blocks.
        let position = position as usize;
        self.tail = self.blocks[position][..keep].to_vec();
        self.blocks.truncate(position);
    }

    /// Forgets the blocks before `index`.
    pub(crate) fn prune(&mut self, index: u64) {
        while self.first < index && self.blocks.pop_front().is_some() {
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(frames: usize, value: i16) -> Arc<[i16]> {
        vec![value; frames * CHANNELS].into()
    }

    #[test]
    fn whole_blocks_are_not_copied() {
        let mut ring = Ring::default();
        let block = samples(BLOCK_FRAMES, 1);
        ring.push(&block);
        assert!(Arc::ptr_eq(ring.get(0).unwrap(), &block));
    }

    #[test]
    fn a_join_in_mid_block_keeps_every_sample() {
        let mut ring = Ring::default();
        ring.push(&samples(BLOCK_FRAMES + 100, 1));
        ring.push(&samples(BLOCK_FRAMES, 2));
        assert_eq!((ring.end(), ring.frames()), (2, 2 * BLOCK + 100));
        let second = ring.get(1).unwrap();
        assert_eq!((second[199], second[200]), (1, 2));
        ring.truncate(BLOCK + 100);
        assert_eq!((ring.end(), ring.frames()), (1, BLOCK + 100));
        ring.pad();
        assert_eq!(ring.get(1).unwrap()[199..201], [1, 0]);
    }

    #[test]
    fn pruning_keeps_numbers() {
        let mut ring = Ring::default();
        for value in 0..5 {
            ring.push(&samples(BLOCK_FRAMES, value));
        }
        ring.prune(3);
        assert!(ring.get(2).is_none());
        assert_eq!(ring.get(3).unwrap()[0], 3);
        ring.prune(9);
        assert_eq!(ring.end(), 5);
    }
}
