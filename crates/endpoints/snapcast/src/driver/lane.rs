//! One session's way through the pump: blocks in, stamped chunks out.
//!
//! Walked by the pump once a tick; never waits.
//!
//! Snapcast has no word for "forget what I sent". Telling the codec again makes a client begin anew, but snapclient 0.26
//! dies of it when it plays through PulseAudio (a race in its player; seen in one of two tries). So a flush lowers the
//! client's buffer by more than it can hold: all of that is too old at once, and thrown away, which needs no more than
//! its next look at the clock. A moment later the buffer is what it was, and new sound may come.
//!
//! Between chunks a client goes by its own count and looks at the stamps only to correct itself slowly, so sound is sent
//! without holes: where blocks leave one, silence is sent.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use antiphon_audio::encode::{Grouping, Piece, Run, Thread};
use antiphon_audio::resample::fixed::Stream;
use antiphon_audio::{BLOCK_FRAMES, Block, CHANNELS};
use antiphon_domain::{Frames, HubTime, Lead, SampleRate};
use antiphon_endpoint::{Clock, EndpointEvent, Order};
use antiphon_net::pump::{self, Tick};

use crate::driver::client::Client;
use crate::encode::Encoder;
use crate::wire::{Stamp, chunk_head};

/// Blocks taken over from the endpoint and not sent yet, at most.
const QUEUE: usize = 512;

/// How much earlier than the lead a block may be sent. What comes earlier waits here, where a flush costs nothing, and
/// does not fill the client's connection at once.
const EARLY: Duration = Duration::from_millis(60);

/// How much more than its lead a client's buffer is lowered by. What it plays next must be half a second too old, or
/// snapclient does not jump (0.26, `stream.cpp`).
const DROP: Duration = Duration::from_millis(400);

/// How long a client may take to notice: outputs ask for sound every few tens of milliseconds.
const NOTICE: Duration = Duration::from_millis(200);

/// How long an unfinished chunk waits for its next block.
const UNFINISHED: Duration = Duration::from_millis(40);

/// Between two reports of blocks that came too late.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// A session as the pump sees it.
pub struct Lane {
    client: Arc<Client>,
    number: u64,
    orders: Receiver<Order>,
    clock: Arc<dyn Clock>,
    lead: Lead,
    queue: VecDeque<Block>,
    grouping: Option<Grouping>,
    thread: Thread,
    stream: Stream,
    /// When the last frame that was grouped or sent is over.
    end: Option<HubTime>,
    /// When the client is told its settings again: its output opens with the first chunk after a silence, and what it
    /// was told before that its output's mixer has not heard (snapclient 0.26, `--mixer hardware`).
    again: Option<HubTime>,
    /// Until then nothing is sent: the client is throwing away what it had.
    hold: Option<HubTime>,
    silence: Arc<[i16]>,
    late: u32,
    next_report: HubTime,
}

impl pump::Lane for Lane {
    type Encoder = Encoder;

    fn tick(&mut self, encoder: &mut Encoder) -> Tick {
        let now = self.clock.now();
        if !self.client.is_session(self.number) {
            return Tick::Over;
        }
        if !self.take_in(now) {
            // The farewell: what the client still has is not to be heard.
            if self.end.is_some_and(|end| end > now) {
                self.drop_all(now);
            }
            self.client.end_session(self.number);
            return Tick::Over;
        }
        if let Some(until) = self.hold {
            if until > now {
                return Tick::Busy;
            }
            self.hold = None;
            self.begin(encoder);
        }
        self.report(now);
        let reach = now + self.lead.0 + EARLY;
        while self.queue.front().is_some_and(|block| block.due <= reach) {
            if let Some(block) = self.queue.pop_front() {
                self.send(&block, encoder, now);
            }
        }
        let waits = self.grouping.as_ref().and_then(Grouping::waits_since);
        if waits.is_some_and(|due| due + UNFINISHED <= now + self.lead.0)
            && let Some(run) = self.grouping.as_mut().and_then(Grouping::rest)
        {
            self.transmit(run, encoder, now);
        }
        if self.again.is_some_and(|again| again <= now) {
            self.again = None;
            self.client.tell_again(self.clock.as_ref());
        }
        let playing = self.end.is_some_and(|end| end > now);
        self.client.set_playing(self.number, playing);
        if playing || !self.queue.is_empty() { Tick::Busy } else { Tick::Idle }
    }
}

impl Lane {
    /// A lane of session `number` with a client.
    pub fn new(
        client: Arc<Client>,
        number: u64,
        orders: Receiver<Order>,
        lead: Lead,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let hold = Some(client.quiet_until());
        Self {
            client,
            number,
            orders,
            clock,
            lead,
            queue: VecDeque::new(),
            grouping: None,
            thread: Thread::default(),
            stream: Stream::default(),
            end: None,
            again: None,
            hold,
            silence: vec![0; BLOCK_FRAMES * CHANNELS].into(),
            late: 0,
            next_report: HubTime::EPOCH,
        }
    }

