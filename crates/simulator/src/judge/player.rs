//! Owns the life of each stream as a device's AudioPlayer events tell it: begun once a Play, ended once, nothing
//! after its end; and who may speak of a stream that another device was asked to play (a group's new leader).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Seen, Sent};

/// Most streams remembered of one device.
const MAX_KNOWN: usize = 1000;
/// How long before a Recognize a PlaybackPaused looks as if that had caused it.
const JUST_NOW: Duration = Duration::from_millis(300);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Waiting,
    Playing,
    Paused,
    Starved,
    Ended,
}

#[derive(Clone, Debug, Default)]
struct Stream {
    /// Plays sent that have not begun.
    plays: u32,
    stage: Stage,
    nearly: bool,
    order: u64,
    /// The connection of its last event; another one may have been preceded by lost events.
    connection: u64,
}

/// The streams of one device, by token.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    known: BTreeMap<String, Stream>,
    order: u64,
    /// It played before this simulator knew it, so unknown tokens may be right.
    older: bool,
    paused_at: Option<Instant>,
    /// Something other than a Recognize may have paused the content since it last sounded.
    disturbed: bool,
}

/// What an event says of a stream the device was never asked to play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// The stream is its own, or nobody's.
    None,
    /// It begins to play it.
    Takes,
    /// It reports something else of it.
    Reports,
}

/// A stream which one device began while another had not said that it stopped.
#[derive(Clone, Debug)]
pub(crate) struct HandOver {
    pub(crate) token: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) since: Instant,
}

impl Streams {
    pub(super) fn sending(&mut self, sent: &Sent<'_>) {
        if sent.name != "Play" {
            return;
        }
        // An unreadable Play begins nothing.
        let token = sent.payload["audioItem"]["stream"]["token"].as_str().unwrap_or_default();
        if self.known.len() >= MAX_KNOWN {
            let oldest = self.known.iter().min_by_key(|(_, stream)| stream.order);
            if let Some(token) = oldest.map(|(token, _)| token.clone()) {
                self.known.remove(&token);
                self.older = true;
            }
        }
        self.order += 1;
        let stream = self.known.entry(token.to_owned()).or_default();
        stream.plays += 1;
        stream.order = self.order;
        if stream.stage == Stage::Waiting {
            stream.connection = sent.connection;
        }
    }

    pub(super) fn synchronised(&mut self, seen: &Seen<'_>) {
        let Some(state) = seen.context("AudioPlayer", "PlaybackState") else { return };
        let token = state["token"].as_str().unwrap_or_default();
        if token.is_empty() || self.known.contains_key(token) {
            return;
        }
        self.older = true;
    }

    /// Notes what may pause content besides a Recognize, and judges a pause that came too early.
    pub(super) fn disturbed(&mut self, seen: &Seen<'_>, faults: &mut Vec<String>) {
        match (seen.namespace, seen.name) {
            ("SpeechSynthesizer", "SpeechStarted") | ("Alerts", "AlertStarted") | ("Bluetooth", _) => {
                self.disturbed = true;
            }
            ("AudioPlayer", "PlaybackStarted" | "PlaybackResumed") => self.disturbed = false,
            ("SpeechRecognizer", "Recognize") => {
                let just = |at: Instant| seen.started.saturating_duration_since(at) < JUST_NOW;
                if self.paused_at.take().is_some_and(just) && !self.disturbed {
                    faults.push("PlaybackPaused came before the Recognize that caused it".to_owned());
                }
                self.disturbed = true;
            }
            _ => {}
        }
    }

    /// Whether this device was asked to play the stream and may still speak of it.
    pub(crate) fn knows(&self, token: &str) -> bool {
        self.known.contains_key(token)
    }

    /// Whether the device has said that it plays the stream, and not that it ended.
    pub(crate) fn active(&self, token: &str) -> bool {
        self.known.get(token).is_some_and(|one| !matches!(one.stage, Stage::Waiting | Stage::Ended))
    }

    /// What an event says of somebody else's stream.
    pub(crate) fn claim(&self, seen: &Seen<'_>) -> Claim {
        let token = seen.token();
        let titled = seen.payload().get("token").is_some();
        if seen.namespace != "AudioPlayer" || !titled || token.is_empty() || self.knows(token) {
            return Claim::None;
        }
        if seen.name == "PlaybackStarted" { Claim::Takes } else { Claim::Reports }
    }

    /// The device took a stream over: it is its own from now on.
    pub(crate) fn adopt(&mut self, token: &str, connection: u64) {
        self.order += 1;
        let stream = Stream { plays: 1, order: self.order, connection, ..Stream::default() };
        self.known.insert(token.to_owned(), stream);
    }

    /// An event was lost on its way: what comes next may skip a step.
    pub(super) fn lost(&mut self) {
        for stream in self.known.values_mut() {
            stream.connection = 0;
        }
    }

    /// Judges an event of a stream.
    pub(crate) fn event(&mut self, seen: &Seen<'_>, faults: &mut Vec<String>) {
        if seen.namespace != "AudioPlayer" || seen.payload().get("token").is_none() {
            return;
        }
        let token = seen.token();
        if seen.name == "PlaybackPaused" {
            self.paused_at = Some(seen.started);
        }
        let Some(stream) = self.known.get_mut(token) else {
            if !self.older {
                faults.push(format!("no Play had the token {token:?}"));
            }
            return;
        };
        let playing = matches!(stream.stage, Stage::Playing | Stage::Paused | Stage::Starved);
        let (fine, next) = match seen.name {
            "PlaybackStarted" => {
                let fine = stream.plays > 0;
                stream.plays = stream.plays.saturating_sub(1);
                stream.nearly = false;
                (fine, Stage::Playing)
            }
            "PlaybackNearlyFinished" => {
                let fine = playing && !stream.nearly;
                stream.nearly = true;
                (fine, stream.stage)
            }
            "PlaybackPaused" => (matches!(stream.stage, Stage::Playing | Stage::Starved), Stage::Paused),
            "PlaybackResumed" => (stream.stage == Stage::Paused, Stage::Playing),
            "PlaybackStutterStarted" => (stream.stage == Stage::Playing, Stage::Starved),
            "PlaybackStutterFinished" => (stream.stage == Stage::Starved, Stage::Playing),
            "PlaybackFinished" => (playing, Stage::Ended),
            "PlaybackStopped" => (stream.stage != Stage::Ended || stream.plays > 0, Stage::Ended),
            // A stream may fail before it began, and once for each Play of it.
            "PlaybackFailed" => {
                stream.plays = stream.plays.saturating_sub(u32::from(!playing));
                (true, Stage::Ended)
            }
            _ => (true, stream.stage),
        };
        let gap = stream.connection != seen.connection;
        if !fine && !gap {
            faults.push(format!("stream {token:?} is {:?}: no occasion for {}", stream.stage, seen.name));
        }
        stream.stage = next;
        stream.connection = seen.connection;
    }
}
