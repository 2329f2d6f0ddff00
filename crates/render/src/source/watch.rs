//! Follows one source's pipeline from its building to its end, on the source's own thread.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use antiphon_domain::media::{Media, MediaError, MediaErrorKind, without_secrets};
use antiphon_domain::{Frames, HubTime, SampleRate};
use antiphon_endpoint::Clock;
use gstreamer as gst;
use gstreamer::prelude::*;
use tracing::{debug, info};

use super::pipeline::{self, Decoder, Track};
use super::{Entrance, SourceEnd, SourceNews, SourceSettings, failure, playlist};
use crate::news::{StreamAttributes, StreamTags};

/// How often the watch looks whether anything still comes, when the bus is quiet.
const LOOK: Duration = Duration::from_millis(500);

/// How long a broken pipeline may give nothing more before it is taken to be empty.
const DRAIN: Duration = Duration::from_secs(1);

/// A slow stream that has played may take this many times the first patience.
const PATIENCE: u32 = 3;

/// Why following a pipeline ended early.
enum Trouble {
    /// The server cannot serve from the middle, although it did not say so: to be tried again without.
    NoRanges,
    Failed(MediaError),
}

impl From<MediaError> for Trouble {
    fn from(error: MediaError) -> Self {
        Self::Failed(error)
    }
}

/// What all pipelines of one source share.
pub(super) struct Work<'a> {
    pub entrance: &'a Entrance,
    pub settings: &'a SourceSettings,
    pub clock: &'a Arc<dyn Clock>,
    pub bus: &'a gst::Bus,
    pub end: &'a SourceEnd,
    pub track: Track,
}

impl Work<'_> {
    /// Whether the renderer has gone.
    pub(super) fn is_stopped(&self) -> bool {
        self.end.line.stop.load(Ordering::Acquire)
    }
}

/// Runs a source to its end or until the renderer drops it.
pub(super) fn run(
    media: &Media,
    entrance: &Entrance,
    settings: &SourceSettings,
    clock: &Arc<dyn Clock>,
    bus: &gst::Bus,
    end: &SourceEnd,
) {
    let track = Track::new(matches!(entrance, Entrance::Device(_)));
    let work = Work { entrance, settings, clock, bus, end, track };
    let failure = match entrance {
        Entrance::Url => playlist::play(&work, media),
        _ => play_one(&work, media, Manner { ranges: false, ..Manner::default() }).err(),
    };
    if !work.is_stopped() {
        // What was decoded before is still wanted, so the end waits its turn.
        work.track.finish(end, failure);
    }
}

/// How a stream is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// Whether the source is asked for parts.
    pub ranges: bool,
    /// Whether the beginning is thrown away instead of sought past, because the offset may lie beyond this stream.
    pub skip: bool,
}

impl Default for Manner {
    fn default() -> Self {
        Self { ranges: true, skip: false }
    }
}

/// Plays one stream to its end. The end of the source is not told.
pub(super) fn play_one(work: &Work<'_>, media: &Media, mut manner: Manner) -> Result<(), MediaError> {
    loop {
        match attempt(work, media, manner) {
            Err(Trouble::NoRanges) if manner.ranges => {
                info!(url = %without_secrets(&media.url), "the server has no ranges, trying again without");
                manner.ranges = false;
            }
            Err(Trouble::NoRanges) => return Err(failure::device("it cannot be read without seeking")),
            Err(Trouble::Failed(error)) => {
                info!(url = %without_secrets(&media.url), kind = ?error.kind, message = %error.message, "a source failed");
                return Err(error);
            }
            Ok(()) => return Ok(()),
        }
    }
}

fn attempt(work: &Work<'_>, media: &Media, manner: Manner) -> Result<(), Trouble> {
    // What an earlier pipeline still had to say concerns nobody.
    while let Some(message) = work.bus.pop() {
        drop(message);
    }
    let Work { entrance, settings, clock, bus, end, track } = work;
    let decoder = pipeline::build(media, entrance, settings, bus, end, track, manner.ranges)?;
    let followed = Watch::new(work, media, &decoder, manner).follow(clock, bus);
    if decoder.pipeline.set_state(gst::State::Null).is_err() {
        debug!(url = %without_secrets(&media.url), "a pipeline did not stop cleanly");
    }
    followed
}

