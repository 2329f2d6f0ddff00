//! Which clock a session runs with, and so where its packets get their samples: the hub's grid, or PTP.

use std::time::Duration;

use antiphon_audio::Block;
use antiphon_audio::resample::fixed::To48;
use antiphon_domain::HubTime;
use antiphon_endpoint::{Clock, ClockReading, SyncReport};

use super::ptp::PtpClock;
use crate::follow::Follower;
use crate::media::{Grid, frame_at, moment_of};
use crate::options::RtpOptions;
use crate::place::Place;
use crate::wire::sdp::Reference;

/// How often PTP's clock is read.
const LOOK: Duration = Duration::from_millis(100);

/// So many readings, and a session may begin.
const READINGS: u32 = 5;

/// Samples and their clock.
pub enum Source {
    /// The hub's own clock: every sample where it is.
    Hub(Grid, Place),
    /// PTP's, which the samples are resampled to.
    Ptp(Box<Followed>),
}

/// A session that follows PTP.
pub struct Followed {
    clock: PtpClock,
    follower: Follower,
    domain: u8,
    next_look: HubTime,
    readings: u32,
}

impl Source {
    /// The source that a place asks for.
    pub fn open(place: &Place, options: &RtpOptions) -> Result<Self, String> {
        let Some(domain) = place.ptp else { return Ok(Self::Hub(Grid::new(place.rate), *place)) };
        let clock = PtpClock::open(domain, options.interfaces.as_deref())?;
        let follower = Follower::new(place.rate, place.delay);
        let next_look = HubTime::from_nanos(i64::MIN);
        Ok(Self::Ptp(Box::new(Followed { clock, follower, domain, next_look, readings: 0 })))
    }

    /// Looks at the clock when it is time to. Whether packets may leave.
    pub fn look(&mut self, hub: &dyn Clock, now: HubTime) -> bool {
        let Self::Ptp(followed) = self else { return true };
        if now >= followed.next_look && followed.clock.is_synced() {
            followed.next_look = now + LOOK;
            if let Some((shown, at, by)) = followed.clock.read(hub) {
                followed.follower.observe(shown, at, by);
                followed.readings = followed.readings.saturating_add(1);
            }
        }
        followed.readings >= READINGS
    }

    /// Takes a block. `false` where there is no room and nobody else counts it.
    pub fn play(&mut self, block: &Block, to48: &mut To48) -> bool {
        match self {
            Self::Hub(grid, _) => grid.play(block, to48),
            Self::Ptp(followed) => {
                followed.follower.play(block);
                true
            }
        }
    }

    /// Forgets every block due at or after `from`.
    pub fn flush(&mut self, from: HubTime) {
        match self {
            Self::Hub(grid, _) => grid.flush(from),
            Self::Ptp(followed) => followed.follower.flush(from),
        }
    }

    /// Writes the frames from `first` on. Whether anything sounds, and the blocks that had come too late.
    pub fn take(&mut self, first: i64, out: &mut [i16]) -> (bool, u32) {
        match self {
            Self::Hub(grid, _) => grid.take(first, out),
            Self::Ptp(followed) => followed.follower.take(first, out),
        }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Hub(grid, _) => grid.is_empty(),
            Self::Ptp(followed) => followed.follower.is_empty(),
        }
    }

    /// When a packet that begins with this frame leaves: its receivers' delay before it is heard.
    pub fn departs(&self, frame: i64) -> HubTime {
        match self {
            Self::Hub(_, place) => moment_of(frame, place.rate) - place.delay,
            Self::Ptp(followed) => followed.follower.departs(frame).unwrap_or_default(),
        }
    }

    /// The first frame of a packet that leaves at `now`.
    pub fn frame_at(&self, now: HubTime) -> i64 {
        match self {
            Self::Hub(_, place) => frame_at(now + place.delay, place.rate),
            Self::Ptp(followed) => followed.follower.frame_at(now).unwrap_or(0),
        }
    }

    /// The clock, for the session's description.
    pub fn reference(&self) -> Reference {
        match self {
            Self::Hub(..) => Reference::Sender,
            Self::Ptp(followed) => {
                Reference::Ptp { grandmaster: followed.clock.grandmaster(), domain: followed.domain }
            }
        }
    }

    /// What is known of a clock that is not the hub's.
    pub fn report(&mut self, now: HubTime) -> Option<SyncReport> {
        let Self::Ptp(followed) = self else { return None };
        let reading = followed.follower.reading(now)?;
        let clock = ClockReading {
            offset_nanos: reading.offset_nanos,
            uncertainty: reading.uncertainty,
            drift_ppm: reading.drift_ppm,
        };
        Some(SyncReport {
            // Nobody tells when it is heard.
            error: None,
            clock: Some(clock),
            corrections: Some(followed.follower.corrections()),
        })
    }
}
