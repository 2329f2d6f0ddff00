//! Who leads a group: one device's Alexa tells of its content, and when that one leaves, is forgotten, dies, or is away for
//! long, another member's tells on while everybody who stays hears every sample.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use antiphon_simulator::{Answer, Fault, Outgoing};
use serde_json::json;
use std::time::Instant;
use support::analysis::{tone_level, tone_levels};
use support::calm::calmly;
use support::hub::{Hub, RATE, Setup, level_at, play};
use support::mortal::Mortal;
use support::patience::eventually;
use support::telling::{assert_unbroken, lives, offset, told, tone, wait_leader};

const HERTZ: f64 = 441.0;

/// What its Alexa is told that a speaker plays, by the context of a key that is pressed there.
fn context(hub: &Hub, id: &str) -> serde_json::Value {
    let mark = hub.simulator().mark(id);
    hub.api("POST", &format!("/api/speakers/{id}/buttons/next"), json!({}));
    let event = hub.event(id, mark, "PlaybackController", "NextCommandIssued");
    event.context("AudioPlayer", "PlaybackState").unwrap().clone()
}

#[test]
fn heard_on_with_its_queue_when_the_leader_leaves() {
    calmly(|| {
        let hub = Setup::new(&["kitchen", "shelf", "sofa"]).grouped().start();
        let marks = ["kitchen", "shelf", "sofa"].map(|id| hub.simulator().mark(id));
        // Whole periods: each begins where the one before would have gone on.
        tone(&hub, "kitchen", "REPLACE_ALL", "a", "tone-441-4s.wav", None);
        tone(&hub, "kitchen", "ENQUEUE", "b", "tone-441-2s.wav", Some("a"));
        for id in ["kitchen", "shelf", "sofa"] {
            hub.wait_level(id, HERTZ, level_at(40));
        }
        // The next one is the heir's to ask for.
        let next = play("ENQUEUE", &hub.simulator().track("tone-441-2s.wav"), "c", Some("b"));
        let answer = Answer::directives(vec![Outgoing::new("AudioPlayer", "Play", next)]);
        hub.simulator().answer_next("shelf", "AudioPlayer", "PlaybackNearlyFinished", answer);
        hub.api("PUT", "/api/groups/all", json!({ "speakers": ["shelf", "sofa"] }));
        told(&hub, "kitchen", marks[0], &["Started:a", "NearlyFinished:a", "Stopped:a"]);
        let life = [
            "Started:a",
            "Finished:a",
            "Started:b",
            "NearlyFinished:b",
            "Finished:b",
            "Started:c",
            "NearlyFinished:c",
            "Finished:c",
        ];
        told(&hub, "shelf", marks[1], &life);
        // The heir begins at the position of that moment, which is where the old leader stopped.
        let (stopped, begun) = (
            offset(&hub, "kitchen", marks[0], "PlaybackStopped"),
            offset(&hub, "shelf", marks[1], "PlaybackStarted"),
        );
        println!("handed over at {stopped} ms, begun at {begun} ms");
        assert!(stopped > 200 && begun.abs_diff(stopped) < 50, "{stopped}, {begun}");
        // Nobody else says a word of it, and who stays hears eight seconds without a seam, sample by sample the same.
        told(&hub, "sofa", marks[2], &[]);
        told(&hub, "kitchen", marks[0], &["Started:a", "NearlyFinished:a", "Stopped:a"]);
        let (shelf, sofa) = (hub.recording("shelf"), hub.recording("sofa"));
        let (from, to) = (shelf.origin.max(sofa.origin), shelf.end().min(sofa.end()));
        assert!(shelf.between(from, to) == sofa.between(from, to), "the members differ");
        let heard = support::analysis::sounding(&shelf.samples, -60.0).unwrap();
        let seconds = heard.len() as f64 / f64::from(RATE);
        assert!((seconds - 8.0).abs() < 0.02, "{seconds} s");
        support::telling::unbroken("shelf", &shelf.samples[heard], HERTZ, 40);
        hub.assert_no_violations();
    });
}

