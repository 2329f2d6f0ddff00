//! What wrong requests get at the routes of a speaker's Alexa device and of its account: problem details (RFC 9457)
//! with a status of theirs, never of ours; and the hub stays as it was.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use support::hub::{Hub, PATIENCE, Setup};
use support::patience::eventually;

/// Every route below a speaker, with a body that is right where it takes one.
fn routes() -> Vec<(&'static str, &'static str, Option<Value>)> {
    vec![
        ("GET", "alerts", None),
        ("POST", "alerts/stop", None),
        ("PUT", "alerts/volume", Some(json!({ "volume": 50 }))),
        ("PUT", "alerts/ramp", Some(json!({ "on": true }))),
        ("POST", "buttons/play", None),
        ("PUT", "toggles/shuffle", Some(json!({ "on": true }))),
        ("PUT", "equalizer", Some(json!({ "bands": { "bass": 2 } }))),
        ("PUT", "input", Some(json!({ "input": "LINE 1" }))),
        ("PUT", "locale", Some(json!({ "locales": ["en-US"] }))),
        ("PUT", "time-zone", Some(json!({ "time_zone": "Europe/Berlin" }))),
        ("PUT", "offset", Some(json!({ "offset_ms": 5 }))),
        ("PUT", "low-latency", Some(json!({ "on": true }))),
        ("PUT", "tones", Some(json!({ "wake_word": true }))),
        ("DELETE", "card", None),
        ("POST", "link", None),
        ("DELETE", "link", None),
        ("POST", "link/app", None),
        (
            "POST",
            "link/code",
            Some(json!({ "code": "c", "client_id": "i", "redirect_uri": "https://a.example/" })),
        ),
        ("POST", "listen", None),
    ]
}

fn house() -> Hub {
    Setup::new(&["kitchen"])
        .with("[[inputs]]\nname = \"LINE 1\"\nurl = \"http://127.0.0.1:9/a.mp3\"\n")
        .start()
}

/// Sends bytes as they are; the status and what was answered.
fn raw(hub: &Hub, bytes: &[u8]) -> (u16, String) {
    let address = hub.http().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // The hub may answer and close before it has all.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    status_of(&answer)
}

fn status_of(answer: &[u8]) -> (u16, String) {
    let text = String::from_utf8_lossy(answer).into_owned();
    let status = text.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    (status, text)
}

fn request(method: &str, path: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A refusal as it must be: the asker's fault, and as problem details that say what.
fn refused(what: &str, (status, text): (u16, String)) {
    assert!((400..500).contains(&status), "{what}: {status}: {text}");
    assert!(text.to_lowercase().contains("content-type: application/problem+json"), "{what}: {text}");
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    let problem: Value = serde_json::from_str(body).unwrap_or_else(|e| panic!("{what}: {e}: {text}"));
    assert_eq!(problem["status"], status, "{what}: {problem}");
    assert!(problem["type"].is_string() && problem["title"].is_string(), "{what}: {problem}");
    assert!(problem["detail"].as_str().is_some_and(|d| d.len() > 8), "{what}: {problem}");
}

/// Does something, after which the hub must be as before.
fn untouched(hub: &Hub, work: impl FnOnce()) {
    let before = hub.picture();
    let mark = hub.simulator().mark("kitchen");
    work();
    assert_eq!(hub.picture(), before);
    let told: Vec<String> = hub
        .simulator()
        .transcript("kitchen")
        .iter()
        .filter(|e| e.index >= mark)
        .map(|e| e.name.clone())
        .collect();
    assert!(told.is_empty(), "Alexa was told {told:?}");
    hub.assert_no_violations();
}

#[test]
fn methods_that_are_not_there() {
    let hub = house();
    untouched(&hub, || {
        for (_, path, _) in routes() {
            let right: Vec<&str> = routes().iter().filter(|(_, p, _)| *p == path).map(|(m, ..)| *m).collect();
            for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"] {
                if right.contains(&method) {
                    continue;
                }
                let place = format!("/api/speakers/kitchen/{path}");
                refused(
                    &format!("{method} {path}"),
                    raw(&hub, &request(method, &place, "application/json", b"{}")),
                );
            }
        }
        for (method, path) in [
            ("GET", "/link/kitchen/code"),
            ("POST", "/link"),
            ("POST", "/link/kitchen/local"),
            ("GET", "/link/kitchen/logout"),
            ("PUT", "/link/return"),
        ] {
            refused(path, raw(&hub, &request(method, path, "application/json", b"{}")));
        }
    });
}

