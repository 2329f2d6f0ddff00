//! 44.1 kHz made 48 kHz, on its own exact grid: frame n is due n/48000 s on the hub's clock.
//!
//! A kind's pump owns one [`To48`] and a [`Stream`] for each receiver, and gives both every block. Runs are contiguous to
//! the sample while blocks are. Each is a function of a block, the one before and their place on the grid alone, so that
//! receivers given the same blocks get the same allocation: [`To48`] keeps the last runs. The filter's delay is taken out
//! of the due time: a run begins 0.7 ms before its block and ends as much before its end.

use std::collections::VecDeque;
use std::sync::Arc;

use antiphon_domain::HubTime;

use super::{HALF, TAPS, Window, rounded, weights};
use crate::{Block, CHANNELS};

/// 48000 and 44100 without their common divisor, 300.
const OUT: i64 = 160;
const IN: i64 = 147;

/// Runs kept: half a second, for the member of a group that comes to a block late.
const CACHE: usize = 64;

/// A new receiver finds the group's runs up to so far from its own due time: as much as shifts move members apart.
const REACH: i64 = 500_000_000;

/// Half a frame of the hub's rate, nanoseconds.
const HALF_A_FRAME: i64 = 11_338;

/// Sound at 48,000 Hz.
#[derive(Clone, Debug)]
pub struct Run {
    /// When its first frame must be heard.
    pub due: HubTime,
    /// Interleaved stereo.
    pub samples: Arc<[i16]>,
    /// Whether it goes on where the stream's last run ended.
    pub continues: bool,
}

impl Run {
    /// The place of the first frame on the grid of 48 kHz; exact where due times are the hub's own, else the nearest.
    pub fn frame(&self) -> i64 {
        (i128::from(self.due.nanos()) * 48 + 500_000).div_euclid(1_000_000) as i64
    }
}

/// Where one receiver is.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    last: Option<Last>,
}

#[derive(Clone, Debug)]
struct Last {
    samples: Arc<[i16]>,
    /// The place of the frame after it, at the hub's rate.
    next: i64,
    end: HubTime,
}

#[derive(Debug)]
struct Made {
    samples: Arc<[i16]>,
    before: Option<Arc<[i16]>>,
    place: i64,
    due: HubTime,
    run: Arc<[i16]>,
}

/// Makes runs, each once.
#[derive(Debug)]
pub struct To48 {
    phases: Vec<[f32; TAPS]>,
    window: Window,
    made: VecDeque<Made>,
    hits: u64,
    misses: u64,
}

impl To48 {
    /// Has made nothing; computes its filter, which takes a few milliseconds.
    pub fn new() -> Self {
        let phases = (0..OUT).map(|phase| weights(phase as f64 / OUT as f64)).collect();
        Self { phases, window: Window::default(), made: VecDeque::with_capacity(CACHE), hits: 0, misses: 0 }
    }

    /// The run that a block completes.
    pub fn run(&mut self, stream: &mut Stream, block: &Block) -> Run {
        let frames = (block.samples.len() / CHANNELS) as i64;
        let last = stream.last.take().filter(|last| near(last.end, block.due, HALF_A_FRAME));
        let continues = last.is_some();
        let (before, place) = match last {
            Some(last) => (Some(last.samples), last.next),
            None => self.entrance(block),
        };
        stream.last =
            Some(Last { samples: Arc::clone(&block.samples), next: place + frames, end: block.end() });
        let first = first_frame(place, before.is_some());
        // Exact but for the nanosecond that due times are rounded to.
        let ahead = i128::from(first * IN - place * OUT) * 1_000_000_000 / (i128::from(OUT) * 44_100);
        let due = HubTime::from_nanos(block.due.nanos().saturating_add(ahead as i64));
        Run { due, samples: self.samples(block, before, place), continues }
    }

    /// Runs that were shared, and runs that had to be made.
    pub fn shared_and_made(&self) -> (u64, u64) {
        (self.hits, self.misses)
    }

    /// Where a stream begins: in step with another that has played the same block, else where the block lies.
    fn entrance(&self, block: &Block) -> (Option<Arc<[i16]>>, i64) {
        let distance = |made: &&Made| made.due.nanos().abs_diff(block.due.nanos());
        let same = self.made.iter().filter(|made| Arc::ptr_eq(&made.samples, &block.samples));
        match same.min_by_key(distance).filter(|made| near(made.due, block.due, REACH)) {
            Some(made) => (made.before.clone(), made.place),
            None => {
                let place = (i128::from(block.due.nanos()) * 441 + 5_000_000).div_euclid(10_000_000);
                (None, place as i64)
            }
        }
    }

    fn samples(&mut self, block: &Block, before: Option<Arc<[i16]>>, place: i64) -> Arc<[i16]> {
        let alike = |made: &&Made| {
            let same_before = match (&made.before, &before) {
                (Some(a), Some(b)) => Arc::ptr_eq(a, b),
                (None, None) => true,
                _ => false,
            };
            made.place == place && Arc::ptr_eq(&made.samples, &block.samples) && same_before
        };
        // Newest first: that is where a group's other members find theirs.
        if let Some(made) = self.made.iter().rev().find(alike) {
            self.hits += 1;
            return Arc::clone(&made.run);
        }
        self.misses += 1;
        let run = self.filter(before.as_deref(), &block.samples, place);
        if self.made.len() == CACHE {
            self.made.pop_front();
        }
        let samples = Arc::clone(&block.samples);
        self.made.push_back(Made { samples, before, place, due: block.due, run: Arc::clone(&run) });
        run
    }

    fn filter(&mut self, before: Option<&[i16]>, samples: &[i16], place: i64) -> Arc<[i16]> {
        // The window begins TAPS frames before the block.
        self.window.clear(TAPS + samples.len() / CHANNELS);
        self.window.put(TAPS, samples);
        if let Some(before) = before {
            let tail = &before[before.len().saturating_sub(TAPS * CHANNELS)..];
            self.window.put(TAPS - tail.len() / CHANNELS, tail);
        }
        let first = first_frame(place, before.is_some());
        let end = first_frame(place + (samples.len() / CHANNELS) as i64, true);
        let mut run = Vec::with_capacity((end - first).max(0) as usize * CHANNELS);
        for frame in first..end {
            let at = frame * IN;
            let left_of = at.div_euclid(OUT) - place + TAPS as i64;
            let start = left_of - (HALF as i64 - 1);
            let weights = &self.phases[at.rem_euclid(OUT) as usize];
            // Never below 0: the first frame lies at most HALF before the block.
            let sums = self.window.sums(usize::try_from(start).unwrap_or(0), weights);
            run.extend(sums.map(rounded));
        }
        run.into()
    }
}

impl Default for To48 {
    fn default() -> Self {
        Self::new()
    }
}

/// The first frame of 48 kHz that a block at `place` completes: what lies within the filter's reach before it came with
/// nothing, unless there was a block before.
fn first_frame(place: i64, goes_on: bool) -> i64 {
    let from = if goes_on { place - HALF as i64 } else { place };
    // Rounded up.
    -(-from * OUT).div_euclid(IN)
}

fn near(a: HubTime, b: HubTime, nanos: i64) -> bool {
    a.nanos().abs_diff(b.nanos()) <= nanos as u64
}
