//! The small interfaces through the front door: keys of a remote control, cards, trackers, settings of the device, the
//! stack of before 2019, and the end of an account. Nothing here is judged by ear.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use antiphon_simulator::{Entry, Fault, Options, Outgoing, Simulator};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::alarms::{alert, in_seconds};
use support::hub::{Hub, PATIENCE, Setup, play};
use support::patience::eventually;

const ID: &str = "kitchen";

/// What Alexa is to know with every event that needs context.
const STATES: [(&str, &str); 5] = [
    ("Speaker", "VolumeState"),
    ("AudioPlayer", "PlaybackState"),
    ("Alerts", "AlertsState"),
    ("Notifications", "IndicatorState"),
    ("EqualizerController", "EqualizerState"),
];

/// Waits for an event with this in its payload, at or after a mark.
fn event_with(hub: &Hub, id: &str, mark: u64, name: &str, key: &str, value: &Value) -> Arc<Entry> {
    let wanted = |e: &Entry| e.name == name && e.payload()[key] == *value && e.is_event(&e.namespace, name);
    hub.wait(hub.simulator().wait_for(id, mark, wanted, PATIENCE))
        .unwrap_or_else(|_| panic!("{name} with {key} {value} does not come"))
}

/// Breaks the connection; the SynchronizeState of the next.
fn reconnect(hub: &Hub, id: &str) -> Arc<Entry> {
    let mark = hub.simulator().mark(id);
    hub.simulator().inject(id, &Fault::TcpReset).unwrap();
    let told = hub.event(id, mark, "System", "SynchronizeState");
    hub.wait_picture("it is connected", |_| hub.speaker(id)["link"]["state"] == "connected");
    told
}

fn restart(hub: &mut Hub) {
    hub.end(Signal::KILL);
    hub.start_again();
    hub.wait_linked();
}

fn card(hub: &Hub, id: &str) -> Value {
    hub.speaker(id)["device"]["card"].clone()
}

/// Presses a key; its event, whose context is whole.
fn press(hub: &Hub, key: &str, name: &str) -> Arc<Entry> {
    let mark = hub.simulator().mark(ID);
    hub.api("POST", &format!("/api/speakers/{ID}/buttons/{key}"), json!({}));
    let pressed = hub.event(ID, mark, "PlaybackController", name);
    for (namespace, state) in STATES {
        assert!(pressed.context(namespace, state).is_some(), "{name} without {namespace}.{state}");
    }
    pressed
}

