//! Joining, leaving and dissolving while music plays: nobody's volume changes, and who goes on listening hears no gap.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use serde_json::json;
use support::analysis::{largest_jump, longest_gap};
use support::calm::calmly;
use support::hub::{Hub, RATE, Setup, level_at, play};

const HERTZ: f64 = 997.0;

fn volumes(hub: &Hub) -> Vec<u64> {
    let picture = hub.picture();
    picture["speakers"].as_array().unwrap().iter().map(|s| s["volume"].as_u64().unwrap()).collect()
}

/// Three speakers at 30, 40 and 55, the first two in a group that plays by a Play at the first.
fn two_play() -> Hub {
    let hub = Setup::new(&["kitchen", "shelf", "sofa"]).start();
    hub.set_alone(&[("kitchen", 30), ("shelf", 40), ("sofa", 55)]);
    hub.api("PUT", "/api/groups/down", json!({ "speakers": ["kitchen", "shelf"] }));
    let url = hub.simulator().track("tone-997-60s.wav");
    hub.send("kitchen", "AudioPlayer", "Play", play("REPLACE_ALL", &url, "a", None));
    hub.wait_level("kitchen", HERTZ, level_at(30));
    hub.wait_level("shelf", HERTZ, level_at(40));
    hub
}

/// From its first sound on, a speaker at this volume heard the tone without a gap, a jump or another level.
fn unbroken(hub: &Hub, id: &str, volume: u64) {
    hub.listen(id, RATE as usize / 2);
    let sound = hub.recording(id).samples;
    let begun = sound.iter().position(|s| *s != 0.0).unwrap() + RATE as usize / 10;
    let (place, gap) = longest_gap(&sound[begun..], level_at(volume) - 20.0);
    assert!(gap < 20, "{id}: {gap} samples of silence {} s in", place as f64 / f64::from(RATE));
    let (place, jump) = largest_jump(&sound[begun..], RATE, HERTZ);
    assert!(jump < 3e-6, "{id}: moved by {jump} s, {} s in", place as f64 / f64::from(RATE));
    for (at, level) in support::analysis::tone_levels(&sound[begun..], RATE, HERTZ, 0.1) {
        assert!((level - level_at(volume)).abs() < 0.3, "{id}: {level:.2} dBFS {at:.1} s in");
    }
}

fn wait_silent(hub: &Hub, id: &str) {
    hub.wait_picture("it is silent", |_| hub.speaker(id)["playing"] == false);
}

#[test]
fn heard_joining_and_leaving_is_innocent() {
    calmly(joining_and_leaving_is_innocent);
}

fn joining_and_leaving_is_innocent() {
    let hub = two_play();
    let marks = ["kitchen", "shelf", "sofa"].map(|id| hub.simulator().mark(id));
    // One more joins and is heard at the volume it has ...
    hub.api("PUT", "/api/groups/down", json!({ "speakers": ["kitchen", "shelf", "sofa"] }));
    hub.wait_picture("it plays", |_| hub.speaker("sofa")["playing"] == true);
    assert_eq!(volumes(&hub), [30, 40, 55]);
    // ... and climbs to it from a safe one.
    hub.wait_level("sofa", HERTZ, level_at(55));
    // One leaves: silent, and the others play on.
    hub.api("PUT", "/api/groups/down", json!({ "speakers": ["kitchen", "sofa"] }));
    wait_silent(&hub, "shelf");
    assert_eq!(volumes(&hub), [30, 40, 55]);
    unbroken(&hub, "kitchen", 30);
    // Nobody has anything to tell about volume, and the music is nobody's news but the leader's.
    for (id, mark) in ["kitchen", "shelf", "sofa"].iter().zip(marks) {
        assert_eq!(hub.events(id, mark, "Speaker"), Vec::<String>::new(), "{id}");
    }
    assert_eq!(hub.events("kitchen", marks[0], "AudioPlayer"), Vec::<String>::new());
    // The balance they have is the one they keep.
    hub.api("POST", "/api/speakers/kitchen/volume", json!({ "volume": 0 }));
    hub.api("POST", "/api/speakers/kitchen/volume", json!({ "volume": 30 }));
    assert_eq!(volumes(&hub), [30, 40, 55]);
    hub.assert_no_violations();
}

