//! An output under scripted sources and a scripted clock: whatever is asked of it in whatever order, blocks come in
//! order on one grid, and every sound that is not stopped ends.

use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use antiphon_audio::Block;
use antiphon_domain::mix::InputGains;
use antiphon_domain::sound::Voice;
use antiphon_domain::{Gain, HubTime, Lead, SpeakerId};
use antiphon_endpoint::{Caps, Clock, Control, Endpoint};
use proptest::prelude::*;

use super::OutputState;
use crate::grid;
use crate::metrics::Metrics;
use crate::news::{FeedId, SoundEvent};
use crate::sound::{Playing, SoundKey, SoundState, Start};
use crate::source::{self, Piece, SourceEnd};
use crate::timeline::{Rules, Segment, Timeline};

const TICK: Duration = Duration::from_millis(8);
const RULES: Rules = Rules {
    margin: Duration::from_millis(20),
    prebuffer: Duration::from_millis(100),
    recover: Duration::from_millis(500),
};

#[derive(Default)]
struct Script(AtomicI64);

impl Clock for Script {
    fn now(&self) -> HubTime {
        HubTime::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

struct Ear {
    lead: Lead,
    heard: Arc<Mutex<Vec<Block>>>,
}

impl Endpoint for Ear {
    fn caps(&self) -> Caps {
        Caps { lead: self.lead, own_volume: false }
    }
    fn play(&mut self, block: &Block) {
        let mut heard = self.heard.lock().unwrap();
        assert_eq!(block.due, grid::due(grid::nearest(block.due)), "on the grid");
        assert_eq!(block.samples.len(), 704);
        assert!(heard.last().is_none_or(|last| last.due < block.due), "due times go back");
        heard.push(block.clone());
    }
    fn flush(&mut self, from: HubTime) {
        self.heard.lock().unwrap().retain(|block| block.due < from);
    }
    fn control(&mut self, _control: Control) {}
}

#[derive(Clone, Debug)]
enum Step {
    Pass(u32),
    /// A sound of the voice, so many blocks of it; the start by its kind and milliseconds.
    Sound {
        voice: usize,
        blocks: usize,
        start: u8,
        millis: u64,
    },
    /// A sound that gives nothing until the end.
    Slow(usize),
    Stop(usize),
    Gains {
        db: i8,
        over: u64,
        from: Option<u64>,
    },
    Tone(i8),
    Swell(usize, u64),
    Give(usize),
    Pause,
    Resume,
    Detach,
    Attach,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1u32..60).prop_map(Step::Pass),
        4 => (0usize..3, 1usize..300, 0u8..3, 0u64..900)
            .prop_map(|(voice, blocks, start, millis)| Step::Sound { voice, blocks, start, millis }),
        1 => (0usize..3).prop_map(Step::Slow),
        2 => (0usize..8).prop_map(Step::Stop),
        2 => (-60i8..6, 0u64..500, proptest::option::of(0u64..900))
            .prop_map(|(db, over, from)| Step::Gains { db, over, from }),
        1 => (-12i8..13).prop_map(Step::Tone),
        1 => (0usize..3, 0u64..2_000).prop_map(|(voice, over)| Step::Swell(voice, over)),
        4 => (1usize..30_000).prop_map(Step::Give),
        1 => Just(Step::Pause),
        2 => Just(Step::Resume),
        1 => Just(Step::Detach),
        2 => Just(Step::Attach),
    ];
    proptest::collection::vec(step, 1..100)
}

struct House {
    clock: Script,
    output: OutputState,
    timeline: Timeline,
    feed: FeedId,
    content: SourceEnd,
    sounds: Vec<SoundKey>,
    stopped: Vec<SoundKey>,
    slow: Vec<SourceEnd>,
    over: Arc<AtomicUsize>,
    metrics: Metrics,
}

impl House {
    fn new(lead: u64) -> Self {
        let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
        let (source, content) = source::line(100_000);
        let feed = FeedId::next();
        let segment =
            Segment::new(feed, source, Arc::new(|_| {}), Duration::ZERO, Arc::new(AtomicU64::new(0)));
        let mut timeline = Timeline::new(segment);
        timeline.start(Duration::from_millis(50));
        let ear = Ear { lead: Lead(Duration::from_millis(lead)), heard: Arc::default() };
        let output = OutputState::new(SpeakerId::new("ear"), Box::new(ear), Arc::new(|_| {}), &metrics);
        Self {
            clock: Script::default(),
            output,
            timeline,
            feed,
            content,
            sounds: Vec::new(),
            stopped: Vec::new(),
            slow: Vec::new(),
            over: Arc::default(),
            metrics,
        }
    }

    fn sound(&mut self, voice: usize, start: Start) -> SourceEnd {
        let (source, end) = source::line(1_000);
        let (key, over) = (SoundKey::next(), Arc::clone(&self.over));
        let sink = Arc::new(move |event| {
            if matches!(event, SoundEvent::Finished | SoundEvent::Failed(_)) {
                over.fetch_add(1, Ordering::Relaxed);
            }
        });
        let sound = SoundState::new(key, source, sink);
        self.output.play_sound(Playing { sound, voice: Voice::ALL[voice], start, leaving: None });
        self.sounds.push(key);
        end
    }

