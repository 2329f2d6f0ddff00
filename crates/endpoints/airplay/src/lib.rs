//! AirPlay (RAOP) endpoints: a sender of our own.
//!
//! [`AirplayKind`] recognises receivers by their `_raop._tcp` record or a configured `airplay://HOST:PORT`, and opens
//! sessions with them: Apple Lossless over UDP or TCP, in the clear or encrypted, with a password where one is asked for, the
//! receiver's own volume, what plays on its display, its buttons, several receivers in time by the hub's clock. What models
//! do differently is a table (`quirks`). `wire` holds the protocol without I/O, `driver` the sockets, `encode` the codec shared by all.
//! Everything runs on the tokio runtime handed in; nothing here waits in a caller's thread.

mod driver;
mod encode;
mod kind;
mod metrics;
mod options;
pub mod quirks;
pub mod wire;

pub use kind::AirplayKind;
pub use options::AirplayOptions;
