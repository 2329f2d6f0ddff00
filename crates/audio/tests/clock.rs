//! The clock filter's promises: the truth lies within what it tells, outliers are left out, steps are noticed.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::Duration;

use antiphon_audio::clock::{ClockFilter, Exchange, Observed, WANDER_PPM_PER_S};
use antiphon_domain::HubTime;
use proptest::prelude::*;
use support::Chance;

fn hub(nanos: f64) -> HubTime {
    HubTime::from_nanos(nanos as i64)
}

/// A receiver's clock, whose drift swings as fast as clocks may.
#[derive(Clone, Copy)]
struct Peer {
    apart: i64,
    skew: f64,
    /// Nanoseconds to a swing; 0 for a steady drift.
    swing: f64,
}

impl Peer {
    fn shows(self, at: f64) -> i64 {
        let mut swung = 0.0;
        if self.swing > 0.0 {
            // The drift's change is never faster than the most that is allowed.
            let turn = std::f64::consts::TAU / self.swing;
            let most = WANDER_PPM_PER_S * 1e-6 / 1e9;
            swung = most / turn / turn * (1.0 - (turn * at).cos());
        }
        (at + at * self.skew + swung) as i64 + self.apart
    }

    fn offset(self, at: HubTime) -> i64 {
        self.shows(at.nanos() as f64) - at.nanos()
    }
}

/// An exchange begun at `sent`, and the moment it was over.
fn exchange(peer: Peer, sent: f64, chance: &mut Chance, jitter: f64) -> (Exchange, f64) {
    let received = sent + 20e3 + chance.wait(jitter);
    let answered = received + chance.wait(50e3);
    let arrived = answered + 20e3 + chance.wait(jitter);
    let exchange =
        Exchange::two_way(hub(sent), peer.shows(received), peer.shows(answered), hub(arrived)).unwrap();
    (exchange, arrived)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_truth_lies_within_the_bound(
        seed in any::<u64>(),
        apart in -4_000_000_000_000_000_000i64..4_000_000_000_000_000_000,
        skew in -300.0f64..300.0,
        swing in prop_oneof![Just(0.0), 20e9..400e9f64],
        jitter in 1e3..20e6f64,
        every in 20e6..2e9f64,
    ) {
        let mut chance = Chance::new(seed);
        let peer = Peer { apart, skew: skew * 1e-6, swing };
        let mut filter = ClockFilter::new();
        let mut now = 1e9;
        for _ in 0..300 {
            now += chance.between(0.2, 1.8) * every;
            let (exchange, arrived) = exchange(peer, now, &mut chance, jitter);
            now = arrived;
            prop_assert_eq!(filter.observe(exchange), Observed::Taken);
            for ahead in [0.0, 0.4e9, 5e9] {
                let at = hub(now + ahead);
                let reading = filter.reading(at).unwrap();
                let error = (reading.offset_nanos - peer.offset(at)).unsigned_abs();
                prop_assert!(u128::from(error) <= reading.uncertainty.as_nanos(), "{error} {reading:?}");
                // Nobody knows better than half of the best round trip, of two ways of 20 us at least.
                prop_assert!(reading.uncertainty >= Duration::from_micros(20));
            }
        }
        let at = hub(now);
        let there = filter.to_receiver(at).unwrap();
        let back = filter.to_hub(there).unwrap();
        prop_assert!(back.nanos().abs_diff(at.nanos()) <= 2);
    }

    #[test]
    fn one_way_is_as_honest_as_its_longest_way(
        seed in any::<u64>(),
        skew in -100.0f64..100.0,
        most in 1e6..50e6f64,
    ) {
        let mut chance = Chance::new(seed);
        let peer = Peer { apart: 77_000_000_000, skew: skew * 1e-6, swing: 0.0 };
        let mut filter = ClockFilter::new();
        for second in 1..200 {
            let sent = f64::from(second) * 1e9;
            let arrived = hub(sent + chance.between(0.0, most));
            let longest = Duration::from_nanos(most as u64 + 1);
            prop_assert_eq!(filter.observe(Exchange::one_way(peer.shows(sent), arrived, longest)), Observed::Taken);
            let reading = filter.reading(arrived).unwrap();
            let error = (reading.offset_nanos - peer.offset(arrived)).unsigned_abs();
            prop_assert!(u128::from(error) <= reading.uncertainty.as_nanos());
        }
        let drift = filter.reading(hub(200e9)).unwrap().drift_ppm.unwrap();
        prop_assert!((drift - skew).abs() < 40.0, "{drift} for {skew}");
    }

    #[test]
    fn any_stamps_are_taken_or_refused(stamps in proptest::collection::vec(any::<(i64, i64, i64, i64)>(), 1..200)) {
        let mut filter = ClockFilter::new();
        for (a, b, c, d) in stamps {
            let at = HubTime::from_nanos;
            if let Some(exchange) = Exchange::two_way(at(a), b, c, at(d)) {
                filter.observe(exchange);
            }
            if let Some(exchange) = Exchange::asked(a, at(b), at(c), d) {
                filter.observe(exchange);
            }
            filter.observe(Exchange::one_way(a, at(b), Duration::from_nanos(c.unsigned_abs())));
            filter.observe(Exchange::measured(c, at(d), Duration::from_nanos(b.unsigned_abs())));
            let _ = filter.reading(at(a));
            let _ = filter.to_hub(b);
            let _ = filter.to_receiver(at(d));
        }
    }
}

