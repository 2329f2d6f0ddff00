//! A source: one stream, wherever it is, brought to the hub's format.
//!
//! [`Source::open`] returns at once; a thread of the source's own builds the pipeline, follows its bus and takes it
//! down again when the [`Source`] is dropped. Decoded sound comes out in pieces of a block through a bounded channel:
//! when nobody takes them, GStreamer waits, so memory is bounded by [`AHEAD_BLOCKS`].

mod belt;
mod builtin;
pub(crate) mod bytes;
pub(crate) mod failure;
pub(crate) mod pipeline;
mod playlist;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::Duration;

use antiphon_domain::media::{Media, MediaError, MediaErrorKind};
use antiphon_domain::sound::BuiltIn;
use antiphon_endpoint::Clock;
use gstreamer as gst;

use self::belt::{Giver, Taker, belt};
use self::bytes::ByteReader;
use crate::news::{StreamAttributes, StreamTags};

/// How much decoded sound waits to be taken: 627 blocks of 352 frames are 5 s, 0.9 MB.
pub(crate) const AHEAD_BLOCKS: usize = 627;

/// News beyond this many unread are dropped; they are tags, repeated by the stream anyway.
const NEWS: usize = 32;

/// How much of a live source waits to be taken: 0.6 s. What comes while nobody takes it is lost, as live sound is.
const LIVE_BLOCKS: usize = 75;

/// Where a stream is.
pub enum StreamSource {
    /// Behind a URL; playlists (PLS, M3U, HLS) too.
    Media(Media),
    /// In bytes that arrive while it is played.
    Bytes {
        /// Where they come.
        reader: ByteReader,
        /// Where in the stream to begin.
        offset: Duration,
        /// Where in the stream to end, when not at its own end.
        end: Option<Duration>,
    },
    /// Made here.
    BuiltIn(BuiltIn),
    /// A device of this machine: a piece of GStreamer pipeline from the configuration that ends in raw audio, e.g.
    /// `alsasrc device=hw:1`. Live.
    Device(String),
}

impl StreamSource {
    /// Where in the stream it begins.
    pub fn offset(&self) -> Duration {
        match self {
            Self::Media(media) => media.offset,
            Self::Bytes { offset, .. } => *offset,
            Self::BuiltIn(_) | Self::Device(_) => Duration::ZERO,
        }
    }
}

impl From<Media> for StreamSource {
    fn from(media: Media) -> Self {
        Self::Media(media)
    }
}

impl From<BuiltIn> for StreamSource {
    fn from(tone: BuiltIn) -> Self {
        Self::BuiltIn(tone)
    }
}

impl From<ByteReader> for StreamSource {
    fn from(reader: ByteReader) -> Self {
        Self::Bytes { reader, offset: Duration::ZERO, end: None }
    }
}

/// What a pipeline is fed from.
pub(crate) enum Entrance {
    /// The URL of the media.
    Url,
    Bytes(ByteReader),
    Device(String),
}

/// What comes out of a source, in order.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Interleaved stereo at the hub's rate: a block, or less just before the end.
    Samples(Arc<[i16]>),
    /// Nothing follows; with a reason when the media ended before its time.
    End(Option<MediaError>),
}

/// What becomes known about a stream beside its sound.
#[derive(Debug)]
pub(crate) enum SourceNews {
    Duration(Duration),
    Attributes(StreamAttributes),
    Tags(StreamTags),
}

/// How a source is opened.
#[derive(Clone, Debug)]
pub(crate) struct SourceSettings {
    pub timeout: Duration,
    pub user_agent: String,
}

/// The renderer's end of a source. Dropping it closes the source, without waiting.
pub(crate) struct Source {
    pieces: Taker<Piece>,
    news: Receiver<SourceNews>,
    peeked: Option<Piece>,
    over: bool,
    line: Arc<Line>,
    /// Wakes the source's thread; absent where a test plays the source.
    bus: Option<gst::Bus>,
}

/// What both ends of a source see.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// The renderer has gone.
    pub stop: AtomicBool,
    /// Everything is decoded, and nothing failed.
    pub exhausted: AtomicBool,
}

