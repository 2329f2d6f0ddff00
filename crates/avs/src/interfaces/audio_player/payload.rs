//! The payloads of AudioPlayer's directives, parsed ("AudioPlayer 1.5"; unknown keys are ignored, missing optional ones
//! take their defaults).

use std::fmt;
use std::time::Duration;

use antiphon_domain::focus::Mixability;
use antiphon_domain::media::Media;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::progress::Progress;
use crate::effect::PlayerSource;
use crate::exception::Refusal;
use crate::interfaces::payload;
use crate::message::Directive;

/// Limits on request headers taken over from a Play (AVS Device SDK).
const HEADERS_LIMIT: usize = 20;
const HEADER_NAME_LIMIT: usize = 256;
const HEADER_VALUE_LIMIT: usize = 4096;

/// What becomes of the streams that are here already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behaviour {
    ReplaceAll,
    Enqueue,
    ReplaceEnqueued,
}

/// A Play, parsed.
#[derive(Debug)]
pub(super) struct Play {
    pub(super) behaviour: Behaviour,
    pub(super) expected_previous: Option<String>,
    pub(super) item: Item,
}

/// What one Play brings.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Item {
    pub(super) token: String,
    pub(super) audio_item_id: String,
    /// WebVTT of what is said in it.
    pub(super) caption: Option<String>,
    /// The token of the alert whose music this is (`playRequestor`).
    pub(super) alert: Option<String>,
    pub(super) url: String,
    pub(super) source: PlayerSource,
    pub(super) offset: Duration,
    pub(super) end: Option<Duration>,
    pub(super) mixability: Mixability,
    pub(super) progress: Progress,
    /// The directive as it came, kept only where it may have to be regretted later.
    pub(super) raw: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PlayWire {
    play_behavior: Option<String>,
    audio_item: AudioItemWire,
    play_requestor: Option<RequestorWire>,
}

