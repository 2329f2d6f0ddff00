//! A timeline and its outputs under scripted sources and a scripted clock: whatever the order of commands and however
//! slow the source, listeners get every sample once, in order, at due times that never go back.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use antiphon_audio::{BLOCK_FRAMES, Block};
use antiphon_domain::{HubTime, Lead, SpeakerId};
use antiphon_endpoint::{Caps, Clock, Control, Endpoint};
use proptest::prelude::*;

use super::{Rules, Segment, Timeline};
use crate::metrics::Metrics;
use crate::news::{FeedEvent, FeedId};
use crate::output::OutputState;
use crate::source::{self, Piece, SourceEnd};

const TICK: Duration = Duration::from_millis(8);

#[derive(Default)]
struct Script(AtomicI64);

impl Clock for Script {
    fn now(&self) -> HubTime {
        HubTime::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

type Heard = Arc<Mutex<Vec<Block>>>;

struct Ear {
    lead: Lead,
    heard: Heard,
}

impl Endpoint for Ear {
    fn caps(&self) -> Caps {
        Caps { lead: self.lead, own_volume: false }
    }
    fn play(&mut self, block: &Block) {
        self.heard.lock().unwrap().push(block.clone());
    }
    fn flush(&mut self, from: HubTime) {
        self.heard.lock().unwrap().retain(|block| block.due < from);
    }
    fn control(&mut self, _control: Control) {}
}

#[derive(Clone, Debug)]
enum Step {
    /// The source gives so many frames.
    Give(usize),
    /// The source ends and a successor is put behind it.
    Next,
    /// Time passes, in ticks.
    Pass(u32),
    Pause,
    Resume,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1usize..20_000).prop_map(Step::Give),
        1 => Just(Step::Next),
        4 => (1u32..120).prop_map(Step::Pass),
        1 => Just(Step::Pause),
        1 => Just(Step::Resume),
    ];
    proptest::collection::vec(step, 1..60)
}

struct House {
    id: FeedId,
    clock: Script,
    timeline: Timeline,
    outputs: Vec<(OutputState, Heard)>,
    source: SourceEnd,
    events: Vec<FeedEvent>,
    metrics: Metrics,
    /// The value of the next frame: frames are numbered through all feeds.
    next: i64,
    feeds: usize,
}

/// A frame's number as a sample: loud enough to be told from silence in the first frame of a fade.
fn sample(number: i64) -> i16 {
    (number % 30_000 + 500) as i16
}

fn segment() -> (Segment, SourceEnd) {
    // Room for everything: a scripted source never waits.
    let (source, end) = source::line(100_000);
    let position = Arc::new(AtomicU64::new(0));
    (Segment::new(FeedId::next(), source, Arc::new(|_| {}), Duration::ZERO, position), end)
}

impl House {
    fn new(leads: &[u64]) -> Self {
        let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
        let (segment, source) = segment();
        let id = segment.feed;
        let timeline = Timeline::new(segment);
        let (clock, outputs, events) = (Script::default(), Vec::new(), Vec::new());
        let mut house = Self { id, clock, timeline, outputs, source, events, metrics, next: 0, feeds: 1 };
        leads.iter().for_each(|lead| house.join(*lead));
        house.timeline.start(Duration::from_millis(50));
        house
    }

    fn join(&mut self, lead: u64) {
        let (lead, heard) = (Lead(Duration::from_millis(lead)), Heard::default());
        let ear = Box::new(Ear { lead, heard: Arc::clone(&heard) });
        let mut output = OutputState::new(SpeakerId::new("ear"), ear, Arc::new(|_| {}), &self.metrics);
        output.attach(self.id, &self.timeline, &self.clock);
        self.outputs.push((output, heard));
    }

    fn give(&mut self, frames: usize) {
        let mut samples = Vec::new();
        for _ in 0..frames {
            samples.extend([sample(self.next); 2]);
            self.next += 1;
        }
        for piece in samples.chunks(BLOCK_FRAMES * 2) {
            self.source.pieces.try_send(Piece::Samples(piece.into())).unwrap();
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Give(frames) => self.give(*frames),
            Step::Next => {
                self.source.end(None);
                let (segment, source) = segment();
                self.timeline.follow(segment);
                self.source = source;
                self.feeds += 1;
            }
            Step::Pass(ticks) => (0..*ticks).for_each(|_| self.tick()),
            Step::Pause => {
                let cut = self.timeline.pause(self.clock.now());
                for (output, _) in &mut self.outputs {
                    if let Some(cut) = cut {
                        output.cut(cut, &self.clock);
                    }
                }
            }
            Step::Resume => self.timeline.resume(Duration::from_millis(50)),
        }
    }

