//! Login with Amazon: code-based linking, refresh in time, rotation stored before use, logout.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use antiphon_link::{LinkEvent, LinkState, LoginReason};
use antiphon_simulator::Fault;
use support::*;

async fn code(rig: &mut Rig) -> String {
    rig.wait("a code", |event| match event {
        LinkEvent::LoginCode { user_code, verification_uri, .. } => {
            assert!(!verification_uri.is_empty());
            Some(user_code)
        }
        _ => None,
    })
    .await
}

async fn needs_login(rig: &mut Rig) -> LoginReason {
    rig.wait("the need of a login", |event| match event {
        LinkEvent::State(LinkState::NeedsLogin { why }) => Some(why),
        _ => None,
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_links_a_speaker_by_code() {
    let mut options = options();
    options.open = false;
    options.code_interval = Duration::from_secs(1);
    let simulator = simulator(options).await;
    let (context, dsn) = (context(), dsn());
    let mut config = config(&simulator, &dsn);
    config.token_timers.poll_least = Duration::from_millis(100);
    let mut rig = start(&context, config, None);
    assert_eq!(needs_login(&mut rig).await, LoginReason::NoToken);
    rig.handle.login().unwrap();
    let code = code(&mut rig).await;
    // The first polls are put off, whatever the person does.
    simulator.inject_all(&Fault::Lwa("authorization_pending".into(), 1));
    simulator.inject_all(&Fault::Lwa("slow_down".into(), 1));
    assert_eq!(simulator.approve(&code).unwrap(), dsn);
    rig.wait("logged in", |event| matches!(event, LinkEvent::LoggedIn).then_some(())).await;
    rig.connected().await;
    simulator.wait_connected(&dsn, PATIENCE).await.unwrap();
    assert!(!rig.stored.lock().unwrap().is_empty());
    assert!(simulator.violations().is_empty(), "{:#?}", simulator.violations());

    // The stored token is enough for the next start.
    let stored = rig.stored.lock().unwrap().last().unwrap().expose().to_owned();
    rig.handle.shutdown();
    let mut again = start(&context, support::config(&simulator, &dsn), Some(&stored));
    again.connected().await;

    again.handle.logout().unwrap();
    assert_eq!(needs_login(&mut again).await, LoginReason::LoggedOut);
    simulator.wait_until(&dsn, |view| !view.connected, PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unused_code_is_replaced_and_finally_given_up() {
    let mut options = options();
    options.code_lifetime = Duration::from_secs(1);
    options.code_interval = Duration::from_secs(1);
    let simulator = simulator(options).await;
    let (context, dsn) = (context(), dsn());
    let mut config = config(&simulator, &dsn);
    config.token_timers.poll_least = Duration::from_millis(100);
    let mut rig = start(&context, config, None);
    rig.handle.login().unwrap();
    let first = code(&mut rig).await;
    let second = code(&mut rig).await;
    assert_ne!(first, second);
    assert_eq!(needs_login(&mut rig).await, LoginReason::CodeUnused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_refreshed_before_they_expire_and_stored_before_they_are_used() {
    let mut options = options();
    options.token_lifetime = Duration::from_secs(2);
    let simulator = simulator(options).await;
    let (context, dsn) = (context(), dsn());
    let mut rig = start(&context, config(&simulator, &dsn), Some(&format!("Atzr|{dsn}")));
    rig.connected().await;
    simulator.wait_until(&dsn, |_| simulator.counts(&dsn).refreshes >= 4, PATIENCE).await.unwrap_or_else(
        |_| {
            panic!("few refreshes: {:?}", simulator.counts(&dsn));
        },
    );
    // One connection through all of them: a refresh does not disturb it.
    assert_eq!(simulator.counts(&dsn).connects, 1);
    let stored = rig.stored.lock().unwrap().clone();
    assert!(stored.len() >= 3, "rotated tokens were not stored");
    assert_eq!(simulator.counts(&dsn).refused_refreshes, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_cannot_be_stored_is_not_used() {
    let simulator = simulator(options()).await;
    let (context, dsn) = (context(), dsn());
    let mut rig = start_on(&context, config(&simulator, &dsn), Some(&format!("Atzr|{dsn}")), false);
    simulator.wait_until(&dsn, |_| simulator.counts(&dsn).refreshes >= 1, PATIENCE).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(500), rig.connected()).await;
    assert!(early.is_err(), "connected with a token that is on no disk");
    rig.disk.store(true, Ordering::Relaxed);
    rig.connected().await;
    // The same answer was kept and stored; LWA was not asked twice.
    assert_eq!(simulator.counts(&dsn).refreshes, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn troubles_of_lwa_are_outlived() {
    for error in ["servererror", "authorization_pending", "slow_down"] {
        let simulator = simulator(options()).await;
        let (context, dsn) = (context(), dsn());
        simulator.inject_all(&Fault::Lwa(error.into(), 3));
        let mut rig = start(&context, config(&simulator, &dsn), Some(&format!("Atzr|{dsn}")));
        rig.connected().await;
    }
    let simulator = simulator(options()).await;
    let (context, dsn) = (context(), dsn());
    simulator.inject_all(&Fault::Lwa("invalid_client".into(), 1));
    let mut rig = start(&context, config(&simulator, &dsn), Some(&format!("Atzr|{dsn}")));
    assert_eq!(needs_login(&mut rig).await, LoginReason::Refused("invalid_client".into()));
}
