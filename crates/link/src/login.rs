//! Accounts of a link: logging in by a brought code, logging out, leaving an account, whose account it is. Part of the
//! link's task; `tokens` decides, this performs.

use antiphon_avs::session::{EventOutcome, Input, Session, Stack, delete_report};
use antiphon_domain::HubTime;
use tokio::sync::oneshot;

use crate::authorization::{AuthorizationAnswer, LoginError};
use crate::calls::Done;
use crate::connection::{FAREWELL, Link};
use crate::event::{LinkEvent, LoginReason};
use crate::lwa;
use crate::tokens::{In, Method, Out, Question};

/// A DeleteReport under way, after which the link logs out.
pub(crate) struct Retiring {
    message_id: String,
    correlation: Option<String>,
    /// Patience ends.
    pub(crate) until: HubTime,
}

impl Link {
    pub(crate) fn authorize(
        &mut self,
        answer: AuthorizationAnswer,
        reply: oneshot::Sender<Result<(), LoginError>>,
    ) {
        match self.tokens.authorize(answer, self.now) {
            Ok(()) => {
                // What was under way is told as superseded before the new asker waits.
                self.drain_tokens();
                self.authorizing = Some(reply);
            }
            // Who asked has gone, maybe.
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    /// Asks Login with Amazon.
    pub(crate) fn ask_lwa(&mut self, ticket: u32, question: Question) {
        let http = self.clients.http.clone();
        let lwa = self.config.lwa.clone();
        match question {
            Question::CodePair => {
                let call = lwa::code_pair(http, self.config.clone());
                self.calls.add(async move { Done::Tokens(In::Pair(ticket, call.await)) });
            }
            Question::Poll(pair) => {
                let call = lwa::poll(http, lwa, pair);
                self.calls.add(async move { Done::Tokens(In::Granted(ticket, call.await)) });
            }
            Question::Exchange(code) => {
                let call = lwa::exchange(http, lwa, code);
                self.calls.add(async move { Done::Tokens(In::Granted(ticket, call.await)) });
            }
            Question::Refresh(credentials) => {
                let (call, refreshes) = (lwa::refresh(http, lwa, credentials), self.metrics.refreshes());
                self.calls.add(async move {
                    let answer = call.await;
                    refreshes.count(if answer.is_ok() { "ok" } else { "failed" });
                    Done::Tokens(In::Granted(ticket, answer))
                });
            }
        }
    }

    /// What a login came to.
    pub(crate) fn on_settled(&mut self, method: Method, result: Result<(), (LoginReason, LoginError)>) {
        self.metrics.login(method.word(), if result.is_ok() { "ok" } else { "failed" });
        if let (Method::Grant(_), Some(reply)) = (method, self.authorizing.take()) {
            let _ = reply.send(result.clone().map_err(|(_, error)| error));
        }
        match result {
            Ok(()) => (self.sink)(LinkEvent::LoggedIn),
            // Nobody is to be told that what he replaced is no more.
            Err((_, LoginError::Superseded)) => {}
            Err((why, error)) => {
                tracing::info!(speaker = %self.speaker, method = method.word(), %error, "login failed");
                (self.sink)(LinkEvent::LoginFailed { why });
            }
        }
    }

    /// Asks once for each account whose it is, if the configuration wants to know.
    pub(crate) fn ask_profile(&mut self) {
        if !self.config.profile || self.account_known {
            return;
        }
        let Some(access) = self.tokens.access().cloned() else { return };
        self.account_known = true;
        let call = lwa::profile(self.clients.http.clone(), self.config.lwa.clone(), access);
        self.calls.add(async move { Done::Profile(call.await) });
    }

    pub(crate) fn on_profile(&mut self, answer: Result<String, crate::LwaError>) {
        match answer {
            Ok(user_id) => (self.sink)(LinkEvent::Account { user_id }),
            Err(error) => {
                // The next refresh asks again.
                self.account_known = false;
                tracing::info!(speaker = %self.speaker, %error, "no profile");
            }
        }
    }

    /// A fresh session without token: the old account's gateway, declaration, connections and events are forgotten.
    pub(crate) fn restart_session(&mut self) {
        self.feed(Input::Shutdown);
        self.calls.end_session();
        self.making.clear();
        self.uploads.clear();
        self.retiring = None;
        self.account_known = false;
        self.session = Session::new(self.session_config.clone(), None, None, rand::random());
        self.feed(Input::Wake);
    }

    /// Sends DeleteReport where that is possible and logs out when it was accepted, or when patience ends.
    pub(crate) fn retire(&mut self) {
        if self.retiring.is_some() {
            return;
        }
        let access = self.tokens.access().filter(|_| self.config.stack == Stack::Modern);
        let Some(access) = access.filter(|_| self.session.is_serving()) else {
            return self.feed_tokens(In::Logout);
        };
        let event = delete_report(&self.session_config.identity, access);
        self.retiring = Some(Retiring {
            message_id: event.header.message_id.clone(),
            correlation: event.header.event_correlation_token.clone(),
            until: self.now + 5 * FAREWELL,
        });
        self.feed(Input::Post(event));
    }

    /// Whether this outcome was about the DeleteReport, which is nobody else's event.
    pub(crate) fn on_retire_outcome(&mut self, message_id: &str, outcome: &EventOutcome) -> bool {
        let limit = self.now + self.config.timers.processed;
        let Some(retiring) = self.retiring.as_mut().filter(|r| r.message_id == message_id) else {
            return false;
        };
        // Accepted is not yet done: Alexa.EventProcessed has the last word.
        let accepted = matches!(outcome, EventOutcome::Accepted { .. });
        retiring.until = if accepted { limit } else { self.now };
        true
    }

    pub(crate) fn on_processed(&mut self, correlation: &str) {
        let now = self.now;
        if let Some(retiring) = &mut self.retiring
            && retiring.correlation.as_deref() == Some(correlation)
        {
            retiring.until = now;
        }
    }

    /// Performs what the tokens want.
    pub(crate) fn drain_tokens(&mut self) {
        loop {
            match self.tokens.poll() {
                Out::Wait(at) => {
                    self.tokens_wake = at;
                    break;
                }
                Out::Ask(ticket, question) => self.ask_lwa(ticket, question),
                Out::Persist(text) => {
                    let call = (self.persist)(text);
                    self.calls.add(async move { Done::Tokens(In::Persisted(call.await)) });
                }
                Out::ShowCode(pair, expires) => (self.sink)(LinkEvent::LoginCode {
                    verification_uri: pair.verification_uri,
                    user_code: pair.user_code,
                    expires,
                }),
                Out::NewAccount => {
                    self.needs_login = None;
                    self.restart_session();
                }
                Out::Usable(token) => {
                    self.needs_login = None;
                    self.feed(Input::Token(token));
                    self.ask_profile();
                }
                Out::Unusable => self.feed(Input::NoToken),
                Out::NeedsLogin(why) => {
                    self.needs_login = Some(why);
                    self.restart_session();
                    self.tell_state();
                }
                Out::AccountGone => (self.sink)(LinkEvent::LoggedOut),
                Out::Settled(method, result) => self.on_settled(method, result),
            }
        }
        self.tell_state();
    }
}
