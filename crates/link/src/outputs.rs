//! What the link's machines want done: the second half of `connection`, split off for length.

use std::future::Future;
use std::task::Context;

use antiphon_avs::session::{ConnId, EventOutcome, Input, Output, State, WaitReason, capabilities_body};
use antiphon_domain::HubTime;
use tokio::time::Instant;

use crate::calls::Done;
use crate::connection::Link;
use crate::event::{Chunk, LinkEvent, LinkState};
use crate::tokens::{In, Out};
use crate::{capabilities, connector, lwa};

impl Link {
    /// Performs what the session wants. `data` is the connection whose bytes were just given to it, and how many of them
    /// no attachment has taken.
    pub(crate) fn drain(&mut self, mut data: Option<(ConnId, &mut usize)>) {
        loop {
            let told = match self.session.poll_output() {
                Output::Wait(at) => {
                    self.session_wake = at;
                    return;
                }
                Output::Connect(id, gateway) => {
                    self.metrics.connects.inc();
                    self.making.push((id, gateway.clone()));
                    let tls = self.clients.tls.clone();
                    let call = connector::connect(tls, gateway);
                    self.calls.connect(id, async move { Done::Connected(id, call.await.map(Box::new)) });
                    continue;
                }
                Output::Request(id, stream, request) => {
                    let wire = self.wires.iter_mut().find(|w| w.id == id);
                    if wire.is_none_or(|wire| wire.request(stream, request).is_err()) {
                        // Answered outside of this loop: the session is being drained.
                        self.unsent.push(stream);
                    }
                    continue;
                }
                Output::Cancel(stream) => {
                    for wire in &mut self.wires {
                        wire.cancel(stream);
                    }
                    continue;
                }
                Output::Close(id) => {
                    self.making.retain(|(making, _)| *making != id);
                    self.calls.cancel(id);
                    self.wires.retain(|w| w.id != id);
                    continue;
                }
                Output::Liveness(id) => {
                    self.pinged = self.now;
                    if let Some(wire) = self.wires.iter_mut().find(|w| w.id == id) {
                        wire.ping();
                    }
                    continue;
                }
                Output::Declare(token) => {
                    let body = capabilities_body(&self.session_config.identity);
                    let call = capabilities::declare(
                        self.clients.http.clone(),
                        self.config.capabilities.clone(),
                        token,
                        body,
                    );
                    self.calls.add(async move { Done::Declared(call.await) });
                    continue;
                }
                Output::TokenRefused(token) => {
                    self.refused.push(token);
                    continue;
                }
                Output::Fault(fault) => {
                    self.metrics.faults.inc();
                    tracing::debug!(speaker = %self.speaker, ?fault, "part skipped");
                    continue;
                }
                Output::State(state) => {
                    self.session_state = state;
                    self.tell_state();
                    continue;
                }
                Output::Attachment { stream, content_id, bytes } => {
                    let Some(chunk) = self.chunk(&mut data, stream, bytes) else { continue };
                    LinkEvent::Attachment { stream, content_id, chunk }
                }
                Output::AttachmentEnded { stream, content_id, complete } => {
                    LinkEvent::AttachmentEnded { stream, content_id, complete }
                }
                Output::WantSynchronizeState => LinkEvent::WantSynchronizeState,
                Output::Directive(directive) => {
                    self.metrics.directives.inc();
                    LinkEvent::Directive { directive, received: self.now }
                }
                Output::Unparsable { raw, description } => {
                    self.metrics.faults.inc();
                    LinkEvent::Unparsable { raw, description }
                }
                Output::StreamEnded(stream) => LinkEvent::StreamEnded(stream),
                Output::Outcome { message_id, namespace, name, outcome } => {
                    self.metrics.event(word(&outcome));
                    LinkEvent::EventOutcome { message_id, namespace, name, outcome }
                }
                Output::GatewayChanged(gateway) => LinkEvent::GatewayChanged(gateway),
            };
            (self.sink)(told);
        }
    }

    /// Wraps bytes of an attachment so that their window opens again when they are dropped.
    fn chunk(
        &mut self,
        data: &mut Option<(ConnId, &mut usize)>,
        stream: antiphon_avs::message::StreamId,
        bytes: bytes::Bytes,
    ) -> Option<Chunk> {
        let (conn, left) = data.as_mut()?;
        let wire = self.wires.iter_mut().find(|w| w.id == *conn)?;
        let (flow, held) = wire.flow(stream)?;
        // Bytes held back from an earlier frame were released with it.
        let credit = bytes.len().min(**left);
        **left -= credit;
        Some(Chunk::new(bytes, credit, flow, held))
    }

