//! The hub's program killed and ended while it plays, and started again: nothing that was acknowledged is lost, nobody
//! has to log in again, and nobody is shocked.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use rustix::process::Signal;
use serde_json::{Value, json};
use support::analysis::{tone_level, tone_levels};
use support::calm::calmly;
use support::hub::{Hub, PATIENCE, RATE, Setup, level_at, play};
use support::patience::eventually;

const HERTZ: f64 = 997.0;

/// Three speakers, two of them in a group by a person's wish, one of them louder than is safe.
fn house() -> Hub {
    let hub = Setup::new(&["kitchen", "shelf", "sofa"]).program().start();
    hub.set_alone(&[("kitchen", 70), ("shelf", 20), ("sofa", 35)]);
    hub.api("PUT", "/api/groups/down", json!({ "name": "Downstairs", "speakers": ["kitchen", "shelf"] }));
    hub
}

fn start_music(hub: &Hub) {
    let url = hub.simulator().track("tone-997-60s.wav");
    hub.send("kitchen", "AudioPlayer", "Play", play("REPLACE_ALL", &url, "a", None));
}

/// Volumes and mutes by speaker, and who is with whom.
fn remembered(hub: &Hub) -> (Vec<Value>, Vec<Value>) {
    let picture = hub.picture();
    let speakers = picture["speakers"].as_array().unwrap().iter();
    let groups = picture["groups"].as_array().unwrap().iter();
    (
        speakers.map(|s| json!([s["id"], s["volume"], s["muted"], s["group"]])).collect(),
        groups.map(|g| json!([g["id"], g["name"], g["volume"], g["speakers"]])).collect(),
    )
}

/// Commits so far.
fn commits_of(hub: &Hub) -> u64 {
    let metrics = hub.metrics();
    let line =
        metrics.lines().find(|l| l.starts_with("antiphon_store_commit_seconds_count")).expect("the metric");
    line.split_whitespace().last().unwrap().parse().unwrap()
}

/// Has everything written that waits; commits so far.
fn settled(hub: &Hub) -> u64 {
    hub.api("PUT", "/api/groups/down", json!({ "speakers": ["kitchen", "shelf"] }));
    commits_of(hub)
}

/// Nobody had to log in again: no token was refused, and the newest was used.
fn no_new_login(hub: &Hub, refreshes: u64) {
    for id in ["kitchen", "shelf", "sofa"] {
        let counts = hub.simulator().counts(id);
        assert_eq!(counts.refused_refreshes, 0, "{id}: {counts:?}");
        assert!(counts.refreshes >= refreshes, "{id}: {counts:?}");
    }
}

/// The first sound is at the safe level or below, and climbs from there.
fn no_shock(hub: &Hub) {
    hub.wait_level("kitchen", HERTZ, level_at(70));
    let sound = hub.recording("kitchen").samples;
    let begun = sound.iter().position(|s| *s != 0.0).unwrap();
    let first = tone_level(&sound[begun..begun + RATE as usize / 20], RATE, HERTZ);
    assert!(first < level_at(40) + 0.3, "the first sound is at {first:.1} dBFS");
    let mut before = first;
    for (at, level) in tone_levels(&sound[begun..], RATE, HERTZ, 0.1) {
        assert!(
            level > before - 0.3 && level < before + 3.0,
            "from {before:.1} to {level:.1} dBFS {at:.1} s in"
        );
        before = level;
    }
    // Who is under the safe level has nothing to climb.
    hub.wait_level("shelf", HERTZ, level_at(20));
}

#[test]
fn heard_kill_9_while_playing() {
    calmly(kill_9_while_playing);
}

fn kill_9_while_playing() {
    let mut hub = house();
    start_music(&hub);
    no_shock(&hub);
    // A slider in motion is one write: levels reach the disk a moment later.
    let commits = settled(&hub);
    let mark = hub.simulator().mark("sofa");
    hub.send("sofa", "Speaker", "SetMute", json!({ "mute": true }));
    hub.event("sofa", mark, "Speaker", "MuteChanged");
    eventually("it is saved", PATIENCE, || commits_of(&hub) > commits);
    let before = remembered(&hub);
    hub.end(Signal::KILL);
    hub.start_again();
    hub.wait_linked();
    assert_eq!(remembered(&hub), before);
    no_new_login(&hub, 2);
    // Alexa is told what is true now: nothing plays, and how loud it would be.
    let entries = hub.simulator().transcript("sofa");
    let told = entries.iter().rfind(|e| e.is_event("System", "SynchronizeState")).unwrap();
    assert_eq!(told.context("Speaker", "VolumeState").unwrap(), &json!({ "volume": 35, "muted": true }));
    assert_eq!(told.context("AudioPlayer", "PlaybackState").unwrap()["playerActivity"], "IDLE");
    start_music(&hub);
    no_shock(&hub);
    hub.assert_no_violations();
}

#[test]
fn killed_again_and_again_it_keeps_its_tokens_and_groups() {
    let mut hub = house();
    for round in 2..5 {
        // Who is with whom is on disk when it is acknowledged, and all that was asked before it.
        let others = if round % 2 == 0 { ["kitchen", "sofa"] } else { ["kitchen", "shelf"] };
        hub.api("PUT", "/api/groups/down", json!({ "speakers": others }));
        let before = remembered(&hub);
        hub.end(Signal::KILL);
        hub.start_again();
        hub.wait_linked();
        assert_eq!(remembered(&hub), before, "round {round}");
        no_new_login(&hub, round);
    }
    hub.assert_no_violations();
}

#[test]
fn a_configured_group_that_was_dissolved_stays_dissolved() {
    let mut hub = Setup::new(&["kitchen", "shelf", "sofa"]).grouped().program().start();
    assert_eq!(hub.picture()["groups"][0]["speakers"], json!(["kitchen", "shelf", "sofa"]));
    hub.api("DELETE", "/api/groups/all", json!({}));
    hub.end(Signal::KILL);
    hub.start_again();
    hub.wait_linked();
    assert_eq!(hub.picture()["groups"], json!([]));
    no_new_login(&hub, 2);
    hub.assert_no_violations();
}

#[test]
fn heard_ended_politely() {
    calmly(ended_politely);
}

fn ended_politely() {
    let mut hub = house();
    start_music(&hub);
    hub.wait_level("shelf", HERTZ, level_at(20));
    hub.api("POST", "/api/speakers/sofa/volume", json!({ "volume": 31 }));
    let before = remembered(&hub);
    let asked = std::time::Instant::now();
    let status = hub.end(Signal::TERM);
    assert!(status.unwrap().success(), "{status:?}");
    assert!(asked.elapsed().as_secs() < 5, "{:?}", asked.elapsed());
    for id in ["kitchen", "shelf", "sofa"] {
        hub.wait(hub.simulator().wait_until(id, |d| d.connections == 0, PATIENCE)).unwrap();
    }
    hub.start_again();
    hub.wait_linked();
    assert_eq!(remembered(&hub), before);
    no_new_login(&hub, 2);
    start_music(&hub);
    no_shock(&hub);
    hub.assert_no_violations();
}

#[test]
fn a_hub_that_nothing_keeps_ends_at_once() {
    let mut hub = Setup::new(&["kitchen"]).program().start();
    let begun = std::time::Instant::now();
    hub.end(Signal::TERM);
    // Farewells may take two seconds; its open doors, where nobody is, are none.
    assert!(begun.elapsed() < std::time::Duration::from_millis(1_500), "{:?}", begun.elapsed());
}
