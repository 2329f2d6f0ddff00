//! What a receiver may want of a person before it plays for us, and what the person may answer.
//!
//! Surfaces show the asks of every kind and carry the answers back; the kinds do what their protocols want.

use antiphon_domain::{Secret, SpeakerId};
use thiserror::Error;

/// A receiver that waits for a person, or that one may give up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Which.
    pub speaker: SpeakerId,
    /// What it is called.
    pub name: String,
    /// What it wants.
    pub wants: Wants,
}

/// What it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wants {
    /// Leave to be used although nothing proves who it is.
    Approval,
    /// The code it shows, or that is printed on it.
    Code,
    /// Nothing, as a person refused it: that can be taken back by another answer.
    Refused,
    /// Nothing any more: it is trusted, and that can be taken back.
    Nothing,
}

/// What a person says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// Use it.
    Approve,
    /// Do not.
    Refuse,
    /// The code, or the token, as it was read.
    Code(Secret),
    /// Forget that it was trusted.
    Unpair,
}

/// Why an answer changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// No kind knows it.
    #[error("no receiver {0} asks for anything")]
    Unknown(SpeakerId),
    /// It does not want that now.
    #[error("it does not wait for this")]
    NotAsked,
    /// What was answered is not right; one may try again.
    #[error("that is not it: {0}")]
    Wrong(String),
}
