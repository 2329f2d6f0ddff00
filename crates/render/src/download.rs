//! A whole URL, bounded in size and time, byte for byte: playlists, and assets to be played without the network.
//!
//! By the same GStreamer elements that streams are fetched with, so that proxies, redirects, TLS and the classes of
//! errors are the same. Runs on the caller's thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use antiphon_domain::media::{MediaError, MediaErrorKind, without_secrets};
use antiphon_endpoint::Clock;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use crate::source::failure;
use crate::source::pipeline::{internal, set_up_http};

/// How often a stop is looked for.
const LOOK: gst::ClockTime = gst::ClockTime::from_mseconds(200);

/// What is to be fetched, and how much of it.
pub(crate) struct Download<'a> {
    pub url: &'a str,
    pub headers: &'a [(String, String)],
    pub user_agent: &'a str,
    /// The most bytes.
    pub most: u64,
    /// The most time for all of it.
    pub time: Duration,
}

/// What was fetched.
pub(crate) struct Downloaded {
    pub bytes: u64,
    /// Where it was in the end, after redirects, where that is known.
    pub url: Option<String>,
}

/// Fetches all of it, giving each part to `take`.
pub(crate) fn run(
    order: &Download<'_>,
    clock: &dyn Clock,
    stop: &AtomicBool,
    take: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
) -> Result<Downloaded, MediaError> {
    let source = gst::Element::make_from_uri(gst::URIType::Src, order.url, None).map_err(|error| {
        let message = format!("{:?}: {error}", without_secrets(order.url));
        MediaError { kind: MediaErrorKind::InvalidRequest, message }
    })?;
    set_up_http(&source, order.headers, order.user_agent, order.time.as_secs().max(1));
    let sink = gst_app::AppSink::builder().sync(false).max_buffers(16).build();
    let pipeline = gst::Pipeline::new();
    pipeline.add_many([&source, sink.upcast_ref()]).map_err(internal)?;
    source.link(&sink).map_err(internal)?;
    let fetched = receive(order, &pipeline, &source, &sink, clock, stop, take);
    // A source that does not stop has nobody left to say so to.
    let _ = pipeline.set_state(gst::State::Null);
    fetched
}

fn receive(
    order: &Download<'_>,
    pipeline: &gst::Pipeline,
    source: &gst::Element,
    sink: &gst_app::AppSink,
    clock: &dyn Clock,
    stop: &AtomicBool,
    take: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
) -> Result<Downloaded, MediaError> {
    let bus = pipeline.bus().ok_or_else(|| failure::device("a pipeline without a bus"))?;
    let began = clock.now();
    // The cause of a failure is on the bus.
    let _ = pipeline.set_state(gst::State::Playing);
    let (mut bytes, mut size, mut url) = (0u64, None, None);
    loop {
        let sample = sink.try_pull_sample(LOOK);
        if let Some(error) = bus.pop_filtered(&[gst::MessageType::Error])
            && let gst::MessageView::Error(error) = error.view()
        {
            return Err(failure::from_bus(error, order.url));
        }
        if stop.load(Ordering::Acquire) {
            return Err(failure::device("cancelled"));
        }
        if clock.now().since(began) > order.time {
            return Err(failure::silence(order.url, order.time.as_secs()));
        }
        let Some(sample) = sample else {
            if !sink.is_eos() {
                continue;
            }
            if size.is_some_and(|size| bytes < size) {
                return Err(MediaError {
                    kind: MediaErrorKind::ServiceUnavailable,
                    message: "the server broke off".into(),
                });
            }
            return Ok(Downloaded { bytes, url });
        };
        if bytes == 0 {
            size = source.query_duration::<gst::format::Bytes>().map(|size| *size);
            url = where_from(source);
        }
        let Some(map) = sample.buffer().map(gst::BufferRef::map_readable).and_then(Result::ok) else {
            continue;
        };
        bytes += map.len() as u64;
        take(&map).map_err(|error| failure::device(format!("it cannot be kept: {error}")))?;
        if bytes > order.most || size.is_some_and(|size| size > order.most) {
            return Err(MediaError {
                kind: MediaErrorKind::InvalidRequest,
                message: format!("it is larger than {} bytes", order.most),
            });
        }
    }
}

/// Where a source was sent in the end.
fn where_from(source: &gst::Element) -> Option<String> {
    let mut query = gst::query::Uri::new();
    if !source.query(&mut query) {
        return None;
    }
    query.redirection().0.or_else(|| query.uri()).map(|url| url.to_string())
}
