//! AirPlay (RAOP) endpoints: a sender of our own.
//!
//! [`AirplayKind`] recognises receivers by their `_raop._tcp` record or a configured `airplay://HOST:PORT`, and opens
//! sessions with them: Apple Lossless over UDP, unencrypted, the receiver's own volume, several receivers in time by
//! the hub's clock. `wire` holds the protocol without I/O, `driver` the sockets, `encode` the codec shared by all.
//! Everything runs on the tokio runtime handed in; nothing here waits in a caller's thread.

mod driver;
mod encode;
mod kind;
mod metrics;
mod options;
pub mod wire;

pub use kind::AirplayKind;
pub use options::AirplayOptions;
