//! Connections: opening, aliveness, replacement, end.

use antiphon_domain::HubTime;

use super::redeclare::Rereport;
use super::response::Kind;
use super::{ConnId, Output, Session, Stack, Timers, Wait, WaitReason};
use crate::message::StreamId;

/// Old connections kept for draining; more are closed, oldest first.
const MAX_RETIRED: usize = 2;

#[derive(Debug)]
pub(super) struct Conn {
    pub(super) id: ConnId,
    pub(super) phase: Phase,
    /// Limit of the present phase, where it has one.
    pub(super) limit: Option<HubTime>,
    /// Failures of opening events on this connection.
    pub(super) failures: u32,
    /// The correlation token of the AddOrUpdateReport sent last.
    pub(super) report: Option<String>,
    /// A report at run time, and its failures.
    pub(super) rereport: Rereport,
    pub(super) report_failures: u32,
    pub(super) stream_limit: usize,
    /// Last activity on any stream.
    pub(super) active: HubTime,
    /// Last time anything at all was received.
    pub(super) heard: HubTime,
    pub(super) pong_due: Option<HubTime>,
    /// The `/ping` under way and its limit.
    pub(super) ping: Option<(StreamId, HubTime)>,
    /// Ask `/ping` now, to test the connection.
    pub(super) suspect: bool,
    pub(super) downchannel: Option<StreamId>,
    /// The event whose response headers are awaited.
    pub(super) unanswered: Option<StreamId>,
    pub(super) open_since: Option<HubTime>,
    /// No new streams since then; replaced or to be replaced.
    pub(super) retired: Option<HubTime>,
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// TCP, TLS, HTTP/2.
    Handshake,
    /// The downchannel was asked for.
    Downchannel,
    /// An opening step is due at this moment.
    Due(Step, HubTime),
    /// An opening step's event was sent.
    Asked(Step),
    /// VerifyGateway was answered 200: SetGateway is on its way.
    AwaitGateway,
    /// AddOrUpdateReport was answered 202; `Alexa.EventProcessed` is awaited.
    AwaitProcessed,
    /// The device was asked for SynchronizeState.
    AwaitState,
    /// Ordinary events may flow.
    Open,
}

/// The opening events, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Verify,
    Report,
    Synchronize,
}

impl Conn {
    fn established(&self) -> bool {
        self.phase != Phase::Handshake
    }

    pub(super) fn deadline(&self, timers: &Timers, can_ask: bool) -> Option<HubTime> {
        if !self.established() {
            return self.limit;
        }
        let alive = self.pong_due.unwrap_or(self.heard + timers.liveness_idle);
        let ping = match self.ping {
            Some((_, limit)) => Some(limit),
            None => can_ask.then(|| self.active + timers.ping_idle),
        };
        let due = match self.phase {
            Phase::Due(_, at) if can_ask && self.unanswered.is_none() => Some(at),
            _ => None,
        };
        let report = match self.rereport {
            Rereport::AwaitProcessed(at) => Some(at),
            Rereport::RetryAt(at) if can_ask => Some(at),
            _ => None,
        };
        [Some(alive), ping, due, report, self.limit].into_iter().flatten().min()
    }
}

impl Session {
    pub(super) fn conn(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.conns.iter_mut().find(|c| c.id == id)
    }

    /// The connection in use or being opened.
    pub(super) fn current(&self) -> Option<&Conn> {
        self.conns.iter().find(|c| c.retired.is_none())
    }

    pub(super) fn current_id(&self) -> Option<ConnId> {
        self.current().map(|c| c.id)
    }

