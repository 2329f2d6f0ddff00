//! What to give an output that runs on its own clock: a sound card, a sound server's sink, a network whose clock is
//! another's.
//!
//! Blocks go in with their due times; the output says now and then which of its frames is heard when; out come samples
//! such that each is heard when it is due: silence where nothing is, sound resampled to the output's own pace where
//! there is. Deviations are walked off inaudibly ([`crate::drift`]); one beyond that is cross-faded to the right place.
//! Before sound begins there is nothing to disturb: it begins at its place to a fraction of a sample. The driver of an
//! output owns one and calls it from its own thread; nothing here waits or reads a clock.

use std::collections::VecDeque;
use std::time::Duration;

use antiphon_domain::{Frames, HubTime, SampleRate};

use crate::clock::{ClockFilter, Exchange, Observed, Reading, Trend};
use crate::drift::{Act, Corrections, Deviation, Drift, DriftSettings};
use crate::resample::variable::Variable;
use crate::resample::{HALF, Window, rounded};
use crate::{Block, CHANNELS};

/// Blocks kept at most: 8 s, more than any lead.
const QUEUE: usize = 1_000;

/// How long it takes to go from one place to another, or to come in: only to avoid a click.
const FADE: Duration = Duration::from_millis(5);

/// A jump further than this, in frames, is not cross-faded: a quarter of a second.
const FARTHEST: f64 = 11_025.0;

/// How a playout fares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// How much later than due the last samples are heard, nanoseconds, by the output's own account; absent in silence.
    pub error_nanos: Option<i64>,
    /// How well the output's clock is known, and so the error.
    pub uncertainty: Duration,
    /// The output's clock (its count of frames) against the hub's.
    pub clock: Option<Reading>,
    /// What was done since the last report.
    pub corrections: Corrections,
    /// Blocks that came too late to be heard in full, or found no room, since the last report.
    pub late_blocks: u32,
    /// The rate in force against the output's own, ppm.
    pub rate_ppm: f64,
}

/// What follows an output's clock.
#[derive(Clone, Debug)]
enum Follower {
    Bounds(ClockFilter),
    Trend(Trend),
}

impl Follower {
    fn observe(&mut self, exchange: Exchange) -> Observed {
        match self {
            Self::Bounds(clock) => clock.observe(exchange),
            Self::Trend(clock) => clock.observe(exchange),
        }
    }

    fn reading(&self, now: HubTime) -> Option<Reading> {
        match self {
            Self::Bounds(clock) => clock.reading(now),
            Self::Trend(clock) => clock.reading(now),
        }
    }

    fn to_hub(&self, receiver: i64) -> Option<HubTime> {
        match self {
            Self::Bounds(clock) => clock.to_hub(receiver),
            Self::Trend(clock) => clock.to_hub(receiver),
        }
    }

    fn begin_anew(&mut self) {
        match self {
            Self::Bounds(clock) => clock.begin_anew(),
            Self::Trend(clock) => clock.begin_anew(),
        }
    }
}

/// One output's playout.
#[derive(Clone, Debug)]
pub struct Playout {
    rate: SampleRate,
    /// Frames of the hub's rate to a frame of the output, both at their nominal rates.
    ratio: f64,
    clock: Follower,
    drift: Drift,
    filter: Variable,
    window: Window,
    blocks: VecDeque<Block>,
    /// The moment that places count from.
    origin: HubTime,
    /// The place of the next frame, in frames of the hub's rate; absent while nothing sounds.
    place: Option<f64>,
    /// The place that is being left, and the frames until it is.
    leaving: Option<(f64, u32)>,
    /// Frames until sound that was entered in its middle is at its own loudness.
    entering: u32,
    written: u64,
    error: Option<i64>,
    uncertainty: Duration,
    late: u32,
}

impl Playout {
    /// For an output of this rate, the hub's or above.
    pub fn new(output: SampleRate) -> Self {
        Self::with(output, DriftSettings::default())
    }

    /// The same for an output whose word is not exact, and whose pace changes ([`Trend`]): a sound server, a card.
    pub fn by_trend(output: SampleRate) -> Self {
        // Such an output changes its pace while it is mended: mended sooner, it is less behind.
        let settings = DriftSettings {
            begin: Duration::from_micros(20),
            end: Duration::from_micros(5),
            horizon: Duration::from_secs(1),
            ..DriftSettings::default()
        };
        let clock = Follower::Trend(Trend::new());
        Self { clock, ..Self::with(output, settings) }
    }