    /// The client is to be ready for sound; it was told the codec when it called.
    fn begin(&mut self, encoder: &Encoder) {
        self.client.set_buffer(usual_buffer(self.lead), self.clock.as_ref());
        self.grouping = Some(encoder.grouping());
        self.thread = Thread::default();
        self.stream = Stream::default();
        self.end = None;
    }

    /// The client is to throw away all it has.
    fn drop_all(&mut self, now: HubTime) {
        self.client.metrics.flushes.inc();
        self.client.set_buffer(millis(self.lead.0), self.clock.as_ref());
        let until = now + NOTICE;
        self.client.keep_quiet_until(until);
        self.hold = Some(until);
        self.grouping = None;
        self.end = None;
    }

    /// Takes over what the endpoint gave; false when the endpoint is gone.
    fn take_in(&mut self, now: HubTime) -> bool {
        while self.queue.len() < QUEUE {
            match self.orders.try_recv() {
                Ok(Order::Play(block)) => self.queue.push_back(block),
                Ok(Order::Flush(from)) => self.flush(from, now),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
        true
    }

    /// Forgets what is due from `from` on. Where the client has any of it, what is left before `from` goes with it.
    fn flush(&mut self, from: HubTime, now: HubTime) {
        self.queue.retain(|block| block.due < from);
        if self.end.is_some_and(|end| end > from && end > now) {
            self.drop_all(now);
        }
    }

    /// Puts a block behind what was sent: with silence before it where there is a hole, without its beginning where it
    /// laps over.
    fn send(&mut self, block: &Block, encoder: &mut Encoder, now: HubTime) {
        if block.due <= now {
            self.too_late();
            return;
        }
        let (mut due, samples) = encoder.at_rate(&mut self.stream, block);
        let (begins, rate) = (due, encoder.rate());
        let mut piece = Piece::whole(samples);
        let over = due + Frames(piece.frames() as u64).duration(rate);
        // Once everything was heard the client waits for the next chunk, and times it by its stamp.
        if let Some(end) = self.end.filter(|end| *end > now) {
            let apart = frames_between(end, begins, rate);
            if apart > 0 {
                self.fill(end, apart.unsigned_abs() as usize, encoder, now);
            } else {
                piece.from = apart.unsigned_abs() as usize;
                due = end;
                if piece.from >= piece.to {
                    self.too_late();
                    return;
                }
                if apart == 0 {
                    // Exact on the grid, not by our rounding.
                    due = begins;
                }
            }
        } else {
            if let Some(run) = self.grouping.as_mut().and_then(Grouping::rest) {
                self.transmit(run, encoder, now);
            }
            self.again = Some(now + self.lead.0 / 2);
        }
        self.end = Some(over);
        self.group(due, piece, encoder, now);
    }

    fn fill(&mut self, from: HubTime, frames: usize, encoder: &mut Encoder, now: HubTime) {
        let mut filled = 0;
        while filled < frames {
            let mut piece = Piece::whole(Arc::clone(&self.silence));
            piece.to = piece.to.min(frames - filled);
            let due = from + Frames(filled as u64).duration(encoder.rate());
            filled += piece.to;
            self.group(due, piece, encoder, now);
        }
    }

    fn group(&mut self, due: HubTime, piece: Piece, encoder: &mut Encoder, now: HubTime) {
        let mut runs = Vec::new();
        if let Some(grouping) = &mut self.grouping {
            grouping.push(due, piece, encoder.shared(), |run| runs.push(run));
        }
        for run in runs {
            self.transmit(run, encoder, now);
        }
    }

    fn transmit(&mut self, run: Run, encoder: &mut Encoder, now: HubTime) {
        let chunk = encoder.chunk(&mut self.thread, &run.pieces);
        let buffer = Duration::from_millis(u64::from(usual_buffer(self.lead)));
        let stamp = Stamp::of(run.due - buffer - encoder.delay());
        self.client.outlet.send_parts(&chunk_head(now, stamp, chunk.bytes.len()), &chunk.bytes);
        self.client.metrics.chunks.inc();
        self.client.metrics.bytes.inc_by(chunk.bytes.len() as u64);
    }

    fn too_late(&mut self) {
        self.client.metrics.late.inc();
        self.late = self.late.saturating_add(1);
    }

    fn report(&mut self, now: HubTime) {
        if self.late > 0 && now >= self.next_report {
            self.client.tell(EndpointEvent::Underrun { blocks: self.late });
            self.late = 0;
            self.next_report = now + REPORT_EVERY;
        }
    }
}

/// A client's buffer while it plays, milliseconds: it can be lowered to the lead, which every output can do with.
pub fn usual_buffer(lead: Lead) -> u32 {
    millis(2 * lead.0 + DROP)
}

fn millis(duration: Duration) -> u32 {
    // The options bound the lead to some seconds.
    duration.as_millis() as u32
}

/// How many frames of a rate lie between two moments, to the nearest; below 0 when `to` is the earlier one.
fn frames_between(from: HubTime, to: HubTime, rate: SampleRate) -> i64 {
    let nanos = to.nanos().saturating_sub(from.nanos());
    let frames = i128::from(nanos) * i128::from(rate.hertz());
    // Half a frame up; division that rounds down makes it the nearest on both sides of 0.
    (frames + 500_000_000).div_euclid(1_000_000_000) as i64
}
