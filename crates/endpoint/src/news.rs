//! What endpoints tell of themselves, once something happened or once a second.

use std::sync::Arc;
use std::time::Duration;

use antiphon_audio::drift::Corrections;
use antiphon_domain::Volume;
use thiserror::Error;

/// What happened at an endpoint.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum EndpointEvent {
    /// The session is up: blocks are heard from now on.
    Ready,
    /// How well it keeps time; once a second at most.
    Sync(SyncReport),
    /// Somebody turned the volume at the device.
    VolumeTurned(Volume),
    /// Somebody muted the device, or let it be heard again.
    Muted(bool),
    /// Somebody pressed a button at the device, which means what its group hears.
    Pressed(Button),
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
    /// A person must let us in first: the kind's [`crate::Kind::asks`] says how.
    #[error("it waits for a person: {0}")]
    Unpaired(String),
    /// Somebody switched it off, or to another source; it says when it can be had again.
    #[error("it is not available: {0}")]
    Unavailable(String),
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
            Self::Busy | Self::Unavailable(_) | Self::Protocol(_) | Self::Local(_) => Duration::from_secs(5),
            Self::PasswordRequired | Self::Format(_) | Self::Unpaired(_) => Duration::from_secs(30),
        }
    }
}

/// Where an endpoint's news goes. Must not block: it is called from drivers and audio threads.
pub type EventSink = Arc<dyn Fn(EndpointEvent) + Send + Sync>;

/// How well a receiver keeps time, as far as its protocol lets us know. What is not known is absent, never zero.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SyncReport {
    /// How far from their due times blocks are heard, where the receiver or its output tells.
    pub error: Option<TimingError>,
    /// Its clock against ours, where the protocol exchanges time.
    pub clock: Option<ClockReading>,
    /// What was done to keep it in time since the last report: counts, not sums over the session. Absent where the
    /// receiver corrects itself and keeps that to itself.
    pub corrections: Option<Corrections>,
}

/// How far from its due time a block is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimingError {
    /// Heard late: above 0; early: below. Nanoseconds.
    pub nanos: i64,
    /// The true error lies within this of it, as far as is known.
    pub uncertainty: Duration,
}

/// A receiver's clock against the hub's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClockReading {
    /// Receiver minus hub, nanoseconds; the epochs are arbitrary, so only its change tells something.
    pub offset_nanos: i64,
    /// The bound of the offset's error: half the best round trip, widened by what the filter cannot know.
    pub uncertainty: Duration,
    /// How much faster than the hub's it runs, parts per million; absent until it can be told.
    pub drift_ppm: Option<f64>,
}

/// What a person pressed at a receiver, meant for what its group hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Button {
    /// Go on, or begin.
    Play,
    /// Hold.
    Pause,
    /// Whichever of the two changes something.
    PlayPause,
    /// End.
    Stop,
    /// The next of the queue.
    Next,
    /// The one before.
    Previous,
    /// One step louder or softer, by the receiver's own idea of a step.
    VolumeStep(antiphon_domain::VolumeStep),
    /// The whole group this loud.
    GroupVolume(Volume),
    /// The whole group muted or not.
    GroupMute(bool),
}
