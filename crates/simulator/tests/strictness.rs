//! What a device may not do: each fault of an event is found, told, and answered with the right status.
#![allow(clippy::unwrap_used)]

mod support;

use antiphon_simulator::Simulator;
use serde_json::json;
use support::*;

fn only_violation(simulator: &Simulator) -> String {
    let violations = simulator.violations();
    assert_eq!(violations.len(), 1, "{violations:?}");
    simulator.forget_violations();
    violations[0].what.clone()
}

#[tokio::test]
async fn bad_events_are_refused_with_400() {
    let (simulator, _folder) = simulator(|_| {}).await;
    let (mut device, _down) = ready(&simulator, "a").await;
    let loud = event("Speaker", "VolumeChanged", json!({"volume":101,"muted":false}));
    let (status, body) = device.event(&loud).await.unwrap();
    assert_eq!(status, 400);
    assert!(body.contains("INVALID_REQUEST_EXCEPTION") && !body.contains("directive"), "{body}");
    assert!(only_violation(&simulator).contains("above 100"));

    let undeclared = event("AudioPlayer", "PlaybackStarted", json!({"token":"t","offsetInMilliseconds":0}));
    assert_eq!(device.event(&undeclared).await.unwrap().0, 400);
    assert_eq!(only_violation(&simulator), "AudioPlayer was not declared");

    let good = event("Speaker", "VolumeChanged", json!({"volume":10,"muted":false}));
    assert_eq!(device.event(&good).await.unwrap().0, 204);
    assert_eq!(device.event(&good).await.unwrap().0, 400);
    assert!(only_violation(&simulator).contains("was used before"));

    let not_json = b"--BB\r\nContent-Disposition: form-data; name=\"metadata\"\r\nContent-Type: application/json\r\n\r\n{\r\n--BB--\r\n";
    assert_eq!(device.raw_event("multipart/form-data; boundary=BB", not_json).await.unwrap().0, 400);
    assert_eq!(only_violation(&simulator), "the metadata is not JSON");
    assert_eq!(device.raw_event("application/json", b"{}").await.unwrap().0, 415);
    assert!(only_violation(&simulator).contains("content-type"));
    assert_eq!(simulator.device("a").unwrap().violations, 5);
}

#[tokio::test]
async fn layout_faults_are_told_but_the_event_is_taken() {
    let (simulator, _folder) = simulator(|_| {}).await;
    let (mut device, _down) = ready(&simulator, "b").await;
    let good = || event("Speaker", "VolumeChanged", json!({"volume":10,"muted":false}));
    let quoted = device.raw_event("multipart/form-data; boundary=\"BB\"", &event_body(&good(), None)).await;
    assert_eq!(quoted.unwrap().0, 204);
    let mut leading = b"\r\n".to_vec();
    leading.extend(event_body(&good(), None));
    assert_eq!(device.raw_event("multipart/form-data; boundary=BB", &leading).await.unwrap().0, 204);
    assert!(simulator.violations().is_empty(), "{:?}", simulator.violations());

    let mut open = event_body(&good(), None);
    open.truncate(open.len() - 8);
    device.raw_event("multipart/form-data; boundary=BB", &open).await.unwrap();
    assert!(simulator.violations().iter().any(|violation| violation.what.contains("closing delimiter")));
}

#[tokio::test]
async fn the_opening_order_is_watched() {
    let (simulator, _folder) = simulator(|_| {}).await;
    let mut device = connect(&simulator).await;
    device.refresh("Atzr|c").await;
    let early = event("System", "UserInactivityReport", json!({"inactiveTimeInSeconds":1}));
    device.event(&early).await.unwrap();
    let told: Vec<String> = simulator.violations().into_iter().map(|violation| violation.what).collect();
    assert_eq!(told, ["an event on a connection without downchannel", "before SynchronizeState"]);
    simulator.forget_violations();
    let _down = device.get("/v20160207/directives").await.unwrap();
    device.event(&synchronise()).await.unwrap();
    assert_eq!(only_violation(&simulator), "before any capabilities were declared");
}

#[tokio::test]
async fn starts_must_wait_for_answers() {
    let (simulator, _folder) = simulator(|_| {}).await;
    let (mut device, _down) = ready(&simulator, "d").await;
    simulator.inject("d", &"delay-headers:300".parse().unwrap()).unwrap();
    let mut other =
        Device { h2: device.h2.clone(), token: device.token.clone(), driver: tokio::spawn(async { Ok(()) }) };
    let (one, two) = (
        event("Speaker", "VolumeChanged", json!({"volume":1,"muted":false})),
        event("Speaker", "VolumeChanged", json!({"volume":2,"muted":false})),
    );
    let (a, b) = tokio::join!(device.event(&one), other.event(&two));
    assert_eq!((a.unwrap().0, b.unwrap().0), (204, 204));
    assert!(only_violation(&simulator).contains("started before the answers"));
}

#[tokio::test]
async fn tokens_belong_to_their_device_and_time() {
    let (simulator, _folder) =
        simulator(|options| options.token_lifetime = std::time::Duration::from_secs(3600)).await;
    let (mut device, _down) = ready(&simulator, "e").await;
    let own = device.token.clone();
    device.refresh("Atzr|f").await;
    let event_e = || event("Speaker", "VolumeChanged", json!({"volume":1,"muted":false}));
    assert_eq!(device.event(&event_e()).await.unwrap().0, 403);
    assert!(only_violation(&simulator).contains("another device's connection"));
    device.token = own;
    simulator.inject("e", &antiphon_simulator::Fault::ExpireToken).unwrap();
    let (status, body) = device.event(&event_e()).await.unwrap();
    assert_eq!(status, 403);
    assert!(body.contains("UNAUTHORIZED_REQUEST_EXCEPTION"));
    assert!(simulator.violations().is_empty());
}
