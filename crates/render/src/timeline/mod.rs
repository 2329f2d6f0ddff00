//! A timeline: feeds that follow each other without a seam, cut into blocks, each with its due time.
//!
//! The render thread drives it: once a tick [`Timeline::fill`], [`Timeline::advance`], then outputs read blocks and due
//! times, then [`Timeline::report`]. It reads no clock. It promises: samples come out in order and exactly once, due
//! times never go back, and a feed's events come in the order their names suggest.

mod listeners;
mod report;
mod ring;
mod schedule;
mod segment;
#[cfg(test)]
mod walk;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use antiphon_domain::{Frames, HubTime, SampleRate};

pub(crate) use self::listeners::Listeners;
pub(crate) use self::ring::Ring;
pub(crate) use self::schedule::BLOCK;
use self::schedule::Schedule;
pub(crate) use self::segment::Segment;
use crate::grid;
use crate::news::{FeedEvent, FeedId, FeedSink};
use crate::source::Piece;

/// What is decoded into blocks beyond what outputs need next. The sources hold some seconds more.
const HORIZON: Duration = Duration::from_secs(1);

/// Sources are asked when so many frames (a quarter of a second) are wanting, not for each block: each time, a decoder that
/// waits for room is woken and sent back to sleep, which cost more than the decoding of MP3.
pub(crate) const BATCH: u64 = 31 * BLOCK;

/// How much must be there, and how early things happen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub margin: Duration,
    pub prebuffer: Duration,
    pub recover: Duration,
}

/// Outputs must forget what they were given: block `index` and everything after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    pub index: u64,
    pub from: HubTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nobody asked it to play, or somebody asked it to pause.
    Held,
    /// It will run as soon as enough is there.
    Wanting(Reason),
    Running,
    /// All that was put on it is over or on its way out.
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Begin,
    Resume,
    Stall,
    /// A successor came when everything before it was handed out already.
    Follow,
}

/// Feeds one after the other, as blocks with due times.
pub(crate) struct Timeline {
    segments: VecDeque<Segment>,
    ring: Ring,
    schedule: Schedule,
    phase: Phase,
    begun: bool,
    lead: Duration,
    out: Vec<(FeedSink, FeedEvent)>,
    pub listeners: Listeners,
    /// Times a source was too slow, since the last look.
    pub stalls: u64,
}

impl Timeline {
    /// A timeline that begins with this feed and waits to be started.
    pub(crate) fn new(segment: Segment) -> Self {
        Self {
            segments: VecDeque::from([segment]),
            ring: Ring::default(),
            schedule: Schedule::new(),
            phase: Phase::Held,
            begun: false,
            lead: Duration::ZERO,
            out: Vec::new(),
            listeners: Listeners::default(),
            stalls: 0,
        }
    }

    /// When a block must be heard, if that is settled.
    pub(crate) fn due(&self, index: u64) -> Option<HubTime> {
        self.schedule.due(index)
    }

    /// A decoded block.
    pub(crate) fn block(&self, index: u64) -> Option<&Arc<[i16]>> {
        self.ring.get(index)
    }

    /// The first block due at or after `moment`, or the one at which playing will go on.
    pub(crate) fn first_from(&self, moment: HubTime) -> u64 {
        self.schedule.first_from(moment)
    }

    /// The first block that has no due time.
    pub(crate) fn limit(&self) -> Option<u64> {
        self.schedule.limit()
    }

    /// Whether a block begins in the middle of a feed, so that a listener who hears nothing yet would hear a cut.
    pub(crate) fn is_inside(&self, index: u64) -> bool {
        !self.segments.iter().any(|segment| segment.start == Some(index * BLOCK))
    }

    /// The feed that a block belongs to (its last frame's, where two meet).
    pub(crate) fn feed_at(&self, index: u64) -> Option<FeedId> {
        let last = index * BLOCK + BLOCK - 1;
        let of = |segment: &&Segment| segment.start.is_some_and(|start| start <= last);
        self.segments.iter().rev().find(of).map(|segment| segment.feed)
    }

    /// Whether every feed on it is over.
    pub(crate) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Whether this is a lone feed that nobody started: only such a one can be put behind another.
    pub(crate) fn is_untouched(&self) -> bool {
        !self.begun && self.phase == Phase::Held && self.segments.len() == 1
    }

    /// Gives its only feed away.
    pub(crate) fn into_segment(mut self) -> Option<Segment> {
        self.segments.pop_front()
    }

