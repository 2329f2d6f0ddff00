//! One stream of the player: where it stands, and what has been said about it.

use std::time::Duration;

use antiphon_domain::HubTime;
use antiphon_domain::media::MediaError;
use serde_json::{Value, json};

use super::payload::Item;
use super::progress::millis;
use crate::effect::PlayerId;
use crate::interfaces::{Activity, Announcement};
use crate::message::Event;
use crate::signal::{Attributes, PlayerNews};

/// Attributes seldom change; whoever changes them without end is not recorded without end.
const REPORTS_LIMIT: usize = 16;

/// Where a stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// In the queue, or waiting to be in front.
    Waiting,
    /// The player was asked to make it heard.
    Starting,
    /// Heard: at `at` it was at `from`.
    Playing { at: HubTime, from: Duration },
    /// Ran dry.
    Stalled { offset: Duration },
    /// Stands still by wish.
    Paused { offset: Duration },
}

/// One stream, from its Play to its end.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stream {
    pub(super) id: PlayerId,
    pub(super) item: Item,
    pub(super) phase: Phase,
    /// The player has it.
    pub(super) prepared: bool,
    /// The player begins it when that one ends.
    pub(super) chained: Option<PlayerId>,
    /// Why it cannot be played, to be told when its turn comes.
    pub(super) failed: Option<MediaError>,
    pub(super) buffered: bool,
    /// PlaybackStarted was sent.
    pub(super) started: bool,
    /// PlaybackNearlyFinished was sent.
    pub(super) nearly: bool,
    /// The player was asked to pause because of somebody more important.
    pub(super) held: bool,
    /// Since when an unfinished stutter lasts.
    pub(super) stutter: Option<HubTime>,
    pub(super) title: Title,
    ledger: Ledger,
}

impl Stream {
    pub(super) fn new(id: PlayerId, item: Item) -> Self {
        Self {
            id,
            item,
            phase: Phase::Waiting,
            prepared: false,
            chained: None,
            failed: None,
            buffered: false,
            started: false,
            nearly: false,
            held: false,
            stutter: None,
            title: Title::default(),
            ledger: Ledger::default(),
        }
    }

    /// Keeps what is fetched already for the same stream; what is wished stays this one's.
    pub(super) fn take_over(&mut self, old: Stream) {
        self.id = old.id;
        self.prepared = old.prepared;
        self.failed = old.failed;
        self.buffered = old.buffered;
        self.title = old.title;
        self.ledger = old.ledger;
    }

    /// Takes note of what is known of it before it sounds.
    pub(super) fn on_early_news(&mut self, news: &PlayerNews) {
        match news {
            PlayerNews::Buffered => self.buffered = true,
            PlayerNews::Attributes(attributes) => self.set_attributes(attributes.clone(), self.item.offset),
            PlayerNews::Title(title) => self.title.set(title),
            // Told when its turn comes: whatever plays now is not disturbed by it.
            PlayerNews::Failed(error) => self.failed = Some(error.clone()),
            _ => {}
        }
    }

    /// Its position, from the start of the stream.
    pub(super) fn position(&self, now: HubTime) -> Duration {
        let position = match self.phase {
            Phase::Waiting | Phase::Starting => self.item.offset,
            Phase::Playing { at, from } => from.saturating_add(now.since(at)),
            Phase::Stalled { offset } | Phase::Paused { offset } => offset,
        };
        match self.item.end {
            Some(end) => position.min(end),
            None => position,
        }
    }

    /// When it will be at `position`, as long as it plays.
    pub(super) fn moment_of(&self, position: Duration) -> Option<HubTime> {
        match self.phase {
            // Never, behind its end.
            _ if self.item.end.is_some_and(|end| position > end) => None,
            Phase::Playing { at, from } => Some(at + position.saturating_sub(from)),
            _ => None,
        }
    }