#[test]
fn keys_and_switches_reach_alexa_and_its_answers_act() {
    let mut hub = Setup::new(&[ID]).program().start();
    let mut mark = hub.simulator().mark(ID);
    hub.say(ID, "play demo");
    hub.event(ID, mark, "AudioPlayer", "PlaybackStarted");
    let pressed = press(&hub, "pause", "PauseCommandIssued");
    assert_eq!(pressed.context("AudioPlayer", "PlaybackState").unwrap()["playerActivity"], "PLAYING");
    hub.event(ID, mark, "AudioPlayer", "PlaybackStopped");
    let started = |key: &str, name: &str| {
        let mark = hub.simulator().mark(ID);
        press(&hub, key, name);
        let started = hub.event(ID, mark, "AudioPlayer", "PlaybackStarted");
        let token = started.payload()["token"].as_str().unwrap().to_owned();
        (token, started.payload()["offsetInMilliseconds"].as_u64().unwrap())
    };
    assert!(started("play", "PlayCommandIssued").0.ends_with("demo-1.mp3"));
    assert!(started("next", "NextCommandIssued").0.ends_with("demo-2.mp3"));
    assert!(started("previous", "PreviousCommandIssued").0.ends_with("demo-1.mp3"));
    mark = hub.simulator().mark(ID);
    hub.say(ID, "play tone-440-120s.wav");
    hub.event(ID, mark, "AudioPlayer", "PlaybackStarted");
    let (_, forward) = started("skip-forward", "ButtonCommandIssued");
    assert!((30_000..40_000).contains(&forward), "{forward} ms");
    let (_, back) = started("skip-backward", "ButtonCommandIssued");
    assert!(back < 10_000, "{back} ms");
    mark = hub.simulator().mark(ID);
    for (toggle, name) in [
        ("shuffle", "SHUFFLE"),
        ("loop", "LOOP"),
        ("repeat", "REPEAT"),
        ("thumbs-up", "THUMBSUP"),
        ("thumbs-down", "THUMBSDOWN"),
    ] {
        for (on, action) in [(true, "SELECT"), (false, "DESELECT")] {
            hub.api("PUT", &format!("/api/speakers/{ID}/toggles/{toggle}"), json!({ "on": on }));
            let told = event_with(&hub, ID, mark, "ToggleCommandIssued", "name", &json!(name));
            assert!(told.context("AudioPlayer", "PlaybackState").is_some());
            event_with(&hub, ID, told.index, "ToggleCommandIssued", "action", &json!(action));
        }
    }
    // The card that answers says how the switch stands now.
    hub.api("PUT", &format!("/api/speakers/{ID}/toggles/loop"), json!({ "on": true }));
    let selected = |card: &Value| {
        card["controls"]
            .as_array()
            .is_some_and(|all| all.iter().any(|c| c["name"] == "LOOP" && c["selected"] == true))
    };
    eventually("the card says so", PATIENCE, || selected(&card(&hub, ID)));
    // A press that is lost is not pressed later; the next one counts, also after a restart.
    reconnect(&hub, ID);
    mark = hub.simulator().mark(ID);
    press(&hub, "pause", "PauseCommandIssued");
    hub.event(ID, mark, "AudioPlayer", "PlaybackStopped");
    restart(&mut hub);
    mark = hub.simulator().mark(ID);
    let pressed = press(&hub, "play", "PlayCommandIssued");
    assert_eq!(pressed.context("AudioPlayer", "PlaybackState").unwrap()["playerActivity"], "IDLE");
    hub.event(ID, mark, "AudioPlayer", "PlaybackStarted");
    assert_eq!(hub.ask("POST", &format!("/api/speakers/{ID}/buttons/stop"), None).0, 404);
    hub.assert_no_violations();
}

fn player_info(hub: &Hub, item: &str, title: &str) {
    let payload = json!({ "audioItemId": item, "content": { "title": title }, "controls": [] });
    hub.send(ID, "TemplateRuntime", "RenderPlayerInfo", payload);
}

