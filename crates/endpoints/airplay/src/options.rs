//! What can be set.

use std::collections::BTreeMap;
use std::time::Duration;

use antiphon_domain::{Lead, Secret, SpeakerId};
use antiphon_endpoint::Pace;

use crate::quirks::Quirks;

/// The settings of the kind; each has a working default.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AirplayOptions {
    /// How early blocks must come at a steady pace, which is also the latency told to receivers; clamped to 0.3 s to 5 s.
    ///
    /// Measured with shairport-sync 3.3.8 (ALSA output): without a gap from 0.35 s up, as it wants 0.2 s in its output
    /// and adds 0.25 s of its own accord. What is above that is how long a stall, or a packet lost and sent again over
    /// wireless, may last unheard. 1 s leaves 0.6 s for it, and starts twice as fast as the usual 2 s of AirPlay 1.
    pub lead: Lead,
    /// How long connecting may take, all addresses together.
    pub connect_timeout: Duration,
    /// How long a receiver may take to answer a request before it counts as gone.
    pub answer_timeout: Duration,
    /// How often an idle connection is asked whether it is alive.
    pub keep_alive: Duration,
    /// Passwords of receivers.
    pub passwords: BTreeMap<SpeakerId, Secret>,
    /// Encrypt sound for every receiver that takes it so, not only for those that take nothing else.
    pub encrypt_always: bool,
    /// How far shairport-sync receivers let themselves be off, where a person changed that there; absent: as their maker
    /// meant it ([`Quirks::dead_band`]).
    pub tolerance: Option<Duration>,
    /// Where receivers may send commands to: interfaces for the remote control's port; absent: all; empty: none, and
    /// receivers are not told of it.
    pub interfaces: Option<Vec<String>>,
}

impl Default for AirplayOptions {
    fn default() -> Self {
        Self {
            lead: Lead(Duration::from_secs(1)),
            connect_timeout: Duration::from_secs(3),
            answer_timeout: Duration::from_secs(3),
            keep_alive: Duration::from_secs(5),
            passwords: BTreeMap::new(),
            encrypt_always: false,
            tolerance: None,
            interfaces: Some(Vec::new()),
        }
    }
}

impl AirplayOptions {
    /// The same with another lead.
    #[must_use]
    pub fn with_lead(mut self, lead: Lead) -> Self {
        self.lead = lead;
        self
    }

    /// The lead of a receiver at a pace, within the bounds that receivers can do: nothing works below their fixed latency
    /// of 0.25 s, and above 5.8 s shairport-sync's buffer ends.
    pub(crate) fn lead_at(&self, pace: Pace, quirks: &Quirks) -> Lead {
        let steady = self.lead.0.clamp(Duration::from_millis(300), Duration::from_secs(5));
        match pace {
            Pace::Steady => Lead(steady),
            Pace::Quick => Lead(steady.min(quirks.smallest_lead)),
        }
    }
}
