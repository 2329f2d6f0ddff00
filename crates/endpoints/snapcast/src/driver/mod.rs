//! The sockets of Snapcast clients.
//!
//! A client is a task for its connection (`connection`, reading through `stamped`, writing through an `outlet`), listed
//! among the `clients` while it lasts. A session with it is a [`SnapcastEndpoint`] in the hands of the hub and a lane of
//! the kind's one pump, which encodes and sends sound (`lane`). They meet in bounded channels. The session ends
//! with the connection, the connection outlives the session: a client stays while nothing plays.

mod client;
mod clients;
mod connection;
mod door;
mod endpoint;
mod lane;
mod outlet;
mod stamped;
mod timing;

use bytes::Bytes;
use tokio::runtime::Handle;

use crate::metrics::Metrics;
use crate::options::SnapcastOptions;

pub use clients::Clients;
pub use door::{is_shut, open as open_doors};
pub use endpoint::open;
pub use lane::Lane;

/// What every part of the kind is given.
#[derive(Clone)]
pub struct House {
    /// Where tasks run.
    pub runtime: Handle,
    /// The settings.
    pub options: SnapcastOptions,
    /// The numbers.
    pub metrics: Metrics,
    /// What every client is sent.
    pub codec: Announced,
}

/// The codec as clients are told of it.
#[derive(Clone)]
pub struct Announced {
    /// The codec's name.
    pub name: &'static str,
    /// What a decoder needs before the first chunk.
    pub header: Bytes,
}