#[test]
fn heard_on_when_the_leaders_actor_dies() {
    calmly(|| {
        let mortal = Mortal::new();
        let hub = Setup::new(&["kitchen", "shelf", "sofa", "attic"]).with_kind(mortal.clone()).start();
        hub.api("PUT", "/api/groups/all", json!({ "speakers": ["kitchen", "shelf", "sofa"] }));
        let marks = ["kitchen", "shelf", "sofa", "attic"].map(|id| hub.simulator().mark(id));
        tone(&hub, "kitchen", "REPLACE_ALL", "a", "tone-441-60s.wav", None);
        tone(&hub, "attic", "REPLACE_ALL", "lone", "tone-660-60s.wav", None);
        for id in ["kitchen", "shelf", "sofa"] {
            hub.wait_level(id, HERTZ, level_at(40));
        }
        hub.wait_level("attic", 660.0, level_at(40));
        mortal.kill("kitchen");
        mortal.kill("attic");
        let begun = offset(&hub, "shelf", marks[1], "PlaybackStarted");
        let now = hub.picture()["groups"][0]["content"]["position_ms"].as_u64().unwrap();
        assert!(begun > 200 && begun < now + 100, "begun at {begun} ms of {now} ms");
        wait_leader(&hub, "all", "shelf");
        let restarts = "antiphon_actors_restarts_total{actor=\"speaker\"} 2";
        eventually("both are made anew", support::hub::PATIENCE, || hub.metrics().contains(restarts));
        // The dead one plays again, as a follower: its Alexa knows of nothing.
        hub.listen("kitchen", RATE as usize);
        hub.wait_level("kitchen", HERTZ, level_at(40));
        hub.wait_picture("it is linked", |_| hub.speaker("kitchen")["link"]["state"] == "connected");
        let state = context(&hub, "shelf");
        assert_eq!((&state["token"], &state["playerActivity"]), (&json!("a"), &json!("PLAYING")));
        assert!(state["offsetInMilliseconds"].as_u64().unwrap() > begun);
        assert_eq!(context(&hub, "kitchen")["playerActivity"], "IDLE");
        // With nobody to go on it goes on itself.
        hub.listen("attic", RATE as usize);
        hub.wait_level("attic", 660.0, level_at(40));
        assert_eq!(lives(&hub, "attic", marks[3]).last().map(String::as_str), Some("Started:lone"));
        assert_eq!(context(&hub, "attic")["playerActivity"], "PLAYING");
        for id in ["shelf", "sofa"] {
            assert_unbroken(&hub, id, HERTZ, 40);
        }
        // "Stop" reaches it where it is led now.
        for (id, mark, token) in [("shelf", marks[1], "a"), ("attic", marks[3], "lone")] {
            hub.say(id, "stop");
            hub.event(id, mark, "AudioPlayer", "PlaybackStopped");
            assert_eq!(lives(&hub, id, mark).last(), Some(&format!("Stopped:{token}")));
        }
        hub.wait_picture("all are silent", |p| {
            p["speakers"].as_array().unwrap().iter().all(|s| s["playing"] == false)
        });
        told(&hub, "sofa", marks[2], &[]);
        hub.assert_no_violations();
    });
}

/// Groups of two that play, each led by its first.
fn pairs(mortal: &std::sync::Arc<Mortal>, pairs: &[[&str; 2]]) -> Hub {
    let names: Vec<&str> = pairs.iter().flatten().copied().collect();
    let hub = Setup::new(&names).with_kind(mortal.clone()).start();
    for pair in pairs {
        hub.api("PUT", &format!("/api/groups/{}s", pair[0]), json!({ "speakers": pair }));
        tone(&hub, pair[0], "REPLACE_ALL", pair[0], "tone-441-60s.wav", None);
    }
    for id in names {
        hub.wait_level(id, HERTZ, level_at(40));
    }
    hub
}

#[test]
fn heard_on_when_the_leader_is_forgotten_or_goes_in_the_midst_of_a_fault() {
    calmly(|| {
        let mortal = Mortal::new();
        let list = [["lost", "lost2"], ["reset", "reset2"], ["away", "away2"], ["both", "both2"]];
        let hub = pairs(&mortal, &list);
        let marks = list.map(|pair| pair.map(|id| hub.simulator().mark(id)));
        let (status, answer) = hub.ask("DELETE", "/api/speakers/lost", None);
        assert!(status < 300, "{status} {answer}");
        hub.simulator().inject("reset", &Fault::TcpReset).unwrap();
        hub.api("PUT", "/api/groups/resets", json!({ "speakers": ["reset2"] }));
        hub.simulator().inject("away", &Fault::GoAway).unwrap();
        hub.api("PUT", "/api/groups/aways", json!({ "speakers": ["away2"] }));
        // The heir's connection breaks at the same moment.
        hub.simulator().inject("both", &Fault::TcpReset).unwrap();
        hub.simulator().inject("both2", &Fault::TcpReset).unwrap();
        hub.api("PUT", "/api/groups/boths", json!({ "speakers": ["both2"] }));
        for (pair, marks) in list.iter().zip(marks) {
            wait_leader(&hub, &format!("{}s", pair[0]), pair[1]);
            hub.wait_picture("it is linked", |_| hub.speaker(pair[1])["link"]["state"] == "connected");
            // Told by an event, or where that was lost, by the state at the new connection.
            let state = context(&hub, pair[1]);
            assert_eq!(
                (&state["token"], &state["playerActivity"]),
                (&json!(pair[0]), &json!("PLAYING")),
                "{pair:?}"
            );
            println!("{}: {:?}", pair[1], lives(&hub, pair[1], marks[1]));
            if pair[0] != "lost" {
                hub.wait_picture("it is linked", |_| hub.speaker(pair[0])["link"]["state"] == "connected");
                assert_eq!(context(&hub, pair[0])["playerActivity"], "STOPPED", "{pair:?}");
                println!("{}: {:?}", pair[0], lives(&hub, pair[0], marks[0]));
            }
            assert_unbroken(&hub, pair[1], HERTZ, 40);
            hub.say(pair[1], "stop");
            hub.event(pair[1], marks[1], "AudioPlayer", "PlaybackStopped");
        }
        hub.assert_no_violations();
    });
}

