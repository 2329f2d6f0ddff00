//! Volume through the front door: directives and API in, events and captured levels out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use serde_json::{Value, json};
use std::collections::BTreeMap;
use support::calm::calmly;
use support::hub::{Hub, RATE, Setup, level_at};

/// What a speaker told Alexa since `mark`, until its own answer to a last SetVolume to 1: event, volume, muted.
fn told(hub: &Hub, id: &str, mark: u64) -> Vec<(String, u64, bool)> {
    let last = hub.simulator().mark(id);
    hub.send(id, "Speaker", "SetVolume", json!({ "volume": 1 }));
    let end = hub.wait(hub.simulator().wait_for(
        id,
        last,
        |e| e.is_event("Speaker", "VolumeChanged") && e.payload()["volume"] == 1,
        support::hub::PATIENCE,
    ));
    let end = end.expect("the last answer").index;
    let entries = hub.simulator().transcript(id);
    let ours = entries.iter().filter(|e| (mark..end).contains(&e.index) && e.is_event(&e.namespace, &e.name));
    ours.map(|e| {
        let payload = e.payload();
        (e.name.clone(), payload["volume"].as_u64().unwrap_or(999), payload["muted"] == true)
    })
    .collect()
}

/// Brings a lone speaker to a level by directives.
fn bring(hub: &Hub, id: &str, volume: u64, muted: bool) {
    let mut mark = hub.simulator().mark(id);
    hub.send(id, "Speaker", "SetVolume", json!({ "volume": volume }));
    hub.event(id, mark, "Speaker", "VolumeChanged");
    if muted {
        mark = hub.simulator().mark(id);
        hub.send(id, "Speaker", "SetMute", json!({ "mute": true }));
        hub.event(id, mark, "Speaker", "MuteChanged");
    }
}

#[test]
fn every_edge_case_of_speaker_1_0() {
    let hub = Setup::new(&["kitchen"]).speaker("kitchen", "ceiling = 60").start();
    let volume = |v: i64| json!({ "volume": v });
    let mute = |on: bool| json!({ "mute": on });
    let (set, adjust, switch) = ("SetVolume", "AdjustVolume", "SetMute");
    type Row<'a> = ((u64, bool), &'a str, Value, &'a [(&'a str, u64, bool)]);
    let rows: &[Row<'_>] = &[
        ((30, false), set, volume(45), &[("VolumeChanged", 45, false)]),
        ((30, false), adjust, volume(-7), &[("VolumeChanged", 23, false)]),
        ((30, false), switch, mute(true), &[("MuteChanged", 30, true)]),
        ((30, true), switch, mute(false), &[("MuteChanged", 30, false)]),
        // Overshooting saturates, at the ceiling too.
        ((30, false), adjust, volume(-100), &[("VolumeChanged", 0, false)]),
        ((30, false), adjust, volume(100), &[("VolumeChanged", 60, false)]),
        ((30, false), set, volume(80), &[("VolumeChanged", 60, false)]),
        // A volume unmutes first, and only VolumeChanged says so.
        ((30, true), set, volume(20), &[("VolumeChanged", 20, false)]),
        ((30, true), adjust, volume(5), &[("VolumeChanged", 35, false)]),
        ((30, true), set, volume(30), &[("VolumeChanged", 30, false)]),
        // Nothing changes, and is told all the same.
        ((30, false), set, volume(30), &[("VolumeChanged", 30, false)]),
        ((0, false), adjust, volume(-10), &[("VolumeChanged", 0, false)]),
        ((30, true), switch, mute(true), &[("MuteChanged", 30, true)]),
        // Nothing changes, and nothing is told.
        ((30, false), switch, mute(false), &[]),
        // Unmuting silence is heard.
        ((0, true), switch, mute(false), &[("VolumeChanged", 10, false), ("MuteChanged", 10, false)]),
        // Zero is no mute.
        ((30, false), set, volume(0), &[("VolumeChanged", 0, false)]),
        ((30, true), set, volume(0), &[("VolumeChanged", 0, false)]),
    ];
    for ((from, muted), name, payload, expected) in rows {
        bring(&hub, "kitchen", *from, *muted);
        let mark = hub.simulator().mark("kitchen");
        hub.send("kitchen", "Speaker", name, payload.clone());
        let found = told(&hub, "kitchen", mark);
        let found: Vec<_> = found.iter().map(|(n, v, m)| (n.as_str(), *v, *m)).collect();
        assert_eq!(&found, expected, "{name} {payload} at {from}, muted {muted}");
    }
    hub.assert_no_violations();
}

