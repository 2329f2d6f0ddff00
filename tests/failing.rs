//! Joining, leaving and failing in a house at work: whatever one speaker does, the others hear every sample.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use antiphon_domain::Volume;
use antiphon_endpoint::{Button, EndpointEvent, LostReason, SyncReport};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::analysis::{largest_jump, longest_gap};
use support::calm::calmly;
use support::hub::{Hub, PATIENCE, RATE, Setup, level_at};
use support::patience::eventually;
use support::puppet::Puppet;

const HERTZ: f64 = 997.0;
/// Speakers that play along, and those that are judged among them.
const ALL: [&str; 24] = [
    "s01", "s02", "s03", "s04", "s05", "s06", "s07", "s08", "s09", "s10", "s11", "s12", "s13", "s14", "s15",
    "s16", "s17", "s18", "s19", "s20", "s21", "s22", "s23", "s24",
];
const JUDGED: [&str; 3] = ["s01", "s12", "s23"];

/// A house in which everybody but the last plays one tone, each at volume 40, and what its speakers do.
fn house() -> (Hub, Arc<Puppet>) {
    let puppet = Puppet::new();
    let hub = Setup::new(&ALL).with_kind(puppet.clone()).start();
    let all_but_one: Vec<&str> = ALL[..23].to_vec();
    hub.api("PUT", "/api/groups/all", json!({ "speakers": all_but_one }));
    let url = hub.simulator().track("tone-997-120s.wav");
    hub.api("POST", "/api/groups/all/play", json!({ "url": url }));
    for id in &all_but_one {
        hub.wait_level(id, HERTZ, level_at(40));
    }
    (hub, puppet)
}

/// Where a speaker's recording is now.
fn mark(hub: &Hub) -> Vec<u64> {
    JUDGED.iter().map(|id| hub.recording(id).end()).collect()
}

/// Since then they heard the tone without a gap or a jump, to the sample.
fn unbroken_since(hub: &Hub, marks: &[u64]) {
    for (id, from) in JUDGED.iter().zip(marks) {
        hub.listen(id, RATE as usize);
        let sound = hub.recording(id);
        let heard = sound.between(*from, sound.end());
        let (at, gap) = longest_gap(heard, level_at(40) - 20.0);
        assert!(gap < 20, "{id} was silent for {gap} frames, {at} frames on");
        let (at, jump) = largest_jump(heard, RATE, HERTZ);
        assert!(jump < 3e-6, "{id} jumped by {jump} s, {at} frames on");
    }
}

#[test]
fn heard_one_that_joins_or_leaves_disturbs_nobody_and_is_in_time() {
    calmly(joining);
}

fn joining() {
    let (hub, _puppet) = house();
    let late = ALL[23];
    let marks = mark(&hub);
    let mut everybody = ALL.to_vec();
    let asked = (Instant::now(), hub.recording("s01").end());
    hub.api("PUT", "/api/groups/all", json!({ "speakers": everybody }));
    hub.wait_level(late, HERTZ, level_at(40));
    println!("failing: a joiner's request took at most {:?}", asked.0.elapsed());
    let sound = hub.recording(late);
    let first = sound.origin + sound.samples.iter().position(|s| s.abs() > 0.001).unwrap() as u64;
    let after = (first - asked.1) as f64 / f64::from(RATE);
    println!("failing: a joiner is heard {after:.3} s after the request");
    assert!(after < 2.0, "a joiner was heard after {after} s");
    // In time: the very samples that the others have at the same frames.
    let other = hub.recording("s01");
    let from = first + u64::from(RATE) / 5;
    let to = sound.end().min(other.end());
    let pairs = sound.between(from, to).iter().zip(other.between(from, to));
    assert!(to > from && pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-4), "a joiner is not in time");
    // Six leave, at once, and come back.
    everybody.retain(|id| !ALL[5..11].contains(id));
    hub.api("PUT", "/api/groups/all", json!({ "speakers": everybody }));
    hub.wait_picture("they are silent", |_| hub.speaker(ALL[7])["playing"] == false);
    hub.api("PUT", "/api/groups/all", json!({ "speakers": ALL }));
    hub.wait_level(ALL[7], HERTZ, level_at(40));
    unbroken_since(&hub, &marks);
}

