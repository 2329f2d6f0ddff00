//! What an endpoint is: where sound leaves the hub, and the traits every protocol family implements.
//!
//! `src/kinds.rs` lists the [`Kind`]s; discovery asks them to [`Kind::recognise`] records; speakers ask them to
//! [`Kind::open`] a session and then hand it blocks. The actors know endpoints only by these traits.

#[cfg(feature = "conformance")]
pub mod conformance;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use antiphon_audio::Block;
use antiphon_domain::{HubTime, Lead, Level, SpeakerId, Volume};
use thiserror::Error;

/// The hub's one clock, handed to whoever needs the time.
pub trait Clock: Send + Sync {
    /// The moment now.
    fn now(&self) -> HubTime;
}

/// A DNS-SD service instance as discovery resolved it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRecord {
    /// The service type, e.g. `_raop._tcp.local.`
    pub service: String,
    /// The instance label before the service type, e.g. `33FA00A66F2E@Kitchen`.
    pub instance: String,
    /// The host name it points to.
    pub host: String,
    /// Every address with the service's port, best first.
    pub addresses: Vec<SocketAddr>,
    /// The TXT record; keys in lower case, values as UTF-8 where they are.
    pub txt: BTreeMap<String, String>,
}

/// An endpoint that was recognised or configured: enough to open it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The stable identity its protocol gives.
    pub id: SpeakerId,
    /// The name people gave it.
    pub name: String,
    /// The kind that recognised it ([`Kind::name`]).
    pub kind: &'static str,
    /// Where it is reached, best first; empty for endpoints on this machine.
    pub addresses: Vec<SocketAddr>,
    /// What the kind wants to remember (TXT entries, a file name).
    pub properties: BTreeMap<String, String>,
}

/// What an endpoint can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// How early blocks must come.
    pub lead: Lead,
    /// Whether it applies [`Control::Level`] itself. Then the hub's mixer leaves the volume alone.
    pub own_volume: bool,
}

/// What an endpoint is told beside blocks. Never waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Be this loud; only where [`Caps::own_volume`]. The latest wins.
    Level(Level),
}

/// An open session with one endpoint. Dropping it says farewell to the receiver and frees it.
///
/// Called from the render thread and from actors: no method waits for the peer.
pub trait Endpoint: Send {
    /// What it can do; fixed for the session.
    fn caps(&self) -> Caps;

    /// Takes a block, in order of `due` and at least [`Caps::lead`] ahead. A block that cannot be taken (late, not
    /// ready, queue full) is dropped and counted by the endpoint, never waited for.
    fn play(&mut self, block: &Block);

    /// Forgets every block due at or after `from`; what was sent already is silenced at the receiver where the
    /// protocol can. Blocks played afterwards may start at a new `due`.
    fn flush(&mut self, from: HubTime);

    /// Tells it something.
    fn control(&mut self, control: Control);
}

/// What happened at an endpoint.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum EndpointEvent {
    /// The session is up: blocks are heard from now on.
    Ready,
    /// A receiver's clock against ours: add `offset_nanos` to hub time to get its time.
    ClockOffset {
        /// Receiver minus hub, nanoseconds.
        offset_nanos: i64,
        /// Half the round trip, the bound of the error.
        uncertainty: Duration,
    },
    /// Somebody turned the volume at the device.
    VolumeTurned(Volume),
    /// The receiver asked again for packets it missed.
    Resent {
        /// How many packets went out again.
        packets: u32,
    },
    /// Blocks could not be delivered in time.
    Underrun {
        /// How many blocks.
        blocks: u32,
    },
    /// How loud what was just played is, once a few hundred milliseconds (kinds that can measure).
    Meter {
        /// Root mean square of the last interval, dB below full scale (at most 0); -120 stands for silence.
        rms_dbfs: f32,
        /// Largest sample of the last interval, dB below full scale.
        peak_dbfs: f32,
    },
    /// The session is over. Nothing follows; whoever opened it decides when to try again.
    Lost(LostReason),
}

/// Why a session ended or never began.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LostReason {
    /// Nobody answers there.
    #[error("cannot be reached at {address}: {cause}")]
    Unreachable {
        /// Where we tried.
        address: String,
        /// The system's words.
        cause: String,
    },
    /// It plays for somebody else.
    #[error("busy: it plays for another sender")]
    Busy,
    /// It wants a password we do not have.
    #[error("it asks for a password")]
    PasswordRequired,
    /// It cannot take any format we send.
    #[error("it refuses our audio format: {0}")]
    Format(String),
    /// It broke its protocol.
    #[error("it answered against its protocol: {0}")]
    Protocol(String),
    /// The connection ended.
    #[error("the connection was lost: {0}")]
    Disconnected(String),
    /// Something on this machine failed (file, sound card).
    #[error("this machine failed it: {0}")]
    Local(String),
}

impl LostReason {
    /// How long to wait before the first new attempt; each further failure doubles it up to a minute.
    pub fn retry_after(&self) -> Duration {
        match self {
            Self::Disconnected(_) => Duration::from_millis(250),
            Self::Unreachable { .. } => Duration::from_secs(1),
            Self::Busy | Self::Protocol(_) | Self::Local(_) => Duration::from_secs(5),
            Self::PasswordRequired | Self::Format(_) => Duration::from_secs(30),
        }
    }
}

/// Where an endpoint's news goes. Must not block: it is called from drivers and audio threads.
pub type EventSink = Arc<dyn Fn(EndpointEvent) + Send + Sync>;

/// A configured endpoint text that its kind cannot use.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?}: expected {expected}")]
pub struct BadEndpoint {
    /// The text as configured.
    pub text: String,
    /// What it should look like.
    pub expected: &'static str,
}

/// A protocol family.
pub trait Kind: Send + Sync {
    /// Its name, as in metrics and configuration: `airplay`, `virtual`, `local`.
    fn name(&self) -> &'static str;

    /// DNS-SD service types to look for, e.g. `_raop._tcp.local.`; empty when it is only configured.
    fn services(&self) -> &'static [&'static str];

    /// The endpoint behind a record, or `None` when it is not one of ours.
    fn recognise(&self, record: &ServiceRecord) -> Option<Descriptor>;

    /// The endpoint a configured text such as `airplay://HOST:PORT` or `virtual:FILE.wav` names; `None` when the text
    /// is for another kind. `id` and `name` are the configured ones.
    fn configured(&self, text: &str, id: &SpeakerId, name: &str) -> Option<Result<Descriptor, BadEndpoint>>;

    /// What sessions with this endpoint can do, known before one is open.
    fn caps(&self, descriptor: &Descriptor) -> Caps;

    /// Begins a session. Returns at once; [`EndpointEvent::Ready`] or [`EndpointEvent::Lost`] follows on `events`.
    fn open(&self, descriptor: &Descriptor, clock: Arc<dyn Clock>, events: EventSink) -> Box<dyn Endpoint>;
}