    /// News since the last call.
    pub(crate) fn news(&mut self) -> Vec<(FeedSink, FeedEvent)> {
        std::mem::take(&mut self.out)
    }

    /// Asks it to play as soon as it can.
    pub(crate) fn start(&mut self, lead: Duration) {
        if self.phase == Phase::Held && !self.begun {
            self.begun = true;
            self.lead = lead;
            self.phase = Phase::Wanting(Reason::Begin);
        }
    }

    /// Puts a feed behind the last.
    pub(crate) fn follow(&mut self, segment: Segment) {
        self.segments.push_back(segment);
        if self.phase == Phase::Ended {
            self.phase = Phase::Wanting(Reason::Follow);
        }
    }

    /// Holds from `now` on. Outputs must forget what they hold for later.
    pub(crate) fn pause(&mut self, now: HubTime) -> Option<Cut> {
        if self.phase == Phase::Held {
            return None;
        }
        let cut = self.cut(now);
        let heard = self.schedule.limit().unwrap_or(0) * BLOCK;
        self.phase = Phase::Held;
        let Self { segments, out, .. } = self;
        let Some(index) = segments.iter().rposition(|s| s.start.is_some_and(|start| start <= heard)) else {
            if let Some(first) = segments.front_mut() {
                first.scheduled = false;
                first.tell(out, FeedEvent::Paused { offset: first.offset(0) });
            }
            return cut;
        };
        for segment in segments.range_mut(index..) {
            if !segment.started {
                segment.scheduled = false;
            }
        }
        let offset = segments[index].note_heard(heard);
        segments[index].tell(out, FeedEvent::Paused { offset });
        cut
    }

    /// Goes on where it was held.
    pub(crate) fn resume(&mut self, lead: Duration) {
        if self.phase == Phase::Held && self.begun {
            self.lead = lead;
            self.phase = Phase::Wanting(Reason::Resume);
        }
    }

    /// Takes a feed off. When it is the one that plays (or the first to play), everything goes with it and the
    /// timeline is empty afterwards; a successor takes only itself and what follows it.
    pub(crate) fn stop(&mut self, feed: FeedId, now: HubTime) -> Option<Cut> {
        let position = self.segments.iter().position(|segment| segment.feed == feed)?;
        let heard = self.schedule.heard(now);
        // A feed that ended but was not reported yet does not protect its successor from being "the one that plays".
        let playing = position == 0 || self.segments[position].start.is_some_and(|start| start <= heard);
        let cut = if playing {
            self.phase = Phase::Ended;
            self.cut(now)
        } else {
            self.segments[position].start.and_then(|start| self.truncate(start))
        };
        let first_gone = if playing { 0 } else { position };
        for segment in self.segments.drain(first_gone..) {
            let offset = segment.note_heard(heard);
            segment.tell(&mut self.out, FeedEvent::Stopped { offset });
        }
        cut
    }

    fn cut(&mut self, now: HubTime) -> Option<Cut> {
        let index = self.schedule.first_from(now);
        let from = self.schedule.due(index).or(self.schedule.end());
        self.schedule.stop_at(index);
        from.map(|from| Cut { index, from })
    }

    fn truncate(&mut self, frame: u64) -> Option<Cut> {
        if frame >= self.ring.frames() {
            return None;
        }
        let index = frame / BLOCK;
        let from = self.schedule.due(index)?;
        self.ring.truncate(frame);
        if self.phase == Phase::Ended {
            // What is left of the feed before it may lack its last, padded block.
            self.schedule.stop_at(index);
            self.schedule.run(from);
            self.phase = Phase::Running;
        }
        Some(Cut { index, from })
    }

    /// Takes from the sources what will be needed soon.
    pub(crate) fn fill(&mut self, now: HubTime, rules: &Rules) {
        for segment in &mut self.segments {
            segment.hear_source(&mut self.out);
        }
        if !self.begun {
            self.fail_unstarted();
            return;
        }
        let ahead = self.lead.max(self.listeners.lead()) + rules.margin + rules.recover + HORIZON;
        let wanted = self.schedule.heard(now) + Frames::within(ahead, SampleRate::HUB).0;
        let Self { segments, ring, .. } = self;
        for segment in segments.iter_mut().filter(|segment| segment.end.is_none()) {
            segment.start.get_or_insert(ring.frames());
            if ring.frames() + BATCH > wanted {
                return;
            }
            while ring.frames() < wanted && segment.end.is_none() {
                match segment.source.take() {
                    None => return,
                    Some(Piece::Samples(samples)) => {
                        segment.sound = true;
                        ring.push(&samples);
                    }
                    Some(Piece::End(failure)) => {
                        segment.end = Some(ring.frames());
                        segment.failure = failure;
                    }
                }
            }
            if segment.end.is_none() {
                return;
            }
        }
    }