    /// Notes how it is coded from `position` on.
    pub(super) fn set_attributes(&mut self, attributes: Attributes, position: Duration) {
        if self.ledger.current.as_ref() == Some(&attributes) {
            return;
        }
        if self.ledger.current.is_some() && self.started && self.ledger.past.len() < REPORTS_LIMIT {
            let report = self.ledger.report(position);
            self.ledger.past.extend(report);
        }
        self.ledger.since = position;
        self.ledger.current = Some(attributes);
    }

    /// News of this stream for the other interfaces.
    pub(super) fn announcement(&self, activity: Activity) -> Announcement {
        Announcement::Playback {
            item: self.item.audio_item_id.clone(),
            activity,
            alert: self.item.alert.clone(),
        }
    }

    /// An event about this stream at `offset`.
    pub(super) fn event(&self, name: &str, offset: Duration) -> Event {
        let mut payload = json!({ "token": self.item.token, "offsetInMilliseconds": millis(offset) });
        if let Some(attributes) = &self.ledger.current {
            payload["playbackAttributes"] = wire(attributes);
        }
        Event::new(super::NAMESPACE, name, payload)
    }

    /// The same with `playbackReports`.
    pub(super) fn event_with_reports(&self, name: &str, offset: Duration) -> Event {
        let mut event = self.event(name, offset);
        self.add_reports(&mut event.payload, offset);
        event
    }

    /// Adds `playbackReports` up to `offset`, once the stream sounded and its coding is known.
    pub(super) fn add_reports(&self, payload: &mut Value, offset: Duration) {
        if !self.started {
            return;
        }
        let mut reports = self.ledger.past.clone();
        reports.extend(self.ledger.report(offset));
        if !reports.is_empty() {
            payload["playbackReports"] = Value::Array(reports);
        }
    }
}

/// What was played how, for `playbackReports`.
#[derive(Clone, Debug, Default, PartialEq)]
struct Ledger {
    current: Option<Attributes>,
    since: Duration,
    past: Vec<Value>,
}

impl Ledger {
    fn report(&self, until: Duration) -> Option<Value> {
        let attributes = self.current.as_ref()?;
        Some(json!({
            "startOffsetInMilliseconds": millis(self.since),
            "endOffsetInMilliseconds": millis(until.max(self.since)),
            "playbackAttributes": wire(attributes),
        }))
    }
}

/// -1 stands for what is not known.
fn wire(attributes: &Attributes) -> Value {
    json!({
        "name": "",
        "codec": attributes.codec,
        "samplingRateInHertz": attributes.rate.map_or(-1, |rate| i64::from(rate.hertz())),
        "dataRateInBitsPerSecond": attributes.bits_per_second.map_or(-1, i64::from),
    })
}

/// The title tag: told at most once a second, never twice the same, and not before the stream sounds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Title {
    told: Option<String>,
    told_at: Option<HubTime>,
    pending: Option<String>,
}

/// At most one StreamMetadataExtracted in this time (AVS Device SDK).
const TITLE_PAUSE: Duration = Duration::from_secs(1);
/// Longer titles are cut: a tag is for a display.
const TITLE_LENGTH: usize = 1024;

impl Title {
    /// Takes note of a title.
    pub(super) fn set(&mut self, title: &str) {
        let title: String = title.chars().take(TITLE_LENGTH).collect();
        self.pending = if self.told.as_ref() == Some(&title) { None } else { Some(title) };
    }

    /// When a title waits to be told.
    pub(super) fn due(&self) -> Option<HubTime> {
        self.pending.as_ref()?;
        Some(self.told_at.map_or(HubTime::EPOCH, |at| at + TITLE_PAUSE))
    }

    /// The title to tell now.
    pub(super) fn take(&mut self, now: HubTime) -> Option<String> {
        if self.due()? > now {
            return None;
        }
        let title = self.pending.take()?;
        self.told_at = Some(now);
        self.told = Some(title.clone());
        Some(title)
    }
}
