//! The pipeline of a source: `uridecodebin ! audioconvert ! audioresample ! appsink`, and how sound leaves it.

use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SendError, TrySendError};
use std::sync::{Arc, Mutex};

use antiphon_audio::{BLOCK_FRAMES, CHANNELS};
use antiphon_domain::SampleRate;
use antiphon_domain::media::{Media, MediaError, MediaErrorKind, without_secrets};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_audio as gst_audio;
use tracing::debug;

use super::bytes::ByteReader;
use super::{Entrance, Piece, SourceEnd, SourceSettings, failure};

const BLOCK_SAMPLES: usize = BLOCK_FRAMES * CHANNELS;

/// The sink's own word for its end: a pipeline that broke before it played passes no end of stream on.
const END: &str = "antiphon-end";

/// A source's pipeline and what its watch looks at.
pub(super) struct Decoder {
    pub pipeline: gst::Pipeline,
    /// The entry of our own elements: its caps tell what the stream is made of.
    pub entry: gst::Pad,
    pub progress: Arc<Progress>,
    sink: gst_app::AppSink,
}

impl Decoder {
    /// Lets out what a broken pipeline still holds.
    ///
    /// A bin that hears of an error gives up the change of state it is in: a pipeline that breaks before its first
    /// sound, or while it seeks, never starts its sink, whatever it is told afterwards. What is on its way comes to the
    /// sink all the same and waits there, so the sink is started without the pipeline.
    pub(super) fn drain(&self) {
        if self.sink.set_state(gst::State::Playing).is_err() {
            debug!("a broken pipeline does not let go of its rest");
        }
    }
}

/// What goes on from one pipeline to the next, where a source needs several: retries, the entries of a playlist.
pub(super) struct Track {
    pub progress: Arc<Progress>,
    cutter: Arc<Mutex<Cutter>>,
}

impl Track {
    pub(super) fn new(live: bool) -> Self {
        let cutter = Cutter { live, ..Cutter::default() };
        Self { progress: Arc::default(), cutter: Arc::new(Mutex::new(cutter)) }
    }

    /// Sends what is left when nothing more comes, and the end. Only when no pipeline runs any more.
    pub(super) fn finish(&self, end: &SourceEnd, failure: Option<MediaError>) {
        match self.cutter.lock() {
            Ok(mut cutter) => cutter.finish(end, failure),
            Err(_) => end.end(Some(failure::device("decoding panicked"))),
        }
    }

    /// Whether the end was sent.
    pub(super) fn is_over(&self) -> bool {
        self.cutter.lock().map_or(true, |cutter| cutter.over)
    }
}

/// How far decoding has come; written by GStreamer's thread, read by the watch.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Pieces that have come out.
    pub pieces: AtomicU64,
    /// It waits for the renderer, not for the network.
    pub waiting: AtomicBool,
    /// Frames to throw away at the beginning, where a source cannot seek.
    pub skip: AtomicU64,
    /// Frames after those at which to end, where a source cannot be told; 0 for its own end.
    pub most: AtomicU64,
}

pub(super) fn build(
    media: &Media,
    entrance: &Entrance,
    settings: &SourceSettings,
    bus: &gst::Bus,
    end: &SourceEnd,
    track: &Track,
    ranges: bool,
) -> Result<Decoder, MediaError> {
    let progress = Arc::clone(&track.progress);
    let sink = sink(end.clone(), Arc::clone(&progress), Arc::clone(&track.cutter), bus.clone());
    let convert = make("audioconvert")?;
    let resample = make("audioresample")?;
    let pipeline = gst::Pipeline::new();
    pipeline.set_bus(Some(bus));
    let ours = [&convert, &resample, sink.upcast_ref()];
    pipeline.add_many(ours).map_err(internal)?;
    gst::Element::link_many(ours).map_err(internal)?;
    match entrance {
        Entrance::Url => from_url(&pipeline, media, settings, &convert, ranges)?,
        Entrance::Bytes(reader) => from_bytes(&pipeline, reader, &convert)?,
        Entrance::Device(text) => from_device(&pipeline, text, &convert)?,
    }
    let entry = convert.static_pad("sink").ok_or_else(|| failure::device("audioconvert has no sink"))?;
    Ok(Decoder { pipeline, entry, progress, sink })
}

