//! The connection machine of one speaker: token, declaration, connections, downchannel, opening events, events, pings,
//! renewal, backoff. Sans-IO: a driver (`link`) feeds [`Session::handle_input`] with news and the time, then drains
//! [`Session::poll_output`] until it yields [`Output::Wait`] before the next input goes in.
//!
//! Promises: one connection in use and the old ones only until drained; SynchronizeState before any ordinary event;
//! the next event starts only after the previous one's response headers; no repeat without a growing delay; memory
//! bounded by [`SessionConfig`]. Sources: Amazon's HTTP/2 pages and the AVS Device SDK, as noted in `config`.

mod backoff;
mod config;
mod connection;
mod declare;
mod directive;
mod opening;
mod queue;
mod redeclare;
mod response;
mod speech;
mod types;

use std::collections::{BTreeMap, VecDeque};

use antiphon_domain::HubTime;

pub use antiphon_domain::Secret;
pub use config::{Identity, SessionConfig, Stack, Timers};
pub use declare::{capabilities_body, delete_report};
pub use types::{AudioPart, ConnId, DeclareFailed, EventOutcome, Input, Output, Request, State, WaitReason};

use crate::message::StreamId;
use backoff::Jitter;
use connection::{Conn, Phase};
use queue::Queue;
use response::Stream;

/// The connection machine of one speaker.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    jitter: Jitter,
    out: VecDeque<Output>,
    token: Option<Secret>,
    /// Counts tokens, to tell a refusal of the present one from a late refusal of an older one.
    token_age: u64,
    gateway: String,
    /// Whether VerifyGateway confirmed `gateway`.
    verified: bool,
    declared: bool,
    declaring: Declaring,
    conns: Vec<Conn>,
    streams: BTreeMap<StreamId, Stream>,
    queue: Queue,
    next_id: u64,
    /// Connection attempts since the last sound connection.
    attempts: u32,
    /// Refusals of a token since the last sound connection.
    refusals: u32,
    wait: Option<Wait>,
    /// No event starts before this moment (429).
    throttled: Option<HubTime>,
    throttles: u32,
    told: Option<State>,
    shut: bool,
    now: HubTime,
}

#[derive(Debug)]
enum Declaring {
    Idle,
    /// With so many failures before it.
    Running(u32),
    /// The list changed after the call began: whatever it brings, another follows.
    Outdated,
    RetryAt(HubTime, u32),
}

/// A pause before the next connection attempt.
#[derive(Debug)]
struct Wait {
    until: HubTime,
    why: WaitReason,
    /// A fresh token does not end it.
    firm: bool,
}

impl Session {
    /// A session without a token; `saved` is the gateway the cloud chose last time, `declared` the last
    /// [`Output::Declared`], `seed` feeds the jitter.
    pub fn new(config: SessionConfig, saved: Option<&str>, declared: Option<&str>, seed: u64) -> Self {
        let mut session = Self {
            gateway: directive::normal_gateway(&config.gateway).unwrap_or_else(|| config.gateway.clone()),
            jitter: Jitter::new(seed),
            out: VecDeque::new(),
            token: None,
            token_age: 0,
            verified: false,
            declared: false,
            declaring: Declaring::Idle,
            conns: Vec::new(),
            streams: BTreeMap::new(),
            queue: Queue::default(),
            next_id: 1,
            attempts: 0,
            refusals: 0,
            wait: None,
            throttled: None,
            throttles: 0,
            told: None,
            shut: false,
            now: HubTime::EPOCH,
            config,
        };
        if let Some(saved) = saved.and_then(directive::normal_gateway)
            && session.may_move_to(&saved)
        {
            session.gateway = saved;
        }
        if let Some(declared) = declared {
            let SessionConfig { identity, stack, .. } = &session.config;
            session.declared = declare::fingerprint(identity, *stack, &session.gateway) == declared;
        }
        session
    }