    fn tick(&mut self) {
        self.clock.0.fetch_add(TICK.as_nanos() as i64, Ordering::Relaxed);
        let now = self.clock.now();
        let rules = Rules {
            margin: Duration::from_millis(20),
            prebuffer: Duration::from_millis(100),
            recover: Duration::from_millis(500),
        };
        self.timeline.listeners.count_anew();
        for (output, _) in &self.outputs {
            self.timeline.listeners.count(output.lead(), output.established);
        }
        self.timeline.fill(now, &rules);
        self.timeline.advance(now, &rules);
        for (output, _) in &mut self.outputs {
            output.pump(Some(&self.timeline), now, &rules, &self.clock, &self.metrics);
        }
        self.timeline.report(now);
        self.events.extend(self.timeline.news().into_iter().map(|(_, event)| event));
        for (output, _) in &mut self.outputs {
            output.report(now);
        }
    }

    fn check(&self) {
        for (_, heard) in &self.outputs {
            let (mut number, mut fading, mut end) = (0, 0, HubTime::from_nanos(i64::MIN / 2));
            for block in heard.lock().unwrap().iter() {
                assert!(block.due.nanos() >= end.nanos() - 1, "due times go back");
                if block.due.since(end) > Duration::from_millis(1) {
                    // After silence it may fade in for 10 ms.
                    fading = 442;
                }
                end = block.end();
                for frame in block.samples.chunks(2).filter(|frame| frame[0] != 0) {
                    if fading > 0 {
                        fading -= 1;
                        assert!(frame[0] <= sample(number), "{} for {}", frame[0], sample(number));
                    } else {
                        assert_eq!(frame[0], sample(number), "frame {number}");
                    }
                    number += 1;
                }
            }
            assert_eq!(number, self.next, "every frame was heard");
        }
        let count = |pick: fn(&FeedEvent) -> bool| self.events.iter().filter(|event| pick(event)).count();
        assert_eq!(count(|event| matches!(event, FeedEvent::Finished { .. })), self.feeds);
        let stalls = count(|event| matches!(event, FeedEvent::Stalled { .. }));
        assert!(count(|event| matches!(event, FeedEvent::Recovered { .. })) <= stalls);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn every_sample_is_heard_once_and_in_order(walk in steps(), leads in proptest::collection::vec(10u64..2_000, 1..3)) {
        let mut house = House::new(&leads);
        for step in &walk {
            house.step(step);
        }
        // To the end: nothing is held, nothing more comes.
        house.source.end(None);
        house.step(&Step::Resume);
        let seconds = 10 + house.next / 44_100 * 2 + walk.len() as i64;
        house.step(&Step::Pass(seconds as u32 * 125));
        house.check();
    }
}

/// A live source gives what was played just now, and no more: one that joins and wants more lead than that takes what there
/// is, and nobody else misses a sample for it.
#[test]
fn who_joins_a_live_feed_with_a_larger_lead_silences_nobody() {
    let mut house = House::new(&[1_000]);
    let live = |house: &mut House, ticks: u32| {
        for _ in 0..ticks {
            house.give(BLOCK_FRAMES);
            house.tick();
        }
    };
    live(&mut house, 250);
    house.join(3_000);
    live(&mut house, 1_000);
    let stalled = house.events.iter().any(|event| matches!(event, FeedEvent::Stalled { .. }));
    assert!(!stalled, "a joiner stalls everybody");
    let first = house.outputs[0].1.lock().unwrap();
    assert!(first.windows(2).all(|two| two[1].due.since(two[0].end()) < Duration::from_millis(1)), "a hole");
    assert!(first.len() > 1_000, "{} blocks", first.len());
    // It gets all there is: an endpoint may make something of blocks that come late.
    let second = house.outputs[1].1.lock().unwrap();
    assert!(second.len() > 500, "{} blocks", second.len());
    drop((first, second));
    // Begun anew, everybody has its lead.
    house.step(&Step::Pause);
    house.step(&Step::Resume);
    live(&mut house, 1_000);
    let least = Duration::from_millis(3_000);
    assert!(house.timeline.listeners.least() >= least, "{:?}", house.timeline.listeners);
}
