//! Holding a receiver in time that corrects nothing while it is off by less than a dead band.
//!
//! Such a receiver wanders to both sides by all of its band. Told a time that lies a band too early, it comes back from
//! the one side, told one too late, from the other; told the truth, nothing moves it. So it is told the truth nearly
//! always, and pushed from both sides for a few packets each second. That is enough against the drift of a sound card,
//! and too little for a receiver to be led astray by what it believes of its own output for a moment: pushed all the
//! time, shairport-sync 3.3.8 ran away by up to 1 ms and took ten seconds to come back. A receiver that has no such band
//! after all is moved by no more than those packets. A pure function of how long the stretch has played; the lane asks it.

use std::time::Duration;

/// A band no wider than this is let be: a person has made it as narrow as we would hold the receiver.
const NARROW: Duration = Duration::from_micros(100);

/// How long a stretch plays before that begins: at first the receiver is not sure of its own output, by a millisecond.
const SETTLED: Duration = Duration::from_secs(15);

/// Until then it is pushed all the time, to either side in turn: after its start it lies anywhere in its band.
const GATHERED: Duration = Duration::from_secs(21);

/// Until then shairport-sync does but a third of the corrections that it sees need for (3.3.8, `player.c`).
const SHY: Duration = Duration::from_secs(30);

/// Between two pushes to the same side.
const EVERY: Duration = Duration::from_secs(1);

/// How long a push lasts: ten packets, and one frame may be put in or left out in each, 227 us a second.
const PUSH: Duration = Duration::from_millis(80);

/// By how many nanoseconds what is told of the time is to lie beside the truth when a stretch has played for so long.
pub fn nudge(dead_band: Option<Duration>, played: Duration) -> i64 {
    let Some(band) = dead_band.filter(|band| played >= SETTLED && *band > NARROW) else { return 0 };
    // Some milliseconds.
    let nanos = band.as_nanos() as i64;
    let push = match played {
        _ if played < GATHERED => EVERY / 2,
        _ if played < SHY => PUSH * 3,
        _ => PUSH,
    };
    let since = played.as_nanos() % EVERY.as_nanos();
    let half = EVERY.as_nanos() / 2;
    match since {
        _ if since % half >= push.as_nanos() => 0,
        _ if since < half => nanos,
        _ => -nanos,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BAND: Option<Duration> = Some(Duration::from_millis(2));
    const FRAME: i64 = 22_676;
    const PACKET: Duration = Duration::from_millis(8);

    /// A receiver as shairport-sync 3.3.8 is one: in each packet it puts in or leaves out a frame where it believes to
    /// be off by more than its dead band. How far off it was at each packet from `from` on, nanoseconds.
    fn offs(
        mut off: i64,
        drift_ppm: i64,
        band: i64,
        astray: impl Fn(Duration) -> i64,
    ) -> Vec<(Duration, i64)> {
        let mut played = SETTLED;
        let mut offs = Vec::new();
        while played < Duration::from_secs(90) {
            played += PACKET;
            off += drift_ppm * 8;
            let believed = off + astray(played) - nudge(BAND, played);
            if believed > band {
                off -= FRAME;
            } else if believed < -band {
                off += FRAME;
            }
            offs.push((played, off));
        }
        offs
    }

    fn farthest(offs: &[(Duration, i64)], from: Duration) -> i64 {
        offs.iter().filter(|(played, _)| *played >= from).map(|(_, off)| off.abs()).max().unwrap_or_default()
    }

    proptest! {
        #[test]
        fn a_receiver_that_wanders_is_held(off in -2_000_000i64..2_000_000, drift in -90i64..90) {
            let offs = offs(off, drift, 2_000_000, |_| 0);
            prop_assert!(farthest(&offs, GATHERED + EVERY) < 250_000);
        }
    }

    #[test]
    fn a_receiver_that_is_led_astray_for_a_moment_is_moved_by_one_push() {
        let astray = |played: Duration| {
            let wrong = (Duration::from_secs(50)..Duration::from_millis(50_700)).contains(&played);
            if wrong { -900_000 } else { 0 }
        };
        let offs = offs(0, 60, 2_000_000, astray);
        assert!(farthest(&offs, SHY) < 350_000, "{}", farthest(&offs, SHY));
    }

    #[test]
    fn a_receiver_without_a_band_is_moved_by_its_packets_alone() {
        // It corrects each packet by which it believes to be off.
        let offs = offs(0, 0, 10_000, |_| 0);
        assert!(farthest(&offs, SHY + EVERY) < 300_000, "{}", farthest(&offs, SHY + EVERY));
    }

    #[test]
    fn nobody_is_nudged_who_has_just_begun_or_has_no_dead_band() {
        assert_eq!(nudge(None, SETTLED * 2), 0);
        assert_eq!(nudge(BAND, SETTLED / 2), 0);
        assert_eq!(nudge(BAND, SHY), -nudge(BAND, SHY + EVERY / 2));
        assert_eq!(nudge(BAND, SHY + PUSH), 0);
        assert_eq!(nudge(Some(NARROW), SHY), 0);
    }
}
