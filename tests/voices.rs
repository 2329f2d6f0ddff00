//! What is heard and said at one speaker beside its group's content: speech, alerts, who rings instead, who leads on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use antiphon_actors::requests::{Container, Initiator, ListenRequest, Profile, SpeechFormat};
use antiphon_domain::SpeakerId;
use serde_json::json;
use std::time::Duration;
use support::analysis::{longest_gap, total_level};
use support::calm::calmly;
use support::hub::{Hub, PATIENCE, RATE, Setup, level_at, play};
use support::patience::wait_for;

const HERTZ: f64 = 997.0;

/// Waits until a speaker's last quarter of a second is louder than `dbfs`.
fn wait_heard(hub: &Hub, id: &str, dbfs: f64) {
    let window = RATE as usize / 4;
    let found = wait_for(PATIENCE, || {
        let sound = hub.recording(id).samples;
        let from = sound.len().checked_sub(window)?;
        (total_level(&sound[from..]) > dbfs).then_some(())
    });
    assert!(found.is_some(), "{id} is not heard above {dbfs} dBFS");
}

/// Waits until a speaker has been given nothing to play for as long as twenty looks at it take.
fn wait_silent(hub: &Hub, id: &str) {
    let (mut last, mut same) = (0, 0);
    let found = wait_for(PATIENCE, || {
        let end = hub.recording(id).end();
        same = if end == last { same + 1 } else { 0 };
        last = end;
        std::thread::sleep(Duration::from_millis(50));
        (same >= 20).then_some(())
    });
    assert!(found.is_some(), "{id} is heard on");
}

