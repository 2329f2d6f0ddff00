//! The tail of the kind `local` where there is no sound server: a GStreamer pipeline that plays on an ALSA device.
//!
//! It runs on a thread of its own session. The pipeline's clock is the card's own, so GStreamer corrects nothing: a
//! buffer's timestamp is its frame's number, and what is put there is made by the corrected playout ([`Playout`]), which
//! is told what the card's clock says against the hub's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use antiphon_audio::CHANNELS;
use antiphon_audio::clock::Observed;
use antiphon_audio::meter::Meter;
use antiphon_audio::playout::Playout;
use antiphon_domain::{Frames, HubTime, SampleRate};
use antiphon_endpoint::{Clock, EndpointEvent, EventSink, LostReason};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_audio as gst_audio;
use tracing::{debug, info};

use crate::front::Order;
use crate::pulse::{Depth, sync};

/// The pieces in which sound is made, frames, and how much of it may wait for the card, bytes.
const PIECE: usize = 441;
const WAITING: u64 = 2 * (PIECE * CHANNELS * 2) as u64;

const LOOK: Duration = Duration::from_millis(5);
/// How often the card's clock is read, and how well that tells when a frame is heard: cards tell it by the pieces in
/// which they take sound from memory (a guess; no card was there to be measured).
const READ_EVERY: Duration = Duration::from_millis(20);
const READING: Duration = Duration::from_micros(100);
const METER_EVERY: Duration = Duration::from_millis(300);
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// Readings in a row that must agree before we call a card ready: a card that starts may take a while to find its pace.
const AGREED: u32 = 15;
/// How long a card may take to begin.
const BEGIN: Duration = Duration::from_secs(5);

/// What a session's thread is given.
pub(crate) struct CardSession {
    /// An ALSA device; the default one when absent.
    pub device: Option<String>,
    pub depth: Depth,
    pub orders: Receiver<Order>,
    pub clock: Arc<dyn Clock>,
    pub events: EventSink,
    /// Blocks that came too late, counted by the endpoint.
    pub missed: Arc<AtomicU32>,
}

/// Plays until the endpoint is dropped or the card fails.
pub(crate) fn run(session: CardSession) {
    let events = Arc::clone(&session.events);
    let tail = match Tail::open(session.device.as_deref(), session.depth) {
        Ok(tail) => tail,
        Err(reason) => {
            events(EndpointEvent::Lost(LostReason::Local(reason)));
            return;
        }
    };
    let over = Player::new(session, &tail).play();
    tail.close();
    if let Err(reason) = over {
        info!(reason, "the sound card was lost");
        events(EndpointEvent::Lost(LostReason::Local(reason)));
    }
}

struct Player<'a> {
    session: CardSession,
    tail: &'a Tail,
    playout: Playout,
    meter: Meter,
    ready: bool,
    /// Readings in a row that agreed.
    agreed: u32,
    opened: HubTime,
    next_read: HubTime,
    next_meter: HubTime,
    next_report: HubTime,
}

impl<'a> Player<'a> {
    fn new(session: CardSession, tail: &'a Tail) -> Self {
        let opened = session.clock.now();
        Self {
            session,
            tail,
            playout: Playout::by_trend(SampleRate::HUB),
            meter: Meter::new(),
            ready: false,
            agreed: 0,
            opened,
            next_read: opened,
            next_meter: opened + METER_EVERY,
            next_report: opened + REPORT_EVERY,
        }
    }

    fn play(mut self) -> Result<(), String> {
        while self.obey() {
            self.tail.check()?;
            let now = self.session.clock.now();
            self.read(now)?;
            self.feed(now)?;
            self.tell(now);
        }
        Ok(())
    }

    /// Waits a moment for orders; false when the session is over.
    fn obey(&mut self) -> bool {
        let mut news = self.session.orders.recv_timeout(LOOK);
        loop {
            match news {
                Ok(Order::Play(block)) => {
                    self.playout.play(&block);
                }
                Ok(Order::Flush(from)) => self.playout.flush(from),
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
            news = self.session.orders.recv_timeout(Duration::ZERO);
        }
    }

    fn read(&mut self, now: HubTime) -> Result<(), String> {
        if now < self.next_read {
            return Ok(());
        }
        self.next_read = now + READ_EVERY;
        let before = self.session.clock.now();
        let Some(heard) = self.tail.heard() else {
            return if now.since(self.opened) > BEGIN && !self.ready {
                Err("the sound card does not begin".to_owned())
            } else {
                Ok(())
            };
        };
        let half = self.session.clock.now().since(before) / 2;
        match self.playout.heard(heard, before + half, half + READING) {
            Observed::Taken => self.agreed = self.agreed.saturating_add(1),
            Observed::Refused | Observed::Stepped => self.agreed = 0,
        }
        if !self.ready && self.agreed >= AGREED {
            self.ready = true;
            // Before this nobody has promised to play.
            self.playout.report();
            self.session.missed.store(0, Ordering::Relaxed);
            (self.session.events)(EndpointEvent::Ready);
        }
        Ok(())
    }

    /// Makes sound as far as the card takes it and it is time.
    fn feed(&mut self, now: HubTime) -> Result<(), String> {
        let mut samples = [0; PIECE * CHANNELS];
        while self.tail.waiting() < WAITING && self.is_time(now) {
            let frame = self.playout.written();
            self.playout.fill(&mut samples);
            self.meter.add(&samples);
            self.tail.push(&samples, frame)?;
        }
        Ok(())
    }

    /// Whether the next sound is near enough; before the card has begun, it wants its buffer full.
    fn is_time(&self, now: HubTime) -> bool {
        let next = Frames(self.playout.written());
        match self.tail.heard() {
            Some(heard) => {
                let ahead = Frames(next.0.saturating_sub(heard)).duration(SampleRate::HUB);
                ahead <= self.session.depth.ahead
            }
            None => {
                now.since(self.opened) < BEGIN && next.duration(SampleRate::HUB) <= self.session.depth.ahead
            }
        }
    }

    fn tell(&mut self, now: HubTime) {
        let events = &self.session.events;
        if !self.ready {
            return;
        }
        let missed = self.session.missed.swap(0, Ordering::Relaxed);
        if missed > 0 {
            events(EndpointEvent::Underrun { blocks: missed });
        }
        if now >= self.next_report {
            self.next_report = now + REPORT_EVERY;
            let report = self.playout.report();
            if report.late_blocks > 0 {
                events(EndpointEvent::Underrun { blocks: report.late_blocks });
            }
            if report.error_nanos.is_some() {
                events(EndpointEvent::Sync(sync(&report)));
            }
        }
        if now >= self.next_meter {
            self.next_meter = now + METER_EVERY;
            if let Some(reading) = self.meter.take() {
                let (rms_dbfs, peak_dbfs) = (reading.rms_dbfs, reading.peak_dbfs);
                events(EndpointEvent::Meter { rms_dbfs, peak_dbfs });
            }
        }
    }
}

struct Tail {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    bus: gst::Bus,
}

impl Tail {
    fn open(device: Option<&str>, depth: Depth) -> Result<Self, String> {
        gst::init().map_err(|error| format!("gstreamer does not start: {error}"))?;
        let sink = open_sink(device, depth)?;
        let tail = Self::build(&sink);
        if tail.is_err() {
            let _ = sink.set_state(gst::State::Null);
        }
        tail
    }

