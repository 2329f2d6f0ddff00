//! Recognize as the simulator plays it: heard while it comes, stopped and answered as a script says, judged strictly.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use antiphon_simulator::{Outgoing, Road, Script, Simulator, Stop};
use serde_json::{Value, json};
use support::*;

const SPEECH: &[&str] = &["SpeechRecognizer", "SpeechSynthesizer", "InteractionModel"];

fn tap() -> Value {
    json!({"type":"TAP","payload":{}})
}

fn only_violation(simulator: &Simulator) -> String {
    let violations = simulator.violations();
    assert_eq!(violations.len(), 1, "{violations:?}");
    simulator.forget_violations();
    violations[0].what.clone()
}

fn volume(level: u8) -> Outgoing {
    Outgoing::new("Speaker", "SetVolume", json!({ "volume": level }))
}

#[tokio::test]
async fn sound_is_heard_while_it_comes_and_stopped_on_the_response() {
    let (simulator, _folder) = simulator(|_| {}).await;
    let (mut device, _down) = ready_with(&simulator, "a", SPEECH).await;
    simulator.answer_speech("a", Script::directives(vec![volume(30)]).stop(Stop::Bytes(3200))).unwrap();
    let message = recognize("NEAR_FIELD", tap(), SPEECH);
    let mut speaking = device.recognize(&message).await;
    simulator.wait_for_event("a", 0, "SpeechRecognizer", "Recognize", PATIENCE).await.unwrap();
    speaking.sound(&[1; 1600]);
    let hearing = simulator.wait_hearing("a", 0, |one| one.bytes >= 1500, PATIENCE).await.unwrap();
    assert!(hearing.ended.is_none() && hearing.stop_sent.is_none());
    speaking.sound(&[2; 1700]);
    let hearing = simulator.wait_hearing("a", 0, |one| one.stop_sent.is_some(), PATIENCE).await.unwrap();
    assert!(hearing.bytes_at_stop.unwrap() >= 3200 && hearing.ended.is_none());
    speaking.end();
    let (status, body) = speaking.whole().await;
    assert_eq!(status, 200);
    let id = message["event"]["header"]["dialogRequestId"].as_str().unwrap();
    assert_eq!(body.matches(id).count(), 2, "{body}");
    assert!(body.find("StopCapture").unwrap() < body.find("SetVolume").unwrap());
    let hearing = simulator.wait_hearing("a", 0, |one| one.ended.is_some(), PATIENCE).await.unwrap();
    assert!(hearing.whole && hearing.bytes == 3300 && hearing.audio.len() == 3300);
    assert_eq!(hearing.sound(), Duration::from_micros(103_125));
    assert_eq!(simulator.owed("a").len(), 1);
    let changed = event("Speaker", "VolumeChanged", json!({"volume":30,"muted":false}));
    device.event(&changed).await.unwrap();
    assert!(simulator.owed("a").is_empty());
    assert!(simulator.violations().is_empty(), "{:?}", simulator.violations());
}

#[tokio::test]
async fn the_device_decides_when_it_is_close() {
    let (simulator, _folder) = simulator(|_| {}).await;
    let (mut device, _down) = ready_with(&simulator, "a", SPEECH).await;
    simulator.answer_speech("a", Script::text("set volume to 7").processing().new_dialog()).unwrap();
    let hold = json!({"type":"PRESS_AND_HOLD","payload":{}});
    let mut speaking = device.recognize(&recognize("CLOSE_TALK", hold, SPEECH)).await;
    speaking.sound(&[0; 64_000]);
    speaking.end();
    let (_, body) = speaking.whole().await;
    assert!(!body.contains("StopCapture"), "{body}");
    let order = ["RequestProcessingStarted", "NewDialogRequest", "SetVolume", "RequestProcessingCompleted"];
    let found: Vec<usize> = order.iter().map(|name| body.find(name).unwrap()).collect();
    assert!(found.is_sorted(), "{body}");
    let entries = simulator.transcript("a");
    let set = entries.iter().find(|entry| entry.is_directive("Speaker", "SetVolume")).unwrap();
    let new =
        entries.iter().find(|entry| entry.is_directive("InteractionModel", "NewDialogRequest")).unwrap();
    assert_eq!(set.header()["dialogRequestId"], new.payload()["dialogRequestId"]);
    assert!(simulator.violations().is_empty(), "{:?}", simulator.violations());
}

#[tokio::test]
async fn a_false_wake_is_told_on_the_downchannel() {
    let (simulator, _folder) = simulator(|_| {}).await;
    let (mut device, mut down) = ready_with(&simulator, "a", SPEECH).await;
    simulator.answer_speech("a", Script::false_wake().untagged().stop(Stop::After(Duration::ZERO))).unwrap();
    let wake = json!({"type":"WAKEWORD","payload":{"wakeWord":"ALEXA",
        "wakeWordIndices":{"startIndexInSamples":8000,"endIndexInSamples":16_000}}});
    let mut speaking = device.recognize(&recognize("FAR_FIELD", wake, SPEECH)).await;
    speaking.sound(&[0; 32_000]);
    down.until("StopCapture").await;
    assert!(!down.text.contains("dialogRequestId"));
    speaking.end();
    assert_eq!(speaking.whole().await, (204, String::new()));
    assert!(simulator.violations().is_empty(), "{:?}", simulator.violations());
}