    /// Takes one piece of news that is true at `now`.
    pub fn handle_input(&mut self, input: Input, now: HubTime) {
        self.now = now;
        if self.shut {
            return;
        }
        match input {
            Input::Token(token) => self.on_token(token),
            Input::NoToken => self.token = None,
            Input::Declared(result) => self.on_declared(result),
            Input::Connected(conn) => self.on_connected(conn),
            Input::StreamLimit(conn, limit) => {
                if let Some(conn) = self.conn(conn) {
                    conn.stream_limit = limit;
                }
            }
            Input::GoAway(conn) => self.on_go_away(conn),
            Input::Closed(conn) => self.lose(conn, WaitReason::Unreachable),
            Input::Pong(conn) => {
                if let Some(conn) = self.conn(conn) {
                    conn.heard = now;
                    conn.pong_due = None;
                }
            }
            Input::Headers { stream, status, content_type } => {
                self.on_headers(stream, status, content_type.as_deref());
            }
            Input::Data { stream, bytes } => self.on_data(stream, bytes),
            Input::End(stream) => {
                self.touch(stream);
                self.end_stream(stream, response::Ending::Complete);
            }
            Input::Reset { stream, unprocessed } => {
                self.end_stream(stream, response::Ending::Torn { unprocessed });
            }
            Input::Busy(stream) => {
                if let Some(stream) = self.streams.get_mut(&stream) {
                    stream.progress = now;
                }
            }
            Input::Sent(stream) => self.on_sent(stream),
            Input::Uploaded(stream) => self.on_uploaded(stream),
            Input::Abandon(message_id) => self.abandon(&message_id),
            Input::Redeclare(capabilities) => self.on_redeclare(capabilities),
            Input::Post(event) => {
                let dropped = self.queue.push(event, now, self.config.max_waiting);
                self.out.extend(dropped.map(|p| p.outcome(EventOutcome::QueueFull)));
            }
            Input::Synchronize(event) => self.on_synchronize(event),
            Input::Hurry => self.wait = None,
            Input::Shutdown => return self.shut_down(),
            Input::Wake => {}
        }
        self.advance();
    }

    /// The next thing to do or tell; [`Output::Wait`] when there is nothing more.
    pub fn poll_output(&mut self) -> Output {
        match self.out.pop_front() {
            Some(output) => output,
            None => Output::Wait(self.deadline()),
        }
    }

    /// Whether an event is on its way or about to be: a moment's patience before [`Input::Shutdown`] lets it arrive.
    pub fn is_delivering(&self) -> bool {
        let open = self.current().is_some_and(|c| c.phase == Phase::Open) && self.token.is_some();
        let unanswered = self.streams.values().any(|s| s.kind == response::Kind::Event && s.event.is_some());
        open && (unanswered || !self.queue.is_empty())
    }

    /// Whether a connection is open on which directives are understood: the one in use, or while that is being renewed
    /// its predecessor.
    pub fn is_serving(&self) -> bool {
        self.conns.iter().any(|c| c.phase == Phase::Open)
    }

    /// Does everything that time and state now allow.
    fn advance(&mut self) {
        self.expire_streams();
        self.check_connections();
        self.close_drained();
        self.declare();
        self.connect();
        self.drive_opening();
        self.drive_rereport();
        let offline = self.current().is_none() && self.wait.is_some();
        self.queue.stale(self.now, self.config.timers.event_age, offline, &mut self.out);
        self.start_events();
        let state = self.state();
        if self.told != Some(state) {
            self.told = Some(state);
            self.out.push_back(Output::State(state));
        }
    }

    fn on_token(&mut self, token: Secret) {
        self.token = Some(token);
        self.token_age += 1;
        if self.wait.as_ref().is_some_and(|wait| !wait.firm) {
            self.wait = None;
        }
    }

    /// AVS refused the token that request `age` carried.
    fn refuse_token(&mut self, age: u64) {
        if age != self.token_age {
            return;
        }
        let Some(token) = self.token.take() else { return };
        self.out.push_back(Output::TokenRefused(token));
        self.refusals += 1;
        if self.refusals > 1 {
            // A fresh token was refused too: do not circle at the speed of the network.
            self.pause(WaitReason::Refused(403), true);
        }
    }