#[test]
fn a_local_change_is_told_and_a_local_nothing_is_not() {
    let hub = Setup::new(&["kitchen"]).start();
    bring(&hub, "kitchen", 30, false);
    let mark = hub.simulator().mark("kitchen");
    let post = |path: &str, body: Value| hub.api("POST", &format!("/api/speakers/kitchen/{path}"), body);
    post("volume", json!({ "volume": 30, "scope": "speaker" }));
    post("mute", json!({ "muted": false, "scope": "speaker" }));
    post("volume", json!({ "volume": 33, "scope": "speaker" }));
    post("mute", json!({ "muted": true, "scope": "speaker" }));
    hub.event("kitchen", mark, "Speaker", "MuteChanged");
    let expected = [("VolumeChanged".to_owned(), 33, false), ("MuteChanged".to_owned(), 33, true)];
    assert_eq!(told(&hub, "kitchen", mark), expected);
    hub.assert_no_violations();
}

const THREE: [&str; 3] = ["kitchen", "shelf", "sofa"];

/// Three speakers at 20, 40 and 60 while their group is at 40.
fn balanced() -> Hub {
    let hub = Setup::new(&THREE).grouped().start();
    hub.set_alone(&[("kitchen", 20), ("shelf", 40), ("sofa", 60)]);
    hub
}

fn volumes(hub: &Hub) -> Vec<Option<u64>> {
    let picture = hub.picture();
    picture["speakers"].as_array().unwrap().iter().map(|s| s["volume"].as_u64()).collect()
}

#[test]
fn a_volume_spoken_to_one_moves_all_at_their_balances() {
    let hub = balanced();
    for (spoken, expected) in [
        (20, [10, 20, 30]),
        (70, [60, 70, 80]),
        (0, [0, 0, 0]),
        (40, [20, 40, 60]),
        (100, [100; 3]),
        (40, [20, 40, 60]),
    ] {
        let marks = THREE.map(|id| hub.simulator().mark(id));
        hub.send("shelf", "Speaker", "SetVolume", json!({ "volume": spoken }));
        for ((id, mark), volume) in THREE.iter().zip(marks).zip(expected) {
            // Each on its own connection: a transcript is that of one device.
            let event = hub.event(id, mark, "Speaker", "VolumeChanged");
            assert_eq!(event.payload(), &json!({ "volume": volume, "muted": false }), "{id} at {spoken}");
        }
        assert_eq!(volumes(&hub), expected.map(Some), "{spoken}");
    }
    // Nothing changes: the one that was spoken to answers, the others have nothing to tell.
    let marks = THREE.map(|id| hub.simulator().mark(id));
    hub.send("shelf", "Speaker", "SetVolume", json!({ "volume": 40 }));
    hub.event("shelf", marks[1], "Speaker", "VolumeChanged");
    hub.send("shelf", "Speaker", "SetVolume", json!({ "volume": 50 }));
    for (id, mark, times) in [("kitchen", marks[0], 1), ("shelf", marks[1], 2), ("sofa", marks[2], 1)] {
        hub.wait(hub.simulator().wait_until(
            id,
            |d| d.volume.is_some_and(|v| ![20, 40, 60].contains(&v)),
            support::hub::PATIENCE,
        ))
        .unwrap();
        assert_eq!(hub.events(id, mark, "Speaker").len(), times, "{id}");
    }
    hub.assert_no_violations();
}

