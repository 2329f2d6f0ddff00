//! Streams: headers, bodies, ends, and what they mean for the event that was sent.

use antiphon_domain::HubTime;
use bytes::Bytes;

use super::connection::{Phase, Step};
use super::opening::StepFailed;
use super::queue::Pending;
use super::{ConnId, EventOutcome, Output, Session, Stack, WaitReason, directive};
use crate::message::{Retry, StreamId};
use crate::multipart::{Parser, Part, boundary_of};

/// Bytes of an exception body that are kept (AVS Device SDK: 4096).
const MAX_EXCEPTION: usize = 4096;

/// Times an event is tried that may only be repeated when it was surely not processed.
const MAX_ATTEMPTS: u32 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Downchannel,
    Ping,
    Event,
    Opening(Step),
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Complete,
    Torn { unprocessed: bool },
}

/// One request and its response.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) conn: ConnId,
    pub(super) kind: Kind,
    /// Which token the request carried.
    pub(super) token_age: u64,
    pub(super) status: Option<u16>,
    pub(super) progress: HubTime,
    /// The event, until its outcome is known.
    pub(super) event: Option<Pending>,
    /// The messageId of an ordinary event.
    pub(super) message_id: Option<String>,
    /// Audio is still to be sent.
    pub(super) uploading: bool,
    parser: Option<Parser>,
    exception: Vec<u8>,
    attachment: Option<String>,
}

impl Stream {
    pub(super) fn new(
        conn: ConnId,
        kind: Kind,
        token_age: u64,
        now: HubTime,
        event: Option<Pending>,
    ) -> Self {
        let ordinary = event.as_ref().filter(|_| kind == Kind::Event);
        Self {
            conn,
            kind,
            token_age,
            status: None,
            progress: now,
            message_id: ordinary.map(|p| p.event.header.message_id.clone()),
            uploading: event.as_ref().is_some_and(|p| p.event.audio.is_some()),
            event,
            parser: None,
            exception: Vec::new(),
            attachment: None,
        }
    }

    pub(super) fn was_accepted(&self) -> bool {
        matches!(self.status, Some(200 | 202 | 204))
    }

    pub(super) fn is_event(&self) -> bool {
        matches!(self.kind, Kind::Event | Kind::Opening(_))
    }
}

impl Session {
    pub(super) fn on_headers(&mut self, id: StreamId, status: u16, content_type: Option<&str>) {
        let Some(conn) = self.touch(id) else { return };
        let limits = self.config.limits;
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.status = Some(status);
        if status == 200
            && let Some(term) = content_type.and_then(boundary_of)
        {
            stream.parser = Some(Parser::new(&term, limits));
        }
        let (kind, age, readable) = (stream.kind, stream.token_age, stream.parser.is_some());
        if let Some(conn) = self.conn(conn)
            && conn.unanswered == Some(id)
        {
            conn.unanswered = None;
        }
        let accepted = matches!(status, 200 | 202 | 204);
        match kind {
            Kind::Downchannel if status == 200 && readable => self.begin_opening(conn),
            Kind::Downchannel => {
                if matches!(status, 401 | 403) {
                    self.refuse_token(age);
                }
                self.give_up(conn, Some(WaitReason::Refused(status)));
            }
            Kind::Ping => self.on_ping_answer(conn, status, age),
            Kind::Event if accepted => self.accept(id),
            Kind::Opening(step) if accepted => {
                self.accept(id);
                self.step_accepted(conn, step, status);
            }
            // The exception body says more; judged at the end of the stream. What concerns all events does not wait.
            Kind::Event | Kind::Opening(_) => self.on_refusal(conn, status, age),
        }
    }

    /// A refusal that concerns every event: a bad token or too many requests.
    fn on_refusal(&mut self, conn: ConnId, status: u16, age: u64) {
        match status {
            401 | 403 => {
                self.refuse_token(age);
                // What carried that token is replaced when a fresh one is there.
                if self.token.is_none()
                    && self.current().is_some_and(|c| c.id == conn && c.phase == Phase::Open)
                {
                    self.retire(conn);
                }
            }
            429 => {
                self.throttles = self.throttles.saturating_add(1);
                let delays = &self.config.timers.event_delays;
                let pause = self.jitter.delay(delays, self.throttles, (0.66, 1.5));
                self.throttled = Some(self.now + pause);
            }
            _ => {}
        }
    }

