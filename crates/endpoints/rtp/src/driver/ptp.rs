//! The network's PTP clock (IEEE 1588), by GStreamer, which speaks the protocol through a helper process of its own.
//!
//! The helper needs the right to open ports 319 and 320 and a route for multicast. It is started once for the process,
//! with the first session that wants it, on the interfaces given then.

use antiphon_domain::HubTime;
use antiphon_endpoint::Clock;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_net as gst_net;

/// A reading that took longer than this says too little, nanoseconds: the thread was taken away meanwhile.
const TOO_LONG: u64 = 500_000;

/// The clock of one domain.
pub struct PtpClock {
    clock: gst_net::PtpClock,
}

impl PtpClock {
    /// Begins to follow a domain.
    pub fn open(domain: u8, interfaces: Option<&[String]>) -> Result<Self, String> {
        gst::init().map_err(|error| format!("gstreamer does not start: {error}"))?;
        let names: Vec<&str> = interfaces.unwrap_or_default().iter().map(String::as_str).collect();
        if interfaces.is_some() && names.is_empty() {
            return Err("no interface to follow PTP on".into());
        }
        gst_net::PtpClock::init(None, &names).map_err(|error| format!("PTP cannot be followed: {error}"))?;
        let clock = gst_net::PtpClock::new(None, u32::from(domain))
            .map_err(|error| format!("PTP cannot be followed: {error}"))?;
        Ok(Self { clock })
    }

    /// Whether a master answered.
    pub fn is_synced(&self) -> bool {
        self.clock.is_synced()
    }

    /// What it shows, nanoseconds of its own epoch, the hub's moment at which it did, and how far the two may be apart.
    pub fn read(&self, hub: &dyn Clock) -> Option<(i64, HubTime, u64)> {
        let before = hub.now();
        let shown = self.clock.time();
        let took = hub.now().since(before);
        let nanos = u64::try_from(took.as_nanos()).ok().filter(|nanos| *nanos < TOO_LONG)?;
        let shown = i64::try_from(shown.nseconds()).ok()?;
        Some((shown, before + took / 2, nanos / 2))
    }

    /// The grandmaster's identity as session descriptions write it.
    pub fn grandmaster(&self) -> String {
        let id: u64 = self.clock.property("grandmaster-clock-id");
        let bytes = id.to_be_bytes().map(|byte| format!("{byte:02X}"));
        bytes.join("-")
    }
}
