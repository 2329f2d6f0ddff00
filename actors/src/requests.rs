//! What surfaces hand in beside commands: speech, inputs of the hub, answers of log-ins, and the seam of the Bluetooth
//! adapter. Plain data; carried out by the speaker's actor.

pub use antiphon_avs::message::CaptureId;
pub use antiphon_avs::signal::{Initiator, Profile, SpeechFormat, Wish};
use antiphon_domain::SpeakerId;
use antiphon_domain::media::Media;
pub use antiphon_link::{AuthorizationAnswer, AuthorizationRequest, Grant};
pub use antiphon_render::Container;
use bytes::Bytes;
use tokio::sync::mpsc;

/// Somebody speaks to a speaker by way of a surface.
#[derive(Debug)]
pub struct ListenRequest {
    /// Why it began.
    pub initiator: Initiator,
    /// How far away the speaker is.
    pub profile: Profile,
    /// How it is to be coded for AVS.
    pub format: SpeechFormat,
    /// Loudness of voice and of room, where a wake word engine measured them.
    pub energies: Option<(f64, f64)>,
    /// How the bytes in `audio` are coded.
    pub container: Container,
    /// The sound as it is captured, in chunks of any size; the channel's end is the end of speech.
    pub audio: mpsc::Receiver<Bytes>,
}

/// One input of the hub that speakers may play (Alexa.InputController).
#[derive(Clone, Debug, PartialEq)]
pub struct HubInput {
    /// Its name; AVS allows a fixed list (`HDMI 1`, `LINE 1`, ...).
    pub name: String,
    /// What people call it.
    pub friendly_names: Vec<String>,
    /// What it is.
    pub source: InputSource,
}

/// What an input of the hub is.
#[derive(Clone, Debug, PartialEq)]
pub enum InputSource {
    /// A network stream.
    Media(Media),
    /// A capture device of this machine: GStreamer's words for it, from the configuration alone.
    Device(String),
    /// What another speaker hears, whatever it is.
    Speaker(SpeakerId),
}

pub use antiphon_domain::bluetooth::{Adapter as BluetoothAdapter, Sink as BluetoothSink};
