//! What surfaces hand in beside commands: speech, inputs of the hub, answers of log-ins, and the seam of the Bluetooth
//! adapter. Plain data; carried out by the speaker's actor.

use std::fmt;
use std::sync::Arc;

use antiphon_avs::signal::{Initiator, Profile, SpeechFormat};
use antiphon_domain::media::Media;
use antiphon_domain::{SpeakerId, bluetooth};
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

/// How sound that a surface hands in is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// A WAV file of any rate and channels, also one of unknown length.
    Wav,
    /// 16 kHz 16 bit mono little-endian, nothing else.
    Pcm16k,
    /// Opus, 16 kHz mono, hard constant rate: frames of 80 bytes, nothing else.
    Opus,
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

/// How a person proves an Amazon account other than by a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorizationKind {
    /// A companion app holds the page; code and PKCE come through the API.
    App,
    /// A companion site: redirect with `state`, the secret stays on the server.
    Site,
    /// The product's own page.
    Local,
}

/// What a page or app needs to send a person to Login with Amazon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationRequest {
    /// The page to open.
    pub url: String,
    /// Comes back with the code, unchanged.
    pub state: String,
    /// The PKCE challenge (S256), for an app that builds its own request.
    pub code_challenge: String,
    /// The product.
    pub product_id: String,
    /// The speaker's serial number.
    pub dsn: String,
    /// The `scope_data` parameter, JSON.
    pub scope_data: String,
}

/// What Login with Amazon gave the page or app.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthorizationAnswer {
    /// The authorization code.
    pub code: String,
    /// Where it was sent.
    pub redirect_uri: String,
    /// The client that asked, where it was an app with an id of its own.
    pub client_id: Option<String>,
    /// The state that came with it.
    pub state: String,
}

impl fmt::Debug for AuthorizationAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The code is as good as a password for some minutes.
        f.debug_struct("AuthorizationAnswer")
            .field("redirect_uri", &self.redirect_uri)
            .finish_non_exhaustive()
    }
}

/// Takes the adapter's news. Called on the adapter's own thread or task: it must not block.
pub type BluetoothSink = Arc<dyn Fn(bluetooth::News) + Send + Sync>;

/// The machine's Bluetooth adapter, as a speaker uses it. No method waits.
pub trait BluetoothAdapter: Send + Sync {
    /// Whether an adapter is there now: it is declared only then.
    fn is_present(&self) -> bool;

    /// Tells its news to `sink` from now on, in place of whoever heard it before; what is known now comes first.
    fn watch(&self, sink: BluetoothSink);

    /// Asks something; where it is answered, by `News::Done`.
    fn command(&self, command: bluetooth::Command);

    /// Where GStreamer finds what a connected device plays; `None` when it plays nothing.
    fn source(&self, device: &bluetooth::DeviceId) -> Option<String>;
}
