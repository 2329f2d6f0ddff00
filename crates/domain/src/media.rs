//! What can be played: where it is and how far in to begin.

use std::time::Duration;

/// One stream for a source to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// An `http`, `https` or `file` URL.
    pub url: String,
    /// Where in the stream to begin.
    pub offset: Duration,
    /// Where in the stream to end, when not at its own end.
    pub end: Option<Duration>,
    /// Extra request headers (name, value), already filtered (AudioPlayer 1.5 `httpHeaders`).
    pub headers: Vec<(String, String)>,
}

/// Why a stream could not be played, in the words of AudioPlayer 1.5 `PlaybackFailed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaErrorKind {
    /// Anything else.
    Unknown,
    /// The server refused: HTTP 4xx.
    InvalidRequest,
    /// The host cannot be reached.
    ServiceUnavailable,
    /// The server failed: HTTP 5xx.
    InternalServerError,
    /// We failed: decoder, output or a bug.
    InternalDeviceError,
}

/// A failure to play, with what a person would want to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaError {
    /// The class reported to AVS.
    pub kind: MediaErrorKind,
    /// The cause in words, or the server's own error body.
    pub message: String,
}
