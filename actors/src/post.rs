//! The one way to send between actors: bounded, never waiting, counting what is refused.
//!
//! actix's own `do_send` ignores mailbox limits and swallows closed mailboxes; a lint forbids it.

use actix::dev::ToEnvelope;
use actix::prelude::{Actor, Addr, Handler, Message, Recipient, SendError};

use crate::metrics::Metrics;

/// Why a message did not go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The mailbox is full.
    Full,
    /// Nobody is there any more.
    Gone,
}

/// Tells a recipient; on refusal counts it under the message's name and says why.
pub fn tell<M>(to: &Recipient<M>, message: M, metrics: &Metrics) -> Result<(), Refused>
where
    M: Message + Send + 'static,
    M::Result: Send,
{
    to.try_send(message).map_err(|e| counted::<M>(&e, metrics))
}

/// The same to an address.
pub fn tell_addr<A, M>(to: &Addr<A>, message: M, metrics: &Metrics) -> Result<(), Refused>
where
    A: Actor + Handler<M>,
    A::Context: ToEnvelope<A, M>,
    M: Message + Send + 'static,
    M::Result: Send,
{
    to.try_send(message).map_err(|e| counted::<M>(&e, metrics))
}

fn counted<M>(error: &SendError<M>, metrics: &Metrics) -> Refused {
    let name = std::any::type_name::<M>().rsplit("::").next().unwrap_or("message");
    let refused = match error {
        SendError::Full(_) => Refused::Full,
        SendError::Closed(_) => Refused::Gone,
    };
    let why = if refused == Refused::Full { "full" } else { "gone" };
    metrics.refused.with_label_values(&[name, why]).inc();
    refused
}
