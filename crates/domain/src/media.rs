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

/// A URL as it may be shown and logged: without user, password, query and fragment, where signatures and tokens are.
pub fn without_secrets(url: &str) -> String {
    let bare = url.split(['?', '#']).next().unwrap_or(url);
    match bare.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_once('/').map_or((rest, None), |(h, p)| (h, Some(p)));
            let host = host.rsplit('@').next().unwrap_or(host);
            path.map_or(format!("{scheme}://{host}"), |p| format!("{scheme}://{host}/{p}"))
        }
        None => bare.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::without_secrets;

    #[test]
    fn shown_urls_have_no_secrets() {
        assert_eq!(without_secrets("https://u:p@h:8/a/b.mp3?token=x#y"), "https://h:8/a/b.mp3");
        assert_eq!(without_secrets("https://h/a@b.mp3"), "https://h/a@b.mp3");
        assert_eq!(without_secrets("http://u:p@h?token=x/y"), "http://h");
        assert_eq!(without_secrets("http://h"), "http://h");
        assert_eq!(without_secrets("cid:1?x"), "cid:1");
    }
}
