//! The Sendspin protocol without sockets, files or a clock.
//!
//! [`Link`] is the machine of one connection: frames of its WebSocket go in with the time, frames and news come out. What
//! a peer sends is understood, answered or refused with a typed [`Fault`]; nothing it sends makes memory grow beyond
//! the limits in `frame`. Text of the protocol: repository Sendspin/spec, `connection.md`, `messaging.md`, `pairing.md`.

mod cpace;
mod elligator;
pub mod fault;
pub mod frame;
pub mod hello;
pub mod key;
pub mod link;
pub mod noise;
pub mod opening;
pub mod pairing;
#[cfg(any(test, feature = "fake"))]
pub mod peer;
#[cfg(test)]
mod tests;
pub mod token;

pub use fault::{Fault, Goodbye};
pub use hello::ClientHello;
pub use key::{Category, Credential, Identity, PeerId, Psk};
pub use link::{Activity, Frame, Link, News};
