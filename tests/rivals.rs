//! Two Plays for one group: the later one is heard, the earlier one is told that it stopped, however close they come.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use serde_json::json;
use support::hub::{Hub, PATIENCE, Setup, level_at};
use support::patience::{eventually, wait_for};
use support::telling::{leader, lives, told, tone, wait_leader};

/// Who plays what by its own word, as the last event of each life says.
fn playing(hub: &Hub, ids: &[&str], marks: &[u64]) -> Vec<String> {
    let mut all = Vec::new();
    for (id, mark) in ids.iter().zip(marks) {
        let lives = lives(hub, id, *mark);
        let lives: Vec<&String> = lives.iter().filter(|l| !l.starts_with("NearlyFinished")).collect();
        if let Some(token) = lives.last().and_then(|last| last.strip_prefix("Started:")) {
            all.push(format!("{id}:{token}"));
        }
    }
    all
}

const IDS: [&str; 3] = ["kitchen", "shelf", "sofa"];

#[test]
fn the_later_wins_within_milliseconds() {
    let hub = Setup::new(&IDS).grouped().start();
    let marks = IDS.map(|id| hub.simulator().mark(id));
    let url = hub.simulator().track("tone-440-60s.wav");
    let play = |token: &str| {
        let payload = support::hub::play("REPLACE_ALL", &url, token, None);
        antiphon_simulator::Outgoing::new("AudioPlayer", "Play", payload)
    };
    // Something plays already, so that every Play takes it from somebody.
    tone(&hub, "kitchen", "REPLACE_ALL", "first", "tone-440-60s.wav", None);
    hub.event("kitchen", marks[0], "AudioPlayer", "PlaybackStarted");
    for round in 0..12 {
        // All three at once, each on its own connection: which is the later is the hub's to see, and one is.
        let token = |n: usize| format!("{round}-{n}");
        hub.wait(async {
            let simulator = hub.simulator();
            let (a, b, c) = tokio::join!(
                simulator.send(IDS[round % 3], play(&token(0))),
                simulator.send(IDS[(round + 1) % 3], play(&token(1))),
                simulator.send(IDS[(round + 2) % 3], play(&token(2))),
            );
            a.and(b).and(c).expect("sent");
        });
        // Exactly one of this round's goes on, by its own word and by the picture; nobody is left as if it played.
        let mut last = Vec::new();
        let settled = wait_for(PATIENCE, || {
            last = playing(&hub, &IDS, &marks);
            let led = leader(&hub.picture(), "all")?;
            let [one] = last.as_slice() else { return None };
            let ours = one.split(':').nth(1)?.starts_with(&format!("{round}-"));
            (ours && one.starts_with(&format!("{led}:"))).then_some(())
        });
        assert!(settled.is_some(), "round {round}: {last:?}: {:#}", hub.picture()["groups"]);
    }
    hub.wait_picture("all hear it", |p| {
        p["speakers"].as_array().unwrap().iter().all(|s| s["playing"] == true)
    });
    // Each stream that began ended once, and nobody ended what never began.
    for (id, mark) in IDS.iter().zip(marks) {
        let mut open: Option<String> = None;
        for life in lives(&hub, id, mark) {
            let (what, token) = life.split_once(':').unwrap();
            match what {
                "Started" => assert_eq!(open.replace(token.to_owned()), None, "{id}: {life}"),
                "Stopped" | "Finished" => assert_eq!(open.take().as_deref(), Some(token), "{id}: {life}"),
                _ => assert_eq!(open.as_deref(), Some(token), "{id}: {life}"),
            }
        }
    }
    hub.assert_no_violations();
}

