//! The hub as a picture: plain data that every surface shows alike.

use std::time::Duration;

use antiphon_avs::picture::Picture;
use antiphon_domain::{GroupId, Level, SpeakerId, Volume};
use antiphon_endpoint::SyncReport;
use serde::Serialize;

/// The whole hub at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Snapshot {
    /// Every speaker, by id.
    pub speakers: Vec<SpeakerView>,
    /// Every group that somebody formed, and every lone speaker (as a group of one) that plays, by id.
    pub groups: Vec<GroupView>,
}

/// One speaker.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SpeakerView {
    /// Its stable id.
    pub id: SpeakerId,
    /// Its name.
    pub name: String,
    /// The place it stands in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// The kind of its endpoint.
    pub kind: &'static str,
    /// 0 to 100; `null` while nobody knows it.
    pub volume: Option<Volume>,
    /// Whether it is muted, by itself or with its group.
    pub muted: bool,
    /// The bound on its volume.
    pub ceiling: Volume,
    /// Its group; a group of one when alone.
    pub group: Option<GroupId>,
    /// Milliseconds by which it is heard later than everybody else.
    pub offset_ms: i32,
    /// How well it keeps time, while a session is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync: Option<SyncView>,
    /// Its endpoint's health.
    pub endpoint: EndpointView,
    /// Its link to AVS.
    pub link: LinkView,
    /// Why the last stream its group was to hear failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Whether content is heard now.
    pub playing: bool,
    /// Loudness of what it just played, dB below full scale, where its kind can tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level_dbfs: Option<f32>,
    /// What its Alexa device shows: attention, alerts, card, tone.
    pub device: Picture,
    /// Whether it has a microphone of its own.
    pub microphone: bool,
    /// The speaker whose alert it rings, because that one cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rings_for: Option<SpeakerId>,
    /// The speaker that rings its alert, because it cannot itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rung_by: Option<SpeakerId>,
    /// An alert of its rings and nobody can be found to be heard.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unheard: bool,
}

/// How well a speaker keeps time. What its protocol does not tell is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SyncView {
    /// How early its blocks are sent, calibration and offset included, milliseconds.
    pub lead_ms: u64,
    /// `steady`, or `quick` in a group of low latency.
    pub pace: &'static str,
    /// Microseconds by which it is heard late (above 0) or early (below 0).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_us: Option<f64>,
    /// The true error lies within this of it, microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncertainty_us: Option<f64>,
    /// How well its clock is known, microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_uncertainty_us: Option<f64>,
    /// How much faster than the hub's its clock runs, parts per million.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift_ppm: Option<f64>,
    /// What was done to keep it in time, in this session; absent where its kind does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrections: Option<CorrectionsView>,
    /// Blocks not delivered in time, in this session.
    pub underruns: u64,
}

/// Corrections by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CorrectionsView {
    /// Changes of the rate, too small to be heard.
    pub rate: u64,
    /// Jumps to the right place, which may be heard.
    pub reanchored: u64,
}

impl SyncView {
    /// Takes a report in.
    pub fn take(&mut self, report: &SyncReport) {
        let micros = |duration: Duration| duration.as_nanos() as f64 / 1e3;
        self.error_us = report.error.map(|e| e.nanos as f64 / 1e3);
        self.uncertainty_us = report.error.map(|e| micros(e.uncertainty));
        self.clock_uncertainty_us = report.clock.map(|c| micros(c.uncertainty));
        self.drift_ppm = report.clock.and_then(|c| c.drift_ppm);
        if let Some(done) = report.corrections {
            let sum = self.corrections.get_or_insert_default();
            sum.rate += u64::from(done.rate);
            sum.reanchored += u64::from(done.reanchored);
        }
    }

    /// Nothing is told any more: what was counted stays.
    pub fn forget(&mut self) {
        *self = Self {
            lead_ms: self.lead_ms,
            pace: self.pace,
            corrections: self.corrections,
            underruns: self.underruns,
            ..Self::default()
        };
    }
}

/// The health of an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct EndpointView {
    /// `present`, `connecting`, `ready`, `retrying` or `unreachable`.
    pub state: &'static str,
    /// Why, where something is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Unix time in seconds since which it is unreachable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// Where it is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// The state of a link.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LinkView {
    /// `off`, `needs_login`, `connecting`, `connected`, `waiting` or `closed`.
    pub state: &'static str,
    /// Why, where something is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Whether Amazon was asked for a code, and nothing has come of it yet.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub linking: bool,
    /// What a person enters to link it, while code-based linking waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<LoginCode>,
}

/// A code for a person to enter.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LoginCode {
    /// The page to open.
    pub verification_uri: String,
    /// The code to enter there.
    pub user_code: String,
}

/// One group that somebody formed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupView {
    /// Its stable id.
    pub id: GroupId,
    /// Its name.
    pub name: String,
    /// The group's own slider.
    pub volume: Volume,
    /// The group's own mute switch.
    pub muted: bool,
    /// Whether somebody formed it; else it is a lone speaker that plays.
    pub formed: bool,
    /// How its wish for low latency fares; absent where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low_latency: Option<LowLatencyView>,
    /// Its members in the order they joined.
    pub speakers: Vec<SpeakerId>,
    /// What it plays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<ContentView>,
}

/// A group that is to be quick.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LowLatencyView {
    /// Whether it is, from its next stream on: every member can.
    pub active: bool,
    /// Which members cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What a group plays.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ContentView {
    /// The URL without what may be secret in it (query and user).
    pub url: String,
    /// Title, where the stream tells one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// `preparing`, `playing`, `paused` or `stalled`.
    pub state: &'static str,
    /// Heard position in milliseconds from the start of the stream.
    pub position_ms: u64,
    /// The speaker whose AVS owns it; absent when a person started it here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leader: Option<SpeakerId>,
}

/// How a level is told beside its speaker.
impl SpeakerView {
    /// Puts a level in.
    pub fn set_level(&mut self, level: Level, known: bool) {
        self.volume = known.then_some(level.volume);
        self.muted = level.muted;
    }
}

#[cfg(test)]
mod tests {
    use antiphon_endpoint::Corrections;

    use super::*;

    #[test]
    fn corrections_that_are_not_told_are_absent() {
        let mut view = SyncView::default();
        view.take(&SyncReport::default());
        assert_eq!(view.corrections, None);
        let done = Some(Corrections { rate: 2, reanchored: 1 });
        for _ in 0..2 {
            view.take(&SyncReport { corrections: done, ..SyncReport::default() });
        }
        view.take(&SyncReport::default());
        assert_eq!(view.corrections, Some(CorrectionsView { rate: 4, reanchored: 2 }));
    }
}
