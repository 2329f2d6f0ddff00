//! What bad input gets: wrong directives, wrong settings, wrong requests, and a house without account, network or
//! receivers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use antiphon_simulator::Outgoing;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use support::hub::{Hub, PATIENCE, Setup, play};
use support::patience::wait_for;

fn unexpected(hub: &Hub, namespace: &str, name: &str, payload: Value) {
    refused(hub, Outgoing::new(namespace, name, payload), "UNEXPECTED_INFORMATION_RECEIVED");
}

/// Sends a directive and waits for the ExceptionEncountered that carries it back.
fn refused(hub: &Hub, wrong: Outgoing, kind: &str) {
    let title = format!("{} {}", wrong.title(), wrong.message["directive"]["payload"]);
    let id = wrong.message["directive"]["header"]["messageId"].clone();
    let mark = hub.simulator().mark("kitchen");
    hub.wait(hub.simulator().send("kitchen", wrong)).unwrap();
    let told = hub.event("kitchen", mark, "System", "ExceptionEncountered");
    let payload = told.payload();
    assert_eq!(payload["error"]["type"], kind, "{title}: {payload:#}");
    assert!(payload["error"]["message"].as_str().is_some_and(|m| !m.is_empty()), "{title}: {payload:#}");
    let raw = payload["unparsedDirective"].as_str().unwrap();
    assert!(raw.contains(id.as_str().unwrap()), "{title}: {raw}");
}

#[test]
fn a_wrong_directive_is_refused_and_changes_nothing() {
    let hub = Setup::new(&["kitchen"]).start();
    hub.say("kitchen", "set volume to 3");
    hub.event("kitchen", 0, "Speaker", "VolumeChanged");
    let before = hub.speaker("kitchen");
    let mark = hub.simulator().mark("kitchen");
    for name in ["SetVolume", "AdjustVolume"] {
        for wrong in [
            json!(101),
            json!(-101),
            json!("5"),
            json!("loud"),
            json!(null),
            json!(5.5),
            json!([5]),
            json!(1e300),
        ] {
            unexpected(&hub, "Speaker", name, json!({ "volume": wrong }));
        }
        unexpected(&hub, "Speaker", name, json!({}));
        unexpected(&hub, "Speaker", name, json!({ "volumes": 5 }));
    }
    unexpected(&hub, "Speaker", "SetVolume", json!({ "volume": -1 }));
    for wrong in [json!({}), json!({ "mute": "true" }), json!({ "mute": 1 }), json!({ "muted": true })] {
        unexpected(&hub, "Speaker", "SetMute", wrong);
    }
    let url = hub.simulator().track("tone-440-1s.wav");
    unexpected(&hub, "AudioPlayer", "Play", json!({}));
    let mut wrong = play("REPLACE_ALL", &url, "t", None);
    wrong["audioItem"]["stream"].as_object_mut().unwrap().remove("url");
    unexpected(&hub, "AudioPlayer", "Play", wrong);
    let mut wrong = play("REPLACE_ALL", &url, "t", None);
    wrong["audioItem"]["stream"]["offsetInMilliseconds"] = json!(800);
    wrong["audioItem"]["stream"]["endOffsetInMilliseconds"] = json!(500);
    unexpected(&hub, "AudioPlayer", "Play", wrong);
    refused(&hub, Outgoing::new("Speaker", "SetLoudness", json!({})), "UNSUPPORTED_OPERATION");
    refused(&hub, Outgoing::new("Oven", "SetVolume", json!({ "volume": 5 })), "UNSUPPORTED_OPERATION");
    // Nothing was heard of it but the refusals.
    let after = hub.speaker("kitchen");
    assert_eq!(
        (&after["volume"], &after["muted"], &after["playing"]),
        (&before["volume"], &before["muted"], &json!(false))
    );
    assert_eq!(hub.events("kitchen", mark, "Speaker"), Vec::<String>::new());
    assert_eq!(hub.events("kitchen", mark, "AudioPlayer"), Vec::<String>::new());
    // What is unknown beside what is right is ignored.
    let mark = hub.simulator().mark("kitchen");
    hub.send("kitchen", "Speaker", "SetVolume", json!({ "volume": 44, "colour": "red" }));
    hub.event("kitchen", mark, "Speaker", "VolumeChanged");
    assert_eq!(hub.volume("kitchen"), Some(44));
    hub.assert_no_violations();
}

