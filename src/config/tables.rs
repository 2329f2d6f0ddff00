//! The tables of the configuration file. Defaults are here; what types cannot say is checked in the module above.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use antiphon_avs::device::DeviceConfig;
use antiphon_bluetooth::PULSE_SOURCE;
use antiphon_domain::{Offset, Secret, Volume};
use antiphon_link::AvsSettings;
use serde::Deserialize;

/// `[http]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Address and port of the API, the page, metrics and health; an address of loopback.
    pub listen: SocketAddr,
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 8780)) }
    }
}

/// `[discovery]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Discovery {
    /// Interfaces for mDNS; absent: all; empty: none.
    pub interfaces: Option<Vec<String>>,
}

/// `[voice]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Voice {
    /// Whether a volume spoken to one speaker moves its group (`group`, the default) or it alone (`speaker`).
    pub scope: Scope,
    /// Whether music goes on quietly under speech and alarms where it may; otherwise it pauses.
    pub ducking: bool,
    /// The locales speakers may be asked in; the first is in force until another is chosen.
    pub locales: Vec<String>,
}

impl Default for Voice {
    fn default() -> Self {
        Self { scope: Scope::default(), ducking: true, locales: DeviceConfig::default().locales }
    }
}

/// What a volume spoken to one speaker reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Its group, each member at its own balance.
    #[default]
    Group,
    /// That speaker alone.
    Speaker,
}

/// `[login]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Login {
    /// Where Login with Amazon sends people back to: `/link/return` of this hub, as the security profile has it; absent:
    /// at the address by which the page was opened.
    pub redirect_uri: Option<String>,
}

/// `[bluetooth]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bluetooth {
    /// The adapter, as BlueZ names it.
    pub adapter: String,
    /// Where a device that plays is heard, in GStreamer's words; `{address}` stands for its address, with underscores.
    pub source: String,
    /// The bus on which BlueZ is; absent: the system's.
    pub bus: Option<String>,
}

impl Default for Bluetooth {
    fn default() -> Self {
        Self { adapter: "hci0".into(), source: PULSE_SOURCE.into(), bus: None }
    }
}

/// `[[inputs]]`: something that speakers may play besides streams.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Its name in Alexa's fixed list, e.g. `LINE 1`.
    pub name: String,
    /// What people call it; absent: the name.
    #[serde(default)]
    pub friendly_names: Vec<String>,
    /// A network stream.
    pub url: Option<String>,
    /// A capture device of this machine, in GStreamer's words, e.g. `alsasrc device=hw:1`.
    pub device: Option<String>,
    /// What another speaker hears.
    pub speaker: Option<String>,
}

/// `[airplay]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Airplay {
    /// How early packets are sent, in milliseconds, 300 to 5000; absent: the kind's own default.
    pub lead_ms: Option<u64>,
    /// Which speakers are sent encrypted sound.
    pub encryption: Encryption,
    /// How far shairport-sync receivers let themselves be off, in milliseconds; absent: 2, as they do by default.
    pub tolerance_ms: Option<f64>,
}

/// Which AirPlay speakers are sent encrypted sound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// Those that take nothing else.
    #[default]
    Asked,
    /// All that can.
    Always,
}

impl Airplay {
    /// The lead, where one is set.
    pub fn lead(&self) -> Option<Duration> {
        self.lead_ms.map(Duration::from_millis)
    }

    /// The tolerance, where a sensible one is set; at most a second.
    pub fn tolerance(&self) -> Option<Duration> {
        let seconds = self.tolerance_ms?.clamp(0.0, 1_000.0) / 1_000.0;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

/// `[sendspin]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sendspin {
    /// Whether the hub plays to Sendspin players at all.
    pub enabled: bool,
    /// Where players dial, on the interfaces of discovery; 0: any free port.
    pub port: u16,
    /// The name players show.
    pub name: String,
    /// Who may be played to without having been paired.
    pub unpaired: Unpaired,
    /// Whether a player that another server holds is taken over once something is to be played on it here.
    pub take_over: bool,
}

impl Default for Sendspin {
    fn default() -> Self {
        let (unpaired, take_over) = (Unpaired::default(), false);
        Self { enabled: true, port: 8927, name: "Antiphon".into(), unpaired, take_over }
    }
}

/// Who may be played to without having been paired, where the player allows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unpaired {
    /// Those a person has approved.
    #[default]
    Ask,
    /// Everybody.
    Allow,
    /// Nobody.
    Never,
}

/// `[snapcast]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Snapcast {
    /// Where clients dial, on the interfaces of discovery; 0: any free port.
    pub port: u16,
    /// What clients are sent.
    pub codec: SnapcastCodec,
    /// How long clients keep sound before it is heard, in milliseconds, 200 to 5000; absent: the kind's own default.
    pub buffer_ms: Option<u64>,
}

impl Default for Snapcast {
    fn default() -> Self {
        Self { port: 1704, codec: SnapcastCodec::default(), buffer_ms: None }
    }
}

/// What Snapcast clients are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SnapcastCodec {
    /// Samples as they are.
    Pcm,
    /// The same, losslessly packed.
    #[default]
    Flac,
    /// Opus, for networks that carry no more.
    Opus,
}

/// `[pulse]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pulse {
    /// The file with the cookie that PulseAudio servers want to see; absent: the one PulseAudio's own programs use.
    pub cookie: Option<PathBuf>,
}

/// `[[speakers]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Speaker {
    /// Its id: chosen for a configured speaker, the protocol's own for a discovered one.
    pub id: String,
    /// The name people see; absent: the discovered one, else the id.
    pub name: Option<String>,
    /// The place in the home it stands in.
    pub zone: Option<String>,
    /// `virtual:`, `virtual:FILE.wav`, `airplay://HOST:PORT`, `pulse://HOST:PORT/SINK`, `pulse:SINK`,
    /// `sendspin://HOST:PORT` or `local:`; absent for a discovered speaker.
    pub endpoint: Option<String>,
    /// Its password, where it asks for one (AirPlay).
    pub password: Option<Secret>,
    /// The serial number AVS knows it by; absent: made from the id.
    pub serial_number: Option<String>,
    /// Its microphone in GStreamer's words, e.g. `alsasrc device=hw:1`; absent: it has none.
    pub microphone: Option<String>,
    /// Whether the machine's Bluetooth adapter is its; one speaker's at most.
    #[serde(default)]
    pub bluetooth: bool,
    /// A first refresh token; once rotated, the stored one counts.
    pub refresh_token: Option<Secret>,
    /// Never heard above this, 0 to 100.
    #[serde(default = "full")]
    pub ceiling: Volume,
    /// How much later than everybody else it is heard, -1000 to 1000 ms, until a person sets another.
    #[serde(default)]
    pub offset_ms: Offset,
    /// Any `[avs]` key for this speaker alone.
    #[serde(default)]
    pub avs: AvsSettings,
}

fn full() -> Volume {
    Volume::MAX
}

/// `[[groups]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its id.
    pub id: String,
    /// The name people see; absent: the id.
    pub name: Option<String>,
    /// Ids of its speakers.
    pub speakers: Vec<String>,
    /// Whether it is as quick as its members can, until a person says otherwise.
    #[serde(default)]
    pub low_latency: bool,
}
