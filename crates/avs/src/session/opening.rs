//! The opening sequence on a fresh connection (VerifyGateway, AddOrUpdateReport, SynchronizeState) and the start of
//! ordinary events after it.

use antiphon_domain::HubTime;

use super::connection::{Conn, Phase, Step};
use super::queue::Pending;
use super::redeclare::Rereport;
use super::response::{Kind, Stream};
use super::{AudioPart, ConnId, Output, Request, Session, Stack, WaitReason, declare};
use crate::message::{Directive, Event, StreamId};
use crate::multipart::{event_body, speech_body};

/// How an opening event failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StepFailed {
    /// Refused with this status.
    Status(u16),
    /// Its stream died or nothing came.
    NoAnswer,
}

impl Session {
    /// Sends a request on a connection; `None` without a token or connection.
    pub(super) fn ask(&mut self, conn: ConnId, kind: Kind, event: Option<Pending>) -> Option<StreamId> {
        let token = self.token.clone()?;
        let id = StreamId(self.id());
        let (body, audio) = match &event {
            None => (None, None),
            Some(pending) if pending.event.audio.is_some() => {
                let body = speech_body(&pending.event.to_json());
                let message_id = pending.event.header.message_id.clone();
                let audio = AudioPart { message_id, closing: body.closing };
                (Some((body.content_type, body.head)), Some(audio))
            }
            Some(pending) => {
                let body = event_body(&pending.event.to_json());
                (Some((body.content_type, body.bytes)), None)
            }
        };
        let path = match kind {
            Kind::Downchannel => "/v20160207/directives",
            Kind::Ping => "/ping",
            Kind::Event | Kind::Opening(_) => "/v20160207/events",
        };
        let now = self.now;
        let conn = self.conn(conn)?;
        conn.active = now;
        if matches!(kind, Kind::Event | Kind::Opening(_)) {
            conn.unanswered = Some(id);
        }
        let conn = conn.id;
        self.streams.insert(id, Stream::new(conn, kind, self.token_age, now, event));
        self.out.push_back(Output::Request(conn, id, Request { path, token, body, audio }));
        Some(id)
    }

    /// Takes the opening steps that are due now.
    pub(super) fn drive_opening(&mut self) {
        loop {
            let Some(conn) = self.current() else { return };
            let id = conn.id;
            let Phase::Due(step, at) = conn.phase else { return };
            let Some(token) = self.token.clone() else { return };
            if at > self.now || conn.unanswered.is_some() {
                return;
            }
            let modern = self.config.stack == Stack::Modern;
            match step {
                // Whoever declares asks first whether it is the right gateway (Alexa.ApiGateway 1.0).
                Step::Verify if modern && !(self.verified && self.declared) => {
                    self.ask_step(id, step, declare::verify_gateway())
                }
                Step::Verify => self.due(id, Step::Report, self.now),
                Step::Report if modern && !self.declared => {
                    let event = declare::report(&self.config.identity, &token);
                    if let Some(conn) = self.conn(id) {
                        conn.report.clone_from(&event.header.event_correlation_token);
                    }
                    self.ask_step(id, step, event);
                }
                Step::Report => self.due(id, Step::Synchronize, self.now),
                Step::Synchronize => {
                    let limit = self.now + self.config.timers.state;
                    self.enter(id, Phase::AwaitState, Some(limit));
                    self.out.push_back(Output::WantSynchronizeState);
                }
            }
        }
    }

    fn ask_step(&mut self, conn: ConnId, step: Step, event: Event) {
        let pending = Pending::opening(event, self.now);
        self.enter(conn, Phase::Asked(step), None);
        self.ask(conn, Kind::Opening(step), Some(pending));
    }

    fn due(&mut self, conn: ConnId, step: Step, at: HubTime) {
        self.enter(conn, Phase::Due(step, at), None);
    }

    fn enter(&mut self, conn: ConnId, phase: Phase, limit: Option<HubTime>) {
        if let Some(conn) = self.conn(conn) {
            conn.phase = phase;
            conn.limit = limit;
        }
    }

    pub(super) fn on_synchronize(&mut self, event: Event) {
        let Some(conn) = self.current() else { return };
        let (id, phase) = (conn.id, conn.phase);
        if phase != Phase::AwaitState {
            // An answer to an earlier connection's question, which has been answered since.
            return;
        }
        if self.token.is_some() {
            self.ask_step(id, Step::Synchronize, event);
        } else {
            self.due(id, Step::Synchronize, self.now);
        }
    }

    /// The downchannel is open.
    pub(super) fn begin_opening(&mut self, conn: ConnId) {
        self.due(conn, Step::Verify, self.now);
    }

