//! What the link's machines want done: the second half of `connection`, split off for length.

use std::future::Future;
use std::task::Context;

use antiphon_avs::session::{
    AudioPart, ConnId, EventOutcome, Input, Output, State, WaitReason, capabilities_body,
};
use antiphon_domain::HubTime;
use tokio::time::Instant;

use crate::calls::Done;
use crate::connection::Link;
use crate::event::{Chunk, LinkEvent, LinkState};
use crate::tokens::In;
use crate::upload::Upload;
use crate::{capabilities, connector};

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
                    let upload = request.audio.as_ref().and_then(|audio| self.start_upload(audio));
                    let wire = self.wires.iter_mut().find(|w| w.id == id);
                    if wire.is_none_or(|wire| wire.request(stream, request, upload).is_err()) {
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
                    self.conns_changed = true;
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
                    self.calls.add_of_session(async move { Done::Declared(call.await) });
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
                    if state == State::Connected && std::mem::replace(&mut self.was_connected, true) {
                        self.metrics.reconnects.inc();
                    }
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
                    // One that never started leaves its audio behind.
                    self.uploads.retain(|(id, _)| *id != message_id);
                    if self.on_retire_outcome(&message_id, &outcome) {
                        continue;
                    }
                    LinkEvent::EventOutcome { message_id, namespace, name, outcome }
                }
                Output::Answered { message_id } => LinkEvent::Answered { message_id },
                Output::Processed(correlation) => {
                    self.on_processed(&correlation);
                    continue;
                }
                Output::Declared(name) => LinkEvent::Declared(name),
                Output::GatewayChanged(gateway) => LinkEvent::GatewayChanged(gateway),
            };
            (self.sink)(told);
        }
    }

    /// The audio of an event that starts now.
    fn start_upload(&mut self, audio: &AudioPart) -> Option<Upload> {
        let at = self.uploads.iter().position(|(id, _)| *id == audio.message_id)?;
        let (_, mut upload) = self.uploads.swap_remove(at);
        upload.start(audio.closing.clone(), self.metrics.uploads.clone());
        Some(upload)
    }

    /// Empties the channels of audio whose events wait for their turn; those that wait too long are given up.
    pub(crate) fn fill_uploads(&mut self, cx: &mut Context<'_>) {
        let mut overrun = Vec::new();
        for (message_id, upload) in &mut self.uploads {
            if upload.fill(cx).is_err() {
                overrun.push(message_id.clone());
            }
        }
        for message_id in overrun {
            self.feed(Input::Abandon(message_id));
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
        // The state depends on old connections too, which end without a word of the session's.
        if std::mem::take(&mut self.conns_changed) {
            self.tell_state();
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
        let retiring = self.retiring.as_ref().map(|r| r.until);
        if retiring.is_some_and(|until| until <= self.now) {
            self.retiring = None;
            self.feed_tokens(In::Logout);
            return true;
        }
        let soonest = [self.session_wake, self.tokens_wake, self.closing, retiring];
        let Some(next) = soonest.into_iter().flatten().min() else { return false };
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

    pub(crate) fn tell_state(&mut self) {
        // While the old connection still serves, its renewal is no loss.
        let serving = self.session.is_serving();
        let state = match self.session_state {
            State::Closed if !self.done => return,
            State::Closed => LinkState::Closed,
            State::WaitingForToken | State::Declaring => {
                match (&self.needs_login, self.tokens.asks_again()) {
                    (Some(why), _) if !self.tokens.is_linking() => LinkState::NeedsLogin { why: why.clone() },
                    (_, Some(until)) => LinkState::Waiting { why: WaitReason::Unreachable, until },
                    (_, None) => LinkState::Authorizing,
                }
            }
            State::Connecting(_) | State::Synchronizing if serving => LinkState::Connected,
            State::Connecting(attempt) => LinkState::Connecting { attempt: attempt.max(1) },
            State::Synchronizing => LinkState::Synchronizing,
            State::Connected => LinkState::Connected,
            State::Waiting(why, until) => LinkState::Waiting { why, until },
        };
        if self.told.as_ref() == Some(&state) {
            return;
        }
        self.metrics.connected.set(i64::from(state == LinkState::Connected));
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
