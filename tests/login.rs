//! Linking a speaker to an account: by a code that is shown, by a companion app, by a companion site. Each to its end,
//! and each wrong turn with what happened, where, and what to do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use antiphon_simulator::{Client, Fault};
use serde_json::Value;
use std::process::Output;
use std::time::Duration;
use support::hub::{Hub, PATIENCE, Setup};
use support::login::{APP, CLIENT, QUICK, parameter};
use support::patience::eventually;

const SECRET: &str = "the-secret-of-the-site";

fn unlinked() -> Setup {
    Setup::new(&["kitchen"]).speaker("kitchen", "# unlinked\n").with(QUICK)
}

fn said(output: &Output) -> String {
    let both = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// A problem that tells all three.
fn problem((status, body): (u16, Value), expected: u16, words: &[&str]) {
    assert_eq!(status, expected, "{body}");
    assert_eq!(body["status"], expected, "{body}");
    let detail = body["detail"].as_str().unwrap_or("");
    for word in words {
        assert!(detail.contains(word), "no {word:?} in {detail:?}");
    }
}

#[test]
fn a_code_that_is_entered_late_is_replaced_and_links() {
    let hub = unlinked()
        .with_simulator(|o| {
            o.code_lifetime = Duration::from_secs(3);
            o.code_interval = Duration::from_secs(1);
        })
        .start_unlinked()
        .here(&["kitchen"]);
    hub.wait_link("kitchen", "needs_login");
    let (status, _) = hub.ask("POST", "/api/speakers/kitchen/link", None);
    assert_eq!(status, 202);
    let first = hub.shown_code("kitchen");
    let link = hub.speaker("kitchen")["link"].clone();
    assert_eq!(
        (&link["linking"], &link["login"]["verification_uri"]),
        (&Value::from(true), &Value::from("https://amazon.com/us/code"))
    );
    // Polled too soon, it polls more slowly.
    hub.simulator().inject_all(&Fault::Lwa("slow_down".into(), 1));
    eventually("another code", PATIENCE, || hub.shown_code("kitchen") != first);
    assert!(hub.simulator().approve(&first).is_err(), "that pair is dead");
    // A busy machine may let another code die.
    eventually("it is linked", PATIENCE, || {
        for (code, dsn) in hub.simulator().pending_codes() {
            assert_eq!(dsn, "kitchen");
            let _ = hub.simulator().approve(&code);
        }
        hub.speaker("kitchen")["link"]["state"] == "connected"
    });
    let link = hub.speaker("kitchen")["link"].clone();
    assert!(link["login"].is_null() && link["linking"].is_null() && link["why"].is_null(), "{link}");
    // The refresh token was proved before it was called linked.
    assert!(hub.simulator().counts("kitchen").refreshes >= 1);
    hub.wait(hub.simulator().wait_connected("kitchen", PATIENCE)).unwrap();
    hub.assert_no_violations();
}

#[test]
fn a_code_that_nobody_enters_is_given_up_and_told() {
    let hub = unlinked()
        .with_simulator(|o| {
            o.code_lifetime = Duration::from_secs(1);
            o.code_interval = Duration::from_secs(1);
        })
        .start_unlinked()
        .here(&["kitchen"]);
    let output = hub.antiphon(&["link", "kitchen"]).output().unwrap();
    let told = said(&output);
    assert!(!output.status.success() && told.contains("not entered in time"), "{told}");
    assert!(told.matches("enter the code").count() >= 1, "{told}");
    hub.wait_why("kitchen", "not entered in time");
    assert!(hub.speaker("kitchen")["link"]["login"].is_null());
    hub.assert_no_violations();
}

#[test]
fn a_client_that_amazon_refuses_is_told() {
    let hub = unlinked()
        .with_simulator(|o| {
            o.approve_all = true;
            o.code_interval = Duration::from_secs(1);
        })
        .start_unlinked()
        .here(&["kitchen"]);
    hub.wait_link("kitchen", "needs_login");
    // No code for it; then a code, and no account for it: its first refresh is refused.
    hub.simulator().inject_all(&Fault::LwaPair("invalid_client".into(), 1));
    let output = hub.antiphon(&["link", "kitchen"]).output().unwrap();
    let told = said(&output);
    assert!(
        !output.status.success() && told.contains("invalid_client") && told.contains("check client_id"),
        "{told}"
    );
    hub.simulator().mark("kitchen");
    hub.simulator().inject("kitchen", &Fault::Lwa("invalid_request".into(), 1)).unwrap();
    let output = hub.antiphon(&["link", "kitchen"]).output().unwrap();
    let told = said(&output);
    assert!(!output.status.success() && told.contains("invalid_request"), "{told}");
    let link = hub.speaker("kitchen")["link"].clone();
    assert!(link["state"] == "needs_login" && link["login"].is_null(), "{link}");
    // A third time all is well.
    let output = hub.antiphon(&["link", "kitchen"]).output().unwrap();
    assert!(output.status.success() && said(&output).contains("kitchen is linked"), "{}", said(&output));
    hub.wait_linked();
    hub.assert_no_violations();
}

#[test]
fn a_companion_app_links_a_speaker() {
    let hub = unlinked().start_unlinked().here(&["kitchen"]);
    let app = "amzn1.application-oa2-client.app";
    let link = |code: &str, redirect_uri: &str| hub.hand_in("kitchen", code, app, redirect_uri);
    // Nobody asked for it.
    problem(link("nobodys", APP), 409, &["no authorization request", "begin again"]);
    // Not Amazon's.
    let url = hub.app_asks("kitchen", app);
    assert_eq!(parameter(&url, "code_challenge").unwrap().len(), 43);
    problem(link("nobodys", APP), 409, &["refused", "invalid_grant", "begin again"]);
    // Given elsewhere.
    let code = hub.allowed(&hub.app_asks("kitchen", app));
    problem(
        link(&code, "https://elsewhere.example/"),
        409,
        &["invalid_grant", "redirect_uri", "begin again"],
    );
    // Given to another client.
    let code = hub.allowed(&hub.app_asks("kitchen", app));
    problem(hub.hand_in("kitchen", &code, CLIENT, APP), 409, &["invalid_grant", "client_id"]);
    // Given for an older challenge: the verifier does not fit.
    let older = hub.app_asks("kitchen", app);
    hub.app_asks("kitchen", app);
    problem(link(&hub.allowed(&older), APP), 409, &["invalid_grant", "code challenge"]);
    assert_eq!(hub.speaker("kitchen")["link"]["state"], "needs_login");
    // As it should be: linked when it is answered.
    let code = hub.allowed(&hub.app_asks("kitchen", app));
    assert_eq!(link(&code, APP), (204, Value::Null));
    assert!(hub.simulator().counts("kitchen").refreshes >= 1);
    hub.wait_linked();
    // Good once, and the account stays as it is.
    hub.app_asks("kitchen", app);
    problem(link(&code, APP), 409, &["invalid_grant", "nothing was changed"]);
    assert_eq!(hub.speaker("kitchen")["link"]["state"], "connected");
    hub.assert_no_violations();
}

#[test]
fn a_code_of_an_app_that_came_too_late_is_told() {
    let hub =
        unlinked().with_simulator(|o| o.grant_lifetime = Duration::ZERO).start_unlinked().here(&["kitchen"]);
    let code = hub.allowed(&hub.app_asks("kitchen", CLIENT));
    problem(hub.hand_in("kitchen", &code, CLIENT, APP), 409, &["invalid_grant", "older than five minutes"]);
    hub.assert_no_violations();
}

#[test]
fn an_app_is_served_by_the_command_line() {
    let hub = unlinked().start_unlinked().here(&["kitchen"]);
    let output = hub.antiphon(&["link", "kitchen", "--app"]).output().unwrap();
    let told = said(&output);
    assert!(
        output.status.success() && told.contains("code_challenge: ") && told.contains("dsn: kitchen"),
        "{told}"
    );
    let code = hub.allowed(&hub.app_asks("kitchen", CLIENT));
    let mut words = vec!["link", "kitchen", "--app", "--code", &code, "--client-id", CLIENT];
    words.extend(["--redirect-uri", APP]);
    let output = hub.antiphon(&words).output().unwrap();
    assert!(output.status.success() && said(&output).contains("kitchen is linked"), "{}", said(&output));
    hub.wait_linked();
    // Used.
    hub.app_asks("kitchen", CLIENT);
    let output = hub.antiphon(&words).output().unwrap();
    assert!(!output.status.success() && said(&output).contains("invalid_grant"), "{}", said(&output));
    hub.assert_no_violations();
}

fn with_site(secret: &str) -> Hub {
    let own = Client { id: CLIENT.into(), secret: Some(SECRET.into()), redirects: Vec::new() };
    Setup::new(&["kitchen"])
        .speaker("kitchen", "# unlinked\n")
        .with(&format!("client_secret = {secret:?}\n{QUICK}"))
        .with_simulator(|o| o.clients = vec![own])
        .start_unlinked()
        .here(&["kitchen"])
}

#[test]
fn a_companion_site_links_a_speaker() {
    let hub = with_site(SECRET);
    hub.wait_link("kitchen", "needs_login");
    let sent = hub.browse("GET", "/link/kitchen/site");
    assert_eq!(sent.status, 303, "{}", sent.text);
    let want = |name: &str| parameter(&sent.to, name).unwrap_or_default();
    assert!(sent.to.starts_with(&format!("{}/ap/oa?", hub.simulator().gateway())), "{}", sent.to);
    assert_eq!(
        (want("response_type"), want("scope"), want("client_id")),
        ("code".into(), "alexa:all".into(), CLIENT.into())
    );
    assert_eq!(want("redirect_uri"), format!("{}/link/return", hub.http()));
    assert!(want("scope_data").contains("\"deviceSerialNumber\":\"kitchen\""), "{}", sent.to);
    assert!(want("state").len() >= 32 && want("code_challenge").is_empty(), "{}", sent.to);
    // A way back that nobody was sent on.
    let back = hub.simulator().allow(&sent.to).unwrap();
    let code = parameter(&back, "code").unwrap();
    for state in ["", "&state=", "&state=wrong", "&state=%00%ff"] {
        let page = hub.browse("GET", &format!("/link/return?code={code}{state}"));
        assert_eq!(page.status, 400, "{state}: {}", page.text);
        assert!(
            page.text.contains("coming back from Amazon") || page.kind.contains("problem"),
            "{}",
            page.text
        );
    }
    assert_eq!(hub.speaker("kitchen")["link"]["state"], "needs_login");
    let home = hub.browse("GET", &back);
    assert_eq!((home.status, home.to.as_str()), (303, "/link"), "{}", home.text);
    hub.wait_linked();
    // The same way twice.
    let page = hub.browse("GET", &back);
    assert!(page.status == 400 && page.text.contains("used already"), "{}", page.text);
    assert_eq!(hub.speaker("kitchen")["link"]["state"], "connected");
    // Its tokens are renewed with the secret, which the simulator asks for.
    let before = hub.simulator().counts("kitchen").refreshes;
    hub.simulator().inject("kitchen", &Fault::ExpireToken).unwrap();
    hub.simulator().inject("kitchen", &Fault::TcpReset).unwrap();
    eventually("it renews", PATIENCE, || hub.simulator().counts("kitchen").refreshes > before);
    hub.wait_linked();
    assert_eq!(hub.simulator().counts("kitchen").refused_refreshes, 0);
    for path in ["/link", "/api/hub", "/api/speakers/kitchen", "/metrics"] {
        let page = hub.browse("GET", path);
        assert!(page.status == 200 && !page.text.contains(SECRET), "{path}");
    }
    assert!(!sent.to.contains(SECRET) && !sent.text.contains(SECRET));
    hub.assert_no_violations();
}

#[test]
fn a_site_with_a_wrong_secret_is_told_where_and_what_to_do() {
    let hub = with_site("not-the-secret");
    let sent = hub.browse("GET", "/link/kitchen/site");
    let page = hub.browse("GET", &hub.simulator().allow(&sent.to).unwrap());
    assert_eq!(page.status, 409, "{}", page.text);
    for word in ["linking kitchen", "invalid_client", "check client_id and client_secret"] {
        assert!(page.text.contains(word), "no {word}: {}", page.text);
    }
    assert!(!page.text.contains("not-the-secret"));
    // Amazon says that the person refused: so does the page, and the state is used up.
    let sent = hub.browse("GET", "/link/kitchen/site");
    let state = parameter(&sent.to, "state").unwrap();
    let denied = format!("/link/return?error=access_denied&error_description=no%3Cb%3E&state={state}");
    let page = hub.browse("GET", &denied);
    assert!(
        page.status == 400 && page.text.contains("no&lt;b&gt;") && page.text.contains("try again"),
        "{}",
        page.text
    );
    assert!(hub.browse("GET", &denied).text.contains("used already"));
    hub.assert_no_violations();
}
