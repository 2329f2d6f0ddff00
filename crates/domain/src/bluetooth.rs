//! What a speaker asks of the machine's Bluetooth adapter and hears from it. The adapter's crate carries it out; the
//! interface decides. Devices are named by an id of our own, stable over restarts and never the hardware address (AVS
//! Bluetooth 2.0).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A device's id: made by us, opaque to others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeviceId(pub String);

impl From<String> for DeviceId {
    fn from(id: String) -> Self {
        Self(id)
    }
}

/// A profile, named from the peer's side: a phone that plays to us is an `A2dpSource`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Profile {
    /// It plays to us.
    #[serde(rename = "A2DP-SOURCE")]
    A2dpSource,
    /// We play to it.
    #[serde(rename = "A2DP-SINK")]
    A2dpSink,
    /// Remote control of playback.
    #[serde(rename = "AVRCP")]
    Avrcp,
    /// Telephony.
    #[serde(rename = "HFP")]
    Hfp,
    /// Keys.
    #[serde(rename = "HID")]
    Hid,
    /// A serial line.
    #[serde(rename = "SPP")]
    Spp,
}

/// One device as the adapter knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Our id for it.
    pub id: DeviceId,
    /// The name it gives itself.
    pub name: String,
    /// Its address with all but the tail masked, e.g. `XX:XX:XX:XX:5E:6F`.
    pub masked_address: String,
    /// What it offers.
    pub profiles: Vec<Profile>,
    /// Whether it is paired with this machine.
    pub paired: bool,
    /// Whether it is connected.
    pub connected: bool,
}

/// What is asked of the adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Look for devices, or stop looking.
    Scan(bool),
    /// Be visible to others, or not.
    Discoverable(bool),
    /// Pair; answered by [`News::Done`].
    Pair(DeviceId),
    /// Forget the pairing; answered.
    Unpair(DeviceId),
    /// Connect; answered.
    Connect(DeviceId),
    /// Disconnect; answered.
    Disconnect(DeviceId),
    /// AVRCP keys for the peer's own player; answered.
    Control(DeviceId, Key),
}

/// A key of a remote control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// Play.
    Play,
    /// Pause.
    Pause,
    /// Next track.
    Next,
    /// Previous track.
    Previous,
}

/// What the adapter tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// An adapter is there and on, with these devices known to it; also after a reconnect to the daemon.
    Adapter(Vec<Device>),
    /// The adapter is gone.
    NoAdapter,
    /// A device appeared or changed.
    Device(Device),
    /// A device is forgotten or out of sight.
    Gone(DeviceId),
    /// A command came to its end.
    Done {
        /// Which.
        command: Command,
        /// What went wrong, in words.
        result: Result<(), String>,
    },
    /// Sound from the device begins (`true`) or ends to come.
    Streaming(DeviceId, bool),
}

/// Where an adapter's news goes. Must not block.
pub type Sink = Arc<dyn Fn(News) + Send + Sync>;

/// The machine's Bluetooth adapter, as whoever uses it sees it. No method waits for a peer.
pub trait Adapter: Send + Sync {
    /// Whether an adapter is there now: the interface is declared only then.
    fn is_present(&self) -> bool;

    /// Tells its news to `sink` from now on, in place of whoever heard it before; what is known now comes first.
    fn watch(&self, sink: Sink);

    /// Asks something; where it is answered, by [`News::Done`].
    fn command(&self, command: Command);

    /// Where GStreamer finds what a connected device plays; `None` when it plays nothing.
    fn source(&self, device: &DeviceId) -> Option<String>;
}
