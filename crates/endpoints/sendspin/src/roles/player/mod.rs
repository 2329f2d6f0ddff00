//! The player role: one client's sound, from the hub's blocks to chunks in the client's buffer.
//!
//! Pure, driven by [`super::Roles`]. It promises: timestamps from the blocks' own due times, never added up, so that
//! they are contiguous to the sample; never more bytes at the client than its `buffer_capacity`; never a chunk that
//! overlaps another; blocks that come too late dropped and counted; memory bounded by [`QUEUE`] blocks each way.

mod format;
mod gain;
mod knob;
mod ledger;
mod lengths;
mod line;
mod press;
mod report;

use std::collections::VecDeque;
use std::time::Duration;

use antiphon_audio::{BLOCK_FRAMES, Block};
use antiphon_domain::{HubTime, Lead, Level, Volume};
use antiphon_endpoint::Pace;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use self::format::Format;
use self::gain::scaled;
use self::knob::Knob;
use self::ledger::Ledger;
pub use self::lengths::{batch, blocks_last, number, run_blocks};
use self::line::{Line, Ready, TOUCH, Taken};
pub use self::press::Shared;
use self::report::{Report, Support};
use super::{Out, micros, object};

/// Blocks kept before they are sent, and after for the case that they must be sent again: 8 s.
const QUEUE: usize = 1024;

/// How long a stream waits for more sound before it is ended. Ending makes clients close their output; opening it
/// again takes some of them half a second, so a pause between two announcements should not do it.
const REST: Duration = Duration::from_secs(5);

/// What an unfinished run may lose of its lead while it waits for its last block, beyond its own length.
const SLACK: Duration = Duration::from_millis(40);

/// With so little time left a chunk goes out however short it is.
const LAST_CALL: Duration = Duration::from_millis(25);

/// The player of one client.
pub struct Player {
    shared: Shared,
    support: Support,
    report: Option<Report>,
    knob: Knob,
    most: usize,
    /// What of the session's lead is left once as many blocks are there as come together.
    spare: Duration,
    /// Blocks not given to the line yet.
    queue: VecDeque<Block>,
    /// Blocks given to it and not heard yet.
    given: VecDeque<Block>,
    line: Option<Line>,
    ready: VecDeque<Ready>,
    ledger: Ledger,
    /// What the client was told of the stream; `None` while there is none.
    stream: Option<Format>,
    /// The client's buffer is to be cleared.
    clear: bool,
    /// The stream is to be ended.
    ending: bool,
    /// The next block is the first of a stream, or of what follows a clear.
    fresh: bool,
    /// When the last chunk sent ends.
    sent_until: Option<HubTime>,
    /// Since when nothing was to be sent.
    quiet_since: HubTime,
    factor: f32,
    late: u32,
}

impl Player {
    /// A player of a client with this hello; an `Err` says why it cannot play for us.
    pub fn new(hello: &Map<String, Value>, shared: &Shared) -> Result<Self, String> {
        let mut support = Support::parse(hello)?;
        support.offers.retain(|format| shared.makes(*format));
        let format = format::best(&support.offers).ok_or("it takes no format that we can make")?;
        let smallest = format.bytes(2 * BLOCK_FRAMES as u64) + ledger::HEADER;
        if support.capacity < 2 * smallest {
            return Err(format!("its buffer of {} bytes is too small", support.capacity));
        }
        Ok(Self {
            shared: shared.clone(),
            ledger: Ledger::new(support.capacity),
            support,
            report: None,
            knob: Knob::default(),
            most: run_blocks(Pace::Steady),
            spare: Duration::ZERO,
            queue: VecDeque::new(),
            given: VecDeque::new(),
            line: None,
            ready: VecDeque::new(),
            stream: None,
            clear: false,
            ending: false,
            fresh: true,
            sent_until: None,
            quiet_since: HubTime::EPOCH,
            factor: 1.0,
            late: 0,
        })
    }

    /// A session of the hub begins, which gives blocks `lead` ahead.
    pub fn begin(&mut self, pace: Pace, lead: Lead) {
        let block = self.wanted().bytes(BLOCK_FRAMES as u64).max(1);
        // Four runs in the buffer at least, so that one can be on its way while others play.
        let fit = (self.support.capacity / 4 / block) as usize;
        self.most = run_blocks(pace).min(fit).max(2);
        self.spare = lead.0.saturating_sub(blocks_last(batch(pace)) + SLACK);
        self.drop_sound();
        self.knob.forget();
        self.factor = 1.0;
    }

    /// The session is over, or the client takes no part any more: nothing more of it is sent, and the stream ends.
    pub fn stop(&mut self) {
        self.drop_sound();
        self.clear = false;
        self.ending = self.stream.is_some();
    }

