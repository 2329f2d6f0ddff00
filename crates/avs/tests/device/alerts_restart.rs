//! Alerts 1.5 over power cuts, without a connection, and through corrections of the calendar.

use std::time::Duration;

use antiphon_avs::device::DeviceInput;
use serde_json::json;

use crate::alerts_support::*;
use crate::support::{Bench, lines};

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

#[test]
fn an_alert_rings_after_29_minutes_of_power_cut_and_not_after_31() {
    let mut bench = bench();
    set(&mut bench, "a", "ALARM", 60, two_assets());
    let late = bench.restarted(minutes(1 + 29));
    assert_eq!(
        kinds(&late.first),
        ["sound Alert1 is BuiltIn(Alarm)", "sound Alert1"],
        "files are not looked for before the tone sounds: {:?}",
        late.first
    );
    assert_eq!(late.first.iter().filter(|line| line.starts_with("fetch")).count(), 2);
    let mut too_late = bench.restarted(minutes(1 + 31));
    assert!(sounds(&too_late.first).is_empty(), "{:?}", too_late.first);
    assert_eq!(state(&too_late), (vec![], vec![]));
    assert_eq!(too_late.first.iter().filter(|line| line.starts_with("discard")).count(), 2);
    too_late.accepting = true;
    assert_eq!(told(&lines(&too_late.input(DeviceInput::Connected))).last().unwrap(), "AlertStopped a");
}

#[test]
fn an_alert_that_sounded_when_the_power_went_sounds_again() {
    let mut bench = sounding("a", "TIMER", json!({}));
    set(&mut bench, "b", "TIMER", 3600, json!({}));
    let mut again = bench.restarted(minutes(2));
    assert_eq!(kinds(&again.first), ["sound Alert1 is BuiltIn(Timer)", "sound Alert1"]);
    started(&mut again, 1);
    assert_eq!(state(&again), (vec!["a".into(), "b".into()], vec!["a".into()]));
}

#[test]
fn a_waiting_alert_rings_on_time_after_a_restart_also_without_network() {
    let mut bench = bench();
    let effects = set(&mut bench, "a", "REMINDER", 600, two_assets());
    fetched(&mut bench, &effects);
    let mut again = bench.restarted(minutes(5));
    let files = again.first.clone();
    fetched(&mut again, &files);
    let heard = again.pass(300_000);
    assert_eq!(kinds(&heard), ["sound Alert1 is Asset", "sound Alert1 at 1600000 ms"]);
    let told_of = started(&mut again, 1);
    assert!(told(&told_of).is_empty(), "nobody is there to hear it: {told_of:?}");
    assert!(told_of.iter().any(|line| line.starts_with("store outbox")));
}

#[test]
fn what_is_stored_and_makes_no_sense_is_passed_over() {
    let mut bench = bench();
    set(&mut bench, "a", "ALARM", 60, json!({}));
    let good = bench.stored["alerts.all"][0].clone();
    let mut astray = good.clone();
    (astray["token"], astray["order"]) = (json!("b"), json!([3]));
    bench.stored.insert("alerts.all".into(), json!([{}, 7, astray, good]));
    bench.stored.insert("alerts.volume".into(), json!(400));
    bench.stored.insert("alerts.ramp".into(), json!("yes"));
    let again = bench.restarted(minutes(0));
    assert_eq!(state(&again).0, ["a"]);
}

// The calendar.

fn corrected(bench: &mut Bench, seconds: i64) -> Vec<String> {
    bench.corrected += seconds;
    bench.pass(30_000)
}

#[test]
fn a_corrected_calendar_is_noticed_within_half_a_minute() {
    let mut bench = bench();
    set(&mut bench, "a", "ALARM", 3600, json!({}));
    bench.pass(1_000);
    assert_eq!(kinds(&corrected(&mut bench, 3_700)), ["sound Alert1 is BuiltIn(Alarm)", "sound Alert1"]);

    // Back by an hour: it rings an hour later.
    let mut bench = self::bench();
    set(&mut bench, "a", "ALARM", 60, json!({}));
    assert!(sounds(&corrected(&mut bench, -3_600)).is_empty());
    assert!(sounds(&bench.pass(3_600_000)).is_empty());
    assert_eq!(sounds(&bench.pass(30_000)).last(), Some(&"sound Alert1 at 4660000 ms"));
}

#[test]
fn a_correction_drops_what_is_long_past_by_it() {
    let mut bench = bench();
    set(&mut bench, "a", "ALARM", 60, json!({}));
    set(&mut bench, "b", "ALARM", 7_200, json!({}));
    assert_eq!(told(&corrected(&mut bench, 3_600)), ["AlertStopped a"]);
    assert_eq!(state(&bench).0, ["b"]);
}

#[test]
fn a_correction_does_not_touch_what_sounds() {
    let mut bench = sounding("a", "ALARM", json!({}));
    assert!(corrected(&mut bench, 7_200).is_empty());
    assert!(corrected(&mut bench, -20_000).is_empty());
    assert_eq!(state(&bench).1, ["a"]);
    // Its hour is one of the hub's clock.
    assert!(told(&bench.pass(3_500_000)).iter().all(|line| !line.starts_with("AlertStopped")));
    assert_eq!(told(&bench.pass(40_000)).last().unwrap(), "AlertStopped a");
}

#[test]
fn a_correction_moves_what_is_prepared_and_what_is_ordered() {
    let mut bench = bench();
    set(&mut bench, "a", "ALARM", 60, json!({}));
    bench.pass(56_000);
    // One second back while it is prepared.
    bench.corrected -= 1;
    let moved = bench.pass(4_999);
    assert_eq!(
        kinds(&moved),
        ["sound Alert1 stops", "sound Alert2 is BuiltIn(Alarm)", "sound Alert2 at 1061000 ms"]
    );
    assert_eq!(told(&started(&mut bench, 2)).len(), 2);

    // Two seconds back when it is ordered already.
    let mut bench = self::bench();
    set(&mut bench, "a", "ALARM", 60, json!({}));
    bench.pass(59_700);
    bench.corrected -= 2;
    assert_eq!(
        kinds(&bench.pass(3_000)),
        ["sound Alert1 stops", "sound Alert2 is BuiltIn(Alarm)", "sound Alert2 at 1062000 ms"]
    );
}
