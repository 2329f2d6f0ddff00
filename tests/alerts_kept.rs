//! Alerts outlive everything: the hub killed in the midst of each, no network, a power cut. What was acknowledged rings,
//! and what rang is told, in order and with its true time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use antiphon_domain::SpeakerId;
use antiphon_store::Store;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};
use support::alarms::{alert, in_seconds, second, stamp};
use support::hub::{Hub, PATIENCE, Setup};
use support::patience::eventually;

/// The alerts of a speaker as they are on the disk of a hub that does not run.
fn on_disk(hub: &Hub, id: &str) -> Value {
    let store = Store::open(&hub.folder().join("state/antiphon.db")).unwrap();
    let values = store.device_values(&SpeakerId::new(id)).unwrap();
    values.get("alerts.all").cloned().unwrap_or(Value::Null)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Tokens of the alerts in a SynchronizeState: all, and those that ring.
fn synchronised(hub: &Hub, id: &str) -> (Vec<String>, Vec<String>) {
    let entries = hub.simulator().transcript(id);
    let told = entries.iter().rfind(|e| e.is_event("System", "SynchronizeState")).expect("synchronised");
    let state = told.context("Alerts", "AlertsState").expect("the state of alerts");
    let tokens = |key: &str| {
        let all = state[key].as_array().cloned().unwrap_or_default();
        all.iter().map(|alert| alert["token"].as_str().unwrap().to_owned()).collect()
    };
    (tokens("allAlerts"), tokens("activeAlerts"))
}

#[test]
fn killed_in_the_midst_of_each() {
    let mut hub = Setup::new(&["set", "rings", "stopped"]).program().start();
    let soon = in_seconds(2.0);
    hub.set_alert("rings", &alert("TIMER", "rings", soon));
    hub.set_alert("stopped", &alert("TIMER", "stopped", soon));
    hub.event("stopped", 0, "Alerts", "AlertStarted");
    let before = hub.event("rings", 0, "Alerts", "AlertStarted");
    hub.api("POST", "/api/speakers/stopped/alerts/stop", json!({}));
    hub.event("stopped", 0, "Alerts", "AlertStopped");
    // Acknowledged is on disk: nothing may lie between.
    let due = in_seconds(8.0);
    hub.set_alert("set", &alert("ALARM", "set", due));
    hub.end(Signal::KILL);
    let kept = on_disk(&hub, "set");
    assert_eq!((&kept[0]["token"], kept.as_array().unwrap().len()), (&json!("set"), 1));
    assert_eq!(on_disk(&hub, "stopped"), Value::Null);
    let marks = ["set", "rings", "stopped"].map(|id| hub.simulator().mark(id));
    hub.start_again();
    hub.wait_linked();
    // What rang rings again, from its beginning: it is within half an hour.
    // It rings without Alexa too, and that it came to the foreground is told only by who is connected by then.
    let told = |hub: &Hub| {
        let mut told = hub.alerts_told("rings", marks[1]);
        told.retain(|what| what != "EnteredForeground:rings");
        told
    };
    eventually("it rings again", PATIENCE, || !told(&hub).is_empty());
    let entries = hub.simulator().transcript("rings");
    let again = entries.iter().rfind(|e| e.is_event("Alerts", "AlertStarted")).unwrap();
    assert_eq!(second(&again.payload()["scheduledTime"]), soon);
    // The hub is back so soon that it may be the same second.
    assert!(again.payload()["eventTime"].as_str() > before.payload()["eventTime"].as_str());
    hub.wait_heard("rings");
    hub.api("POST", "/api/speakers/rings/alerts/stop", json!({}));
    eventually("it is over", PATIENCE, || told(&hub).len() >= 2);
    assert_eq!(told(&hub), ["Started:rings", "Stopped:rings"]);
    let begun = hub.event("set", marks[0], "Alerts", "AlertStarted");
    assert_eq!(second(&begun.payload()["eventTime"]), due);
    assert_eq!(synchronised(&hub, "set").0, ["set"]);
    hub.wait_heard("set");
    hub.say("set", "stop");
    hub.event("set", marks[0], "Alerts", "DeleteAlertSucceeded");
    assert_eq!(hub.alerts_told("stopped", marks[2]), Vec::<String>::new(), "what was over stays over");
    assert_eq!(synchronised(&hub, "stopped").0, Vec::<String>::new());
    hub.assert_no_violations();
}

#[test]
fn without_alexa_alerts_ring_and_are_told_afterwards_also_by_a_hub_that_was_killed() {
    let mut hub = Setup::new(&["kitchen", "sofa"]).program().start();
    let first = in_seconds(4.0);
    for token in ["a", "b"] {
        hub.set_alert("kitchen", &alert("TIMER", token, first));
    }
    let later = first + 4;
    hub.set_alert("sofa", &alert("ALARM", "c", later));
    // Otherwise it would tell once more that they are set.
    hub.wait_acknowledged("kitchen");
    hub.wait_acknowledged("sofa");
    let mut stopped = 0;
    hub.restart_simulator(|hub| {
        // Nobody is there to tell; they ring all the same, one after the other.
        for _ in 0..2 {
            eventually("it rings", PATIENCE, || hub.rings("kitchen"));
            hub.wait_heard("kitchen");
            let before = hub.speaker("kitchen")["device"]["alerts"].as_array().unwrap().len();
            hub.api("POST", "/api/speakers/kitchen/alerts/stop", json!({}));
            stopped = now();
            eventually("it is over", PATIENCE, || {
                hub.speaker("kitchen")["device"]["alerts"].as_array().map_or(0, Vec::len) < before
            });
        }
        // Stopped and not told yet; about to ring.
        hub.end(Signal::KILL);
        hub.start_again();
        eventually("it rings after the restart", PATIENCE, || hub.rings("sofa"));
        hub.wait_heard("sofa");
        assert!(!hub.rings("kitchen"));
        eventually("a second after all that", PATIENCE, || now() > stopped.max(later) + 1);
    });
    hub.wait_linked();
    let told: Vec<String> = {
        eventually("all is told", PATIENCE, || hub.alerts_told("kitchen", 0).len() >= 4);
        hub.alerts_told("kitchen", 0)
    };
    assert_eq!(told, ["Started:a", "Stopped:a", "Started:b", "Stopped:b"]);
    let entries = hub.simulator().transcript("kitchen");
    let times: Vec<u64> = entries
        .iter()
        .filter(|e| e.namespace == "Alerts" && !e.payload()["eventTime"].is_null())
        .map(|e| second(&e.payload()["eventTime"]))
        .collect();
    assert_eq!(times[0], first, "when it began, not when it is told");
    assert!(times.is_sorted() && times[3].abs_diff(stopped) <= 1, "{times:?}, stopped at {stopped}");
    assert_eq!(synchronised(&hub, "kitchen").0, Vec::<String>::new());
    assert_eq!(synchronised(&hub, "sofa"), (vec!["c".to_owned()], vec!["c".to_owned()]));
    hub.event("sofa", 0, "Alerts", "AlertStarted");
    hub.say("sofa", "stop");
    hub.event("sofa", 0, "Alerts", "DeleteAlertSucceeded");
    hub.assert_no_violations();
}

/// Has an alert on disk been set for another second, as if the calendar had gone on without the hub.
fn move_to(hub: &Hub, id: &str, second: u64) {
    let mut store = Store::open(&hub.folder().join("state/antiphon.db")).unwrap();
    let speaker = SpeakerId::new(id);
    let mut alerts = store.device_values(&speaker).unwrap()["alerts.all"].clone();
    alerts[0]["scheduled"] = json!(second * 1_000_000_000);
    alerts[0]["time"] = json!(stamp(second));
    store.save_device_value(&speaker, "alerts.all", &alerts).unwrap();
}

#[test]
fn after_a_power_cut_of_29_minutes_it_rings_and_after_31_it_does_not() {
    let mut hub = Setup::new(&["short", "long"]).program().start();
    for id in ["short", "long"] {
        hub.set_alert(id, &alert("ALARM", id, in_seconds(3600.0)));
        // Otherwise it would tell once more that it is set.
        hub.wait_acknowledged(id);
    }
    let (mut late, mut restarted) = (0, 0);
    // Alexa forgets too: she never set them for those times.
    hub.restart_simulator(|hub| {
        hub.end(Signal::TERM);
        restarted = now();
        late = restarted - 29 * 60;
        move_to(hub, "short", late);
        move_to(hub, "long", restarted - 31 * 60);
        hub.start_again();
    });
    hub.wait_linked();
    let rings = hub.event("short", 0, "Alerts", "AlertStarted");
    assert_eq!(second(&rings.payload()["scheduledTime"]), late);
    assert!(second(&rings.payload()["eventTime"]) >= restarted);
    hub.wait_heard("short");
    let missed = hub.event("long", 0, "Alerts", "AlertStopped");
    assert_eq!(second(&missed.payload()["scheduledTime"]), restarted - 31 * 60);
    assert!(second(&missed.payload()["eventTime"]) >= restarted);
    assert_eq!(hub.alerts_told("long", 0), ["Stopped:long"]);
    assert!(!hub.rings("long") && hub.recording("long").samples.is_empty(), "nothing was heard");
    assert_eq!(hub.speaker("long")["device"]["alerts"], Value::Null);
    hub.api("POST", "/api/speakers/short/alerts/stop", json!({}));
    hub.event("short", 0, "Alerts", "AlertStopped");
    hub.assert_no_violations();
    hub.end(Signal::KILL);
    assert_eq!(on_disk(&hub, "long"), Value::Null);
    assert_eq!(on_disk(&hub, "short"), Value::Null);
}

#[test]
fn whoever_logs_out_leaves_no_alert_behind() {
    let mut hub = Setup::new(&["kitchen", "sofa"]).program().start();
    let due = in_seconds(2.0);
    hub.set_alert("kitchen", &alert("TIMER", "now", due));
    hub.set_alert("kitchen", &alert("TIMER", "later", due + 3600));
    hub.set_alert("sofa", &alert("TIMER", "mine", due + 3600));
    hub.event("kitchen", 0, "Alerts", "AlertStarted");
    hub.wait_heard("kitchen");
    hub.api("DELETE", "/api/speakers/kitchen/link", json!({}));
    eventually("nothing rings, nothing is set", PATIENCE, || {
        hub.speaker("kitchen")["device"]["alerts"].as_array().is_none_or(Vec::is_empty)
    });
    hub.wait_silent("kitchen");
    hub.assert_no_violations();
    hub.end(Signal::KILL);
    assert_eq!(on_disk(&hub, "kitchen"), Value::Null);
    assert_eq!(on_disk(&hub, "sofa")[0]["token"], "mine", "another's account is another's");
    hub.start_again();
    hub.wait(hub.simulator().wait_connected("sofa", PATIENCE)).unwrap();
    assert!(!hub.rings("kitchen"));
    assert!(hub.recording("kitchen").samples.is_empty());
}