#[test]
fn heard_one_that_is_lost_again_and_again_costs_nobody_a_sample() {
    calmly(losing);
}

fn losing() {
    let (hub, puppet) = house();
    let marks = mark(&hub);
    for n in 0..40 {
        let why = LostReason::Disconnected(format!("the {n}th time"));
        for id in &ALL[2..10] {
            // One that waits for its next attempt has no session to lose.
            puppet.tell(id, EndpointEvent::Lost(why.clone()));
        }
        hub.listen("s01", RATE as usize / 20);
    }
    unbroken_since(&hub, &marks);
    for id in &ALL[2..10] {
        hub.wait_level(id, HERTZ, level_at(40));
    }
}

#[test]
fn heard_one_that_floods_the_hub_costs_nobody_a_sample() {
    calmly(flooding);
}

fn flooding() {
    let (hub, puppet) = house();
    let marks = mark(&hub);
    let begun = Instant::now();
    let mut told = 0_u64;
    let mut slowest = Duration::ZERO;
    while begun.elapsed() < Duration::from_secs(4) {
        for n in 0..500 {
            let volume = Volume::new(n % 100).unwrap();
            puppet.tell("s05", EndpointEvent::VolumeTurned(volume));
            puppet.tell("s05", EndpointEvent::Muted(n % 2 == 0));
            puppet.tell("s05", EndpointEvent::Pressed(Button::GroupMute(false)));
            puppet.tell("s06", EndpointEvent::Sync(SyncReport::default()));
            puppet.tell("s06", EndpointEvent::Underrun { blocks: u32::MAX });
            puppet.tell("s07", EndpointEvent::Meter { rms_dbfs: -20.0, peak_dbfs: -10.0 });
            told += 6;
        }
        let asked = Instant::now();
        assert_eq!(hub.speaker("s01")["playing"], true);
        slowest = slowest.max(asked.elapsed());
    }
    let rate = told as f64 / begun.elapsed().as_secs_f64();
    println!("failing: {rate:.0} pieces of news a second; the API took at most {slowest:?}");
    assert!(slowest < Duration::from_secs(2), "the API took {slowest:?}");
    unbroken_since(&hub, &marks);
    // The flood over, the hub is as it should be: the knob's last word counts for that speaker alone.
    hub.api("POST", "/api/speakers/s05/volume", json!({ "volume": 30, "scope": "speaker" }));
    hub.api("POST", "/api/speakers/s05/mute", json!({ "muted": false, "scope": "speaker" }));
    eventually("set", PATIENCE, || hub.volume("s05") == Some(30));
    hub.wait_level("s05", HERTZ, level_at(30));
    assert_eq!(hub.volume("s06"), Some(40));
    let refused: Vec<String> =
        hub.metrics().lines().filter(|line| line.contains("refused_messages")).map(String::from).collect();
    println!("failing: {refused:?}");
}

#[test]
fn heard_one_that_blocks_is_dropped_and_costs_nobody_a_sample() {
    calmly(blocking);
}

fn blocking() {
    let (hub, puppet) = house();
    let marks = mark(&hub);
    puppet.state().stalls.insert("s05".into(), Duration::from_millis(60));
    hub.wait_picture("it is dropped", |_| {
        hub.speaker("s05")["endpoint"]["why"].as_str().is_some_and(|why| why.contains("held up"))
    });
    puppet.state().stalls.clear();
    unbroken_since(&hub, &marks);
    // Well again, it plays with the others at its next attempt.
    hub.wait_level("s05", HERTZ, level_at(40));
}
