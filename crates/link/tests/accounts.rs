//! Accounts: logging in by a brought code, revocation, leaving, another account in place of the first, capabilities anew.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use antiphon_link::{AuthorizationAnswer, Grant, LinkEvent, LinkState, LoginError, LoginReason, Secret};
use antiphon_simulator::Fault;
use serde_json::json;
use support::*;

const RETURN: &str = "http://localhost:8080/link/return";

fn answer(code: &str, state: Option<String>) -> AuthorizationAnswer {
    AuthorizationAnswer { code: Secret::new(code), redirect_uri: None, client_id: None, state }
}

async fn logged_in(rig: &mut Rig) {
    rig.wait("logged in", |event| matches!(event, LinkEvent::LoggedIn).then_some(())).await;
}

async fn logged_out(rig: &mut Rig) -> LoginReason {
    let mut reason = None;
    rig.wait("logged out", |event| match event {
        LinkEvent::State(LinkState::NeedsLogin { why }) => {
            reason = Some(why);
            None
        }
        LinkEvent::LoggedOut => reason.clone(),
        _ => None,
    })
    .await
}

fn stored(rig: &Rig) -> Vec<String> {
    rig.stored.lock().unwrap().iter().map(|s| s.expose().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_say_what_a_surface_needs_and_are_answered_once() {
    let simulator = simulator(options()).await;
    let (context, dsn) = (context(), dsn());
    let mut config = config(&simulator, &dsn);
    config.profile = true;
    let mut rig = start(&context, config, None);
    let handle = rig.handle.clone();
    let site = handle.begin_authorization(Grant::Site, RETURN.into()).await;
    assert_eq!(site.unwrap_err(), LoginError::NoClientSecret);
    let bad = handle.begin_authorization(Grant::Local, "http://elsewhere.example/".into()).await;
    assert_eq!(bad.unwrap_err(), LoginError::Unfit { field: "redirect_uri" });

    let request = handle.begin_authorization(Grant::Local, RETURN.into()).await.unwrap();
    let url: http::Uri = request.url.parse().unwrap();
    assert_eq!((url.host(), url.path()), (Some("www.amazon.com"), "/ap/oa"));
    for part in ["response_type=code", "code_challenge_method=S256", "scope=alexa%3Aall+profile%3Auser_id"] {
        assert!(request.url.contains(part), "{part}: {}", request.url);
    }
    assert!(request.url.contains(&request.state));
    assert!(request.url.contains(request.code_challenge.as_deref().unwrap()));
    assert_eq!(request.dsn, dsn);
    assert!(request.scope_data.contains("\"productID\"") && request.scope_data.contains(&dsn));

    let forged = handle.authorize(answer("code", Some("forged".into()))).await;
    assert_eq!(forged, Err(LoginError::UnknownState));
    let code = simulator.authorization_code(&dsn);
    handle.authorize(answer(&code, Some(request.state.clone()))).await.unwrap();
    logged_in(&mut rig).await;
    rig.connected().await;
    let again = handle.authorize(answer(&code, Some(request.state))).await;
    assert_eq!(again, Err(LoginError::UnknownState));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_brings_its_code_and_its_client() {
    let simulator = simulator(options()).await;
    let (context, dsn) = (context(), dsn());
    let mut rig = start(&context, config(&simulator, &dsn), None);
    rig.handle.begin_authorization(Grant::App, "amzn://app".into()).await.unwrap();
    let wrong = rig.handle.authorize(answer("nobodys", None)).await;
    assert_eq!(wrong, Err(LoginError::Refused { code: "invalid_grant".into() }));
    rig.wait("a failure", |event| matches!(event, LinkEvent::LoginFailed { .. }).then_some(())).await;

    rig.handle.begin_authorization(Grant::App, "amzn://app".into()).await.unwrap();
    let mut brought = answer(&simulator.authorization_code(&dsn), None);
    brought.client_id = Some("amzn1.application-oa2-client.app".into());
    rig.handle.authorize(brought).await.unwrap();
    rig.connected().await;
    // What was stored names the application's client, and is enough for the next start.
    let last = stored(&rig).pop().unwrap();
    assert!(last.contains("amzn1.application-oa2-client.app"), "{last}");
    rig.handle.shutdown();
    let mut again = start(&context, config(&simulator, &dsn), Some(&last));
    again.connected().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_shows_its_secret() {
    let simulator = simulator(options()).await;
    let (context, registry) = counted_context();
    let dsn = dsn();
    let mut config = config(&simulator, &dsn);
    config.client_secret = Some(Secret::new("hush"));
    let mut rig = start(&context, config, None);
    let request = rig.handle.begin_authorization(Grant::Site, "https://site.example/r".into()).await.unwrap();
    assert!(request.code_challenge.is_none() && !request.url.contains("hush"));
    // A site's code without its state is nobody's.
    let code = simulator.authorization_code(&dsn);
    assert_eq!(rig.handle.authorize(answer(&code, None)).await, Err(LoginError::UnknownState));
    rig.handle.authorize(answer(&code, Some(request.state))).await.unwrap();
    rig.connected().await;
    assert!(stored(&rig).iter().all(|text| !text.contains("hush")));
    assert!(metrics(&registry).contains("kind=\"site\",outcome=\"ok\",speaker="), "{}", metrics(&registry));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revocation_and_logout_leave_nothing() {
    let simulator = simulator(options()).await;
    let (context, dsn) = (context(), dsn());
    let mut rig = start(&context, config(&simulator, &dsn), Some(&format!("Atzr|{dsn}")));
    rig.connected().await;
    rig.handle.logout().unwrap();
    assert_eq!(logged_out(&mut rig).await, LoginReason::LoggedOut);
    simulator.wait_until(&dsn, |view| !view.connected, PATIENCE).await.unwrap();
    until(|| stored(&rig).last().is_some_and(String::is_empty)).await;

    let dsn = support::dsn();
    let mut rig = start(&context, config(&simulator, &dsn), Some(&format!("Atzr|{dsn}")));
    rig.connected().await;
    simulator.inject(&dsn, &Fault::Revoke).unwrap();
    rig.handle.post(volume_changed(1)).unwrap();
    assert_eq!(logged_out(&mut rig).await, LoginReason::Revoked);
    until(|| stored(&rig).last().is_some_and(String::is_empty)).await;
    simulator.wait_until(&dsn, |view| !view.connected, PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retired_device_says_so_first() {
    let simulator = simulator(options()).await;
    let (context, dsn) = (context(), dsn());
    let mut rig = start(&context, config(&simulator, &dsn), Some(&format!("Atzr|{dsn}")));
    rig.connected().await;
    rig.handle.retire().unwrap();
    assert_eq!(logged_out(&mut rig).await, LoginReason::LoggedOut);
    let entry = simulator.wait_for_event(&dsn, 0, "Alexa.Discovery", "DeleteReport", PATIENCE).await.unwrap();
    assert!(entry.payload()["endpoints"][0]["endpointId"].as_str().unwrap().ends_with(&dsn));
    until(|| stored(&rig).last().is_some_and(String::is_empty)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_account_declares_again_and_the_first_serves_until_then() {
    let simulator = simulator(options()).await;
    let (context, dsn) = (context(), dsn());
    let mut rig = start(&context, config(&simulator, &dsn), Some(&format!("Atzr|{dsn}")));
    rig.connected().await;
    let request = rig.handle.begin_authorization(Grant::Local, RETURN.into()).await.unwrap();
    let code = simulator.authorization_code(&dsn);
    rig.handle.authorize(answer(&code, Some(request.state))).await.unwrap();
    logged_in(&mut rig).await;
    rig.connected().await;
    assert_eq!(simulator.counts(&dsn).declarations, 2);
    assert_eq!(simulator.counts(&dsn).connects, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn capabilities_change_while_the_link_runs() {
    let simulator = simulator(options()).await;
    let (context, dsn) = (context(), dsn());
    let mut rig = start(&context, config(&simulator, &dsn), Some(&format!("Atzr|{dsn}")));
    let declared = |event| match event {
        LinkEvent::Declared(name) => Some(name),
        _ => None,
    };
    let first = rig.wait("a declaration", declared).await;
    rig.connected().await;
    let mut list = (*capabilities()).clone();
    list.push(json!({"type":"AlexaInterface","interface":"PlaybackController","version":"1.1"}));
    rig.handle.redeclare(Arc::new(list)).unwrap();
    let second = rig.wait("another declaration", declared).await;
    assert_ne!(first, second);
    assert_eq!(simulator.counts(&dsn).declarations, 2);
    assert_eq!(simulator.counts(&dsn).connects, 1);
    assert!(simulator.violations().is_empty(), "{:#?}", simulator.violations());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_is_no_loss() {
    let simulator = simulator(options()).await;
    let (context, registry) = counted_context();
    let dsn = dsn();
    let mut config = config(&simulator, &dsn);
    config.timers.stable_after = Duration::ZERO;
    let mut rig = start(&context, config, Some(&format!("Atzr|{dsn}")));
    rig.connected().await;
    let line = format!("antiphon_link_connected{{speaker=\"{dsn}\"}} 1");
    let watch = {
        let (registry, line) = (registry.clone(), line.clone());
        tokio::task::spawn_blocking(move || {
            let end = std::time::Instant::now() + Duration::from_millis(800);
            while std::time::Instant::now() < end {
                assert!(metrics(&registry).contains(&line), "the gauge flickers");
            }
        })
    };
    for round in 1..=3 {
        simulator.inject(&dsn, &Fault::EndDownchannel).unwrap();
        rig.wait("a synchronisation", |event| {
            assert!(!matches!(event, LinkEvent::State(_)), "{event:?}");
            matches!(event, LinkEvent::WantSynchronizeState).then_some(())
        })
        .await;
        let line = format!("antiphon_link_reconnects_total{{speaker=\"{dsn}\"}} {round}");
        until(|| metrics(&registry).contains(&line)).await;
    }
    watch.await.unwrap();
}