    /// The same as [`Playout::new`] with other manners of correction.
    pub fn with(output: SampleRate, settings: DriftSettings) -> Self {
        Self {
            rate: output,
            ratio: f64::from(SampleRate::HUB.hertz()) / f64::from(output.hertz()),
            clock: Follower::Bounds(ClockFilter::new()),
            drift: Drift::new(settings),
            filter: Variable::new(),
            window: Window::default(),
            blocks: VecDeque::new(),
            origin: HubTime::EPOCH,
            place: None,
            leaving: None,
            entering: 0,
            written: 0,
            error: None,
            uncertainty: Duration::ZERO,
            late: 0,
        }
    }

    /// Takes a block, in order of due times. `false` where it comes too late to be heard or finds no room.
    pub fn play(&mut self, block: &Block) -> bool {
        if self.blocks.is_empty() && self.place.is_none() {
            // Small numbers are exact ones.
            self.origin = block.due;
        }
        let passed = self.place.is_some_and(|place| self.place_of(block.due) < place);
        let gone = self.place.is_some_and(|place| self.place_of(block.end()) <= place);
        let knows_time = self.clock.to_hub(0).is_some();
        if gone || (self.blocks.len() >= QUEUE && knows_time) {
            self.late += 1;
            return false;
        }
        if self.blocks.len() >= QUEUE {
            // Nobody says yet when anything is heard: the oldest is past first.
            self.late += 1;
            self.blocks.pop_front();
        }
        self.late += u32::from(passed);
        self.blocks.push_back(block.clone());
        true
    }

    /// Forgets every block due at or after `from` that is not given to the output yet.
    pub fn flush(&mut self, from: HubTime) {
        self.blocks.retain(|block| block.due < from);
    }

    /// The output says when its frame number `frame` is, was or will be heard, give or take; frames are numbered from
    /// the first that [`Playout::fill`] gave.
    pub fn heard(&mut self, frame: u64, at: HubTime, uncertainty: Duration) -> Observed {
        self.clock.observe(Exchange::measured(self.nanos(frame), at, uncertainty))
    }

    /// When the output lets a frame be heard, by all that it said.
    pub fn moment_of(&self, frame: u64) -> Option<HubTime> {
        self.clock.to_hub(self.nanos(frame))
    }

    /// The number of the next frame.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// When what the next frame holds is due; absent in silence.
    pub fn due(&self) -> Option<HubTime> {
        let nanos = self.place? * 1e9 / f64::from(SampleRate::HUB.hertz());
        Some(HubTime::from_nanos(self.origin.nanos().saturating_add(nanos as i64)))
    }

    /// The output lost its place: what it said of its frames is void. Its pace is not where it is known by bounds; a trend
    /// begins anew.
    pub fn restarted(&mut self) {
        self.clock.begin_anew();
        if self.place.take().is_some() {
            self.drift.jumped();
        }
        self.leaving = None;
    }

    /// The next frames, interleaved stereo: sound where it is due, else silence; silence until the output first said
    /// when it is heard.
    pub fn fill(&mut self, out: &mut [i16]) {
        let frames = out.len() / CHANNELS;
        out.fill(0);
        let first = self.nanos(self.written);
        self.written += frames as u64;
        let Some(heard) = self.clock.to_hub(first) else { return };
        let right = self.exact_place_of(heard);
        let step = self.ratio * (1.0 + self.drift.rate_ppm() * 1e-6);
        self.forget_before(self.place.map_or(right, |place| place.min(right)));
        if !self.sounds(right, right + frames as f64 * step) {
            if self.place.take().is_some() {
                // The end of what was heard.
                self.blocks.retain(|block| block.end() > heard);
            }
            self.leaving = None;
            self.error = None;
            self.drift.rest();
            return;
        }
        let step = self.steer(heard, right, frames);
        self.render(out, step);
    }

    /// The rate in force against the output's own, ppm.
    pub fn rate_ppm(&self) -> f64 {
        self.drift.rate_ppm()
    }

    /// Blocks that came too late or found no room since this or a report was last asked for.
    pub fn take_late(&mut self) -> u32 {
        std::mem::take(&mut self.late)
    }

    /// Whether nothing waits to be heard.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// How it fares; counts begin anew.
    pub fn report(&mut self) -> Report {
        Report {
            error_nanos: self.error,
            uncertainty: self.uncertainty,
            clock: self.clock.to_hub(self.nanos(self.written)).and_then(|now| self.clock.reading(now)),
            corrections: self.drift.take(),
            late_blocks: self.take_late(),
            rate_ppm: self.drift.rate_ppm(),
        }
    }

