//! The conversation with one server, without its socket.
//!
//! A machine: bytes, blocks, levels and the time go in; bytes to send and news come out. The session's task (`driver`)
//! feeds it, sends [`Talk::out`], and wakes it at [`Talk::deadline`]. The server asks for sound as it has room; what it
//! is given is made by the corrected playout ([`Playout`]), which the server's own word on its place in time steers.

use std::collections::VecDeque;
use std::time::Duration;

use antiphon_audio::clock::Observed;
use antiphon_audio::drift::Corrections;
use antiphon_audio::meter::{Meter, SILENCE_DBFS};
use antiphon_audio::playout::{Playout, Report};
use antiphon_audio::{Block, CHANNELS};
use antiphon_domain::{Frames, HubTime, Level, SampleRate};
use antiphon_endpoint::{LostReason, Pace};

use super::levels::{Change, Levels, Turned};
use super::wire::frame::{Inbox, put_message, put_sound};
use super::wire::message::{self, COOKIE, Message, Wish};
use super::wire::tags::Tags;

/// Bytes of a frame: two channels of 16 bits.
const FRAME: u32 = CHANNELS as u32 * 2;
/// How often the server is asked for its place in time: often at first, to be right soon.
const LOOK: Duration = Duration::from_millis(50);
const FIRST_LOOKS: (Duration, u32) = (Duration::from_millis(25), 120);
/// A server that has not answered for so long is frozen, or cut off.
const SILENT: Duration = Duration::from_secs(2);
/// Answers in a row that must agree before we call a sink ready.
const AGREED: u32 = 4;
/// The silence an idle sink still has before it when we call it ready.
const COMING: Duration = Duration::from_millis(20);
/// How long a sink may take until it plays: idle ones have up to two seconds of silence before them (PulseAudio 16.1).
const LONGEST_WAKING: Duration = Duration::from_secs(5);
const COUNT_EVERY: Duration = Duration::from_millis(200);
const REPORT_EVERY: Duration = Duration::from_secs(1);
const METER_EVERY: Duration = Duration::from_millis(300);
/// The rate for sinks that do not have the hub's: most have this one.
const OTHER_RATE: SampleRate = match SampleRate::new(48_000) {
    Some(rate) => rate,
    None => SampleRate::HUB,
};
/// Frames made at once, so that the pace is corrected often.
const PIECE: usize = 441;
/// Bytes that may wait for the socket before more sound is made.
const WAITING: usize = 64 * 1024;
/// Sound a server may be owed, bytes: a minute. One that wants more does not speak the protocol.
const MOST_OWED: u64 = 60 * 48_000 * FRAME as u64;
/// Blocks kept while the stream is being made: 4 s.
const EARLY: usize = 512;

/// How much sound a session keeps at the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Depth {
    /// What the server keeps ready for its sink.
    pub buffer: Duration,
    /// The pieces it is asked for in, and what the sink keeps.
    pub piece: Duration,
    /// Sound is made at most so long before it is heard: the buffer, and what the sink adds to it.
    pub ahead: Duration,
    /// How early blocks must come: there must be time to make the sound, too.
    pub lead: Duration,
}

impl Depth {
    pub(crate) fn of(pace: Pace) -> Self {
        let [buffer, piece, ahead, lead] = match pace {
            Pace::Steady => [350, 20, 410, 450],
            Pace::Quick => [60, 10, 90, 120],
        }
        .map(Duration::from_millis);
        Self { buffer, piece, ahead, lead }
    }

    /// For this machine's own sound, which no network delays.
    pub(crate) fn here(pace: Pace) -> Self {
        match pace {
            Pace::Steady => Self {
                buffer: Duration::from_millis(200),
                piece: Duration::from_millis(10),
                ahead: Duration::from_millis(260),
                lead: Duration::from_millis(300),
            },
            Pace::Quick => Self::of(pace),
        }
    }
}

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