    fn on_declared(&mut self, result: Result<(), DeclareFailed>) {
        let failures = match self.declaring {
            Declaring::Running(failures) => failures,
            Declaring::Outdated => {
                self.declaring = Declaring::Idle;
                return;
            }
            Declaring::Idle | Declaring::RetryAt(..) => return,
        };
        match result {
            Ok(()) => {
                self.declaring = Declaring::Idle;
                self.set_declared();
            }
            Err(failed) => {
                if failed == DeclareFailed::Unauthorized {
                    self.refuse_token(self.token_age);
                }
                // Nothing helps a list that is wrong; the last delay of the table keeps it from being forgotten.
                let failures =
                    if failed == DeclareFailed::Invalid { u32::MAX } else { failures.saturating_add(1) };
                let delay = self.jitter.delay(&self.config.timers.event_delays, failures, (0.5, 1.5));
                self.declaring = Declaring::RetryAt(self.now + delay, failures);
            }
        }
    }

    fn declare(&mut self) {
        if self.config.stack != Stack::Legacy || self.declared {
            return;
        }
        let failures = match self.declaring {
            Declaring::Idle => 0,
            Declaring::RetryAt(at, failures) if at <= self.now => failures,
            Declaring::Running(_) | Declaring::Outdated | Declaring::RetryAt(..) => return,
        };
        if let Some(token) = self.token.clone() {
            self.declaring = Declaring::Running(failures);
            self.out.push_back(Output::Declare(token));
        }
    }

    fn may_move_to(&self, gateway: &str) -> bool {
        let host = directive::host_of(gateway);
        let home = directive::normal_gateway(&self.config.gateway);
        let home = home.as_deref().map(directive::host_of);
        home == Some(host) || directive::is_allowed(host, &self.config.allowed_gateways)
    }

    fn shut_down(&mut self) {
        self.shut = true;
        for conn in std::mem::take(&mut self.conns) {
            self.out.push_back(Output::Close(conn.id));
        }
        for stream in std::mem::take(&mut self.streams).into_values() {
            self.out.extend(
                stream
                    .event
                    .filter(|_| stream.kind == response::Kind::Event)
                    .map(|p| p.outcome(EventOutcome::Lost)),
            );
        }
        self.queue.clear(&mut self.out);
        self.out.push_back(Output::State(State::Closed));
    }

    fn state(&self) -> State {
        if let Some(conn) = self.current() {
            return match conn.phase {
                Phase::Open => State::Connected,
                Phase::Handshake | Phase::Downchannel => State::Connecting(self.attempts),
                _ => State::Synchronizing,
            };
        }
        match (&self.wait, &self.declaring) {
            _ if self.token.is_none() => State::WaitingForToken,
            (_, Declaring::RetryAt(at, _)) => State::Waiting(WaitReason::NotDeclared, *at),
            (_, Declaring::Running(_) | Declaring::Outdated) => State::Declaring,
            (Some(wait), _) => State::Waiting(wait.why, wait.until),
            (None, Declaring::Idle) => State::Connecting(self.attempts),
        }
    }

    fn deadline(&self) -> Option<HubTime> {
        if self.shut {
            return None;
        }
        let timers = &self.config.timers;
        let mut soonest: Option<HubTime> = None;
        let mut consider = |at: Option<HubTime>| {
            // What is past and still stands waits for news, not for time.
            if let Some(at) = at.filter(|at| *at > self.now) {
                soonest = Some(soonest.map_or(at, |s| s.min(at)));
            }
        };
        if self.token.is_some() {
            if self.current().is_none() {
                consider(self.wait.as_ref().map(|w| w.until));
            }
            if let Declaring::RetryAt(at, _) = self.declaring {
                consider(Some(at));
            }
        }
        let current = self.current();
        for conn in &self.conns {
            consider(conn.deadline(timers, self.token.is_some()));
            consider(self.drained_at(conn));
        }
        for stream in self.streams.values().filter(|s| s.is_event()) {
            consider(Some(stream.progress + timers.event_progress));
        }
        let sending = current.is_some_and(|c| matches!(c.phase, Phase::Open)) && self.token.is_some();
        consider(self.queue.deadline(timers.event_age, sending, self.now));
        consider(self.throttled);
        soonest
    }

    fn id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }
}