    /// Performs what the tokens want.
    pub(crate) fn drain_tokens(&mut self) {
        let http = || self.clients.http.clone();
        let config = || self.config.clone();
        let mut inputs = Vec::new();
        loop {
            match self.tokens.poll() {
                Out::Wait(at) => {
                    self.tokens_wake = at;
                    break;
                }
                Out::AskCodePair => {
                    let call = lwa::code_pair(http(), config());
                    self.calls.add(async move { Done::Tokens(In::CodePair(call.await)) });
                }
                Out::Poll(pair) => {
                    let call = lwa::poll(http(), config(), pair);
                    self.calls.add(async move { Done::Tokens(In::Polled(call.await)) });
                }
                Out::Refresh(token) => {
                    let call = lwa::refresh(http(), config(), token);
                    self.calls.add(async move { Done::Tokens(In::Refreshed(call.await)) });
                }
                Out::Persist(token) => {
                    let call = (self.persist)(token);
                    self.calls.add(async move { Done::Tokens(In::Persisted(call.await)) });
                }
                Out::ShowCode(pair, expires) => (self.sink)(LinkEvent::LoginCode {
                    verification_uri: pair.verification_uri,
                    user_code: pair.user_code,
                    expires,
                }),
                Out::LoggedIn => (self.sink)(LinkEvent::LoggedIn),
                Out::Usable(token) => {
                    self.needs_login = None;
                    inputs.push(Input::Token(token));
                }
                Out::Unusable => inputs.push(Input::NoToken),
                Out::NeedsLogin(why) => {
                    self.needs_login = Some(why);
                    inputs.push(Input::NoToken);
                }
            }
        }
        for input in inputs {
            self.feed(input);
        }
        self.tell_state();
    }

    /// Gives back to the machines what came up while they were drained. True if there was anything.
    pub(crate) fn settle(&mut self) -> bool {
        let mut any = false;
        while let Some(stream) = self.unsent.pop() {
            any = true;
            self.feed(Input::Reset { stream, unprocessed: true });
        }
        while let Some(token) = self.refused.pop() {
            any = true;
            self.feed_tokens(In::Refused(token));
        }
        any
    }

    /// Wakes the machines whose moment has come and arms the timer for the next. True if one was woken.
    pub(crate) fn check_time(&mut self, cx: &mut Context<'_>) -> bool {
        let mut woken = false;
        if self.session_wake.is_some_and(|at| at <= self.now) {
            woken = true;
            let held: Vec<_> = self.wires.iter().flat_map(|w| w.held_back()).collect();
            for stream in held {
                self.feed(Input::Busy(stream));
            }
            self.feed(Input::Wake);
        }
        if self.tokens_wake.is_some_and(|at| at <= self.now) {
            woken = true;
            self.feed_tokens(In::Wake);
        }
        if woken {
            return true;
        }
        let Some(next) = [self.session_wake, self.tokens_wake, self.closing].into_iter().flatten().min()
        else {
            return false;
        };
        // A later deadline does not move the timer: it rings once for nothing instead of being set at every byte.
        if self.armed.is_none_or(|armed| next < armed) {
            self.arm(next);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if next <= self.context.now() {
                self.armed = None;
                return true;
            }
            self.arm(next);
        }
        false
    }

    fn arm(&mut self, at: HubTime) {
        self.armed = Some(at);
        self.timer.as_mut().reset(Instant::now() + at.since(self.context.now()));
    }

    fn tell_state(&mut self) {
        let state = match self.session_state {
            State::Closed if !self.done => return,
            State::Closed => LinkState::Closed,
            State::WaitingForToken | State::Declaring => {
                match (&self.needs_login, self.tokens.asks_again()) {
                    (Some(why), _) => LinkState::NeedsLogin { why: why.clone() },
                    (None, Some(until)) => LinkState::Waiting { why: WaitReason::Unreachable, until },
                    (None, None) => LinkState::Authorizing,
                }
            }
            State::Connecting(attempt) => LinkState::Connecting { attempt: attempt.max(1) },
            State::Synchronizing => LinkState::Synchronizing,
            State::Connected => LinkState::Connected,
            State::Waiting(why, until) => LinkState::Waiting { why, until },
        };
        if self.told.as_ref() == Some(&state) {
            return;
        }
        let connected = state == LinkState::Connected;
        self.metrics.connected.set(i64::from(connected));
        if connected && std::mem::replace(&mut self.was_connected, true) {
            self.metrics.reconnects.inc();
        }
        tracing::info!(speaker = %self.speaker, ?state, "link");
        self.told = Some(state.clone());
        (self.sink)(LinkEvent::State(state));
    }
}

/// The label of an outcome.
fn word(outcome: &EventOutcome) -> &'static str {
    match outcome {
        EventOutcome::Accepted { .. } => "accepted",
        EventOutcome::Refused { .. } => "refused",
        EventOutcome::Lost => "lost",
        EventOutcome::TooOld => "too_old",
        EventOutcome::QueueFull => "queue_full",
        _ => "other",
    }
}