#[test]
fn heard_on_when_the_leaders_receiver_or_alexa_is_away_for_long() {
    calmly(|| {
        let mortal = Mortal::new();
        let list = [["plug", "plug2"], ["deaf", "deaf2"]];
        let hub = pairs(&mortal, &list);
        // One that has only begun is as new as its fault: it must have been well for as long.
        let marks = list.map(|pair| pair.map(|id| hub.simulator().mark(id)));
        let begun = Instant::now();
        mortal.away("plug");
        hub.simulator().inject("deaf", &Fault::Refuse(u32::MAX)).unwrap();
        hub.simulator().inject("deaf", &Fault::TcpReset).unwrap();
        for (pair, marks) in list.iter().zip(marks) {
            let at = offset(&hub, pair[1], marks[1], "PlaybackStarted");
            println!("{}: leads on after {:?}, at {at} ms", pair[1], begun.elapsed());
            assert!(begun.elapsed().as_secs() >= 9, "not for a moment's trouble");
            wait_leader(&hub, &format!("{}s", pair[0]), pair[1]);
            assert_eq!(context(&hub, pair[1])["playerActivity"], "PLAYING");
        }
        // Who is back follows, and its Alexa is told the truth.
        mortal.back("plug");
        hub.simulator().inject("deaf", &Fault::Clear).unwrap();
        hub.event("plug", marks[0][0], "AudioPlayer", "PlaybackStopped");
        hub.listen("plug", RATE as usize / 2);
        hub.wait_level("plug", HERTZ, level_at(40));
        hub.wait_picture("it is linked", |_| hub.speaker("deaf")["link"]["state"] == "connected");
        for (pair, marks) in list.iter().zip(marks) {
            assert_eq!(context(&hub, pair[0])["playerActivity"], "STOPPED");
            assert_unbroken(&hub, pair[1], HERTZ, 40);
            hub.say(pair[1], "stop");
            hub.event(pair[1], marks[1], "AudioPlayer", "PlaybackStopped");
        }
        hub.assert_no_violations();
    });
}

#[test]
fn heard_softer_only_in_the_room_that_talks() {
    calmly(|| {
        let hub = Setup::new(&["kitchen", "shelf"]).grouped().start();
        hub.set_alone(&[("kitchen", 60), ("shelf", 60)]);
        // What must pause rather than be softer is paused for all when its leader talks, and only there made softer when
        // another does: a stream is paused or it is not.
        let mut music = play("REPLACE_ALL", &hub.simulator().track("tone-997-60s.wav"), "a", None);
        music["audioItem"]["stream"]["interruptedBehavior"] = json!("ATTENUATE");
        hub.send("kitchen", "AudioPlayer", "Play", music);
        for id in ["kitchen", "shelf"] {
            hub.wait_level(id, 997.0, level_at(60));
        }
        for (talks, other) in [("shelf", "kitchen"), ("kitchen", "shelf")] {
            let mark = hub.simulator().mark(talks);
            let from = hub.recording(talks).end();
            hub.say(talks, "tell me hello");
            hub.event(talks, mark, "SpeechSynthesizer", "SpeechFinished");
            hub.wait_level(talks, 997.0, level_at(60));
            hub.listen(other, RATE as usize / 2);
            let (here, there) = (hub.recording(talks), hub.recording(other));
            let to = here.end().min(there.end());
            let all = |sound: &[f32]| -> Vec<f64> {
                tone_levels(sound, RATE, 997.0, 0.1).iter().map(|(_, level)| *level).collect()
            };
            // The voice adds to the tone now and then: what is ducked, on the whole.
            let mut low = all(here.between(from, to));
            low.retain(|level| *level < level_at(30));
            low.sort_by(f64::total_cmp);
            let low = *low.get(low.len() / 2).expect("it was ducked");
            let there_all = all(there.between(from, to));
            let (steady, most) = there_all.iter().fold((0.0, -120.0), |(a, b), l| (l.min(a), l.max(b)));
            println!("{talks} talks: {low:.2} dBFS there, {steady:.2} to {most:.2} dBFS at {other}");
            assert!((low - level_at(20)).abs() < 0.5, "{talks} ducked to {low:.2} dBFS");
            assert!(most - steady < 0.1 && (steady - level_at(60)).abs() < 0.1, "{other}: {steady:.2} dBFS");
            let whole = tone_level(there.between(from, to), RATE, 997.0);
            assert!((whole - level_at(60)).abs() < 0.05, "{other}: {whole:.2} dBFS");
        }
        assert_eq!(lives(&hub, "kitchen", 0), ["Started:a"], "never paused");
        hub.assert_no_violations();
    });
}
