//! Sendspin endpoints: we are the server of today's protocol, whoever dials.
//!
//! [`SendspinKind`] recognises clients by their `_sendspin._tcp` record and dials them, and takes the calls of those that
//! look for `_sendspin-server._tcp`. `wire` holds the protocol without I/O, `roles` what clients are played and shown,
//! `driver` the sockets, `trust` the keys, `hub` who is known. Everything runs on the tokio runtime handed in; nothing
//! here waits in a caller's thread.

mod driver;
mod hub;
mod kind;
mod metrics;
mod options;
pub mod roles;
mod trust;
pub mod wire;

pub use kind::SendspinKind;
pub use options::{SendspinOptions, Unpaired};