fn from_url(
    pipeline: &gst::Pipeline,
    media: &Media,
    settings: &SourceSettings,
    into: &gst::Element,
    ranges: bool,
) -> Result<(), MediaError> {
    match failure::scheme(&media.url).as_deref() {
        Some("http" | "https" | "file") => {}
        _ => {
            return Err(MediaError {
                kind: MediaErrorKind::InvalidRequest,
                message: format!("{:?} is not an http, https or file URL", without_secrets(&media.url)),
            });
        }
    }
    let decode = make("uridecodebin")?;
    decode.set_property("uri", &media.url);
    pipeline.add(&decode).map_err(internal)?;
    only_sound(&decode, into);
    let (headers, agent, timeout) = (media.headers.clone(), settings.user_agent.clone(), settings.timeout);
    decode.connect("source-setup", false, move |values| {
        if let Some(Ok(source)) = values.get(1).map(|value| value.get::<gst::Element>()) {
            set_up_http(&source, &headers, &agent, timeout.as_secs().max(1));
            if !ranges {
                hide_seeking(&source);
            }
        }
        None
    });
    Ok(())
}

/// Decodes bytes that arrive: `appsrc ! decodebin`.
pub(crate) fn from_bytes(
    pipeline: &gst::Pipeline,
    reader: &ByteReader,
    into: &gst::Element,
) -> Result<(), MediaError> {
    let source = gst_app::AppSrc::builder().format(gst::Format::Bytes).build();
    let decode = make("decodebin")?;
    pipeline.add_many([source.upcast_ref(), &decode]).map_err(internal)?;
    source.link(&decode).map_err(internal)?;
    only_sound(&decode, into);
    reader.feed(&source);
    Ok(())
}

/// Whatever the configuration calls a device.
pub(crate) fn from_device(
    pipeline: &gst::Pipeline,
    text: &str,
    into: &gst::Element,
) -> Result<(), MediaError> {
    // A text may end in caps, which need something behind them.
    let device = gst::parse::bin_from_description(&format!("{text} ! identity"), true)
        .map_err(|error| failure::device(format!("{text:?} is not a source: {error}")))?;
    pipeline.add(&device).map_err(internal)?;
    device.link(into).map_err(|_| failure::device(format!("{text:?} gives no raw audio")))
}

/// Only sound, and wholly decoded: pictures and films are neither exposed nor decoded. The first stream counts.
fn only_sound(decode: &gst::Element, into: &gst::Element) {
    decode.set_property("caps", gst::Caps::new_empty_simple("audio/x-raw"));
    decode.set_property("expose-all-streams", false);
    let into = into.downgrade();
    decode.connect_pad_added(move |_, pad| {
        let Some(entry) = into.upgrade().and_then(|into| into.static_pad("sink")) else { return };
        if entry.is_linked() {
            return;
        }
        if let Err(error) = pad.link(&entry) {
            debug!(%error, "a decoded stream does not fit");
        }
    });
}

pub(crate) fn set_up_http(source: &gst::Element, headers: &[(String, String)], agent: &str, timeout: u64) {
    if source.find_property("extra-headers").is_none() {
        return;
    }
    source.set_property("user-agent", agent);
    source.set_property("timeout", u32::try_from(timeout).unwrap_or(u32::MAX));
    if headers.is_empty() {
        return;
    }
    let mut extra = gst::Structure::new_empty("extra-headers");
    for (name, value) in headers {
        extra.set(name.as_str(), value.as_str());
    }
    source.set_property("extra-headers", extra);
}

/// Answers for a source that it cannot seek, whatever it believes itself.
fn hide_seeking(source: &gst::Element) {
    let Some(pad) = source.static_pad("src") else { return };
    pad.add_probe(gst::PadProbeType::QUERY_UPSTREAM | gst::PadProbeType::PUSH, |_, info| {
        if let Some(query) = info.query_mut()
            && let gst::QueryViewMut::Seeking(seeking) = query.view_mut()
        {
            let format = seeking.format();
            let nothing = gst::GenericFormattedValue::none_for_format(format);
            seeking.set(false, gst::GenericFormattedValue::new(format, 0), nothing);
            return gst::PadProbeReturn::Handled;
        }
        gst::PadProbeReturn::Ok
    });
}

pub(crate) fn make(name: &'static str) -> Result<gst::Element, MediaError> {
    gst::ElementFactory::make(name)
        .build()
        .map_err(|_| failure::device(format!("gstreamer lacks the element {name}")))
}

pub(crate) fn internal(error: gst::glib::BoolError) -> MediaError {
    failure::device(error.message.to_string())
}

