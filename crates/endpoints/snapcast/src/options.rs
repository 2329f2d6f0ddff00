//! What can be set.

use std::time::Duration;

use antiphon_audio::encode::Codec;
use antiphon_domain::Lead;
use antiphon_endpoint::Pace;

/// The settings of the kind; each has a working default.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapcastOptions {
    /// Where clients dial; 0 takes any free port.
    pub port: u16,
    /// The interfaces it is open on; `None`: all; none listed: no door at all.
    pub interfaces: Option<Vec<String>>,
    /// What is sent. FLAC takes 0.2 % of a core once for a group and halves what the network carries (`benches/clients.rs`).
    pub codec: Codec,
    /// How early blocks must come; clamped to 0.2 s to 5 s. What is
    /// above some 0.25 s is how long a stall of the network may last unheard. 1 s is what Snapcast's own server has.
    pub lead: Lead,
    /// The same for [`Pace::Quick`]. A client's own output wants up to 0.1 s of it (PulseAudio's buffer as snapclient 0.26
    /// sets it), a chunk and our ticks some 0.04 s.
    pub quick: Lead,
    /// How long a caller may take to say hello.
    pub hello_timeout: Duration,
    /// After how much silence a client counts as gone: clients ask for the time once a second.
    pub silence: Duration,
    /// Connections at once, those that have not said hello included.
    pub most_clients: usize,
}

impl Default for SnapcastOptions {
    fn default() -> Self {
        Self {
            port: 1704,
            interfaces: None,
            codec: Codec::Flac,
            lead: Lead(Duration::from_secs(1)),
            quick: Lead(Duration::from_millis(250)),
            hello_timeout: Duration::from_secs(5),
            silence: Duration::from_secs(12),
            most_clients: 256,
        }
    }
}

impl SnapcastOptions {
    /// The lead at a pace, within the bounds that clients can do.
    pub(crate) fn lead_at(&self, pace: Pace) -> Lead {
        let lead = match pace {
            Pace::Steady => self.lead,
            Pace::Quick => self.quick.min(self.lead),
        };
        Lead(lead.0.clamp(Duration::from_millis(200), Duration::from_secs(5)))
    }
}
