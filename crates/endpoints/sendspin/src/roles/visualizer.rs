//! The visualizer role: how loud what is heard is, for clients that show it.
//!
//! Pure. Of the spec's types only `loudness` is offered: beats want a tracker, spectra a transform nobody has asked
//! for. Measured from the blocks on their way to the client, so that it is told ahead and shown with the sound.

use std::collections::VecDeque;

use antiphon_audio::{BLOCK_FRAMES, Block};
use antiphon_domain::{HubTime, SampleRate};
use bytes::Bytes;
use serde_json::{Map, Value};

use super::{Out, micros, object};

/// The binary id of a loudness frame.
const LOUDNESS: u8 = 16;

/// Its bytes as the client's buffer counts them: type, timestamp, value.
const FRAME_BYTES: u64 = 11;

/// Frames a second at most, whatever a client can take.
const MOST: u64 = 30;

/// Frames kept while the client's buffer is full.
const QUEUE: usize = 512;

/// What a level of 0 stands for, dB (spec, visualizer v1).
const FLOOR: f64 = -60.0;

/// One client's meter.
#[derive(Debug)]
pub struct Visualizer {
    capacity: u64,
    /// Frames a second the client wants of loudness; `None` when it wants none or has not said.
    rate: Option<u64>,
    streamed: Option<u64>,
    filter: Weighting,
    blocks: u64,
    sum: f64,
    due: HubTime,
    frames: VecDeque<(HubTime, u16)>,
    sent: VecDeque<HubTime>,
    clear: bool,
}

impl Visualizer {
    /// Of a client with this hello; `None` when the support object is missing.
    pub fn new(hello: &Map<String, Value>) -> Option<Self> {
        let support = hello.get("visualizer@v1_support")?;
        let capacity = support.get("buffer_capacity")?.as_u64()?;
        Some(Self {
            capacity,
            rate: None,
            streamed: None,
            filter: Weighting::default(),
            blocks: 0,
            sum: 0.0,
            due: HubTime::EPOCH,
            frames: VecDeque::new(),
            sent: VecDeque::new(),
            clear: false,
        })
    }

    /// The visualizer object of a client's state.
    pub fn declared(&mut self, visualizer: &Value) -> Result<(), String> {
        let types = visualizer.get("types").and_then(Value::as_array).ok_or("a visualizer without types")?;
        let has = |name: &str| types.iter().any(|known| known.as_str() == Some(name));
        if has("spectrum") && visualizer.get("spectrum").is_none_or(|spectrum| !spectrum.is_object()) {
            return Err("a spectrum without its shape".into());
        }
        let rate = visualizer.get("rate_max").and_then(Value::as_u64).filter(|rate| *rate > 0);
        let rate = rate.ok_or("a visualizer without a rate")?;
        self.rate = has("loudness").then_some(rate.min(MOST));
        Ok(())
    }

    /// Measures a block that is going to be heard.
    pub fn block(&mut self, block: &Block) {
        let Some(rate) = self.streamed else { return };
        if self.blocks == 0 {
            self.due = block.due;
        }
        self.sum += self.filter.energy(&block.samples);
        self.blocks += 1;
        let every = u64::from(SampleRate::HUB.hertz()).div_ceil(BLOCK_FRAMES as u64 * rate);
        if self.blocks < every {
            return;
        }
        let mean = self.sum / (self.blocks * BLOCK_FRAMES as u64) as f64;
        if self.frames.len() == QUEUE {
            self.frames.pop_front();
        }
        self.frames.push_back((self.due, level(mean)));
        self.blocks = 0;
        self.sum = 0.0;
    }

    /// Sound on its way is not going to be heard.
    pub fn flush(&mut self, from: HubTime, now: HubTime) {
        self.frames.retain(|(due, _)| *due < from);
        self.blocks = 0;
        self.sum = 0.0;
        if self.streamed.is_some() && self.sent.back().is_some_and(|due| *due >= from && *due > now) {
            self.clear = true;
        }
    }