#[test]
fn a_wish_moves_one_and_the_group_keeps_it() {
    let hub = balanced();
    hub.api("POST", "/api/speakers/sofa/volume", json!({ "volume": 30, "scope": "speaker" }));
    assert_eq!(volumes(&hub), [Some(20), Some(40), Some(30)]);
    // The next step of the group does not undo it.
    hub.api("POST", "/api/groups/all/volume", json!({ "step": -20 }));
    assert_eq!(volumes(&hub), [Some(10), Some(20), Some(15)]);
    hub.api("POST", "/api/groups/all/volume", json!({ "volume": 40 }));
    assert_eq!(volumes(&hub), [Some(20), Some(40), Some(30)]);
    // By name of a speaker, its group moves.
    hub.api("POST", "/api/speakers/shelf/volume", json!({ "volume": 20 }));
    assert_eq!(volumes(&hub), [Some(10), Some(20), Some(15)]);
    hub.assert_no_violations();
}

#[test]
fn scope_speaker_keeps_voice_to_the_one_it_spoke_to() {
    let hub = Setup::new(&["kitchen", "sofa"]).grouped().with("[voice]\nscope = \"speaker\"").start();
    hub.set_alone(&[("kitchen", 20), ("sofa", 60)]);
    let mark = hub.simulator().mark("kitchen");
    hub.send("kitchen", "Speaker", "SetVolume", json!({ "volume": 50 }));
    hub.event("kitchen", mark, "Speaker", "VolumeChanged");
    assert_eq!(volumes(&hub), [Some(50), Some(60)]);
    hub.assert_no_violations();
}

#[test]
fn mute_is_a_switch_of_its_own() {
    let hub = balanced();
    let muted = |hub: &Hub| -> Vec<bool> {
        hub.picture()["speakers"].as_array().unwrap().iter().map(|s| s["muted"] == true).collect()
    };
    // Spoken to one, it silences the group; no volume is written.
    let marks = THREE.map(|id| hub.simulator().mark(id));
    hub.say("sofa", "mute");
    for (id, mark) in THREE.iter().zip(marks) {
        hub.event(id, mark, "Speaker", "MuteChanged");
    }
    assert_eq!((muted(&hub), volumes(&hub)), (vec![true; 3], vec![Some(20), Some(40), Some(60)]));
    let marks = THREE.map(|id| hub.simulator().mark(id));
    hub.say("kitchen", "unmute");
    for (id, mark) in THREE.iter().zip(marks) {
        hub.event(id, mark, "Speaker", "MuteChanged");
    }
    assert_eq!((muted(&hub), volumes(&hub)), (vec![false; 3], vec![Some(20), Some(40), Some(60)]));
    // One alone, and the group's switch does not undo it.
    hub.api("POST", "/api/speakers/shelf/mute", json!({ "muted": true, "scope": "speaker" }));
    hub.api("POST", "/api/groups/all/mute", json!({ "muted": true }));
    assert_eq!(muted(&hub), [true; 3]);
    hub.api("POST", "/api/groups/all/mute", json!({ "muted": false }));
    assert_eq!(muted(&hub), [false, true, false]);
    assert_eq!(volumes(&hub), [Some(20), Some(40), Some(60)]);
    hub.assert_no_violations();
}

/// Numbers that look random and are the same each time (Knuth's MMIX generator).
struct Dice(u64);

