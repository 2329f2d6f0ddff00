//! A sound of one speaker alone: speech, an alarm, a tone. Decoded like a feed, heard on one output.
//!
//! Driven by the output that plays it, once a tick. Its place is a frame of the hub's clock, settled once; which of its
//! frames belongs to which block follows from that, so a block that was taken back is made again the same.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use antiphon_audio::{BLOCK_FRAMES, CHANNELS};
use antiphon_domain::media::MediaError;
use antiphon_domain::sound::Voice;
use antiphon_domain::{Frames, HubTime, SampleRate};
use tracing::error;

use crate::grid;
use crate::news::{SoundEvent, SoundSink};
use crate::source::{Piece, Source};
use crate::timeline::{BATCH, BLOCK, Ring, Rules};

/// A sound, unique within the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SoundKey(u64);

impl SoundKey {
    pub(crate) fn next() -> Self {
        static COUNTER: AtomicU64 = AtomicU64::new(1);
        Self(COUNTER.fetch_add(1, Ordering::Relaxed))
    }
}

/// When a sound begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// As soon as it can be heard.
    Now,
    /// Its first frame is due then, or as soon as it can be heard when that is too near.
    At(HubTime),
    /// At the very frame where another sound of the same output ends, and a pause later; as soon as it can be heard
    /// when that is past, or when that sound was never played there.
    After {
        /// The sound before.
        sound: SoundKey,
        /// Silence between them.
        pause: std::time::Duration,
    },
}

/// What an output needs next of a sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Has {
    /// All of the block that is its own.
    Sound,
    /// Nothing of it belongs there.
    Nothing,
    /// Something that is not decoded yet.
    Gap,
}

/// A sound and what became of it so far.
pub(crate) struct SoundState {
    pub key: SoundKey,
    source: Source,
    sink: SoundSink,
    ring: Ring,
    /// Its length in frames, once decoded to the end.
    end: Option<u64>,
    failure: Option<MediaError>,
    /// The frame of the hub's clock at which its frame 0 would lie, once settled. It moves when the sound stalls.
    origin: Option<u64>,
    /// Its first frame that waits to be placed.
    unplaced: u64,
    scheduled: bool,
    started: bool,
}

impl SoundState {
    pub(crate) fn new(key: SoundKey, source: Source, sink: SoundSink) -> Self {
        Self {
            key,
            source,
            sink,
            ring: Ring::default(),
            end: None,
            failure: None,
            origin: None,
            unplaced: 0,
            scheduled: false,
            started: false,
        }
    }

    /// Takes what is decoded, until `wanted` frames are there.
    pub(crate) fn fill(&mut self, wanted: u64) {
        if self.ring.frames() > 0 && self.ring.frames() + BATCH > wanted {
            return;
        }
        while self.end.is_none() && self.ring.frames() < wanted {
            match self.source.take() {
                None => return,
                Some(Piece::Samples(samples)) => self.ring.push(&samples),
                Some(Piece::End(failure)) => {
                    self.end = Some(self.ring.frames());
                    self.ring.pad();
                    self.failure = failure;
                }
            }
        }
        // Tags and lengths of a sound are of no interest to anybody.
        while self.source.news().is_some() {}
    }

    /// How many frames must be there for it to be in time with the output, a second more than are handed out.
    pub(crate) fn wanted(&self, now: HubTime, ahead: std::time::Duration) -> u64 {
        let ahead = Frames::within(ahead, SampleRate::HUB).0 + u64::from(SampleRate::HUB.hertz());
        match self.origin {
            Some(origin) => (grid::frame(now) + ahead).saturating_sub(origin),
            None => self.unplaced + ahead,
        }
    }

    /// Whether it failed before a single frame came.
    pub(crate) fn is_stillborn(&self) -> bool {
        self.end == Some(0)
    }

    /// Whether enough is decoded to begin, or to go on.
    pub(crate) fn is_ready(&self, rules: &Rules) -> bool {
        let ready = self.ring.frames().saturating_sub(self.unplaced);
        let need = if self.unplaced == 0 { rules.prebuffer } else { rules.recover };
        self.end.is_some() || Frames(ready).duration(SampleRate::HUB) >= need
    }

    /// Whether its place is settled.
    pub(crate) fn is_placed(&self) -> bool {
        self.origin.is_some()
    }

    /// Settles that its next frame lies at `frame` of the hub's clock. The first time that is told.
    pub(crate) fn place(&mut self, frame: u64) {
        self.origin = Some(frame.saturating_sub(self.unplaced));
        if !self.scheduled {
            self.scheduled = true;
            self.tell(SoundEvent::Scheduled { at: grid::frame_due(frame) });
        }
    }

    /// It cannot be heard from this block on until more is decoded.
    pub(crate) fn stall(&mut self, block: u64) {
        if let Some(origin) = self.origin.take() {
            self.unplaced = (block * BLOCK).saturating_sub(origin).max(self.unplaced);
        }
    }

