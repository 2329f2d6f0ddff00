//! The conversation with one server, without its socket.
//!
//! A machine: bytes, blocks, levels and the time go in; bytes to send and news come out. The session's task (`driver`)
//! feeds it, sends [`Talk::out`], and wakes it at [`Talk::deadline`]. The server asks for sound as it has room; what it
//! is given is made by its [`Stream`].

use std::collections::VecDeque;
use std::time::Duration;

use antiphon_audio::Block;
use antiphon_audio::playout::Report;
use antiphon_domain::{HubTime, Level, SampleRate};
use antiphon_endpoint::LostReason;

use super::depth::Depth;
use super::levels::{Change, Levels, Turned};
use super::stream::{FRAME, Stream};
use super::wire::frame::{Inbox, put_message};
use super::wire::message::{self, COOKIE, Message, Wish};
use super::wire::tags::Tags;

/// A server that has not answered for so long is frozen, or cut off.
const SILENT: Duration = Duration::from_secs(2);
/// The rate for sinks that do not have the hub's: most have this one.
const OTHER_RATE: SampleRate = match SampleRate::new(48_000) {
    Some(rate) => rate,
    None => SampleRate::HUB,
};
/// Blocks kept while the stream is being made: 4 s.
const EARLY: usize = 512;

/// What has happened.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum News {
    /// Blocks are heard from now on.
    Ready,
    /// A person turned it, there.
    Turned(Turned),
    /// Once a second.
    Report(Report),
    /// So many blocks came too late.
    Late(u32),
    /// How loud what was just given to the server is, dB below full scale: mean, peak.
    Meter(f32, f32),
}

/// What is being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Auth,
    Name,
    Sink,
    Create,
    Subscribe,
    Latency,
    Level,
    Look,
}

pub(crate) struct Talk {
    sink: String,
    depth: Depth,
    rate: SampleRate,
    levels: Levels,
    inbox: Inbox,
    out: Vec<u8>,
    tag: u32,
    asked: VecDeque<(u32, Asked, HubTime)>,
    stream: Option<Stream>,
    early: VecDeque<Block>,
    news: VecDeque<News>,
}

impl Talk {
    /// Begins to talk: the first bytes are to be sent.
    pub(crate) fn begin(
        sink: String,
        depth: Depth,
        levels: Levels,
        cookie: &[u8; COOKIE],
        now: HubTime,
    ) -> Self {
        let mut talk = Self {
            sink,
            depth,
            rate: SampleRate::HUB,
            levels,
            inbox: Inbox::default(),
            out: Vec::new(),
            tag: 0,
            asked: VecDeque::new(),
            stream: None,
            early: VecDeque::new(),
            news: VecDeque::new(),
        };
        talk.ask(Asked::Auth, now, |tag| message::auth(tag, cookie));
        talk
    }

    /// Whether the server has made us a stream.
    pub(crate) fn is_up(&self) -> bool {
        self.stream.is_some()
    }

    /// Whether what is played is heard.
    pub(crate) fn is_ready(&self) -> bool {
        self.stream.as_ref().is_some_and(Stream::is_ready)
    }

    /// What is to be sent.
    pub(crate) fn out(&self) -> &[u8] {
        &self.out
    }