struct Watch<'a> {
    media: &'a Media,
    entrance: &'a Entrance,
    settings: &'a SourceSettings,
    end: &'a SourceEnd,
    decoder: &'a Decoder,
    manner: Manner,
    begun: bool,
    /// Why it will have ended, while the pipeline drains.
    failure: Option<MediaError>,
    attributes: StreamAttributes,
    tags: StreamTags,
    pieces: u64,
    /// Pieces that came before this pipeline.
    before: u64,
    last_progress: HubTime,
}

impl<'a> Watch<'a> {
    fn new(work: &Work<'a>, media: &'a Media, decoder: &'a Decoder, manner: Manner) -> Self {
        let before = decoder.progress.pieces.load(Ordering::Acquire);
        Self {
            media,
            entrance: work.entrance,
            settings: work.settings,
            end: work.end,
            decoder,
            manner,
            begun: false,
            failure: None,
            attributes: StreamAttributes::default(),
            tags: StreamTags::default(),
            pieces: before,
            before,
            last_progress: work.clock.now(),
        }
    }

    /// Why what arrives from elsewhere ended too soon, if it did.
    fn broken_off(&self) -> Option<MediaError> {
        match self.entrance {
            Entrance::Bytes(reader) if reader.is_broken() => Some(MediaError {
                kind: MediaErrorKind::ServiceUnavailable,
                message: "it ended before it was complete".into(),
            }),
            _ => None,
        }
    }

    fn follow(&mut self, clock: &Arc<dyn Clock>, bus: &gst::Bus) -> Result<(), Trouble> {
        let prerolls = match self.decoder.pipeline.set_state(gst::State::Paused) {
            Ok(gst::StateChangeSuccess::NoPreroll) => false,
            Ok(_) => true,
            // The cause is on the bus.
            Err(_) => true,
        };
        if !prerolls {
            self.play()?;
        }
        loop {
            let message = bus.timed_pop(gst::ClockTime::from_nseconds(LOOK.as_nanos() as u64));
            if self.end.line.stop.load(Ordering::Acquire) {
                return Ok(());
            }
            if let Some(message) = message {
                if pipeline::is_end(&message) {
                    // An error on the way to the end lies before it on the bus.
                    let failure = self.failure.take().or_else(|| self.broken_off());
                    return failure.map_or(Ok(()), |failure| Err(failure.into()));
                }
                self.on_message(&message, clock.now())?;
            }
            self.check_progress(clock.now())?;
        }
    }

    fn on_message(&mut self, message: &gst::Message, now: HubTime) -> Result<(), Trouble> {
        match message.view() {
            gst::MessageView::Error(error) => {
                let detail = error
                    .debug()
                    .map(|text| text.replace(&self.media.url, &without_secrets(&self.media.url)));
                debug!(error = %error.error(), ?detail, "gstreamer reports");
                let nothing_yet = self.decoder.progress.pieces.load(Ordering::Acquire) == self.before;
                if self.manner.ranges && nothing_yet && error.error().matches(gst::ResourceError::Seek) {
                    return Err(Trouble::NoRanges);
                }
                let failure = self.broken_off().unwrap_or_else(|| failure::from_bus(error, &self.media.url));
                let unheard = self.decoder.entry.current_caps().is_none();
                // A server that breaks off may have sent a while before, which is only on its way through the decoder.
                let broke_off = failure.kind == MediaErrorKind::ServiceUnavailable && self.failure.is_none();
                // Before it could seek, what it holds is not what was asked for.
                let elsewhere = !self.begun && !self.media.offset.is_zero();
                if elsewhere || (unheard && !broke_off) {
                    return Err(self.failure.take().unwrap_or(failure).into());
                }
                // What is still in the pipeline is worth hearing: it drains to its end. It may have come just now,
                // after a long wait, so the time to drain begins here.
                if self.failure.is_none() {
                    self.failure = Some(failure);
                    self.last_progress = now;
                }
                self.begun = true;
                self.decoder.drain();
            }
            gst::MessageView::AsyncDone(_) if !self.begun => {
                self.describe();
                self.seek();
                self.play()?;
            }
            gst::MessageView::Tag(tag) => self.on_tags(&tag.tags()),
            gst::MessageView::Latency(_) => {
                let _ = self.decoder.pipeline.recalculate_latency();
            }
            _ => {}
        }
        Ok(())
    }

    fn play(&mut self) -> Result<(), MediaError> {
        self.begun = true;
        self.decoder
            .pipeline
            .set_state(gst::State::Playing)
            .map(|_| ())
            .map_err(|_| failure::device("the decoder does not start"))
    }

