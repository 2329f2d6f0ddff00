//! The hub as a picture: plain data that every surface shows alike.

use antiphon_avs::picture::Picture;
use antiphon_domain::{GroupId, Level, SpeakerId, Volume};
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
    /// Its members in the order they joined.
    pub speakers: Vec<SpeakerId>,
    /// What it plays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<ContentView>,
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
