//! Owns one TCP connection of a device (or of its LWA and Capabilities calls): TLS, HTTP/2, which request goes where,
//! age, faults that strike the whole connection, and the clean end. One task a connection, one more a request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{Method, Request};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::downchannel::{self, Down};
use crate::faults::take;
use crate::lwa::Bearer;
use crate::state::{Control, Downchannel, Shared};
use crate::transcript;
use crate::wire::Wire;
use crate::{emit, events, login, reply};

/// Longest TLS + HTTP/2 handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Between GOAWAY and the end of the downchannel.
const GRACE: Duration = Duration::from_secs(1);
/// Connections of one device remembered.
const MAX_CONNECTIONS: usize = 1000;

/// What the requests of one connection share.
pub(crate) struct Link {
    pub(crate) id: u64,
    pub(crate) shared: Arc<Shared>,
    pub(crate) control: mpsc::UnboundedSender<Control>,
    progress: Mutex<Progress>,
}

/// How far the opening sequence has come, and what is open.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Whose connection it is, once its downchannel was asked for.
    pub(crate) dsn: Option<String>,
    /// The downchannel's 200 was sent.
    pub(crate) open: Option<Instant>,
    pub(crate) verified: bool,
    pub(crate) synchronised: bool,
    pub(crate) events: u64,
    /// Streams of events whose response headers have not been sent.
    pub(crate) unanswered: Vec<u64>,
    /// All requests being served.
    pub(crate) streams: u32,
}

impl Link {
    /// The progress; plain data, good after a panic elsewhere too.
    pub(crate) fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a violation of this connection's device.
    pub(crate) fn violation(&self, subject: &str, what: impl Into<String>) {
        let dsn = self.progress().dsn.clone();
        self.shared.violation(dsn.as_deref(), self.id, subject, what);
    }

    /// Who the request's bearer token speaks for. Without a good one the request is answered 403 and `None` is given;
    /// only a missing header is a violation, since tokens may expire on their way.
    pub(crate) fn authorised(
        &self,
        request: &http::request::Parts,
        respond: &mut SendResponse<Bytes>,
    ) -> Option<String> {
        let header = reply::text(&request.headers, "authorization");
        let Some(token) = header.strip_prefix("Bearer ").filter(|token| !token.is_empty()) else {
            self.violation(request.uri.path(), "authorization: Bearer is missing");
            reply::refuse(respond, 403);
            return None;
        };
        let bearer = self.shared.lock().lwa.bearer(token, Instant::now());
        match bearer {
            Bearer::Valid(dsn) => {
                let owner = self.progress().dsn.clone();
                if owner.is_some_and(|owner| owner != dsn) {
                    self.violation(
                        request.uri.path(),
                        format!("the token of {dsn} on another device's connection"),
                    );
                    reply::refuse(respond, 403);
                    return None;
                }
                Some(dsn)
            }
            Bearer::Expired(_) | Bearer::Unknown => {
                tracing::info!(connection = self.id, path = request.uri.path(), "bad token refused");
                reply::refuse(respond, 403);
                None
            }
        }
    }
}

/// Serves one accepted socket to its end.
pub(crate) async fn serve(shared: Arc<Shared>, tls: TlsAcceptor, tcp: TcpStream) {
    // Events are small and must leave at once; failing that they are only late.
    let _ = tcp.set_nodelay(true);
    let (wire, grip) = Wire::new(tcp);
    let settings = shared.options.max_streams;
    let handshake = async {
        let stream = tls.accept(wire).await.ok()?;
        let mut builder = h2::server::Builder::new();
        builder
            .max_concurrent_streams(settings)
            .initial_window_size(1 << 20)
            .initial_connection_window_size(1 << 22);
        builder.handshake::<_, Bytes>(stream).await.ok()
    };
    let Ok(Some(mut h2)) = tokio::time::timeout(HANDSHAKE, handshake).await else {
        tracing::debug!("handshake failed");
        return;
    };
    let (control, mut controls) = mpsc::unbounded_channel();
    let link = Arc::new(Link {
        id: shared.next_connection(),
        shared: shared.clone(),
        control,
        progress: Mutex::default(),
    });
    let mut tasks = JoinSet::new();
    let age = tokio::time::sleep(shared.options.max_age.unwrap_or(Duration::from_secs(u32::MAX.into())));
    tokio::pin!(age);
    let mut aged = false;
    loop {
        tokio::select! {
            accepted = h2.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    let link = link.clone();
                    tasks.spawn(async move {
                        link.progress().streams += 1;
                        route(&link, request, respond).await;
                        link.progress().streams -= 1;
                    });
                }
                Some(Err(error)) => {
                    tracing::debug!(connection = link.id, %error, "connection failed");
                    break;
                }
                None => break,
            },
            Some(order) = controls.recv() => match order {
                Control::GoAway => { h2.graceful_shutdown(); end_later(&link, &mut tasks); }
                Control::TcpReset => { grip.arm_reset(); break; }
                Control::HalfClose => grip.half_close(),
                Control::Silence => grip.silence(),
                Control::Close => break,
            },
            Some(_) = tasks.join_next() => {}
            () = &mut age, if !aged => {
                aged = true;
                h2.graceful_shutdown();
                end_later(&link, &mut tasks);
            }
        }
    }
    // The sockets close here at the latest: tasks hold streams, never the connection itself.
    tasks.abort_all();
    drop(h2);
    let dsn = link.progress().dsn.clone();
    if let Some(dsn) = dsn {
        {
            let mut state = shared.lock();
            let device = state.device(&dsn);
            device.controls.remove(&link.id);
            device.downchannels.retain(|down| down.connection != link.id);
            if let Some(seen) = device.connections.get_mut(&link.id) {
                seen.downchannel = false;
                seen.closed = Some(Instant::now());
            }
        }
        shared.touch(&dsn);
    }
}