    /// The client's report.
    pub fn report(&mut self, player: &Value, now: HubTime) -> Result<knob::Turned, String> {
        let report = Report::parse(player, &self.support.offers)?;
        let turned = self.knob.report(report.able, report.volume, report.muted, now);
        self.report = Some(report);
        Ok(turned)
    }

    /// What it reported last.
    pub fn reported(&self) -> Option<&Report> {
        self.report.as_ref()
    }

    /// Be this loud.
    pub fn level(&mut self, level: Level) {
        self.knob.want(level);
    }

    /// How loud it is, as far as is known.
    pub fn volume(&self) -> Option<Volume> {
        self.knob.volume()
    }

    /// Takes a block; its time is looked at when it is to be sent.
    pub fn play(&mut self, block: Block) {
        if self.queue.len() == QUEUE {
            self.queue.pop_front();
            self.too_late(1);
        }
        self.queue.push_back(block);
    }

    /// Forgets what is due from `from` on, at the client too. A client can only be cleared as a whole, so what is left
    /// before `from` is sent again as far as it can still come in time.
    pub fn flush(&mut self, from: HubTime, now: HubTime) {
        self.queue.retain(|block| block.due < from);
        let reaches = self.sent_until.filter(|until| *until > now);
        let at_client = self.stream.is_some() && reaches.is_some_and(|until| until > from);
        // What was not sent is taken back from the line; what was, only if it is about to be cleared.
        let unsent_from = if at_client { now } else { reaches.unwrap_or(now) };
        let mut again: VecDeque<Block> = self
            .given
            .drain(..)
            .filter(|block| block.due < from && block.due + TOUCH >= unsent_from)
            .collect();
        again.append(&mut self.queue);
        self.queue = again;
        self.ready.clear();
        if let Some(line) = &mut self.line {
            let after = if at_client { None } else { self.sent_until };
            *line = Line::new(line.format(), self.most, after);
        }
        if at_client {
            self.clear = true;
            self.fresh = true;
            self.sent_until = None;
            self.quiet_since = now;
        }
    }

    /// Blocks dropped as late since this was last asked.
    pub fn late(&mut self) -> u32 {
        std::mem::take(&mut self.late)
    }

    /// Whether a stream is on, or about to be.
    pub fn playing(&self) -> bool {
        self.stream.is_some() || !self.queue.is_empty() || self.line_waits() || !self.ready.is_empty()
    }

    /// Commands for the client; whether sound is wanted or not.
    pub fn command(&mut self, now: HubTime) -> Option<Out> {
        self.report.as_ref()?;
        self.knob.command(now).map(told)
    }

    /// The next message of the stream.
    pub fn poll(&mut self, now: HubTime) -> Option<Out> {
        if self.ending {
            self.ending = false;
            self.stream = None;
            self.fresh = true;
            self.ledger.clear();
            return Some(Out::Json { kind: "stream/end", payload: object("roles", vec!["player"].into()) });
        }
        if self.clear {
            self.clear = false;
            self.ledger.clear();
            self.shared.metrics.clears.inc();
            return Some(Out::Stamped {
                kind: "stream/clear",
                payload: object("roles", vec!["player"].into()),
            });
        }
        while self.given.front().is_some_and(|block| block.end() <= now) {
            self.given.pop_front();
        }
        loop {
            if let Some(ready) = self.ready.front() {
                if ready.due - self.delay() > now {
                    return self.send(now);
                }
                // Its first sample would be late. What little of it is not comes with the next.
                let blocks = ready.blocks;
                self.ready.pop_front();
                self.too_late(blocks);
                continue;
            }
            if !self.form(now) {
                break;
            }
        }
        self.rest(now)
    }

    /// When to be polled again if nothing else happens.
    pub fn wake(&self) -> Option<HubTime> {
        if let Some(ready) = self.ready.front() {
            return self.ledger.room_at(ready.payload.len() as u64, self.delay());
        }
        let waiting = self.line.as_ref().and_then(Line::waiting);
        if let Some((due, blocks)) = waiting {
            return Some(due - self.patience(blocks));
        }
        self.stream.map(|_| self.quiet_since + REST)
    }

    /// Sends the first chunk that is ready, once the client knows its format and has room for it.
    fn send(&mut self, now: HubTime) -> Option<Out> {
        let format = self.ready.front()?.format;
        if self.stream != Some(format) {
            self.stream = Some(format);
            self.shared.metrics.starts.inc();
            let mut player = format.describe();
            let header = self.shared.header(format);
            if !header.is_empty() {
                player.insert("codec_header".into(), STANDARD.encode(header).into());
            }
            return Some(Out::Stamped { kind: "stream/start", payload: object("player", player.into()) });
        }
        let size = self.ready.front()?.payload.len() as u64;
        if !self.ledger.fits(size, now, self.delay()) {
            return None;
        }
        let ready = self.ready.pop_front()?;
        self.ledger.sent(size, ready.end);
        self.sent_until = Some(ready.end);
        self.quiet_since = ready.end;
        self.shared.metrics.chunks.inc();
        self.shared.metrics.bytes.inc_by(size + ledger::HEADER);
        Some(Out::Audio { timestamp_micros: micros(ready.due), payload: ready.payload })
    }

