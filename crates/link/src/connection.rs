//! The link's task: owns the session, the tokens, the HTTP/2 connections and the calls beside them, and is driven by all of
//! them, by its timer and by the commands of its handles.
//!
//! Everything is polled from one task: a directive is told in the very pass that read it, and an event posted in
//! answer is written in the next.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use antiphon_avs::message::StreamId;
use antiphon_avs::multipart::Limits;
use antiphon_avs::session::{ConnId, Identity, Input, Secret, Session, SessionConfig, State};
use antiphon_domain::{HubTime, SpeakerId};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Sleep};

use crate::authorization::LoginError;
use crate::calls::{Calls, Done};
use crate::context::Clients;
use crate::credentials::Client;
use crate::event::{LinkState, LoginReason};
use crate::handle::{Command, LinkStart, Persist, Sink};
use crate::login::Retiring;
use crate::metrics::LinkMetrics;
use crate::tokens::{In, Tokens};
use crate::upload::Upload;
use crate::wire::{News, Wire};
use crate::{LinkConfig, LinkContext, LinkError, connector};

/// Streams at a time (AVS Device SDK).
const MAX_STREAMS: usize = 10;

/// Events kept while there is no connection.
const MAX_WAITING: usize = 64;

/// How long the last events may take at the end.
pub(crate) const FAREWELL: Duration = Duration::from_secs(1);

/// One speaker's link.
pub(crate) struct Link {
    pub(crate) context: Arc<LinkContext>,
    pub(crate) clients: Clients,
    pub(crate) config: LinkConfig,
    pub(crate) speaker: SpeakerId,
    pub(crate) sink: Sink,
    pub(crate) persist: Persist,
    pub(crate) metrics: LinkMetrics,
    pub(crate) session_config: SessionConfig,
    pub(crate) session: Session,
    pub(crate) tokens: Tokens,
    /// Why a person is needed, if so.
    pub(crate) needs_login: Option<LoginReason>,
    pub(crate) calls: Calls,
    pub(crate) wires: Vec<Wire>,
    /// Audio of events that wait for their turn, by messageId.
    pub(crate) uploads: Vec<(String, Upload)>,
    /// Who waits for the end of a login.
    pub(crate) authorizing: Option<oneshot::Sender<Result<(), LoginError>>>,
    pub(crate) retiring: Option<Retiring>,
    /// Whose account this is was asked, and not in vain so far.
    pub(crate) account_known: bool,
    /// A connection ended since the state was told.
    pub(crate) conns_changed: bool,
    /// Gateways of connections that are being made.
    pub(crate) making: Vec<(ConnId, String)>,
    pub(crate) inbox: mpsc::Receiver<Command>,
    pub(crate) timer: Pin<Box<Sleep>>,
    pub(crate) armed: Option<HubTime>,
    pub(crate) session_wake: Option<HubTime>,
    pub(crate) tokens_wake: Option<HubTime>,
    pub(crate) session_state: State,
    /// Requests that could not be sent and tokens that were refused, found while draining.
    pub(crate) unsent: Vec<StreamId>,
    pub(crate) refused: Vec<Secret>,
    pub(crate) now: HubTime,
    pub(crate) told: Option<LinkState>,
    pub(crate) was_connected: bool,
    pub(crate) pinged: HubTime,
    /// Shutdown was asked for; it comes when the last events are answered, at this moment at the latest.
    pub(crate) closing: Option<HubTime>,
    pub(crate) done: bool,
}

