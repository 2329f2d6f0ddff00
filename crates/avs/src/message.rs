//! AVS's own four envelopes: header, directive, event, context entry ("About AVS Versions", "Context").

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use uuid::Uuid;

/// The header of a directive or an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// The interface, e.g. `Speaker`.
    pub namespace: String,
    /// The message, e.g. `SetVolume`.
    pub name: String,
    /// Unique for each message; a UUID v4 in ours.
    pub message_id: String,
    /// Ties a message to the dialog it belongs to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub dialog_request_id: Option<String>,
    /// Only on Alexa.* events.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub payload_version: Option<String>,
    /// Ties an event answered 202 to its `Alexa.EventProcessed`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub event_correlation_token: Option<String>,
}

impl Header {
    /// A header with a fresh messageId and nothing optional.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            message_id: Uuid::new_v4().to_string(),
            dialog_request_id: None,
            payload_version: None,
            event_correlation_token: None,
        }
    }
}

/// Which response stream of which connection a directive came on; attachments are looked up within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u64);

/// A directive as it arrived: parsed envelope, payload still raw.
#[derive(Clone, Debug)]
pub struct Directive {
    /// The header.
    pub header: Header,
    /// The payload's JSON; interfaces parse their own.
    pub payload: Box<RawValue>,
    /// The whole part as text, for `ExceptionEncountered.unparsedDirective`.
    pub raw: String,
    /// The stream it came on.
    pub stream: StreamId,
}

/// One entry of an event's context.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ContextEntry {
    /// Interface and state name.
    pub header: ContextHeader,
    /// The state.
    pub payload: Value,
}

/// The header of a context entry: no messageId.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ContextHeader {
    /// The interface, e.g. `Speaker`.
    pub namespace: String,
    /// The state, e.g. `VolumeState`.
    pub name: String,
}

/// What becomes of an event when its stream dies or is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Lost is lost (Recognize: its audio is gone; anything stale when late).
    Never,
    /// Sent again when the stream died before response headers (playback and speaker lifecycle events).
    BeforeHeaders,
    /// Sent again with backoff until accepted (connection set-up, software info, settings reports).
    UntilAccepted,
}

/// An event to post.
#[derive(Clone, Debug)]
pub struct Event {
    /// The header.
    pub header: Header,
    /// The payload; `{}` when empty.
    pub payload: Value,
    /// The context, where the event carries one.
    pub context: Option<Vec<ContextEntry>>,
    /// What to do when it fails.
    pub retry: Retry,
    /// Speech that is uploaded with it, as it is captured.
    pub audio: Option<CaptureId>,
}

/// One utterance being captured; never used twice by a speaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CaptureId(pub u64);

impl Event {
    /// An event without context that is replayed only when it certainly was not processed.
    pub fn new(namespace: &str, name: &str, payload: Value) -> Self {
        Self {
            header: Header::new(namespace, name),
            payload,
            context: None,
            retry: Retry::BeforeHeaders,
            audio: None,
        }
    }

    /// The `metadata` part's JSON.
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Inner<'a> {
            header: &'a Header,
            payload: &'a Value,
        }
        #[derive(Serialize)]
        struct Outer<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            context: Option<&'a Vec<ContextEntry>>,
            event: Inner<'a>,
        }
        let outer = Outer {
            context: self.context.as_ref(),
            event: Inner { header: &self.header, payload: &self.payload },
        };
        // Plain structs and `Value` with string keys always serialise.
        serde_json::to_string(&outer).unwrap_or_default()
    }
}
