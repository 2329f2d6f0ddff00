//! What can be set.

use std::time::Duration;

use antiphon_domain::Lead;

/// The settings of the kind; each has a working default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AirplayOptions {
    /// How early blocks must come, which is also the latency told to receivers; clamped to 0.3 s to 5 s.
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
}

impl Default for AirplayOptions {
    fn default() -> Self {
        Self {
            lead: Lead(Duration::from_secs(1)),
            connect_timeout: Duration::from_secs(3),
            answer_timeout: Duration::from_secs(3),
            keep_alive: Duration::from_secs(5),
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

    /// The lead within the bounds that receivers can do: nothing works below their fixed latency of 0.25 s, and above
    /// 5.8 s shairport-sync's buffer ends.
    pub(crate) fn bounded_lead(&self) -> Lead {
        Lead(self.lead.0.clamp(Duration::from_millis(300), Duration::from_secs(5)))
    }
}
