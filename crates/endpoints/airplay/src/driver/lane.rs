//! One session's way through the pump: blocks in, audio and sync packets out.
//!
//! Walked by the pump once a tick; never waits. Sequence numbers, timestamps and the ring of sent packets are owned
//! here. A new stretch of sound (the first, one after a flush, one after silence) is announced by a sync packet one
//! tick before its first audio packet, so that the receiver knows when to play what before it has anything to play.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use antiphon_audio::Block;
use antiphon_audio::block::BLOCK_FRAMES;
use antiphon_domain::{Frames, HubTime, Lead, SampleRate};
use antiphon_endpoint::{Clock, EndpointEvent, EventSink, Order};
use antiphon_net::pump::{self, Tick};
use tokio::sync::watch;

use crate::driver::carrier::Carrier;
use crate::driver::hold::nudge;
use crate::driver::ring::Ring;
use crate::encode::Encoder;
use crate::metrics::SessionMetrics;
use crate::quirks::Quirks;
use crate::wire::crypt::SessionKey;
use crate::wire::rtp::{AUDIO_HEADER, Sync, audio_header, sync};
use crate::wire::timeline::{Place, Timeline};

/// Blocks taken over from the endpoint and not sent yet, at most.
const QUEUE: usize = 512;

/// Packets sent in one tick at most: four times real time, so that a backlog drains without bursts that would
/// overflow a receiver's socket (whole leads at once are some 150 KiB).
const AT_ONCE: u32 = 4;

/// Between two sync packets while something plays.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// The same soon after the start: receivers drop sync packets that come before their first time exchange.
const SYNC_EARLY: Duration = Duration::from_millis(200);

/// How many are sent at that pace.
const EARLY_SYNCS: u32 = 8;

/// Between two reports of blocks that came too late.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// Silent blocks between a hole in the run-up and the sound: 100 ms, in which the receiver finds its place.
const AFTER_HOLE: u64 = 13;

/// How long a stretch has played when its receiver has surely put itself right after the hole in the run-up, and does not
/// correct itself yet.
const LANDED: Duration = Duration::from_secs(1);

/// Silent blocks before a hole, at least: before its output runs it does not know how far off it is.
const BEFORE_HOLE: u64 = 26;

/// The same after one that nudges the receiver or ends that: the loss of a single one must not leave it nudged.
const SYNC_AGAIN: Duration = Duration::from_millis(16);

/// A FLUSH that the receiver shall be sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct FlushWish {
    /// Counts the wishes; 0 is none.
    pub number: u64,
    /// The next packet.
    pub sequence: u16,
    /// The next frame: everything before it is void.
    pub timestamp: u32,
}

/// What a session gives its lane.
pub struct Wires {
    /// From the endpoint.
    pub orders: Receiver<Order>,
    /// To the receiver.
    pub carrier: Carrier,
    /// What it is encrypted by, if it is.
    pub key: Option<SessionKey>,
    /// What is special about the receiver.
    pub quirks: &'static Quirks,
    /// It corrects nothing while it is off by less than this, where it is such a one.
    pub dead_band: Option<Duration>,
    /// Which frame is heard when, told anew whenever that changes.
    pub timeline: watch::Sender<Timeline>,
    /// Shared with the answers.
    pub ring: Arc<Mutex<Ring>>,
    /// FLUSH requests for the conversation.
    pub flushes: watch::Sender<FlushWish>,
    /// The last of them that was answered; closed when the session is over.
    pub flushed: watch::Receiver<u64>,
    /// Our time.
    pub clock: Arc<dyn Clock>,
    /// Where underruns are told.
    pub events: EventSink,
    /// Counted here.
    pub metrics: SessionMetrics,
}

/// A session as the pump sees it.
pub struct Lane {
    wires: Wires,
    latency: u32,
    queue: VecDeque<Block>,
    timeline: Timeline,
    sequence: u16,
    source: u32,
    /// The next audio packet is the first of its stretch.
    first: bool,
    flushes: u64,
    syncs: u32,
    /// When the stretch began, and whether there was a hole in its run-up.
    begun: HubTime,
    hole: bool,
    next_sync: HubTime,
    /// What the last sync packet lay beside the truth, nanoseconds ([`nudge`]).
    nudged: i64,
    late: u32,
    next_report: HubTime,
    /// The stream to the receiver has ended.
    broken: bool,
}

