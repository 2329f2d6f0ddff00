//! What a GStreamer error means to somebody who asked for a song.

use antiphon_domain::media::{MediaError, MediaErrorKind};
use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;

const HTTP_SOURCE: &str = "souphttpsrc";

/// Classes an error from the bus.
pub(crate) fn from_bus(error: &gst::message::Error, url: &str) -> MediaError {
    let cause = error.error();
    let status = error.details().and_then(|details| details.get::<u32>("http-status-code").ok());
    let from = error.src().and_then(|source| source.downcast_ref::<gst::Element>().and_then(|e| e.factory()));
    if status.is_none()
        && cause.matches(gst::StreamError::Failed)
        && from.is_some_and(|f| f.name() == HTTP_SOURCE)
    {
        // All that souphttpsrc of GStreamer 1.22 says when there is no name, no route, no listener or no TLS.
        return MediaError {
            kind: MediaErrorKind::ServiceUnavailable,
            message: "the server cannot be reached, or broke off".to_owned(),
        };
    }
    let kind = kind_of(&cause, status, url);
    let mut message = cause.message().trim().to_owned();
    if let Some(status) = status.filter(|status| *status >= 100) {
        message = format!("HTTP {status}: {message}");
    }
    MediaError { kind, message }
}

/// Nothing came for too long.
pub(crate) fn silence(url: &str, seconds: u64) -> MediaError {
    let kind = if is_http(url) { MediaErrorKind::ServiceUnavailable } else { MediaErrorKind::Unknown };
    MediaError { kind, message: format!("nothing to play came for {seconds} s") }
}

/// Something of ours failed.
pub(crate) fn device(message: impl Into<String>) -> MediaError {
    MediaError { kind: MediaErrorKind::InternalDeviceError, message: message.into() }
}

pub(crate) fn is_http(url: &str) -> bool {
    scheme(url).is_some_and(|scheme| scheme == "http" || scheme == "https")
}

/// The scheme of a URL in lower case.
pub(crate) fn scheme(url: &str) -> Option<String> {
    url.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase())
}

fn kind_of(cause: &glib::Error, status: Option<u32>, url: &str) -> MediaErrorKind {
    match status {
        Some(400..=499) => return MediaErrorKind::InvalidRequest,
        Some(500..=599) => return MediaErrorKind::InternalServerError,
        _ => {}
    }
    if let Some(resource) = cause.kind::<gst::ResourceError>() {
        return match resource {
            // Without a status the HTTP source never got an answer: no name, no route, no TLS.
            _ if is_http(url) => MediaErrorKind::ServiceUnavailable,
            gst::ResourceError::NotFound => MediaErrorKind::InvalidRequest,
            _ => MediaErrorKind::InternalDeviceError,
        };
    }
    if cause.is::<gst::StreamError>() || cause.is::<gst::CoreError>() || cause.is::<gst::LibraryError>() {
        return MediaErrorKind::InternalDeviceError;
    }
    MediaErrorKind::Unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_follow_status_and_domain() {
        let resource = glib::Error::new(gst::ResourceError::NotFound, "no");
        let stream = glib::Error::new(gst::StreamError::Decode, "no");
        let (web, disk) = ("HTTP://h/x.mp3", "file:///x.mp3");
        assert_eq!(kind_of(&resource, Some(404), web), MediaErrorKind::InvalidRequest);
        assert_eq!(kind_of(&resource, Some(503), web), MediaErrorKind::InternalServerError);
        assert_eq!(kind_of(&resource, None, web), MediaErrorKind::ServiceUnavailable);
        assert_eq!(kind_of(&resource, None, disk), MediaErrorKind::InvalidRequest);
        assert_eq!(kind_of(&stream, None, web), MediaErrorKind::InternalDeviceError);
    }
}