/// Whether a message says that all sound has come to the sink.
pub(super) fn is_end(message: &gst::Message) -> bool {
    matches!(message.view(), gst::MessageView::Application(_))
        && message.structure().is_some_and(|structure| structure.name() == END)
}

/// The end of the pipeline: cuts what comes into blocks and sends them, waiting for room.
fn sink(
    end: SourceEnd,
    progress: Arc<Progress>,
    cutter: Arc<Mutex<Cutter>>,
    bus: gst::Bus,
) -> gst_app::AppSink {
    let caps = gst_audio::AudioCapsBuilder::new_interleaved()
        .format(gst_audio::AudioFormat::S16le)
        .rate(SampleRate::HUB.hertz() as i32)
        .channels(CHANNELS as i32)
        .build();
    let sink = gst_app::AppSink::builder().caps(&caps).sync(false).max_buffers(4).build();
    sink.set_callbacks(
        gst_app::AppSinkCallbacks::builder()
            .new_sample(move |sink| {
                let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                let Some(buffer) = sample.buffer() else { return Ok(gst::FlowSuccess::Ok) };
                let map = buffer.map_readable().map_err(|_| gst::FlowError::Error)?;
                // Only GStreamer's one streaming thread comes here, so the lock is always free.
                let mut cutter = cutter.lock().map_err(|_| gst::FlowError::Error)?;
                cutter.take(map.as_slice(), &end, &progress).map_err(|_| gst::FlowError::Flushing)?;
                let most = progress.most.load(Ordering::Acquire);
                if most > 0 && cutter.frames >= most {
                    cutter.finish(&end, None);
                    return Err(gst::FlowError::Eos);
                }
                Ok(gst::FlowSuccess::Ok)
            })
            .eos(move |_| {
                // A bus refuses messages only while it is flushing, when nobody waits for the end any more.
                let _ = bus.post(gst::message::Application::new(gst::Structure::new_empty(END)));
            })
            .build(),
    );
    sink
}

#[derive(Default)]
struct Cutter {
    pending: Vec<i16>,
    /// Frames taken so far.
    frames: u64,
    over: bool,
    /// What nobody takes is lost instead of waited for.
    live: bool,
}

impl Cutter {
    fn take(&mut self, bytes: &[u8], end: &SourceEnd, progress: &Progress) -> Result<(), SendError<Piece>> {
        let frame_bytes = CHANNELS * 2;
        let skip = progress.skip.load(Ordering::Acquire).min((bytes.len() / frame_bytes) as u64);
        progress.skip.fetch_sub(skip, Ordering::AcqRel);
        let bytes = &bytes[skip as usize * frame_bytes..];
        let most = match progress.most.load(Ordering::Acquire) {
            0 => u64::MAX,
            most => most,
        };
        let wanted = (most - self.frames.min(most)).min((bytes.len() / frame_bytes) as u64);
        let bytes = &bytes[..wanted as usize * frame_bytes];
        self.frames += wanted;
        for sample in bytes.chunks_exact(2) {
            self.pending.push(i16::from_le_bytes([sample[0], sample[1]]));
            if self.pending.len() == BLOCK_SAMPLES {
                self.send(end, progress)?;
            }
        }
        progress.pieces.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    fn send(&mut self, end: &SourceEnd, progress: &Progress) -> Result<(), SendError<Piece>> {
        let block = mem::replace(&mut self.pending, Vec::with_capacity(BLOCK_SAMPLES));
        if self.live {
            return match end.pieces.try_send(Piece::Samples(block.into())) {
                Ok(()) | Err(TrySendError::Full(_)) => Ok(()),
                Err(TrySendError::Disconnected(piece)) => Err(SendError(piece)),
            };
        }
        progress.waiting.store(true, Ordering::Release);
        let sent = end.pieces.send(Piece::Samples(block.into()));
        progress.waiting.store(false, Ordering::Release);
        sent
    }

    fn finish(&mut self, end: &SourceEnd, failure: Option<MediaError>) {
        if mem::replace(&mut self.over, true) {
            return;
        }
        let rest = mem::take(&mut self.pending);
        if self.frames == 0 {
            end.end(failure.or_else(|| Some(failure::device("there is no sound in it"))));
            return;
        }
        if failure.is_none() {
            end.line.exhausted.store(true, Ordering::Release);
        }
        if !rest.is_empty() {
            // The renderer may be gone.
            let _ = end.pieces.send(Piece::Samples(rest.into()));
        }
        end.end(failure);
    }
}
