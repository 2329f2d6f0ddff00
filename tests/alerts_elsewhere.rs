//! An alert is heard, whatever becomes of the speaker it was set at: the nearest that takes sound rings it, the picture
//! says so, and it is stopped at either.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use serde_json::{Value, json};
use support::alarms::{alert, in_seconds, millis};
use support::calm::calmly;
use support::hub::{Hub, PATIENCE, RATE, Setup};
use support::patience::eventually;
use support::witness::{Ear, Witness};

const ALL: [&str; 3] = ["attic", "kitchen", "shelf"];

fn alerts_of(hub: &Hub, id: &str) -> Value {
    hub.ask("GET", &format!("/api/speakers/{id}/alerts"), None).1
}

fn unheard(hub: &Hub) -> f64 {
    let page = hub.metrics();
    let lines = page.lines().filter(|line| line.starts_with("antiphon_actors_alerts_unheard_total"));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Sets a timer at the kitchen and waits until another rings it; how long after its second, milliseconds.
fn rings_at(hub: &Hub, witness: &Witness, token: &str, ringer: &str) -> f64 {
    let mark = hub.simulator().mark("kitchen");
    let due = in_seconds(2.0);
    hub.set_alert("kitchen", &alert("TIMER", token, due));
    hub.event("kitchen", mark, "Alerts", "AlertStarted");
    let wanted = witness.frame_at(due);
    let begun = hub.wait_first_sound(ringer, wanted - f64::from(RATE));
    let late = millis(wanted, begun);
    println!("{token}: {ringer} rings {late:.0} ms after the second");
    hub.wait_heard(ringer);
    assert_eq!(alerts_of(hub, "kitchen")["rung_by"], ringer);
    assert_eq!(alerts_of(hub, ringer)["rings_for"], "kitchen");
    let shown = hub.antiphon(&["alarms"]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains(ringer), "{shown}");
    late
}

fn is_over(hub: &Hub, token: &str, mark: u64) {
    eventually("it is told", PATIENCE, || {
        hub.alerts_told("kitchen", mark).contains(&format!("Stopped:{token}"))
    });
    for id in ALL {
        hub.wait_silent(id);
    }
    eventually("the picture says that it is over", PATIENCE, || {
        let nobody = |id: &str| {
            let alerts = alerts_of(hub, id);
            alerts["rung_by"].is_null() && alerts["rings_for"].is_null() && alerts["alerts"] == json!([])
        };
        ALL.into_iter().all(nobody)
    });
}

#[test]
fn heard_at_the_nearest_that_takes_sound() {
    calmly(|| {
        let witness = Witness::new();
        let hub = Setup::new(&ALL).with_kind(witness.clone()).start();
        hub.api("PUT", "/api/groups/down", json!({ "speakers": ["kitchen", "shelf"] }));

        // The group first; stopped where it was set.
        witness.make("kitchen", Ear::Dumb);
        let mark = hub.simulator().mark("kitchen");
        let late = rings_at(&hub, &witness, "group", "shelf");
        assert!((900.0..1600.0).contains(&late), "rings {late:.0} ms after its second");
        hub.api("POST", "/api/speakers/kitchen/alerts/stop", json!({}));
        is_over(&hub, "group", mark);
        assert!(hub.recording("attic").samples.is_empty(), "nobody else was woken");

        // Then the house; stopped where it rings.
        witness.make("shelf", Ear::Dumb);
        let mark = hub.simulator().mark("kitchen");
        let late = rings_at(&hub, &witness, "house", "attic");
        assert!((900.0..2800.0).contains(&late), "rings {late:.0} ms after its second");
        let done = hub.antiphon(&["alarms", "attic", "stop"]).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        is_over(&hub, "house", mark);

        // Nobody: that is said and counted, and once its own speaker is back, it rings there.
        for id in ALL {
            witness.make(id, Ear::Gone);
        }
        let before = unheard(&hub);
        hub.set_alert("kitchen", &alert("TIMER", "nobody", in_seconds(2.0)));
        eventually("the picture says that nobody hears it", PATIENCE, || {
            alerts_of(&hub, "kitchen")["unheard"] == true
        });
        assert_eq!(unheard(&hub), before + 1.0);
        let mark = hub.simulator().mark("kitchen");
        witness.make("kitchen", Ear::Well);
        hub.event("kitchen", mark, "Alerts", "AlertStarted");
        hub.wait_heard("kitchen");
        assert_eq!(alerts_of(&hub, "kitchen")["unheard"], false);
        hub.say("kitchen", "stop");
        is_over(&hub, "nobody", mark);
        hub.assert_no_violations();
    });
}

/// Two that take no sound, one that rings for both: whoever stops it there stops the one it rings for, and the other's
/// turn comes; nobody's alert is lost.
#[test]
fn heard_for_two_at_one_speaker() {
    calmly(|| {
        let witness = Witness::new();
        let hub = Setup::new(&ALL).with_kind(witness.clone()).start();
        for id in ["kitchen", "shelf"] {
            witness.make(id, Ear::Dumb);
        }
        let due = in_seconds(2.0);
        for id in ["kitchen", "shelf"] {
            hub.set_alert(id, &alert("TIMER", id, due));
        }
        let mut whom = Vec::new();
        for _ in 0..2 {
            let mut now = Value::Null;
            eventually("it rings for somebody", PATIENCE, || {
                now = alerts_of(&hub, "attic")["rings_for"].clone();
                now.is_string() && !whom.contains(&now)
            });
            whom.push(now.clone());
            let id = now.as_str().unwrap().to_owned();
            hub.event(&id, 0, "Alerts", "AlertStarted");
            hub.wait_heard("attic");
            hub.api("POST", &format!("/api/speakers/{id}/alerts/stop"), json!({}));
            hub.event(&id, 0, "Alerts", "AlertStopped");
        }
        hub.wait_silent("attic");
        eventually("it is over", PATIENCE, || alerts_of(&hub, "attic")["rings_for"].is_null());
        hub.assert_no_violations();
    });
}
