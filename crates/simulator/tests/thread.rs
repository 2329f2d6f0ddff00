//! The ordinary life of a device: login, declaration, downchannel, events, directives, transcript.
#![allow(clippy::unwrap_used)]

mod support;

use antiphon_simulator::{Answer, Outgoing};
use serde_json::json;
use support::*;

#[tokio::test]
async fn a_directive_down_and_an_event_up() {
    let (simulator, _folder) = simulator(|_| {}).await;
    let (mut device, mut down) = ready(&simulator, "kitchen").await;
    let mark = simulator.mark("kitchen");
    assert_eq!(simulator.say("kitchen", "set volume to 5").await.unwrap(), ["Speaker.SetVolume"]);
    down.until("SetVolume").await;
    assert!(
        down.frames[0].starts_with("--------") && down.frames[0].ends_with("\r\n"),
        "{:?}",
        down.frames[0]
    );
    assert_eq!(down.frames[0].matches("\r\n").count(), 1, "the first delimiter has a frame of its own");
    assert!(down.text.ends_with(&down.frames[0]), "the part is followed at once by the next delimiter");
    assert!(down.text.contains("{\"volume\":50}"));
    let changed = event("Speaker", "VolumeChanged", json!({"volume":50,"muted":false}));
    assert_eq!(device.event(&changed).await.unwrap(), (204, String::new()));
    let entry =
        simulator.wait_for_event("kitchen", mark, "Speaker", "VolumeChanged", PATIENCE).await.unwrap();
    assert_eq!(entry.payload()["volume"], 50);
    assert_eq!(entry.status, 204);
    let directive = simulator
        .wait_for("kitchen", mark, |entry| entry.is_directive("Speaker", "SetVolume"), PATIENCE)
        .await
        .unwrap();
    assert!(directive.at <= entry.at);
    assert!(simulator.violations().is_empty(), "{:?}", simulator.violations());
    let view = simulator.device("kitchen").unwrap();
    assert!(view.connected && view.volume == Some(50));
    simulator.stop().await;
    assert!(!down.more().await || !down.more().await, "a polite stop ends the downchannel");
}

#[tokio::test]
async fn discovery_is_processed() {
    let (simulator, _folder) = simulator(|_| {}).await;
    let mut device = connect(&simulator).await;
    device.refresh("Atzr|lamp").await;
    let response = device.get("/v20160207/directives").await.unwrap();
    let mut down = Downchannel::new(response);
    assert_eq!(device.event(&event("Alexa.ApiGateway", "VerifyGateway", json!({}))).await.unwrap().0, 204);
    let capability = |name: &str| json!({"type":"AlexaInterface","interface":name,"version":"2.0"});
    let endpoint = json!({"endpointId":"c::p::lamp","friendlyName":"Living room","description":"d",
        "manufacturerName":"m","displayCategories":["SPEAKER"],
        "registration":{"productId":"p","deviceSerialNumber":"lamp"},
        "capabilities":[capability("System"),capability("Speaker"),capability("InteractionModel"),capability("Alexa.ApiGateway")]});
    let mut report = event(
        "Alexa.Discovery",
        "AddOrUpdateReport",
        json!({"scope":{"type":"BearerToken","token":device.token},"endpoints":[endpoint]}),
    );
    report["event"]["header"]["payloadVersion"] = json!("3");
    report["event"]["header"]["eventCorrelationToken"] = json!("correlate-me");
    assert_eq!(device.event(&report).await.unwrap().0, 202);
    down.until("correlate-me").await;
    assert!(down.text.contains("EventProcessed"));
    assert_eq!(device.event(&synchronise()).await.unwrap().0, 204);
    let view = simulator.wait_connected("lamp", PATIENCE).await.unwrap();
    assert_eq!(view.name, "Living room");
    assert_eq!(view.interfaces.len(), 4);
    assert!(simulator.device("living room").is_some());
    assert!(simulator.violations().is_empty(), "{:?}", simulator.violations());
}

#[tokio::test]
async fn a_scripted_answer_with_an_attachment() {
    let (simulator, _folder) = simulator(|_| {}).await;
    let (mut device, _down) = ready(&simulator, "den").await;
    let speak = Outgoing::new(
        "SpeechSynthesizer",
        "Speak",
        json!({"url":"cid:a.b:1","format":"AUDIO_MPEG","token":"t"}),
    )
    .with_attachment("a.b:1", "SOUND".as_bytes());
    simulator.answer_next("den", "Speaker", "MuteChanged", Answer::directives(vec![speak]));
    let (status, body) =
        device.event(&event("Speaker", "MuteChanged", json!({"volume":4,"muted":true}))).await.unwrap();
    assert_eq!(status, 200);
    assert!(body.contains("Content-ID: <a.b:1>\r\n\r\nSOUND\r\n--------"), "{body}");
    assert!(body.ends_with("--\r\n"));
    assert!(simulator.violations().is_empty(), "{:?}", simulator.violations());
    assert!(simulator.transcript("den").iter().any(|entry| entry.attachment_bytes == 5));
}

#[tokio::test]
async fn two_connections_of_one_device_overlap() {
    let (simulator, _folder) = simulator(|_| {}).await;
    let (_old, mut old_down) = ready(&simulator, "attic").await;
    let (_new, mut new_down) = ready(&simulator, "attic").await;
    simulator.say("attic", "mute").await.unwrap();
    new_down.until("SetMute").await;
    old_down.more().await;
    assert!(!old_down.text.contains("SetMute"));
    assert_eq!(simulator.connections("attic").len(), 2);
    assert_eq!(simulator.counts("attic").connects, 2);
}