    fn describe(&mut self) {
        if let Some(duration) = self.decoder.pipeline.query_duration::<gst::ClockTime>() {
            self.tell(SourceNews::Duration(Duration::from_nanos(duration.nseconds())));
        }
        let caps = self.decoder.entry.current_caps();
        let Some(structure) = caps.as_ref().and_then(|caps| caps.structure(0)) else { return };
        let number = |name: &str| structure.get::<i32>(name).ok().and_then(|value| u32::try_from(value).ok());
        self.attributes.rate = number("rate").and_then(SampleRate::new);
        self.attributes.channels = number("channels");
        self.tell(SourceNews::Attributes(self.attributes.clone()));
    }

    fn seek(&mut self) {
        let Media { offset, end, .. } = self.media;
        if offset.is_zero() && end.is_none() {
            return;
        }
        let time =
            |d: &Duration| gst::ClockTime::from_nseconds(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX));
        let stop = end.as_ref().map(time);
        let sought = self.manner.ranges
            && !self.manner.skip
            && self
                .decoder
                .pipeline
                .seek(
                    1.0,
                    gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE,
                    gst::SeekType::Set,
                    time(offset),
                    if stop.is_some() { gst::SeekType::Set } else { gst::SeekType::None },
                    stop,
                )
                .is_ok();
        if !sought {
            // Decode from the beginning and throw away what was not asked for.
            info!(url = %without_secrets(&self.media.url), "the source cannot seek, skipping instead");
            let frames = |d: Duration| Frames::within(d, SampleRate::HUB).0;
            let progress = &self.decoder.progress;
            progress.skip.store(frames(*offset), Ordering::Release);
            let most = end.map_or(0, |end| frames(end.saturating_sub(*offset)).max(1));
            progress.most.store(most, Ordering::Release);
        }
    }

    fn on_tags(&mut self, list: &gst::TagListRef) {
        let text = |value: Option<&str>| value.map(str::to_owned);
        let tags = StreamTags {
            title: text(list.get::<gst::tags::Title>().as_ref().map(|tag| tag.get()))
                .or(self.tags.title.clone()),
            artist: text(list.get::<gst::tags::Artist>().as_ref().map(|tag| tag.get()))
                .or(self.tags.artist.clone()),
            album: text(list.get::<gst::tags::Album>().as_ref().map(|tag| tag.get()))
                .or(self.tags.album.clone()),
        };
        if tags != self.tags {
            self.tags = tags;
            self.tell(SourceNews::Tags(self.tags.clone()));
        }
        let mut attributes = self.attributes.clone();
        if attributes.codec.is_none() {
            attributes.codec = text(list.get::<gst::tags::AudioCodec>().as_ref().map(|tag| tag.get()));
        }
        if attributes.bitrate.is_none() {
            // A variable rate is told again and again; the first figure is enough.
            attributes.bitrate = list
                .get::<gst::tags::NominalBitrate>()
                .map(|tag| tag.get())
                .or_else(|| list.get::<gst::tags::Bitrate>().map(|tag| tag.get()));
        }
        if attributes != self.attributes {
            self.attributes = attributes;
            self.tell(SourceNews::Attributes(self.attributes.clone()));
        }
    }

    fn check_progress(&mut self, now: HubTime) -> Result<(), MediaError> {
        let progress = &self.decoder.progress;
        let pieces = progress.pieces.load(Ordering::Acquire);
        let exhausted = self.end.line.exhausted.load(Ordering::Acquire);
        if pieces != self.pieces || exhausted || progress.waiting.load(Ordering::Acquire) {
            self.pieces = pieces;
            self.last_progress = now;
            return Ok(());
        }
        if self.failure.is_some() && now.since(self.last_progress) > DRAIN {
            // A pipeline whose decoder failed may never come to its end.
            return self.failure.take().map_or(Ok(()), Err);
        }
        let patience =
            if pieces == self.before { self.settings.timeout } else { self.settings.timeout * PATIENCE };
        if now.since(self.last_progress) > patience {
            return Err(failure::silence(&self.media.url, patience.as_secs()));
        }
        Ok(())
    }

    fn tell(&self, news: SourceNews) {
        // Full means that nobody listens; the next tags are as good.
        let _ = self.end.news.try_send(news);
    }
}

#[cfg(test)]
mod tests;