fn metric(hub: &Hub, name: &str) -> f64 {
    let page = hub.metrics();
    let lines = page.lines().filter(|line| line.starts_with(name));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[test]
fn heard_speech_from_an_attachment_over_music() {
    calmly(|| {
        let hub = Setup::new(&["kitchen"]).start();
        hub.set_alone(&[("kitchen", 60)]);
        let url = hub.simulator().track("tone-997-60s.wav");
        let mut music = play("REPLACE_ALL", &url, "a", None);
        music["audioItem"]["stream"]["interruptedBehavior"] = json!("ATTENUATE");
        hub.send("kitchen", "AudioPlayer", "Play", music);
        hub.wait_level("kitchen", HERTZ, level_at(60));
        let mark = hub.simulator().mark("kitchen");
        let before = hub.recording("kitchen").end();
        hub.say("kitchen", "tell me hello");
        hub.event("kitchen", mark, "SpeechSynthesizer", "SpeechStarted");
        hub.event("kitchen", mark, "SpeechSynthesizer", "SpeechFinished");
        // The music comes back to where it was, and was ducked meanwhile and never gone.
        hub.wait_level("kitchen", HERTZ, level_at(60));
        let sound = hub.recording("kitchen");
        let meanwhile = sound.between(before, sound.end());
        let quietest = support::analysis::tone_levels(meanwhile, RATE, HERTZ, 0.1)
            .iter()
            .map(|(_, level)| *level)
            .fold(0.0, f64::min);
        assert!(
            (quietest - level_at(20)).abs() < 1.0,
            "ducked to {quietest:.2} dBFS, not {:.2}",
            level_at(20)
        );
        assert_eq!(longest_gap(meanwhile, -60.0).1 / (RATE as usize / 10), 0, "never silent");
        assert_eq!(metric(&hub, "antiphon_actors_voices_started_total"), 1.0);
        hub.assert_no_violations();
    });
}

#[test]
fn heard_a_timer_on_time_and_stopped_by_a_person() {
    calmly(|| {
        let hub = Setup::new(&["kitchen"]).start();
        let mark = hub.simulator().mark("kitchen");
        hub.say("kitchen", "timer 3 seconds");
        hub.event("kitchen", mark, "Alerts", "SetAlertSucceeded");
        hub.event("kitchen", mark, "Alerts", "AlertStarted");
        wait_heard(&hub, "kitchen", -60.0);
        assert_eq!(metric(&hub, "antiphon_actors_alert_start_error_seconds_count"), 1.0);
        let error = metric(&hub, "antiphon_actors_alert_start_error_seconds_sum");
        println!("alert start error: {:.1} ms", error * 1000.0);
        assert!(error < 0.05, "began {error} s from its moment");
        hub.api("POST", "/api/speakers/kitchen/stop", json!({}));
        hub.event("kitchen", mark, "Alerts", "AlertStopped");
        wait_silent(&hub, "kitchen");
        hub.assert_no_violations();
    });
}

#[test]
fn heard_elsewhere_when_its_own_speaker_cannot() {
    calmly(|| {
        let hub = Setup::new(&["attic", "kitchen", "shelf"]).start();
        hub.api("PUT", "/api/groups/down", json!({ "speakers": ["kitchen", "shelf"] }));
        // Where the kitchen's file should be is a folder: its endpoint fails.
        let broken = hub.folder().join("kitchen.wav");
        std::fs::create_dir(&broken).unwrap();
        let mark = hub.simulator().mark("kitchen");
        hub.say("kitchen", "timer 2 seconds");
        hub.event("kitchen", mark, "Alerts", "AlertStarted");
        wait_heard(&hub, "shelf", -60.0);
        let view = |id: &str| {
            let picture = hub.wait(hub.handle().snapshot()).unwrap();
            picture.speakers.into_iter().find(|s| s.id.as_str() == id).unwrap()
        };
        assert_eq!(view("kitchen").rung_by, Some(SpeakerId::new("shelf")), "its group's, not the attic");
        assert_eq!(view("shelf").rings_for, Some(SpeakerId::new("kitchen")));
        assert_eq!(metric(&hub, "antiphon_actors_alerts_rung_elsewhere_total"), 1.0);
        // "Stop" where it rings stops it where it was set.
        hub.api("POST", "/api/speakers/shelf/stop", json!({}));
        hub.event("kitchen", mark, "Alerts", "AlertStopped");
        wait_silent(&hub, "shelf");
        let over = wait_for(PATIENCE, || {
            (view("kitchen").rung_by.is_none() && view("shelf").rings_for.is_none()).then_some(())
        });
        assert!(over.is_some(), "the picture says it is over");
        assert!(hub.recording("attic").samples.is_empty(), "nobody else was woken");
        hub.assert_no_violations();
    });
}

#[test]
fn heard_on_when_the_leader_leaves() {
    calmly(|| {
        let hub = Setup::new(&["kitchen", "shelf"]).start();
        hub.set_alone(&[("kitchen", 30), ("shelf", 40)]);
        hub.api("PUT", "/api/groups/down", json!({ "speakers": ["kitchen", "shelf"] }));
        let url = hub.simulator().track("tone-997-60s.wav");
        hub.send("kitchen", "AudioPlayer", "Play", play("REPLACE_ALL", &url, "a", None));
        hub.wait_level("shelf", HERTZ, level_at(40));
        let (kitchen, shelf) = (hub.simulator().mark("kitchen"), hub.simulator().mark("shelf"));
        hub.api("PUT", "/api/groups/down", json!({ "speakers": ["shelf"] }));
        hub.event("kitchen", kitchen, "AudioPlayer", "PlaybackStopped");
        hub.wait_picture("the other one leads", |p| {
            p["groups"].as_array().is_some_and(|g| g.iter().any(|g| g["content"]["leader"] == "shelf"))
        });
        // From now on it is the heir's Alexa that controls what is heard.
        let from = hub.recording("shelf").end();
        hub.listen("shelf", RATE as usize / 2);
        let sound = hub.recording("shelf");
        let begun = sound.samples.iter().position(|s| *s != 0.0).unwrap() + RATE as usize / 10;
        assert!(longest_gap(&sound.samples[begun..], level_at(40) - 20.0).1 < 20, "no gap");
        assert!(sound.end() > from);
        hub.send("shelf", "AudioPlayer", "Stop", json!({}));
        hub.event("shelf", shelf, "AudioPlayer", "PlaybackStopped");
        hub.wait_picture("silence", |_| hub.speaker("shelf")["playing"] == false);
        hub.assert_no_violations();
    });
}

#[test]
fn speech_from_a_surface_reaches_alexa_as_it_is_spoken() {
    let hub = Setup::new(&["kitchen"]).start();
    let mark = hub.simulator().mark("kitchen");
    let (sender, audio) = tokio::sync::mpsc::channel(64);
    let request = ListenRequest {
        initiator: Initiator::Tap,
        profile: Profile::NearField,
        format: SpeechFormat::Pcm,
        energies: None,
        container: Container::Pcm16k,
        audio,
    };
    let handle = hub.handle();
    hub.wait(async {
        let (heard, _) = tokio::join!(handle.listen(SpeakerId::new("kitchen"), request), async {
            // Three seconds of a tone, at once: it may not outrun real time by much.
            for n in 0..300u32 {
                let tone = (0..160).map(|i| (f64::from(n * 160 + i) * 0.2).sin() * 8_000.0);
                let bytes: Vec<u8> = tone.flat_map(|s| (s as i16).to_le_bytes()).collect();
                if sender.send(bytes.into()).await.is_err() {
                    break;
                }
            }
            drop(sender);
        });
        heard.expect("it listens");
    });
    let entry = hub.event("kitchen", mark, "SpeechRecognizer", "Recognize");
    println!("recognize: {:?}", entry.namespace);
    let found = wait_for(Duration::from_secs(10), || {
        (metric(&hub, "antiphon_actors_uploads_total") == 1.0).then_some(())
    });
    assert!(found.is_some(), "uploaded");
    hub.assert_no_violations();
}