    /// A feed that fails before anybody starts it says so at once.
    fn fail_unstarted(&mut self) {
        let Some(first) = self.segments.front_mut() else { return };
        if let Some(Piece::End(Some(_))) = first.source.peek()
            && let Some(Piece::End(failure)) = first.source.take()
        {
            first.start = Some(0);
            first.end = Some(0);
            first.failure = failure;
        }
    }

    fn all_taken(&self) -> bool {
        self.segments.iter().all(|segment| segment.end.is_some())
    }

    /// Starts, stalls, recovers and ends, by what is decoded and how late it is.
    pub(crate) fn advance(&mut self, now: HubTime, rules: &Rules) {
        if let Phase::Wanting(reason) = self.phase {
            self.try_run(reason, now, rules);
        }
        if self.phase != Phase::Running {
            return;
        }
        let lead = self.listeners.least();
        if self.ring.has_tail() && self.tail_is_last() {
            let due = self.schedule.due(self.ring.end());
            if due.is_some_and(|due| due <= now + lead + rules.margin) {
                self.ring.pad();
                // A successor that has given nothing yet now begins after the silence.
                for segment in self.segments.iter_mut().filter(|segment| segment.end.is_none()) {
                    segment.start = None;
                }
            }
        }
        let end = self.ring.end();
        if self.all_taken() && !self.ring.has_tail() {
            // A successor may still come in time to continue without a gap: only then is the limit lifted again.
            self.schedule.stop_at(end);
            self.phase = Phase::Ended;
        } else if self.schedule.due(end).is_some_and(|due| due < now + lead) {
            self.schedule.stop_at(end);
            self.stall(now);
        }
    }

    /// Whether what waits for a whole block is the end of a feed that nothing follows yet.
    fn tail_is_last(&self) -> bool {
        match self.segments.iter().find(|segment| segment.end.is_none()) {
            None => true,
            Some(next) => next.start == Some(self.ring.frames()),
        }
    }

    fn stall(&mut self, now: HubTime) {
        let heard = self.schedule.heard(now);
        let Self { segments, out, .. } = self;
        let Some(slow) = segments.iter_mut().find(|segment| segment.end.is_none()) else { return };
        if slow.sound {
            slow.tell(out, FeedEvent::Stalled { offset: slow.offset(heard) });
            self.stalls += 1;
            self.phase = Phase::Wanting(Reason::Stall);
        } else {
            self.phase = Phase::Wanting(Reason::Follow);
        }
    }

    fn try_run(&mut self, reason: Reason, now: HubTime, rules: &Rules) {
        let Some(index) = self.schedule.limit() else { return };
        let ready = self.ring.frames().saturating_sub(index * BLOCK);
        if self.all_taken() {
            if ready == 0 {
                self.phase = Phase::Ended;
                return;
            }
        } else {
            let need = if reason == Reason::Stall { rules.recover } else { rules.prebuffer };
            if Frames(ready).duration(SampleRate::HUB) < need {
                return;
            }
        }
        let lead = self.lead.max(self.listeners.lead());
        self.listeners.promise(lead);
        // On the grid that all blocks of the hub lie on.
        let mut at = grid::due(grid::from(now + lead + rules.margin));
        let before = self.schedule.end();
        if let Some(before) = before {
            at = at.max(before);
        }
        self.schedule.run(at);
        self.phase = Phase::Running;
        let Self { segments, out, .. } = self;
        let of = |segment: &&Segment| segment.start.is_some_and(|start| start <= index * BLOCK);
        let Some(segment) = segments.iter().rev().find(of) else { return };
        let offset = segment.offset(index * BLOCK);
        match reason {
            Reason::Resume if segment.started => segment.tell(out, FeedEvent::Resumed { at, offset }),
            Reason::Stall => {
                let silence = before.map_or(Duration::ZERO, |before| at.since(before));
                segment.tell(out, FeedEvent::Recovered { at, offset, silence });
            }
            _ => {}
        }
    }
}
