//! Alerts 1.5, ending, volume and ramp.

use std::time::Duration;

use antiphon_avs::device::DeviceInput;
use antiphon_avs::signal::{Signal, Wish};
use antiphon_domain::Volume;
use serde_json::{Value, json};

use crate::alerts_support::*;
use crate::support::{Disk, lines};

#[test]
fn a_person_stops_it_also_offline() {
    let mut bench = sounding("a", "TIMER", json!({}));
    assert_eq!(told(&bench.signal(Signal::Wish(Wish::StopAlert))), ["AlertStopped a"]);
    // Nothing sounds: nothing is stopped, and what waits goes on waiting.
    set(&mut bench, "b", "TIMER", 4, json!({}));
    assert!(told(&bench.signal(Signal::Wish(Wish::StopAlert))).is_empty());
    bench.input(DeviceInput::Disconnected);
    bench.pass(4_000);
    assert!(told(&started(&mut bench, 3)).is_empty());
    assert!(told(&bench.signal(Signal::Wish(Wish::StopAlert))).is_empty());
    bench.now = bench.now + Duration::from_secs(60);
    let later = lines(&bench.input(DeviceInput::Connected));
    // What was in front when is of no use later; when it stopped is told as it was.
    assert_eq!(told(&later), ["AlertStarted b", "AlertStopped b"]);
    assert!(later.last().unwrap() == "store outbox null");
    assert!(later.iter().any(|l| l.starts_with("AlertStopped") && l.contains("00:16:54.000Z")), "{later:?}");
}

#[test]
fn one_alert_is_deleted() {
    let mut bench = sounding("a", "TIMER", json!({}));
    set(&mut bench, "b", "TIMER", 100, json!({}));
    let delete = |token: &str| json!({ "token": token });
    let told_of = bench.directive("Alerts.DeleteAlert", delete("a"));
    assert_eq!(told(&told_of), ["AlertStopped a", "DeleteAlertSucceeded a"]);
    let told_of = bench.directive("Alerts.DeleteAlert", delete("b"));
    assert_eq!(told(&told_of), ["DeleteAlertSucceeded b"]);
    let told_of = bench.directive("Alerts.DeleteAlert", delete("c"));
    assert_eq!(told(&told_of), ["DeleteAlertSucceeded c"]);
    assert_eq!(bench.stored["alerts.all"], Value::Null);

    set(&mut bench, "d", "TIMER", 100, json!({}));
    bench.disk = Disk::Refuses;
    assert_eq!(told(&bench.directive("Alerts.DeleteAlert", delete("d"))), ["DeleteAlertFailed d"]);
    assert_eq!(state(&bench).0, ["d"]);
}

#[test]
fn several_alerts_are_deleted_or_none() {
    let mut bench = sounding("a", "TIMER", json!({}));
    set(&mut bench, "b", "TIMER", 100, json!({}));
    set(&mut bench, "c", "TIMER", 100, json!({}));
    bench.disk = Disk::Refuses;
    let delete = json!({ "tokens": ["b", "nobody"] });
    let told_of = bench.directive("Alerts.DeleteAlerts", delete.clone());
    assert_eq!(told(&told_of), ["DeleteAlertsFailed [\"b\",\"nobody\"]"]);
    assert_eq!(state(&bench).0, ["a", "b", "c"]);
    bench.disk = Disk::Takes;
    let delete = json!({ "tokens": ["b", "nobody", "a"] });
    let told_of = bench.directive("Alerts.DeleteAlerts", delete);
    assert_eq!(told(&told_of), ["AlertStopped a", "DeleteAlertsSucceeded [\"b\",\"nobody\",\"a\"]"]);
    assert_eq!(state(&bench), (vec!["c".into()], vec![]));
}

#[test]
fn who_stops_what_is_in_front_stops_the_alert() {
    let mut bench = sounding("a", "TIMER", json!({}));
    assert_eq!(told(&bench.signal(Signal::Wish(Wish::StopForeground))), ["AlertStopped a"]);
}

#[test]
fn with_the_account_everything_is_gone_without_a_word() {
    let mut bench = sounding("a", "TIMER", json!({}));
    set(&mut bench, "b", "TIMER", 100, two_assets());
    let gone = lines(&bench.input(DeviceInput::LoggedOut));
    assert!(told(&gone).is_empty(), "{gone:?}");
    assert_eq!(sounds(&gone), ["sound Alert2 stops", "sound Alert1 stops"]);
    assert_eq!(gone.iter().filter(|line| line.starts_with("discard")).count(), 2);
    assert_eq!((&bench.stored["alerts.all"], &bench.stored["outbox"]), (&Value::Null, &Value::Null));
    assert!(sounds(&bench.pass(200_000)).is_empty());
}

