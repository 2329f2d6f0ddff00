//! What can be set.

use std::net::IpAddr;
use std::time::Duration;

/// The settings of the kind; each has a working default.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RtpOptions {
    /// Interfaces on which groups are sent to; absent: by the system's route; none: groups are refused.
    pub interfaces: Option<Vec<String>>,
    /// Where sessions are announced (SAP). PulseAudio listens at 224.0.0.56 of its own accord (module-rtp-recv),
    /// AES67 devices at 239.255.255.255 (RFC 2974, 3, for groups in 239.255/16; what they use in practice).
    pub announce_at: Vec<IpAddr>,
    /// How often.
    pub announce_every: Duration,
}

impl Default for RtpOptions {
    fn default() -> Self {
        Self {
            interfaces: None,
            announce_at: vec![IpAddr::from([224, 0, 0, 56]), IpAddr::from([239, 255, 255, 255])],
            announce_every: Duration::from_secs(5),
        }
    }
}
