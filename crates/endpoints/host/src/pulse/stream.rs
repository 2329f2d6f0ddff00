//! One stream at a server: what it is given, and where the server says that it is in time.
//!
//! A part of the talk, which owns it and tells it the time. Sound is made by the corrected playout ([`Playout`]), which the
//! server's own word on its place in time steers; only as the server asks for it, and not long before it is heard.

use std::collections::VecDeque;
use std::time::Duration;

use antiphon_audio::clock::Observed;
use antiphon_audio::drift::Corrections;
use antiphon_audio::meter::{Meter, SILENCE_DBFS};
use antiphon_audio::playout::Playout;
use antiphon_audio::{BLOCK_FRAMES, CHANNELS};
use antiphon_domain::{Frames, HubTime, SampleRate};
use antiphon_endpoint::LostReason;

use super::talk::News;
use super::wire::frame::put_sound;
use super::wire::message::{Latency, Made};

/// Bytes of a frame: two channels of 16 bits.
pub(crate) const FRAME: u32 = CHANNELS as u32 * 2;

/// How often the server is asked for its place in time: often at first, to be right soon.
const LOOK: Duration = Duration::from_millis(50);
const FIRST_LOOKS: (Duration, u32) = (Duration::from_millis(25), 120);
/// Answers in a row that must agree before we call a sink ready.
const AGREED: u32 = 4;
/// The silence an idle sink still has before it when we call it ready.
const COMING: Duration = Duration::from_millis(20);
/// How long a sink may take until it plays, and how long it may rest then: idle ones have up to two seconds of silence
/// before them (PulseAudio 16.1).
const LONGEST_WAKING: Duration = Duration::from_secs(5);
const COUNT_EVERY: Duration = Duration::from_millis(200);
const REPORT_EVERY: Duration = Duration::from_secs(1);
const METER_EVERY: Duration = Duration::from_millis(300);
/// Frames made at once, so that the pace is corrected often.
const PIECE: usize = 441;
/// Bytes that may wait for the socket before more sound is made.
const WAITING: usize = 64 * 1024;
/// Sound a server may be owed, bytes: a minute. One that wants more does not speak the protocol.
const MOST_OWED: u64 = 60 * 48_000 * FRAME as u64;
/// Nothing that plays for people is heard later than this after it was given.
const MOST_LATENCY: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Stream {
    pub channel: u32,
    pub input: u32,
    pub playout: Playout,
    rate: SampleRate,
    /// Sound is made at most so long before it is heard.
    ahead: Duration,
    /// Bytes the server wants and has not been given.
    owed: u64,
    /// When it was made; once it is ready, when its sink was last seen to play, in time.
    since: HubTime,
    /// Bytes that the sink had taken, and how long it holds them, as the server said last.
    read: u64,
    sink: Duration,
    /// A frame, and when it is heard, as the server said last.
    placed: Option<(u64, HubTime)>,
    /// Answers in a row that agreed about it.
    agreed: u32,
    /// Whether the sink has begun to take sound.
    begun: bool,
    ready: bool,
    looks: u32,
    next_look: HubTime,
    next_count: HubTime,
    next_report: HubTime,
    /// Since the last report.
    corrections: Corrections,
    /// Frames of sound that were made after their moment, which the server throws away.
    missed: u64,
    next_meter: HubTime,
    meter: Meter,
    sounding: bool,
}

impl Stream {
    pub(crate) fn new(
        made: &Made,
        rate: SampleRate,
        ahead: Duration,
        now: HubTime,
    ) -> Result<Self, LostReason> {
        let mut stream = Self {
            channel: made.channel,
            input: made.input,
            playout: Playout::by_trend(rate),
            rate,
            ahead,
            owed: 0,
            since: now,
            read: 0,
            sink: Duration::ZERO,
            placed: None,
            agreed: 0,
            begun: false,
            ready: false,
            looks: 0,
            next_look: now,
            next_count: now + COUNT_EVERY,
            next_report: now + REPORT_EVERY,
            corrections: Corrections::default(),
            missed: 0,
            next_meter: now + METER_EVERY,
            meter: Meter::new(),
            sounding: false,
        };
        stream.wanted(made.wanted)?;
        Ok(stream)
    }