#[test]
fn the_later_wins_over_one_that_waits_behind_speech() {
    let hub = Setup::new(&IDS[..2]).grouped().start();
    let marks = ["kitchen", "shelf"].map(|id| hub.simulator().mark(id));
    // Spoken for a second or two; the Play behind it waits for its end.
    let speak = |id: &str, sentence: &str| hub.say(id, &format!("tell me {sentence}"));
    let play = |id: &str, token: &str, dialog: Option<&str>| {
        let track = format!("tone-{}-60s.wav", if id == "kitchen" { 550 } else { 440 });
        let url = hub.simulator().track(&track);
        let payload = support::hub::play("REPLACE_ALL", &url, token, None);
        let mut play = antiphon_simulator::Outgoing::new("AudioPlayer", "Play", payload);
        if let Some(dialog) = dialog {
            play = play.with_header("dialogRequestId", dialog);
        }
        hub.wait(hub.simulator().send(id, play)).unwrap();
    };
    speak("kitchen", "a rather long story that takes its time before the music begins");
    let speech = hub.event("kitchen", marks[0], "SpeechSynthesizer", "SpeechStarted");
    let dialog = hub
        .simulator()
        .transcript("kitchen")
        .iter()
        .rev()
        .find(|e| e.is_directive("SpeechSynthesizer", "Speak"))
        .and_then(|e| e.header()["dialogRequestId"].as_str().map(str::to_owned));
    assert!(speech.index >= marks[0]);
    play("kitchen", "waits", dialog.as_deref());
    // It is fetched as soon as it has come.
    eventually("it has come", PATIENCE, || !hub.simulator().fetched("tone-550-60s.wav").is_empty());
    play("shelf", "later", None);
    hub.event("shelf", marks[1], "AudioPlayer", "PlaybackStarted");
    hub.event("kitchen", marks[0], "SpeechSynthesizer", "SpeechFinished");
    // Its turn came after it had lost: it never sounded, so there is nothing to tell, and nothing hangs.
    wait_leader(&hub, "all", "shelf");
    let mark = hub.simulator().mark("kitchen");
    hub.api("POST", "/api/speakers/kitchen/buttons/play", json!({}));
    let key = hub.event("kitchen", mark, "PlaybackController", "PlayCommandIssued");
    let state = key.context("AudioPlayer", "PlaybackState").unwrap();
    assert_eq!(state["playerActivity"], "IDLE", "{state}");
    println!("kitchen {:?}, shelf {:?}", lives(&hub, "kitchen", marks[0]), lives(&hub, "shelf", marks[1]));
    assert_eq!(playing(&hub, &["kitchen", "shelf"], &marks), ["shelf:later"]);
    // One that arrives later and waits wins when its turn comes.
    let marks = ["kitchen", "shelf"].map(|id| hub.simulator().mark(id));
    speak("kitchen", "one more story that takes its time");
    hub.event("kitchen", marks[0], "SpeechSynthesizer", "SpeechStarted");
    play("kitchen", "latest", dialog.as_deref());
    hub.event("kitchen", marks[0], "AudioPlayer", "PlaybackStarted");
    told(&hub, "shelf", marks[1], &["Stopped:later"]);
    wait_leader(&hub, "all", "kitchen");
    hub.wait_level("shelf", 550.0, level_at(40));
    hub.assert_no_violations();
}

#[test]
fn a_play_at_a_follower_takes_the_group_and_its_queue_ends() {
    let hub = Setup::new(&IDS).grouped().start();
    let marks = IDS.map(|id| hub.simulator().mark(id));
    tone(&hub, "kitchen", "REPLACE_ALL", "a", "tone-440-60s.wav", None);
    tone(&hub, "kitchen", "ENQUEUE", "b", "tone-440-60s.wav", Some("a"));
    hub.event("kitchen", marks[0], "AudioPlayer", "PlaybackStarted");
    tone(&hub, "sofa", "REPLACE_ALL", "c", "tone-660-1s.wav", None);
    told(&hub, "sofa", marks[2], &["Started:c", "NearlyFinished:c", "Finished:c"]);
    // What the earlier one had queued does not come back.
    hub.wait_picture("all are silent", |p| {
        p["speakers"].as_array().unwrap().iter().all(|s| s["playing"] == false)
    });
    told(&hub, "kitchen", marks[0], &["Started:a", "Stopped:a"]);
    told(&hub, "shelf", marks[1], &[]);
    // A late answer to the earlier one's NearlyFinished does not start it again.
    tone(&hub, "kitchen", "ENQUEUE", "late", "tone-440-60s.wav", Some("b"));
    let mark = hub.simulator().mark("shelf");
    tone(&hub, "shelf", "REPLACE_ALL", "d", "tone-440-60s.wav", None);
    hub.event("shelf", mark, "AudioPlayer", "PlaybackStarted");
    wait_leader(&hub, "all", "shelf");
    told(&hub, "kitchen", marks[0], &["Started:a", "Stopped:a"]);
    // And a person's is the later one, too.
    hub.api("POST", "/api/groups/all/play", json!({ "url": hub.simulator().track("tone-880-60s.wav") }));
    hub.event("shelf", mark, "AudioPlayer", "PlaybackStopped");
    eventually("nobody's Alexa leads", PATIENCE, || leader(&hub.picture(), "all").is_none());
    // "Stop" is heard in any room: whoever's it is ends, and its owner tells of it.
    let silent = || {
        hub.wait_picture("all are silent", |p| {
            p["speakers"].as_array().unwrap().iter().all(|s| s["playing"] == false)
        });
    };
    hub.wait_picture("it plays", |_| hub.speaker("sofa")["playing"] == true);
    hub.say("sofa", "stop");
    silent();
    let mark = hub.simulator().mark("shelf");
    tone(&hub, "shelf", "REPLACE_ALL", "e", "tone-440-60s.wav", None);
    hub.event("shelf", mark, "AudioPlayer", "PlaybackStarted");
    hub.say("kitchen", "stop");
    told(&hub, "shelf", mark, &["Started:e", "Stopped:e"]);
    silent();
    hub.assert_no_violations();
}
