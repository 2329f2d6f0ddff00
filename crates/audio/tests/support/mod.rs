//! A house under virtual time: outputs with crystals of their own, readings that err, a network that loses and stalls.
//! Everything follows from a seed.
#![allow(dead_code)]
#![allow(clippy::unwrap_used, reason = "tests")]

pub mod sine;

use std::collections::VecDeque;
use std::time::Duration;

use antiphon_audio::playout::{Playout, Report};
use antiphon_audio::{BLOCK_FRAMES, Block, CHANNELS};
use antiphon_domain::{Frames, HubTime, SampleRate};

/// Numbers from a seed (SplitMix64).
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 0 to 1.
    pub fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// `low` to `high`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.part()
    }

    /// A wait with many short and few long ones.
    pub fn wait(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.part()).ln()
    }
}

/// What a house is like.
#[derive(Clone, Copy, Debug)]
pub struct House {
    /// Largest skew of an output, ppm.
    pub skew_ppm: f64,
    /// How far readings of the output's place err, at most, nanoseconds.
    pub jitter: f64,
    /// The part of blocks that never come.
    pub loss: f64,
    /// Stalls of the network a second, and of the playing thread.
    pub stalls: f64,
    /// How long a stall lasts at most, nanoseconds.
    pub stall: f64,
    /// Whether outputs say that they ran dry, as cards do.
    pub tells: bool,
}

impl House {
    /// An ordinary one: readings good to 0.5 ms, no loss.
    pub const CALM: House =
        House { skew_ppm: 100.0, jitter: 500e3, loss: 0.0, stalls: 0.0, stall: 0.0, tells: false };
    /// A bad one: readings to 2 ms, a block in 500 lost, every ten seconds a stall of up to 150 ms.
    pub const WILD: House =
        House { skew_ppm: 100.0, jitter: 2e6, loss: 0.002, stalls: 0.1, stall: 150e6, tells: false };
    /// One whose threads are away for longer than the output's buffer.
    pub const BROKEN: House =
        House { skew_ppm: 100.0, jitter: 1e6, loss: 0.01, stalls: 0.1, stall: 500e6, tells: false };
}

/// What an output keeps of sound ahead, nanoseconds.
const BUFFER: f64 = 200e6;
/// How often its thread looks.
const LOOK: f64 = 10e6;
/// How early blocks are sent.
const LEAD: f64 = 400e6;

/// An output and its playout.
pub struct Output {
    pub playout: Playout,
    pub rate: SampleRate,
    pub skew_ppm: f64,
    chance: Chance,
    house: House,
    /// When its frame 0 was, or would have been, heard.
    origin: f64,
    /// When its thread looks next.
    look: f64,
    /// Blocks on their way: (when they arrive, block).
    coming: VecDeque<(f64, Block)>,
    /// Until when the network stands still.
    stalled: f64,
    /// Everything heard, when kept.
    pub heard: Option<Vec<i16>>,
    pub lost: u64,
    /// Times its buffer ran dry.
    pub dry: u64,
}

/// The truth after a piece was filled.
#[derive(Clone, Copy, Debug)]
pub struct Truth {
    /// The moment, nanoseconds.
    pub now: f64,
    /// How much later than due it will be heard, nanoseconds; absent in silence.
    pub error: Option<f64>,
    pub rate_ppm: f64,
}

impl Output {
    pub fn new(seed: u64, house: House) -> Self {
        let mut chance = Chance::new(seed);
        let rate = if chance.part() < 0.5 { 44_100 } else { 48_000 };
        let rate = SampleRate::new(rate).unwrap();
        let skew_ppm = chance.between(-house.skew_ppm, house.skew_ppm);
        let begins = chance.between(0.0, 1e9);
        Self {
            playout: Playout::new(rate),
            rate,
            skew_ppm,
            chance,
            house,
            origin: begins + 5e6,
            look: begins,
            coming: VecDeque::new(),
            stalled: 0.0,
            heard: None,
            lost: 0,
            dry: 0,
        }
    }

    /// The frame that is heard at a moment, by the output's own crystal.
    pub fn frame_at(&self, now: f64) -> f64 {
        (now - self.origin) * self.pace() / 1e9
    }

    /// When a frame is heard.
    pub fn heard_at(&self, frame: u64) -> f64 {
        self.origin + frame as f64 * 1e9 / self.pace()
    }

    fn pace(&self) -> f64 {
        f64::from(self.rate.hertz()) * (1.0 + self.skew_ppm * 1e-6)
    }

