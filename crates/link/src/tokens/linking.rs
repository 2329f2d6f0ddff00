//! Logging in, beside the tokens that are in use: by a code pair, or by a code that an application, a site or the hub's own
//! page brought. Part of `Tokens`; the account that is there goes on until the new one is proved and stored.
//!
//! Sources: Amazon's "Code-Based Linking" pages; the AVS Device SDK's CBL adapter (table of errors, first refresh as proof).

use std::time::Duration;

use antiphon_domain::HubTime;

use super::{Granted, Out, Question, Tokens, Write, delay, fresh};
use crate::LwaError;
use crate::answers::CodePair;
use crate::authorization::{AuthorizationAnswer, Code, Grant, LoginError};
use crate::credentials::{Client, Credentials};
use crate::error::Class;
use crate::event::LoginReason;

/// Code pairs shown in a row before linking is given up.
const MAX_PAIRS: u32 = 3;

/// Longest distance of two polls (AVS Device SDK: 60 s).
const MAX_POLL: Duration = Duration::from_secs(60);

/// Times a code pair, or the proof of new tokens, is asked for again in vain before a person is told so: the SDK's
/// table of delays to its end.
const MAX_TRIES: u32 = 8;

/// Times an authorization code is offered while LWA cannot be reached; the person waits, and the code dies soon.
const MAX_EXCHANGES: u32 = 5;

/// A way to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// A person enters a code that is shown.
    CodePair,
    /// A code is brought.
    Grant(Grant),
}

impl Method {
    /// The label of metrics.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::CodePair => "code",
            Self::Grant(Grant::App) => "app",
            Self::Grant(Grant::Site) => "site",
            Self::Grant(Grant::Local) => "local",
        }
    }
}

/// A login under way, if any.
#[derive(Debug, Default)]
pub(super) struct Linking {
    step: Step,
    method: Option<Method>,
    failures: u32,
    pairs: u32,
}

/// `…Due` waits for its moment, `…Asked` for the answer with that ticket.
#[derive(Debug, Default)]
enum Step {
    #[default]
    Idle,
    PairDue(HubTime),
    PairAsked(u32),
    PollDue(HubTime, Polling),
    PollAsked(u32, Polling),
    ExchangeDue(HubTime, Code),
    ExchangeAsked(u32, Code),
    /// The access token counts as expired: the first refresh proves refresh token and client id (SDK).
    ProofDue(HubTime, Credentials),
    ProofAsked(u32, HubTime, Credentials),
    /// Proved; the store has the word.
    Storing,
}

#[derive(Clone, Debug)]
struct Polling {
    pair: CodePair,
    interval: Duration,
    dies: HubTime,
}

impl Linking {
    pub(super) fn deadline(&self) -> Option<HubTime> {
        match &self.step {
            Step::PairDue(at) | Step::PollDue(at, _) | Step::ExchangeDue(at, _) | Step::ProofDue(at, _) => {
                Some(*at)
            }
            _ => None,
        }
    }
}

impl Tokens {
    /// Whether a login is under way.
    pub(crate) fn is_linking(&self) -> bool {
        self.linking.method.is_some()
    }

    pub(super) fn link_by_code(&mut self) {
        self.begin_linking(Method::CodePair, Step::PairDue(self.now));
    }

    /// Takes a code that was brought; what comes of it is told by `Out::Settled`.
    pub(crate) fn authorize(&mut self, answer: AuthorizationAnswer, now: HubTime) -> Result<(), LoginError> {
        self.now = now;
        let (grant, code) = self.requests.take(answer, &self.own, now)?;
        self.begin_linking(Method::Grant(grant), Step::ExchangeDue(now, code));
        self.advance();
        Ok(())
    }

    fn begin_linking(&mut self, method: Method, step: Step) {
        self.fail_linking(LoginReason::LoggedOut, LoginError::Superseded);
        self.linking = Linking { step, method: Some(method), ..Linking::default() };
    }

    pub(super) fn advance_linking(&mut self) {
        if self.linking.deadline().is_none_or(|at| at > self.now) {
            return;
        }
        self.linking.step = match std::mem::take(&mut self.linking.step) {
            Step::PairDue(_) => Step::PairAsked(self.ask(Question::CodePair)),
            Step::PollDue(_, polling) if polling.dies <= self.now => return self.next_pair(),
            Step::PollDue(_, polling) => {
                Step::PollAsked(self.ask(Question::Poll(polling.pair.clone())), polling)
            }
            Step::ExchangeDue(_, code) => {
                Step::ExchangeAsked(self.ask(Question::Exchange(code.clone())), code)
            }
            Step::ProofDue(_, credentials) => {
                let ticket = self.ask(Question::Refresh(credentials.clone()));
                Step::ProofAsked(ticket, self.now, credentials)
            }
            other => other,
        };
    }

    /// The pair is dead: another, as long as somebody may still be there.
    fn next_pair(&mut self) {
        self.linking.pairs += 1;
        if self.linking.pairs >= MAX_PAIRS {
            let code = "expired_token".into();
            return self.fail_linking(LoginReason::CodeUnused, LoginError::Refused { code });
        }
        self.linking.step = Step::PairAsked(self.ask(Question::CodePair));
    }

