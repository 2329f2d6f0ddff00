//! The actors that carry the hub's decisions: thin shells around pure cores.
//!
//! ```text
//! hub ── archive, discovery, coordinator, speaker × N
//! ```
//! They know endpoint kinds only as a list of trait objects, tell each other through recipients of one message type,
//! and send only by [`post`]. Everything a surface may do goes through [`HubHandle`].

pub mod archive;
pub mod coordinator;
pub mod discovery;
pub mod handle;
pub mod hub;
pub mod messages;
pub mod metrics;
pub mod parts;
pub mod post;
pub mod reach;
pub mod requests;
pub mod snapshot;
pub mod speaker;

pub use handle::{HubError, HubHandle};
pub use hub::Hub;
pub use parts::{Parts, SpeakerSettings};
