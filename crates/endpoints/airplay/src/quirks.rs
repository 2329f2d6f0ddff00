//! What receivers do differently, as a table: a model, what differs, and who says so.
//!
//! The model is the `am` entry of the record. A receiver without a row, and one that is configured without a record, gets
//! the last row. Not in the table because it holds for all: sound is sent as Apple Lossless whatever `cn` promises, since
//! shairport-sync 3.3.8 plays silence or crashes when it is sent L16 (measured); and a receiver whose answer to SETUP
//! names no control port is told the time on its audio port ([`crate::wire::transport::ReceiverPorts::sync`]).

use std::collections::BTreeMap;
use std::time::Duration;

/// What is special about a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quirks {
    /// Which receivers it is for.
    pub model: Model,
    /// Silence sent before the first sound of a stretch, for receivers that swallow what they get while their output starts.
    pub run_up: Duration,
    /// A hole in that silence, after which it puts itself right at once: more than the error at which it begins anew.
    pub hole: Duration,
    /// How much too early it lies when it has put itself right so.
    pub lands_early: Duration,
    /// It corrects nothing while it is off by less than this, and so wanders this far to both sides.
    pub dead_band: Option<Duration>,
    /// How much longer than it took an answer about the time is made to look, half of it each way: for receivers that cling
    /// to the quickest answer they ever got, however long ago.
    pub slow_time: Duration,
    /// The smallest lead with which it plays without a gap on a network that keeps time.
    pub smallest_lead: Duration,
    /// It must be sent encrypted sound, although its record also offers unencrypted (`et` with 0).
    pub encrypt: bool,
    /// It compares the digest of a password in capitals.
    pub capital_digest: bool,
    /// How often it must be told the progress lest it ends the session.
    pub progress_every: Option<Duration>,
    /// Where this comes from.
    pub source: &'static str,
}

/// Which receivers a row is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// Whose model begins so.
    Begins(&'static str),
    /// Whose record names no model.
    Unnamed,
    /// All others.
    Any,
}

const COMMON: Quirks = Quirks {
    model: Model::Any,
    run_up: Duration::from_millis(200),
    hole: Duration::ZERO,
    lands_early: Duration::ZERO,
    dead_band: None,
    slow_time: Duration::ZERO,
    // Not measured with any but shairport-sync; AirPlay 1 has 0.25 s of fixed latency in it, and a run-up fits in.
    smallest_lead: Duration::from_millis(500),
    encrypt: false,
    capital_digest: false,
    progress_every: None,
    source: "no peculiarity is known",
};

/// Every row; the first that fits counts.
pub const TABLE: &[Quirks] = &[
    Quirks {
        model: Model::Begins("ShairportSync"),
        // It swallows the first 70 ms it is given while it starts its output, and then lies up to 5 ms off, which it lets
        // be for five seconds.
        run_up: Duration::from_millis(600),
        // Off by more than 50 ms (`resync_threshold_in_seconds`) for some packets, it puts in the silence that is missing.
        hole: Duration::from_millis(80),
        // A packet, which is not played when the silence is put in.
        lands_early: Duration::from_nanos(7_981_859),
        // `drift_tolerance_in_seconds`, as it is unless a person changes it; seen in its own statistics.
        dead_band: Some(Duration::from_millis(2)),
        // An answer ages by 1 % each three seconds, so one that took 60 us outlives others by minutes, and drift is not
        // taken into account before a minute or two are over. Of answers that take 50 ms the newest wins unless it took
        // half a millisecond longer.
        slow_time: Duration::from_millis(50),
        // It wants 0.2 s in its output and adds 0.25 s of its own accord, in part the same.
        smallest_lead: Duration::from_millis(350),
        source: "measured: shairport-sync 3.3.8, ALSA output",
        ..COMMON
    },
    Quirks {
        model: Model::Unnamed,
        encrypt: true,
        capital_digest: true,
        source: "AirPort Express of 2004 (802.11g), by OwnTone's table of devices (outputs/raop.c, read 2026-11)",
        ..COMMON
    },
    Quirks {
        model: Model::Begins("AirPort4"),
        encrypt: true,
        source: "AirPort Express of 2008 (802.11n), by OwnTone's table of devices (outputs/raop.c, read 2026-11)",
        ..COMMON
    },
    Quirks {
        model: Model::Begins("AppleTV5,3"),
        progress_every: Some(Duration::from_secs(25)),
        source: "ends sessions that are not told the progress: OwnTone issue 734 (outputs/raop.c, read 2026-11)",
        ..COMMON
    },
    Quirks {
        model: Model::Begins("AudioAccessory"),
        progress_every: Some(Duration::from_secs(25)),
        source: "HomePod, ends sessions that are not told the progress: OwnTone issue 734 (outputs/raop.c, read 2026-11)",
        ..COMMON
    },
    COMMON,
];

/// The row of a receiver, by its TXT record (empty where none was seen).
pub fn of(txt: &BTreeMap<String, String>) -> &'static Quirks {
    TABLE.iter().find(|row| row.model.fits(txt)).unwrap_or(&COMMON)
}

impl Model {
    fn fits(self, txt: &BTreeMap<String, String>) -> bool {
        match self {
            Self::Begins(model) => txt.get("am").is_some_and(|am| am.starts_with(model)),
            // A record has at least `cn` or `et` in it; without those it is a configured receiver.
            Self::Unnamed => !txt.contains_key("am") && (txt.contains_key("cn") || txt.contains_key("et")),
            Self::Any => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(pairs: &[(&str, &str)]) -> &'static Quirks {
        of(&pairs.iter().map(|(k, v)| (String::from(*k), String::from(*v))).collect())
    }

    #[test]
    fn shairport_sync_gets_silence_to_swallow_and_can_do_a_small_lead() {
        let quirks = row(&[("am", "ShairportSync"), ("cn", "0,1")]);
        assert!(quirks.run_up >= Duration::from_millis(70));
        assert_eq!(quirks.smallest_lead, Duration::from_millis(350));
        assert!(!quirks.encrypt);
    }

    #[test]
    fn the_first_airport_express_has_no_model_wants_encryption_and_capitals() {
        let quirks = row(&[("et", "0,1"), ("cn", "0,1"), ("tp", "UDP")]);
        assert!(quirks.encrypt && quirks.capital_digest);
    }

    #[test]
    fn the_second_airport_express_wants_encryption_and_the_third_does_not() {
        assert!(row(&[("am", "AirPort4,107")]).encrypt && !row(&[("am", "AirPort4,107")]).capital_digest);
        assert!(!row(&[("am", "AirPort10,115")]).encrypt);
    }

    #[test]
    fn apple_tv_4_and_homepod_are_told_the_progress_again_and_again() {
        for model in ["AppleTV5,3", "AudioAccessory1,1"] {
            assert_eq!(row(&[("am", model)]).progress_every, Some(Duration::from_secs(25)), "{model}");
        }
        assert_eq!(row(&[("am", "AppleTV3,2")]).progress_every, None);
    }

    #[test]
    fn a_configured_receiver_is_an_ordinary_one() {
        assert_eq!(*row(&[]), COMMON);
        assert_eq!(*row(&[("host", "kitchen.local:5000")]), COMMON);
        assert!(TABLE.iter().all(|row| !row.source.is_empty()));
    }
}
