//! One HTTP/2 connection and its streams, polled from the link's task. Owns no decisions: it turns requests into frames and
//! what comes back into `News`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use antiphon_avs::message::StreamId;
use antiphon_avs::session::{ConnId, Request};
use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{FlowControl, Ping, PingPong, Reason, RecvStream, SendStream};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};

use crate::connector::Established;
use crate::upload::{Progress, Upload};

/// What came over a connection.
pub(crate) enum News {
    Headers {
        status: u16,
        content_type: Option<String>,
        request_id: Option<String>,
    },
    Data(Bytes),
    End,
    Reset {
        unprocessed: bool,
    },
    /// So many bytes of audio were sent; with `done`, also the end of the body.
    Sent {
        bytes: usize,
        done: bool,
    },
    /// More audio is captured than the peer takes.
    Overrun,
}

/// The receiving half of a stream.
enum Incoming {
    Response(ResponseFuture),
    Body(RecvStream),
}

struct Stream {
    id: StreamId,
    outgoing: SendStream<Bytes>,
    upload: Option<Upload>,
    incoming: Incoming,
    /// Bytes of attachments that somebody still keeps.
    held: Arc<AtomicUsize>,
}

/// A connection.
pub(crate) struct Wire {
    pub(crate) id: ConnId,
    gateway: String,
    established: Box<Established>,
    pings: Option<PingPong>,
    streams: Vec<Stream>,
    limit: usize,
    going_away: bool,
    finished: bool,
}

/// What `Wire::poll` found about the connection itself.
#[derive(Default)]
pub(crate) struct Polled {
    pub(crate) limit: Option<usize>,
    pub(crate) going_away: bool,
    pub(crate) pong: bool,
    pub(crate) closed: bool,
}

impl Wire {
    pub(crate) fn new(id: ConnId, gateway: String, mut established: Box<Established>) -> Self {
        let pings = established.connection.ping_pong();
        Self {
            id,
            gateway,
            established,
            pings,
            streams: Vec::new(),
            limit: 0,
            going_away: false,
            finished: false,
        }
    }

    /// Reads and writes what the socket allows. `closed` is said once; streams may still hold what came before.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Polled {
        let mut polled = Polled::default();
        if self.finished {
            return polled;
        }
        if Pin::new(&mut self.established.connection).poll(cx).is_ready() {
            self.finished = true;
            polled.closed = true;
        }
        let limit = self.established.connection.max_concurrent_send_streams();
        if limit != self.limit {
            self.limit = limit;
            polled.limit = Some(limit);
        }
        // h2 tells of a GOAWAY by refusing new streams.
        if !self.going_away
            && !self.finished
            && matches!(self.established.send.poll_ready(cx), Poll::Ready(Err(_)))
        {
            self.going_away = true;
            polled.going_away = true;
        }
        if let Some(pings) = &mut self.pings
            && let Poll::Ready(Ok(_)) = pings.poll_pong(cx)
        {
            polled.pong = true;
        }
        polled
    }

    /// Sends what there is to send, and collects at most one piece of news of each stream beside.
    pub(crate) fn poll_streams(&mut self, cx: &mut Context<'_>, news: &mut Vec<(StreamId, News)>) {
        let mut index = 0;
        while index < self.streams.len() {
            let stream = &mut self.streams[index];
            let id = stream.id;
            if let Some(what) = stream.poll_upload(cx) {
                news.push((id, what));
            }
            match stream.poll(cx) {
                Poll::Pending => index += 1,
                Poll::Ready(what) => {
                    if matches!(what, News::End | News::Reset { .. }) {
                        self.streams.swap_remove(index).close(&what);
                    } else {
                        index += 1;
                    }
                    news.push((id, what));
                }
            }
        }
    }

    /// Sends a request; whatever goes wrong with that at once means that the server never saw it.
    /// The body stays open behind its bytes as long as `upload` goes on.
    pub(crate) fn request(
        &mut self,
        id: StreamId,
        request: Request,
        upload: Option<Upload>,
    ) -> Result<(), ()> {
        let head = self.head(&request).ok_or(())?;
        let body = request.body.map(|(_, bytes)| bytes);
        let (response, mut outgoing) =
            self.established.send.send_request(head, body.is_none()).map_err(drop)?;
        if let Some(bytes) = body {
            // What is not audio is small and whole; h2 keeps what the peer's window does not take yet.
            outgoing.send_data(bytes, upload.is_none()).map_err(drop)?;
        }
        let incoming = Incoming::Response(response);
        self.streams.push(Stream { id, outgoing, upload, incoming, held: Arc::default() });
        Ok(())
    }

    fn head(&self, request: &Request) -> Option<http::Request<()>> {
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", request.token.expose())).ok()?;
        bearer.set_sensitive(true);
        let method = if request.body.is_some() { http::Method::POST } else { http::Method::GET };
        let mut head = http::Request::builder()
            .method(method)
            .uri(format!("{}{}", self.gateway, request.path))
            .version(http::Version::HTTP_2)
            .header(AUTHORIZATION, bearer);
        if let Some((content_type, _)) = &request.body {
            head = head.header(CONTENT_TYPE, content_type);
        }
        head.body(()).ok()
    }

    pub(crate) fn cancel(&mut self, id: StreamId) {
        if let Some(at) = self.streams.iter().position(|s| s.id == id) {
            self.streams.swap_remove(at).outgoing.send_reset(Reason::CANCEL);
        }
    }

    pub(crate) fn ping(&mut self) {
        if let Some(pings) = &mut self.pings {
            // Refused while one is under way; its answer serves both.
            let _ = pings.send_ping(Ping::opaque());
        }
    }

    /// The window of a stream and the count of what is held of it.
    pub(crate) fn flow(&mut self, id: StreamId) -> Option<(FlowControl, Arc<AtomicUsize>)> {
        let stream = self.streams.iter_mut().find(|s| s.id == id)?;
        match &mut stream.incoming {
            Incoming::Body(body) => Some((body.flow_control().clone(), stream.held.clone())),
            Incoming::Response(_) => None,
        }
    }

    /// Streams that stand still because we hold them back.
    pub(crate) fn held_back(&self) -> impl Iterator<Item = StreamId> + '_ {
        self.streams.iter().filter(|s| s.held.load(Ordering::Relaxed) > 0).map(|s| s.id)
    }
}