/// Ends the downchannel a moment after GOAWAY, as the service does with connections that are too old.
fn end_later(link: &Arc<Link>, tasks: &mut JoinSet<()>) {
    let link = link.clone();
    tasks.spawn(async move {
        tokio::time::sleep(GRACE).await;
        let dsn = link.progress().dsn.clone();
        let Some(dsn) = dsn else { return };
        let mut state = link.shared.lock();
        for down in state.device(&dsn).downchannels.iter().filter(|down| down.connection == link.id) {
            // A downchannel that is closed already needs no end.
            let _ = down.sender.send(Down::End);
        }
    });
}

async fn route(link: &Arc<Link>, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    if link.progress().streams > link.shared.options.max_streams {
        link.violation(&path, "more streams than allowed");
    }
    let lower = path.to_ascii_lowercase();
    match (&head.method, path.as_str()) {
        (&Method::GET, "/v20160207/directives") => open(link, &head, respond).await,
        (&Method::POST, "/v20160207/events") => events::serve(link, head, body, respond).await,
        (&Method::GET, "/ping") => ping(link, &head, respond).await,
        (&Method::PUT, "/v1/devices/@self/capabilities") => {
            login::capabilities(link, &head, body, respond).await
        }
        (&Method::POST, _) if lower.starts_with("/auth/o2/") => {
            login::lwa(link, &lower, &head, body, respond).await
        }
        (&Method::GET | &Method::POST, "/ap/oa") => login::page(link, &head, body, respond).await,
        (&Method::GET, "/user/profile") => login::profile(link, &head, respond),
        // A browser that shows `/ap/oa` asks by itself.
        (&Method::GET, "/favicon.ico") => reply::send(&mut respond, 404, None),
        _ => {
            link.violation(&path, format!("no such request: {} {path}", head.method));
            reply::send(&mut respond, 404, None);
        }
    }
}

async fn ping(link: &Link, head: &http::request::Parts, mut respond: SendResponse<Bytes>) {
    let Some(dsn) = link.authorised(head, &mut respond) else { return };
    let unanswered = {
        let mut state = link.shared.lock();
        let device = state.device(&dsn);
        device.counts.pings += 1;
        take(&mut device.armed.unanswered_pings)
    };
    link.shared.touch(&dsn);
    if unanswered {
        // Holding the stream open is the fault; it ends when the peer gives up.
        let _ = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
        return;
    }
    reply::send(&mut respond, 204, None);
}

/// Opens a downchannel and serves it to its end.
async fn open(link: &Arc<Link>, head: &http::request::Parts, mut respond: SendResponse<Bytes>) {
    let started = Instant::now();
    let Some(dsn) = link.authorised(head, &mut respond) else { return };
    let again = link.progress().open.is_some();
    link.progress().dsn = Some(dsn.clone());
    if again {
        link.violation("/v20160207/directives", "a second downchannel on one connection");
    }
    let Some((emitter, orders)) = answer_downchannel(link, &dsn, started, respond) else {
        link.shared.touch(&dsn);
        return;
    };
    tracing::info!(dsn, connection = link.id, "downchannel open");
    link.shared.touch(&dsn);
    let task = downchannel::serve(link.shared.clone(), dsn.clone(), link.id, emitter, orders);
    tokio::pin!(task);
    let Some(limit) = link.shared.options.synchronise_within else { return task.await };
    tokio::select! {
        () = &mut task => return,
        () = tokio::time::sleep(limit) => {}
    }
    if link.progress().synchronised {
        return task.await;
    }
    tracing::warn!(dsn, connection = link.id, "no SynchronizeState in time: cut");
    // The receiver lives as long as the connection, and so does this task.
    let _ = link.control.send(Control::Close);
}

/// Answers a downchannel request and, when that is 200, makes the connection known as its device's newest.
fn answer_downchannel(
    link: &Link,
    dsn: &str,
    started: Instant,
    mut respond: SendResponse<Bytes>,
) -> Option<(emit::Emitter, mpsc::UnboundedReceiver<Down>)> {
    let mut state = link.shared.lock();
    let device = state.device(dsn);
    device.controls.insert(link.id, link.control.clone());
    let refused = take(&mut device.armed.refuse);
    let status = device.armed.downchannel_status.pop_front();
    if refused {
        device.counts.refused_connects += 1;
        let _ = link.control.send(Control::TcpReset);
        return None;
    }
    if let Some(status) = status {
        device.counts.refused_connects += 1;
        reply::refuse(&mut respond, status);
        return None;
    }
    let boundary = emit::boundary();
    let response = reply::head(200, Some(&emit::content_type(&boundary)));
    // Noted before the bytes leave, or an event could arrive before its connection counts as open.
    link.progress().open = Some(Instant::now());
    let stream = respond.send_response(response, false).ok()?;
    let (sender, orders) = mpsc::unbounded_channel();
    device.counts.connects += 1;
    device.downchannels.push(Downchannel { connection: link.id, sender });
    let seen = transcript::Connection {
        id: link.id,
        opened: started,
        closed: None,
        synchronised: false,
        downchannel: true,
        events: 0,
    };
    device.connections.insert(link.id, seen);
    while device.connections.len() > MAX_CONNECTIONS {
        device.connections.pop_first();
    }
    Some((emit::Emitter::new(stream, &boundary), orders))
}