#[test]
fn cards_are_shown_for_their_time_and_trackers_say_so() {
    let hub = Setup::new(&[ID]).start();
    // Nothing was used yet: there is nothing to say of it.
    assert!(
        hub.event(ID, 0, "System", "SynchronizeState")
            .context("AudioActivityTracker", "ActivityState")
            .is_none()
    );
    // A player's card waits for its item, and a longer id is that item's too.
    player_info(&hub, "one#extended", "First");
    let mark = hub.simulator().mark(ID);
    hub.send(ID, "EqualizerController", "SetMode", json!({ "mode": "TV" }));
    hub.event(ID, mark, "EqualizerController", "EqualizerChanged");
    assert_eq!(card(&hub, ID), Value::Null);
    let url = hub.simulator().track("tone-440-3s.wav");
    hub.send(ID, "AudioPlayer", "Play", play("REPLACE_ALL", &url, "one", None));
    eventually("the first card", PATIENCE, || card(&hub, ID)["content"]["title"] == "First");
    // An answer's card hides it, until two seconds after what is said with it.
    let mark = hub.simulator().mark(ID);
    hub.say(ID, "tell me it will rain a little");
    hub.event(ID, mark, "SpeechSynthesizer", "SpeechStarted");
    hub.say(ID, "show card weather");
    eventually("the weather", PATIENCE, || card(&hub, ID)["type"] == "WeatherTemplate");
    let told = reconnect(&hub, ID);
    let visual = told.context("VisualActivityTracker", "ActivityState").unwrap();
    assert_eq!(visual["focused"]["interface"], "TemplateRuntime");
    hub.event(ID, mark, "SpeechSynthesizer", "SpeechFinished");
    let spoken = Instant::now();
    eventually("the weather is over", PATIENCE, || card(&hub, ID)["type"] != "WeatherTemplate");
    let after = spoken.elapsed();
    assert!(after > Duration::from_millis(1500) && after < Duration::from_secs(4), "{after:?}");
    // The item's next card is another's, so it has none.
    let mark = hub.simulator().mark(ID);
    let url = hub.simulator().track("tone-550-120s.wav");
    hub.send(ID, "AudioPlayer", "Play", play("REPLACE_ALL", &url, "two", None));
    hub.event(ID, mark, "AudioPlayer", "PlaybackStarted");
    eventually("no card", PATIENCE, || card(&hub, ID) == Value::Null);
    player_info(&hub, "two", "Second");
    eventually("the second card", PATIENCE, || card(&hub, ID)["content"]["title"] == "Second");
    let told = reconnect(&hub, ID);
    let audio = told.context("AudioActivityTracker", "ActivityState").unwrap();
    assert_eq!(audio["content"], json!({ "interface": "AudioPlayer", "idleTimeInMilliseconds": 0 }));
    assert_eq!(audio["dialog"]["interface"], "SpeechSynthesizer");
    let idle = audio["dialog"]["idleTimeInMilliseconds"].as_u64().unwrap();
    let since = spoken.elapsed().as_millis() as u64;
    assert!(idle.abs_diff(since) < 1500, "{idle} ms idle, {since} ms since its end was told");
    assert!(audio.get("alert").is_none() && audio.get("alerts").is_none(), "{audio}");
    // Put away by hand, it stays away.
    hub.api("DELETE", &format!("/api/speakers/{ID}/card"), json!({}));
    eventually("it is put away", PATIENCE, || card(&hub, ID) == Value::Null);
    let mark = hub.simulator().mark(ID);
    hub.say(ID, "stop");
    hub.event(ID, mark, "AudioPlayer", "PlaybackStopped");
    let told = reconnect(&hub, ID);
    let visual = told.context("VisualActivityTracker", "ActivityState");
    assert!(visual.is_none_or(|v| v.get("focused").is_none()), "{visual:?}");
    let audio = told.context("AudioActivityTracker", "ActivityState").unwrap();
    assert!(audio["content"]["idleTimeInMilliseconds"].as_u64().is_some_and(|idle| idle < 10_000), "{audio}");
    hub.assert_no_violations();
}