    fn step(&mut self, step: &Step) {
        let now = self.clock.now();
        let millis = Duration::from_millis;
        match step {
            Step::Pass(ticks) => (0..*ticks).for_each(|_| self.tick()),
            Step::Sound { voice, blocks, start, millis: wait } => {
                let start = match (start, self.sounds.last()) {
                    (1, _) => Start::At(now + millis(*wait)),
                    (2, Some(sound)) => Start::After { sound: *sound, pause: millis(*wait) },
                    _ => Start::Now,
                };
                let end = self.sound(*voice, start);
                for _ in 0..*blocks {
                    end.pieces.send(Piece::Samples(vec![1_000; 704].into())).unwrap();
                }
                end.pieces.send(Piece::Samples(vec![1_000; 100].into())).unwrap();
                end.end(None);
            }
            Step::Slow(voice) => {
                let end = self.sound(*voice, Start::Now);
                for _ in 0..20 {
                    end.pieces.send(Piece::Samples(vec![1_000; 704].into())).unwrap();
                }
                self.slow.push(end);
            }
            Step::Stop(index) => {
                let Some(key) = self.sounds.get(*index).copied() else { return };
                let before = self.over.load(Ordering::Relaxed);
                let timeline = self.output.timeline.map(|_| &self.timeline);
                if self.output.stop_sound(key, timeline, &self.clock) && !self.stopped.contains(&key) {
                    self.stopped.push(key);
                }
                assert_eq!(self.over.load(Ordering::Relaxed), before, "a stop is not news");
            }
            Step::Gains { db, over, from } => {
                let gain = Gain::Db(f32::from(*db));
                let gains = InputGains { content: gain, voices: [gain; 3] };
                self.output.set_gains(gains, millis(*over), from.map(|from| now + millis(from)));
            }
            Step::Tone(db) => self.output.set_equalizer([*db, 0, -*db]),
            Step::Swell(voice, over) => self.output.swell(Voice::ALL[*voice], millis(*over)),
            Step::Give(frames) => {
                let samples: Vec<i16> = vec![2_000; frames * 2];
                for piece in samples.chunks(704) {
                    self.content.pieces.try_send(Piece::Samples(piece.into())).unwrap();
                }
            }
            Step::Pause => {
                if let Some(cut) = self.timeline.pause(now)
                    && self.output.timeline.is_some()
                {
                    self.output.cut(cut, &self.clock);
                }
            }
            Step::Resume => self.timeline.resume(millis(50)),
            Step::Detach => self.output.detach(&self.clock),
            Step::Attach => {
                if self.output.timeline.is_none() {
                    self.output.attach(self.feed, &self.timeline, &self.clock);
                }
            }
        }
    }

    fn tick(&mut self) {
        self.clock.0.fetch_add(TICK.as_nanos() as i64, Ordering::Relaxed);
        let now = self.clock.now();
        self.timeline.listeners.count_anew();
        self.timeline.listeners.count(self.output.lead(), false);
        self.timeline.fill(now, &RULES);
        self.timeline.advance(now, &RULES);
        let timeline = self.output.timeline.map(|_| &self.timeline);
        self.output.pump(timeline, now, &RULES, &self.clock, &self.metrics);
        self.timeline.report(now);
        self.output.report(now);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn blocks_stay_in_order_and_every_sound_ends(walk in steps(), lead in 10u64..2_000) {
        let mut house = House::new(lead);
        for step in &walk {
            house.step(step);
        }
        for slow in std::mem::take(&mut house.slow) {
            slow.end(None);
        }
        // Chains may be long: every sound after every other, with its pause and lead.
        for _ in 0..walk.len() + 4 {
            house.step(&Step::Pass(700));
            if house.output.sounds() == 0 {
                break;
            }
        }
        assert_eq!(house.output.sounds(), 0);
        assert!(house.output.endpoint.is_some(), "the ear heard nothing amiss");
        assert_eq!(house.over.load(Ordering::Relaxed) + house.stopped.len(), house.sounds.len());
    }
}

#[test]
fn a_voice_that_stalls_goes_on_where_it_stopped() {
    let mut house = House::new(80);
    let heard: Arc<Mutex<Vec<Block>>> = Arc::default();
    house.output.endpoint =
        Some(Box::new(Ear { lead: Lead(Duration::from_millis(80)), heard: Arc::clone(&heard) }));
    let end = house.sound(0, Start::Now);
    let give = |from: i16, blocks: i16| {
        for block in from..from + blocks {
            end.pieces.send(Piece::Samples(vec![block + 1; 704].into())).unwrap();
        }
    };
    give(0, 40);
    house.step(&Step::Pass(125));
    give(40, 100);
    end.end(None);
    house.step(&Step::Pass(250));
    let heard = heard.lock().unwrap();
    let values: Vec<i16> = heard.iter().map(|block| block.samples[0]).collect();
    assert_eq!(values, (1..=140).collect::<Vec<i16>>(), "every block once");
    assert!(heard[40].due.since(heard[39].end()) > Duration::from_millis(400));
    assert_eq!(house.over.load(Ordering::Relaxed), 1);
    assert_eq!(house.output.voices.len(), 0);
}
