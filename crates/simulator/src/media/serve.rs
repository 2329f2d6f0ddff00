//! Owns the answers to `GET /media/NAME`: content types, Range (RFC 9110, section 14), and the names that fail.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use hyper::body::{Body, Frame, SizeHint};

use super::Tracks;

/// An HTTP/1.1 body: all at once, or a beginning and then nothing for ever.
pub(crate) struct Payload {
    data: Option<Bytes>,
    stalls: bool,
    length: u64,
}

impl Payload {
    pub(crate) fn new(data: impl Into<Bytes>) -> Self {
        let data = data.into();
        Self { length: data.len() as u64, data: Some(data).filter(|data| !data.is_empty()), stalls: false }
    }

    fn stalling(data: Bytes, length: u64) -> Self {
        Self { data: Some(data), stalls: true, length }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.data.take() {
            Some(data) => {
                self.length = self.length.saturating_sub(data.len() as u64);
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            // Nothing will ever wake this: that is the stall. The connection's end drops it.
            None if self.stalls => Poll::Pending,
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && !self.stalls
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}

/// A short text answer.
pub(crate) fn text(status: StatusCode, text: impl Into<String>) -> Response<Payload> {
    let mut response = Response::new(Payload::new(text.into()));
    *response.status_mut() = status;
    set(response.headers_mut(), header::CONTENT_TYPE, "text/plain; charset=utf-8");
    response
}

/// Answers for `/media/NAME`.
pub(crate) async fn serve(tracks: &Tracks, name: &str, headers: &HeaderMap) -> Response<Payload> {
    match name {
        "404" => return text(StatusCode::NOT_FOUND, "no such track\n"),
        "500" => return text(StatusCode::INTERNAL_SERVER_ERROR, "broken on purpose\n"),
        "garbage" => return whole(garbage(), "audio/mpeg"),
        "stall" => return stall(tracks).await,
        _ => {}
    }
    match tracks.track(name).await {
        None => text(StatusCode::NOT_FOUND, "no such track\n"),
        Some(Err(error)) => {
            tracing::error!(%error, "track not made");
            text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n"))
        }
        Some(Ok((data, format))) => ranged(data, format.content_type(), headers),
    }
}

fn ranged(data: Bytes, content_type: &str, headers: &HeaderMap) -> Response<Payload> {
    let asked = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let length = data.len() as u64;
    match asked.map_or(Range::Whole, |text| range(text, length)) {
        Range::Whole => whole(data, content_type),
        Range::Part(first, last) => {
            // Both ends are below the length of data that is in memory.
            let mut response = whole(data.slice(first as usize..=last as usize), content_type);
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            set(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes {first}-{last}/{length}"));
            response
        }
        Range::Outside => {
            let mut response = text(StatusCode::RANGE_NOT_SATISFIABLE, "");
            set(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{length}"));
            response
        }
    }
}

fn whole(data: impl Into<Bytes>, content_type: &str) -> Response<Payload> {
    let mut response = Response::new(Payload::new(data));
    set(response.headers_mut(), header::CONTENT_TYPE, content_type);
    set(response.headers_mut(), header::ACCEPT_RANGES, "bytes");
    response
}

async fn stall(tracks: &Tracks) -> Response<Payload> {
    match tracks.track("tone-440.mp3").await {
        Some(Ok((data, format))) => {
            let beginning = data.slice(..data.len() / 3);
            let mut response = Response::new(Payload::stalling(beginning, data.len() as u64));
            set(response.headers_mut(), header::CONTENT_TYPE, format.content_type());
            response
        }
        Some(Err(error)) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        None => text(StatusCode::NOT_FOUND, "no such track\n"),
    }
}

/// 64 KiB without an MPEG frame in it: no byte is 0xFF.
fn garbage() -> Vec<u8> {
    (0..65_536u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8 & 0x7f).collect()
}

fn set(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = http::HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Range {
    Whole,
    /// First and last byte, both included.
    Part(u64, u64),
    Outside,
}

/// Reads a Range header; several ranges or another unit are ignored, as the RFC allows.
fn range(text: &str, length: u64) -> Range {
    let Some((first, last)) = text.trim().strip_prefix("bytes=").and_then(|range| range.split_once('-'))
    else {
        return Range::Whole;
    };
    let last_byte = length.saturating_sub(1);
    match (first.trim().parse::<u64>(), last.trim()) {
        (Ok(first), "") if first < length => Range::Part(first, last_byte),
        (Ok(_), "") => Range::Outside,
        (Ok(first), last) => match last.parse::<u64>() {
            Ok(last) if first <= last && first < length => Range::Part(first, last.min(last_byte)),
            Ok(last) if first <= last => Range::Outside,
            _ => Range::Whole,
        },
        (Err(_), last) if first.trim().is_empty() => match last.parse::<u64>() {
            Ok(0) => Range::Outside,
            Ok(_) if length == 0 => Range::Outside,
            Ok(count) => Range::Part(length.saturating_sub(count), last_byte),
            Err(_) => Range::Whole,
        },
        (Err(_), _) => Range::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges() {
        assert_eq!(range("bytes=0-", 10), Range::Part(0, 9));
        assert_eq!(range("bytes=2-3", 10), Range::Part(2, 3));
        assert_eq!(range("bytes=8-99", 10), Range::Part(8, 9));
        assert_eq!(range("bytes=-3", 10), Range::Part(7, 9));
        assert_eq!(range("bytes=-30", 10), Range::Part(0, 9));
        assert_eq!(range("bytes=10-", 10), Range::Outside);
        assert_eq!(range("bytes=-0", 10), Range::Outside);
        assert_eq!(range("bytes=3-2", 10), Range::Whole);
        assert_eq!(range("bytes=1-2,4-5", 10), Range::Whole);
        assert_eq!(range("lines=1-2", 10), Range::Whole);
    }

    proptest! {
        #[test]
        fn parts_lie_inside(text in "bytes=[0-9]{0,21}-[0-9]{0,21}", length in 0u64..1000) {
            if let Range::Part(first, last) = range(&text, length) {
                prop_assert!(first <= last && last < length);
            }
        }
    }
}