#[test]
fn bodies_that_make_no_sense() {
    let hub = house();
    let huge = format!("{{\"on\": {}}}", "[".repeat(1 << 20));
    let long = json!({ "volume": "9".repeat(40_000), "input": "x".repeat(40_000) }).to_string();
    let bodies: Vec<&[u8]> = vec![
        b"",
        b"null",
        b"[]",
        b"5",
        b"\"x\"",
        b"{}",
        b"{\"on\":",
        b"{\"unknown\": 1}",
        b"\xff\xfe",
        b"{\"on\": 1e999}",
        b"{\"volume\": 101}",
        b"{\"volume\": -1}",
        b"{\"volume\": 5.5}",
        b"{\"on\": \"true\"}",
        b"{\"bands\": {\"bass\": 7}}",
        b"{\"bands\": {\"loud\": 1}}",
        b"{\"mode\": \"disco\"}",
        b"{\"input\": \"\"}",
        b"{\"input\": \"LINE 9\"}",
        b"{\"locales\": []}",
        b"{\"locales\": [\"xx-XX\"]}",
        b"{\"locales\": \"en-US\"}",
        b"{\"time_zone\": \"../../etc/passwd\"}",
        b"{\"time_zone\": \"\"}",
        b"{\"offset_ms\": 1001}",
        b"{\"offset_ms\": 1.5}",
        b"{\"offset_ms\": \"5\"}",
        b"{\"wake_word\": 1}",
        b"{\"code\": \"\", \"client_id\": \"\", \"redirect_uri\": \"\"}",
        b"{\"code\": \"c\", \"client_id\": \"i\", \"redirect_uri\": \"javascript:1\"}",
        b"{\"code\": \"c\", \"client_id\": \"i\", \"redirect_uri\": \"https://a\", \"state\": \"x\"}",
        huge.as_bytes(),
        long.as_bytes(),
    ];
    untouched(&hub, || {
        for (method, path, body) in routes() {
            let Some(right) = body else { continue };
            let place = format!("/api/speakers/kitchen/{path}");
            for body in &bodies {
                let what =
                    format!("{method} {path} {}", String::from_utf8_lossy(&body[..body.len().min(60)]));
                // What is right for this route is not wrong.
                let tree: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
                let keys = |v: &Value| v.as_object().map(|o| o.keys().cloned().collect::<Vec<_>>());
                let fits = keys(&tree).is_some() && keys(&tree) == keys(&right) && path == "link/code";
                let answer = raw(&hub, &request(method, &place, "application/json", body));
                refused(&what, answer.clone());
                assert!([400, 404, 413].contains(&answer.0) || fits, "{what}: {}", answer.0);
            }
            // Right, but not as JSON.
            let right = right.to_string();
            for kind in ["text/plain", "application/x-www-form-urlencoded", ""] {
                refused(
                    &format!("{path} as {kind:?}"),
                    raw(&hub, &request(method, &place, kind, right.as_bytes())),
                );
            }
        }
    });
}

#[test]
fn speakers_that_are_not_there_and_paths_that_trick() {
    let hub = house();
    let far = "x".repeat(8_000);
    let names = [
        "attic",
        "%D0%BA%D1%83%D1%85%D0%BD%D1%8F",
        "%F0%9F%94%8A",
        "%00",
        "%ff%fe",
        "..%2F..%2Fetc%2Fpasswd",
        "kitchen%00",
        "kitchen%2Falerts",
        "%2e%2e",
        "kitchen;a=b",
        "*",
        "%25",
        "%",
        "%zz",
        "%3Cscript%3E",
        far.as_str(),
    ];
    untouched(&hub, || {
        for name in names {
            for (method, path, body) in routes() {
                let body = body.unwrap_or(Value::Null).to_string();
                let kind = if path == "listen" { "audio/l16" } else { "application/json" };
                let place = format!("/api/speakers/{name}/{path}");
                refused(&place, raw(&hub, &request(method, &place, kind, body.as_bytes())));
            }
            for (method, path) in [("GET", "local"), ("GET", "site"), ("POST", "code"), ("POST", "logout")] {
                let place = format!("/link/{name}/{path}");
                let (status, text) = raw(&hub, &request(method, &place, "text/plain", b""));
                assert!((400..500).contains(&status), "{place}: {text}");
                assert!(!text.contains("<script>"), "{place}: {text}");
            }
        }
        for path in [
            "/api/speakers/kitchen/buttons/explode",
            "/api/speakers/kitchen/buttons/%00",
            "/api/speakers/kitchen/buttons/",
            "/api/speakers//alerts/stop",
            "/api/speakers/kitchen/alerts/../stop",
            "/api/speakers/kitchen/alerts/stop/",
            "/api/../api/speakers/kitchen/alerts/stop",
            "//api/speakers/kitchen/alerts/stop",
            "/link/../../etc/passwd",
            "/link/style.css/../../x",
            "/api/speakers/kitchen/toggles/mute",
        ] {
            for method in ["POST", "PUT"] {
                refused(path, raw(&hub, &request(method, path, "application/json", b"{\"on\": true}")));
            }
        }
        // Not even a request.
        for bytes in [
            &b"\x16\x03\x01\x02\x00\x01\x00\x01"[..],
            b"GET\r\n\r\n",
            b"GET /link HTTP/9.9\r\n\r\n",
            b"\r\n\r\n\r\n\0\0",
        ] {
            let (status, text) = raw(&hub, &[bytes, b"\r\n\r\n"].concat());
            assert!((400..500).contains(&status) || text.is_empty(), "{status}: {text}");
        }
    });
}