    /// The hub sends a block.
    pub fn send(&mut self, block: &Block) {
        let sent = block.due.nanos() as f64 - LEAD;
        if self.chance.part() < self.house.loss {
            self.lost += BLOCK_FRAMES as u64;
            return;
        }
        if self.chance.part() < self.house.stalls * BLOCK_FRAMES as f64 / 44_100.0 {
            self.stalled = sent + self.chance.between(0.0, self.house.stall);
        }
        // TCP keeps the order.
        let before = self.coming.back().map_or(0.0, |(at, _)| *at);
        let arrives = (sent + 1e6 + self.chance.wait(3e6)).max(self.stalled).max(before);
        self.coming.push_back((arrives, block.clone()));
    }

    /// Lets time pass until `until`; tells the truth after each piece.
    pub fn run(&mut self, until: f64, mut tell: impl FnMut(Truth)) {
        let mut piece = vec![0i16; self.rate.hertz() as usize / 100 * CHANNELS];
        while self.look < until {
            let now = self.look;
            while self.coming.front().is_some_and(|(at, _)| *at <= now) {
                if let Some((_, block)) = self.coming.pop_front() {
                    self.playout.play(&block);
                }
            }
            let written = self.playout.written();
            let dry = now - self.heard_at(written);
            if dry > 0.0 {
                // The output waited for us.
                self.origin += dry;
                self.dry += u64::from(written > 0);
                if self.house.tells && written > 0 {
                    self.playout.restarted();
                }
            }
            let err = self.chance.between(-self.house.jitter, self.house.jitter);
            let at = HubTime::from_nanos((self.heard_at(written) + err) as i64);
            self.playout.heard(written, at, Duration::from_nanos(self.house.jitter as u64));
            while self.heard_at(self.playout.written()) < now + BUFFER {
                self.playout.fill(&mut piece);
                if let Some(heard) = &mut self.heard {
                    heard.extend_from_slice(&piece);
                }
                let due = self.playout.due();
                let error = due.map(|due| self.heard_at(self.playout.written()) - due.nanos() as f64);
                tell(Truth { now, error, rate_ppm: self.playout.rate_ppm() });
            }
            let stall = if self.chance.part() < self.house.stalls * LOOK / 1e9 {
                self.chance.between(0.0, self.house.stall)
            } else {
                0.0
            };
            self.look = now + LOOK + self.chance.wait(0.5e6) + stall;
        }
    }

    pub fn report(&mut self) -> Report {
        self.playout.report()
    }
}

/// Blocks of one stream that begins at `first`, on the hub's grid.
pub struct Stream {
    first: u64,
    next: u64,
    sound: fn(u64) -> [i16; 2],
}

impl Stream {
    pub fn new(begins: Duration, sound: fn(u64) -> [i16; 2]) -> Self {
        let first = Frames::within(begins, SampleRate::HUB).0 / BLOCK_FRAMES as u64;
        Self { first, next: first, sound }
    }

    /// The next block that is sent before a moment.
    pub fn before(&mut self, now: f64) -> Option<Block> {
        let due = Frames(self.next * BLOCK_FRAMES as u64).duration(SampleRate::HUB);
        if due.as_nanos() as f64 - LEAD >= now {
            return None;
        }
        let mut samples = Vec::with_capacity(BLOCK_FRAMES * CHANNELS);
        for index in 0..BLOCK_FRAMES as u64 {
            samples.extend((self.sound)((self.next - self.first) * BLOCK_FRAMES as u64 + index));
        }
        self.next += 1;
        Some(Block { due: HubTime::EPOCH + due, samples: samples.into() })
    }
}

/// Silence costs the simulation least.
pub fn silence(_: u64) -> [i16; 2] {
    [0; 2]
}

/// Noise that is the same each time.
pub fn noise(frame: u64) -> [i16; 2] {
    let sample = (Chance::new(frame).next() >> 50) as i16 - 8_192;
    [sample, sample]
}

/// Plays one stream to one output for a while.
pub fn play(output: &mut Output, seconds: f64, sound: fn(u64) -> [i16; 2], mut tell: impl FnMut(Truth)) {
    let mut stream = Stream::new(Duration::from_millis(1_500), sound);
    let mut now = 0.0;
    while now < seconds * 1e9 {
        now += 50e6;
        while let Some(block) = stream.before(now) {
            output.send(&block);
        }
        output.run(now, &mut tell);
    }
}

/// The value below which the part `part` (0 to 1) of the sizes lies.
pub fn quantile(sizes: &mut [f64], part: f64) -> f64 {
    sizes.sort_by(f64::total_cmp);
    let index = (part * sizes.len().saturating_sub(1) as f64).round() as usize;
    sizes.get(index).copied().unwrap_or(f64::NAN)
}
