//! What becomes of an account that is linked: renewed ahead of time and kept over a kill, one a speaker, revoked, given
//! up with all that belonged to it, and taken from Alexa's list when its speaker is forgotten. Nothing of it is told.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use antiphon_simulator::{Client, Fault};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::time::Duration;
use support::alarms::{alert, in_seconds, with_assets};
use support::hub::{Hub, PATIENCE, Setup};
use support::login::{APP, CLIENT, QUICK};
use support::patience::eventually;

const SECRET: &str = "the-secret-of-the-site";

/// The newest refresh token of a device.
fn newest_token(hub: &Hub, dsn: &str) -> String {
    let mut secrets = hub.simulator().secrets();
    secrets.retain(|secret| secret.starts_with(&format!("Atzr|{dsn}|")));
    secrets.pop().unwrap_or_default()
}

#[test]
fn tokens_are_renewed_ahead_of_time_and_kept_over_a_kill() {
    let mut hub = Setup::new(&["kitchen"])
        .program()
        .with_simulator(|o| o.token_lifetime = Duration::from_secs(8))
        .start();
    let counts = |hub: &Hub| hub.simulator().counts("kitchen");
    for round in 1..3 {
        let before = counts(&hub);
        // Each refresh gives a new refresh token, and the old one is good no more.
        eventually("it renews", PATIENCE, || counts(&hub).refreshes > before.refreshes);
        // The next one is seconds away.
        eventually("the newest is on disk", PATIENCE, || hub.keeps(&newest_token(&hub, "kitchen")));
        // Nobody was ever shown an old token: the connection stayed.
        assert_eq!(counts(&hub).connects, before.connects, "round {round}");
        hub.end(Signal::KILL);
        hub.start_again();
        hub.wait_linked();
    }
    assert_eq!(counts(&hub).refused_refreshes, 0);
    hub.assert_no_violations();
}

#[test]
fn each_speaker_has_its_own_account_and_product() {
    let hub = Setup::new(&["kitchen", "sofa"])
        .speaker("sofa", "[speakers.avs]\nclient_id = \"amzn1.application-oa2-client.other\"\nproduct_id = \"other_product\"\n")
        .with(QUICK)
        .start();
    for (dsn, client, product) in [
        ("kitchen", CLIENT, "antiphon_test"),
        ("sofa", "amzn1.application-oa2-client.other", "other_product"),
    ] {
        let told = hub.event(dsn, 0, "Alexa.Discovery", "AddOrUpdateReport");
        let endpoint = &told.payload()["endpoints"][0];
        assert_eq!(endpoint["registration"], json!({ "productId": product, "deviceSerialNumber": dsn }));
        assert_eq!(endpoint["endpointId"], format!("{client}::{product}::{dsn}"));
    }
    // One is revoked: it says so and waits. The other does not notice.
    let others = hub.simulator().counts("sofa").connects;
    hub.simulator().revoke("kitchen").unwrap();
    hub.simulator().inject("kitchen", &Fault::TcpReset).unwrap();
    hub.wait_link("kitchen", "needs_login");
    let why = hub.speaker("kitchen")["link"]["why"].clone();
    assert!(why.as_str().is_some_and(|w| w.contains("revoked") && w.contains("antiphon link")), "{why}");
    let refused = hub.simulator().counts("kitchen").refused_refreshes;
    hub.say("sofa", "set volume to 3");
    hub.event("sofa", 0, "Speaker", "VolumeChanged");
    assert_eq!(hub.simulator().counts("sofa").connects, others);
    assert_eq!(hub.speaker("sofa")["link"]["state"], "connected");
    assert_eq!(hub.simulator().counts("kitchen").refused_refreshes, refused, "it waits for a person");
    // Linked to another account, each goes on.
    let code = hub.allowed(&hub.app_asks("kitchen", CLIENT));
    assert_eq!(hub.hand_in("kitchen", &code, CLIENT, APP), (204, Value::Null));
    hub.wait_linked();
    hub.assert_no_violations();
}

/// An account with something in every place: an alarm with a file of its own, an equalizer, a notification.
fn lived_in() -> Hub {
    let hub = Setup::new(&["kitchen", "sofa"]).with(QUICK).program().start();
    for (id, token) in [("kitchen", "wake-the-kitchen"), ("sofa", "wake-the-sofa")] {
        let alarm = alert("ALARM", token, in_seconds(3600.0));
        hub.set_alert(id, &with_assets(alarm, &hub, &["tone-440-1s.wav"]));
    }
    let mark = hub.simulator().mark("kitchen");
    hub.say("kitchen", "bass up 2");
    hub.event("kitchen", mark, "EqualizerController", "EqualizerChanged");
    hub.say("kitchen", "notification silent");
    hub.wait_picture("a message waits", |p| p["speakers"][0]["device"]["notification"] == true);
    eventually("all is on disk", PATIENCE, || hub.keeps("wake-the-kitchen"));
    eventually("the file is fetched", PATIENCE, || fetched(&hub) >= 2);
    hub
}