#[test]
fn heard_content_stays_with_those_who_stay() {
    calmly(content_stays_with_those_who_stay);
}

fn content_stays_with_those_who_stay() {
    let hub = two_play();
    let mark = hub.simulator().mark("kitchen");
    // Its leader goes: the one who stays hears it on.
    hub.api("PUT", "/api/groups/down", json!({ "speakers": ["shelf", "sofa"] }));
    hub.wait_picture("it plays", |_| hub.speaker("sofa")["playing"] == true);
    wait_silent(&hub, "kitchen");
    assert_eq!(volumes(&hub), [30, 40, 55]);
    unbroken(&hub, "shelf", 40);
    let picture = hub.picture();
    let group = picture["groups"].as_array().unwrap().iter().find(|g| g["id"] == "down").unwrap();
    assert_eq!(group["content"]["state"], "playing", "{group:#}");
    // Whoever owns it can end it still.
    hub.api("POST", "/api/groups/down/stop", json!({}));
    hub.event("kitchen", mark, "AudioPlayer", "PlaybackStopped");
    wait_silent(&hub, "shelf");
    hub.assert_no_violations();
}

#[test]
fn heard_dissolving_leaves_the_music_with_its_owner() {
    calmly(dissolving_leaves_the_music_with_its_owner);
}

fn dissolving_leaves_the_music_with_its_owner() {
    let hub = two_play();
    let mark = hub.simulator().mark("kitchen");
    hub.api("DELETE", "/api/groups/down", json!({}));
    wait_silent(&hub, "shelf");
    assert_eq!(volumes(&hub), [30, 40, 55]);
    unbroken(&hub, "kitchen", 30);
    assert_eq!(hub.events("kitchen", mark, "AudioPlayer"), Vec::<String>::new());
    // Each is alone: a volume moves nobody else.
    let shelf = hub.simulator().mark("shelf");
    hub.say("shelf", "set volume to 2");
    hub.event("shelf", shelf, "Speaker", "VolumeChanged");
    assert_eq!(volumes(&hub), [30, 20, 55]);
    hub.say("kitchen", "stop");
    hub.event("kitchen", mark, "AudioPlayer", "PlaybackStopped");
    hub.assert_no_violations();
}

#[test]
fn heard_groups_made_while_two_play_keep_the_first_ones_music() {
    calmly(groups_made_while_two_play_keep_the_first_ones_music);
}

fn groups_made_while_two_play_keep_the_first_ones_music() {
    let hub = Setup::new(&["kitchen", "shelf"]).start();
    hub.set_alone(&[("kitchen", 30), ("shelf", 40)]);
    let marks = ["kitchen", "shelf"].map(|id| hub.simulator().mark(id));
    for (id, hertz) in [("kitchen", 997), ("shelf", 660)] {
        let url = hub.simulator().track(&format!("tone-{hertz}-60s.wav"));
        hub.send(id, "AudioPlayer", "Play", play("REPLACE_ALL", &url, id, None));
    }
    hub.wait_level("shelf", 660.0, level_at(40));
    hub.wait_level("kitchen", HERTZ, level_at(30));
    hub.api("PUT", "/api/groups/all", json!({ "speakers": ["kitchen", "shelf"] }));
    hub.wait_level("shelf", HERTZ, level_at(40));
    // What the other played is over, and it says so.
    hub.event("shelf", marks[1], "AudioPlayer", "PlaybackStopped");
    unbroken(&hub, "kitchen", 30);
    assert_eq!(volumes(&hub), [30, 40]);
    let told = hub.events("kitchen", marks[0], "AudioPlayer");
    assert!(!told.contains(&"PlaybackStopped".to_owned()), "{told:?}");
    hub.assert_no_violations();
}
