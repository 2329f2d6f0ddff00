//! One feed's place on a timeline.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use antiphon_domain::media::MediaError;
use antiphon_domain::{Frames, SampleRate};

use crate::news::{FeedEvent, FeedId, FeedSink};
use crate::source::{Source, SourceNews};

/// A feed on a timeline: where its sound comes from and which frames are its own.
pub(crate) struct Segment {
    pub feed: FeedId,
    pub source: Source,
    pub sink: FeedSink,
    /// Where in the media its first frame lies.
    base: Duration,
    /// Nanoseconds heard into the media, read by the feed's handles.
    position: Arc<AtomicU64>,
    /// Its first frame on the timeline, from its turn on.
    pub start: Option<u64>,
    /// The frame after its last.
    pub end: Option<u64>,
    pub failure: Option<MediaError>,
    duration: Option<Duration>,
    /// Whether sound of it has been taken.
    pub sound: bool,
    prepared: bool,
    buffered: bool,
    pub scheduled: bool,
    pub started: bool,
}

impl Segment {
    pub(crate) fn new(
        feed: FeedId,
        source: Source,
        sink: FeedSink,
        base: Duration,
        position: Arc<AtomicU64>,
    ) -> Self {
        position.store(nanos(base), Ordering::Relaxed);
        Self {
            feed,
            source,
            sink,
            base,
            position,
            start: None,
            end: None,
            failure: None,
            duration: None,
            sound: false,
            prepared: false,
            buffered: false,
            scheduled: false,
            started: false,
        }
    }

    /// The place in the media of a frame of the timeline.
    pub(crate) fn offset(&self, frame: u64) -> Duration {
        let Some(start) = self.start else { return self.base };
        let frame = self.end.map_or(frame, |end| frame.min(end));
        self.base + Frames(frame.saturating_sub(start)).duration(SampleRate::HUB)
    }

    /// Lets the handles know what is heard now, and says where that is.
    pub(crate) fn note_heard(&self, frame: u64) -> Duration {
        let offset = self.offset(frame);
        self.position.store(nanos(offset), Ordering::Relaxed);
        offset
    }

    /// Collects what the source has to say.
    pub(crate) fn hear_source(&mut self, out: &mut Vec<(FeedSink, FeedEvent)>) {
        // Sound first: what the source said before it is then in the news.
        let ready = matches!(self.source.peek(), Some(crate::source::Piece::Samples(_))) || self.sound;
        while let Some(news) = self.source.news() {
            match news {
                SourceNews::Duration(duration) => self.duration = Some(duration),
                SourceNews::Attributes(attributes) => self.tell(out, FeedEvent::Attributes(attributes)),
                SourceNews::Tags(tags) => self.tell(out, FeedEvent::Tags(tags)),
            }
        }
        if ready && !self.prepared {
            self.prepared = true;
            self.tell(out, FeedEvent::Prepared { duration: self.duration });
        }
        if self.prepared && !self.buffered && self.source.exhausted() {
            self.buffered = true;
            self.tell(out, FeedEvent::Buffered);
        }
    }

    pub(crate) fn tell(&self, out: &mut Vec<(FeedSink, FeedEvent)>, event: FeedEvent) {
        out.push((Arc::clone(&self.sink), event));
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