    /// Whether its sink has begun to play what is due.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready
    }

    /// When something is to be done next, while so many bytes wait for the socket.
    pub(crate) fn deadline(&self, waiting: usize) -> HubTime {
        let looks = self.next_look.min(self.next_count);
        // Where the socket takes nothing, sound that is due cannot be made either.
        let sound = self.next_sound().filter(|_| waiting < WAITING);
        sound.map_or(looks, |sound| sound.min(looks))
    }

    /// The server wants so many more bytes.
    pub(crate) fn wanted(&mut self, bytes: u32) -> Result<(), LostReason> {
        self.owed += u64::from(bytes);
        if self.owed > MOST_OWED {
            return Err(LostReason::Protocol(format!("it wants {} bytes of sound", self.owed)));
        }
        Ok(())
    }

    /// Somebody moved it to another sink: what was known of its place is void.
    pub(crate) fn moved(&mut self, now: HubTime) {
        self.playout.restarted();
        self.placed = None;
        self.look_soon(now);
    }

    /// Whether the server is to be asked for its place now.
    pub(crate) fn looks_now(&mut self, now: HubTime) -> bool {
        if now < self.next_look {
            return false;
        }
        let (first, count) = FIRST_LOOKS;
        self.next_look = now + if self.looks < count { first } else { LOOK };
        self.looks = self.looks.saturating_add(1);
        true
    }

    /// The server has said where it is, asked at `asked`; whether it is ready from now on.
    pub(crate) fn told(
        &mut self,
        latency: &Latency,
        asked: HubTime,
        now: HubTime,
    ) -> Result<bool, LostReason> {
        let sink = Duration::from_micros(latency.sink_micros);
        let read = u64::try_from(latency.read).ok().filter(|_| sink <= MOST_LATENCY);
        let Some(read) = read else {
            let words = format!("it has played {} bytes, heard in {} s", latency.read, sink.as_secs());
            return Err(LostReason::Protocol(words));
        };
        if read > self.read && self.is_near(sink) && self.ready {
            self.since = now;
        }
        (self.read, self.sink) = (read, sink);
        // It looked at its clock somewhere between our question and its answer.
        let half = now.since(asked) / 2;
        let (frame, heard) = (read / u64::from(FRAME), asked + half + sink);
        self.placed = Some((frame, heard));
        if read > 0 && !self.begun {
            // What it said before was of a sound that had not begun: as it does, the sink may take silence back.
            self.begun = true;
            self.agreed = 0;
            self.playout.restarted();
            self.look_soon(now);
        }
        match self.playout.heard(frame, heard, half + Duration::from_micros(1)) {
            Observed::Taken => self.agreed = self.agreed.saturating_add(1),
            Observed::Refused | Observed::Stepped => {
                self.agreed = 0;
                self.look_soon(now);
            }
        }
        // A sink that was idle may have seconds of silence before it, and may take some of it back as it begins.
        let room = self.next_sound().is_none_or(|sound| sound <= now + COMING);
        let begins = !self.ready && self.begun && room && self.is_near(sink) && self.agreed >= AGREED;
        if begins {
            self.ready = true;
            self.since = now;
            // Until now nobody had promised to play.
            self.playout.take_late();
        }
        Ok(begins)
    }

    /// Whether sound is made early enough for a sink that holds it so long.
    fn is_near(&self, sink: Duration) -> bool {
        sink + COMING <= self.ahead
    }

    /// Whether the sink plays at all, and in time.
    pub(crate) fn check(&self, now: HubTime) -> Result<(), LostReason> {
        if now.since(self.since) < LONGEST_WAKING {
            return Ok(());
        }
        let words = if self.is_near(self.sink) {
            "its sink does not play".to_owned()
        } else {
            let (holds, ahead) = (self.sink.as_millis(), self.ahead.as_millis());
            format!("its sink holds {holds} ms of sound, and gets it {ahead} ms ahead at most")
        };
        Err(LostReason::Unavailable(words))
    }

    /// Tells how it fares, when that is due.
    pub(crate) fn count(&mut self, now: HubTime, news: &mut VecDeque<News>) {
        if now < self.next_count {
            return;
        }
        self.next_count = now + COUNT_EVERY;
        let mut report = self.playout.report();
        self.corrections.rate += report.corrections.rate;
        self.corrections.reanchored += report.corrections.reanchored;
        // A block at the stream's rate.
        let block = BLOCK_FRAMES as u64 * u64::from(self.rate.hertz()) / u64::from(SampleRate::HUB.hertz());
        let late = report.late_blocks.saturating_add((self.missed / block) as u32);
        self.missed %= block;
        // Before the sink is there, nobody has promised to play.
        if late > 0 && self.ready {
            news.push_back(News::Late(late));
        }
        if now >= self.next_report {
            self.next_report = now + REPORT_EVERY;
            report.corrections = std::mem::take(&mut self.corrections);
            news.push_back(News::Report(report));
        }
    }

    /// Tells how loud it is, when that is due: one reading of silence after the last sound, then none.
    pub(crate) fn measure(&mut self, now: HubTime, news: &mut VecDeque<News>) {
        if now < self.next_meter {
            return;
        }
        self.next_meter = now + METER_EVERY;
        let reading = self.meter.take().filter(|reading| reading.peak_dbfs > SILENCE_DBFS);
        if self.sounding || reading.is_some() {
            let silence = (SILENCE_DBFS, SILENCE_DBFS);
            let (rms, peak) = reading.map_or(silence, |reading| (reading.rms_dbfs, reading.peak_dbfs));
            news.push_back(News::Meter(rms, peak));
        }
        self.sounding = reading.is_some();
    }

    /// Makes the sound that the server wants, as far as it is time and the socket takes it.
    pub(crate) fn feed(&mut self, now: HubTime, out: &mut Vec<u8>) {
        let mut samples = [0; PIECE * CHANNELS];
        while out.len() < WAITING && self.next_sound().is_some_and(|moment| moment <= now) {
            let passed = self.playout.moment_of(self.playout.written()).is_some_and(|heard| heard < now);
            let frames = (self.owed / u64::from(FRAME)).min(PIECE as u64) as usize;
            let samples = &mut samples[..frames * CHANNELS];
            self.playout.fill(samples);
            self.meter.add(samples);
            if self.ready && passed && self.playout.due().is_some() {
                self.missed += frames as u64;
            }
            put_sound(out, self.channel, samples);
            self.owed -= frames as u64 * u64::from(FRAME);
        }
    }

    /// When the next sound is to be made: so long before it is heard, and only if the server has asked for it.
    fn next_sound(&self) -> Option<HubTime> {
        let (frame, heard) = self.placed.filter(|_| self.owed >= u64::from(FRAME))?;
        let written = self.playout.written();
        let moment = match written.checked_sub(frame) {
            Some(more) => heard + Frames(more).duration(self.rate),
            None => heard - Frames(frame - written).duration(self.rate),
        };
        Some(moment - self.ahead)
    }

    fn look_soon(&mut self, now: HubTime) {
        self.looks = 0;
        self.next_look = now + FIRST_LOOKS.0;
    }
}