/// Files that were fetched, of all speakers.
fn fetched(hub: &Hub) -> usize {
    fn count(folder: &std::path::Path) -> usize {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|e| if e.path().is_dir() { count(&e.path()) } else { 1 }).sum()
    }
    count(&hub.folder().join("state/assets"))
}

/// Nothing of the kitchen's account is left; of the sofa's, all.
fn erased(hub: &Hub, token: &str) {
    hub.wait_link("kitchen", "needs_login");
    assert!(!token.is_empty() && !hub.keeps(token), "its refresh token is on disk");
    assert!(!hub.keeps("wake-the-kitchen"), "its alarm is on disk");
    assert!(hub.keeps("wake-the-sofa"));
    assert_eq!(fetched(hub), 1, "files of its alarms");
    let (status, alerts) = hub.ask("GET", "/api/speakers/kitchen/alerts", None);
    assert_eq!((status, &alerts["alerts"]), (200, &json!([])), "{alerts}");
    let (_, alerts) = hub.ask("GET", "/api/speakers/sofa/alerts", None);
    assert_eq!(alerts["alerts"].as_array().map(Vec::len), Some(1), "{alerts}");
    hub.wait(hub.simulator().wait_until("kitchen", |d| d.connections == 0, PATIENCE)).unwrap();
    assert_eq!(hub.speaker("sofa")["link"]["state"], "connected");
}

/// Another account: Alexa is told of a device that has nothing, and what it can do.
fn begins_anew(hub: &Hub) {
    let declared = hub.simulator().counts("kitchen").declarations;
    let mark = hub.simulator().mark("kitchen");
    let code = hub.allowed(&hub.app_asks("kitchen", CLIENT));
    assert_eq!(hub.hand_in("kitchen", &code, CLIENT, APP), (204, Value::Null));
    let told = hub.event("kitchen", mark, "System", "SynchronizeState");
    assert_eq!(
        told.context("Alerts", "AlertsState").unwrap(),
        &json!({ "allAlerts": [], "activeAlerts": [] })
    );
    let light = told.context("Notifications", "IndicatorState").unwrap();
    assert_eq!((&light["isEnabled"], &light["isVisualIndicatorPersisted"]), (&json!(false), &json!(false)));
    hub.wait_linked();
    assert_eq!(hub.simulator().counts("kitchen").declarations, declared + 1);
    hub.assert_no_violations();
}

#[test]
fn logging_out_erases_all_of_the_account() {
    let mut hub = lived_in();
    let token = newest_token(&hub, "kitchen");
    assert!(hub.keeps(&token));
    // All is erased when it is answered.
    assert_eq!(hub.ask("DELETE", "/api/speakers/kitchen/link", None).0, 204);
    erased(&hub, &token);
    hub.wait_why("kitchen", "logged out");
    // The token of the configuration is not used behind people's backs, after a restart neither.
    let before = hub.simulator().counts("kitchen");
    hub.end(Signal::KILL);
    hub.start_again();
    hub.wait_link("kitchen", "needs_login");
    hub.wait_link("sofa", "connected");
    let counts = hub.simulator().counts("kitchen");
    assert_eq!((counts.refreshes, counts.refused_refreshes), (before.refreshes, 0));
    begins_anew(&hub);
}

#[test]
fn what_amazon_revokes_is_erased() {
    let hub = lived_in();
    let token = newest_token(&hub, "kitchen");
    hub.simulator().revoke("kitchen").unwrap();
    hub.simulator().inject("kitchen", &Fault::TcpReset).unwrap();
    hub.wait_why("kitchen", "revoked");
    gone(&hub, &token);
    erased(&hub, &token);
    begins_anew(&hub);
}

/// Waits until what nobody waited for is erased.
fn gone(hub: &Hub, token: &str) {
    eventually("all is erased", PATIENCE, || !hub.keeps(token) && !hub.keeps("wake-the-kitchen"));
    eventually("its files too", PATIENCE, || fetched(hub) == 1);
}

