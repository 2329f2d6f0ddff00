//! The tail of the kind `local`: a GStreamer pipeline that plays blocks on the sound card when they are due.
//!
//! It runs on a thread of its own session. The pipeline's clock is the system's monotonic clock, which the hub's is too,
//! with a base time that makes a buffer's timestamp its due time; the sink follows that clock by resampling. Blocks go
//! in only [`AHEAD`] before they are due: what is still here a flush can take back.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use antiphon_audio::meter::Meter;
use antiphon_audio::{BLOCK_FRAMES, Block, CHANNELS};
use antiphon_domain::{Frames, HubTime, SampleRate};
use antiphon_endpoint::{Clock, EndpointEvent, EventSink, LostReason};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_audio as gst_audio;
use tracing::{debug, info};

use crate::front::Order;

/// How early blocks go into the pipeline: its sink's buffer and a little.
const AHEAD: Duration = Duration::from_millis(250);

/// The sink's own buffer and the pieces in which it is filled, microseconds.
const BUFFER_TIME: i64 = 200_000;
/// How far the card may drift from the hub before samples are dropped or doubled, microseconds; GStreamer acts at half of
/// it. Tighter, and the guesses a sound server makes while a stream starts are taken for drift.
const DRIFT_TOLERANCE: i64 = 80_000;

const LATENCY_TIME: i64 = 10_000;

const SILENCE: [i16; BLOCK_FRAMES * CHANNELS] = [0; BLOCK_FRAMES * CHANNELS];

/// A little more than a frame lasts.
const FRAME: Duration = Duration::from_micros(23);

const LOOK: Duration = Duration::from_millis(10);
const METER_EVERY: Duration = Duration::from_millis(300);

/// What the sinks that GStreamer has for cards are tried in.
const SINKS: [&str; 2] = ["pulsesink", "alsasink"];

/// What a session's thread is given.
pub(crate) struct CardSession {
    /// An ALSA device; the default sink when absent.
    pub device: Option<String>,
    pub orders: Receiver<Order>,
    pub clock: Arc<dyn Clock>,
    pub events: EventSink,
    /// Blocks that came too late, counted by the endpoint.
    pub missed: Arc<AtomicU32>,
}

/// Plays until the endpoint is dropped or the card fails.
pub(crate) fn run(session: CardSession) {
    let events = Arc::clone(&session.events);
    match Tail::open(session.device.as_deref(), session.clock.as_ref()) {
        Ok(tail) => {
            events(EndpointEvent::Ready);
            let over = play(&session, &tail);
            tail.close();
            if let Err(reason) = over {
                info!(reason, "the sound card was lost");
                events(EndpointEvent::Lost(LostReason::Local(reason)));
            }
        }
        Err(reason) => events(EndpointEvent::Lost(LostReason::Local(reason))),
    }
}

