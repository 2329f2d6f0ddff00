//! What a client says of itself, in JSON.

use antiphon_domain::Volume;
use serde::Deserialize;

use super::{WireError, kind};

/// Letters of a text that are kept.
const LONGEST_TEXT: usize = 128;

/// Who a client is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// What it is known by: its host's ID, and `#` and the instance where it is not the first one there.
    pub id: String,
    /// Its host's name, the instance with it where it is not the first.
    pub name: String,
    /// The program's version.
    pub version: String,
    /// The operating system.
    pub os: String,
    /// The processor.
    pub arch: String,
    /// The address of its network card.
    pub mac: String,
    /// The program's name, e.g. `Snapclient`.
    pub client: String,
    /// The version of the protocol it speaks; 2 since 0.8.
    pub protocol: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Json {
    arch: String,
    client_name: String,
    host_name: String,
    #[serde(rename = "ID")]
    id: String,
    instance: u32,
    #[serde(rename = "MAC")]
    mac: String,
    #[serde(rename = "OS")]
    os: String,
    snap_stream_protocol_version: u32,
    version: String,
}

impl Default for Json {
    fn default() -> Self {
        Self {
            arch: String::new(),
            client_name: String::new(),
            host_name: String::new(),
            id: String::new(),
            instance: 1,
            mac: String::new(),
            os: String::new(),
            snap_stream_protocol_version: 1,
            version: String::new(),
        }
    }
}

impl Hello {
    pub(super) fn parse(json: &[u8]) -> Result<Self, WireError> {
        let json: Json = serde_json::from_slice(json).map_err(|_| WireError::Json { kind: kind::HELLO })?;
        let host = if json.id.is_empty() { &json.mac } else { &json.id };
        let plain = host.chars().count() <= LONGEST_TEXT && !host.chars().any(char::is_control);
        if host.trim().is_empty() || !plain {
            return Err(WireError::Nameless);
        }
        let (host, host_name) = (host.trim(), short(&json.host_name));
        let name = if host_name.is_empty() { host } else { &host_name };
        let further = json.instance > 1;
        Ok(Self {
            id: if further { format!("{host}#{}", json.instance) } else { host.to_owned() },
            name: if further { format!("{name} #{}", json.instance) } else { name.to_owned() },
            version: short(&json.version),
            os: short(&json.os),
            arch: short(&json.arch),
            mac: short(&json.mac),
            client: short(&json.client_name),
            protocol: json.snap_stream_protocol_version,
        })
    }
}

/// A text that can be shown.
fn short(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(LONGEST_TEXT).collect()
}

/// How loud a client says it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientInfo {
    /// Its volume.
    pub volume: Volume,
    /// Whether it is muted.
    pub muted: bool,
}

impl ClientInfo {
    pub(super) fn parse(json: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Json {
            volume: i64,
            muted: bool,
        }
        let json: Json = serde_json::from_slice(json).ok()?;
        Some(Self { volume: Volume::new(json.volume).ok()?, muted: json.muted })
    }
}