/// The decoding end: what the pipeline and its watch write to.
#[derive(Clone)]
pub(crate) struct SourceEnd {
    pub pieces: Giver<Piece>,
    pub news: SyncSender<SourceNews>,
    pub line: Arc<Line>,
}

impl SourceEnd {
    /// Says that nothing follows. Waits for room unless the renderer has gone; the first end counts.
    pub(crate) fn end(&self, failure: Option<MediaError>) {
        if failure.is_none() {
            self.line.exhausted.store(true, Ordering::Release);
        }
        // The renderer may be gone: then nobody wants to know.
        let _ = self.pieces.send(Piece::End(failure));
    }
}

/// A source without a pipeline: both ends of the line.
pub(crate) fn line(ahead: usize) -> (Source, SourceEnd) {
    let (pieces, pieces_out) = belt(ahead);
    let (news, news_out) = sync_channel(NEWS);
    let line = Arc::new(Line::default());
    let source = Source {
        pieces: pieces_out,
        news: news_out,
        peeked: None,
        over: false,
        line: Arc::clone(&line),
        bus: None,
    };
    (source, SourceEnd { pieces, news, line })
}

impl Source {
    /// Begins to fetch and decode a stream.
    pub(crate) fn open(source: StreamSource, settings: SourceSettings, clock: Arc<dyn Clock>) -> Self {
        let named = |name: &str| Media {
            url: name.to_owned(),
            offset: Duration::ZERO,
            end: None,
            headers: Vec::new(),
        };
        let (media, entrance) = match source {
            StreamSource::BuiltIn(tone) => return builtin::open(tone),
            StreamSource::Media(media) => (media, Entrance::Url),
            StreamSource::Bytes { reader, offset, end } => {
                (Media { offset, end, ..named("attachment") }, Entrance::Bytes(reader))
            }
            StreamSource::Device(text) => (named(&text), Entrance::Device(text)),
        };
        let live = matches!(entrance, Entrance::Device(_));
        let (mut source, end) = line(if live { LIVE_BLOCKS } else { AHEAD_BLOCKS });
        let bus = gst::Bus::new();
        source.bus = Some(bus.clone());
        let for_thread = end.clone();
        let spawned = thread::Builder::new()
            .name("antiphon-source".into())
            .spawn(move || watch::run(&media, &entrance, &settings, &clock, &bus, &for_thread));
        if let Err(error) = spawned {
            // The channel is empty, so this does not wait.
            end.end(Some(MediaError {
                kind: MediaErrorKind::InternalDeviceError,
                message: format!("no thread to decode with: {error}"),
            }));
        }
        source
    }

    /// The next piece, if it is there already.
    pub(crate) fn take(&mut self) -> Option<Piece> {
        self.peek();
        let piece = self.peeked.take();
        if matches!(piece, Some(Piece::End(_))) {
            self.over = true;
        }
        piece
    }

    /// The next piece without taking it.
    pub(crate) fn peek(&mut self) -> Option<&Piece> {
        if self.peeked.is_none() && !self.over {
            self.peeked = match self.pieces.try_recv() {
                Ok(piece) => Some(piece),
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Disconnected) => Some(Piece::End(Some(MediaError {
                    kind: MediaErrorKind::InternalDeviceError,
                    message: "the decoder went away".into(),
                }))),
            };
        }
        self.peeked.as_ref()
    }

    /// What became known since the last call.
    pub(crate) fn news(&mut self) -> Option<SourceNews> {
        self.news.try_recv().ok()
    }

    /// Whether all of it is decoded, be it taken or not.
    pub(crate) fn exhausted(&self) -> bool {
        self.line.exhausted.load(Ordering::Acquire)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.line.stop.store(true, Ordering::Release);
        if let Some(bus) = &self.bus {
            // Wakes the watch. A bus refuses messages only while it is flushing, when the thread is going anyway.
            let _ = bus.post(gst::message::Application::new(gst::Structure::new_empty("antiphon-stop")));
        }
    }
}
