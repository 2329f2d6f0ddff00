//! The hub killed while one speaker hands a group's music to another, and after it: who is with whom is what was
//! acknowledged, what was playing is over, every Alexa is told so, and the group plays the next Play as ever.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use rustix::process::Signal;
use serde_json::{Value, json};
use support::hub::{Hub, PATIENCE, Setup};
use support::patience::eventually;
use support::telling::{lives, told, tone};

const IDS: [&str; 3] = ["kitchen", "shelf", "sofa"];

/// Who is in the group, in the order of the alphabet.
fn members(hub: &Hub) -> Vec<String> {
    let picture = hub.picture();
    let group = picture["groups"].as_array().unwrap().iter().find(|g| g["id"] == "all").unwrap().clone();
    let mut speakers: Vec<String> = serde_json::from_value(group["speakers"].clone()).unwrap();
    speakers.sort();
    speakers
}

/// What a speaker's Alexa was told last that its AudioPlayer does, by a state at the beginning of a connection.
fn synchronised(hub: &Hub, id: &str, mark: u64) -> Value {
    let event = hub.event(id, mark, "System", "SynchronizeState");
    event.context("AudioPlayer", "PlaybackState").unwrap()["playerActivity"].clone()
}

#[test]
fn killed_in_the_midst_of_a_hand_over_nothing_acknowledged_is_lost() {
    let mut hub = Setup::new(&IDS).program().start();
    hub.api("PUT", "/api/groups/all", json!({ "speakers": IDS }));
    for round in 0..3 {
        let leader = IDS[round % 3];
        let token = format!("a{round}");
        let mark = hub.simulator().mark(leader);
        tone(&hub, leader, "REPLACE_ALL", &token, "tone-440-60s.wav", None);
        tone(&hub, leader, "ENQUEUE", "next", "tone-440-60s.wav", Some(&token));
        hub.event(leader, mark, "AudioPlayer", "PlaybackStarted");
        let stay: Vec<&str> = IDS.into_iter().filter(|id| *id != leader).collect();
        hub.api("PUT", "/api/groups/all", json!({ "speakers": stay }));
        if round == 2 {
            // Once it has been done as well as acknowledged.
            hub.wait_picture("another leads", |p| {
                support::telling::leader(p, "all").is_some_and(|leads| stay.contains(&leads.as_str()))
            });
            told(&hub, leader, mark, &[format!("Started:{token}").as_str(), &format!("Stopped:{token}")]);
        }
        let marks = IDS.map(|id| hub.simulator().mark(id));
        hub.end(Signal::KILL);
        hub.start_again();
        hub.wait_linked();
        assert_eq!(members(&hub), stay, "round {round}");
        for (id, mark) in IDS.iter().zip(marks) {
            assert_eq!(synchronised(&hub, id, mark), "IDLE", "{id} in round {round}");
            assert_eq!(hub.speaker(id)["playing"], false);
        }
        // Who was left leads, and alone tells of it; nothing of what was before comes back.
        let marks = IDS.map(|id| hub.simulator().mark(id));
        tone(&hub, stay[1], "REPLACE_ALL", "again", "tone-660-1s.wav", None);
        let mark = marks[IDS.iter().position(|id| *id == stay[1]).unwrap()];
        told(&hub, stay[1], mark, &["Started:again", "NearlyFinished:again", "Finished:again"]);
        for (id, mark) in IDS.iter().zip(marks).filter(|(id, _)| **id != stay[1]) {
            assert_eq!(lives(&hub, id, mark), Vec::<String>::new(), "{id} in round {round}");
        }
        hub.api("PUT", "/api/groups/all", json!({ "speakers": IDS }));
        eventually("they are together again", PATIENCE, || members(&hub).len() == 3);
    }
    hub.assert_no_violations();
}
