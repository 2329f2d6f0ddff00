//! What messages mean to each other: answers owed, alerts in order, speech once, one leader for a stream.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use antiphon_simulator::{Outgoing, Simulator};
use serde_json::{Value, json};
use support::*;

const ALL: &[&str] = &["SpeechSynthesizer", "AudioPlayer", "Alerts", "EqualizerController"];

fn told(simulator: &Simulator) -> Vec<String> {
    let told = simulator.violations().into_iter().map(|violation| violation.what).collect();
    simulator.forget_violations();
    told
}

async fn tell(device: &mut Device, namespace: &str, name: &str, payload: Value) {
    assert!(device.event(&event(namespace, name, payload)).await.unwrap().0 < 300, "{name}");
}

#[tokio::test]
async fn an_alert_is_answered_once_and_rings_in_order() {
    let (simulator, _folder) = simulator(|_| {}).await;
    let (mut device, _down) = ready_with(&simulator, "a", ALL).await;
    assert_eq!(simulator.say("a", "alarm in 2 seconds").await.unwrap(), ["Alerts.SetAlert"]);
    let set = simulator.transcript("a").pop().unwrap().payload().clone();
    let token = json!({"token":set["token"]});
    let moment =
        json!({"token":set["token"],"scheduledTime":set["scheduledTime"],"eventTime":set["scheduledTime"]});
    assert_eq!(simulator.owed("a").len(), 1);
    tell(&mut device, "Alerts", "SetAlertSucceeded", token.clone()).await;
    assert!(simulator.owed("a").is_empty());
    tell(&mut device, "Alerts", "AlertStarted", moment.clone()).await;
    tell(&mut device, "Alerts", "AlertEnteredForeground", token.clone()).await;
    assert_eq!(simulator.say("a", "stop").await.unwrap(), ["Alerts.DeleteAlert"], "what rings comes first");
    tell(&mut device, "Alerts", "AlertStopped", moment.clone()).await;
    tell(&mut device, "Alerts", "DeleteAlertSucceeded", token.clone()).await;
    assert!(told(&simulator).is_empty());
    tell(&mut device, "Alerts", "SetAlertSucceeded", token.clone()).await;
    assert!(told(&simulator)[0].contains("no directive that is still open"));
    tell(&mut device, "Alerts", "AlertStopped", moment.clone()).await;
    assert!(told(&simulator)[0].contains("ended twice"));
    let mut early = moment.clone();
    early["eventTime"] = json!("2020-01-01T00:00:00+0000");
    tell(&mut device, "Alerts", "AlertStarted", early).await;
    let found = told(&simulator);
    assert!(found.iter().any(|what| what.contains("eventTime before")), "{found:?}");
    assert!(found.iter().any(|what| what.contains("early")), "{found:?}");
}

#[tokio::test]
async fn what_a_simulator_before_this_one_asked_for_is_answered_once_more() {
    let (simulator, _folder) = simulator(|options| options.require_declaration = false).await;
    let (mut device, _down) = ready_with(&simulator, "a", ALL).await;
    let before = json!({"token":"of the one before"});
    tell(&mut device, "Alerts", "SetAlertSucceeded", before.clone()).await;
    tell(&mut device, "Alerts", "DeleteAlertSucceeded", before).await;
    assert!(told(&simulator).is_empty());
    simulator.say("a", "alarm in 60 seconds").await.unwrap();
    let token = json!({"token":simulator.transcript("a").pop().unwrap().payload()["token"]});
    tell(&mut device, "Alerts", "SetAlertSucceeded", token.clone()).await;
    assert!(told(&simulator).is_empty());
    tell(&mut device, "Alerts", "SetAlertSucceeded", token).await;
    assert!(told(&simulator)[0].contains("no directive that is still open"), "asked for once, by this one");
}