#[tokio::test]
async fn silence_ends_speech_and_a_status_may_be_the_answer() {
    let (simulator, _folder) = simulator(|_| {}).await;
    let (mut device, mut down) = ready_with(&simulator, "a", SPEECH).await;
    let quiet = Stop::Silence(Duration::from_millis(500));
    simulator.answer_speech("a", Script::directives(vec![]).stop(quiet).road(Road::Downchannel)).unwrap();
    let mut speaking = device.recognize(&recognize("NEAR_FIELD", tap(), SPEECH)).await;
    speaking.sound(&[0x20; 16_000]);
    speaking.sound(&[0; 15_000]);
    simulator.wait_hearing("a", 0, |one| one.bytes > 30_900, PATIENCE).await.unwrap();
    assert!(simulator.hearings("a")[0].stop_sent.is_none());
    speaking.sound(&[0; 2_000]);
    down.until("StopCapture").await;
    speaking.end();
    assert_eq!(speaking.whole().await.0, 204);
    simulator.answer_speech("a", Script::reply(antiphon_simulator::Reply::Status(503))).unwrap();
    let mut speaking = device.recognize(&recognize("NEAR_FIELD", tap(), SPEECH)).await;
    // The reader holds a delimiter's length back, so a second and a little more.
    speaking.sound(&[0; 33_000]);
    assert_eq!(speaking.whole().await.0, 503);
    assert!(simulator.violations().is_empty(), "{:?}", simulator.violations());
}

#[tokio::test]
async fn an_expected_answer_echoes_its_initiator() {
    let (simulator, _folder) = simulator(|_| {}).await;
    let (mut device, _down) = ready_with(&simulator, "a", SPEECH).await;
    let initiator = json!({"type":"SKILL","payload":{"token":"t-1"},"extra":[1]});
    for (carried, fault) in [
        (initiator.clone(), None),
        (tap(), Some("not that of ExpectSpeech")),
        (Value::Null, Some("not that of ExpectSpeech")),
    ] {
        let script = Script::directives(vec![]).expect(Duration::from_secs(8), Some(initiator.clone()));
        simulator.answer_speech("a", script.stop(Stop::Never)).unwrap();
        simulator.answer_speech("a", Script::nothing().stop(Stop::Never)).unwrap();
        let mut speaking = device.recognize(&recognize("NEAR_FIELD", tap(), SPEECH)).await;
        speaking.sound(&[0; 320]);
        speaking.end();
        assert!(speaking.whole().await.1.contains("t-1"));
        let mut speaking = device.recognize(&recognize("NEAR_FIELD", carried, SPEECH)).await;
        speaking.sound(&[0; 320]);
        speaking.end();
        assert_eq!(speaking.whole().await.0, 204);
        match fault {
            Some(fault) => assert!(only_violation(&simulator).contains(fault)),
            None => assert!(simulator.violations().is_empty(), "{:?}", simulator.violations()),
        }
    }
    let late = event("SpeechRecognizer", "ExpectSpeechTimedOut", json!({}));
    device.event(&late).await.unwrap();
    assert!(only_violation(&simulator).contains("no ExpectSpeech"));
}

#[tokio::test]
async fn bad_speech_is_told() {
    let (simulator, _folder) = simulator(|_| {}).await;
    let (mut device, _down) = ready_with(&simulator, "a", SPEECH).await;
    let wake = |start: u64, end: u64| {
        json!({"type":"WAKEWORD","payload":{"wakeWord":"ALEXA",
        "wakeWordIndices":{"startIndexInSamples":start,"endIndexInSamples":end}}})
    };
    let hold = json!({"type":"PRESS_AND_HOLD","payload":{}});
    for (profile, initiator, sound, fault) in [
        ("NEAR_FIELD", tap(), 321, "not whole 16 bit samples"),
        ("NEAR_FIELD", tap(), 0, "is empty"),
        ("NEAR_FIELD", hold, 320, "wants CLOSE_TALK"),
        ("NEAR_FIELD", Value::Null, 320, "initiator is missing"),
        ("NEAR_FIELD", wake(7999, 9000), 32_000, "begins behind 8000"),
        ("NEAR_FIELD", wake(8000, 16_001), 32_000, "ends behind"),
    ] {
        simulator.answer_speech("a", Script::nothing().stop(Stop::Never)).unwrap();
        let mut speaking = device.recognize(&recognize(profile, initiator, SPEECH)).await;
        speaking.sound(&vec![0; sound]);
        speaking.end();
        assert_eq!(speaking.whole().await.0, 204, "{fault}");
        let told = only_violation(&simulator);
        assert!(told.contains(fault), "{told} instead of {fault}");
    }
    let mut same = recognize("NEAR_FIELD", tap(), SPEECH);
    for _ in 0..2 {
        simulator.answer_speech("a", Script::nothing().stop(Stop::Never)).unwrap();
        let mut speaking = device.recognize(&same).await;
        speaking.sound(&[0; 320]);
        speaking.end();
        speaking.whole().await;
        same["event"]["header"]["messageId"] = json!("another");
    }
    assert!(only_violation(&simulator).contains("was used before"));
    let mut bare = recognize("NEAR_FIELD", tap(), SPEECH);
    bare.as_object_mut().unwrap().remove("context");
    let speaking = device.recognize(&bare).await;
    assert_eq!(speaking.whole().await.0, 400);
    assert_eq!(only_violation(&simulator), "context is missing");
}