#[test]
fn settings_are_told_and_outlive_a_restart() {
    let mut hub = Setup::new(&[ID]).program().start();
    // Nobody had told the version of the firmware.
    let told = hub.event(ID, 0, "System", "SoftwareInfo").payload()["firmwareVersion"].clone();
    assert!(told.as_str().is_some_and(|v| v.parse::<u32>().is_ok_and(|v| v > 0)), "{told}");
    let mut mark = hub.simulator().mark(ID);
    hub.say(ID, "software info");
    assert_eq!(hub.event(ID, mark, "System", "SoftwareInfo").payload()["firmwareVersion"], told);
    hub.say(ID, "locale de-DE");
    event_with(&hub, ID, mark, "LocalesReport", "locales", &json!(["de-DE"]));
    hub.say(ID, "time zone Europe/Berlin");
    event_with(&hub, ID, mark, "TimeZoneReport", "timeZone", &json!("Europe/Berlin"));
    mark = hub.simulator().mark(ID);
    hub.say(ID, "locale xx-XX");
    let refused = hub.event(ID, mark, "System", "ExceptionEncountered");
    assert_eq!(refused.payload()["error"]["type"], "UNEXPECTED_INFORMATION_RECEIVED");
    assert_eq!(
        hub.ask("PUT", &format!("/api/speakers/{ID}/locale"), Some(json!({ "locales": ["xx-XX"] }))).0,
        400
    );
    hub.api("PUT", &format!("/api/speakers/{ID}/locale"), json!({ "locales": ["en-GB"] }));
    event_with(&hub, ID, mark, "LocalesChanged", "locales", &json!(["en-GB"]));
    hub.api("PUT", &format!("/api/speakers/{ID}/time-zone"), json!({ "time_zone": "Asia/Tokyo" }));
    event_with(&hub, ID, mark, "TimeZoneChanged", "timeZone", &json!("Asia/Tokyo"));
    // A setting that cannot be told now is told on the next connection.
    hub.simulator().inject(ID, &Fault::ResetEvents(1)).unwrap();
    mark = hub.simulator().mark(ID);
    hub.api("PUT", &format!("/api/speakers/{ID}/locale"), json!({ "locales": ["en-US"] }));
    let accepted = |e: &Entry| e.is_event("System", "LocalesChanged") && (200..300).contains(&e.status);
    hub.wait(hub.simulator().wait_for(ID, mark, accepted, PATIENCE)).expect("it is told in the end");
    // Whoever asked for all settings is answered, though it be by the next life of the hub.
    hub.simulator().inject(ID, &Fault::EventStatus(500, 50)).unwrap();
    mark = hub.simulator().mark(ID);
    hub.say(ID, "report state");
    hub.event(ID, mark, "System", "StateReport");
    hub.end(Signal::KILL);
    hub.simulator().inject(ID, &Fault::Clear).unwrap();
    mark = hub.simulator().mark(ID);
    hub.start_again();
    hub.wait_linked();
    let report = hub.event(ID, mark, "System", "StateReport");
    let states = report.payload()["states"].as_array().unwrap().clone();
    let state = |name: &str| states.iter().find(|s| s["header"]["name"] == name).unwrap()["payload"].clone();
    assert_eq!(state("LocalesReport"), json!({ "locales": ["en-US"] }));
    assert_eq!(state("TimeZoneReport"), json!({ "timeZone": "Asia/Tokyo" }));
    state("AlarmVolumeRampReport");
    state("WakeWordConfirmationReport");
    state("SpeechConfirmationReport");
    // Once is enough, and an unchanged firmware is no news.
    let restarted = mark;
    reconnect(&hub, ID);
    mark = hub.simulator().mark(ID);
    hub.say(ID, "software info");
    hub.event(ID, mark, "System", "SoftwareInfo");
    let told = hub.events(ID, restarted, "System");
    let count = |name: &str| told.iter().filter(|told| *told == name).count();
    assert_eq!((count("StateReport"), count("SoftwareInfo")), (1, 1), "{told:?}");
    hub.assert_no_violations();
}

#[test]
fn a_revoked_authorization_erases_what_was_the_accounts() {
    let mut hub = Setup::new(&[ID, "shelf"]).program().with_simulator(|o| o.approve_all = true).start();
    hub.set_alert(ID, &alert("ALARM", "a", in_seconds(3600.0)));
    hub.set_alert("shelf", &alert("ALARM", "b", in_seconds(3600.0)));
    let mark = hub.simulator().mark(ID);
    hub.say(ID, "time zone Europe/Berlin");
    hub.event(ID, mark, "System", "TimeZoneReport");
    hub.say(ID, "notification silent");
    eventually("it waits", PATIENCE, || hub.speaker(ID)["device"]["notification"] == true);
    hub.api("PUT", &format!("/api/speakers/{ID}/equalizer"), json!({ "bands": { "bass": -3 } }));
    hub.event(ID, mark, "EqualizerController", "EqualizerChanged");
    hub.say(ID, "revoke");
    let erased = |hub: &Hub| {
        hub.wait_picture("all is gone", |_| {
            let speaker = hub.speaker(ID);
            let device = &speaker["device"];
            let empty = device["alerts"].is_null() && device["time_zone"].is_null();
            // The tone is the room's.
            assert_eq!(device["equalizer"]["levels"][0], -3);
            empty && device["notification"] == false && speaker["link"]["state"] == "needs_login"
        });
    };
    erased(&hub);
    // ... the other speaker's account is its own.
    assert_eq!(hub.speaker("shelf")["device"]["alerts"][0]["token"], "b");
    hub.wait(hub.simulator().wait_until(ID, |d| d.connections == 0, PATIENCE)).unwrap();
    // Who is with whom is on disk when it is acknowledged, and all that was asked before it.
    hub.api("PUT", "/api/groups/down", json!({ "speakers": [ID, "shelf"] }));
    let logins = hub.simulator().counts(ID).refreshes;
    hub.end(Signal::KILL);
    hub.start_again();
    hub.wait(hub.simulator().wait_connected("shelf", PATIENCE)).unwrap();
    erased(&hub);
    assert_eq!(hub.simulator().counts(ID).refreshes, logins, "it logged in again by itself");
    // Linked anew, it is a new device.
    let mark = hub.simulator().mark(ID);
    hub.api("POST", &format!("/api/speakers/{ID}/link"), json!({}));
    let told = hub.event(ID, mark, "System", "SynchronizeState");
    assert_eq!(told.context("Alerts", "AlertsState").unwrap()["allAlerts"], json!([]));
    hub.wait_linked();
    hub.assert_no_violations();
}

