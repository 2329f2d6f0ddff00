//! What feeds and outputs tell whoever directs them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use antiphon_domain::media::MediaError;
use antiphon_domain::{HubTime, SampleRate};

/// A feed, unique within the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FeedId(u64);

impl FeedId {
    pub(crate) fn next() -> Self {
        static COUNTER: AtomicU64 = AtomicU64::new(1);
        Self(COUNTER.fetch_add(1, Ordering::Relaxed))
    }
}

/// Where a feed's news goes. Called on the render thread: it must not wait, nor call back into the renderer.
pub type FeedSink = Arc<dyn Fn(FeedEvent) + Send + Sync>;

/// Where an output's news goes. Called on the render thread: it must not wait, nor call back into the renderer.
pub type OutputSink = Arc<dyn Fn(OutputEvent) + Send + Sync>;

/// Where a sound's news goes. Called on the render thread: it must not wait, nor call back into the renderer.
pub type SoundSink = Arc<dyn Fn(SoundEvent) + Send + Sync>;

/// What a stream is made of, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamAttributes {
    /// The codec in GStreamer's words, e.g. `MPEG-1 Layer 3 (MP3)`.
    pub codec: Option<String>,
    /// Its sample rate before it was brought to the hub's.
    pub rate: Option<SampleRate>,
    /// Its channels before they were brought to two.
    pub channels: Option<u32>,
    /// Bits a second.
    pub bitrate: Option<u32>,
}

/// What a stream says about its content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamTags {
    /// The track or, on a radio stream, what plays now.
    pub title: Option<String>,
    /// Who performs it.
    pub artist: Option<String>,
    /// The album.
    pub album: Option<String>,
}

/// What happened to a feed. Offsets are positions in the media, `Media::offset` included.
///
/// After `Stopped`, `Finished` or `Failed` nothing follows.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FeedEvent {
    /// The first sound is decoded.
    Prepared {
        /// How long the whole media is, where its format says so.
        duration: Option<Duration>,
    },
    /// What the stream is made of became known, or better known.
    Attributes(StreamAttributes),
    /// What the stream says about itself became known or changed.
    Tags(StreamTags),
    /// When the first frame will be heard is settled.
    Scheduled {
        /// The first frame's due time.
        at: HubTime,
    },
    /// The first frame has fallen due.
    Started {
        /// The first frame's due time.
        at: HubTime,
    },
    /// The source is decoded to its end: the line is free for the next.
    Buffered,
    /// The source is too slow: silence follows what is still on its way.
    Stalled {
        /// What is heard now.
        offset: Duration,
    },
    /// Enough has come again, sound goes on.
    Recovered {
        /// When it will be heard again.
        at: HubTime,
        /// Where it goes on.
        offset: Duration,
        /// How long the silence will have been.
        silence: Duration,
    },
    /// Paused, as asked.
    Paused {
        /// Where it will go on.
        offset: Duration,
    },
    /// Going on, as asked.
    Resumed {
        /// When the first frame will be heard.
        at: HubTime,
        /// Where it goes on.
        offset: Duration,
    },
    /// Stopped, as asked.
    Stopped {
        /// What was heard last.
        offset: Duration,
    },
    /// The last frame has been due.
    Finished {
        /// The end.
        offset: Duration,
    },
    /// The source failed; what had been decoded before was heard.
    Failed {
        /// Why.
        error: MediaError,
        /// How far it was heard.
        offset: Duration,
    },
}

/// What happened to a sound. After `Finished` or `Failed`, and once it was stopped, nothing follows.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SoundEvent {
    /// When its first frame will be heard is settled.
    Scheduled {
        /// The first frame's due time.
        at: HubTime,
    },
    /// Its first frame has fallen due.
    Started {
        /// The first frame's due time.
        at: HubTime,
    },
    /// Its last frame has been due.
    Finished,
    /// It cannot be heard, or not to its end; what had been decoded before was heard.
    Failed(MediaError),
}

/// What happened at an output.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutputEvent {
    /// The first block after silence has fallen due; also the first of content while only a voice was heard.
    Playing {
        /// Whose block it is; `None` where a voice is heard without content.
        feed: Option<FeedId>,
        /// When it was due.
        at: HubTime,
    },
    /// Its last block is over and none follows for now, neither of content nor of a voice.
    Silent,
    /// The endpoint broke (it panicked) and was dropped; this output is dead.
    Failed(String),
}
