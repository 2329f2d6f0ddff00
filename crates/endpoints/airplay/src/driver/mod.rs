//! The sockets of AirPlay sessions.
//!
//! One session is: the [`AirplayEndpoint`] in the hands of the hub, a task for the RTSP conversation (`session`, over
//! a connection of `rtsp`), a task that answers the receiver's timing and resend requests (`answers`), and a lane of
//! the kind's one pump, which encodes and sends audio and sync packets (`lane`). Beside the sessions a small server
//! takes their receivers' commands (`remote`). They meet in bounded
//! channels, and end together: when the endpoint is dropped, the receiver is told TEARDOWN; when the receiver is
//! lost, the reason is reported once and everything stops.

mod answers;
mod carrier;
mod display;
mod endpoint;
mod hold;
mod lane;
mod leftovers;
mod opening;
mod remote;
mod ring;
mod rtsp;
mod session;
mod stamped;

use std::net::SocketAddr;

use antiphon_domain::{Lead, Secret, SpeakerId};
use antiphon_endpoint::LostReason;

use crate::quirks::Quirks;
use crate::wire::dmap::Takes;

pub use endpoint::open;
pub use lane::Lane;
pub use leftovers::Leftovers;
pub use remote::{Number, Remotes};

/// Whom a session is with.
#[derive(Clone)]
pub struct Target {
    /// The speaker, for logs and metrics.
    pub speaker: SpeakerId,
    /// Where it is, best first.
    pub addresses: Vec<SocketAddr>,
    /// `HOST:PORT` to be resolved, when it is known by name.
    pub host: Option<String>,
    /// Why it will not take us, when that is known beforehand.
    pub refusal: Option<LostReason>,
    /// How early its blocks come.
    pub lead: Lead,
    /// What is special about it.
    pub quirks: &'static Quirks,
    /// Whether it is sent encrypted sound.
    pub encrypt: bool,
    /// Whether it is sent a stream instead of datagrams.
    pub stream: bool,
    /// What it can be told of what plays.
    pub takes: Takes,
    /// Its password, where one is configured.
    pub password: Option<Secret>,
    /// The hub's number, as receivers know its remote control.
    pub hub: String,
    /// The remote control, where it is there.
    pub remotes: Option<Remotes>,
    /// Where an earlier session with it may have left its connection.
    pub leftovers: Leftovers,
}
