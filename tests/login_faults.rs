//! What goes wrong at Amazon in the midst of a log-in, whichever way it is done: it ends linked, or it is told that it
//! came to nothing; and the next one works.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use antiphon_simulator::{Client, Fault};
use serde_json::{Value, json};
use std::time::Duration;
use support::hub::{Hub, PATIENCE, Setup};
use support::login::{APP, CLIENT, QUICK};
use support::patience::eventually;

/// More than any way of logging in tries.
const ALWAYS: u32 = 1000;

/// How Login with Amazon may fail and be well again.
const WAYS: [&str; 3] = ["servererror", "garbage", "reset"];

fn unlinked() -> Hub {
    let own = Client { id: CLIENT.into(), secret: Some("hush".into()), redirects: Vec::new() };
    Setup::new(&["kitchen", "sofa"])
        .speaker("kitchen", "# unlinked\n")
        .with(&format!("client_secret = \"hush\"\n{QUICK}"))
        .with_simulator(|o| {
            o.clients = vec![own];
            o.code_interval = Duration::from_secs(1);
        })
        .start_unlinked()
        .here(&["kitchen", "sofa"])
}

fn fail(hub: &Hub, way: &str, times: u32) {
    hub.simulator().inject_all(&Fault::Lwa(way.into(), times));
}

fn log_out(hub: &Hub) {
    assert_eq!(hub.ask("DELETE", "/api/speakers/kitchen/link", None).0, 204);
    hub.wait_link("kitchen", "needs_login");
}

/// Whatever happened to the kitchen, the sofa did not notice.
fn sofa_is_well(hub: &Hub) {
    assert_eq!(hub.speaker("sofa")["link"]["state"], "connected");
    hub.assert_no_violations();
}

/// Comes back from Amazon's page: by the hub's own page, or by the site.
fn come_back(hub: &Hub, way: &str) -> (u16, String) {
    let sent = hub.browse("GET", &format!("/link/kitchen/{way}"));
    let page = hub.browse("GET", &hub.simulator().allow(&sent.to).unwrap());
    (page.status, page.text)
}

#[test]
fn a_code_links_through_faults() {
    let hub = unlinked();
    hub.wait_link("sofa", "connected");
    for way in WAYS {
        hub.simulator().inject_all(&Fault::LwaPair(way.into(), 2));
        hub.api("POST", "/api/speakers/kitchen/link", json!({}));
        let code = hub.shown_code("kitchen");
        fail(&hub, way, 2);
        hub.simulator().approve(&code).unwrap();
        hub.wait_link("kitchen", "connected");
        log_out(&hub);
    }
    // New connections are reset while it asks.
    hub.simulator().inject_all(&Fault::Refuse(2));
    hub.api("POST", "/api/speakers/kitchen/link", json!({}));
    hub.simulator().approve(&hub.shown_code("kitchen")).unwrap();
    hub.wait_link("kitchen", "connected");
    hub.simulator().inject_all(&Fault::Clear);
    sofa_is_well(&hub);
}

#[test]
fn a_code_that_is_never_given_is_told() {
    let hub = unlinked();
    hub.wait_link("sofa", "connected");
    for way in WAYS {
        hub.simulator().inject_all(&Fault::LwaPair(way.into(), ALWAYS));
        let output = hub.antiphon(&["link", "kitchen"]).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && told.contains("Login with Amazon could not be reached"),
            "{way}: {told}"
        );
        hub.simulator().inject_all(&Fault::Clear);
    }
    // A code, and never a proof that its account is good.
    hub.simulator().mark("kitchen");
    hub.api("POST", "/api/speakers/kitchen/link", json!({}));
    let code = hub.shown_code("kitchen");
    hub.simulator().inject("kitchen", &Fault::Lwa("servererror".into(), ALWAYS)).unwrap();
    hub.simulator().approve(&code).unwrap();
    hub.wait_why("kitchen", "could not be reached");
    assert!(hub.speaker("kitchen")["link"]["login"].is_null());
    hub.simulator().inject("kitchen", &Fault::Clear).unwrap();
    hub.api("POST", "/api/speakers/kitchen/link", json!({}));
    hub.simulator().approve(&hub.shown_code("kitchen")).unwrap();
    hub.wait_link("kitchen", "connected");
    sofa_is_well(&hub);
}