#[derive(Debug)]
struct Stream {
    channel: u32,
    input: u32,
    playout: Playout,
    /// Bytes the server wants and has not been given.
    owed: u64,
    since: HubTime,
    /// A frame, and when it is heard, as the server said last.
    placed: Option<(u64, HubTime)>,
    /// Answers in a row that agreed about it.
    agreed: u32,
    looks: u32,
    next_look: HubTime,
    next_count: HubTime,
    next_report: HubTime,
    /// Since the last report.
    corrections: Corrections,
    next_meter: HubTime,
    ready: bool,
    meter: Meter,
    sounding: bool,
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

impl Stream {
    /// When the next sound is to be made: so long before it is heard, and only if the server has asked for it.
    fn next_sound(&self, rate: SampleRate, ahead: Duration) -> Option<HubTime> {
        let (frame, heard) = self.placed.filter(|_| self.owed >= u64::from(FRAME))?;
        let written = self.playout.written();
        let moment = match written.checked_sub(frame) {
            Some(more) => heard + Frames(more).duration(rate),
            None => heard - Frames(frame - written).duration(rate),
        };
        Some(moment - ahead)
    }
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
        let looks = stream.map(|stream| stream.next_look.min(stream.next_count));
        let sound = stream.and_then(|stream| stream.next_sound(self.rate, self.depth.ahead));
        silent.into_iter().chain(looks).chain(sound).min()
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
        if !stream.ready && now.since(stream.since) >= LONGEST_WAKING {
            let behind = stream.placed.map_or(Duration::ZERO, |(_, heard)| heard.since(now));
            let millis = behind.as_millis();
            return Err(LostReason::Unavailable(format!("its sink plays nothing, or {millis} ms behind")));
        }
        if now >= stream.next_count {
            stream.next_count = now + COUNT_EVERY;
            let mut report = stream.playout.report();
            stream.corrections.rate += report.corrections.rate;
            stream.corrections.frames += report.corrections.frames;
            stream.corrections.reanchored += report.corrections.reanchored;
            // Before the sink is there, nobody has promised to play.
            if report.late_blocks > 0 && stream.ready {
                self.news.push_back(News::Late(report.late_blocks));
            }
            if now >= stream.next_report {
                stream.next_report = now + REPORT_EVERY;
                report.corrections = std::mem::take(&mut stream.corrections);
                self.news.push_back(News::Report(report));
            }
        }
        if now >= stream.next_look {
            let (first, count) = FIRST_LOOKS;
            stream.next_look = now + if stream.looks < count { first } else { LOOK };
            stream.looks += 1;
            if !waits {
                let channel = stream.channel;
                self.ask(Asked::Latency, now, |tag| message::ask_latency(tag, channel));
            }
        }
        if let Some(stream) = &mut self.stream
            && now >= stream.next_meter
        {
            stream.next_meter = now + METER_EVERY;
            // One reading of silence after the last sound, then none.
            let reading = stream.meter.take().filter(|reading| reading.peak_dbfs > SILENCE_DBFS);
            if stream.sounding || reading.is_some() {
                let (rms, peak) = reading
                    .map_or((SILENCE_DBFS, SILENCE_DBFS), |reading| (reading.rms_dbfs, reading.peak_dbfs));
                self.news.push_back(News::Meter(rms, peak));
            }
            stream.sounding = reading.is_some();
        }
        self.feed(now);
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
                    stream.owed += u64::from(bytes);
                    if stream.owed > MOST_OWED {
                        return Err(LostReason::Protocol(format!("it wants {} bytes of sound", stream.owed)));
                    }
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
                    stream.playout.restarted();
                    stream.placed = None;
                    stream.looks = 0;
                    stream.next_look = now;
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
            Asked::Latency => self.placed(reply, when, now)?,
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
        let mut playout = Playout::by_trend(self.rate);
        for block in self.early.drain(..) {
            playout.play(&block);
        }
        self.stream = Some(Stream {
            channel: made.channel,
            input: made.input,
            playout,
            owed: u64::from(made.wanted).min(MOST_OWED),
            since: now,
            placed: None,
            agreed: 0,
            looks: 0,
            next_look: now,
            next_count: now + COUNT_EVERY,
            next_report: now + REPORT_EVERY,
            corrections: Corrections::default(),
            next_meter: now + METER_EVERY,
            ready: false,
            meter: Meter::new(),
            sounding: false,
        });
        self.ask(Asked::Subscribe, now, message::subscribe);
        // What was wished meanwhile.
        self.set_level(now);
        Ok(())
    }

    /// The server has said where it is.
    fn placed(&mut self, reply: Tags<'_>, asked: HubTime, now: HubTime) -> Result<(), LostReason> {
        let latency = message::latency(reply).map_err(protocol)?;
        let Some(stream) = &mut self.stream else { return Ok(()) };
        let Ok(read) = u64::try_from(latency.read) else {
            return Err(LostReason::Protocol(format!("it has played {} bytes", latency.read)));
        };
        // It looked at its clock somewhere between our question and its answer.
        let half = now.since(asked) / 2;
        let (frame, heard) =
            (read / u64::from(FRAME), asked + half + Duration::from_micros(latency.sink_micros));
        stream.placed = Some((frame, heard));
        match stream.playout.heard(frame, heard, half + Duration::from_micros(1)) {
            Observed::Taken => stream.agreed += 1,
            Observed::Refused | Observed::Stepped => {
                // Where it is now is to be known soon.
                stream.agreed = 0;
                stream.looks = 0;
                stream.next_look = now + FIRST_LOOKS.0;
            }
        }
        // A sink that was idle may have seconds of silence before it, and may take some of it back as it begins.
        let room = stream.next_sound(self.rate, self.depth.ahead).is_none_or(|sound| sound <= now + COMING);
        if !stream.ready && read > 0 && room && stream.agreed >= AGREED {
            stream.ready = true;
            self.news.push_back(News::Ready);
        }
        Ok(())
    }

    /// Makes the sound that the server wants, as far as it is time and the socket takes it.
    fn feed(&mut self, now: HubTime) {
        let Some(stream) = &mut self.stream else { return };
        let mut samples = [0; PIECE * CHANNELS];
        while self.out.len() < WAITING
            && stream.next_sound(self.rate, self.depth.ahead).is_some_and(|moment| moment <= now)
        {
            let frames = (stream.owed / u64::from(FRAME)).min(PIECE as u64) as usize;
            let samples = &mut samples[..frames * CHANNELS];
            stream.playout.fill(samples);
            stream.meter.add(samples);
            put_sound(&mut self.out, stream.channel, samples);
            stream.owed -= frames as u64 * u64::from(FRAME);
        }
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
