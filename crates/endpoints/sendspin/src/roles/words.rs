//! What goes between the roles and the connection that serves them.

use std::time::Duration;

use antiphon_domain::Lead;
use antiphon_endpoint::Pace;
use bytes::Bytes;
use serde_json::{Map, Value};

use super::player::{batch, blocks_last};

/// What a client is given to ride out its network, at least: as AirPlay and Snapcast clients are by their own wish.
const STEADY_FLOOR: Duration = Duration::from_millis(680);
const QUICK_FLOOR: Duration = Duration::from_millis(140);

/// What the hub's own scheduling may take of a lead.
const OUR_SLACK: Duration = Duration::from_millis(40);

/// The longest lead a group can be asked for.
const MOST_LEAD: Duration = Duration::from_secs(5);

/// A message for the client.
#[derive(Clone, Debug, PartialEq)]
pub enum Out {
    /// A JSON message.
    Json {
        /// Its `type`.
        kind: &'static str,
        /// Its `payload`.
        payload: Map<String, Value>,
    },
    /// A JSON message whose payload wants `server_transmitted` just before it is encrypted.
    Stamped {
        /// Its `type`.
        kind: &'static str,
        /// Its `payload` without the stamp.
        payload: Map<String, Value>,
    },
    /// An audio chunk (id 4), whose header wants the lead in hand just before it is encrypted.
    Audio {
        /// When its first frame is heard, microseconds of the server's clock.
        timestamp_micros: i64,
        /// The encoded sound.
        payload: Bytes,
    },
    /// Another binary message.
    Binary {
        /// Its first byte.
        id: u8,
        /// All that follows.
        body: Bytes,
    },
}

/// Who connected, and what its `client/hello` says.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The roles it supports, with their versions.
    pub roles: &'a [String],
    /// The payload of its hello: the support objects are in it.
    pub supports: &'a Map<String, Value>,
}

/// What a client has told of itself, as far as the hub must know it before a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Whether it can be used; `None` before it said.
    pub available: Option<bool>,
    /// What is behind its port sounds so much later.
    pub output_delay: Duration,
    /// How long it takes to start.
    pub required_lead: Duration,
    /// How much sound it wants to hold.
    pub min_buffer: Duration,
}

/// The lead that a session with such a client takes.
pub fn lead(told: &Told, pace: Pace) -> Lead {
    let gathered = blocks_last(batch(pace));
    let buffer = match pace {
        Pace::Steady => told.min_buffer.max(told.required_lead).max(STEADY_FLOOR),
        Pace::Quick => told.min_buffer.max(QUICK_FLOOR),
    };
    Lead((gathered + OUR_SLACK + buffer + told.output_delay).min(MOST_LEAD))
}