impl Link {
    pub(crate) fn new(
        context: Arc<LinkContext>,
        start: LinkStart,
        sink: Sink,
        persist: Persist,
        inbox: mpsc::Receiver<Command>,
    ) -> Result<Self, LinkError> {
        let LinkStart {
            speaker,
            config,
            friendly_name,
            capabilities,
            refresh_token,
            saved_gateway,
            declared,
        } = start;
        let own = Client { id: config.client_id.clone(), secret: config.client_secret.clone() };
        let clients = context.clients(config.ca_file.as_deref())?;
        let session_config = SessionConfig {
            gateway: config.gateway.clone(),
            allowed_gateways: config.allowed_gateways.clone(),
            stack: config.stack,
            identity: Identity {
                client_id: config.client_id.clone(),
                product_id: config.product_id.clone(),
                serial_number: config.serial_number.clone(),
                friendly_name,
                capabilities,
            },
            max_streams: MAX_STREAMS,
            max_waiting: MAX_WAITING,
            limits: Limits::default(),
            timers: config.timers.clone(),
        };
        let now = context.now();
        let _runtime = context.runtime().enter();
        Ok(Self {
            metrics: context.metrics().link(&speaker),
            session: Session::new(
                session_config.clone(),
                saved_gateway.as_deref(),
                declared.as_deref(),
                rand::random(),
            ),
            tokens: Tokens::new(config.token_timers.clone(), own, refresh_token, now),
            timer: Box::pin(tokio::time::sleep_until(Instant::now())),
            context: context.clone(),
            clients,
            config,
            speaker,
            sink,
            persist,
            session_config,
            needs_login: None,
            calls: Calls::default(),
            wires: Vec::new(),
            uploads: Vec::new(),
            authorizing: None,
            retiring: None,
            account_known: false,
            conns_changed: false,
            making: Vec::new(),
            inbox,
            armed: None,
            // Both machines are looked at in the first pass.
            session_wake: Some(HubTime::EPOCH),
            tokens_wake: Some(HubTime::EPOCH),
            session_state: State::WaitingForToken,
            unsent: Vec::new(),
            refused: Vec::new(),
            now,
            told: None,
            was_connected: false,
            pinged: now,
            closing: None,
            done: false,
        })
    }

