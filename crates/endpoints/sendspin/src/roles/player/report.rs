//! What a client says of its player: the support object of its hello and the object in its state.
//!
//! Pure. Numbers out of range and objects of another shape are refused with a word; unknown keys, commands and formats
//! are passed over, as the spec wants (messaging, "Forward compatibility").

use std::time::Duration;

use antiphon_domain::Volume;
use serde_json::{Map, Value};

use super::format::Format;
use super::knob::Able;

/// Formats looked at; a client has no use for more.
const FORMATS: usize = 64;

/// The largest output delay (spec, player v1), milliseconds.
const MOST_DELAY: u64 = 5_000;

/// The longest buffer or start-up time believed. A client that wants more than a group's lead can be gets that.
const MOST_WAIT: u64 = 10_000;

/// The support object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Support {
    /// What it plays and we can make, in its order.
    pub offers: Vec<Format>,
    /// Bytes of chunks it can hold.
    pub capacity: u64,
}

impl Support {
    /// Reads it out of the payload of a `client/hello`.
    pub fn parse(hello: &Map<String, Value>) -> Result<Self, String> {
        let support = hello.get("player@v1_support").ok_or("it says nothing of its player")?;
        let formats = support.get("supported_formats").and_then(Value::as_array);
        let formats = formats.ok_or("it lists no formats")?;
        let capacity = support.get("buffer_capacity").and_then(Value::as_u64);
        let capacity = capacity.ok_or("it has no buffer")?;
        let offers: Vec<Format> = formats.iter().take(FORMATS).filter_map(Format::parse).collect();
        if offers.is_empty() {
            return Err("it takes no stereo PCM or FLAC at 44.1 or 48 kHz".into());
        }
        Ok(Self { offers, capacity })
    }
}

/// The player object of a `client/state`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its volume, where it has one.
    pub volume: Option<Volume>,
    /// Its mute switch, where it has one.
    pub muted: Option<bool>,
    /// How much later than its port sounds what is behind it.
    pub output_delay: Duration,
    /// How long it takes to start.
    pub required_lead: Duration,
    /// How much sound it wants to hold.
    pub min_buffer: Duration,
    /// What it can be told.
    pub able: Able,
    /// The format it would like, when we can make it.
    pub format: Option<Format>,
}

impl Report {
    /// Reads it; offers are those of the client's support object.
    pub fn parse(player: &Value, offers: &[Format]) -> Result<Self, String> {
        let player = player.as_object().ok_or("a player that is no object")?;
        let volume = match player.get("volume") {
            None => None,
            Some(value) => {
                let volume = value.as_i64().and_then(|value| Volume::new(value).ok());
                Some(volume.ok_or_else(|| format!("a volume of {value}"))?)
            }
        };
        let muted = match player.get("muted") {
            None => None,
            Some(value) => Some(value.as_bool().ok_or_else(|| format!("muted: {value}"))?),
        };
        let commands = player.get("supported_commands").and_then(Value::as_array);
        let able = |command: &str| {
            commands.is_some_and(|commands| commands.iter().any(|known| known.as_str() == Some(command)))
        };
        let wished = player.get("format").and_then(Format::parse);
        Ok(Self {
            volume,
            muted,
            output_delay: millis(player, "output_delay_ms", MOST_DELAY)?,
            required_lead: millis(player, "required_lead_time_ms", MOST_WAIT)?,
            min_buffer: millis(player, "min_buffer_ms", MOST_WAIT)?,
            able: Able { volume: able("volume") && volume.is_some(), mute: able("mute") && muted.is_some() },
            format: wished.filter(|format| offers.contains(format)),
        })
    }
}

/// A time in milliseconds, at most `most`; clients of before the rule that states are whole may leave one out.
fn millis(player: &Map<String, Value>, key: &str, most: u64) -> Result<Duration, String> {
    let Some(value) = player.get(key) else { return Ok(Duration::ZERO) };
    let millis = value.as_u64().ok_or_else(|| format!("{key}: {value}"))?;
    Ok(Duration::from_millis(millis.min(most)))
}