    fn on_ping_answer(&mut self, id: ConnId, status: u16, age: u64) {
        if status == 204 {
            if let Some(conn) = self.conn(id) {
                conn.ping = None;
            }
            return;
        }
        if matches!(status, 401 | 403) {
            self.refuse_token(age);
        }
        self.give_up(id, Some(WaitReason::Refused(status)));
    }

    fn accept(&mut self, id: StreamId) {
        self.throttles = 0;
        if self.streams.get(&id).is_some_and(|s| !s.uploading) {
            self.accept_event(id);
        }
    }

    /// An event reached the service and was taken.
    pub(super) fn accept_event(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if let (Some(pending), Some(status)) = (stream.event.take(), stream.status)
            && stream.kind == Kind::Event
        {
            self.out.push_back(pending.outcome(EventOutcome::Accepted { status }));
        }
    }

    /// Notes that something came on a stream.
    pub(super) fn touch(&mut self, id: StreamId) -> Option<ConnId> {
        let now = self.now;
        let stream = self.streams.get_mut(&id)?;
        stream.progress = now;
        let conn = stream.conn;
        let limit = self.config.timers.liveness_limit;
        if let Some(conn) = self.conn(conn) {
            conn.active = now;
            conn.heard = now;
            // The answer is only late behind other bytes.
            conn.pong_due = conn.pong_due.map(|_| now + limit);
        }
        Some(conn)
    }

    pub(super) fn on_data(&mut self, id: StreamId, bytes: Bytes) {
        if self.touch(id).is_none() {
            return;
        }
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if let Some(parser) = &mut stream.parser {
            let mut parts = Vec::new();
            parser.push(bytes, &mut parts);
            self.take_parts(id, parts);
        } else if stream.event.is_some() {
            let room = MAX_EXCEPTION.saturating_sub(stream.exception.len());
            stream.exception.extend_from_slice(&bytes[..room.min(bytes.len())]);
        }
    }

    fn take_parts(&mut self, id: StreamId, parts: Vec<Part>) {
        for part in parts {
            match part {
                Part::Json(json) => self.on_json(id, json),
                Part::AttachmentStart(content_id) => {
                    if let Some(stream) = self.streams.get_mut(&id) {
                        stream.attachment = Some(content_id);
                    }
                }
                Part::AttachmentData(bytes) => {
                    let name = self.streams.get(&id).and_then(|s| s.attachment.clone());
                    if let Some(content_id) = name {
                        self.out.push_back(Output::Attachment { stream: id, content_id, bytes });
                    }
                }
                Part::AttachmentEnd => self.end_attachment(id, true),
                Part::Fault(fault) => self.out.push_back(Output::Fault(fault)),
            }
        }
    }

    fn end_attachment(&mut self, id: StreamId, complete: bool) {
        let name = self.streams.get_mut(&id).and_then(|s| s.attachment.take());
        if let Some(content_id) = name {
            self.out.push_back(Output::AttachmentEnded { stream: id, content_id, complete });
        }
    }

    fn on_json(&mut self, id: StreamId, json: Vec<u8>) {
        let Some(conn) = self.streams.get(&id).map(|s| s.conn) else { return };
        let directive = match directive::parse(json, id) {
            Ok(directive) => directive,
            Err(error) => {
                let directive::NotADirective { raw, description } = error;
                self.out.push_back(Output::Unparsable { raw, description });
                return;
            }
        };
        let legacy = self.config.stack == Stack::Legacy;
        match (directive.header.namespace.as_str(), directive.header.name.as_str()) {
            ("Alexa", "EventProcessed") => self.event_processed(conn, &directive),
            ("Alexa.ApiGateway", "SetGateway") => self.on_set_gateway(directive),
            ("System", "SetEndpoint") if legacy => self.on_set_gateway(directive),
            _ => self.out.push_back(Output::Directive(directive)),
        }
    }

    fn on_set_gateway(&mut self, directive: crate::message::Directive) {
        match directive::named_gateway(&directive) {
            Some(gateway) if self.may_move_to(&gateway) => self.set_gateway(gateway),
            _ => {
                let description = "not a gateway this device may use".into();
                self.out.push_back(Output::Unparsable { raw: directive.raw, description });
            }
        }
    }

