//! Snapcast: the hub is the server, a client that says hello is a speaker.
//!
//! [`SnapcastKind`] keeps a door open that is announced as `_snapcast._tcp`; who comes in and says hello can be played
//! to, at its own volume, each chunk of sound stamped with the moment it is due. Clients keep time by asking us what time
//! it is. `wire` holds the protocol without I/O, `driver` the sockets, `encode` the codec shared by all.
//! Everything runs on the tokio runtime handed in; nothing here waits in a caller's thread.

mod driver;
mod encode;
mod kind;
mod metrics;
mod options;
pub mod wire;

pub use kind::{SnapcastError, SnapcastKind};
pub use options::SnapcastOptions;
