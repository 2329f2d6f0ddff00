//! Calls that a link has under way beside its HTTP/2 connections: LWA, Capabilities API, storing a token, connecting.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use antiphon_avs::session::{ConnId, DeclareFailed};

use crate::connector::Established;
use crate::{LinkError, LwaError, tokens};

/// What came of a call.
pub(crate) enum Done {
    Tokens(tokens::In),
    /// Whose account this is.
    Profile(Result<String, LwaError>),
    Declared(Result<(), DeclareFailed>),
    Connected(ConnId, Result<Box<Established>, LinkError>),
}

/// The calls under way.
#[derive(Default)]
pub(crate) struct Calls {
    running: Vec<(Owner, Call)>,
}

/// Who wants a call's result, and so may give it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Tokens,
    Session,
    Connection(ConnId),
}

type Call = Pin<Box<dyn Future<Output = Done> + Send>>;

impl Calls {
    pub(crate) fn add(&mut self, call: impl Future<Output = Done> + Send + 'static) {
        self.running.push((Owner::Tokens, Box::pin(call)));
    }

    /// Adds a call of the present session: it ends with it.
    pub(crate) fn add_of_session(&mut self, call: impl Future<Output = Done> + Send + 'static) {
        self.running.push((Owner::Session, Box::pin(call)));
    }

    /// Adds the call that makes this connection.
    pub(crate) fn connect(&mut self, conn: ConnId, call: impl Future<Output = Done> + Send + 'static) {
        self.running.push((Owner::Connection(conn), Box::pin(call)));
    }

    /// Stops making this connection.
    pub(crate) fn cancel(&mut self, conn: ConnId) {
        self.running.retain(|(owner, _)| *owner != Owner::Connection(conn));
    }

    /// One finished call, if there is one.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Option<Done> {
        for index in 0..self.running.len() {
            if let Poll::Ready(done) = self.running[index].1.as_mut().poll(cx) {
                drop(self.running.swap_remove(index));
                // A burst of calls at the start must not be paid for ever.
                if self.running.is_empty() {
                    self.running = Vec::new();
                }
                return Some(done);
            }
        }
        None
    }

    /// Forgets every call of the session; those about tokens go on.
    pub(crate) fn end_session(&mut self) {
        self.running.retain(|(owner, _)| *owner == Owner::Tokens);
    }
}
