//! Each fault as a device sees it.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use antiphon_simulator::{Fault, Simulator};
use serde_json::{Value, json};
use support::*;

fn volume() -> Value {
    event("Speaker", "VolumeChanged", json!({"volume":10,"muted":false}))
}

fn inject(simulator: &Simulator, fault: &str) {
    simulator.inject("a", &fault.parse().unwrap()).unwrap();
}

#[tokio::test]
async fn statuses_with_their_bodies() {
    let (simulator, _folder) = simulator(|_| {}).await;
    let (mut device, _down) = ready(&simulator, "a").await;
    for (status, code) in [
        (400, "INVALID_REQUEST_EXCEPTION"),
        (403, "UNAUTHORIZED_REQUEST_EXCEPTION"),
        (415, "UNSUPPORTED_MEDIA_TYPE"),
        (429, "THROTTLING_EXCEPTION"),
        (500, "INTERNAL_SERVICE_EXCEPTION"),
        (503, ""),
    ] {
        inject(&simulator, &format!("event-status:{status}"));
        let (seen, body) = device.event(&volume()).await.unwrap();
        assert_eq!(seen, status);
        assert!(body.contains(code) && body.is_empty() == code.is_empty(), "{body}");
    }
    assert_eq!(device.event(&volume()).await.unwrap().0, 204);
    inject(&simulator, "reset-events");
    assert!(device.event(&volume()).await.unwrap_err().is_reset());
    inject(&simulator, "downchannel-status:429");
    let mut again = connect(&simulator).await;
    again.token = device.token.clone();
    assert_eq!(again.get("/v20160207/directives").await.unwrap().status(), 429);
    assert!(simulator.violations().is_empty(), "{:?}", simulator.violations());
}

#[tokio::test]
async fn the_downchannel_ends_in_every_way() {
    let (simulator, _folder) = simulator(|_| {}).await;
    for fault in ["end-downchannel", "reset-downchannel", "go-away", "tcp-reset", "half-close"] {
        let (device, mut down) = ready(&simulator, "a").await;
        inject(&simulator, fault);
        while down.more().await {}
        if ["go-away", "tcp-reset", "half-close"].contains(&fault) {
            let end = tokio::time::timeout(PATIENCE, device.driver).await.expect(fault).unwrap();
            assert_eq!(
                end.is_err(),
                fault == "tcp-reset" || fault == "half-close" && end.is_err(),
                "{fault}: {end:?}"
            );
        } else {
            device.driver.abort();
        }
        simulator.wait_until("a", |view| view.connections == 0, PATIENCE).await.expect(fault);
    }
}

#[tokio::test]
async fn silence_and_unanswered_pings() {
    let (simulator, _folder) = simulator(|_| {}).await;
    let (mut device, _down) = ready(&simulator, "a").await;
    assert_eq!(device.get("/ping").await.unwrap().status(), 204);
    inject(&simulator, "unanswered-ping");
    let patience = Duration::from_millis(200);
    assert!(tokio::time::timeout(patience, device.get("/ping")).await.is_err());
    assert_eq!(device.get("/ping").await.unwrap().status(), 204);
    inject(&simulator, "silence");
    assert!(tokio::time::timeout(patience, device.get("/ping")).await.is_err());
    assert_eq!(simulator.counts("a").pings, 3);
    device.driver.abort();
    simulator.wait_until("a", |view| view.connections == 0, PATIENCE).await.unwrap();
}

#[tokio::test]
async fn parts_come_split_dripped_malformed_and_huge() {
    let (simulator, _folder) = simulator(|_| {}).await;
    let (_device, mut down) = ready(&simulator, "a").await;
    inject(&simulator, "split");
    for _ in 0..3 {
        simulator.say("a", "mute").await.unwrap();
    }
    down.until("SetMute").await;
    while down.text.matches("{\"mute\":true}}}\r\n--------").count() < 3 {
        assert!(down.more().await);
    }
    let whole = down.frames[0].clone();
    assert!(
        down.frames.iter().any(|frame| frame.ends_with("}\r") || frame.ends_with("}\r\n-")),
        "{:?}",
        down.frames
    );
    inject(&simulator, "clear");
    inject(&simulator, "slow-drip:0");
    let before = down.frames.len();
    // Read while it is written: a client need not keep hundreds of tiny frames unread.
    let (said, ()) = tokio::join!(simulator.say("a", "unmute"), down.until("\"mute\":false}}}"));
    said.unwrap();
    assert!(down.frames.len() > before + 100);
    inject(&simulator, "clear");
    inject(&simulator, "malformed");
    down.until("this is no header").await;
    inject(&simulator, "oversized:100000");
    let (said, ()) = tokio::join!(simulator.say("a", "volume up"), down.until("AdjustVolume"));
    said.unwrap();
    down.until(&format!("10}}}}}}\r\n{whole}")).await;
    assert!(down.text.len() > 100_000);
}

#[tokio::test]
async fn connections_are_refused() {
    let (simulator, _folder) = simulator(|_| {}).await;
    let (device, _down) = ready(&simulator, "a").await;
    simulator.inject_all(&Fault::Refuse(1));
    let address = simulator.gateway().trim_start_matches("https://").to_owned();
    let mut tcp = tokio::net::TcpStream::connect(&address).await.unwrap();
    let mut one = [0u8; 1];
    let read =
        tokio::time::timeout(PATIENCE, tokio::io::AsyncReadExt::read(&mut tcp, &mut one)).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)));
    inject(&simulator, "refuse");
    let mut again = connect(&simulator).await;
    again.token = device.token.clone();
    assert!(again.get("/v20160207/directives").await.is_err());
    assert_eq!(simulator.counts("a").refused_connects, 1);
}

#[tokio::test]
async fn idle_downchannels_beat_and_old_connections_go() {
    let (simulator, _folder) = simulator(|options| {
        options.keep_alive = Duration::from_millis(50);
        options.max_age = Some(Duration::from_millis(1500));
        options.synchronise_within = Some(Duration::from_secs(10));
    })
    .await;
    let (_device, mut down) = ready(&simulator, "a").await;
    for _ in 0..4 {
        assert!(down.more().await);
    }
    assert_eq!(down.frames[1].trim_start(), down.frames[0]);
    while down.more().await {}
    simulator.wait_until("a", |view| view.connections == 0, PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_never_synchronises_is_cut() {
    let (simulator, _folder) =
        simulator(|options| options.synchronise_within = Some(Duration::from_millis(200))).await;
    let mut device = connect(&simulator).await;
    device.refresh("Atzr|a").await;
    let mut down = Downchannel::new(device.get("/v20160207/directives").await.unwrap());
    while down.more().await {}
    simulator.wait_until("a", |view| view.connections == 0, PATIENCE).await.unwrap();
}