    /// So many bytes were sent.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.out.drain(..bytes.min(self.out.len()));
    }

    pub(crate) fn news(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    /// When to call [`Talk::tick`].
    pub(crate) fn deadline(&self) -> Option<HubTime> {
        let silent = self.asked.front().map(|(_, _, when)| *when + SILENT);
        let stream = self.stream.as_ref();
        silent.into_iter().chain(stream.map(|stream| stream.deadline(self.out.len()))).min()
    }

    pub(crate) fn play(&mut self, block: &Block) -> bool {
        match &mut self.stream {
            Some(stream) => stream.playout.play(block),
            None if self.early.len() < EARLY => {
                self.early.push_back(block.clone());
                true
            }
            None => false,
        }
    }

    pub(crate) fn flush(&mut self, from: HubTime) {
        self.early.retain(|block| block.due < from);
        if let Some(stream) = &mut self.stream {
            stream.playout.flush(from);
        }
    }

    pub(crate) fn level(&mut self, level: Level, now: HubTime) {
        self.levels.wish(level);
        self.set_level(now);
    }

    /// Takes what the server sent.
    pub(crate) fn hear(&mut self, bytes: &[u8], now: HubTime) -> Result<(), LostReason> {
        let mut inbox = std::mem::take(&mut self.inbox);
        inbox.add(bytes);
        while let Some(bytes) = inbox.message().map_err(protocol)? {
            let message = message::read(bytes).map_err(protocol)?;
            self.take(message, now)?;
        }
        self.inbox = inbox;
        Ok(())
    }

    /// Does what has become due; called before each wait.
    pub(crate) fn tick(&mut self, now: HubTime) -> Result<(), LostReason> {
        if let Some((_, _, when)) = self.asked.front()
            && now.since(*when) >= SILENT
        {
            let seconds = SILENT.as_secs();
            return Err(LostReason::Disconnected(format!("it has not answered for {seconds} s")));
        }
        let waits = self.asked.iter().any(|(_, asked, _)| *asked == Asked::Latency);
        let Some(stream) = &mut self.stream else { return Ok(()) };
        stream.check(now)?;
        stream.count(now, &mut self.news);
        stream.measure(now, &mut self.news);
        stream.feed(now, &mut self.out);
        if stream.looks_now(now) && !waits {
            let channel = stream.channel;
            self.ask(Asked::Latency, now, |tag| message::ask_latency(tag, channel));
        }
        Ok(())
    }

    fn take(&mut self, message: Message<'_>, now: HubTime) -> Result<(), LostReason> {
        let ours = |channel: u32| self.stream.as_ref().is_some_and(|stream| stream.channel == channel);
        match message {
            Message::Reply(tag, reply) => {
                if let Some((asked, when)) = self.answered(tag) {
                    self.answer(asked, reply, when, now)?;
                }
            }
            Message::Error(tag, code) => {
                if let Some((asked, _)) = self.answered(tag) {
                    self.refused(asked, code)?;
                }
            }
            Message::Request { channel, bytes } if ours(channel) => {
                if let Some(stream) = &mut self.stream {
                    stream.wanted(bytes)?;
                }
            }
            Message::Killed(channel) if ours(channel) => {
                return Err(LostReason::Unavailable("our stream was ended there".to_owned()));
            }
            Message::Suspended(channel, true) | Message::Moved(channel, true) if ours(channel) => {
                return Err(suspended());
            }
            Message::Moved(channel, false) if ours(channel) => {
                if let Some(stream) = &mut self.stream {
                    stream.moved(now);
                }
            }
            Message::InputChanged(input) => {
                let is_ours = self.stream.as_ref().is_some_and(|stream| stream.input == input);
                if is_ours && self.levels.changed() {
                    self.ask(Asked::Look, now, |tag| message::input_info(tag, input));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn answer(
        &mut self,
        asked: Asked,
        reply: Tags<'_>,
        when: HubTime,
        now: HubTime,
    ) -> Result<(), LostReason> {
        match asked {
            Asked::Auth => {
                let version = message::version(reply).map_err(protocol)?;
                if version < message::OLDEST {
                    return Err(LostReason::Protocol(format!("it speaks version {version}, too old for us")));
                }
                self.ask(Asked::Name, now, message::set_name);
            }
            Asked::Name => {
                let sink = self.sink.clone();
                self.ask(Asked::Sink, now, |tag| message::sink_info(tag, &sink));
            }
            Asked::Sink => {
                let rate = message::sink_rate(reply).map_err(protocol)?;
                // At the sink's own rate nothing is resampled there.
                let rate = if rate == SampleRate::HUB.hertz() { SampleRate::HUB } else { OTHER_RATE };
                self.rate = rate;
                self.create(now);
            }
            Asked::Create => self.created(reply, now)?,
            Asked::Latency => {
                let latency = message::latency(reply).map_err(protocol)?;
                if let Some(stream) = &mut self.stream
                    && stream.told(&latency, when, now)?
                {
                    self.news.push_back(News::Ready);
                }
            }
            Asked::Level => {
                self.levels.set();
                self.set_level(now);
            }
            Asked::Look => {
                let (volume, muted) = message::input_level(reply).map_err(protocol)?;
                let (turned, again) = self.levels.seen(volume, muted);
                self.news.extend(turned.into_iter().flatten().map(News::Turned));
                if let Some(input) = self.stream.as_ref().map(|stream| stream.input).filter(|_| again) {
                    self.ask(Asked::Look, now, |tag| message::input_info(tag, input));
                }
            }
            Asked::Subscribe => {}
        }
        Ok(())
    }

    fn refused(&mut self, asked: Asked, code: u32) -> Result<(), LostReason> {
        use message::error::{ACCESS, BAD_STATE, NO_ENTITY};
        Err(match (asked, code) {
            // Those a talk can do without.
            (Asked::Subscribe | Asked::Look, _) => return Ok(()),
            (Asked::Level, _) => {
                self.levels.set();
                return Ok(());
            }
            (Asked::Auth, ACCESS) => LostReason::PasswordRequired,
            (Asked::Sink, NO_ENTITY) => {
                LostReason::Unavailable(format!("it has no sink called {}", self.sink))
            }
            (Asked::Create, BAD_STATE) => suspended(),
            (Asked::Create, NO_ENTITY) => LostReason::Unavailable("its sink has gone".to_owned()),
            (Asked::Create, code) => LostReason::Format(format!("its error {code}")),
            (Asked::Latency, _) => LostReason::Unavailable("our stream has gone there".to_owned()),
            (asked, code) => LostReason::Protocol(format!("{asked:?} failed with its error {code}")),
        })
    }

    fn create(&mut self, now: HubTime) {
        let (volume, muted) = self.levels.first();
        let bytes = |span: Duration| {
            (span.as_micros() as u64 * u64::from(self.rate.hertz()) / 1_000_000) as u32 * FRAME
        };
        let (buffer, piece) = (bytes(self.depth.buffer), bytes(self.depth.piece));
        let (sink, rate) = (self.sink.clone(), self.rate.hertz());
        let wish = Wish { sink: &sink, rate, buffer, piece, volume, muted };
        self.ask(Asked::Create, now, |tag| message::create(tag, &wish));
    }

    fn created(&mut self, reply: Tags<'_>, now: HubTime) -> Result<(), LostReason> {
        let made = message::made(reply).map_err(protocol)?;
        if made.suspended {
            return Err(suspended());
        }
        let mut stream = Stream::new(&made, self.rate, self.depth.ahead, now)?;
        for block in self.early.drain(..) {
            stream.playout.play(&block);
        }
        self.stream = Some(stream);
        self.ask(Asked::Subscribe, now, message::subscribe);
        // What was wished meanwhile.
        self.set_level(now);
        Ok(())
    }

    fn set_level(&mut self, now: HubTime) {
        let Some(input) = self.stream.as_ref().map(|stream| stream.input) else { return };
        for change in self.levels.changes().into_iter().flatten() {
            self.ask(Asked::Level, now, |tag| match change {
                Change::Volume(volume) => message::set_volume(tag, input, volume),
                Change::Muted(muted) => message::set_mute(tag, input, muted),
            });
        }
    }

    fn ask(&mut self, asked: Asked, now: HubTime, message: impl FnOnce(u32) -> Vec<u8>) {
        self.tag = self.tag.wrapping_add(1);
        put_message(&mut self.out, &message(self.tag));
        self.asked.push_back((self.tag, asked, now));
    }

    fn answered(&mut self, tag: u32) -> Option<(Asked, HubTime)> {
        let at = self.asked.iter().position(|(asked, ..)| *asked == tag)?;
        self.asked.remove(at).map(|(_, asked, when)| (asked, when))
    }
}

fn suspended() -> LostReason {
    LostReason::Unavailable("its sink was suspended there".to_owned())
}

fn protocol(error: impl std::fmt::Display) -> LostReason {
    LostReason::Protocol(error.to_string())
}
