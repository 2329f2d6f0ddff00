//! The sockets of AirPlay sessions.
//!
//! One session is: the [`AirplayEndpoint`] in the hands of the hub, a task for the RTSP conversation (`session`, over
//! a connection of `rtsp`), a task that answers the receiver's timing and resend requests (`answers`), and a lane of
//! the kind's one pump, which encodes and sends audio and sync packets (`pump`, `lane`). They meet in bounded
//! channels, and end together: when the endpoint is dropped, the receiver is told TEARDOWN; when the receiver is
//! lost, the reason is reported once and everything stops.

mod answers;
mod endpoint;
mod lane;
mod leftovers;
mod pump;
mod ring;
mod rtsp;
mod session;
mod stamped;

use std::net::SocketAddr;

use antiphon_domain::SpeakerId;
use antiphon_endpoint::LostReason;

pub use endpoint::open;
pub use leftovers::Leftovers;
pub use pump::Pump;

/// Whom a session is with.
#[derive(Clone, Debug)]
pub struct Target {
    /// The speaker, for logs and metrics.
    pub speaker: SpeakerId,
    /// Where it is, best first.
    pub addresses: Vec<SocketAddr>,
    /// `HOST:PORT` to be resolved, when it is known by name.
    pub host: Option<String>,
    /// Why it will not take us, when that is known beforehand.
    pub refusal: Option<LostReason>,
    /// Where an earlier session with it may have left its connection.
    pub leftovers: Leftovers,
}