#[test]
fn an_app_links_through_faults_or_is_told() {
    let hub = unlinked();
    hub.wait_link("sofa", "connected");
    for way in WAYS {
        let code = hub.allowed(&hub.app_asks("kitchen", CLIENT));
        fail(&hub, way, 2);
        assert_eq!(hub.hand_in("kitchen", &code, CLIENT, APP), (204, Value::Null), "{way}");
        hub.wait_link("kitchen", "connected");
        log_out(&hub);
        let code = hub.allowed(&hub.app_asks("kitchen", CLIENT));
        fail(&hub, way, ALWAYS);
        let (status, problem) = hub.hand_in("kitchen", &code, CLIENT, APP);
        let detail = problem["detail"].as_str().unwrap_or("");
        assert!(
            status == 409 && detail.contains("no usable answer") && detail.contains("try again"),
            "{problem}"
        );
        hub.simulator().inject_all(&Fault::Clear);
        assert_eq!(hub.speaker("kitchen")["link"]["state"], "needs_login");
    }
    sofa_is_well(&hub);
}

#[test]
fn a_person_in_a_browser_is_linked_through_faults_or_told() {
    let hub = unlinked();
    hub.wait_link("sofa", "connected");
    for way in ["site", "local"] {
        for fault in WAYS {
            fail(&hub, fault, 2);
            assert_eq!(come_back(&hub, way).0, 303, "{way} {fault}");
            hub.wait_link("kitchen", "connected");
            log_out(&hub);
        }
        fail(&hub, "garbage", ALWAYS);
        let (status, text) = come_back(&hub, way);
        assert!(
            status == 409 && text.contains("linking kitchen") && text.contains("try again later"),
            "{text}"
        );
        hub.simulator().inject_all(&Fault::Clear);
    }
    sofa_is_well(&hub);
}

#[test]
fn another_log_in_takes_the_place_of_one_that_waits() {
    let hub = unlinked();
    hub.wait_link("sofa", "connected");
    hub.api("POST", "/api/speakers/kitchen/link", json!({}));
    let code = hub.shown_code("kitchen");
    assert_eq!(come_back(&hub, "local").0, 303);
    hub.wait_link("kitchen", "connected");
    // The code is good no more: nobody waits for it.
    eventually("it is gone", PATIENCE, || hub.speaker("kitchen")["link"]["login"].is_null());
    let refreshes = hub.simulator().counts("kitchen").refreshes;
    let _ = hub.simulator().approve(&code);
    // While it is linked, a new account that fails leaves the present one as it was.
    let connects = hub.simulator().counts("kitchen").connects;
    fail(&hub, "invalid_client", 1);
    let (status, text) = come_back(&hub, "site");
    assert!(status == 409 && text.contains("invalid_client"), "{text}");
    assert_eq!(hub.speaker("kitchen")["link"]["state"], "connected");
    assert_eq!(hub.simulator().counts("kitchen").connects, connects);
    assert_eq!(hub.simulator().counts("kitchen").refreshes, refreshes);
    sofa_is_well(&hub);
}

#[test]
fn a_log_in_that_amazon_does_not_answer_is_asked_for_again() {
    let hub = unlinked();
    hub.wait_link("sofa", "connected");
    hub.simulator().inject_all(&Fault::LwaPair("silence".into(), 1));
    hub.api("POST", "/api/speakers/kitchen/link", json!({}));
    // So for an app, at the same time: its code was not taken yet.
    let code = hub.allowed(&hub.app_asks("sofa", CLIENT));
    fail(&hub, "silence", 1);
    assert_eq!(hub.hand_in("sofa", &code, CLIENT, APP), (204, Value::Null));
    hub.wait_link("sofa", "connected");
    // The limit of a call is a minute.
    let shown = || hub.speaker("kitchen")["link"]["login"].is_object();
    eventually("a code", Duration::from_secs(90), shown);
    hub.simulator().approve(&hub.shown_code("kitchen")).unwrap();
    hub.wait_link("kitchen", "connected");
    sofa_is_well(&hub);
}