#[test]
fn a_legacy_and_a_modern_speaker_live_in_one_hub() {
    let legacy = "[speakers.avs]\nstack = \"legacy\"";
    let mut hub = Setup::new(&["modern", "old"]).speaker("old", legacy).program().start();
    let names = |hub: &Hub, id: &str, mark: u64| hub.events(id, mark, "Alexa.Discovery");
    assert_eq!(names(&hub, "modern", 0), ["AddOrUpdateReport"]);
    assert!(names(&hub, "old", 0).is_empty(), "stacks are mixed");
    assert_eq!(hub.simulator().counts("old").declarations, 1);
    let declared =
        |id: &str| hub.simulator().device(id).unwrap().interfaces.into_iter().collect::<BTreeMap<_, _>>();
    let (old, modern) = (declared("old"), declared("modern"));
    assert_eq!((old["System"].as_str(), modern["System"].as_str()), ("1.4", "2.0"));
    assert_eq!((old.get("Settings").map(String::as_str), modern.get("Settings")), (Some("1.0"), None));
    for id in ["modern", "old"] {
        let mark = hub.simulator().mark(id);
        hub.api("PUT", &format!("/api/speakers/{id}/locale"), json!({ "locales": ["de-DE"] }));
        event_with(&hub, id, mark, "LocalesChanged", "locales", &json!(["de-DE"]));
    }
    let settings = json!([{ "key": "locale", "value": "de-DE" }]);
    event_with(&hub, "old", 0, "SettingsUpdated", "settings", &settings);
    assert!(hub.events("modern", 0, "Settings").is_empty());
    for id in ["modern", "old"] {
        obeys(&hub, id, 33);
        reconnect(&hub, id);
        obeys(&hub, id, 44);
    }
    restart(&mut hub);
    assert!(names(&hub, "old", 0).is_empty());
    // Only the older stack may be told to move, and only within its own house.
    let elsewhere = json!({ "endpoint": "https://evil.example" });
    for (id, kind) in [("modern", "UNSUPPORTED_OPERATION"), ("old", "UNEXPECTED_INFORMATION_RECEIVED")] {
        let mark = hub.simulator().mark(id);
        hub.send(id, "System", "SetEndpoint", elsewhere.clone());
        let refused = hub.event(id, mark, "System", "ExceptionEncountered");
        assert_eq!(refused.payload()["error"]["type"], kind, "{id}");
        obeys(&hub, id, 22);
    }
    hub.assert_no_violations();
    moves(&mut hub);
}

/// To another gateway of its house, for good. That one's tokens are its own: it is the refusal which shows that it is there.
fn moves(hub: &mut Hub) {
    let elsewhere = hub.wait(Simulator::start(Options::new(hub.folder().join("alexa")))).unwrap();
    hub.send("old", "System", "SetEndpoint", json!({ "endpoint": elsewhere.gateway() }));
    let refused = |hub: &Hub| {
        hub.wait_picture("it is refused elsewhere", |_| {
            hub.speaker("old")["link"]["why"].as_str().is_some_and(|why| why.contains("403"))
        });
        obeys(hub, "modern", 33);
    };
    refused(hub);
    hub.end(Signal::KILL);
    hub.start_again();
    hub.wait(hub.simulator().wait_connected("modern", PATIENCE)).unwrap();
    refused(hub);
    hub.wait(elsewhere.kill());
}

fn obeys(hub: &Hub, id: &str, volume: u64) {
    let mark = hub.simulator().mark(id);
    let wanted = Outgoing::new("Speaker", "SetVolume", json!({ "volume": volume }));
    hub.wait(hub.simulator().send(id, wanted)).unwrap();
    event_with(hub, id, mark, "VolumeChanged", "volume", &json!(volume));
}