    /// The next message; `wanted` says whether sound is on its way to the client.
    pub fn poll(&mut self, wanted: bool, at: HubTime) -> Option<Out> {
        let rate = self.rate.filter(|_| wanted);
        if rate.is_none() && self.streamed.is_some() {
            self.forget();
            self.streamed = None;
            return Some(Out::Json {
                kind: "stream/end",
                payload: object("roles", vec!["visualizer"].into()),
            });
        }
        if rate != self.streamed {
            self.streamed = rate;
            let mut visualizer = object("types", vec!["loudness"].into());
            visualizer.insert("rate_max".into(), rate?.into());
            let payload = object("visualizer", visualizer.into());
            return Some(Out::Stamped { kind: "stream/start", payload });
        }
        if self.clear {
            self.clear = false;
            self.sent.clear();
            return Some(Out::Stamped {
                kind: "stream/clear",
                payload: object("roles", vec!["visualizer"].into()),
            });
        }
        while self.sent.front().is_some_and(|due| *due <= at) {
            self.sent.pop_front();
        }
        while self.frames.front().is_some_and(|(due, _)| *due <= at) {
            self.frames.pop_front();
        }
        if (self.sent.len() as u64 + 1) * FRAME_BYTES > self.capacity {
            return None;
        }
        let (due, value) = self.frames.pop_front()?;
        self.sent.push_back(due);
        let mut body = micros(due).to_be_bytes().to_vec();
        body.extend_from_slice(&value.to_be_bytes());
        Some(Out::Binary { id: LOUDNESS, body: Bytes::from(body) })
    }

    /// When the client's buffer has room again.
    pub fn wake(&self) -> Option<HubTime> {
        self.frames.front()?;
        self.sent.front().copied()
    }

    fn forget(&mut self) {
        self.frames.clear();
        self.sent.clear();
        self.clear = false;
        self.blocks = 0;
        self.sum = 0.0;
        self.filter = Weighting::default();
    }
}

/// A mean square (1 is a full-scale square wave) on the wire's scale: -60 dB is 0, 0 dB is 65,535.
fn level(mean_square: f64) -> u16 {
    if mean_square <= 0.0 {
        return 0;
    }
    let decibels = 10.0 * mean_square.log10();
    // The cast saturates.
    ((decibels - FLOOR) / -FLOOR * 65_535.0).round() as u16
}

/// The A-weighting of IEC 61672-1 (annex E) at the hub's rate: four high-passes and two low-passes of the first order,
/// each by the bilinear transform, bent to be right at its own corner.
#[derive(Debug)]
struct Weighting {
    sections: [Section; 6],
    gain: f64,
}

#[derive(Clone, Copy, Debug)]
struct Section {
    /// In front of this and the last input, and of the last output.
    factors: [f64; 3],
    input: f64,
    output: f64,
}

impl Section {
    fn new(hertz: f64, high: bool) -> Self {
        let warped = (std::f64::consts::PI * hertz / f64::from(SampleRate::HUB.hertz())).tan();
        let scale = 1.0 / (1.0 + warped);
        let (now, before) = if high { (scale, -scale) } else { (warped * scale, warped * scale) };
        Self { factors: [now, before, (1.0 - warped) * scale], input: 0.0, output: 0.0 }
    }

    fn step(&mut self, input: f64) -> f64 {
        let [now, before, back] = self.factors;
        self.output = now * input + before * self.input + back * self.output;
        self.input = input;
        self.output
    }
}

impl Default for Weighting {
    fn default() -> Self {
        let high = |hertz| Section::new(hertz, true);
        let low = |hertz| Section::new(hertz, false);
        let sections = [high(20.6), high(20.6), high(107.7), high(737.9), low(12_194.0), low(12_194.0)];
        // 2.0 dB: A(1000 Hz) is 0 dB by definition.
        Self { sections, gain: 1.258_9 }
    }
}

impl Weighting {
    /// The sum of squares of the weighted mean of both channels.
    fn energy(&mut self, samples: &[i16]) -> f64 {
        let mut sum = 0.0;
        for frame in samples.chunks_exact(2) {
            let mut value: f64 = frame.iter().map(|sample| f64::from(*sample)).sum::<f64>() / 65_536.0;
            for section in &mut self.sections {
                value = section.step(value);
            }
            sum += (value * self.gain) * (value * self.gain);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(hertz: f64) -> f64 {
        let mut weighting = Weighting::default();
        let tone: Vec<i16> = (0..44_100)
            .flat_map(|n| {
                let value = (f64::from(n) * hertz * std::f64::consts::TAU / 44_100.0).sin() * 32_767.0;
                [value as i16; 2]
            })
            .collect();
        weighting.energy(&tone[..44_100]);
        10.0 * (weighting.energy(&tone[44_100..]) / 22_050.0 * 2.0).log10()
    }

    #[test]
    fn tones_weigh_what_the_standard_says() {
        // IEC 61672-1, table 3.
        for (hertz, decibels) in
            [(1_000.0, 0.0), (100.0, -19.1), (4_000.0, 1.0), (31.5, -39.4), (250.0, -8.6)]
        {
            let heard = heard(hertz);
            assert!((heard - decibels).abs() < 0.5, "{hertz} Hz: {heard} dB");
        }
    }

    #[test]
    fn levels_have_true_ends() {
        assert_eq!(level(0.0), 0);
        assert_eq!(level(1e-9), 0);
        assert_eq!(level(1.0), 65_535);
        assert_eq!(level(0.001), 32_768);
    }
}
