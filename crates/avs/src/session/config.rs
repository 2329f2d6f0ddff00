//! What a session is told once: where to connect, who it is, and every time limit.
//!
//! Sources: Amazon's "Manage an HTTP/2 Connection with AVS" and the AVS Device SDK (marked SDK); values of our own say so.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::multipart::Limits;

/// How capabilities are declared and gateways chosen; one of the two, never mixed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stack {
    /// Alexa.Discovery and Alexa.ApiGateway on the connection itself; Amazon wants it of every new product.
    #[default]
    Modern,
    /// The Capabilities API before the connection and System.SetEndpoint.
    Legacy,
}

/// Who the device is, as Alexa.Discovery registers it.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The LWA client id.
    pub client_id: String,
    /// The AVS product id.
    pub product_id: String,
    /// The device serial number, unique for each speaker.
    pub serial_number: String,
    /// The name people gave the speaker.
    pub friendly_name: String,
    /// The complete list of capability objects ("Alexa.Discovery 3.0"); shared, it is the same for most speakers.
    pub capabilities: Arc<Vec<Value>>,
}

/// All that a session needs to know.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// The gateway to begin with, `https://host[:port]`.
    pub gateway: String,
    /// Hosts, or with a leading dot suffixes of hosts, to which the cloud may move the device; the host of
    /// `gateway` is always allowed.
    pub allowed_gateways: Vec<String>,
    /// How capabilities are declared.
    pub stack: Stack,
    /// Who the device is.
    pub identity: Identity,
    /// Streams at a time on one connection, downchannel and ping included (SDK: 10); the server's limit wins if lower.
    pub max_streams: usize,
    /// Events kept waiting; beyond it the oldest that may be lost is dropped.
    pub max_waiting: usize,
    /// Bounds of what is read.
    pub limits: Limits,
    /// Every time limit.
    pub timers: Timers,
}

/// Every time limit of a session.
#[derive(Clone, Debug)]
pub struct Timers {
    /// From the beginning of a connection attempt to a working HTTP/2 connection (SDK: 60 s).
    pub connect: Duration,
    /// From the downchannel's request to its `200` (SDK: 60 s).
    pub downchannel: Duration,
    /// Without activity on any stream for this long, `/ping` is asked (SDK: 5 min).
    pub ping_idle: Duration,
    /// Limit for the answer to `/ping` (SDK: 30 s).
    pub ping_limit: Duration,
    /// Without anything received for this long, an HTTP/2 PING is sent (ours: 5 s).
    pub liveness_idle: Duration,
    /// Limit for the answer to an HTTP/2 PING (ours: 9 s, so that a dead link is noticed within 15 s).
    pub liveness_limit: Duration,
    /// An event without progress in either direction is aborted and the connection tested (SDK: 30 s).
    pub event_progress: Duration,
    /// Wait for `Alexa.EventProcessed` after `202` (SDK: 2 s).
    pub processed: Duration,
    /// Wait for the device's SynchronizeState, then it is asked again (ours: 3 s; the service waits about 10 s).
    pub state: Duration,
    /// Delays between connection attempts; the last repeats (SDK: 0.25, 1, 3, 5, 10, 20 s).
    pub connect_delays: Vec<Duration>,
    /// Random factor on connection delays (SDK: 0.66 to 1.5).
    pub connect_jitter: (f64, f64),
    /// Delays between repeats of opening events and of refused events (SDK: 1, 2, 4 .. 256 s).
    pub event_delays: Vec<Duration>,
    /// A connection that lasted this long counts as sound: the next attempt begins the delays anew (ours: 10 s).
    pub stable_after: Duration,
    /// How long a replaced downchannel may still bring directives after its successor is synchronised (ours: 5 s).
    pub linger: Duration,
    /// Age beyond which a waiting event is stale, unless it is kept until accepted (ours: 60 s).
    pub event_age: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        let s = Duration::from_secs;
        Self {
            connect: s(60),
            downchannel: s(60),
            ping_idle: s(300),
            ping_limit: s(30),
            liveness_idle: s(5),
            liveness_limit: s(9),
            event_progress: s(30),
            processed: s(2),
            state: s(3),
            connect_delays: vec![Duration::from_millis(250), s(1), s(3), s(5), s(10), s(20)],
            connect_jitter: (0.66, 1.5),
            event_delays: vec![s(1), s(2), s(4), s(8), s(16), s(32), s(64), s(128), s(256)],
            stable_after: s(10),
            linger: s(5),
            event_age: s(60),
        }
    }
}