impl Stream {
    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Option<News> {
        let upload = self.upload.as_mut()?;
        if upload.fill(cx).is_err() {
            self.upload = None;
            return Some(News::Overrun);
        }
        match upload.send(cx, &mut self.outgoing) {
            Progress::None => None,
            Progress::Sent { bytes, done } => {
                if done {
                    self.upload = None;
                }
                Some(News::Sent { bytes, done })
            }
            // The receiving half says why.
            Progress::Gone => {
                self.upload = None;
                None
            }
        }
    }

    /// Nothing more comes. A body that is still open is ended: properly if the peer takes that, else by a reset.
    fn close(mut self, how: &News) {
        if let Some(mut upload) = self.upload.take()
            && matches!(how, News::End)
            && !upload.finish(&mut self.outgoing)
        {
            // RFC 9113 8.1: the answer did not need the rest.
            self.outgoing.send_reset(Reason::CANCEL);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<News> {
        match &mut self.incoming {
            Incoming::Response(response) => {
                let response = match ready!(Pin::new(response).poll(cx)) {
                    Ok(response) => response,
                    Err(error) => return Poll::Ready(torn(&error)),
                };
                let (head, body) = response.into_parts();
                let text = |name: &str| head.headers.get(name)?.to_str().ok().map(str::to_owned);
                let content_type = text("content-type");
                let request_id = text("x-amzn-requestid");
                self.incoming = Incoming::Body(body);
                Poll::Ready(News::Headers { status: head.status.as_u16(), content_type, request_id })
            }
            Incoming::Body(body) => match ready!(body.poll_data(cx)) {
                Some(Ok(bytes)) => Poll::Ready(News::Data(bytes)),
                // RFC 9113 8.1: the answer is complete, and the rest of the request is not wanted.
                Some(Err(error)) if error.is_reset() && error.reason() == Some(Reason::NO_ERROR) => {
                    Poll::Ready(News::End)
                }
                Some(Err(error)) => Poll::Ready(torn(&error)),
                None => Poll::Ready(News::End),
            },
        }
    }
}

fn torn(error: &h2::Error) -> News {
    // RFC 9113 8.7: REFUSED_STREAM, and a GOAWAY below this stream, say that nothing was processed.
    let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    News::Reset { unprocessed: refused || (error.is_go_away() && error.is_remote()) }
}