#[test]
fn the_volume_of_alerts_is_their_own() {
    let mut bench = bench();
    assert!(bench.first.contains(&"AlertVolume(Volume(40))".into()), "{:?}", bench.first);
    let mut ask = |name: &str, volume: Value| {
        let lines = bench.directive(&format!("Alerts.{name}"), json!({ "volume": volume }));
        (lines[0].clone(), told(&lines))
    };
    for (name, volume, then) in [
        ("SetVolume", json!(70), 70),
        ("SetVolume", json!(70), 70),
        ("SetVolume", json!(170), 100),
        ("AdjustVolume", json!(-30), 70),
        ("AdjustVolume", json!("-20"), 50),
        ("AdjustVolume", json!(-300), 0),
        ("AdjustVolume", json!(i64::MAX), 100),
        ("SetVolume", json!("30"), 30),
    ] {
        let expected =
            (format!("AlertVolume(Volume({then}))"), vec![format!("VolumeChanged {{\"volume\":{then}}}")]);
        assert_eq!(ask(name, volume), expected);
    }
    let wish = Wish::AlertVolume(Volume::new(55).unwrap());
    assert_eq!(told(&bench.signal(Signal::Wish(wish))), ["VolumeChanged {\"volume\":55}"]);
    let again = bench.restarted(Duration::from_secs(1));
    assert!(again.first.contains(&"AlertVolume(Volume(55))".into()));
    assert_eq!(again.device.picture(again.moment()).alert_volume, Some(Volume::new(55).unwrap()));
}

#[test]
fn only_alarms_come_up_slowly_and_only_when_asked() {
    let mut bench = bench();
    let ramp = |word: &str| json!({ "alarmVolumeRamp": word });
    assert_eq!(
        told(&bench.directive("Alerts.SetAlarmVolumeRamp", ramp("ASCENDING"))),
        ["AlarmVolumeRampReport {\"alarmVolumeRamp\":\"ASCENDING\"}"]
    );
    set(&mut bench, "a", "ALARM", 10, json!({ "loopCount": 2 }));
    set(&mut bench, "b", "TIMER", 11, json!({ "loopCount": 1 }));
    let begun = bench.pass(10_000);
    assert_eq!(sounds(&begun)[1], "Swell { voice: Alert, over: 60s }");
    let mut rest = started(&mut bench, 1);
    rest.extend(finished(&mut bench, 1));
    rest.extend(started(&mut bench, 2));
    assert!(!rest.iter().any(|line| line.contains("Swell")));
    // What rings after it does not come up slowly.
    let mut next = finished(&mut bench, 2);
    next.extend(bench.pass(1_000));
    assert!(next.contains(&"Swell { voice: Alert, over: 0ns }".into()), "{next:?}");
    assert!(bench.device.picture(bench.moment()).alarm_ramp);
}

#[test]
fn the_ramp_is_a_setting() {
    let mut bench = bench();
    assert_eq!(
        told(&bench.signal(Signal::Wish(Wish::AlarmRamp(true)))),
        ["AlarmVolumeRampChanged {\"alarmVolumeRamp\":\"ASCENDING\"}"]
    );
    bench.input(DeviceInput::Disconnected);
    let unchanged = told(&lines(&bench.input(DeviceInput::Connected)));
    assert_eq!(unchanged, ["AlarmVolumeRampReport {\"alarmVolumeRamp\":\"ASCENDING\"}"]);
    bench.input(DeviceInput::Disconnected);
    assert!(told(&bench.signal(Signal::Wish(Wish::AlarmRamp(false)))).is_empty());
    let mut bench = bench.restarted(Duration::from_secs(1));
    let changed = told(&lines(&bench.input(DeviceInput::Connected)));
    assert!(changed.contains(&"AlarmVolumeRampChanged {\"alarmVolumeRamp\":\"NONE\"}".into()), "{changed:?}");
    let report = bench.directive("System.ReportState", json!({}));
    assert!(report.iter().any(|line| line.contains("AlarmVolumeRampReport")), "{report:?}");
}

#[test]
fn every_event_of_the_catalogue_is_sent() {
    let mut names = std::collections::BTreeSet::new();
    let mut bench = bench();
    let mut note = |lines: Vec<String>| {
        names.extend(told(&lines).iter().map(|line| line.split(' ').next().unwrap().to_owned()));
    };
    note(set(&mut bench, "a", "TIMER", -1, json!({})));
    note(started(&mut bench, 1));
    note(listen(&mut bench));
    for disk in [Disk::Refuses, Disk::Takes] {
        bench.disk = disk;
        note(set(&mut bench, "b", "TIMER", 60, json!({})));
        note(bench.directive("Alerts.DeleteAlert", json!({ "token": "a" })));
        note(bench.directive("Alerts.DeleteAlerts", json!({ "tokens": ["b"] })));
    }
    note(bench.signal(Signal::Wish(Wish::AlertVolume(Volume::MAX))));
    note(bench.signal(Signal::Wish(Wish::AlarmRamp(true))));
    let ramp = json!({ "alarmVolumeRamp": "NONE" });
    say_no_more(&mut bench);
    note(bench.pass(10_000));
    note(bench.directive("Alerts.SetAlarmVolumeRamp", ramp));
    for event in crate::catalogue::events_of("Alerts") {
        assert!(names.contains(&event), "nothing sent {event}");
    }
}