fn play(session: &CardSession, tail: &Tail) -> Result<(), String> {
    let mut queue: VecDeque<Block> = VecDeque::new();
    // Sound goes in without a break, silence where there is none: a stream that starts anew needs half a second to
    // find its time, and would lose what it is given meanwhile.
    let mut cursor = session.clock.now() + AHEAD;
    let mut meter = Meter::new();
    let mut meter_since = session.clock.now();
    loop {
        let mut news = session.orders.recv_timeout(LOOK);
        loop {
            match news {
                Ok(Order::Play(block)) => queue.push_back(block),
                Ok(Order::Flush(from)) => queue.retain(|block| block.due < from),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            news = session.orders.recv_timeout(Duration::ZERO);
        }
        tail.check()?;
        let now = session.clock.now();
        if cursor < now {
            // This thread was not let run for long; what was due meanwhile is past.
            cursor = now + AHEAD;
        }
        while cursor < now + AHEAD {
            let Some(block) = queue.front() else {
                cursor = tail.push(&SILENCE, cursor)?;
                continue;
            };
            if block.due + FRAME < cursor {
                session.missed.fetch_add(1, Ordering::Relaxed);
            } else if block.due > cursor + FRAME {
                let gap = Frames::within(block.due.since(cursor), SampleRate::HUB).0 as usize;
                cursor = tail.push(&SILENCE[..gap.min(BLOCK_FRAMES) * CHANNELS], cursor)?;
                continue;
            } else {
                tail.push(&block.samples, block.due)?;
                meter.add(&block.samples);
                cursor = block.end();
            }
            queue.pop_front();
        }
        let missed = session.missed.swap(0, Ordering::Relaxed);
        if missed > 0 {
            (session.events)(EndpointEvent::Underrun { blocks: missed });
        }
        if now.since(meter_since) >= METER_EVERY {
            meter_since = now;
            if let Some(reading) = meter.take() {
                let (rms_dbfs, peak_dbfs) = (reading.rms_dbfs, reading.peak_dbfs);
                (session.events)(EndpointEvent::Meter { rms_dbfs, peak_dbfs });
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
    fn open(device: Option<&str>, clock: &dyn Clock) -> Result<Self, String> {
        gst::init().map_err(|error| format!("gstreamer does not start: {error}"))?;
        let sink = open_sink(device)?;
        let tail = Self::build(&sink, clock);
        if tail.is_err() {
            let _ = sink.set_state(gst::State::Null);
        }
        tail
    }

    fn build(sink: &gst::Element, clock: &dyn Clock) -> Result<Self, String> {
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
        let system = gst::SystemClock::obtain();
        let hub_now = clock.now().since(HubTime::EPOCH);
        let epoch = system.time().saturating_sub(gst::ClockTime::from_nseconds(hub_now.as_nanos() as u64));
        pipeline.use_clock(Some(&system));
        pipeline.set_start_time(gst::ClockTime::NONE);
        pipeline.set_base_time(epoch);
        let bus = pipeline.bus().ok_or("the pipeline has no bus")?;
        pipeline.set_state(gst::State::Playing).map_err(|_| "the sound card does not start".to_owned())?;
        Ok(Self { pipeline, source, bus })
    }

    /// Plays interleaved samples at `due`; says when they end.
    fn push(&self, samples: &[i16], due: HubTime) -> Result<HubTime, String> {
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let length = Frames((samples.len() / CHANNELS) as u64).duration(SampleRate::HUB);
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        if let Some(buffer) = buffer.get_mut() {
            let stamp = due.since(HubTime::EPOCH).as_nanos() as u64;
            buffer.set_pts(gst::ClockTime::from_nseconds(stamp));
            buffer.set_duration(gst::ClockTime::from_nseconds(length.as_nanos() as u64));
        }
        match self.source.push_buffer(buffer) {
            Ok(_) => Ok(due + length),
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

/// Opens the first sink that has a card behind it. `autoaudiosink` would fall back to playing to nothing, silently.
fn open_sink(device: Option<&str>) -> Result<gst::Element, String> {
    let mut tried = Vec::new();
    for name in SINKS {
        if device.is_some() && name != "alsasink" {
            continue;
        }
        let Ok(sink) = make(name) else {
            tried.push(format!("{name} is not installed"));
            continue;
        };
        sink.set_property("buffer-time", BUFFER_TIME);
        sink.set_property("latency-time", LATENCY_TIME);
        sink.set_property_from_str("slave-method", "skew");
        sink.set_property("drift-tolerance", DRIFT_TOLERANCE);
        if let Some(device) = device {
            sink.set_property("device", device);
        }
        // Ready means that the device, or the sound server, is open.
        if sink.set_state(gst::State::Ready).is_ok() {
            return Ok(sink);
        }
        let _ = sink.set_state(gst::State::Null);
        tried.push(format!("{name} finds no card"));
    }
    Err(format!("no sound card: {}", tried.join(", ")))
}

fn make(name: &str) -> Result<gst::Element, String> {
    gst::ElementFactory::make(name).build().map_err(|_| format!("gstreamer lacks the element {name}"))
}