    /// A stream is over; what that means depends on what it was for and how far it came.
    pub(super) fn end_stream(&mut self, id: StreamId, ending: Ending) {
        if ending == Ending::Complete
            && let Some(parser) = self.streams.get_mut(&id).and_then(|s| s.parser.as_mut())
        {
            let mut parts = Vec::new();
            parser.finish(&mut parts);
            self.take_parts(id, parts);
        }
        self.end_attachment(id, false);
        if ending == Ending::Complete && self.streams.get(&id).is_some_and(Stream::was_accepted) {
            // A complete answer leaves nothing to upload.
            self.accept_event(id);
        }
        let Some(mut stream) = self.streams.remove(&id) else { return };
        if stream.parser.is_some() {
            self.out.push_back(Output::StreamEnded(id));
        }
        let conn = stream.conn;
        if let Some(conn) = self.conn(conn) {
            if conn.unanswered == Some(id) {
                conn.unanswered = None;
            }
            if conn.downchannel == Some(id) {
                conn.downchannel = None;
            }
        }
        match stream.kind {
            Kind::Downchannel => self.on_go_away(conn),
            Kind::Ping => {
                if stream.status.is_none() {
                    self.give_up(conn, Some(WaitReason::NoAnswer));
                }
            }
            Kind::Event => match (stream.event.take(), stream.message_id.take()) {
                (Some(pending), _) => self.settle(pending, &stream, ending),
                (None, Some(message_id)) => self.out.push_back(Output::Answered { message_id }),
                (None, None) => {}
            },
            Kind::Opening(step) => match stream.status {
                Some(200 | 202 | 204) => {
                    if step == Step::Verify {
                        self.gateway_answer_ended(conn);
                    }
                }
                Some(status) => self.step_failed(conn, step, StepFailed::Status(status)),
                None => self.step_failed(conn, step, StepFailed::NoAnswer),
            },
        }
    }

    /// Decides about an event that was not accepted: again, or told as failed.
    fn settle(&mut self, mut pending: Pending, stream: &Stream, ending: Ending) {
        pending.attempts += 1;
        let retry = pending.event.retry;
        let tries_left = retry == Retry::UntilAccepted
            || (retry == Retry::BeforeHeaders && pending.attempts < MAX_ATTEMPTS);
        let delay = self.jitter.delay(&self.config.timers.event_delays, pending.attempts, (0.66, 1.5));
        let Some(status) = stream.status.filter(|_| !stream.was_accepted()) else {
            if tries_left && stream.status.is_none() {
                let unprocessed = matches!(ending, Ending::Torn { unprocessed: true });
                let gone = self.conn(stream.conn).is_none();
                // At once only the first time: a server that refuses each stream must not be run against.
                let at_once = pending.attempts == 1 && (unprocessed || gone);
                pending.not_before = if at_once { self.now } else { self.now + delay };
                self.queue.push_back_in(pending);
            } else {
                self.out.push_back(pending.outcome(EventOutcome::Lost));
            }
            return;
        };
        let again = match status {
            // None of these was processed.
            401 | 403 | 429 => tries_left,
            500.. => {
                pending.not_before = self.now + delay;
                retry == Retry::UntilAccepted
            }
            _ => false,
        };
        if again {
            self.queue.push_back_in(pending);
        } else {
            let (code, description) = directive::exception(&stream.exception);
            self.out.push_back(pending.outcome(EventOutcome::Refused { status, code, description }));
        }
    }

    /// Ends all streams of a connection that is gone.
    pub(super) fn tear_streams(&mut self, conn: ConnId) {
        let torn: Vec<StreamId> =
            self.streams.iter().filter(|(_, s)| s.conn == conn).map(|(id, _)| *id).collect();
        for id in torn {
            self.end_stream(id, Ending::Torn { unprocessed: false });
        }
    }

    /// Aborts event streams without progress and has their connection tested.
    pub(super) fn expire_streams(&mut self) {
        let limit = self.config.timers.event_progress;
        let stuck: Vec<(StreamId, ConnId)> = self
            .streams
            .iter()
            .filter(|(_, s)| s.is_event() && s.progress + limit <= self.now)
            .map(|(id, s)| (*id, s.conn))
            .collect();
        for (id, conn) in stuck {
            self.out.push_back(Output::Cancel(id));
            if let Some(conn) = self.conn(conn) {
                conn.suspect = true;
            }
            self.end_stream(id, Ending::Torn { unprocessed: false });
        }
    }
}
