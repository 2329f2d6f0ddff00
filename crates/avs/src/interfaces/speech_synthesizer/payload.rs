//! The payload of a Speak.

use serde::Deserialize;

use crate::exception::Refusal;
use crate::interfaces::payload;
use crate::message::Directive;

/// A Speak that was found to be right.
pub(super) struct Speak {
    /// The attachment's Content-ID.
    pub content_id: String,
    /// Its name in events.
    pub token: String,
    /// What it does to what is there already.
    pub behaviour: Behaviour,
    /// What is said, as WebVTT.
    pub caption: Option<String>,
}

impl Speak {
    /// Reads it.
    pub(super) fn of(directive: &Directive) -> Result<Self, Refusal> {
        let read: Payload = payload(directive)?;
        let content_id = read.url.strip_prefix("cid:").filter(|id| !id.is_empty());
        let content_id = content_id.ok_or_else(|| Refusal::unexpected("speech is an attachment (cid:)"))?;
        if read.analyzers.iter().any(|analyzer| analyzer.interface.is_empty()) {
            return Err(Refusal::unexpected("an analyzer without a name"));
        }
        Ok(Self {
            content_id: content_id.into(),
            token: read.token,
            behaviour: read.play_behavior,
            caption: read.caption.map(|caption| caption.content),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    url: String,
    #[serde(rename = "format")]
    _format: Format,
    token: String,
    #[serde(default)]
    play_behavior: Behaviour,
    caption: Option<Caption>,
    #[serde(default)]
    analyzers: Vec<Analyzer>,
}

#[derive(Deserialize)]
enum Format {
    #[serde(rename = "AUDIO_MPEG")]
    Mpeg,
}

/// What a newcomer does to what is there already; the default is that of version 1.3.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Behaviour {
    /// It waits.
    Enqueue,
    /// It takes the place of all.
    #[default]
    ReplaceAll,
    /// It takes the place of those that wait.
    ReplaceEnqueued,
}

#[derive(Deserialize)]
struct Caption {
    content: String,
    #[serde(rename = "type")]
    _kind: CaptionKind,
}

#[derive(Deserialize)]
enum CaptionKind {
    #[serde(rename = "WEBVTT")]
    WebVtt,
}

/// Only looked at, so that a wrong one is answered.
#[derive(Deserialize)]
struct Analyzer {
    interface: String,
    #[serde(rename = "enabled")]
    _enabled: Switch,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Switch {
    Yes,
    No,
}
