//! `System.ExceptionEncountered`: what the cloud hears of a directive that was not carried out (connection notes 4.5,
//! "System 2.0").

use serde_json::json;
use thiserror::Error;

use crate::message::Event;

/// The three types the cloud knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExceptionKind {
    /// Malformed, missing or out of range.
    UnexpectedInformation,
    /// No such message, or not possible here.
    UnsupportedOperation,
    /// We failed.
    Internal,
}

impl ExceptionKind {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            ExceptionKind::UnexpectedInformation => "UNEXPECTED_INFORMATION_RECEIVED",
            ExceptionKind::UnsupportedOperation => "UNSUPPORTED_OPERATION",
            ExceptionKind::Internal => "INTERNAL_ERROR",
        }
    }
}

/// Why a directive is not carried out. Nothing has changed by it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}: {message}", kind.as_str())]
pub struct Refusal {
    /// The type.
    pub kind: ExceptionKind,
    /// The reason in words, for the service's logs.
    pub message: String,
}

impl Refusal {
    /// A payload that does not fit.
    pub fn unexpected(message: impl Into<String>) -> Self {
        Self { kind: ExceptionKind::UnexpectedInformation, message: message.into() }
    }

    /// Something we do not do.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self { kind: ExceptionKind::UnsupportedOperation, message: message.into() }
    }

    /// Our own failure.
    pub fn internal(message: impl Into<String>) -> Self {
        Self { kind: ExceptionKind::Internal, message: message.into() }
    }
}

/// The event for a directive, given as it came, and the reason.
pub fn encountered(raw: &str, refusal: &Refusal) -> Event {
    let mut event = Event::new(
        "System",
        "ExceptionEncountered",
        json!({
            "unparsedDirective": raw,
            "error": { "type": refusal.kind.as_str(), "message": refusal.message },
        }),
    );
    // The event must have a context; the reference client sends an empty one.
    event.context = Some(Vec::new());
    event
}
