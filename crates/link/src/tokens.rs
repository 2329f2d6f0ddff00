//! A speaker's tokens as a machine without I/O: refresh in time, repeat on failure, store a rotated refresh token before
//! its access token is used, code-based linking. Driven by `connection`, which performs the calls: `handle`, then `poll`
//! until it yields `Out::Wait`.
//!
//! Sources: Amazon's LWA pages and the AVS Device SDK's LWA adapter (delays, table of errors).

use std::collections::VecDeque;
use std::time::Duration;

use antiphon_avs::session::Secret;
use antiphon_domain::HubTime;

use crate::LwaError;
use crate::answers::{CodePair, Grant};
use crate::error::Class;
use crate::event::LoginReason;

/// Code pairs shown in a row before linking is given up.
const MAX_PAIRS: u32 = 3;

/// Longest distance of two polls (AVS Device SDK: 60 s).
const MAX_POLL: Duration = Duration::from_secs(60);

/// Time limits of the login.
#[derive(Clone, Debug)]
pub struct TokenTimers {
    /// A token is refreshed this long before it expires, or at half its life if that is sooner (SDK: 10 min).
    pub refresh_early: Duration,
    /// Delays after failed calls; the last repeats (SDK: 0, 1, 2, 4, 10, 30, 60 s).
    pub delays: Vec<Duration>,
    /// Least distance of two polls for a code pair (SDK: 5 s).
    pub poll_least: Duration,
}

impl Default for TokenTimers {
    fn default() -> Self {
        let delays = [0, 1, 2, 4, 10, 30, 60].map(Duration::from_secs).to_vec();
        Self { refresh_early: Duration::from_secs(600), delays, poll_least: Duration::from_secs(5) }
    }
}

#[derive(Debug)]
pub(crate) enum In {
    Login,
    Logout,
    CodePair(Result<CodePair, LwaError>),
    Polled(Result<Grant, LwaError>),
    Refreshed(Result<Grant, LwaError>),
    Persisted(bool),
    /// AVS refused this access token.
    Refused(Secret),
    Wake,
}

#[derive(Debug)]
pub(crate) enum Out {
    AskCodePair,
    Poll(CodePair),
    Refresh(Secret),
    Persist(Secret),
    ShowCode(CodePair, HubTime),
    LoggedIn,
    Usable(Secret),
    Unusable,
    NeedsLogin(LoginReason),
    Wait(Option<HubTime>),
}

/// What is being done. `…Due` waits for its moment, `…Asked` for an answer.
#[derive(Debug)]
enum Phase {
    Idle,
    PairDue(HubTime),
    PairAsked,
    PollDue(HubTime, Polling),
    PollAsked(Polling),
    RefreshDue(HubTime),
    /// Since when: lifetimes count from the moment of asking.
    RefreshAsked(HubTime),
    PersistDue(HubTime, Fresh),
    PersistAsked(Fresh),
}

#[derive(Clone, Debug)]
struct Polling {
    pair: CodePair,
    interval: Duration,
    dies: HubTime,
}

#[derive(Debug)]
struct Fresh {
    grant: Grant,
    expires: HubTime,
}

/// The tokens of one speaker.
#[derive(Debug)]
pub(crate) struct Tokens {
    timers: TokenTimers,
    refresh: Option<Secret>,
    access: Option<(Secret, HubTime)>,
    phase: Phase,
    failures: u32,
    pairs: u32,
    /// A login by code is under way; its tokens are not proved yet.
    linking: bool,
    out: VecDeque<Out>,
    now: HubTime,
}

impl Tokens {
    pub(crate) fn new(timers: TokenTimers, refresh: Option<Secret>, now: HubTime) -> Self {
        let mut tokens = Self {
            timers,
            refresh,
            access: None,
            phase: Phase::Idle,
            failures: 0,
            pairs: 0,
            linking: false,
            out: VecDeque::new(),
            now,
        };
        match tokens.refresh {
            Some(_) => tokens.phase = Phase::RefreshDue(now),
            None => tokens.out.push_back(Out::NeedsLogin(LoginReason::NoToken)),
        }
        tokens
    }

