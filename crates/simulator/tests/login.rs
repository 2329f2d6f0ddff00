//! Login with Amazon as the simulator plays it, over the wire.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use antiphon_simulator::Fault;
use support::*;

const PAIR: &str = "response_type=device_code&client_id=c&scope=alexa%3Aall&scope_data=%7B%22alexa%3Aall%22%3A%7B\
    %22productID%22%3A%22p%22%2C%22productInstanceAttributes%22%3A%7B%22deviceSerialNumber%22%3A%22d1%22%7D%7D%7D";

#[tokio::test]
async fn a_code_is_pending_then_too_fast_then_approved() {
    let (simulator, _folder) = simulator(|options| options.code_interval = Duration::from_millis(200)).await;
    let mut device = connect(&simulator).await;
    let (status, pair) = device.form("/auth/o2/create/codepair", PAIR).await;
    assert_eq!(status, 200);
    assert_eq!(pair["expires_in"], 600);
    let poll = format!(
        "grant_type=device_code&device_code={}&user_code={}",
        pair["device_code"].as_str().unwrap(),
        pair["user_code"].as_str().unwrap()
    );
    let (status, answer) = device.form("/auth/O2/token", &poll).await;
    assert_eq!((status, answer["error"].as_str().unwrap()), (400, "authorization_pending"));
    assert_eq!(device.form("/auth/O2/token", &poll).await.1["error"], "slow_down");
    assert_eq!(simulator.pending_codes().len(), 1);
    assert_eq!(simulator.approve(pair["user_code"].as_str().unwrap()).unwrap(), "d1");
    assert!(simulator.approve("NOSUCH").is_err());
    tokio::time::sleep(Duration::from_millis(250)).await;
    let (status, tokens) = device.form("/auth/O2/token", &poll).await;
    assert_eq!(status, 200);
    assert_eq!(tokens["token_type"], "bearer");
    assert_eq!(tokens["expires_in"], 3600);
    assert_eq!(device.form("/auth/O2/token", &poll).await.1["error"], "invalid_code_pair");
    assert_eq!(device.refresh(tokens["refresh_token"].as_str().unwrap()).await.0, 200);
    assert_eq!(simulator.counts("d1").refreshes, 1);
}

#[tokio::test]
async fn a_code_expires() {
    let (simulator, _folder) = simulator(|options| options.code_lifetime = Duration::ZERO).await;
    let mut device = connect(&simulator).await;
    let (_, pair) = device.form("/auth/O2/create/codepair", PAIR).await;
    let poll = format!(
        "grant_type=device_code&device_code={}&user_code={}",
        pair["device_code"].as_str().unwrap(),
        pair["user_code"].as_str().unwrap()
    );
    assert!(simulator.approve(pair["user_code"].as_str().unwrap()).is_err());
    assert_eq!(device.form("/auth/O2/token", &poll).await.1["error"], "invalid_code_pair");
}

#[tokio::test]
async fn refresh_tokens_rotate_and_are_revoked() {
    let (simulator, _folder) = simulator(|options| options.open = false).await;
    let mut device = connect(&simulator).await;
    assert_eq!(device.refresh("Atzr|x").await.1["error"], "invalid_grant");
    let first = simulator.link("x", "Kitchen");
    let (_, answer) = device.refresh(&first).await;
    let second = answer["refresh_token"].as_str().unwrap().to_owned();
    assert_ne!(first, second);
    assert_eq!(device.refresh(&first).await.1["error"], "invalid_grant");
    simulator.inject("kitchen", &Fault::Lwa("servererror".into(), 1)).unwrap();
    assert_eq!(device.refresh(&second).await.0, 500);
    assert_eq!(device.refresh(&second).await.0, 200);
    simulator.inject("x", &Fault::Revoke).unwrap();
    assert_eq!(device.refresh(&second).await.1["error"], "invalid_grant");
    let counts = simulator.counts("x");
    assert_eq!((counts.refreshes, counts.refused_refreshes), (2, 3));
}

#[tokio::test]
async fn a_ca_is_kept_for_the_next_simulator() {
    let (first, folder) = simulator(|_| {}).await;
    let pem = std::fs::read(first.ca_file()).unwrap();
    first.kill().await;
    let second =
        antiphon_simulator::Simulator::start(antiphon_simulator::Options::new(&folder.0)).await.unwrap();
    assert_eq!(std::fs::read(second.ca_file()).unwrap(), pem);
    let mut device = connect(&second).await;
    assert_eq!(device.refresh("Atzr|y|from-before").await.0, 200);
}