/// Both keys are mandatory where the object is there.
#[derive(Deserialize)]
struct RequestorWire {
    #[serde(rename = "type")]
    kind: String,
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AudioItemWire {
    audio_item_id: Option<String>,
    stream: StreamWire,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StreamWire {
    url: String,
    stream_format: Option<String>,
    offset_in_milliseconds: Option<u64>,
    end_offset_in_milliseconds: Option<u64>,
    progress_report: Option<ProgressWire>,
    token: Option<String>,
    expected_previous_token: Option<String>,
    interrupted_behavior: Option<String>,
    caption: Option<CaptionWire>,
    http_headers: Option<HeadersWire>,
}

/// The only type there is, `WEBVTT`, need not be said.
#[derive(Deserialize)]
struct CaptionWire {
    content: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProgressWire {
    progress_report_delay_in_milliseconds: Option<u64>,
    progress_report_interval_in_milliseconds: Option<u64>,
}

/// Of the four groups, the two that a request for audio uses; `key` and `manifest` have requests of their own.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HeadersWire {
    all: Option<Vec<HeaderWire>>,
    audio_segment: Option<Vec<HeaderWire>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IntervalWire {
    progress_report_interval_in_milliseconds: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClearWire {
    clear_behavior: Option<String>,
}

/// The payload of a Play.
pub(super) fn play(directive: &Directive) -> Result<Play, Refusal> {
    let wire: PlayWire = payload(directive)?;
    let stream = wire.audio_item.stream;
    if stream.url.is_empty() {
        return Err(Refusal::unexpected("an empty url"));
    }
    let offset = Duration::from_millis(stream.offset_in_milliseconds.unwrap_or(0));
    let end = stream.end_offset_in_milliseconds.map(Duration::from_millis);
    if end.is_some_and(|end| end <= offset) {
        return Err(Refusal::unexpected("endOffsetInMilliseconds must exceed offsetInMilliseconds"));
    }
    // A missing or unknown behaviour is ENQUEUE, as in the reference client.
    let behaviour = match wire.play_behavior.as_deref() {
        Some("REPLACE_ALL") => Behaviour::ReplaceAll,
        Some("REPLACE_ENQUEUED") => Behaviour::ReplaceEnqueued,
        _ => Behaviour::Enqueue,
    };
    let mixability = match stream.interrupted_behavior.as_deref() {
        Some("ATTENUATE") => Mixability::Mixable,
        _ => Mixability::NonMixable,
    };
    let mut raw = None;
    let source = match stream.url.strip_prefix("cid:") {
        Some(content_id) => {
            if stream.stream_format.is_some_and(|format| format != "AUDIO_MPEG") {
                return Err(Refusal::unexpected("an attachment is AUDIO_MPEG"));
            }
            raw = Some(directive.raw.clone());
            PlayerSource::Attachment { stream: directive.stream, content_id: content_id.into(), offset, end }
        }
        None => {
            // "HTTP and HTTPS both occur" (Recommended Media Support); a file of this machine is nobody's to name.
            if !stream.url.starts_with("https://") && !stream.url.starts_with("http://") {
                return Err(Refusal::unexpected("a stream's url begins with http://, https:// or cid:"));
            }
            let headers = stream.http_headers.map(headers).unwrap_or_default();
            PlayerSource::Media(Media { url: stream.url.clone(), offset, end, headers })
        }
    };
    let (delay, interval) = match stream.progress_report {
        Some(report) => {
            (report.progress_report_delay_in_milliseconds, report.progress_report_interval_in_milliseconds)
        }
        None => (None, None),
    };
    let item = Item {
        token: stream.token.unwrap_or_default(),
        audio_item_id: wire.audio_item.audio_item_id.unwrap_or_default(),
        caption: stream.caption.and_then(|caption| caption.content),
        alert: wire.play_requestor.filter(|by| by.kind == "ALERT").map(|by| by.id),
        url: stream.url,
        source,
        offset,
        end,
        mixability,
        progress: Progress::new(delay, interval, offset),
        raw,
    };
    let expected_previous = stream.expected_previous_token.filter(|token| !token.is_empty());
    Ok(Play { behaviour, expected_previous, item })
}

/// The new interval in milliseconds.
pub(super) fn interval(directive: &Directive) -> Result<u64, Refusal> {
    let wire: IntervalWire = payload(directive)?;
    Ok(wire.progress_report_interval_in_milliseconds)
}

/// Whether ClearQueue ends the current stream too.
pub(super) fn clears_all(directive: &Directive) -> Result<bool, Refusal> {
    let wire: ClearWire = payload(directive)?;
    match wire.clear_behavior.as_deref() {
        None | Some("CLEAR_ENQUEUED") => Ok(false),
        Some("CLEAR_ALL") => Ok(true),
        Some(other) => Err(Refusal::unexpected(format!("clearBehavior {other:?}"))),
    }
}

/// The headers worth sending; the rest is dropped, as the reference client does.
fn headers(wire: HeadersWire) -> Vec<(String, String)> {
    let mut kept = Vec::new();
    for group in [wire.all, wire.audio_segment].into_iter().flatten() {
        for header in group.into_iter().take(HEADERS_LIMIT) {
            let allowed = header.0.filter(|(name, value)| is_allowed(name, value));
            kept.extend(allowed);
        }
    }
    kept
}

fn is_allowed(name: &str, value: &str) -> bool {
    let extension = name.len() >= 3
        && name.len() <= HEADER_NAME_LIMIT
        && (name.starts_with("x-") || name.starts_with("X-"))
        && name.chars().all(|c| c.is_ascii_graphic() && c != ':');
    let known = name == "Authorization" || name == "Cookie";
    (extension || known) && value.len() <= HEADER_VALUE_LIMIT && !value.contains(char::is_control)
}

/// A header as an object of two members: `name` and `value` where they are called so, otherwise the first is the name
/// and the second the value. Amazon does not publish what they are called.
struct HeaderWire(Option<(String, String)>);

impl<'de> Deserialize<'de> for HeaderWire {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pair;

        impl<'de> Visitor<'de> for Pair {
            type Value = HeaderWire;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of a name and a value")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<HeaderWire, A::Error> {
                let mut by_place = [None, None];
                let (mut name, mut value) = (None, None);
                let mut place = 0;
                while let Some((key, member)) = map.next_entry::<String, Value>()? {
                    let text = member.as_str().map(str::to_owned);
                    match key.as_str() {
                        "name" => name = text.clone(),
                        "value" => value = text.clone(),
                        _ => {}
                    }
                    if let Some(slot) = by_place.get_mut(place) {
                        *slot = text;
                    }
                    place += 1;
                }
                let [first, second] = by_place;
                Ok(HeaderWire(name.zip(value).or_else(|| first.zip(second))))
            }
        }

        deserializer.deserialize_map(Pair)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_filtered() {
        let long = "v".repeat(4097);
        let wire: HeadersWire = serde_json::from_value(serde_json::json!({
            "all": [
                { "name": "Authorization", "value": "Bearer a" },
                { "value": "b", "name": "x-b" },
                { "name": "Host", "value": "evil" },
                { "name": "X-c", "value": "a\r\nHost: evil" },
                { "name": "X-d", "value": long },
                { "name": "x-", "value": "short" },
                { "name": "x-only" },
            ],
            "audioSegment": [{ "name": "Cookie", "value": "c", "more": 1 }],
        }))
        .unwrap();
        let expected = [("Authorization", "Bearer a"), ("x-b", "b"), ("Cookie", "c")];
        assert_eq!(headers(wire), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