#[test]
fn alexa_may_take_the_account_away() {
    let hub = lived_in();
    let token = newest_token(&hub, "kitchen");
    hub.send("kitchen", "System", "RevokeAuthorization", json!({}));
    hub.wait_link("kitchen", "needs_login");
    gone(&hub, &token);
    erased(&hub, &token);
    begins_anew(&hub);
}

#[test]
fn a_speaker_that_is_forgotten_leaves_alexas_list() {
    let hub = lived_in();
    let token = newest_token(&hub, "kitchen");
    let mark = hub.simulator().mark("kitchen");
    assert_eq!(hub.ask("DELETE", "/api/speakers/kitchen", None).0, 204);
    let told = hub.event("kitchen", mark, "Alexa.Discovery", "DeleteReport");
    let endpoint = format!("{CLIENT}::antiphon_test::kitchen");
    assert_eq!(told.payload()["endpoints"], json!([{ "endpointId": endpoint }]));
    assert!(!hub.keeps(&token) && !hub.keeps("wake-the-kitchen"));
    assert_eq!(hub.ask("GET", "/api/speakers/kitchen", None).0, 404);
    assert_eq!(hub.speaker("sofa")["link"]["state"], "connected");
    hub.assert_no_violations();
}

#[test]
fn no_secret_is_told() {
    let own = Client { id: CLIENT.into(), secret: Some(SECRET.into()), redirects: Vec::new() };
    let mut hub = Setup::new(&["kitchen", "sofa", "shelf", "attic"])
        .speaker("kitchen", "# unlinked\n")
        .speaker("sofa", "# unlinked\n")
        .speaker("shelf", "# unlinked\n")
        .with(&format!("# log: debug\nprofile = true\nclient_secret = {SECRET:?}\n{QUICK}"))
        .with_simulator(|o| {
            o.clients = vec![own];
            o.code_interval = Duration::from_secs(1);
        })
        .program()
        .start_unlinked()
        .here(&["kitchen", "sofa", "shelf", "attic"]);
    // Each way once, and what goes wrong on the way.
    let site = hub.browse("GET", "/link/kitchen/site");
    assert_eq!(hub.browse("GET", &hub.simulator().allow(&site.to).unwrap()).status, 303);
    let local = hub.browse("GET", "/link/sofa/local");
    let back = hub.simulator().allow(&local.to).unwrap();
    hub.simulator().inject_all(&Fault::Lwa("garbage".into(), 1));
    assert_eq!(hub.browse("GET", &back).status, 303);
    let code = hub.allowed(&hub.app_asks("shelf", CLIENT));
    assert_eq!(hub.hand_in("shelf", &code, CLIENT, "https://elsewhere.example/").0, 409);
    hub.api("POST", "/api/speakers/shelf/link", json!({}));
    hub.simulator().approve(&hub.shown_code("shelf")).unwrap();
    hub.wait_linked();
    hub.simulator().inject("attic", &Fault::ExpireToken).unwrap();
    hub.simulator().inject("attic", &Fault::TcpReset).unwrap();
    eventually("it renews", PATIENCE, || hub.simulator().counts("attic").refreshes >= 2);
    hub.wait_linked();
    hub.simulator().revoke("sofa").unwrap();
    hub.simulator().inject("sofa", &Fault::TcpReset).unwrap();
    hub.wait_link("sofa", "needs_login");
    let mut told: Vec<(&str, String)> =
        ["/metrics", "/api/hub", "/api/speakers/kitchen", "/link", "/healthz"]
            .iter()
            .map(|path| (*path, hub.browse("GET", path).text))
            .collect();
    let mut check = std::process::Command::new(env!("CARGO_BIN_EXE_antiphon"));
    let check = check.args(["check", "--config"]).arg(hub.config()).output().unwrap();
    assert!(check.status.success());
    told.push((
        "antiphon check",
        String::from_utf8_lossy(&[check.stdout, check.stderr].concat()).into_owned(),
    ));
    assert!(hub.end(Signal::TERM).unwrap().success());
    let log = std::fs::read_to_string(hub.config().with_extension("log")).unwrap();
    assert!(log.contains("DEBUG"), "it was to tell everything: {log}");
    told.push(("the log", log));
    let secrets = hub.simulator().secrets();
    // Per way: two refresh tokens and two access tokens at least, a code and mostly a verifier.
    assert!(secrets.len() > 18 && secrets.iter().any(|s| s == SECRET), "{secrets:?}");
    for (place, text) in &told {
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{place} tells {secret}");
        }
    }
    hub.assert_no_violations();
}