    /// An opening event was answered with 2xx.
    pub(super) fn step_accepted(&mut self, id: ConnId, step: Step, status: u16) {
        let timers = self.config.timers.clone();
        let now = self.now;
        if step == Step::Report && self.conn(id).is_some_and(|c| c.phase == Phase::Open) {
            return self.rereport_accepted(id);
        }
        if self.conn(id).is_none_or(|c| c.phase != Phase::Asked(step)) {
            return;
        }
        match step {
            Step::Verify if status == 200 => {
                self.enter(id, Phase::AwaitGateway, Some(now + timers.event_progress));
            }
            Step::Verify => {
                self.verified = true;
                self.due(id, Step::Report, now);
            }
            // The confirmation may overtake the answer: it comes on another stream.
            Step::Report if self.declared => self.due(id, Step::Synchronize, now),
            Step::Report => self.enter(id, Phase::AwaitProcessed, Some(now + timers.processed)),
            Step::Synchronize => {
                self.enter(id, Phase::Open, None);
                if let Some(conn) = self.conn(id) {
                    conn.open_since = Some(now);
                }
            }
        }
    }

    /// An opening event failed: repeat it with a delay, or end the attempt.
    pub(super) fn step_failed(&mut self, id: ConnId, step: Step, failed: StepFailed) {
        if step == Step::Report && self.conn(id).is_some_and(|c| c.phase == Phase::Open) {
            return self.rereport_failed(id, failed);
        }
        let delays = &self.config.timers.event_delays;
        let Some(conn) = self.conns.iter_mut().find(|c| c.id == id) else { return };
        if conn.retired.is_some() || !matches!(conn.phase, Phase::Asked(s) if s == step) {
            return;
        }
        conn.failures += 1;
        let at = self.now + self.jitter.delay(delays, conn.failures, (0.66, 1.5));
        match (step, failed) {
            (_, StepFailed::Status(status @ (401 | 403))) => {
                self.give_up(id, Some(WaitReason::Refused(status)));
            }
            (_, StepFailed::Status(429)) => self.due(id, step, at),
            (Step::Verify, StepFailed::Status(status @ 400..500)) => {
                self.give_up(id, Some(WaitReason::Refused(status)));
            }
            (Step::Report, StepFailed::Status(400..500)) => self.give_up(id, Some(WaitReason::NotDeclared)),
            (Step::Synchronize, StepFailed::Status(status @ 400..500)) => {
                // The service may have forgotten what the device can do.
                self.undeclare();
                match self.config.stack {
                    Stack::Modern => self.due(id, Step::Report, at),
                    Stack::Legacy => self.give_up(id, Some(WaitReason::Refused(status))),
                }
            }
            _ => self.due(id, step, at),
        }
    }

    /// A phase took longer than it may.
    pub(super) fn phase_overdue(&mut self, id: ConnId) {
        let Some(conn) = self.conn(id) else { return };
        let step = match conn.phase {
            Phase::AwaitGateway => Step::Verify,
            Phase::AwaitProcessed => Step::Report,
            // The question was lost, or the device is slow; asking again does no harm.
            Phase::AwaitState => {
                self.due(id, Step::Synchronize, self.now);
                return;
            }
            _ => return self.give_up(id, Some(WaitReason::NoAnswer)),
        };
        conn.phase = Phase::Asked(step);
        conn.limit = None;
        self.step_failed(id, step, StepFailed::NoAnswer);
    }

    /// The answer to VerifyGateway ended; SetGateway should have come by now.
    pub(super) fn gateway_answer_ended(&mut self, id: ConnId) {
        if self.conn(id).is_some_and(|c| c.phase == Phase::AwaitGateway) {
            self.phase_overdue(id);
        }
    }

    /// `Alexa.EventProcessed`: confirms the report whose correlation token it carries, else means nothing.
    pub(super) fn event_processed(&mut self, conn: ConnId, directive: &Directive) {
        let token = directive.header.event_correlation_token.as_deref();
        let Some(token) = token else { return };
        let Some(conn) = self.conn(conn) else { return };
        if conn.report.as_deref() != Some(token) {
            self.out.push_back(Output::Processed(token.to_owned()));
            return;
        }
        conn.report = None;
        if matches!(conn.rereport, Rereport::AwaitProcessed(_) | Rereport::RetryAt(_)) {
            conn.rereport = Rereport::Idle;
        }
        conn.report_failures = 0;
        let (id, waiting) = (conn.id, conn.phase == Phase::AwaitProcessed);
        self.set_declared();
        if waiting {
            self.due(id, Step::Synchronize, self.now);
        }
    }

    /// Whether one more event fits among a connection's streams. One place is kept for `/ping`, unless there are hardly
    /// any.
    pub(super) fn has_room(&self, conn: &Conn) -> bool {
        let limit = conn.stream_limit.min(self.config.max_streams);
        let open = self.streams.values().filter(|s| s.conn == conn.id).count();
        open + usize::from(limit > 2) < limit
    }

    /// Starts ordinary events as far as the rules allow.
    pub(super) fn start_events(&mut self) {
        if self.throttled.is_some_and(|at| at > self.now) {
            return;
        }
        self.throttled = None;
        loop {
            let Some(conn) = self.current() else { return };
            if conn.phase != Phase::Open || conn.unanswered.is_some() || self.token.is_none() {
                return;
            }
            let id = conn.id;
            if !self.has_room(conn) {
                return;
            }
            let Some(pending) = self.queue.next(self.now) else { return };
            self.ask(id, Kind::Event, Some(pending));
        }
    }
}