#[test]
fn a_play_that_comes_twice_is_played_once() {
    let hub = Setup::new(&["kitchen"]).start();
    let url = hub.simulator().track("tone-440-1s.wav");
    let twice = Outgoing::new("AudioPlayer", "Play", play("REPLACE_ALL", &url, "t", None));
    let mark = hub.simulator().mark("kitchen");
    hub.wait(hub.simulator().send("kitchen", twice.clone())).unwrap();
    hub.wait(hub.simulator().send("kitchen", twice)).unwrap();
    hub.event("kitchen", mark, "System", "ExceptionEncountered");
    hub.event("kitchen", mark, "AudioPlayer", "PlaybackFinished");
    let started =
        hub.events("kitchen", mark, "AudioPlayer").into_iter().filter(|n| n == "PlaybackStarted").count();
    assert_eq!(started, 1);
    hub.assert_no_violations();
}

fn antiphon(arguments: &[&str], config: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_antiphon"));
    command.args(arguments).arg("--config").arg(config).output().expect("the program runs")
}

#[test]
fn wrong_settings_are_told_with_file_line_key_and_what_was_expected() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("antiphon.toml");
    let avs = "[avs]\nclient_id = \"c\"\nproduct_id = \"p\"\n";
    let rows = [
        ("[http]\nlisten = \"nowhere\"\n".into(), 2, "listen", "socket address"),
        ("data_dir = 5\n".into(), 1, "data_dir", "string"),
        ("[discovery]\ninterfaces = \"eth0\"\n".into(), 2, "interfaces", "sequence"),
        ("\n[http]\nport = 80\n".into(), 3, "port", "`listen`"),
        (format!("{avs}region = \"mars\"\n"), 4, "region", "na"),
        (format!("{avs}gateway = \"example.org\"\n"), 4, "gateway", "https://"),
        ("[[speakers]]\nid = \"k\"\nceiling = 101\n".into(), 3, "ceiling", "0 to 100"),
        ("[[speakers]]\nid = \"k\"\n[[speakers]]\nid = \"k\"\n".into(), 4, "id", "no other speaker"),
        ("[[speakers]]\nid = \"k\"\nendpoint = \"blutooth:x\"\n".into(), 3, "endpoint", "virtual:"),
        ("[http]\nlisten = \"0.0.0.0:8780\"\n".into(), 2, "listen", "loopback"),
        (
            "[[speakers]]\nid = \"k\"\nserial_number = \"a-b\"\n".into(),
            3,
            "serial_number",
            "letters and digits",
        ),
        ("[[speakers]]\nname = \"K\"\n".into(), 1, "[[speakers]]", "id"),
        ("[[groups]]\nid = \"g\"\nspeakers = []\n".into(), 2, "id", "at least one"),
        ("[voice]\nscope = \"house\"\n".into(), 2, "scope", "group"),
        ("[http\n".into(), 1, "", "]"),
    ];
    for (text, line, key, expected) in rows {
        std::fs::write(&file, &text).unwrap();
        for command in ["check", "run"] {
            let output = antiphon(&[command], &file);
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{command} {text:?}: {said}");
            let place = format!("{}:{line}: {key}", file.display());
            assert!(said.contains(&place) && said.contains(expected), "{command} {text:?}: {said}");
            assert!(!said.contains("panicked"), "{said}");
        }
    }
    let said = antiphon(&["check"], &folder.path().join("none.toml"));
    assert!(
        !said.status.success() && String::from_utf8_lossy(&said.stderr).contains("none.toml"),
        "{said:?}"
    );
    // One that is right, and nothing in it.
    std::fs::write(&file, "").unwrap();
    let said = antiphon(&["check"], &file);
    assert!(
        said.status.success() && String::from_utf8_lossy(&said.stdout).contains("missing client_id"),
        "{said:?}"
    );
}

