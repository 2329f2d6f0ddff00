//! Receivers that dial the hub, through the front door: they appear, play, hang up, are remembered and come back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use antiphon_endpoint::Descriptor;
use serde_json::json;
use support::analysis::longest_gap;
use support::calm::calmly;
use support::hub::{Hub, PATIENCE, Setup, level_at};
use support::patience::eventually;
use support::puppet::Puppet;

/// A receiver that writes what it plays where the hub's other speakers do.
fn caller(hub: &Hub, id: &str) -> Descriptor {
    Puppet::caller(id, &hub.folder().join(format!("{id}.wav")).display().to_string())
}

fn endpoint(hub: &Hub, id: &str) -> String {
    hub.speaker(id)["endpoint"]["state"].as_str().unwrap_or("unknown").to_owned()
}

fn wait_endpoint(hub: &Hub, id: &str, state: &str) {
    eventually(&format!("{id} is {state}"), PATIENCE, || endpoint(hub, id) == state);
}

#[test]
fn who_calls_is_a_speaker_and_is_remembered() {
    let puppet = Puppet::new();
    // Discovery breaks at its first breath; its next does all anew.
    puppet.state().breaks = 1;
    let mut hub = Setup::new(&["kitchen"]).with_kind(puppet.clone()).start();
    eventually("listened to", PATIENCE, || !puppet.state().arrivals.is_empty());
    puppet.calls(&caller(&hub, "radio"));
    wait_endpoint(&hub, "radio", "present");
    assert_eq!(hub.speaker("radio")["name"], "Caller radio");
    hub.api("PUT", "/api/groups/all", json!({ "speakers": ["kitchen", "radio"] }));
    let url = hub.simulator().track("tone-440-120s.wav");
    hub.api("POST", "/api/groups/all/play", json!({ "url": url }));
    hub.wait_level("radio", 440.0, level_at(40));
    // It hangs up in the midst: it is gone, keeps its place, and nobody else minds.
    puppet.hangs_up("radio");
    eventually("gone", PATIENCE, || hub.speaker("radio")["endpoint"]["why"].is_string());
    hub.wait_level("kitchen", 440.0, level_at(40));
    assert_eq!(hub.picture()["groups"][0]["speakers"], json!(["kitchen", "radio"]));
    // It calls again and plays on by itself.
    let heard = hub.recording("radio").end();
    puppet.calls(&caller(&hub, "radio"));
    eventually("it plays on", PATIENCE, || hub.recording("radio").end() > heard + 44_100);
    hub.api("POST", "/api/groups/all/stop", json!({}));
    // A hub that begins anew remembers it, and waits for its call.
    let puppet = Puppet::new();
    hub.begin_again(puppet.clone());
    wait_endpoint(&hub, "radio", "unreachable");
    assert_eq!(hub.picture()["groups"][0]["speakers"], json!(["kitchen", "radio"]));
    puppet.calls(&caller(&hub, "radio"));
    wait_endpoint(&hub, "radio", "present");
    let url = hub.simulator().track("tone-440-120s.wav");
    hub.api("POST", "/api/groups/all/play", json!({ "url": url }));
    eventually("it plays", PATIENCE, || hub.speaker("radio")["playing"] == true);
}

#[test]
fn heard_a_flood_of_callers_costs_nobody_a_sample() {
    calmly(a_flood_of_callers);
}

fn a_flood_of_callers() {
    let puppet = Puppet::new();
    let hub = Setup::new(&["kitchen"]).with_kind(puppet.clone()).start();
    let url = hub.simulator().track("tone-440-120s.wav");
    hub.api("POST", "/api/speakers/kitchen/play", json!({ "url": url }));
    hub.wait_level("kitchen", 440.0, level_at(40));
    let begun = hub.recording("kitchen").end();
    // Two hundred, each of which calls and hangs up ten times.
    for _ in 0..10 {
        for n in 0..200 {
            puppet.calls(&caller(&hub, &format!("c{n:03}")));
        }
        hub.wait_picture("all are known", |picture| {
            picture["speakers"].as_array().is_some_and(|speakers| speakers.len() == 201)
        });
        for n in 0..200 {
            puppet.hangs_up(&format!("c{n:03}"));
        }
    }
    hub.wait_picture("all are gone", |picture| {
        let speakers = picture["speakers"].as_array().cloned().unwrap_or_default();
        let gone = speakers.iter().filter(|s| s["endpoint"]["state"] == "unreachable").count();
        speakers.len() == 201 && gone == 200
    });
    hub.listen("kitchen", 44_100);
    let sound = hub.recording("kitchen");
    let (at, gap) = longest_gap(sound.between(begun, sound.end()), -60.0);
    assert!(gap < 20, "the kitchen was silent for {gap} frames at {at}");
}