impl pump::Lane for Lane {
    type Encoder = Encoder;

    fn tick(&mut self, encoder: &mut Encoder) -> Tick {
        let now = self.wires.clock.now();
        if !self.take_in(now) || self.broken || self.wires.flushed.has_changed().is_err() {
            return Tick::Over;
        }
        self.report(now);
        // What follows a flush waits for its answer, or the receiver would time old sound by the new anchor.
        if *self.wires.flushed.borrow() != self.flushes {
            return Tick::Busy;
        }
        let playing = self.timeline.end().is_some_and(|end| end > now);
        if playing && (now >= self.next_sync || self.nudge(now) != self.nudged) {
            self.sync(now, false);
        }
        for _ in 0..AT_ONCE {
            let Some(block) = self.queue.pop_front() else { break };
            if self.wires.carrier.holds_back().is_some_and(|early| block.due > now + early) {
                self.queue.push_front(block);
                break;
            }
            if !self.send(block, now, encoder) {
                break;
            }
        }
        if playing || !self.queue.is_empty() { Tick::Busy } else { Tick::Idle }
    }
}

impl Lane {
    /// A lane whose first packet has this sequence number and timestamp (those told by RECORD), from stream `source`.
    pub fn new(wires: Wires, lead: Lead, sequence: u16, timestamp: u32, source: u32) -> Self {
        Self {
            wires,
            // The options bound the lead to some seconds.
            latency: Frames::within(lead.0, SampleRate::HUB).0 as u32,
            queue: VecDeque::new(),
            timeline: Timeline::new(timestamp),
            sequence,
            source,
            first: true,
            flushes: 0,
            syncs: 0,
            begun: HubTime::EPOCH,
            hole: false,
            next_sync: HubTime::EPOCH,
            nudged: 0,
            late: 0,
            next_report: HubTime::EPOCH,
            broken: false,
        }
    }

