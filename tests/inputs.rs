//! Inputs of the hub as what speakers play: a network stream, a capture device, what another speaker hears; chosen by
//! voice and at a surface.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use antiphon_simulator::{Options, Simulator};
use serde_json::json;
use support::analysis::SILENCE;
use support::calm::calmly;
use support::hub::{Hub, RATE, Setup, level_at};
use support::telling::{assert_unbroken, lives, told, tone, unbroken};

/// A hub with three inputs; the stream comes from a server of its own, which was there before the hub.
fn house() -> (tokio::runtime::Runtime, Simulator, tempfile::TempDir, Hub) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let radio = runtime.block_on(Simulator::start(Options::new(folder.path().join("radio")))).unwrap();
    // The device plays a tone at -12 dBFS as a sound card's line-in would.
    let inputs = format!(
        "[[inputs]]\nname = \"TUNER\"\nfriendly_names = [\"radio\"]\nurl = {:?}\n\
         [[inputs]]\nname = \"LINE 1\"\ndevice = \"audiotestsrc is-live=true freq=550 volume=0.25\"\n\
         [[inputs]]\nname = \"AUX 1\"\nfriendly_names = [\"the kitchen\"]\nspeaker = \"kitchen\"\n",
        radio.track("tone-770-120s.wav"),
    );
    let hub = Setup::new(&["kitchen", "shelf", "sofa"]).with(&inputs).start();
    (runtime, radio, folder, hub)
}

fn select(hub: &Hub, id: &str, input: &str) {
    hub.send(id, "Alexa.InputController", "SelectInput", json!({ "input": input }));
}

fn input(hub: &Hub, id: &str) -> serde_json::Value {
    hub.speaker(id)["device"]["input"].clone()
}

fn wait_silent(hub: &Hub, id: &str) {
    hub.wait_picture("it is silent", |_| hub.speaker(id)["playing"] == false);
}

#[test]
fn heard_a_stream_and_a_device_by_voice_and_by_a_surface() {
    calmly(|| {
        let (runtime, radio, _folder, hub) = house();
        let marks = ["kitchen", "shelf"].map(|id| hub.simulator().mark(id));
        hub.api("PUT", "/api/groups/two", json!({ "speakers": ["kitchen", "shelf"] }));
        tone(&hub, "kitchen", "REPLACE_ALL", "a", "tone-440-60s.wav", None);
        hub.wait_level("shelf", 440.0, level_at(40));
        // By voice: the AudioPlayer of that speaker stops, the whole group hears the radio.
        select(&hub, "kitchen", "TUNER");
        told(&hub, "kitchen", marks[0], &["Started:a", "Stopped:a"]);
        for id in ["kitchen", "shelf"] {
            hub.wait_level(id, 770.0, level_at(40));
        }
        assert_eq!(input(&hub, "kitchen"), "TUNER", "{:#}", hub.speaker("kitchen"));
        // At a surface, by the name people say, at another member: it wins.
        hub.api("PUT", "/api/speakers/shelf/input", json!({ "input": "line 1" }));
        for id in ["kitchen", "shelf"] {
            hub.wait_level(id, 550.0, level_at(40));
        }
        assert_eq!((input(&hub, "kitchen"), input(&hub, "shelf")), (json!(null), json!("LINE 1")));
        hub.listen("kitchen", RATE as usize);
        // A Play wins over an input, and a stop leaves silence.
        tone(&hub, "kitchen", "REPLACE_ALL", "b", "tone-660-60s.wav", None);
        hub.wait_level("shelf", 660.0, level_at(40));
        assert_eq!(input(&hub, "shelf"), json!(null));
        hub.api("PUT", "/api/speakers/kitchen/input", json!({ "input": "radio" }));
        told(&hub, "kitchen", marks[0], &["Started:a", "Stopped:a", "Started:b", "Stopped:b"]);
        hub.wait_level("shelf", 770.0, level_at(40));
        hub.api("POST", "/api/speakers/shelf/stop", json!({}));
        for id in ["kitchen", "shelf"] {
            wait_silent(&hub, id);
        }
        assert_eq!(input(&hub, "kitchen"), json!(null));
        // None that is not there.
        let mark = hub.simulator().mark("kitchen");
        select(&hub, "kitchen", "HDMI 7");
        hub.event("kitchen", mark, "System", "ExceptionEncountered");
        let (status, _) = hub.ask("PUT", "/api/speakers/kitchen/input", Some(json!({ "input": "HDMI 7" })));
        assert_eq!(status, 404);
        assert_eq!(lives(&hub, "shelf", marks[1]), Vec::<String>::new());
        hub.assert_no_violations();
        drop(hub);
        runtime.block_on(radio.kill());
    });
}