    fn build(sink: &gst::Element) -> Result<Self, String> {
        let caps = gst_audio::AudioCapsBuilder::new_interleaved()
            .format(gst_audio::AudioFormat::S16le)
            .rate(SampleRate::HUB.hertz() as i32)
            .channels(CHANNELS as i32)
            .build();
        let source = gst_app::AppSrc::builder().caps(&caps).format(gst::Format::Time).build();
        let pipeline = gst::Pipeline::new();
        let convert = make("audioconvert")?;
        let resample = make("audioresample")?;
        let chain = [source.upcast_ref(), &convert, &resample, sink];
        pipeline.add_many(chain).map_err(|error| error.to_string())?;
        gst::Element::link_many(chain).map_err(|error| error.to_string())?;
        // With the sink's clock and a base time of 0, a timestamp is a place in what the card plays.
        pipeline.set_start_time(gst::ClockTime::NONE);
        pipeline.set_base_time(gst::ClockTime::ZERO);
        let bus = pipeline.bus().ok_or("the pipeline has no bus")?;
        pipeline.set_state(gst::State::Playing).map_err(|_| "the sound card does not start".to_owned())?;
        Ok(Self { pipeline, source, bus })
    }

    /// The frame that is heard now, once the card runs.
    fn heard(&self) -> Option<u64> {
        let playing = self.pipeline.current_state() == gst::State::Playing;
        let clock = self.pipeline.clock().filter(|_| playing)?;
        let heard = Duration::from_nanos(clock.time().nseconds());
        (!heard.is_zero()).then(|| Frames::within(heard, SampleRate::HUB).0)
    }

    /// Bytes that the card has not taken.
    fn waiting(&self) -> u64 {
        self.source.current_level_bytes()
    }

    /// Plays interleaved samples at a place.
    fn push(&self, samples: &[i16], frame: u64) -> Result<(), String> {
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let time = |frame: u64| {
            gst::ClockTime::from_nseconds(Frames(frame).duration(SampleRate::HUB).as_nanos() as u64)
        };
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        if let Some(buffer) = buffer.get_mut() {
            let end = frame + (samples.len() / CHANNELS) as u64;
            buffer.set_pts(time(frame));
            buffer.set_duration(time(end).saturating_sub(time(frame)));
        }
        match self.source.push_buffer(buffer) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("the sound card takes nothing: {error}")),
        }
    }

    fn check(&self) -> Result<(), String> {
        while let Some(message) = self.bus.pop() {
            if let gst::MessageView::Error(error) = message.view() {
                debug!(debug = ?error.debug(), "the sound card reports");
                return Err(error.error().message().to_owned());
            }
        }
        Ok(())
    }

    fn close(&self) {
        if self.pipeline.set_state(gst::State::Null).is_err() {
            debug!("the sound card did not close cleanly");
        }
    }
}

/// Opens the card. `autoaudiosink` would fall back to playing to nothing, silently.
fn open_sink(device: Option<&str>, depth: Depth) -> Result<gst::Element, String> {
    let sink = make("alsasink").map_err(|why| format!("no sound card: {why}"))?;
    sink.set_property("buffer-time", depth.buffer.as_micros() as i64);
    sink.set_property("latency-time", depth.piece.as_micros() as i64);
    // The playout corrects; a sink that did so too would work against it.
    sink.set_property_from_str("slave-method", "none");
    if let Some(device) = device {
        sink.set_property("device", device);
    }
    // Ready means that the device is open.
    if sink.set_state(gst::State::Ready).is_ok() {
        return Ok(sink);
    }
    let _ = sink.set_state(gst::State::Null);
    let name = device.unwrap_or("the default one");
    Err(format!("no sound card: ALSA cannot open {name}, and no sound server runs here"))
}

fn make(name: &str) -> Result<gst::Element, String> {
    gst::ElementFactory::make(name).build().map_err(|_| format!("gstreamer lacks the element {name}"))
}
