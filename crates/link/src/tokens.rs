//! A speaker's tokens as a machine without I/O: refresh in time, repeat on failure, store a rotated refresh token before
//! its access token is used, erase what was given up. Logging in is in `linking`. Driven by `connection`, which performs
//! the calls: `handle`, then `poll` until it yields `Out::Wait`.
//!
//! Promises: one write to the store at a time, the last word wins; an answer to a question that is no longer asked means
//! nothing. Sources: Amazon's LWA pages and the AVS Device SDK's LWA adapter (delays, table of errors).

mod linking;

use std::collections::VecDeque;
use std::time::Duration;

use antiphon_avs::session::Secret;
use antiphon_domain::HubTime;

use crate::LwaError;
use crate::answers::{CodePair, Tokens as Granted};
use crate::authorization::{Code, LoginError, Requests};
use crate::credentials::{Client, Credentials};
use crate::error::Class;
use crate::event::LoginReason;
use linking::Linking;
pub(crate) use linking::Method;

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
    /// The code pair asked for with this ticket.
    Pair(u32, Result<CodePair, LwaError>),
    /// The tokens asked for with this ticket.
    Granted(u32, Result<Granted, LwaError>),
    /// Whether the store took the last `Out::Persist`.
    Persisted(bool),
    /// AVS refused this access token.
    Refused(Secret),
    Wake,
}

/// What Login with Amazon is asked.
#[derive(Clone, Debug)]
pub(crate) enum Question {
    CodePair,
    Poll(CodePair),
    Exchange(Code),
    Refresh(Credentials),
}

#[derive(Debug)]
pub(crate) enum Out {
    /// Ask, and give the answer back with this ticket.
    Ask(u32, Question),
    /// Store this text; empty: nothing may remain.
    Persist(Secret),
    ShowCode(CodePair, HubTime),
    /// Another account's token follows: nothing of the old one's may go on.
    NewAccount,
    Usable(Secret),
    Unusable,
    NeedsLogin(LoginReason),
    /// The account is gone.
    AccountGone,
    /// What a login came to.
    Settled(Method, Result<(), (LoginReason, LoginError)>),
    Wait(Option<HubTime>),
}

/// What is done about the tokens in use. `…Due` waits for its moment, `…Asked` for an answer.
#[derive(Debug)]
enum Keeping {
    Idle,
    RefreshDue(HubTime),
    /// With which ticket and since when: lifetimes count from the moment of asking.
    RefreshAsked(u32, HubTime),
    /// A rotated token is on its way to the store.
    Storing,
}

/// Tokens fresh from LWA that are not on disk yet.
#[derive(Clone, Debug)]
struct Fresh {
    credentials: Credentials,
    access: Secret,
    expires: HubTime,
}

/// What the store is to hold.
#[derive(Clone, Debug)]
enum Write {
    Rotated(Fresh),
    Linked(Fresh),
    Nothing,
}

/// The tokens of one speaker.
#[derive(Debug)]
pub(crate) struct Tokens {
    timers: TokenTimers,
    own: Client,
    kept: Option<Credentials>,
    access: Option<(Secret, HubTime)>,
    keeping: Keeping,
    failures: u32,
    linking: Linking,
    pub(crate) requests: Requests,
    /// What waits to be stored, and since which moment it may be tried.
    unwritten: Option<(HubTime, Write)>,
    /// What the store is busy with.
    writing: Option<Write>,
    write_failures: u32,
    tickets: u32,
    out: VecDeque<Out>,
    now: HubTime,
}