    /// Begins an attempt when nothing stands against it.
    pub(super) fn connect(&mut self) {
        let declared = self.declared || self.config.stack == Stack::Modern;
        if self.current().is_some() || self.token.is_none() || !declared {
            return;
        }
        if self.wait.as_ref().is_some_and(|wait| wait.until > self.now) {
            return;
        }
        self.wait = None;
        self.attempts = self.attempts.saturating_add(1);
        let id = ConnId(self.id());
        self.conns.push(Conn {
            id,
            phase: Phase::Handshake,
            limit: Some(self.now + self.config.timers.connect),
            failures: 0,
            report: None,
            rereport: Rereport::default(),
            report_failures: 0,
            stream_limit: self.config.max_streams,
            active: self.now,
            heard: self.now,
            pong_due: None,
            ping: None,
            suspect: false,
            downchannel: None,
            unanswered: None,
            open_since: None,
            retired: None,
        });
        self.out.push_back(Output::Connect(id, self.gateway.clone()));
    }

    pub(super) fn on_connected(&mut self, id: ConnId) {
        let limit = self.now + self.config.timers.downchannel;
        let now = self.now;
        let Some(conn) = self.conn(id).filter(|c| c.phase == Phase::Handshake) else { return };
        conn.phase = Phase::Downchannel;
        conn.limit = Some(limit);
        conn.heard = now;
        conn.active = now;
        match self.ask(id, Kind::Downchannel, None) {
            Some(stream) => {
                if let Some(conn) = self.conn(id) {
                    conn.downchannel = Some(stream);
                }
            }
            // The token went away during the handshake.
            None => self.give_up(id, None),
        }
    }

    /// Ends an attempt or a connection of our own will and plans the next one.
    pub(super) fn give_up(&mut self, id: ConnId, why: Option<WaitReason>) {
        if self.conn(id).is_none() {
            return;
        }
        self.out.push_back(Output::Close(id));
        match why {
            Some(why) => self.lose(id, why),
            None => {
                self.forget(id);
            }
        }
    }

    /// The connection is gone: its streams end, and if it was in use the next attempt is planned.
    pub(super) fn lose(&mut self, id: ConnId, why: WaitReason) {
        let Some(conn) = self.forget(id) else { return };
        if conn.retired.is_none() {
            self.plan(&conn, why);
        }
    }

    fn forget(&mut self, id: ConnId) -> Option<Conn> {
        let at = self.conns.iter().position(|c| c.id == id)?;
        let conn = self.conns.remove(at);
        self.tear_streams(id);
        Some(conn)
    }

    /// Decides when the successor of `conn` is opened: at once if it was sound, else by the table.
    fn plan(&mut self, conn: &Conn, why: WaitReason) {
        let sound = conn.open_since.is_some_and(|at| self.now.since(at) >= self.config.timers.stable_after);
        if sound {
            self.attempts = 0;
            self.refusals = 0;
            return;
        }
        if self.wait.as_ref().is_some_and(|wait| wait.firm) {
            return;
        }
        let why = if conn.open_since.is_some() { WaitReason::Unstable } else { why };
        self.pause(why, false);
    }

    /// Waits by the table before the next attempt.
    pub(super) fn pause(&mut self, why: WaitReason, firm: bool) {
        let Timers { connect_delays, connect_jitter, .. } = &self.config.timers;
        let delay = self.jitter.delay(connect_delays, self.attempts, *connect_jitter);
        self.wait = Some(Wait { until: self.now + delay, why, firm });
    }

    pub(super) fn on_go_away(&mut self, id: ConnId) {
        let Some(conn) = self.conns.iter().find(|c| c.id == id && c.retired.is_none()) else { return };
        if conn.phase == Phase::Open {
            self.retire(id);
        } else {
            self.give_up(id, Some(WaitReason::Unreachable));
        }
    }

    /// Takes a connection out of use; a new one is opened, this one only drained.
    pub(super) fn retire(&mut self, id: ConnId) {
        let Some(at) = self.conns.iter().position(|c| c.id == id && c.retired.is_none()) else { return };
        let mut conn = self.conns.remove(at);
        self.plan(&conn, WaitReason::Unstable);
        conn.retired = Some(self.now);
        conn.rereport = Rereport::Idle;
        conn.limit = None;
        self.conns.push(conn);
        if self.conns.len() > MAX_RETIRED {
            let oldest = self.conns[0].id;
            self.out.push_back(Output::Close(oldest));
            self.forget(oldest);
        }
    }

