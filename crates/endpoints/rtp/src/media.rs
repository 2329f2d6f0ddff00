//! What each packet holds: blocks with their due times on a grid of frames.
//!
//! Plain values, driven by the pump. Frame n is heard n / rate seconds after the epoch of the clock the session runs with:
//! the hub's ([`Grid`]), or PTP's ([`crate::follow`]).

use std::collections::VecDeque;
use std::sync::Arc;

use antiphon_audio::resample::fixed::{Stream, To48};
use antiphon_audio::{Block, CHANNELS};
use antiphon_domain::{HubTime, SampleRate};

/// Blocks kept at most: 8 s, more than any lead.
const QUEUE: usize = 1_000;

/// Half a frame, nanoseconds.
const HALF_A_FRAME: u64 = 11_338;

#[derive(Debug)]
struct Piece {
    first: i64,
    samples: Arc<[i16]>,
    /// When the block it is made of is due.
    due: HubTime,
}

impl Piece {
    fn end(&self) -> i64 {
        self.first + (self.samples.len() / CHANNELS) as i64
    }
}

/// Frames on the hub's own clock, every sample as it came where the rate is the hub's.
#[derive(Debug)]
pub struct Grid {
    rate: SampleRate,
    pieces: VecDeque<Piece>,
    stream: Stream,
    /// Where the last block ended: its moment, and the frame after it.
    last: Option<(HubTime, i64)>,
}

impl Grid {
    /// Nothing to be heard.
    pub fn new(rate: SampleRate) -> Self {
        Self { rate, pieces: VecDeque::new(), stream: Stream::default(), last: None }
    }

    /// Takes a block. `false` where there is no room.
    pub fn play(&mut self, block: &Block, to48: &mut To48) -> bool {
        if self.pieces.len() >= QUEUE {
            return false;
        }
        let (samples, due) = if self.rate == SampleRate::HUB {
            (Arc::clone(&block.samples), block.due)
        } else {
            let run = to48.run(&mut self.stream, block);
            (run.samples, run.due)
        };
        let goes_on = self.last.filter(|(end, _)| end.nanos().abs_diff(block.due.nanos()) <= HALF_A_FRAME);
        let first = goes_on.map_or_else(|| frame_at(due, self.rate), |(_, next)| next);
        let piece = Piece { first, samples, due: block.due };
        self.last = Some((block.end(), piece.end()));
        self.pieces.push_back(piece);
        true
    }

    /// Forgets every block due at or after `from`.
    pub fn flush(&mut self, from: HubTime) {
        self.pieces.retain(|piece| piece.due < from);
        self.stream = Stream::default();
        self.last = None;
    }

    /// Writes the frames from `first` on; silence where nothing is due. Whether anything was, and how many blocks had come
    /// too late to be heard in full.
    pub fn take(&mut self, first: i64, out: &mut [i16]) -> (bool, u32) {
        out.fill(0);
        let end = first + (out.len() / CHANNELS) as i64;
        let (mut sounds, mut late) = (false, 0);
        while let Some(piece) = self.pieces.front() {
            let (from, until) = (piece.first.max(first), piece.end().min(end));
            if from < until {
                sounds = true;
                let source =
                    (from - piece.first) as usize * CHANNELS..(until - piece.first) as usize * CHANNELS;
                let target = (from - first) as usize * CHANNELS..(until - first) as usize * CHANNELS;
                out[target].copy_from_slice(&piece.samples[source]);
            }
            if piece.end() > end {
                break;
            }
            // All of it had passed before this packet.
            late += u32::from(piece.end() <= first);
            self.pieces.pop_front();
        }
        (sounds, late)
    }

    /// Whether anything waits.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }
}

/// The frame that is heard at a moment: the nearest.
pub fn frame_at(at: HubTime, rate: SampleRate) -> i64 {
    (i128::from(at.nanos()) * i128::from(rate.hertz()) + 500_000_000).div_euclid(1_000_000_000) as i64
}

/// When a frame is heard.
pub fn moment_of(frame: i64, rate: SampleRate) -> HubTime {
    HubTime::from_nanos((i128::from(frame) * 1_000_000_000).div_euclid(i128::from(rate.hertz())) as i64)
}

#[cfg(test)]
mod tests {
    use antiphon_audio::BLOCK_FRAMES;
    use antiphon_domain::Frames;
    use proptest::prelude::*;

    use super::*;

    fn block(number: u64) -> Block {
        let first = number * BLOCK_FRAMES as u64;
        let due = HubTime::EPOCH + Frames(first).duration(SampleRate::HUB);
        // Never silent, so that what is missing shows.
        let sample = |frame: u64| [(frame % 30_000 + 1) as i16, -((frame % 30_000 + 1) as i16)];
        Block { due, samples: (first..first + BLOCK_FRAMES as u64).flat_map(sample).collect() }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(50))]

        #[test]
        fn packets_hold_every_sample_in_its_place(start in 0u64..10_000_000, size in 1usize..300) {
            let (mut grid, mut to48) = (Grid::new(SampleRate::HUB), To48::new());
            for number in start..start + 10 {
                prop_assert!(grid.play(&block(number), &mut to48));
            }
            let mut frame = (start * 352) as i64;
            let end = frame + 3_520;
            let mut out = vec![0; size * CHANNELS];
            while frame + size as i64 <= end {
                let (sounds, late) = grid.take(frame, &mut out);
                prop_assert!(sounds && late == 0);
                for (index, sample) in out.iter().step_by(2).enumerate() {
                    prop_assert_eq!(i64::from(*sample), (frame + index as i64) % 30_000 + 1);
                }
                frame += size as i64;
            }
        }
    }

    #[test]
    fn what_is_late_is_counted_and_a_flush_forgets() {
        let (mut grid, mut to48) = (Grid::new(SampleRate::HUB), To48::new());
        let mut out = [0; 10];
        for number in [1, 2, 3, 4] {
            grid.play(&block(number), &mut to48);
        }
        assert_eq!(grid.take(3 * 352, &mut out), (true, 2));
        grid.flush(block(3).due);
        assert!(grid.is_empty());
        assert_eq!(grid.take(3 * 352 + 5, &mut out), (false, 0));
        // Earlier than what was forgotten.
        grid.play(&block(3), &mut to48);
        assert_eq!(grid.take(3 * 352 + 10, &mut out), (true, 0));
    }

    #[test]
    fn at_48_kilohertz_runs_join_without_a_seam() {
        let rate = SampleRate::new(48_000).unwrap();
        let (mut grid, mut to48) = (Grid::new(rate), To48::new());
        for number in 10..80 {
            assert!(grid.play(&block(number), &mut to48));
        }
        let (first, end) = (frame_at(block(10).due, rate), frame_at(block(79).due, rate));
        let mut out = vec![0; 48 * CHANNELS];
        // Where it begins the filter rings.
        grid.take(first, &mut out);
        let mut frame = first + 48;
        while frame + 48 < end {
            assert_eq!(grid.take(frame, &mut out), (true, 0));
            // The ramp of the test goes up by less than one a frame of 48 kHz.
            assert!(out.chunks_exact(2).all(|f| f[0] > 0 && f[1] < 0));
            frame += 48;
        }
    }

    #[test]
    fn frames_and_moments_agree() {
        for hertz in [44_100, 48_000] {
            let rate = SampleRate::new(hertz).unwrap();
            for frame in [-5, 0, 1, 44_100, 1 << 40] {
                assert_eq!(frame_at(moment_of(frame, rate), rate), frame);
            }
        }
    }
}
