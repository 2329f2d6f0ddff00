//! Speech on its way to the cloud: a microphone, or what somebody uploads, as chunks of 16 kHz mono.
//!
//! Each capture runs on a thread of its own, which follows a GStreamer pipeline and tells its sink what comes out. It
//! always ends in [`CaptureEvent::Ended`] or [`CaptureEvent::Failed`], unless it is dropped before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use antiphon_domain::media::MediaError;
use antiphon_endpoint::Clock;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_audio as gst_audio;

use crate::source::bytes::{ByteReader, ByteWriter, byte_pipe};
use crate::source::failure;
use crate::source::pipeline::{from_bytes, from_device, internal, make};

/// Samples a second (SpeechRecognizer 2.3, both formats).
const RATE: u32 = 16_000;

/// Bytes of 10 ms of PCM: 160 samples of two bytes.
const PCM_CHUNK: usize = 320;

/// Bytes of a 20 ms Opus frame at 32 kbit/s, hard constant rate (SpeechRecognizer 2.3).
const OPUS_CHUNK: usize = 80;

/// How often a stop is looked for.
const LOOK: Duration = Duration::from_millis(100);

/// How sound is to come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaptureFormat {
    /// 16 kHz 16 bit mono little-endian, in chunks of 10 ms (320 bytes).
    Pcm,
    /// Opus at 32 kbit/s hard constant rate, a frame of 20 ms a chunk (80 bytes).
    Opus,
}

/// What uploaded bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// A WAV file of any rate and channels (whatever GStreamer knows, in fact).
    Wav,
    /// Bare samples, 16 kHz 16 bit mono little-endian.
    Pcm16k,
    /// Bare Opus frames as [`CaptureFormat::Opus`] wants them; passed through, and into no other format.
    Opus,
}

/// Where speech comes from.
pub enum CaptureSource {
    /// A microphone: a piece of GStreamer pipeline from the configuration that ends in raw audio, e.g. `alsasrc`.
    Device(String),
    /// An upload.
    Bytes {
        /// Where it comes.
        reader: ByteReader,
        /// What it is.
        container: Container,
    },
}

/// What a capture tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CaptureEvent {
    /// The next sound; the last chunk is filled up with silence.
    Chunk(Vec<u8>),
    /// Nothing more comes.
    Ended,
    /// The microphone is not there, or vanished; the upload is not what it was said to be, or broke off.
    Failed(String),
}

/// Where a capture's news goes. Called on a thread of the capture's own: while it waits, nothing is captured.
pub type CaptureSink = Arc<dyn Fn(CaptureEvent) + Send + Sync>;

/// An open microphone or upload. Dropping it closes it.
pub struct Capture {
    stop: Arc<AtomicBool>,
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

pub(crate) fn open(
    source: CaptureSource,
    format: CaptureFormat,
    patience: Duration,
    clock: Arc<dyn Clock>,
    sink: CaptureSink,
) -> Capture {
    let stop = Arc::new(AtomicBool::new(false));
    let (stopped, told) = (Arc::clone(&stop), Arc::clone(&sink));
    let spawned = thread::Builder::new().name("antiphon-capture".into()).spawn(move || {
        let work = Work { format, patience, clock, sink: told, stop: stopped };
        let end = match work.run(source) {
            Ok(()) => CaptureEvent::Ended,
            Err(error) => CaptureEvent::Failed(error.message),
        };
        if !work.is_stopped() {
            (work.sink)(end);
        }
    });
    if let Err(error) = spawned {
        sink(CaptureEvent::Failed(format!("no thread to listen with: {error}")));
    }
    Capture { stop }
}

struct Work {
    format: CaptureFormat,
    /// How long nothing may come.
    patience: Duration,
    clock: Arc<dyn Clock>,
    sink: CaptureSink,
    stop: Arc<AtomicBool>,
}

impl Work {
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn run(&self, source: CaptureSource) -> Result<(), MediaError> {
        match (source, self.format) {
            (CaptureSource::Bytes { reader, container: Container::Opus }, CaptureFormat::Opus) => {
                self.pass_through(&reader, OPUS_CHUNK)
            }
            (CaptureSource::Bytes { reader, container: Container::Pcm16k }, CaptureFormat::Pcm) => {
                self.pass_through(&reader, PCM_CHUNK)
            }
            (CaptureSource::Bytes { container: Container::Opus, .. }, CaptureFormat::Pcm) => {
                Err(failure::device("bare Opus frames are only passed through as Opus"))
            }
            (CaptureSource::Bytes { reader, container: Container::Pcm16k }, CaptureFormat::Opus) => {
                // With a head in front it is a WAV file like any other.
                let (writer, headed) = byte_pipe();
                writer.push(Box::new(endless_wav()));
                self.follow(&Entrance::Bytes(headed), Some((reader, writer)))
            }
            (CaptureSource::Bytes { reader, container: Container::Wav }, _) => {
                self.follow(&Entrance::Bytes(reader), None)
            }
            (CaptureSource::Device(text), _) => self.follow(&Entrance::Device(text), None),
        }
    }

    /// Cuts what comes into chunks.
    fn pass_through(&self, reader: &ByteReader, size: usize) -> Result<(), MediaError> {
        let (mut chunks, mut last) = (Chunks::new(size), self.clock.now());
        while !self.is_stopped() {
            if let Some(bytes) = reader.take() {
                last = self.clock.now();
                chunks.take(&bytes, &self.sink);
            } else if let Some(complete) = reader.end() {
                chunks.finish(&self.sink);
                return if complete { Ok(()) } else { Err(broken_off()) };
            } else if self.clock.now().since(last) > self.patience {
                return Err(failure::silence("upload", self.patience.as_secs()));
            } else {
                reader.wait(LOOK);
            }
        }
        Ok(())
    }