    pub(super) fn on_pair(&mut self, ticket: u32, answer: Result<CodePair, LwaError>) {
        if !matches!(self.linking.step, Step::PairAsked(asked) if asked == ticket) {
            return;
        }
        match answer {
            Ok(pair) => {
                self.linking.failures = 0;
                let interval = pair.interval.max(self.timers.poll_least);
                let dies = self.now + pair.expires_in;
                self.out.push_back(Out::ShowCode(pair.clone(), dies));
                let polling = Polling { pair, interval, dies };
                self.linking.step = Step::PollDue((self.now + interval).min(dies), polling);
            }
            Err(error) if error.class() == Class::Retry && self.linking.failures < MAX_TRIES => {
                let delay = delay(&self.timers.delays, &mut self.linking.failures);
                self.linking.step = Step::PairDue(self.now + delay);
            }
            Err(error) => self.fail_linking_by(&error),
        }
    }

    pub(super) fn on_link_granted(&mut self, ticket: u32, answer: Result<Granted, LwaError>) {
        let asked = match &self.linking.step {
            Step::PollAsked(asked, _) | Step::ExchangeAsked(asked, _) | Step::ProofAsked(asked, ..) => *asked,
            _ => return,
        };
        if asked != ticket {
            return;
        }
        match std::mem::take(&mut self.linking.step) {
            Step::PollAsked(_, polling) => self.on_polled(polling, answer),
            Step::ExchangeAsked(_, code) => self.on_exchanged(code, answer),
            Step::ProofAsked(_, since, credentials) => self.on_proof(since, credentials, answer),
            other => self.linking.step = other,
        }
    }

    fn on_polled(&mut self, mut polling: Polling, answer: Result<Granted, LwaError>) {
        match answer {
            Ok(granted) => {
                // The code pair's tokens are refreshed without a secret (SDK).
                let client = Client { id: self.own.id.clone(), secret: None };
                self.prove(granted, client);
            }
            Err(error) if error.code() == "invalid_code_pair" => self.next_pair(),
            Err(error) if error.class() != Class::Retry => self.fail_linking_by(&error),
            Err(error) => {
                if error.code() == "slow_down" {
                    polling.interval = (polling.interval * 2).min(MAX_POLL);
                }
                let at = (self.now + polling.interval).min(polling.dies);
                self.linking.step = Step::PollDue(at, polling);
            }
        }
    }

    fn on_exchanged(&mut self, code: Code, answer: Result<Granted, LwaError>) {
        match answer {
            Ok(granted) => self.prove(granted, code.client),
            Err(error) if error.class() == Class::Retry && self.linking.failures < MAX_EXCHANGES => {
                let delay = delay(&self.timers.delays, &mut self.linking.failures);
                self.linking.step = Step::ExchangeDue(self.now + delay, code);
            }
            Err(error) => self.fail_linking_by(&error),
        }
    }

    fn prove(&mut self, granted: Granted, client: Client) {
        self.linking.failures = 0;
        let credentials = Credentials { token: granted.refresh_token, client };
        self.linking.step = Step::ProofDue(self.now, credentials);
    }

    fn on_proof(&mut self, since: HubTime, credentials: Credentials, answer: Result<Granted, LwaError>) {
        match answer {
            Ok(granted) => {
                self.linking.step = Step::Storing;
                let linked = Write::Linked(fresh(granted, credentials.client, since));
                self.unwritten = Some((self.now, linked));
            }
            Err(error) if error.class() == Class::Retry && self.linking.failures < MAX_TRIES => {
                let delay = delay(&self.timers.delays, &mut self.linking.failures);
                self.linking.step = Step::ProofDue(self.now + delay, credentials);
            }
            Err(error) => self.fail_linking_by(&error),
        }
    }

    fn fail_linking_by(&mut self, error: &LwaError) {
        match error.class() {
            Class::Retry => self.fail_linking(LoginReason::Unreachable, LoginError::Unreachable),
            _ => {
                let code = error.code().to_owned();
                self.fail_linking(LoginReason::Refused(code.clone()), LoginError::Refused { code });
            }
        }
    }

    /// Ends a login, if one is under way; the account that is there is not touched.
    pub(super) fn fail_linking(&mut self, why: LoginReason, error: LoginError) {
        let Some(method) = self.linking.method else { return };
        self.linking = Linking::default();
        if self.kept.is_none() && error != LoginError::Superseded {
            self.out.push_back(Out::NeedsLogin(why.clone()));
        }
        self.out.push_back(Out::Settled(method, Err((why, error))));
    }

    /// The store has the new account's token. A login that began since goes on.
    pub(super) fn settle_linking(&mut self) {
        if matches!(self.linking.step, Step::Storing)
            && let Some(method) = self.linking.method
        {
            self.linking = Linking::default();
            self.out.push_back(Out::Settled(method, Ok(())));
        }
    }
}