impl Tokens {
    /// `stored` is what was persisted last, `own` the configured client.
    pub(crate) fn new(timers: TokenTimers, own: Client, stored: Option<Secret>, now: HubTime) -> Self {
        let kept = stored.as_ref().and_then(|text| Credentials::unpack(text, &own));
        let mut tokens = Self {
            timers,
            own,
            access: None,
            keeping: Keeping::Idle,
            failures: 0,
            linking: Linking::default(),
            requests: Requests::default(),
            unwritten: None,
            writing: None,
            write_failures: 0,
            tickets: 0,
            out: VecDeque::new(),
            now,
            kept,
        };
        match (&tokens.kept, stored) {
            (Some(_), _) => tokens.keeping = Keeping::RefreshDue(now),
            (None, Some(_)) => tokens.out.push_back(Out::NeedsLogin(LoginReason::LoggedOut)),
            (None, None) => tokens.out.push_back(Out::NeedsLogin(LoginReason::NoToken)),
        }
        tokens
    }

    pub(crate) fn handle(&mut self, input: In, now: HubTime) {
        self.now = now;
        match input {
            In::Login => self.link_by_code(),
            In::Logout => self.log_out(LoginReason::LoggedOut),
            In::Pair(ticket, answer) => self.on_pair(ticket, answer),
            In::Granted(ticket, answer) => match self.keeping {
                Keeping::RefreshAsked(asked, since) if asked == ticket => self.on_refreshed(since, answer),
                _ => self.on_link_granted(ticket, answer),
            },
            In::Persisted(stored) => self.on_persisted(stored),
            In::Refused(token) => {
                // Ignored if the token has been replaced meanwhile.
                if self.access.as_ref().is_some_and(|(access, _)| *access == token) {
                    self.access = None;
                    if matches!(self.keeping, Keeping::RefreshDue(_)) {
                        self.keeping = Keeping::RefreshDue(now);
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
        match self.keeping {
            Keeping::RefreshDue(at) if self.access.is_none() && self.failures > 0 => Some(at),
            _ => None,
        }
    }

    /// The access token that is good now.
    pub(crate) fn access(&self) -> Option<&Secret> {
        self.access.as_ref().map(|(access, _)| access)
    }

    /// Whether nothing waits to be stored or erased.
    pub(crate) fn is_settled(&self) -> bool {
        self.unwritten.is_none() && self.writing.is_none()
    }

    fn deadline(&self) -> Option<HubTime> {
        let refresh = match self.keeping {
            Keeping::RefreshDue(at) => Some(at),
            _ => None,
        };
        let expiry = self.access.as_ref().map(|(_, expires)| *expires);
        let write = self.unwritten.as_ref().filter(|_| self.writing.is_none()).map(|(at, _)| *at);
        [refresh, expiry, write, self.linking.deadline()].into_iter().flatten().min()
    }

    fn advance(&mut self) {
        if self.access.as_ref().is_some_and(|(_, expires)| *expires <= self.now) {
            self.access = None;
            self.out.push_back(Out::Unusable);
        }
        if let Keeping::RefreshDue(at) = self.keeping
            && at <= self.now
        {
            self.keeping = match self.kept.clone() {
                Some(kept) => Keeping::RefreshAsked(self.ask(Question::Refresh(kept)), self.now),
                None => Keeping::Idle,
            };
        }
        self.advance_linking();
        if self.writing.is_none()
            && let Some((_, write)) = self.unwritten.take_if(|(at, _)| *at <= self.now)
        {
            let text = match &write {
                Write::Rotated(fresh) | Write::Linked(fresh) => fresh.credentials.pack(&self.own),
                Write::Nothing => Secret::new(""),
            };
            self.out.push_back(Out::Persist(text));
            self.writing = Some(write);
        }
    }

    fn ask(&mut self, question: Question) -> u32 {
        self.tickets = self.tickets.wrapping_add(1);
        self.out.push_back(Out::Ask(self.tickets, question));
        self.tickets
    }

    fn on_refreshed(&mut self, since: HubTime, answer: Result<Granted, LwaError>) {
        let Some(kept) = self.kept.clone() else { return };
        match answer {
            Ok(granted) => {
                self.failures = 0;
                let fresh = fresh(granted, kept.client.clone(), since);
                if fresh.credentials == kept {
                    self.use_fresh(fresh);
                } else {
                    self.keeping = Keeping::Storing;
                    // A new account that is on its way to the store takes this one's place anyway.
                    if !self.is_storing_login() {
                        self.unwritten = Some((self.now, Write::Rotated(fresh)));
                    }
                }
            }
            Err(error) => match error.class() {
                Class::Retry => {
                    let delay = delay(&self.timers.delays, &mut self.failures);
                    self.keeping = Keeping::RefreshDue(self.now + delay);
                }
                Class::Authorise => self.log_out(LoginReason::Revoked),
                // A client that is refused is no log-out: the stored token may be good when the configuration is.
                Class::GiveUp => {
                    self.kept = None;
                    self.access = None;
                    self.keeping = Keeping::Idle;
                    self.out.push_back(Out::NeedsLogin(LoginReason::Refused(error.code().into())));
                }
            },
        }
    }

    fn on_persisted(&mut self, stored: bool) {
        let Some(write) = self.writing.take() else { return };
        if !stored {
            // At least a second: a store that is gone is not back at once. A later word needs not wait for it.
            let delay = delay(&self.timers.delays, &mut self.write_failures).max(Duration::from_secs(1));
            self.unwritten.get_or_insert((self.now + delay, write));
            return;
        }
        self.write_failures = 0;
        if self.unwritten.is_some() {
            // Overruled while it was being written.
            return;
        }
        match write {
            Write::Rotated(fresh) => self.use_fresh(fresh),
            Write::Linked(fresh) => {
                self.out.push_back(Out::NewAccount);
                self.use_fresh(fresh);
                self.settle_linking();
            }
            Write::Nothing => {}
        }
    }

    fn use_fresh(&mut self, fresh: Fresh) {
        let Fresh { credentials, access, expires } = fresh;
        let life = expires.since(self.now);
        let early = self.timers.refresh_early.min(life / 2);
        // Up to a tenth earlier, so that a house of speakers does not refresh in one moment.
        let due = expires - early.mul_f64(1.0 + 0.1 * rand::random::<f64>());
        self.kept = Some(credentials);
        self.failures = 0;
        self.keeping = Keeping::RefreshDue(due.max(self.now));
        self.access = Some((access.clone(), expires));
        self.out.push_back(Out::Usable(access));
    }

    /// Forgets the account, here and in the store.
    fn log_out(&mut self, why: LoginReason) {
        self.kept = None;
        self.access = None;
        self.keeping = Keeping::Idle;
        if why == LoginReason::LoggedOut {
            self.requests.clear();
            self.fail_linking(LoginReason::LoggedOut, LoginError::Superseded);
        }
        // A login that was on its way to the store stays: it is of a later grant than what was revoked.
        if why != LoginReason::Revoked || !self.is_storing_login() {
            self.unwritten = Some((self.now, Write::Nothing));
        }
        self.out.push_back(Out::NeedsLogin(why));
        self.out.push_back(Out::AccountGone);
    }

    fn is_storing_login(&self) -> bool {
        let waiting = self.unwritten.as_ref().map(|(_, write)| write);
        waiting.or(self.writing.as_ref()).is_some_and(|write| matches!(write, Write::Linked(_)))
    }
}

/// Tokens as they were granted to `client`, asked for at `since`.
fn fresh(granted: Granted, client: Client, since: HubTime) -> Fresh {
    let Granted { access_token, refresh_token, expires_in } = granted;
    let credentials = Credentials { token: refresh_token, client };
    Fresh { credentials, access: access_token, expires: since + expires_in }
}

/// The next delay of a table, jittered, counting the failure.
fn delay(table: &[Duration], failures: &mut u32) -> Duration {
    let index = (*failures as usize).min(table.len().saturating_sub(1));
    *failures = failures.saturating_add(1);
    let base = table.get(index).copied().unwrap_or(Duration::from_secs(1));
    base.mul_f64(0.5 + rand::random::<f64>())
}

#[cfg(test)]
mod tests;