#[test]
fn speech_that_is_none() {
    let hub = house();
    let place = |query: &str| format!("/api/speakers/kitchen/listen{query}");
    let pcm = vec![0_u8; 3_200];
    untouched(&hub, || {
        for query in [
            "?initiator=shout",
            "?profile=nowhere",
            "?format=mp3",
            "?initiator=wakeword&wake_word=",
            "?initiator=wakeword&wake_word=%3Cb%3E",
            "?initiator=wakeword&start=5",
            "?initiator=wakeword&start=5&end=5",
            "?initiator=wakeword&start=-1&end=5",
            "?initiator=wakeword&start=99999999999999999999&end=5",
            "?voice_energy=1",
            "?voice_energy=NaN&ambient_energy=1",
            "?voice_energy=inf&ambient_energy=1",
            "?loudness=5",
            "?initiator=tap&initiator=hold",
            "?initiator=%ff",
        ] {
            refused(query, raw(&hub, &request("POST", &place(query), "audio/l16", &pcm)));
        }
        for kind in [
            "",
            "audio/mpeg",
            "application/json",
            "audio/l16; rate=44100",
            "audio/l16;channels=2",
            "audio/l16; rate=",
            "\u{e4}",
        ] {
            let (status, text) = raw(&hub, &request("POST", &place(""), kind, &pcm));
            assert_eq!(status, 415, "{kind}: {text}");
            refused(kind, (status, text));
        }
    });
    // A WAV that is none, or of another sort: said, and nobody is left listening.
    let mut stereo = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0\x02\0".to_vec();
    stereo.extend(44_100_u32.to_le_bytes());
    stereo.extend(176_400_u32.to_le_bytes());
    stereo.extend(b"\x04\0\x10\0data\xff\xff\xff\xff\0\0\0\0");
    for body in [
        &b""[..],
        b"RIFF",
        b"not a wave file at all, but long enough to be one, perhaps",
        &[0xff; 5_000],
        &stereo,
    ] {
        let (status, text) = raw(&hub, &request("POST", &place(""), "audio/wav", body));
        assert!(status == 204 || (400..500).contains(&status), "{status}: {text}");
    }
    eventually("nobody is left listening", PATIENCE, || {
        hub.speaker("kitchen")["device"]["attention"] == "idle"
    });
    hub.assert_no_violations();
}

/// Sends chunks without end until the hub has enough; the answer.
fn endless(hub: &Hub, path: &str, kind: &str, chunk: &[u8]) -> (u16, u64) {
    let address = hub.http().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "{} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n",
        if path.ends_with("ramp") { "PUT" } else { "POST" }
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut reader = stream.try_clone().unwrap();
    let answered = std::thread::spawn(move || {
        let mut first = [0; 512];
        let length = reader.read(&mut first).unwrap_or(0);
        status_of(&first[..length]).0
    });
    let framed = [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat();
    let mut sent = 0;
    while !answered.is_finished() && sent < 1 << 28 && stream.write_all(&framed).is_ok() {
        sent += chunk.len() as u64;
    }
    (answered.join().unwrap(), sent)
}

#[test]
fn bodies_without_an_end() {
    let hub = house();
    let before = hub.picture();
    let (status, sent) =
        endless(&hub, "/api/speakers/kitchen/alerts/ramp", "application/json", &[b' '; 4_096]);
    assert!(status == 400 || status == 413, "{status} after {sent}");
    assert!(sent < 8 << 20, "{sent} bytes were taken");
    assert_eq!(hub.picture(), before);
    // One byte a chunk.
    let (status, _) = endless(&hub, "/api/speakers/kitchen/link/code", "application/json", b"[");
    assert!(status == 400 || status == 413, "{status}");
    // Speech goes on until Alexa has heard enough; the hub takes it as it comes and keeps little of it.
    let (status, sent) = endless(&hub, "/api/speakers/kitchen/listen", "audio/l16", &[0; 3_200]);
    assert!(status == 204 || status == 413, "{status} after {sent}");
    eventually("nobody is left listening", Duration::from_secs(30), || {
        hub.speaker("kitchen")["device"]["attention"] == "idle"
    });
    // A chunk that is none.
    let broken = "POST /api/speakers/kitchen/listen HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: audio/l16\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
    let (status, text) = raw(&hub, broken.as_bytes());
    assert!(status == 0 || status == 204 || (400..500).contains(&status), "{text}");
    eventually("nobody is left listening", Duration::from_secs(30), || {
        hub.speaker("kitchen")["device"]["attention"] == "idle"
    });
    assert_eq!(hub.speaker("kitchen")["link"]["state"], "connected");
    hub.assert_no_violations();
}