impl Dice {
    fn upto(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// Volume and mute of every speaker, by id.
fn levels(hub: &Hub) -> BTreeMap<String, (u64, bool)> {
    let picture = hub.picture();
    let speakers = picture["speakers"].as_array().unwrap().iter();
    speakers
        .map(|s| (s["id"].as_str().unwrap().into(), (s["volume"].as_u64().unwrap(), s["muted"] == true)))
        .collect()
}

#[test]
fn a_random_walk_obeys_the_laws() {
    let ids = ["a", "b", "c", "d"];
    let hub = Setup::new(&ids).grouped().speaker("d", "ceiling = 70").start();
    hub.set_alone(&[("a", 15), ("b", 35), ("c", 55), ("d", 65)]);
    let mut dice = Dice(2);
    let mut slider: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    // What each must have told: its VolumeChanged events, in order.
    let marks: BTreeMap<&str, u64> = ids.iter().map(|id| (*id, hub.simulator().mark(id))).collect();
    let mut owed: BTreeMap<&str, Vec<u64>> = ids.iter().map(|id| (*id, Vec::new())).collect();
    let mut before = levels(&hub);
    let told = |id: &str| -> Vec<u64> {
        let entries = hub.simulator().transcript(id);
        let ours = entries.iter().filter(|e| e.index >= marks[id] && e.is_event("Speaker", "VolumeChanged"));
        ours.filter_map(|e| e.payload()["volume"].as_u64()).collect()
    };
    // All that is due and nothing else.
    let all_told = |owed: &BTreeMap<&str, Vec<u64>>, levels: &BTreeMap<String, (u64, bool)>| {
        support::patience::eventually("all is told", support::hub::PATIENCE, || {
            let muted = |id: &str| hub.simulator().device(id).unwrap().muted;
            ids.iter().all(|id| told(id) == owed[id] && muted(id) == Some(levels[*id].1))
        });
    };
    for step in 0..300 {
        all_told(&owed, &before);
        let id = ids[dice.upto(4) as usize];
        let kind = dice.upto(10);
        let mark = hub.simulator().mark(id);
        let ceiling = if id == "d" { 70 } else { 100 };
        // Also the ends, more often than by chance.
        let volume = [dice.upto(101), dice.upto(101), dice.upto(101), 0, 100][dice.upto(5) as usize];
        let change = dice.upto(41) as i64 - 20;
        let mut always = None;
        match kind {
            0..4 => {
                hub.send(id, "Speaker", "SetVolume", json!({ "volume": volume }));
                always = Some(hub.event(id, mark, "Speaker", "VolumeChanged"));
            }
            4..7 => {
                hub.send(id, "Speaker", "AdjustVolume", json!({ "volume": change }));
                always = Some(hub.event(id, mark, "Speaker", "VolumeChanged"));
            }
            7 => {
                hub.send(id, "Speaker", "SetMute", json!({ "mute": true }));
                hub.event(id, mark, "Speaker", "MuteChanged");
            }
            _ => hub.api("POST", "/api/groups/all/volume", json!({ "volume": volume })),
        }
        let after = levels(&hub);
        let context = format!("step {step}: {kind} at {id}, {volume}, {change}: {before:?} -> {after:?}");
        for (who, (now, _)) in &after {
            assert!(*now <= 100 && (who != "d" || *now <= 70), "ceiling: {context}");
            let moved = before[who].0 != *now;
            if moved || (who == id && always.is_some()) {
                owed.get_mut(who.as_str()).unwrap().push(*now);
            }
        }
        let up = after.iter().any(|(who, l)| l.0 > before[who].0);
        let down = after.iter().any(|(who, l)| l.0 < before[who].0);
        assert!(!(up && down), "some went up and some down: {context}");
        match kind {
            0..4 => {
                assert_eq!(after[id], (volume.min(ceiling), false), "addressed exactly: {context}");
                assert!(volume > 0 || after.values().all(|l| l.0 == 0), "silence: {context}");
            }
            4..7 => {
                let wanted = before[id].0.saturating_add_signed(change).min(ceiling);
                assert!(after[id].0.abs_diff(wanted) <= 1 && !after[id].1, "a step: {context}");
            }
            7 => assert!(after.iter().all(|(who, l)| l.0 == before[who].0 && l.1), "a mute: {context}"),
            _ => {
                let here: Vec<u64> = after.values().map(|l| l.0).collect();
                let known = slider.entry(volume).or_insert_with(|| here.clone());
                assert_eq!(known, &here, "a function of the slider: {context}");
                assert!(after.iter().all(|(who, l)| l.1 == before[who].1), "mute stays: {context}");
            }
        }
        before = after;
    }
    all_told(&owed, &before);
    // There and back again is where it was, where nothing saturates.
    hub.api("POST", "/api/groups/all/volume", json!({ "volume": 45 }));
    let home = levels(&hub);
    hub.wait(hub.simulator().wait_until("b", |d| d.volume == Some(home["b"].0), support::hub::PATIENCE))
        .unwrap();
    for change in [7, -7, -11, 11] {
        let mark = hub.simulator().mark("b");
        hub.send("b", "Speaker", "AdjustVolume", json!({ "volume": change }));
        hub.event("b", mark, "Speaker", "VolumeChanged");
    }
    assert_eq!(levels(&hub), home);
    hub.assert_no_violations();
}

#[test]
fn a_storm_from_all_sides_ends_in_one_truth() {
    let ids = ["a", "b", "c", "d"];
    let hub = Setup::new(&ids).grouped().start();
    hub.set_alone(&[("a", 10), ("b", 30), ("c", 50), ("d", 90)]);
    std::thread::scope(|scope| {
        for (i, id) in ids.iter().enumerate() {
            let hub = &hub;
            scope.spawn(move || {
                let mut dice = Dice(i as u64);
                for _ in 0..60 {
                    let volume = dice.upto(101);
                    match dice.upto(4) {
                        0 => hub.api("POST", "/api/groups/all/volume", json!({ "volume": volume })),
                        1 => hub.send(id, "Speaker", "AdjustVolume", json!({ "volume": volume as i64 - 50 })),
                        2 => hub.send(id, "Speaker", "SetMute", json!({ "mute": volume > 50 })),
                        _ => hub.send(id, "Speaker", "SetVolume", json!({ "volume": volume })),
                    }
                }
            });
        }
    });
    // Each has told Alexa last what is so, and what is so is what the hub shows.
    hub.say("a", "set volume to 5");
    let told = || ids.map(|id| hub.simulator().device(id).map(|d| (d.volume, d.muted)));
    let agreed = support::patience::wait_for(support::hub::PATIENCE, || {
        let levels = levels(&hub);
        let shown = ids.map(|id| Some((Some(levels[id].0), Some(levels[id].1))));
        (told() == shown && levels["a"].0 == 50).then_some(())
    });
    assert!(agreed.is_some(), "Alexa was told {:?}, the hub shows {:?}", told(), levels(&hub));
    hub.assert_no_violations();
}

#[test]
fn heard_levels_follow_without_a_click() {
    calmly(levels_follow_without_a_click);
}

fn levels_follow_without_a_click() {
    let hub = Setup::new(&["kitchen", "sofa"]).grouped().start();
    hub.set_alone(&[("kitchen", 40), ("sofa", 20)]);
    hub.api("POST", "/api/groups/all/play", json!({ "url": hub.simulator().track("tone-440-60s.wav") }));
    for (spoken, other) in [(40, 20), (20, 10), (60, 47), (10, 5), (40, 20)] {
        hub.send("kitchen", "Speaker", "SetVolume", json!({ "volume": spoken }));
        hub.wait_level("kitchen", 440.0, level_at(spoken));
        hub.wait_level("sofa", 440.0, level_at(other));
    }
    hub.say("kitchen", "mute");
    hub.wait_level("kitchen", 440.0, -120.0);
    hub.wait_level("sofa", 440.0, -120.0);
    hub.say("kitchen", "unmute");
    hub.wait_level("kitchen", 440.0, level_at(40));
    for id in ["kitchen", "sofa"] {
        let sound = hub.recording(id).samples;
        // A pure tone is 2cos(w) of what it was minus what it was before: what is left over is noise or a click.
        let turn = 2.0 * (std::f64::consts::TAU * 440.0 / f64::from(RATE)).cos();
        let begun = sound.iter().position(|s| s.abs() > 0.001).unwrap();
        let left = sound[begun..].windows(3).map(|w| {
            let [a, b, c] = [w[0], w[1], w[2]].map(f64::from);
            (a + c - turn * b).abs() * 32_768.0
        });
        let worst = left.enumerate().fold((0, 0.0), |worst, (i, x)| if x > worst.1 { (i, x) } else { worst });
        let around = begun + worst.0;
        let around: Vec<f32> = sound[around - 4..around + 8].iter().map(|s| s * 32_768.0).collect();
        let at = worst.0 as f64 / f64::from(RATE);
        assert!(worst.1 < 16.0, "{id}: a click of {:.1} steps {at:.3} s in: {around:?}", worst.1);
    }
    hub.assert_no_violations();
}
