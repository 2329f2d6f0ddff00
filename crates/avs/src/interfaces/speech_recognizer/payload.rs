//! The payloads of SpeechRecognizer, both ways.

use antiphon_domain::Moment;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::NAMESPACE;
use crate::exception::Refusal;
use crate::interfaces::payload;
use crate::message::{Directive, Event, Retry};
use crate::signal::{Initiator, Profile, SpeechFormat, Utterance};

/// The wake words that may be chosen, one at a time [R]. Antiphon has no engine; a surface with one sends what it
/// heard.
pub(super) const WAKE_WORDS: [&str; 4] = ["ALEXA", "AMAZON", "COMPUTER", "ECHO"];

/// What the cloud wants to hear within a time.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExpectSpeech {
    /// Milliseconds; not negative.
    pub timeout_in_milliseconds: i64,
    /// What the next Recognize must bear, exactly so.
    #[serde(default, deserialize_with = "present")]
    pub initiator: Option<Value>,
}

impl ExpectSpeech {
    /// Reads it.
    pub(super) fn of(directive: &Directive) -> Result<Self, Refusal> {
        let mut read: Self = payload(directive)?;
        if read.timeout_in_milliseconds < 0 {
            return Err(Refusal::unexpected("a negative time limit"));
        }
        if let Some(initiator) = &read.initiator {
            let Value::Object(members) = initiator else {
                return Err(Refusal::unexpected("an initiator is an object since version 2.0"));
            };
            let right = members.get("type").is_none_or(Value::is_string)
                && members
                    .get("payload")
                    .is_none_or(|inner| inner.is_object() && inner.get("token").is_none_or(Value::is_string));
            if !right {
                return Err(Refusal::unexpected("an initiator of another shape"));
            }
            // An event with an empty one is malformed.
            if members.is_empty() {
                read.initiator = None;
            }
        }
        Ok(read)
    }
}

/// `null` is a value, too: the wrong one.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SetWakeWords {
    wake_words: Vec<String>,
}

/// The words of a SetWakeWords, when they may be chosen.
pub(super) fn wake_words(directive: &Directive) -> Result<Vec<String>, Refusal> {
    let wanted: SetWakeWords = payload(directive)?;
    if !is_declared(&wanted.wake_words) {
        return Err(Refusal::unexpected("wake words that were not declared"));
    }
    Ok(wanted.wake_words)
}

/// Whether a combination of wake words is among the declared ones.
pub(super) fn is_declared(words: &[String]) -> bool {
    matches!(words, [word] if WAKE_WORDS.contains(&word.as_str()))
}

/// Whether a tone is sounded.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Tone {
    Tone,
    None,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SetWakeWordConfirmation {
    wake_word_confirmation: Tone,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SetSpeechConfirmation {
    speech_confirmation: Tone,
}

/// Whether a SetWakeWordConfirmation switches its tone on.
pub(super) fn wake_word_tone(directive: &Directive) -> Result<bool, Refusal> {
    let wanted: SetWakeWordConfirmation = payload(directive)?;
    Ok(matches!(wanted.wake_word_confirmation, Tone::Tone))
}

/// Whether a SetSpeechConfirmation switches its tone on.
pub(super) fn speech_tone(directive: &Directive) -> Result<bool, Refusal> {
    let wanted: SetSpeechConfirmation = payload(directive)?;
    Ok(matches!(wanted.speech_confirmation, Tone::Tone))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SetEndOfSpeechOffset {
    end_of_speech_offset_in_milliseconds: i64,
    start_of_speech_timestamp: String,
}

/// Looks at a SetEndOfSpeechOffset; there is nothing to be done about it.
pub(super) fn end_of_speech(directive: &Directive) -> Result<(), Refusal> {
    let told: SetEndOfSpeechOffset = payload(directive)?;
    if told.end_of_speech_offset_in_milliseconds < 0 || told.start_of_speech_timestamp.is_empty() {
        return Err(Refusal::unexpected("not a moment of speech"));
    }
    Ok(())
}

/// ReportEchoSpatialPerceptionData, which goes before the Recognize of the same dialog where energies were measured.
pub(super) fn energies(utterance: &Utterance, dialog: &str) -> Option<Event> {
    let (voice, ambient) = utterance.energies.filter(|(v, a)| v.is_finite() && a.is_finite())?;
    let energies = json!({ "voiceEnergy": voice, "ambientEnergy": ambient });
    let mut event = Event::new(NAMESPACE, "ReportEchoSpatialPerceptionData", energies);
    event.header.dialog_request_id = Some(dialog.into());
    event.retry = Retry::Never;
    Some(event)
}

/// A Recognize, still without its context. After an ExpectSpeech its initiator counts, or its lack of one, whatever began the
/// utterance.
pub(super) fn recognize(
    utterance: &Utterance,
    dialog: &str,
    expected: Option<Option<Value>>,
    now: Moment,
) -> Event {
    let profile = match (&utterance.initiator, utterance.profile) {
        // The two belong together.
        (Initiator::PressAndHold, _) | (_, Profile::CloseTalk) => "CLOSE_TALK",
        (_, Profile::NearField) => "NEAR_FIELD",
        (_, Profile::FarField) => "FAR_FIELD",
    };
    let format = match utterance.format {
        SpeechFormat::Pcm => "AUDIO_L16_RATE_16000_CHANNELS_1",
        SpeechFormat::Opus => "OPUS",
    };
    // Opaque to the cloud, which hands it back in SetEndOfSpeechOffset.
    let timestamp = (now.wall.nanos() / 1_000_000).to_string();
    let mut payload = json!({ "profile": profile, "format": format, "startOfSpeechTimestamp": timestamp });
    let initiator = match expected {
        Some(initiator) => initiator,
        None => initiator(&utterance.initiator),
    };
    if let Some(initiator) = initiator {
        payload["initiator"] = initiator;
    }
    let mut event = Event::new(NAMESPACE, "Recognize", payload);
    event.header.dialog_request_id = Some(dialog.into());
    event.audio = Some(utterance.id);
    event.retry = Retry::Never;
    event
}

fn initiator(initiator: &Initiator) -> Option<Value> {
    let (kind, inner) = match initiator {
        Initiator::PressAndHold => ("PRESS_AND_HOLD", Map::new()),
        Initiator::Tap => ("TAP", Map::new()),
        Initiator::WakeWord { word, indices } => {
            let mut inner = Map::new();
            if let Some(word) = upper(word) {
                inner.insert("wakeWord".into(), word.into());
            }
            if let Some((start, end)) =
                indices.filter(|(start, end)| start <= end && i64::try_from(*end).is_ok())
            {
                let indices = json!({ "startIndexInSamples": start, "endIndexInSamples": end });
                inner.insert("wakeWordIndices".into(), indices);
            }
            ("WAKEWORD", inner)
        }
        Initiator::Expected => return None,
    };
    Some(json!({ "type": kind, "payload": inner }))
}

/// A wake word as AVS writes it; `None` when it cannot be one.
fn upper(word: &str) -> Option<String> {
    let word = word.to_ascii_uppercase();
    let begins = word.starts_with(|c: char| c.is_ascii_uppercase());
    let goes_on = word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == ' ' || c == '_');
    (begins && goes_on).then_some(word)
}