fn start(text: &str) -> (tempfile::TempDir, antiphon::Running) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("antiphon.toml");
    let text = format!("[http]\nlisten = \"127.0.0.1:0\"\n[discovery]\ninterfaces = []\n{text}");
    std::fs::write(&file, text).unwrap();
    let config = antiphon::config::Config::load(&file).unwrap();
    (folder, antiphon::start(&config).unwrap())
}

/// What `antiphon ARGUMENTS` says to a hub.
fn ask(hub: &antiphon::Running, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_antiphon"));
    let output = command.arg("--hub").arg(format!("http://{}", hub.http)).args(arguments).output().unwrap();
    let both = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&both).into_owned())
}

fn eventually_says(hub: &antiphon::Running, arguments: &[&str], expected: &[&str]) {
    let mut last = String::new();
    let found = wait_for(PATIENCE, || {
        last = ask(hub, arguments).1;
        expected.iter().all(|e| last.contains(e)).then_some(())
    });
    assert!(found.is_some(), "no {expected:?} in {last}");
}

#[test]
fn without_receivers_account_or_network_it_starts_and_says_what_is_missing() {
    let (_folder, hub) = start("");
    eventually_says(&hub, &["speakers"], &["No speaker yet"]);
    let (done, said) = ask(&hub, &["volume", "kitchen", "5"]);
    assert!(!done && said.contains("there is no speaker \"kitchen\""), "{said}");
    hub.close();
    // Without an account everything but voice works.
    let speaker = "[[speakers]]\nid = \"kitchen\"\nendpoint = \"virtual:\"\n";
    let (_folder, hub) = start(speaker);
    eventually_says(&hub, &["--json", "speakers"], &["\"off\"", "client_id and product_id under [avs]"]);
    let (done, said) = ask(&hub, &["volume", "kitchen", "35"]);
    assert!(done, "{said}");
    let (done, said) = ask(&hub, &["link", "kitchen"]);
    assert!(!done && said.contains("client_id and product_id"), "{said}");
    hub.close();
    // With one, and nobody there to talk to.
    let nobody = "\"https://127.0.0.1:9\"";
    let avs = format!(
        "[avs]\nclient_id = \"c\"\nproduct_id = \"p\"\ngateway = {nobody}\nlwa = {nobody}\ncapabilities = {nobody}\n"
    );
    let (_folder, hub) = start(&format!("{avs}{speaker}"));
    eventually_says(&hub, &["--json", "speakers"], &["needs_login", "antiphon link"]);
    hub.close();
    let (_folder, hub) = start(&format!("{avs}{speaker}refresh_token = \"t\"\n"));
    eventually_says(&hub, &["--json", "speakers"], &["waiting", "cannot be reached"]);
    hub.close();
    // A speaker whose place is wrong says why.
    let (_folder, hub) =
        start("[[speakers]]\nid = \"kitchen\"\nendpoint = \"virtual:/nowhere/at/all.wav\"\n");
    // Somebody who listens and never answers: there is something to hear for a while.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (done, said) =
        ask(&hub, &["play", "kitchen", &format!("http://{}/a.mp3", mute.local_addr().unwrap())]);
    assert!(done, "{said}");
    eventually_says(&hub, &["--json", "speakers"], &["/nowhere/at/all.wav"]);
    hub.close();
}