    /// Gives blocks to the line until a chunk is ready; false when there is none to be had yet.
    fn form(&mut self, now: HubTime) -> bool {
        let wanted = self.wanted();
        // What follows must be there: at 48 kHz the end of what was taken comes out with it only.
        if let (Some(line), Some(next)) = (&mut self.line, self.queue.front())
            && line.format() != wanted
            && let Some(last) = line.change(wanted, next, &self.shared)
        {
            self.ready.push_back(last);
            return true;
        }
        let most = self.most;
        while let Some(block) = self.queue.front() {
            let until_due = if self.fresh { self.startup() } else { self.delay() };
            if block.due <= now + until_due {
                let is_late = block.due <= now;
                self.queue.pop_front();
                // One who has just joined is not late for what others hear already.
                self.too_late(u32::from(is_late || !self.fresh));
                continue;
            }
            if self.sent_until.is_some_and(|until| block.due + TOUCH < until) {
                self.queue.pop_front();
                self.too_late(1);
                continue;
            }
            let line = self.line.get_or_insert_with(|| Line::new(wanted, most, None));
            if self.fresh {
                self.factor = self.knob.factor();
            }
            let quiet = self.knob.factor() == 1.0 && self.factor == 1.0;
            let sound = if quiet { block.clone() } else { scaled(block, self.factor, self.knob.factor()) };
            let taken = line.take(&sound, &self.shared);
            if !matches!(taken, Taken::After(_)) {
                self.factor = self.knob.factor();
                self.fresh = false;
                if let Some(block) = self.queue.pop_front() {
                    self.keep(block);
                }
            }
            match taken {
                Taken::Waits => {}
                Taken::Run(ready) | Taken::After(ready) => {
                    self.ready.push_back(ready);
                    return true;
                }
                Taken::Overlaps => self.too_late(1),
            }
        }
        self.hurry(now)
    }

    /// Makes a chunk of an unfinished run whose time has come.
    fn hurry(&mut self, now: HubTime) -> bool {
        let Some((due, blocks)) = self.line.as_ref().and_then(Line::waiting) else { return false };
        if due - self.patience(blocks) > now {
            return false;
        }
        let Some(line) = &mut self.line else { return false };
        let Some(ready) = line.rest(&self.shared) else { return false };
        self.ready.push_back(ready);
        true
    }

    /// Ends a stream that nothing was sent on for a while.
    fn rest(&mut self, now: HubTime) -> Option<Out> {
        self.stream?;
        if self.line_waits() || now < self.quiet_since + REST {
            return None;
        }
        self.stop();
        self.poll(now)
    }

    fn keep(&mut self, block: Block) {
        if self.given.len() == QUEUE {
            self.given.pop_front();
        }
        self.given.push_back(block);
    }

    fn drop_sound(&mut self) {
        self.queue.clear();
        self.given.clear();
        self.ready.clear();
        self.line = None;
        self.sent_until = None;
        self.fresh = true;
    }

    fn too_late(&mut self, blocks: u32) {
        self.late = self.late.saturating_add(blocks);
        self.shared.metrics.late.inc_by(u64::from(blocks));
    }

    fn line_waits(&self) -> bool {
        self.line.as_ref().is_some_and(|line| line.waiting().is_some())
    }

    /// The format it is to be sent: the one it asks for, else the best of its list.
    fn wanted(&self) -> Format {
        let wished = self.report.as_ref().and_then(|report| report.format);
        let listed = || format::best(&self.support.offers);
        // `new` saw to it that the list is not empty.
        wished.filter(|format| self.shared.makes(*format)).or_else(listed).unwrap_or(Format::HUB)
    }

    fn delay(&self) -> Duration {
        self.report.as_ref().map_or(Duration::ZERO, |report| report.output_delay)
    }

    /// How far ahead the first block must be (spec, player v1: at least `min_buffer_ms + output_delay_ms`), as far as
    /// the session's lead allows it.
    fn startup(&self) -> Duration {
        let wanted =
            self.report.as_ref().map_or(Duration::ZERO, |report| report.min_buffer + report.output_delay);
        wanted.min(self.spare)
    }

    /// How long before its first sound is due an unfinished run of so many blocks goes out.
    fn patience(&self, blocks: u32) -> Duration {
        let last_call = self.delay() + LAST_CALL;
        if blocks < 2 { last_call } else { self.spare.max(last_call) }
    }
}

fn told(command: Map<String, Value>) -> Out {
    Out::Json { kind: "server/command", payload: object("player", command.into()) }
}