    /// Whether it went on already and only waits for more.
    pub(crate) fn is_stalled(&self) -> bool {
        self.origin.is_none() && self.scheduled
    }

    /// The frame of the hub's clock after its last, once both are known.
    pub(crate) fn end(&self) -> Option<u64> {
        Some(self.origin? + self.end?)
    }

    /// The first block from `floor` on that has something of it.
    pub(crate) fn next_block(&self, floor: u64) -> Option<u64> {
        let first = (self.origin? + self.unplaced) / BLOCK;
        let block = first.max(floor);
        match self.end() {
            Some(end) if block * BLOCK >= end => None,
            _ => Some(block),
        }
    }

    /// What it has for a block.
    pub(crate) fn has(&self, block: u64) -> Has {
        if self.next_block(block) != Some(block) {
            return Has::Nothing;
        }
        let needed = ((block + 1) * BLOCK).saturating_sub(self.origin.unwrap_or(0));
        // A frame that only the tail holds is not there yet.
        if self.end.is_some() || needed <= self.ring.end() * BLOCK { Has::Sound } else { Has::Gap }
    }

    /// The very block that was decoded, where its blocks lie on the grid.
    pub(crate) fn whole(&self, block: u64) -> Option<&Arc<[i16]>> {
        let origin = self.origin?;
        if !origin.is_multiple_of(BLOCK) || block * BLOCK < origin + self.unplaced {
            return None;
        }
        self.ring.get(block - origin / BLOCK)
    }

    /// Adds its frames of a block to `samples`.
    pub(crate) fn add_to(&self, block: u64, samples: &mut [i16]) {
        let Some(origin) = self.origin else { return };
        let (begin, first) = (block * BLOCK, origin + self.unplaced);
        // Frames of the hub's clock; what the sound was cut into seldom lies on its grid.
        let mut at = begin.max(first);
        while at < begin + BLOCK {
            let own = at - origin;
            let Some(decoded) = self.ring.get(own / BLOCK) else { return };
            let skip = (own % BLOCK) as usize * CHANNELS;
            let into = (at - begin) as usize * CHANNELS;
            for (sample, more) in samples[into..].iter_mut().zip(&decoded[skip..]) {
                *sample = sample.saturating_add(*more);
            }
            at += BLOCK - own % BLOCK;
        }
    }

    /// Says what has fallen due, forgets it, and says whether the sound is over.
    pub(crate) fn report(&mut self, now: HubTime) -> bool {
        if self.is_stillborn() {
            self.tell_end();
            return true;
        }
        let Some(origin) = self.origin else { return false };
        let first = grid::frame_due(origin + self.unplaced);
        if !self.started && first <= now {
            self.started = true;
            self.tell(SoundEvent::Started { at: first });
        }
        // Two blocks more than are heard stay: the block that is just heard may be made again.
        let heard = grid::frame(now).saturating_sub(origin) / BLOCK;
        self.ring.prune(heard.saturating_sub(2));
        if self.end().is_some_and(|end| grid::frame_due(end) <= now) {
            self.tell_end();
            return true;
        }
        false
    }

    /// Says that it will not be heard (on).
    pub(crate) fn fail(&self, error: MediaError) {
        self.tell(SoundEvent::Failed(error));
    }

    fn tell_end(&mut self) {
        match self.failure.take() {
            Some(error) => self.tell(SoundEvent::Failed(error)),
            None => self.tell(SoundEvent::Finished),
        }
    }

    fn tell(&self, event: SoundEvent) {
        let sink = &self.sink;
        if catch_unwind(AssertUnwindSafe(|| sink(event))).is_err() {
            error!("the listener of a sound panicked");
        }
    }
}

/// A sound on an output: whose voice it is, and when it is to begin.
pub(crate) struct Playing {
    pub sound: SoundState,
    pub voice: Voice,
    pub start: Start,
    /// It was stopped and fades out in this block.
    pub leaving: Option<u64>,
}

impl Playing {
    /// Its frames of a block, faded where it leaves.
    pub(crate) fn add_to(&self, block: u64, samples: &mut [i16]) {
        let Some(last) = self.leaving else { return self.sound.add_to(block, samples) };
        if block > last {
            return;
        }
        let mut own = [0; BLOCK_FRAMES * CHANNELS];
        self.sound.add_to(block, &mut own);
        for (index, (sample, more)) in samples.iter_mut().zip(own).enumerate() {
            let left = (BLOCK_FRAMES - 1 - index / CHANNELS) as i32;
            let factor = if block == last { left } else { BLOCK_FRAMES as i32 };
            *sample = sample.saturating_add((i32::from(more) * factor / BLOCK_FRAMES as i32) as i16);
        }
    }
}