#[test]
fn a_receiver_that_asks_is_the_mirror() {
    let peer = Peer { apart: -5_000_000_000, skew: 0.0, swing: 0.0 };
    let asked = Exchange::asked(peer.shows(1e9), hub(1.001e9), hub(1.002e9), peer.shows(1.003e9)).unwrap();
    let mut filter = ClockFilter::new();
    filter.observe(asked);
    let reading = filter.reading(asked.at()).unwrap();
    assert_eq!(reading.offset_nanos, -5_000_000_000);
    assert!(
        reading.uncertainty >= Duration::from_millis(1) && reading.uncertainty < Duration::from_micros(1_010)
    );
    assert_eq!(reading.drift_ppm, None);
}

#[test]
fn impossible_stamps_are_no_exchange() {
    let at = HubTime::from_nanos;
    assert_eq!(Exchange::two_way(at(10), 5, 4, at(20)), None, "answered before it was asked");
    assert_eq!(Exchange::two_way(at(20), 5, 6, at(10)), None, "arrived before it was sent");
    assert_eq!(Exchange::two_way(at(0), 0, 50_000, at(10)), None, "longer there than away");
    assert_eq!(Exchange::two_way(at(0), 0, 1, at(11_000_000_000)), None, "too long to tell anything");
}

#[test]
fn an_outlier_is_left_out() {
    let mut chance = Chance::new(1);
    let peer = Peer { apart: 9_000, skew: 30e-6, swing: 0.0 };
    let mut filter = ClockFilter::new();
    for second in 0..100 {
        let (good, _) = exchange(peer, f64::from(second) * 1e9, &mut chance, 100e3);
        assert_eq!(filter.observe(good), Observed::Taken);
        if second % 10 == 9 {
            // A stamp that is 80 ms wrong, in a round trip that looks fine.
            let wrong = Peer { apart: peer.apart + 80_000_000, ..peer };
            let (bad, _) = exchange(wrong, f64::from(second) * 1e9 + 0.5e9, &mut chance, 100e3);
            assert_eq!(filter.observe(bad), Observed::Refused);
        }
    }
    assert_eq!((filter.refused(), filter.steps()), (10, 0));
    let reading = filter.reading(hub(100e9)).unwrap();
    assert!((reading.drift_ppm.unwrap() - 30.0).abs() < 1.5, "{reading:?}");
}

#[test]
fn a_clock_that_was_set_is_followed_at_once_and_keeps_its_pace() {
    let mut chance = Chance::new(2);
    let peer = Peer { apart: 0, skew: -80e-6, swing: 0.0 };
    let mut filter = ClockFilter::new();
    for second in 0..60 {
        filter.observe(exchange(peer, f64::from(second) * 1e9, &mut chance, 200e3).0);
    }
    let set = Peer { apart: 3_600_000_000_000, ..peer };
    let mut seen = Vec::new();
    for second in 60..63 {
        seen.push(filter.observe(exchange(set, f64::from(second) * 1e9, &mut chance, 200e3).0));
    }
    assert_eq!(seen, [Observed::Refused, Observed::Refused, Observed::Stepped]);
    assert_eq!((filter.refused(), filter.steps()), (2, 1));
    let at = hub(63e9);
    let reading = filter.reading(at).unwrap();
    let error = (reading.offset_nanos - set.offset(at)).unsigned_abs();
    assert!(u128::from(error) <= reading.uncertainty.as_nanos() && error < 400_000, "{error}");
    assert!((reading.drift_ppm.unwrap() + 80.0).abs() < 10.0, "{reading:?}");
}