    /// Runs until shut down.
    pub(crate) async fn run(mut self) {
        std::future::poll_fn(|cx| self.poll(cx)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut news = Vec::new();
        loop {
            self.now = self.context.now();
            let mut progress = self.take_commands(cx);
            while let Some(done) = self.calls.poll(cx) {
                self.on_done(done);
                progress = true;
            }
            self.fill_uploads(cx);
            progress |= self.poll_wires(cx, &mut news);
            progress |= self.settle();
            progress |= self.check_time(cx);
            let idle = !self.session.is_delivering() && self.tokens.is_settled();
            if self.closing.is_some_and(|limit| limit <= self.now || idle) {
                self.done = true;
                self.inbox.close();
                self.feed(Input::Shutdown);
                return Poll::Ready(());
            }
            if !progress {
                return Poll::Pending;
            }
        }
    }

    fn take_commands(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progress = false;
        while self.closing.is_none()
            && let Poll::Ready(command) = self.inbox.poll_recv(cx)
        {
            progress = true;
            match command {
                Some(Command::Post(event, audio)) => {
                    if let Some(audio) = audio {
                        self.uploads.push((event.header.message_id.clone(), Upload::new(audio)));
                    }
                    self.feed(Input::Post(*event));
                }
                Some(Command::Begin(kind, redirect_uri, reply)) => {
                    let request = self.tokens.requests.begin(&self.config, kind, redirect_uri, self.now);
                    // Who asked has gone, maybe.
                    let _ = reply.send(request);
                }
                Some(Command::Authorize(answer, reply)) => self.authorize(*answer, reply),
                Some(Command::Redeclare(capabilities)) => {
                    self.session_config.identity.capabilities = capabilities.clone();
                    self.feed(Input::Redeclare(capabilities));
                }
                Some(Command::Retire) => self.retire(),
                Some(Command::Synchronize(event)) => self.feed(Input::Synchronize(*event)),
                Some(Command::Hurry) => self.feed(Input::Hurry),
                Some(Command::Login) => self.feed_tokens(In::Login),
                Some(Command::Logout) => self.feed_tokens(In::Logout),
                Some(Command::Shutdown) | None => {
                    self.closing.get_or_insert(self.now + FAREWELL);
                    return true;
                }
            }
        }
        progress
    }

    fn on_done(&mut self, done: Done) {
        match done {
            Done::Tokens(input) => self.feed_tokens(input),
            Done::Profile(answer) => self.on_profile(answer),
            Done::Declared(result) => self.feed(Input::Declared(result)),
            Done::Connected(id, result) => {
                let Some(at) = self.making.iter().position(|(making, _)| *making == id) else { return };
                let (_, gateway) = self.making.swap_remove(at);
                match result {
                    Ok(established) => {
                        self.wires.push(Wire::new(id, gateway, established));
                        self.feed(Input::Connected(id));
                    }
                    Err(error) => {
                        let kind = connector::kind(&error);
                        tracing::debug!(speaker = %self.speaker, kind, %error, "no connection");
                        self.feed(Input::Closed(id));
                    }
                }
            }
        }
    }

    fn poll_wires(&mut self, cx: &mut Context<'_>, news: &mut Vec<(StreamId, News)>) -> bool {
        let mut progress = false;
        let ids: Vec<ConnId> = self.wires.iter().map(|w| w.id).collect();
        for id in ids {
            let Some(wire) = self.wires.iter_mut().find(|w| w.id == id) else { continue };
            let polled = wire.poll(cx);
            // The moment at which the bytes just taken were there.
            self.now = self.context.now();
            if let Some(limit) = polled.limit {
                self.feed(Input::StreamLimit(id, limit));
            }
            if polled.pong {
                self.metrics.ping_rtt.observe(self.now.since(self.pinged).as_secs_f64());
                self.feed(Input::Pong(id));
                progress = true;
            }
            progress |= self.poll_streams(id, cx, news, polled.closed);
            if polled.going_away {
                self.feed(Input::GoAway(id));
                progress = true;
            }
            if polled.closed {
                self.conns_changed = true;
                self.wires.retain(|w| w.id != id);
                self.feed(Input::Closed(id));
                progress = true;
            }
        }
        progress
    }

    /// Takes what the streams of a connection have; all of it when the connection is `closed`.
    fn poll_streams(
        &mut self,
        id: ConnId,
        cx: &mut Context<'_>,
        news: &mut Vec<(StreamId, News)>,
        closed: bool,
    ) -> bool {
        let mut progress = false;
        loop {
            let Some(wire) = self.wires.iter_mut().find(|w| w.id == id) else { return progress };
            wire.poll_streams(cx, news);
            if news.is_empty() {
                return progress;
            }
            progress = true;
            for (stream, what) in news.drain(..) {
                self.on_news(id, stream, what);
            }
            if !closed {
                // Written answers first, then more of the same.
                return true;
            }
        }
    }

    fn on_news(&mut self, conn: ConnId, stream: StreamId, what: News) {
        match what {
            News::Headers { status, content_type, request_id } => {
                tracing::trace!(speaker = %self.speaker, stream = stream.0, status, ?request_id, "answer");
                self.feed(Input::Headers { stream, status, content_type });
            }
            News::Data(bytes) => {
                let mut credit = bytes.len();
                self.session.handle_input(Input::Data { stream, bytes }, self.now);
                self.drain(Some((conn, &mut credit)));
                // What no attachment keeps is read: the peer may send as much again.
                let wire = self.wires.iter_mut().find(|w| w.id == conn);
                if let Some((mut flow, _)) = wire.and_then(|w| w.flow(stream)) {
                    let _ = flow.release_capacity(credit);
                }
            }
            News::Sent { bytes, done } => {
                self.metrics.uploaded.inc_by(bytes as u64);
                self.feed(if done { Input::Uploaded(stream) } else { Input::Sent(stream) });
            }
            News::Overrun => {
                tracing::warn!(speaker = %self.speaker, "speech is captured faster than it is taken; given up");
                if let Some(wire) = self.wires.iter_mut().find(|w| w.id == conn) {
                    wire.cancel(stream);
                }
                self.feed(Input::Reset { stream, unprocessed: false });
            }
            News::End => self.feed(Input::End(stream)),
            News::Reset { unprocessed } => self.feed(Input::Reset { stream, unprocessed }),
        }
    }

    pub(crate) fn feed(&mut self, input: Input) {
        self.session.handle_input(input, self.now);
        self.drain(None);
    }

    pub(crate) fn feed_tokens(&mut self, input: In) {
        self.tokens.handle(input, self.now);
        self.drain_tokens();
    }
}