    pub(super) fn has_events(&self, id: ConnId) -> bool {
        self.streams.values().any(|s| s.conn == id && s.is_event())
    }

    /// When an old connection without open events has nothing more to bring: its downchannel ended and the successor
    /// is in use, or the time to linger is over. Until then it counts as the connection that serves.
    pub(super) fn drained_at(&self, conn: &Conn) -> Option<HubTime> {
        let retired = conn.retired.filter(|_| !self.has_events(conn.id))?;
        let linger = self.config.timers.linger;
        match (self.current().and_then(|c| c.open_since), conn.downchannel) {
            (Some(open), None) => Some(open),
            (Some(open), Some(_)) => Some(open + linger),
            (None, None) => Some(retired + linger),
            // Whatever the successor does, here directives may still come.
            (None, Some(_)) => None,
        }
    }

    /// Closes old connections that have nothing more to bring.
    pub(super) fn close_drained(&mut self) {
        let drained: Vec<ConnId> = self
            .conns
            .iter()
            .filter(|c| self.drained_at(c).is_some_and(|at| at <= self.now))
            .map(|c| c.id)
            .collect();
        for id in drained {
            self.out.push_back(Output::Close(id));
            self.forget(id);
        }
    }

    /// Limits of phases, `/ping`, HTTP/2 PING.
    pub(super) fn check_connections(&mut self) {
        let now = self.now;
        let timers = self.config.timers.clone();
        for index in (0..self.conns.len()).rev() {
            let Some(conn) = self.conns.get_mut(index) else { continue };
            let id = conn.id;
            let overdue = |limit: Option<HubTime>| limit.is_some_and(|at| at <= now);
            if overdue(conn.pong_due) || overdue(conn.ping.map(|(_, at)| at)) {
                self.give_up(id, Some(WaitReason::NoAnswer));
                continue;
            }
            if overdue(conn.limit) {
                self.phase_overdue(id);
                continue;
            }
            if !conn.established() {
                continue;
            }
            if conn.pong_due.is_none() && now >= conn.heard + timers.liveness_idle {
                conn.pong_due = Some(now + timers.liveness_limit);
                self.out.push_back(Output::Liveness(id));
            }
            let Some(conn) = self.conns.get(index) else { continue };
            let idle = conn.suspect || now >= conn.active + timers.ping_idle;
            if idle && conn.ping.is_none() && conn.phase != Phase::Downchannel {
                self.ask_ping(id, now + timers.ping_limit);
            }
        }
    }

    fn ask_ping(&mut self, id: ConnId, limit: HubTime) {
        let Some(stream) = self.ask(id, Kind::Ping, None) else { return };
        if let Some(conn) = self.conn(id) {
            conn.ping = Some((stream, limit));
            conn.suspect = false;
        }
    }

    /// The cloud names another gateway, or confirms the present one.
    pub(super) fn set_gateway(&mut self, gateway: String) {
        self.verified = true;
        if gateway == self.gateway {
            let now = self.now;
            if let Some(conn) = self.conns.iter_mut().find(|c| c.retired.is_none())
                && matches!(conn.phase, Phase::AwaitGateway | Phase::Asked(Step::Verify))
            {
                conn.phase = Phase::Due(Step::Report, now);
                conn.limit = None;
            }
            return;
        }
        self.gateway.clone_from(&gateway);
        self.verified = false;
        self.undeclare();
        self.out.push_back(Output::GatewayChanged(gateway));
        let Some(id) = self.current_id() else { return };
        self.retire(id);
        // Nothing more is wanted from there but the answers that are under way.
        if let Some(downchannel) = self.conn(id).and_then(|c| c.downchannel.take()) {
            self.streams.remove(&downchannel);
            self.out.push_back(Output::Cancel(downchannel));
        }
    }
}
