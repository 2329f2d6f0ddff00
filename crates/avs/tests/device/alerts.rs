//! Alerts 1.5, setting: each row of the table, against a disk played by the test.

use antiphon_avs::device::DeviceInput;
use antiphon_avs::effect::Effect;
use antiphon_avs::signal::Signal;
use serde_json::{Value, json};

use crate::alerts_support::*;
use crate::support::Disk;

#[test]
fn an_alert_is_on_disk_before_the_cloud_hears_that_it_is_set() {
    let mut bench = bench();
    bench.disk = Disk::IsSilent;
    let time = time(&bench, 60);
    let payload = json!({ "token": "a", "type": "ALARM", "scheduledTime": time });
    let directive = crate::support::directive("Alerts.SetAlert", "m", None, payload);
    let effects = bench.input(DeviceInput::Directive(directive));
    let [Effect::Store { key, value, receipt: Some(receipt) }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((key.as_str(), value[0]["token"].as_str()), ("alerts.all", Some("a")));
    assert_eq!(state(&bench).0, Vec::<String>::new());
    let done = bench.signal(Signal::Stored(*receipt, true));
    assert_eq!(told(&done), ["SetAlertSucceeded a"]);
    assert_eq!(state(&bench), (vec!["a".into()], vec![]));
}

#[test]
fn an_alert_the_disk_does_not_take_is_not_set() {
    let mut bench = bench();
    bench.disk = Disk::Refuses;
    assert_eq!(told(&set(&mut bench, "a", "ALARM", 10, json!({}))), ["SetAlertFailed a"]);
    assert_eq!(state(&bench).0, Vec::<String>::new());
    assert!(sounds(&bench.pass(20_000)).is_empty());
    // An old one stays as it was.
    bench.disk = Disk::Takes;
    set(&mut bench, "a", "ALARM", 100, json!({}));
    bench.disk = Disk::Refuses;
    assert_eq!(told(&set(&mut bench, "a", "ALARM", 10, json!({}))), ["SetAlertFailed a"]);
    assert!(sounds(&bench.pass(90_000)).is_empty());
    bench.disk = Disk::Takes;
    assert_eq!(sounds(&bench.pass(10_000)), ["sound Alert1 is BuiltIn(Alarm)", "sound Alert1 at 1120000 ms"]);
}

#[test]
fn a_waiting_alert_is_set_anew_in_its_place() {
    let mut bench = bench();
    let first = set(&mut bench, "a", "TIMER", 60, two_assets());
    assert_eq!(first.iter().filter(|line| line.starts_with("fetch")).count(), 2);
    let mut other = two_assets();
    other["assets"][1]["url"] = json!("https://media.test/other");
    let again = set(&mut bench, "a", "TIMER", 30, other);
    assert_eq!(told(&again), ["SetAlertSucceeded a"]);
    // The file that is no longer its own is given up.
    assert_eq!(again.iter().filter(|line| line.starts_with("discard")).count(), 1);
    assert_eq!(again.iter().filter(|line| line.starts_with("fetch")).count(), 2);
    assert_eq!(state(&bench).0, ["a"]);
    assert_eq!(sounds(&bench.pass(30_000)).last(), Some(&"sound Alert1 at 1030000 ms"));
}

#[test]
fn a_sounding_alert_that_is_set_anew_snoozes() {
    let mut bench = sounding("a", "ALARM", json!({}));
    let told_of = set(&mut bench, "a", "ALARM", 300, json!({}));
    assert_eq!(told(&told_of), ["AlertStopped a", "SetAlertSucceeded a"]);
    assert_eq!(sounds(&told_of), ["sound Alert2 stops", "sound Alert1 stops"]);
    assert_eq!(state(&bench), (vec!["a".into()], vec![]));
    bench.pass(300_000);
    assert_eq!(told(&started(&mut bench, 3)), ["AlertStarted a", "AlertEnteredForeground a"]);
    // A snooze the disk does not take changes nothing.
    bench.disk = Disk::Refuses;
    assert_eq!(told(&set(&mut bench, "a", "ALARM", 300, json!({}))), ["SetAlertFailed a"]);
    assert_eq!(state(&bench).1, ["a"]);
}

#[test]
fn a_late_alert_sounds_at_once_and_a_very_late_one_not_at_all() {
    let mut bench = bench();
    let told_of = set(&mut bench, "a", "TIMER", -1800, json!({}));
    assert_eq!(told(&told_of), ["SetAlertSucceeded a"]);
    assert_eq!(sounds(&told_of), ["sound Alert1 is BuiltIn(Timer)", "sound Alert1"]);
    assert_eq!(told(&set(&mut bench, "b", "TIMER", -1801, json!({}))), ["SetAlertFailed b"]);
    assert_eq!(state(&bench).0, ["a"]);
}

#[test]
fn an_unknown_type_is_an_alarm() {
    let mut bench = bench();
    set(&mut bench, "a", "GONG", 5, json!({}));
    assert_eq!(sounds(&bench.pass(0)), ["sound Alert1 is BuiltIn(Alarm)"; 0]);
    assert_eq!(bench.device.picture(bench.moment()).alerts[0].kind, "ALARM");
    assert_eq!(state(&bench).0, ["a"]);
}

#[test]
fn what_is_missing_or_wrong_is_told_twice() {
    let mut bench = bench();
    let good = json!({ "token": "a", "type": "ALARM", "scheduledTime": time(&bench, 60) });
    for (name, wrong) in [
        ("type", Value::Null),
        ("scheduledTime", Value::Null),
        ("scheduledTime", json!("soon")),
        ("loopCount", json!(-1)),
        ("loopPauseInMilliSeconds", json!("some")),
        ("label", json!(3)),
    ] {
        let mut payload = good.clone();
        payload[name] = wrong;
        let mut told = told(&bench.directive("Alerts.SetAlert", payload));
        told.sort();
        assert_eq!(told, ["! UNEXPECTED_INFORMATION_RECEIVED", "SetAlertFailed a"], "{name}");
    }
    let mut payload = good.clone();
    payload.as_object_mut().unwrap().remove("token");
    assert_eq!(told(&bench.directive("Alerts.SetAlert", payload))[0], "SetAlertFailed ");
    let mut payload = good.clone();
    payload["originalTime"] = json!("whenever");
    payload["loopCount"] = json!("2");
    assert_eq!(told(&bench.directive("Alerts.SetAlert", payload)), ["SetAlertSucceeded a"]);
}

#[test]
fn there_is_room_for_so_many() {
    let mut bench = bench();
    for n in 0..20 {
        assert_eq!(told(&set(&mut bench, &format!("t{n:02}"), "TIMER", 600, json!({}))).len(), 1);
    }
    assert_eq!(told(&set(&mut bench, "t20", "TIMER", 600, json!({}))), ["SetAlertFailed t20"]);
    assert_eq!(told(&set(&mut bench, "t19", "TIMER", 700, json!({}))), ["SetAlertSucceeded t19"]);
    for n in 0..5 {
        let token = format!("r{n}");
        assert_eq!(
            told(&set(&mut bench, &token, "REMINDER", 600, json!({}))),
            [format!("SetAlertSucceeded {token}")]
        );
    }
    assert_eq!(told(&set(&mut bench, "a", "ALARM", 600, json!({}))), ["SetAlertFailed a"]);
    assert_eq!(state(&bench).0.len(), 25);
}

#[test]
fn an_alert_with_malformed_assets_has_none() {
    let asset = |id: &str| json!({ "assetId": id, "url": "https://media.test/a" });
    for more in [
        json!({ "assets": [{ "assetId": "a" }], "assetPlayOrder": ["a"] }),
        json!({ "assets": [{ "url": "https://media.test/a" }], "assetPlayOrder": [] }),
        json!({ "assets": [asset("a"), asset("a")], "assetPlayOrder": ["a"] }),
        json!({ "assets": [asset("a")], "assetPlayOrder": ["a", "b"] }),
        json!({ "assets": [asset("a")], "assetPlayOrder": ["a"], "backgroundAlertAsset": "b" }),
        json!({ "assets": "all", "assetPlayOrder": ["a"] }),
        json!({ "assets": [{ "assetId": "a", "url": "file:///etc/passwd" }], "assetPlayOrder": ["a"] }),
    ] {
        let mut bench = bench();
        let told_of = set(&mut bench, "a", "REMINDER", 6, more.clone());
        assert_eq!(told(&told_of), ["SetAlertSucceeded a"], "{more}");
        assert!(!told_of.iter().any(|line| line.starts_with("fetch")), "{more}");
        assert_eq!(sounds(&bench.pass(1_000)), ["sound Alert1 is BuiltIn(Reminder)"], "{more}");
    }
}
