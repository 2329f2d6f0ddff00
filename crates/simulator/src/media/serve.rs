//! Owns the answers to `GET /media/NAME`: content types, Range (RFC 9110, section 14), and the names that fail.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use hyper::body::{Body, Frame, SizeHint};

use super::Tracks;

/// A picture of one grey pixel.
const COVER: &[u8] = &[
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, 0x49, 0x48, 0x44, 0x52, 0, 0, 0, 1, 0, 0,
    0, 1, 8, 0, 0, 0, 0, 0x3a, 0x7e, 0x9b, 0x55, 0, 0, 0, 0x0a, 0x49, 0x44, 0x41, 0x54, 0x78, 0x9c, 0x63,
    0x68, 0, 0, 0, 0x82, 0, 0x81, 0x77, 0xcd, 0x72, 0xb6, 0, 0, 0, 0, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42,
    0x60, 0x82,
];

/// Bytes a second of a `slow-` medium: half of what its MP3 needs.
const SLOW: usize = 12_000;
/// Pieces a second of a `slow-` medium.
const PIECES: usize = 10;

/// Between the last byte of a `cut-` medium and the break: an error at once would take those bytes with it.
const FLUSHED: Duration = Duration::from_millis(100);

/// How a body goes on the wire.
enum Pace {
    AtOnce,
    /// A beginning, then nothing for ever.
    Stalls,
    /// A beginning, then, once that has left, the connection breaks.
    Breaks(Pin<Box<tokio::time::Sleep>>),
    /// Little by little.
    Drips(Pin<Box<tokio::time::Sleep>>),
}

/// An HTTP/1.1 body.
pub(crate) struct Payload {
    data: Bytes,
    pace: Pace,
    length: u64,
}

impl Payload {
    pub(crate) fn new(data: impl Into<Bytes>) -> Self {
        let data = data.into();
        Self { length: data.len() as u64, data, pace: Pace::AtOnce }
    }

    fn take(&mut self, count: usize) -> Frame<Bytes> {
        let piece = self.data.split_to(count.min(self.data.len()));
        self.length = self.length.saturating_sub(piece.len() as u64);
        Frame::data(piece)
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let left = self.data.len();
        match &mut self.pace {
            Pace::Drips(sleep) if left > 0 => {
                ready!(sleep.as_mut().poll(context));
                let next = tokio::time::Instant::now() + Duration::from_secs(1) / PIECES as u32;
                sleep.as_mut().reset(next);
                Poll::Ready(Some(Ok(self.take(SLOW / PIECES))))
            }
            Pace::Breaks(sleep) if left > 0 => {
                sleep.as_mut().reset(tokio::time::Instant::now() + FLUSHED);
                Poll::Ready(Some(Ok(self.take(left))))
            }
            _ if left > 0 => Poll::Ready(Some(Ok(self.take(left)))),
            // Nothing will ever wake this: that is the stall. The connection's end drops it.
            Pace::Stalls => Poll::Pending,
            Pace::Breaks(sleep) => {
                ready!(sleep.as_mut().poll(context));
                Poll::Ready(Some(Err(std::io::Error::other("broken on purpose"))))
            }
            Pace::AtOnce | Pace::Drips(_) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_empty() && matches!(self.pace, Pace::AtOnce | Pace::Drips(_))
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
    tracks.note(name, headers);
    let slow = name.strip_prefix("slow-");
    let cut = name.strip_prefix("cut-");
    let mut response = find(tracks, slow.or(cut).unwrap_or(name), headers).await;
    let payload = response.body_mut();
    if slow.is_some() {
        payload.pace = Pace::Drips(Box::pin(tokio::time::sleep(Duration::ZERO)));
    }
    if cut.is_some() {
        // The length stays that of the whole.
        payload.data.truncate(payload.data.len() / 2);
        payload.pace = Pace::Breaks(Box::pin(tokio::time::sleep(FLUSHED)));
    }
    response
}

async fn find(tracks: &Tracks, name: &str, headers: &HeaderMap) -> Response<Payload> {
    match name {
        "404" => return text(StatusCode::NOT_FOUND, "no such track\n"),
        "500" => return text(StatusCode::INTERNAL_SERVER_ERROR, "broken on purpose\n"),
        "garbage" => return whole(garbage(), "audio/mpeg"),
        "stall" => return stall(tracks).await,
        "cover.png" => return whole(COVER, "image/png"),
        _ => {}
    }
    if let Some(words) = name.strip_prefix("say-").and_then(|name| name.strip_suffix(".mp3")) {
        return match tracks.speech(words).await {
            Ok(data) => ranged(data, "audio/mpeg", headers),
            Err(error) => failed(&error),
        };
    }
    if let Some(data) = tracks.segment(name).await {
        return ranged(data, "video/mp2t", headers);
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    match tracks.playlist(name, &format!("http://{host}/media")).await {
        Some(Ok((text, content_type))) => return whole(text, content_type),
        Some(Err(error)) => return failed(&error),
        None => {}
    }
    match tracks.track(name).await {
        None => text(StatusCode::NOT_FOUND, "no such track\n"),
        Some(Err(error)) => failed(&error),
        Some(Ok((data, format))) => ranged(data, format.content_type(), headers),
    }
}

fn failed(error: &crate::Error) -> Response<Payload> {
    tracing::error!(%error, "medium not made");
    text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n"))
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
            let length = data.len() as u64;
            let mut response = Response::new(Payload { data: beginning, pace: Pace::Stalls, length });
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
