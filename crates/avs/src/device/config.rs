//! What a device is told once, when it is made.

use std::collections::BTreeMap;
use std::time::Duration;

use antiphon_domain::{Level, Volume};
use serde_json::Value;

/// What a device needs to know from the beginning.
#[derive(Clone, Debug)]
pub struct DeviceConfig {
    /// What the speaker is asked to play at.
    pub level: Level,
    /// The firmware version, 1 to 2147483647 (System.SoftwareInfo).
    pub firmware_version: u32,
    /// The player's name as a reversed domain name (AudioPlayer fingerprint).
    pub package: String,
    /// The locales supported; the first is in force until another is chosen.
    pub locales: Vec<String>,
    /// The ordered combinations of locales supported.
    pub locale_combinations: Vec<Vec<String>>,
    /// How long before it is heard a sound must be ordered: the endpoint's lead.
    pub lead: Duration,
    /// The hub's inputs this speaker may play: name and what people call it (Alexa.InputController).
    pub inputs: Vec<(String, Vec<String>)>,
    /// Whether it has a microphone of its own that can be opened at any time.
    pub microphone: bool,
    /// Whether the machine's Bluetooth adapter is this speaker's.
    pub bluetooth: bool,
    /// Whether it is declared by the Capabilities API (then Settings 1.0 and SetEndpoint are its), not by
    /// Alexa.Discovery.
    pub legacy: bool,
    /// Whether content may go on quietly under speech; otherwise it pauses.
    pub ducking: bool,
    /// What [`Effect::Store`](crate::effect::Effect::Store) gave to keep, the latest of each key.
    pub stored: BTreeMap<String, Value>,
}

impl Default for DeviceConfig {
    fn default() -> Self {
        let locales = ["en-US", "de-DE", "en-AU", "en-CA", "en-GB", "es-ES", "fr-FR", "it-IT", "ja-JP"];
        Self {
            level: Level { volume: Volume::SAFE, muted: false },
            firmware_version: 1,
            package: "local.antiphon.hub".into(),
            locales: locales.map(Into::into).to_vec(),
            locale_combinations: Vec::new(),
            lead: Duration::from_millis(100),
            inputs: Vec::new(),
            microphone: false,
            bluetooth: false,
            legacy: false,
            ducking: true,
            stored: BTreeMap::new(),
        }
    }
}