    /// Takes news; an answer to a question that is no longer asked means nothing.
    pub(crate) fn handle(&mut self, input: In, now: HubTime) {
        self.now = now;
        match input {
            In::Login => {
                self.linking = true;
                self.pairs = 0;
                self.failures = 0;
                self.phase = Phase::PairDue(now);
            }
            In::Logout => self.lose(LoginReason::LoggedOut),
            In::CodePair(answer) => self.on_pair(answer),
            In::Polled(answer) => self.on_polled(answer),
            In::Refreshed(answer) => self.on_refreshed(answer),
            In::Persisted(stored) => self.on_persisted(stored),
            In::Refused(token) => {
                // Ignored if the token has been replaced meanwhile.
                if self.access.as_ref().is_some_and(|(access, _)| *access == token) {
                    self.access = None;
                    if matches!(self.phase, Phase::RefreshDue(_)) {
                        self.phase = Phase::RefreshDue(now);
                    }
                }
            }
            In::Wake => {}
        }
        self.advance();
    }

    pub(crate) fn poll(&mut self) -> Out {
        match self.out.pop_front() {
            Some(out) => out,
            None => Out::Wait(self.deadline()),
        }
    }

    /// When it asks again, while there is no token because the last question failed.
    pub(crate) fn asks_again(&self) -> Option<HubTime> {
        match self.phase {
            Phase::RefreshDue(at) if self.access.is_none() && self.failures > 0 => Some(at),
            _ => None,
        }
    }

    fn deadline(&self) -> Option<HubTime> {
        let due = match &self.phase {
            Phase::PairDue(at) | Phase::PollDue(at, _) | Phase::RefreshDue(at) | Phase::PersistDue(at, _) => {
                Some(*at)
            }
            _ => None,
        };
        [due, self.access.as_ref().map(|(_, expires)| *expires)].into_iter().flatten().min()
    }