    /// Takes over what the endpoint gave; false when the endpoint is gone.
    fn take_in(&mut self, now: HubTime) -> bool {
        while self.queue.len() < QUEUE {
            match self.wires.orders.try_recv() {
                Ok(Order::Play(block)) => self.queue.push_back(block),
                Ok(Order::Flush(from)) => self.flush(from, now),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
        true
    }

    /// Forgets what is due from `from` on, at the receiver too when it has any of it. RAOP can only silence a receiver
    /// as a whole, so what is left before `from` goes with it.
    fn flush(&mut self, from: HubTime, now: HubTime) {
        self.queue.retain(|block| block.due < from);
        if self.timeline.end().is_some() && from <= self.begun {
            // What is left of the stretch is its run-up, and that must not stand in the way of what comes earlier.
            self.queue.clear();
            if self.first {
                self.timeline.restart();
            } else {
                self.ask_flush();
            }
            return;
        }
        if self.timeline.end().is_some_and(|end| end > from && end > now) {
            self.ask_flush();
        }
    }

    fn ask_flush(&mut self) {
        self.timeline.restart();
        self.wires.timeline.send_replace(self.timeline);
        self.flushes += 1;
        let wish =
            FlushWish { number: self.flushes, sequence: self.sequence, timestamp: self.timeline.next() };
        self.wires.flushes.send_replace(wish);
    }

    /// Sends a block; false when this tick shall send no more.
    fn send(&mut self, block: Block, now: HubTime, encoder: &mut Encoder) -> bool {
        if block.due <= now {
            self.too_late();
            return true;
        }
        let Some(end) = self.timeline.end() else {
            self.begin(block, now, encoder);
            return false;
        };
        if end <= now && block.due > end {
            // Everything sent was heard and then there was a pause: the receiver starts afresh. After a short one
            // too, because receivers that ran dry come back in time more surely this way.
            self.queue.push_front(block);
            self.ask_flush();
            return false;
        }
        let Some(mut payload) = encoder.packet(&block) else {
            self.wires.metrics.refused.inc();
            return true;
        };
        if let Some(key) = &self.wires.key {
            payload = key.encrypt(&payload).into();
        }
        let timestamp = match self.timeline.place(block.due, BLOCK_FRAMES as u32) {
            Some(Place::Begins(timestamp) | Place::Follows(timestamp)) => timestamp,
            Some(Place::Jumps(timestamp)) => {
                self.wires.timeline.send_replace(self.timeline);
                self.sync(now, false);
                timestamp
            }
            None => {
                self.too_late();
                return true;
            }
        };
        let header = audio_header(self.first, self.sequence, timestamp, self.source);
        self.first = false;
        self.transmit(&header, &payload);
        self.wires.ring.lock().unwrap_or_else(PoisonError::into_inner).keep(self.sequence, header, payload);
        self.sequence = self.sequence.wrapping_add(1);
        true
    }

    /// Tells the receiver when the stretch that begins with `block`, or rather with a run-up to it, begins.
    fn begin(&mut self, block: Block, now: HubTime, encoder: &Encoder) {
        let quirks = self.wires.quirks;
        let length = Frames(BLOCK_FRAMES as u64).duration(SampleRate::HUB);
        let in_blocks = |time: Duration| (time.as_nanos() / length.as_nanos()) as u64;
        let room = block.due.since(now).saturating_sub(quirks.smallest_lead);
        let blocks = in_blocks(room.min(quirks.run_up));
        let hole = in_blocks(quirks.hole);
        let hole = if blocks >= BEFORE_HOLE + hole + AFTER_HOLE {
            AFTER_HOLE..AFTER_HOLE + hole
        } else {
            // Too late for that.
            0..0
        };
        let first = block.due;
        let before = |nth: u64| first - Frames(nth * BLOCK_FRAMES as u64).duration(SampleRate::HUB);
        self.timeline.begin(before(blocks));
        self.wires.timeline.send_replace(self.timeline);
        self.queue.push_front(block);
        for nth in 0..blocks {
            if !hole.contains(&nth) {
                self.queue.push_front(Block { due: before(nth + 1), samples: encoder.silence() });
            }
        }
        self.first = true;
        self.hole = !hole.is_empty();
        self.begun = first;
        self.syncs = 0;
        self.sync(now, true);
    }

    fn transmit(&mut self, header: &[u8; AUDIO_HEADER], payload: &[u8]) {
        match self.wires.carrier.audio(header, payload) {
            Ok(length) => {
                self.wires.metrics.packets.inc();
                self.wires.metrics.bytes.inc_by(length as u64);
            }
            // Full, or the receiver's port is closed: it may ask for the packet again. A stream that ended does not come back.
            Err(error) => {
                self.wires.metrics.unsent.inc();
                let full = error.kind() == io::ErrorKind::WouldBlock;
                self.broken = !full && self.wires.carrier.holds_back().is_some();
            }
        }
    }

    fn sync(&mut self, now: HubTime, first: bool) {
        let Some((at, heard)) = self.timeline.heard(now) else { return };
        let nudge = self.nudge(now);
        let at = HubTime::from_nanos(at.nanos().saturating_add(nudge));
        let packet = sync(Sync { first, at, heard, sent: heard.wrapping_add(self.latency) });
        // One that is lost is made good by the next.
        if self.wires.carrier.sync(&packet) {
            self.wires.metrics.syncs.inc();
        }
        self.syncs = self.syncs.saturating_add(1);
        let turned = std::mem::replace(&mut self.nudged, nudge) != nudge;
        self.next_sync = now
            + match self.syncs {
                _ if turned => SYNC_AGAIN,
                ..EARLY_SYNCS => SYNC_EARLY,
                _ => SYNC_EVERY,
            };
    }

    fn nudge(&self, now: HubTime) -> i64 {
        if self.hole && now < self.begun + LANDED {
            return self.wires.quirks.lands_early.as_nanos() as i64;
        }
        nudge(self.wires.dead_band, now.since(self.begun))
    }

    fn too_late(&mut self) {
        self.wires.metrics.late.inc();
        self.late = self.late.saturating_add(1);
    }

    fn report(&mut self, now: HubTime) {
        if self.late > 0 && now >= self.next_report {
            (self.wires.events)(EndpointEvent::Underrun { blocks: self.late });
            self.late = 0;
            self.next_report = now + REPORT_EVERY;
        }
    }
}