    /// Decides where sound goes on and how fast; the step from frame to frame.
    fn steer(&mut self, heard: HubTime, right: f64, frames: usize) -> f64 {
        let known = self.clock.reading(heard);
        self.uncertainty = known.map_or(Duration::ZERO, |known| known.uncertainty);
        let Some(place) = self.place else {
            self.place = Some(right);
            self.error = Some(0);
            let begun = self.blocks.front().is_some_and(|block| self.place_of(block.due) < right - 1.0);
            self.entering = if begun { self.fade() } else { 0 };
            return self.ratio * (1.0 + self.drift.rate_ppm() * 1e-6);
        };
        let late_nanos = (right - place) * 1e9 / f64::from(SampleRate::HUB.hertz());
        self.error = Some(late_nanos as i64);
        let output_ppm = known.and_then(|known| known.drift_ppm);
        let deviation = Deviation { late_nanos, uncertainty: self.uncertainty, output_ppm };
        let rate = match self.drift.correct(deviation, Frames(frames as u64).duration(self.rate)) {
            Act::Rate(ppm) => ppm,
            Act::Reanchor(ppm) => {
                // Too far to be crossed: out and in.
                let crosses = (right - place).abs() < FARTHEST;
                self.leaving = crosses.then(|| (place, self.fade()));
                self.entering = if crosses { 0 } else { self.fade() };
                self.place = Some(right);
                self.error = Some(0);
                ppm
            }
        };
        self.ratio * (1.0 + rate * 1e-6)
    }

    fn render(&mut self, out: &mut [i16], step: f64) {
        let Some(start) = self.place else { return };
        let frames = out.len() / CHANNELS;
        let fade = self.fade();
        // Where a place was left only just now, the window reaches from the one to the other.
        let old = self.leaving.map_or(start, |(place, _)| place);
        let (low, high) = (start.min(old), start.max(old) + frames as f64 * step);
        let base = low.floor() as i64 - HALF as i64;
        self.window.clear((high.ceil() as i64 - base) as usize + HALF + 1);
        self.look_at(base);
        let base = base as f64;
        for (index, out) in out.chunks_exact_mut(CHANNELS).enumerate() {
            let moved = index as f64 * step;
            let mut frame = self.filter.read(&self.window, start - base + moved);
            if let Some((_, left)) = &mut self.leaving {
                let leaving = self.filter.read(&self.window, old - base + moved);
                let part = *left as f32 / fade as f32;
                for side in 0..CHANNELS {
                    frame[side] += part * (leaving[side] - frame[side]);
                }
                *left -= 1;
                if *left == 0 {
                    self.leaving = None;
                }
            }
            if self.entering > 0 {
                let part = 1.0 - self.entering as f32 / fade as f32;
                frame = frame.map(|sample| sample * part);
                self.entering -= 1;
            }
            for (out, sample) in out.iter_mut().zip(frame) {
                *out = rounded(sample);
            }
        }
        let moved = frames as f64 * step;
        self.place = Some(start + moved);
        if let Some((place, _)) = &mut self.leaving {
            *place += moved;
        }
    }

    /// Puts what is due from the place `base` into the window.
    fn look_at(&mut self, base: i64) {
        let end = self.window.left.len() as i64;
        for block in &self.blocks {
            let at = self.place_of(block.due) as i64 - base;
            if at >= end {
                return;
            }
            match usize::try_from(at) {
                Ok(at) => self.window.put(at, &block.samples),
                Err(_) => {
                    let cut = at.unsigned_abs() as usize * CHANNELS;
                    self.window.put(0, block.samples.get(cut..).unwrap_or(&[]));
                }
            }
        }
    }

    /// Whether any block lies between two places, the filter's reach included.
    fn sounds(&self, from: f64, to: f64) -> bool {
        let reach = HALF as f64;
        let mut begun = self.blocks.iter().take_while(|block| self.place_of(block.due) < to + reach);
        begun.any(|block| self.place_of(block.end()) > from - reach)
    }

    fn forget_before(&mut self, place: f64) {
        let old = self.leaving.map_or(place, |(old, _)| old.min(place));
        while let Some(block) = self.blocks.front() {
            if self.place_of(block.end()) > old - (HALF + 1) as f64 {
                return;
            }
            if self.place.is_none() {
                // It came while something was to be heard, and nobody heard it.
                self.late += 1;
            }
            self.blocks.pop_front();
        }
    }

    /// Whole frames from the origin, as blocks lie on a grid; of a shifted one, the nearest.
    fn place_of(&self, due: HubTime) -> f64 {
        self.exact_place_of(due).round()
    }

    fn exact_place_of(&self, at: HubTime) -> f64 {
        let nanos = at.nanos().saturating_sub(self.origin.nanos());
        nanos as f64 * f64::from(SampleRate::HUB.hertz()) / 1e9
    }

    /// The output's clock at a frame.
    fn nanos(&self, frame: u64) -> i64 {
        i64::try_from(Frames(frame).duration(self.rate).as_nanos()).unwrap_or(i64::MAX)
    }

    fn fade(&self) -> u32 {
        (Frames::within(FADE, self.rate).0 as u32).max(1)
    }
}