    fn advance(&mut self) {
        if self.access.as_ref().is_some_and(|(_, expires)| *expires <= self.now) {
            self.access = None;
            self.out.push_back(Out::Unusable);
        }
        let due = match &self.phase {
            Phase::PairDue(at) | Phase::PollDue(at, _) | Phase::RefreshDue(at) | Phase::PersistDue(at, _) => {
                *at
            }
            _ => return,
        };
        if due > self.now {
            return;
        }
        self.phase = match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::PairDue(_) => {
                self.out.push_back(Out::AskCodePair);
                Phase::PairAsked
            }
            Phase::PollDue(_, polling) if polling.dies <= self.now => {
                self.pairs += 1;
                if self.pairs >= MAX_PAIRS {
                    return self.lose(LoginReason::CodeUnused);
                }
                self.out.push_back(Out::AskCodePair);
                Phase::PairAsked
            }
            Phase::PollDue(_, polling) => {
                self.out.push_back(Out::Poll(polling.pair.clone()));
                Phase::PollAsked(polling)
            }
            Phase::RefreshDue(_) => match &self.refresh {
                Some(refresh) => {
                    self.out.push_back(Out::Refresh(refresh.clone()));
                    Phase::RefreshAsked(self.now)
                }
                None => Phase::Idle,
            },
            Phase::PersistDue(_, fresh) => {
                self.out.push_back(Out::Persist(fresh.grant.refresh_token.clone()));
                Phase::PersistAsked(fresh)
            }
            other => other,
        };
    }

    fn on_pair(&mut self, answer: Result<CodePair, LwaError>) {
        if !matches!(self.phase, Phase::PairAsked) {
            return;
        }
        match answer {
            Ok(pair) => {
                self.failures = 0;
                let interval = pair.interval.max(self.timers.poll_least);
                let dies = self.now + pair.expires_in;
                self.out.push_back(Out::ShowCode(pair.clone(), dies));
                self.phase = Phase::PollDue(self.now + interval, Polling { pair, interval, dies });
            }
            Err(error) if error.class() == Class::GiveUp => {
                self.lose(LoginReason::Refused(error.code().into()))
            }
            Err(_) => self.phase = Phase::PairDue(self.now + self.next_delay()),
        }
    }

    fn on_polled(&mut self, answer: Result<Grant, LwaError>) {
        let Phase::PollAsked(polling) = &self.phase else { return };
        let mut polling = polling.clone();
        match answer {
            Ok(grant) => {
                // The access token counts as expired: the first refresh proves refresh token and client id (SDK).
                self.refresh = Some(grant.refresh_token);
                self.failures = 0;
                self.phase = Phase::RefreshDue(self.now);
            }
            Err(error) => {
                if error.code() == "slow_down" {
                    polling.interval = (polling.interval * 2).min(MAX_POLL);
                } else if error.class() != Class::Retry {
                    return self.lose(LoginReason::Refused(error.code().into()));
                }
                self.phase = Phase::PollDue((self.now + polling.interval).min(polling.dies), polling);
            }
        }
    }

    fn on_refreshed(&mut self, answer: Result<Grant, LwaError>) {
        let Phase::RefreshAsked(asked) = self.phase else { return };
        match answer {
            Ok(grant) => {
                self.failures = 0;
                let fresh = Fresh { expires: asked + grant.expires_in, grant };
                if self.linking || self.refresh.as_ref() != Some(&fresh.grant.refresh_token) {
                    self.phase = Phase::PersistDue(self.now, fresh);
                } else {
                    self.use_fresh(fresh);
                }
            }
            Err(error) => match error.class() {
                Class::Retry => self.phase = Phase::RefreshDue(self.now + self.next_delay()),
                Class::Authorise => self.lose(LoginReason::Revoked),
                Class::GiveUp => self.lose(LoginReason::Refused(error.code().into())),
            },
        }
    }

    fn on_persisted(&mut self, stored: bool) {
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::PersistAsked(fresh) if stored => {
                self.failures = 0;
                self.use_fresh(fresh);
                if std::mem::take(&mut self.linking) {
                    self.out.push_back(Out::LoggedIn);
                }
            }
            Phase::PersistAsked(fresh) => {
                // At least a second: a store that is gone is not back at once.
                let delay = self.next_delay().max(Duration::from_secs(1));
                self.phase = Phase::PersistDue(self.now + delay, fresh);
            }
            other => self.phase = other,
        }
    }

    fn use_fresh(&mut self, fresh: Fresh) {
        let Fresh { grant, expires } = fresh;
        let life = expires.since(self.now);
        let early = self.timers.refresh_early.min(life / 2);
        // Up to a tenth earlier, so that a house of speakers does not refresh in one moment.
        let due = expires - early.mul_f64(1.0 + 0.1 * rand::random::<f64>());
        self.refresh = Some(grant.refresh_token);
        self.phase = Phase::RefreshDue(due.max(self.now));
        self.access = Some((grant.access_token.clone(), expires));
        self.out.push_back(Out::Usable(grant.access_token));
    }

    fn lose(&mut self, why: LoginReason) {
        self.refresh = None;
        self.access = None;
        self.linking = false;
        self.phase = Phase::Idle;
        self.out.push_back(Out::NeedsLogin(why));
    }

    fn next_delay(&mut self) -> Duration {
        let delays = &self.timers.delays;
        let index = (self.failures as usize).min(delays.len().saturating_sub(1));
        self.failures = self.failures.saturating_add(1);
        let base = delays.get(index).copied().unwrap_or(Duration::from_secs(1));
        base.mul_f64(0.5 + rand::random::<f64>())
    }
}

#[cfg(test)]
mod tests;
