//! What an endpoint is: where sound leaves the hub, and the traits every protocol family implements.
//!
//! `src/kinds.rs` lists the [`Kind`]s; discovery asks them to [`Kind::recognise`] records; speakers ask them to
//! [`Kind::open`] a session and then hand it blocks. The actors know endpoints only by these traits.

pub mod calibration;
#[cfg(feature = "conformance")]
pub mod conformance;
mod host_port;
mod news;
mod now_playing;
mod orders;
mod pairing;
mod shifted;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use antiphon_audio::Block;
use antiphon_domain::{HubTime, Lead, Level, SpeakerId};
use thiserror::Error;

pub use antiphon_audio::drift::Corrections;
pub use host_port::HostPort;
pub use news::{Button, ClockReading, EndpointEvent, EventSink, LostReason, SyncReport, TimingError};
pub use now_playing::{Artwork, GroupNow, NowPlaying, PlayState};
pub use orders::{Order, Orders, orders};
pub use pairing::{Answer, AnswerError, Ask, Wants};
pub use shifted::{Shift, Shifted};

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

/// How much lead a session takes to ride out an unruly network: what is chosen for a whole group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Pace {
    /// Enough for the stalls of an ordinary wireless network.
    #[default]
    Steady,
    /// As little as the kind can do on a network that keeps time; for sound that goes with something seen or done.
    Quick,
}

/// What an endpoint is told beside blocks. Never waits.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Control {
    /// Be this loud; only where [`Caps::own_volume`]. The latest wins.
    Level(Level),
    /// What is heard, for receivers that show it. The latest wins; kinds that show nothing ignore it.
    Now(Arc<NowPlaying>),
    /// Move due times so from now on. For [`Shifted`], which keeps it to itself: no kind is ever told.
    Shift(Shift),
}

/// An open session with one endpoint. Dropping it says farewell to the receiver and frees it.
///
/// Called from the render thread and from actors: no method waits for the peer.
pub trait Endpoint: Send {
    /// What it can do; fixed for the session, but for what [`Control::Shift`] changes.
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

    /// Whether a speaker of this kind is there after a restart before it was heard of again, with its groups and alarms:
    /// those that are found are, and those that dial the hub; those that exist by configuration alone end with that.
    fn remembers(&self) -> bool {
        !self.services().is_empty()
    }

    /// The endpoint behind a record, or `None` when it is not one of ours.
    fn recognise(&self, record: &ServiceRecord) -> Option<Descriptor>;

    /// The endpoint a configured text such as `airplay://HOST:PORT` or `virtual:FILE.wav` names; `None` when the text
    /// is for another kind. `id` and `name` are the configured ones.
    fn configured(&self, text: &str, id: &SpeakerId, name: &str) -> Option<Result<Descriptor, BadEndpoint>>;

    /// What sessions with this endpoint can do at this pace, known before one is open.
    fn caps(&self, descriptor: &Descriptor, pace: Pace) -> Caps;

    /// Begins a session. Returns at once; [`EndpointEvent::Ready`] or [`EndpointEvent::Lost`] follows on `events`.
    fn open(
        &self,
        descriptor: &Descriptor,
        pace: Pace,
        clock: Arc<dyn Clock>,
        events: EventSink,
    ) -> Box<dyn Endpoint>;

    /// Begins to take the calls of receivers that dial the hub, and says what to announce so that they find it. `now`
    /// is the hub's clock. Called once discovery runs, and again when that was begun anew: the newest `arrivals` counts,
    /// and everybody who is here is told to it. Kinds that dial their receivers themselves have nothing to do.
    fn listen(&self, clock: Arc<dyn Clock>, arrivals: ArrivalSink) -> Vec<Advert> {
        let _ = (clock, arrivals);
        Vec::new()
    }

    /// The receivers that want something of a person before they play for us.
    fn asks(&self) -> Vec<Ask> {
        Vec::new()
    }

    /// A person's answer to one that asks.
    fn answer(&self, speaker: &SpeakerId, answer: &Answer) -> Result<(), AnswerError> {
        let _ = answer;
        Err(AnswerError::Unknown(speaker.clone()))
    }
}

/// A DNS-SD service of ours that receivers look for in order to dial us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advert {
    /// The service type, e.g. `_snapcast._tcp.local.`
    pub service: &'static str,
    /// The instance label.
    pub instance: String,
    /// The port that listens.
    pub port: u16,
    /// The TXT record.
    pub txt: BTreeMap<String, String>,
}

/// News of a receiver that dials us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It is connected and can be opened; told again when what it is has changed.
    Here(Descriptor),
    /// It has hung up.
    Gone(SpeakerId),
    /// What kept it from playing for us is settled: a person has answered, or what else it played is over. Worth an
    /// attempt at once, whoever dials.
    Free(SpeakerId),
}

/// Where arrivals go. Must not block.
pub type ArrivalSink = Arc<dyn Fn(Arrival) + Send + Sync>;