#[test]
fn wrong_requests_are_answered_with_problem_details() {
    let hub = Setup::new(&["kitchen", "sofa"]).grouped().start();
    let rows: &[(&str, &str, Option<Value>, u16, &str)] = &[
        ("GET", "/api/speakers/attic", None, 404, "known: kitchen, sofa"),
        ("GET", "/api/nothing", None, 404, "/api/nothing"),
        ("GET", "/nothing", None, 404, "/nothing"),
        ("POST", "/api/speakers/attic/volume", Some(json!({ "volume": 5 })), 404, "attic"),
        ("POST", "/api/speakers/kitchen/volume", Some(json!({ "volume": 101 })), 400, "0 to 100"),
        ("POST", "/api/speakers/kitchen/volume", Some(json!({ "volume": "5" })), 400, "invalid type: string"),
        ("POST", "/api/speakers/kitchen/volume", Some(json!({})), 400, "volume"),
        ("POST", "/api/speakers/kitchen/volume", Some(json!({ "volume": 5, "step": 5 })), 400, "either"),
        ("POST", "/api/speakers/kitchen/volume", Some(json!({ "loudness": 5 })), 400, "loudness"),
        ("POST", "/api/groups/all/volume", Some(json!({ "volume": 5, "scope": "speaker" })), 400, "scope"),
        ("POST", "/api/groups/none/volume", Some(json!({ "volume": 5 })), 404, "known: all"),
        ("POST", "/api/speakers/kitchen/mute", Some(json!({ "muted": "yes" })), 400, "boolean"),
        ("POST", "/api/speakers/kitchen/play", Some(json!({ "url": "file:///etc/passwd" })), 400, "http://"),
        ("POST", "/api/speakers/kitchen/play", None, 400, "body"),
        ("PUT", "/api/groups/all", Some(json!({ "speakers": [] })), 400, "at least one"),
        ("PUT", "/api/groups/all", Some(json!({ "speakers": ["attic"] })), 404, "attic"),
        ("PUT", "/api/groups/solo:kitchen", Some(json!({ "speakers": ["sofa"] })), 409, "taken"),
        ("DELETE", "/api/groups/none", None, 404, "none"),
        ("DELETE", "/api/speakers/attic", None, 404, "attic"),
        ("PUT", "/api/hub", None, 404, "PUT"),
    ];
    let before = hub.picture();
    for (method, path, body, status, detail) in rows {
        let (found, problem) = hub.ask(method, path, body.clone());
        assert_eq!(found, *status, "{method} {path}: {problem}");
        let said = problem["detail"].as_str().unwrap_or("");
        assert!(said.contains(detail), "{method} {path} {body:?}: {problem}");
        assert_eq!(problem["status"], *status, "{problem}");
        assert!(problem["type"].is_string() && problem["title"].is_string(), "{problem}");
    }
    assert_eq!(hub.picture(), before);
    hub.assert_no_violations();
}

#[test]
fn a_speaker_is_linked_by_a_code() {
    let hub = Setup::new(&["kitchen"])
        .speaker("kitchen", "# unlinked")
        .with("[avs.timers]\npoll_least_s = 0.2")
        .with_simulator(|o| o.code_interval = std::time::Duration::from_secs(1))
        .start_unlinked();
    let shown = hub.wait_picture("it needs a login", |p| p["speakers"][0]["link"]["state"] == "needs_login");
    assert!(shown["speakers"][0]["link"]["why"].as_str().unwrap().contains("antiphon link"));
    let mut program = hub.antiphon(&["link", "kitchen"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(program.stdout.take().unwrap()).lines();
    let line = said.next().unwrap().unwrap();
    let (code, dsn) = hub.simulator().pending_codes().pop().expect("a code waits");
    assert!(line.contains(&code) && line.contains("https://") && dsn == "kitchen", "{line}");
    // Pending: nothing happens by itself.
    assert!(program.try_wait().unwrap().is_none());
    assert_eq!(hub.speaker("kitchen")["link"]["login"]["user_code"], json!(code));
    hub.simulator().approve(&code).unwrap();
    assert!(said.next().unwrap().unwrap().contains("is linked"));
    assert!(program.wait().unwrap().success());
    hub.wait_linked();
    hub.say("kitchen", "set volume to 3");
    hub.event("kitchen", 0, "Speaker", "VolumeChanged");
    hub.assert_no_violations();
}