    /// Follows a pipeline; `moved`: bytes that are to be moved into it on the way.
    fn follow(
        &self,
        entrance: &Entrance,
        mut moved: Option<(ByteReader, ByteWriter)>,
    ) -> Result<(), MediaError> {
        let (pipeline, sink) = self.build(entrance)?;
        let bus = pipeline.bus().ok_or_else(|| failure::device("a pipeline without a bus"))?;
        // The cause of a failure is on the bus.
        let _ = pipeline.set_state(gst::State::Playing);
        let heard = self.receive(&bus, &sink, &mut moved);
        // A device that does not stop has nobody left to say so to.
        let _ = pipeline.set_state(gst::State::Null);
        heard?;
        match entrance {
            Entrance::Bytes(reader) if reader.is_broken() && !self.is_stopped() => Err(broken_off()),
            _ => Ok(()),
        }
    }

    fn receive(
        &self,
        bus: &gst::Bus,
        sink: &gst_app::AppSink,
        moved: &mut Option<(ByteReader, ByteWriter)>,
    ) -> Result<(), MediaError> {
        let size = if self.format == CaptureFormat::Pcm { PCM_CHUNK } else { OPUS_CHUNK };
        let (mut chunks, mut last) = (Chunks::new(size), self.clock.now());
        let mut failed = None;
        while !self.is_stopped() {
            if let Some((reader, writer)) = moved {
                while let Some(bytes) = reader.take() {
                    writer.push(Box::new(bytes));
                }
                if let Some(complete) = reader.end()
                    && let Some((_, writer)) = moved.take()
                {
                    writer.finish(complete);
                }
            }
            let look = if moved.is_some() { LOOK / 5 } else { LOOK };
            let sample = sink.try_pull_sample(gst::ClockTime::from_mseconds(look.as_millis() as u64));
            if let Some(error) = bus.pop_filtered(&[gst::MessageType::Error])
                && let gst::MessageView::Error(error) = error.view()
            {
                failed.get_or_insert(failure::device(error.error().message().trim()));
            }
            if let Some(sample) = sample {
                last = self.clock.now();
                if let Some(map) = sample.buffer().map(gst::BufferRef::map_readable).and_then(Result::ok) {
                    chunks.take(&map, &self.sink);
                }
            } else if let Some(error) = failed {
                // What was heard before it broke is out.
                chunks.finish(&self.sink);
                return Err(error);
            } else if sink.is_eos() {
                chunks.finish(&self.sink);
                return Ok(());
            } else if self.clock.now().since(last) > self.patience {
                return Err(failure::silence("microphone", self.patience.as_secs()));
            }
        }
        Ok(())
    }

    fn build(&self, entrance: &Entrance) -> Result<(gst::Pipeline, gst_app::AppSink), MediaError> {
        let pipeline = gst::Pipeline::new();
        let (convert, resample, filter) =
            (make("audioconvert")?, make("audioresample")?, make("capsfilter")?);
        let caps = gst_audio::AudioCapsBuilder::new_interleaved()
            .format(gst_audio::AudioFormat::S16le)
            .rate(RATE as i32)
            .channels(1)
            .build();
        filter.set_property("caps", caps);
        let sink = gst_app::AppSink::builder().sync(false).max_buffers(100).build();
        let mut ours = vec![convert.clone(), resample, filter];
        if self.format == CaptureFormat::Opus {
            let encoder = make("opusenc")?;
            encoder.set_property("bitrate", 32_000i32);
            encoder.set_property_from_str("bitrate-type", "cbr");
            encoder.set_property_from_str("frame-size", "20");
            encoder.set_property_from_str("audio-type", "voice");
            ours.push(encoder);
        }
        ours.push(sink.clone().upcast());
        pipeline.add_many(&ours).map_err(internal)?;
        gst::Element::link_many(&ours).map_err(internal)?;
        match entrance {
            Entrance::Bytes(reader) => from_bytes(&pipeline, reader, &convert)?,
            Entrance::Device(text) => from_device(&pipeline, text, &convert)?,
        }
        Ok((pipeline, sink))
    }
}

enum Entrance {
    Bytes(ByteReader),
    Device(String),
}

fn broken_off() -> MediaError {
    failure::device("the upload broke off")
}

/// Cuts bytes into chunks of one size.
struct Chunks {
    size: usize,
    pending: Vec<u8>,
}

impl Chunks {
    fn new(size: usize) -> Self {
        Self { size, pending: Vec::new() }
    }

    fn take(&mut self, mut bytes: &[u8], sink: &CaptureSink) {
        while !bytes.is_empty() {
            let room = (self.size - self.pending.len()).min(bytes.len());
            let (now, later) = bytes.split_at(room);
            self.pending.extend_from_slice(now);
            bytes = later;
            if self.pending.len() == self.size {
                sink(CaptureEvent::Chunk(std::mem::take(&mut self.pending)));
            }
        }
    }

    /// What is left, filled up with silence; a part of an Opus frame is none.
    fn finish(&mut self, sink: &CaptureSink) {
        if !self.pending.is_empty() && self.size == PCM_CHUNK {
            self.pending.resize(self.size, 0);
            sink(CaptureEvent::Chunk(std::mem::take(&mut self.pending)));
        }
    }
}

/// The head of a WAV file of 16 kHz mono that goes on to the end of the bytes.
fn endless_wav() -> Vec<u8> {
    let mut head = Vec::with_capacity(44);
    head.extend(b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0\x01\0");
    head.extend(RATE.to_le_bytes());
    head.extend((RATE * 2).to_le_bytes());
    head.extend(b"\x02\0\x10\0data\xff\xff\xff\xff");
    head
}
