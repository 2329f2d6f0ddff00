//! Owns what is remembered of each device for those who look on: events received, directives sent, violations,
//! connections and counts. Plain data; filled by the connection tasks, read by tests and the admin API.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the device to the cloud.
    Event,
    /// From the cloud to the device.
    Directive,
}

/// One message of a device's transcript.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Counts from 0 per device, over events and directives together; never reused.
    pub index: u64,
    /// Event or directive.
    pub direction: Direction,
    /// Event: when its whole metadata part had arrived. Directive: when its last byte was given to HTTP/2.
    #[serde(skip)]
    pub at: Instant,
    /// Event: when its request headers arrived. Directive: as `at`.
    #[serde(skip)]
    pub started: Instant,
    /// `at` as time since the simulator started.
    pub since_start: Duration,
    /// Number of the connection (`Connection::id`) which carried it.
    pub connection: u64,
    /// `header.namespace`, empty if there was none.
    pub namespace: String,
    /// `header.name`, empty if there was none.
    pub name: String,
    /// `header.messageId`, empty if there was none.
    pub message_id: String,
    /// The whole JSON: `{"context":…,"event":…}` or `{"directive":…}`; null when an event could not be parsed.
    pub message: Value,
    /// Bytes of all attachments or audio together.
    pub attachment_bytes: u64,
    /// The HTTP status given to an event (0: the stream was reset by a fault); 0 for directives.
    pub status: u16,
    /// What was wrong with the event; empty if all was right.
    pub violations: Vec<String>,
}

impl Entry {
    /// Whether this is an event with that namespace and name.
    pub fn is_event(&self, namespace: &str, name: &str) -> bool {
        self.direction == Direction::Event && self.namespace == namespace && self.name == name
    }

    /// Whether this is a directive with that namespace and name.
    pub fn is_directive(&self, namespace: &str, name: &str) -> bool {
        self.direction == Direction::Directive && self.namespace == namespace && self.name == name
    }

    /// The payload; null if there was none.
    pub fn payload(&self) -> &Value {
        &self.body()["payload"]
    }

    /// The header; null if there was none.
    pub fn header(&self) -> &Value {
        &self.body()["header"]
    }

    /// The payload of the context entry with that namespace and name.
    pub fn context(&self, namespace: &str, name: &str) -> Option<&Value> {
        let entries = self.message["context"].as_array()?;
        let found = entries
            .iter()
            .find(|entry| entry["header"]["namespace"] == namespace && entry["header"]["name"] == name)?;
        Some(&found["payload"])
    }

    fn body(&self) -> &Value {
        match self.direction {
            Direction::Event => &self.message["event"],
            Direction::Directive => &self.message["directive"],
        }
    }
}

/// Something a device did against the rules.
#[derive(Clone, Debug, Serialize)]
pub struct Violation {
    /// The device, where it is known.
    pub dsn: Option<String>,
    /// The connection.
    pub connection: u64,
    /// `Namespace.Name` of the event, or the request path.
    pub subject: String,
    /// What was wrong.
    pub what: String,
}

/// One TCP connection that has opened a downchannel.
#[derive(Clone, Debug, Serialize)]
pub struct Connection {
    /// Counts from 1 over all connections of the simulator.
    pub id: u64,
    /// When the downchannel's request headers arrived.
    #[serde(skip)]
    pub opened: Instant,
    /// When the connection ended; `None` while it lives.
    #[serde(skip)]
    pub closed: Option<Instant>,
    /// Whether SynchronizeState was accepted on it.
    pub synchronised: bool,
    /// Whether its downchannel is open.
    pub downchannel: bool,
    /// Events it carried.
    pub events: u64,
}

/// How often things happened, per device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Counts {
    /// Downchannels opened with 200.
    pub connects: u64,
    /// Downchannel requests refused (status other than 200).
    pub refused_connects: u64,
    /// Token requests by refresh token that were granted.
    pub refreshes: u64,
    /// Token requests by refresh token that were refused.
    pub refused_refreshes: u64,
    /// `/ping` requests received.
    pub pings: u64,
    /// Capability declarations accepted (either way).
    pub declarations: u64,
    /// Events received, good or bad.
    pub events: u64,
    /// Directives written.
    pub directives: u64,
}

/// A device as seen from outside.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceView {
    /// Device serial number.
    pub dsn: String,
    /// Friendly name: as declared, as configured, else the DSN.
    pub name: String,
    /// Whether a downchannel is open on a synchronised connection.
    pub connected: bool,
    /// Declared interfaces with their versions.
    pub interfaces: Vec<(String, String)>,
    /// Connections open now.
    pub connections: usize,
    /// Counts so far.
    pub counts: Counts,
    /// Violations so far.
    pub violations: usize,
    /// Volume of the last Speaker state seen (0-100), if any.
    pub volume: Option<u64>,
    /// Mute of the last Speaker state seen, if any.
    pub muted: Option<bool>,
    /// `playerActivity` as far as events tell, if any.
    pub player: Option<String>,
}
