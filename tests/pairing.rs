//! Receivers that want something of a person before they play, through the API and the command line.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use antiphon_domain::SpeakerId;
use antiphon_endpoint::{Answer, Ask, Wants};
use serde_json::json;
use support::hub::{Hub, Setup};
use support::puppet::Puppet;

fn ask(id: &str, name: &str, wants: Wants) -> Ask {
    Ask { speaker: SpeakerId::new(id), name: name.into(), wants }
}

fn say(hub: &Hub, arguments: &[&str]) -> (bool, String) {
    let output = hub.antiphon(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn who_asks_is_shown_and_answered() {
    let puppet = Puppet::new();
    let hub = Setup::new(&["kitchen"]).with_kind(puppet.clone()).start();
    assert_eq!(hub.ask("GET", "/api/pairing", None), (200, json!([])));
    assert_eq!(say(&hub, &["pair"]), (true, "No receiver asks for anything.\n".into()));
    puppet.state().asks = vec![
        ask("p:1", "Radio", Wants::Code),
        ask("p:2", "Old box", Wants::Approval),
        ask("p:3", "Shelf", Wants::Nothing),
        ask("p:4", "Twin", Wants::Approval),
        ask("p:5", "Twin", Wants::Approval),
        ask("p:6", "Porch", Wants::Refused),
    ];
    let (_, asks) = hub.ask("GET", "/api/pairing", None);
    assert_eq!(asks[0], json!({ "speaker": "p:1", "name": "Radio", "kind": "puppet", "wants": "code" }));
    let (_, shown) = say(&hub, &["pair"]);
    assert!(shown.starts_with("Radio (p:1, puppet): wants the code it shows"), "{shown}");
    assert!(shown.contains("Porch (p:6, puppet): was refused"), "{shown}");
    assert!(!say(&hub, &["pair", "Porch"]).0, "a refusal is not taken back unasked");
    // A wrong code may be tried again; what it was is told nobody.
    let (fine, said) = say(&hub, &["pair", "Radio", "9876"]);
    assert!(!fine && said.contains("that is not it") && !said.contains("9876"), "{said}");
    assert!(!say(&hub, &["pair", "Radio"]).0, "a code must be given");
    assert!(say(&hub, &["pair", "radio", "1234"]).0);
    assert!(say(&hub, &["pair", "Old box"]).0, "nothing but approval can be meant");
    assert!(say(&hub, &["pair", "p:3", "unpair"]).0);
    // Two of one name are told apart by id.
    let (fine, said) = say(&hub, &["pair", "Twin", "refuse"]);
    assert!(!fine && said.contains("p:4") && said.contains("p:5"), "{said}");
    assert!(say(&hub, &["pair", "p:5", "refuse"]).0);
    assert!(say(&hub, &["pair", "Porch", "approve"]).0);
    let answers = puppet.state().answers.clone();
    let words: Vec<(&str, &Answer)> =
        answers.iter().skip(1).map(|(id, answer)| (id.as_str(), answer)).collect();
    assert!(matches!(words[0], ("p:1", Answer::Code(code)) if code.expose() == "1234"));
    let said = [
        ("p:2", &Answer::Approve),
        ("p:3", &Answer::Unpair),
        ("p:5", &Answer::Refuse),
        ("p:6", &Answer::Approve),
    ];
    assert_eq!(words[1..], said);
}

#[test]
fn what_makes_no_sense_is_said_to_make_none() {
    let puppet = Puppet::new();
    let hub = Setup::new(&["kitchen"]).with_kind(puppet.clone()).start();
    puppet.state().asks = vec![ask("p:1", "Radio", Wants::Code)];
    let long = "1".repeat(2_000);
    for (body, says) in [
        (json!({ "answer": "maybe" }), "expected approve, refuse, code or unpair"),
        (json!({ "answer": "code" }), "expected the code as it was read"),
        (json!({ "answer": "code", "code": "" }), "expected the code as it was read"),
        (json!({ "answer": "code", "code": long }), "expected the code as it was read"),
        (json!({ "answer": "approve", "code": "1" }), "with the answer \"code\" alone"),
    ] {
        let (status, problem) = hub.ask("POST", "/api/pairing/p:1", Some(body));
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(status == 400 && detail.contains(says), "{status} {problem}");
    }
    let (status, problem) = hub.ask("POST", "/api/pairing/nobody", Some(json!({ "answer": "approve" })));
    assert!(status == 404 && problem["detail"].as_str().unwrap().contains("Radio (p:1)"), "{problem}");
    assert!(puppet.state().answers.is_empty());
}
