//! What a person may want to see of a device: plain data, made on demand from what the interfaces know.

use antiphon_domain::equalizer::Equalizer;
use antiphon_domain::{Volume, WallTime};
use serde::Serialize;
use serde_json::Value;

/// A device at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Picture {
    /// What Alexa is doing.
    pub attention: Attention,
    /// What is being spoken, as WebVTT, where the cloud sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    /// Every alert that is set, by time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<AlertView>,
    /// How loud alerts are; `None` until the interface says.
    pub alert_volume: Option<Volume>,
    /// Whether alarms come up slowly.
    pub alarm_ramp: bool,
    /// Something waits to be asked for ("what are my notifications").
    pub notification: bool,
    /// The card that is shown, as AVS described it (TemplateRuntime).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card: Option<Value>,
    /// What its player's card says of what it plays or holds (RenderPlayerInfo).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub playing: Option<Playing>,
    /// The tone.
    pub equalizer: Equalizer,
    /// The hub's input that is selected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// The locales in force.
    pub locales: Vec<String>,
    /// The time zone in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
}

/// What a player's card says of its item.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Playing {
    /// The title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The first line under it: mostly who plays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artist: Option<String>,
    /// The second line under it: mostly the album.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub album: Option<String>,
    /// Where its picture is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub art: Option<String>,
    /// How long it is, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length_ms: Option<u64>,
}

/// What Alexa is doing (connection notes 5.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Attention {
    /// Nothing.
    #[default]
    Idle,
    /// It hears.
    Listening,
    /// It waits for an answer.
    Expecting,
    /// It works on the request.
    Thinking,
    /// It speaks.
    Speaking,
}

/// One alert.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlertView {
    /// Its token.
    pub token: String,
    /// `ALARM`, `TIMER` or `REMINDER`.
    pub kind: &'static str,
    /// When it rings, nanoseconds since 1970.
    pub scheduled: WallTime,
    /// What it is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Whether it rings now.
    pub ringing: bool,
}