#[test]
fn heard_what_another_speaker_hears_as_it_changes() {
    calmly(|| {
        let (runtime, radio, _folder, hub) = house();
        let marks = ["kitchen", "sofa"].map(|id| hub.simulator().mark(id));
        // Two tracks of whole periods: one tone without a seam.
        tone(&hub, "kitchen", "REPLACE_ALL", "a", "tone-441-3s.wav", None);
        tone(&hub, "kitchen", "ENQUEUE", "b", "tone-441-30s.wav", Some("a"));
        hub.wait_level("kitchen", 441.0, level_at(40));
        select(&hub, "sofa", "AUX 1");
        hub.wait_level("sofa", 441.0, level_at(40));
        assert_eq!(input(&hub, "sofa"), "AUX 1");
        hub.wait(hub.simulator().wait_for(
            "kitchen",
            marks[0],
            |e| e.name == "PlaybackStarted" && e.payload()["token"] == "b",
            support::hub::PATIENCE,
        ))
        .unwrap();
        hub.listen("sofa", RATE as usize / 2);
        assert_unbroken(&hub, "sofa", 441.0, 40);
        // The same samples at the same moments.
        let (kitchen, sofa) = (hub.recording("kitchen"), hub.recording("sofa"));
        let from = sofa.origin.max(kitchen.origin) + u64::from(RATE) / 4;
        let to = kitchen.end().min(sofa.end());
        assert!(kitchen.between(from, to) == sofa.between(from, to), "the mirror differs");
        // Another Play there is heard here.
        tone(&hub, "kitchen", "REPLACE_ALL", "c", "tone-660-60s.wav", None);
        hub.wait_level("sofa", 660.0, level_at(40));
        // What stops the mirror stops nobody else.
        let from = hub.recording("kitchen").end();
        hub.say("sofa", "stop");
        wait_silent(&hub, "sofa");
        assert_eq!(input(&hub, "sofa"), json!(null));
        hub.listen("kitchen", RATE as usize);
        let kitchen = hub.recording("kitchen");
        unbroken("kitchen", kitchen.between(from, kitchen.end()), 660.0, 40);
        // The original silent: so is the mirror, and it is heard again with the next Play.
        hub.api("PUT", "/api/speakers/sofa/input", json!({ "input": "the kitchen" }));
        hub.wait_level("sofa", 660.0, level_at(40));
        hub.say("kitchen", "stop");
        hub.event("kitchen", marks[0], "AudioPlayer", "PlaybackStopped");
        wait_silent(&hub, "sofa");
        tone(&hub, "kitchen", "REPLACE_ALL", "d", "tone-880-60s.wav", None);
        hub.wait_level("sofa", 880.0, level_at(40));
        // Joined with it there is nothing to mirror: refused, and what plays goes on.
        hub.api("PUT", "/api/groups/two", json!({ "speakers": ["kitchen", "shelf"] }));
        let mark = hub.simulator().mark("shelf");
        select(&hub, "shelf", "AUX 1");
        hub.event("shelf", mark, "System", "ExceptionEncountered");
        hub.wait_level("shelf", 880.0, level_at(40));
        hub.wait_level("sofa", 880.0, level_at(40));
        // The mirror's device tells nothing of it: it is not its stream.
        assert_eq!(lives(&hub, "sofa", marks[1]), Vec::<String>::new());
        let heard = support::analysis::tone_levels(&hub.recording("shelf").samples, RATE, 880.0, 0.25);
        assert!(heard.iter().any(|(_, level)| *level > SILENCE));
        hub.assert_no_violations();
        drop(hub);
        runtime.block_on(radio.kill());
    });
}

#[test]
fn heard_nobody_waits_for_one_that_wants_live_sound_earlier_than_it_is() {
    calmly(|| {
        let (runtime, radio, _folder, hub) = house();
        let offset = |ms: i64| hub.api("PUT", "/api/speakers/sofa/offset", json!({ "offset_ms": ms }));
        hub.api("PUT", "/api/speakers/kitchen/input", json!({ "input": "LINE 1" }));
        hub.wait_level("kitchen", 550.0, level_at(40));
        let from = hub.recording("kitchen").end();
        // It wants sound nearly a second ahead; of live sound there is as much as the kitchen wanted, a tenth of that.
        offset(-900);
        hub.api("PUT", "/api/groups/two", json!({ "speakers": ["kitchen", "sofa"] }));
        hub.wait_picture("it has joined", |_| hub.speaker("sofa")["playing"] == true);
        hub.listen("kitchen", 2 * RATE as usize);
        // The same of one that plays already.
        offset(0);
        hub.wait_level("sofa", 550.0, level_at(40));
        offset(-900);
        hub.listen("kitchen", 2 * RATE as usize);
        let kitchen = hub.recording("kitchen");
        unbroken("kitchen", kitchen.between(from, kitchen.end()), 550.0, 40);
        // Begun anew, it is early enough for both.
        hub.api("POST", "/api/groups/two/stop", json!({}));
        wait_silent(&hub, "sofa");
        hub.api("PUT", "/api/speakers/kitchen/input", json!({ "input": "LINE 1" }));
        for id in ["kitchen", "sofa"] {
            hub.wait_level(id, 550.0, level_at(40));
        }
        drop(hub);
        runtime.block_on(radio.kill());
    });
}