#[tokio::test]
async fn what_is_owed_becomes_a_violation_in_time() {
    let (simulator, _folder) = simulator(|options| options.answer_within = Duration::ZERO).await;
    let (mut device, _down) = ready_with(&simulator, "a", ALL).await;
    simulator.say("a", "bass up 2").await.unwrap();
    assert!(told(&simulator)[0].contains("EqualizerController.AdjustBands was not answered"));
    assert!(told(&simulator).is_empty(), "told once");
    simulator.say("a", "alarm volume 3").await.unwrap();
    tell(&mut device, "Alerts", "VolumeChanged", json!({"volume":30})).await;
    assert!(told(&simulator).is_empty());
}

#[tokio::test]
async fn speech_begins_once_and_ends_once() {
    let (simulator, _folder) = simulator(|_| {}).await;
    let (mut device, _down) = ready_with(&simulator, "a", ALL).await;
    let speak = |token: &str| {
        let payload = json!({"url":"cid:x","format":"AUDIO_MPEG","token":token});
        Outgoing::new("SpeechSynthesizer", "Speak", payload).with_attachment("x", "SOUND".as_bytes())
    };
    for token in ["one", "two"] {
        simulator.send("a", speak(token)).await.unwrap();
    }
    let token = |token: &str| json!({ "token": token });
    tell(&mut device, "SpeechSynthesizer", "SpeechStarted", token("one")).await;
    tell(&mut device, "SpeechSynthesizer", "SpeechFinished", token("one")).await;
    tell(&mut device, "SpeechSynthesizer", "SpeechStarted", token("two")).await;
    assert!(told(&simulator).is_empty());
    tell(&mut device, "SpeechSynthesizer", "SpeechStarted", token("two")).await;
    assert!(told(&simulator).iter().any(|what| what.contains("waits to be heard")));
    tell(&mut device, "SpeechSynthesizer", "SpeechFinished", token("one")).await;
    assert!(told(&simulator)[0].contains("ends without having begun, or twice"));
}

#[tokio::test]
async fn a_group_changes_its_leader() {
    let (simulator, _folder) = simulator(|options| options.answer_within = Duration::ZERO).await;
    let (mut old, _old_down) = ready_with(&simulator, "old", ALL).await;
    let (mut new, _new_down) = ready_with(&simulator, "new", ALL).await;
    simulator.say("old", "play demo").await.unwrap();
    let play = simulator.transcript("old").pop().unwrap();
    let stream = json!({"token":play.payload()["audioItem"]["stream"]["token"],"offsetInMilliseconds":5});
    tell(&mut old, "AudioPlayer", "PlaybackStarted", stream.clone()).await;
    tell(&mut new, "AudioPlayer", "PlaybackNearlyFinished", stream.clone()).await;
    assert!(told(&simulator)[0].contains("is the stream of old"));
    tell(&mut old, "AudioPlayer", "PlaybackStopped", stream.clone()).await;
    tell(&mut new, "AudioPlayer", "PlaybackStarted", stream.clone()).await;
    tell(&mut new, "AudioPlayer", "PlaybackNearlyFinished", stream.clone()).await;
    assert!(told(&simulator).is_empty());
    tell(&mut new, "AudioPlayer", "PlaybackNearlyFinished", stream.clone()).await;
    assert!(told(&simulator)[0].contains("no occasion for PlaybackNearlyFinished"));
    let (mut third, _third_down) = ready_with(&simulator, "third", ALL).await;
    tell(&mut third, "AudioPlayer", "PlaybackStarted", stream).await;
    assert!(told(&simulator)[0].contains("plays"));
}

#[tokio::test]
async fn an_alarm_wakes_with_music() {
    let (simulator, _folder) = simulator(|_| {}).await;
    let (mut device, _down) = ready_with(&simulator, "a", ALL).await;
    simulator.say("a", "wake me in 1 second with demo").await.unwrap();
    let set = simulator.transcript("a").pop().unwrap().payload().clone();
    tell(&mut device, "Alerts", "SetAlertSucceeded", json!({"token":set["token"]})).await;
    let moment =
        json!({"token":set["token"],"scheduledTime":set["scheduledTime"],"eventTime":set["scheduledTime"]});
    let (status, body) = device.event(&event("Alerts", "AlertStarted", moment)).await.unwrap();
    assert!(status == 200 && body.contains("playRequestor") && body.contains(set["token"].as_str().unwrap()));
    assert!(told(&simulator).is_empty());
}
