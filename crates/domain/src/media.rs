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

impl Media {
    /// What a list at this place names: the same stream elsewhere. What proves who asks (`Authorization`, `Cookie`) goes
    /// along to the list's own origin alone.
    pub fn entry(&self, url: String) -> Media {
        let own = origin(&url).is_some() && origin(&url) == origin(&self.url);
        let secret = |name: &str| ["authorization", "cookie"].iter().any(|s| name.eq_ignore_ascii_case(s));
        let headers = self.headers.iter().filter(|(name, _)| own || !secret(name)).cloned().collect();
        Media { url, headers, offset: self.offset, end: self.end }
    }
}

/// Scheme, host and port of a URL, in lower case.
fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '\\', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    Some(format!("{scheme}://{host}").to_ascii_lowercase())
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
    use std::time::Duration;

    use super::{Media, without_secrets};

    #[test]
    fn what_proves_who_asks_stays_at_the_lists_own_origin() {
        let headers =
            ["Authorization", "cookie", "X-Station"].map(|n| (n.to_owned(), "v".to_owned())).to_vec();
        let url = "https://Radio.example/list.m3u".to_owned();
        let list = Media { url, offset: Duration::from_secs(3), end: None, headers };
        assert_eq!(list.entry("https://radio.example/a.mp3?x".into()).headers, list.headers);
        for other in [
            "https://evil.example/a.mp3",
            "http://radio.example/a.mp3",
            "https://radio.example:8443/a",
            "https://radio.example@evil.example/a",
            "https://evil.example\\@radio.example/a",
            "radio.example",
        ] {
            let entry = list.entry(other.into());
            assert_eq!(entry.headers, [("X-Station".to_owned(), "v".to_owned())], "{other}");
            assert_eq!(entry.offset, list.offset);
        }
    }

    #[test]
    fn shown_urls_have_no_secrets() {
        assert_eq!(without_secrets("https://u:p@h:8/a/b.mp3?token=x#y"), "https://h:8/a/b.mp3");
        assert_eq!(without_secrets("https://h/a@b.mp3"), "https://h/a@b.mp3");
        assert_eq!(without_secrets("http://u:p@h?token=x/y"), "http://h");
        assert_eq!(without_secrets("http://h"), "http://h");
        assert_eq!(without_secrets("cid:1?x"), "cid:1");
    }
}
