//! Declaring anew while events flow: the capability list changed at run time ("Alexa.Discovery": AddOrUpdateReport
//! whenever capabilities change).
//!
//! On the modern stack the report goes between ordinary events, on the connection in use, and is repeated until
//! `Alexa.EventProcessed` confirms it; on the legacy stack the Capabilities API is called again. A connection that is
//! still being opened reports in its opening sequence anyway.

use std::sync::Arc;

use antiphon_domain::HubTime;
use serde_json::Value;

use super::connection::{Phase, Step};
use super::opening::StepFailed;
use super::queue::Pending;
use super::response::Kind;
use super::{ConnId, Declaring, Output, Session, Stack, declare};

/// How far a report at run time has come on a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Rereport {
    /// None is under way.
    #[default]
    Idle,
    /// Its answer is awaited.
    Asked,
    /// `Alexa.EventProcessed` is awaited until then.
    AwaitProcessed(HubTime),
    /// It is repeated then.
    RetryAt(HubTime),
}

impl Session {
    /// Takes another capability list. The same one is reported again too, as the cloud's picture of it was seen to be
    /// wrong (EqualizerController 1.0); once is enough while its report is still due.
    pub(super) fn on_redeclare(&mut self, capabilities: Arc<Vec<Value>>) {
        if !self.declared && self.config.identity.capabilities == capabilities {
            return;
        }
        self.config.identity.capabilities = capabilities;
        self.undeclare();
        for conn in &mut self.conns {
            // What is on its way names the old list; its confirmation says nothing about the new one.
            conn.report = None;
            conn.rereport = Rereport::Idle;
            conn.report_failures = 0;
        }
    }

    pub(super) fn undeclare(&mut self) {
        self.declared = false;
        match self.declaring {
            // The answer that is still to come is about the old list.
            Declaring::Running(_) => self.declaring = Declaring::Outdated,
            Declaring::Outdated => {}
            Declaring::Idle | Declaring::RetryAt(..) => self.declaring = Declaring::Idle,
        }
    }

    /// The capabilities were accepted as they are now.
    pub(super) fn set_declared(&mut self) {
        self.declared = true;
        let name = declare::fingerprint(&self.config.identity, self.config.stack, &self.gateway);
        self.out.push_back(Output::Declared(name));
    }

    /// Sends the report that is due on an open connection.
    pub(super) fn drive_rereport(&mut self) {
        if self.declared || self.config.stack != Stack::Modern {
            return;
        }
        let Some(conn) = self.current() else { return };
        let (id, rereport) = (conn.id, conn.rereport);
        let idle = conn.phase == Phase::Open && conn.unanswered.is_none() && self.has_room(conn);
        match rereport {
            Rereport::AwaitProcessed(limit) if limit <= self.now => {
                self.rereport_failed(id, StepFailed::NoAnswer);
                return;
            }
            Rereport::RetryAt(at) if at > self.now => return,
            Rereport::Asked | Rereport::AwaitProcessed(_) => return,
            Rereport::Idle | Rereport::RetryAt(_) => {}
        }
        let Some(token) = self.token.clone().filter(|_| idle) else { return };
        let event = declare::report(&self.config.identity, &token);
        let correlation = event.header.event_correlation_token.clone();
        if self.ask(id, Kind::Opening(Step::Report), Some(Pending::opening(event, self.now))).is_none() {
            return;
        }
        if let Some(conn) = self.conn(id) {
            conn.report = correlation;
            conn.rereport = Rereport::Asked;
        }
    }

    /// The report was answered 2xx.
    pub(super) fn rereport_accepted(&mut self, id: ConnId) {
        let limit = self.now + self.config.timers.processed;
        let declared = self.declared;
        if let Some(conn) = self.conn(id).filter(|c| c.rereport == Rereport::Asked) {
            conn.rereport = if declared { Rereport::Idle } else { Rereport::AwaitProcessed(limit) };
        }
    }

    /// The report was refused, or nothing came of it.
    pub(super) fn rereport_failed(&mut self, id: ConnId, failed: StepFailed) {
        let Some(conn) = self.conns.iter_mut().find(|c| c.id == id) else { return };
        if conn.rereport == Rereport::Idle {
            return;
        }
        // A list that is wrong stays wrong: the last delay of the table.
        let wrong = matches!(failed, StepFailed::Status(status @ 400..500) if status != 429);
        conn.report_failures = if wrong { u32::MAX } else { conn.report_failures.saturating_add(1) };
        let delay = self.jitter.delay(&self.config.timers.event_delays, conn.report_failures, (0.66, 1.5));
        conn.rereport = Rereport::RetryAt(self.now + delay);
    }
}
