//! What a speaker can be in the midst of when something goes wrong, and what must be true of it afterwards. A fault of the
//! service or the death of the hub comes between [`Begin`] and [`After`].
#![allow(clippy::expect_used, reason = "a test ends where something is not as it must be")]

use super::alarms::{alert, in_seconds};
use super::hub::{Hub, PATIENCE};
use super::patience::wait_for;
use super::speech::{PCM, PIECE, speech_of, spoken};
use antiphon_simulator::{Entry, Fault, Outgoing, Script, Stop};
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Whether a volume that is spoken is set and told within a time.
pub fn obeys(hub: &Hub, id: &str, volume: u64, within: Duration) -> bool {
    let mark = hub.simulator().mark(id);
    let said = Outgoing::new("Speaker", "SetVolume", json!({ "volume": volume }));
    let sent = hub.wait(async { tokio::time::timeout(within, hub.simulator().send(id, said)).await });
    if !matches!(sent, Ok(Ok(_))) {
        return false;
    }
    let told = |e: &Entry| {
        e.is_event("Speaker", "VolumeChanged")
            && e.payload()["volume"] == volume
            && (200..300).contains(&e.status)
    };
    hub.wait(hub.simulator().wait_for(id, mark, told, within)).is_ok()
}

/// What happened in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    /// A fault of the service, which lost nothing of what the hub had said for good.
    Fault,
    /// The service called an event of ours wrong (400): that one is not repeated.
    Refused,
    /// The hub was killed and started again.
    Death,
}

/// Brings a speaker into the midst of something.
pub type Begin = fn(&Hub, &str) -> After;
/// Says what must be true once the speaker is synchronised again.
pub type After = Box<dyn FnOnce(&Hub, &str, Between) + Send>;

/// Everything, by name.
pub const ALL: [(&str, Begin); 7] = [
    ("upload", upload),
    ("speech", speech),
    ("ringing", ringing),
    ("outbox", outbox),
    ("card", card),
    ("tone", tone),
    ("login", login),
];

/// Waits until a picture of the speaker is as wanted.
fn shown(hub: &Hub, id: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    let found = wait_for(PATIENCE, || {
        last = hub.speaker(id);
        wanted(&last).then(|| last.clone())
    });
    found.unwrap_or_else(|| panic!("{id}: waited in vain: {what}; the hub shows {last:#}"))
}

fn told(hub: &Hub, id: &str, mark: u64, name: &str, token: &str) -> Arc<Entry> {
    let wanted = |e: &Entry| {
        e.is_event(&e.namespace, name) && e.payload()["token"] == token && (200..300).contains(&e.status)
    };
    let found = hub.wait(hub.simulator().wait_for(id, mark, wanted, PATIENCE));
    found.unwrap_or_else(|_| {
        let entries = hub.simulator().transcript(id);
        let all: Vec<String> =
            entries.iter().map(|e| format!("{} {} {}", e.name, e.status, e.payload())).collect();
        panic!("{id}: no {name} of {token} since {mark} of {all:#?}; the hub shows {:#}", hub.speaker(id))
    })
}

/// A short answer is spoken to its end, and nobody listens or speaks afterwards.
fn speaks(hub: &Hub, id: &str, token: &str) {
    let mark = hub.simulator().mark(id);
    hub.send_whole(id, hub.speech(token, 1));
    told(hub, id, mark, "SpeechFinished", token);
    shown(hub, id, "idle", |s| s["device"]["attention"] == "idle");
}

/// Somebody is talking.
fn upload(hub: &Hub, id: &str) -> After {
    hub.simulator()
        .answer_speech(id, Script::text("tell me hello").stop(Stop::After(Duration::from_secs(2))))
        .expect("a device");
    let heard = hub.simulator().hearings(id).len();
    let mut upload = hub.speak_to(id, "", PCM);
    let sound = spoken(16_000, 5.0);
    let (first, rest) = sound.split_at(25 * PIECE);
    upload.say_until(16_000, first, || false);
    hub.wait_hearing(id, heard, |h| h.bytes > 4_000);
    let rest = rest.to_vec();
    let talker = std::thread::spawn(move || {
        upload.say_until(16_000, &rest, || false);
        // A hub that dies does not answer.
        catch_unwind(AssertUnwindSafe(|| upload.end().0)).ok()
    });
    Box::new(move |hub, id, between| {
        let begun = Instant::now();
        let status = talker.join().expect("the request ends");
        assert!(begun.elapsed() < PATIENCE, "{id}: the request hung for {:?}", begun.elapsed());
        assert!(status.is_some() || between == Between::Death, "{id}: no answer");
        shown(hub, id, "idle", |s| s["device"]["attention"] == "idle");
        // What is said next is heard whole and answered.
        hub.simulator().answer_speech(id, Script::text("tell me hello")).expect("a device");
        let (heard, mark) = (hub.simulator().hearings(id).len(), hub.simulator().mark(id));
        let mut upload = hub.speak_to(id, "", PCM);
        upload.say_until(16_000, &spoken(16_000, 5.0), || false);
        assert_eq!(upload.end().0, 204, "{id}");
        hub.wait_hearing(id, heard, |h| h.whole);
        hub.event(id, mark, "SpeechSynthesizer", "SpeechFinished");
        shown(hub, id, "idle", |s| s["device"]["attention"] == "idle");
    })
}

/// Alexa speaks, and most of it is still to come.
fn speech(hub: &Hub, id: &str) -> After {
    let mark = hub.simulator().mark(id);
    // It is not all taken before it is heard, so that sending does not end.
    let answer = speech_of("long", hub.fetch("tone-3000-30s.mp3"));
    hub.simulator().answer_speech(id, Script::directives(vec![answer])).expect("a device");
    let mut upload = hub.speak_to(id, "", PCM);
    upload.say_until(16_000, &spoken(16_000, 5.0), || false);
    assert_eq!(upload.end().0, 204, "{id}");
    told(hub, id, mark, "SpeechStarted", "long");
    Box::new(|hub, id, _| speaks(hub, id, "next"))
}

/// An alert rings.
fn ringing(hub: &Hub, id: &str) -> After {
    hub.set_alert(id, &alert("TIMER", "egg", in_seconds(1.5)));
    let mark = hub.simulator().mark(id);
    hub.event(id, mark, "Alerts", "AlertStarted");
    shown(hub, id, "it rings", rings);
    Box::new(|hub, id, between| {
        if between == Between::Death {
            shown(hub, id, "it rings again", rings);
        }
        assert!(rings(&hub.speaker(id)), "{id}: it does not ring any more");
        let mark = hub.simulator().mark(id);
        hub.api("POST", &format!("/api/speakers/{id}/alerts/stop"), json!({}));
        told(hub, id, mark, "AlertStopped", "egg");
        let started = hub.alerts_told(id, 0).iter().any(|t| t == "Started:egg");
        assert!(started, "{id}: {:?}", hub.alerts_told(id, 0));
        shown(hub, id, "nothing is set", |s| s["device"]["alerts"].as_array().is_none_or(Vec::is_empty));
    })
}

fn rings(speaker: &Value) -> bool {
    speaker["device"]["alerts"].as_array().is_some_and(|all| all.iter().any(|a| a["ringing"] == true))
}

/// One event that Alexa must hear of is on its way, another waits behind it.
fn outbox(hub: &Hub, id: &str) -> After {
    hub.set_alert(id, &alert("ALARM", "old", in_seconds(3_000.0)));
    let mark = hub.simulator().mark(id);
    hub.simulator().inject(id, &Fault::DelayHeaders(Duration::from_millis(1_000), 1)).expect("a device");
    hub.send(id, "Alerts", "DeleteAlert", json!({ "token": "old" }));
    hub.send(id, "Alerts", "SetAlert", alert("ALARM", "new", in_seconds(3_000.0)));
    shown(hub, id, "both are done", |s| {
        let alerts = s["device"]["alerts"].as_array().cloned().unwrap_or_default();
        alerts.len() == 1 && alerts[0]["token"] == "new"
    });
    Box::new(move |hub, id, between| {
        let set = told(hub, id, mark, "SetAlertSucceeded", "new");
        if between != Between::Refused {
            let deleted = told(hub, id, mark, "DeleteAlertSucceeded", "old");
            assert!(deleted.index < set.index, "{id}: out of order");
        }
        let alerts = shown(hub, id, "it is still set", |_| true)["device"]["alerts"].clone();
        assert_eq!(alerts.as_array().map(Vec::len), Some(1), "{id}: {alerts:#}");
    })
}

/// A card is on the screen.
fn card(hub: &Hub, id: &str) -> After {
    let url = hub.simulator().track("tone-440-120s.wav");
    let info = json!({ "audioItemId": id, "content": { "title": "Before" }, "controls": [] });
    hub.send(id, "TemplateRuntime", "RenderPlayerInfo", info);
    hub.send(id, "AudioPlayer", "Play", super::sound::play("REPLACE_ALL", &url, id, None));
    shown(hub, id, "the card", |s| s["device"]["card"]["content"]["title"] == "Before");
    Box::new(|hub, id, between| {
        let card = hub.speaker(id)["device"]["card"].clone();
        let title = if between == Between::Death { Value::Null } else { json!("Before") };
        assert_eq!(card["content"]["title"], title, "{id}");
        // Another takes its place, and is put away.
        hub.say(id, "show card weather");
        shown(hub, id, "the next card", |s| s["device"]["card"]["type"] == "WeatherTemplate");
        hub.api("DELETE", &format!("/api/speakers/{id}/card"), json!({}));
        shown(hub, id, "it is put away", |s| s["device"]["card"]["type"] != "WeatherTemplate");
    })
}

/// The tone was changed just now.
fn tone(hub: &Hub, id: &str) -> After {
    let set = |level: i64| {
        hub.send(
            id,
            "EqualizerController",
            "SetBands",
            json!({ "bands": [{ "name": "BASS", "level": level }] }),
        );
        shown(hub, id, "the tone", |s| s["device"]["equalizer"]["levels"][0] == level);
    };
    let mark = hub.simulator().mark(id);
    set(3);
    hub.event(id, mark, "EqualizerController", "EqualizerChanged");
    set(5);
    Box::new(|hub, id, between| {
        // What was told of is kept; what was only just set may die with the hub.
        let levels = hub.speaker(id)["device"]["equalizer"]["levels"].clone();
        let kept = [5, 3].map(|bass| json!([bass, 0, 0]));
        let kept = if between == Between::Death { &kept[..] } else { &kept[..1] };
        assert!(kept.contains(&levels), "{id}: {levels}");
        let mark = hub.simulator().mark(id);
        hub.api("POST", &format!("/api/speakers/{id}/buttons/play"), json!({}));
        let pressed = hub.event(id, mark, "PlaybackController", "PlayCommandIssued");
        let state = pressed.context("EqualizerController", "EqualizerState").expect("its state").clone();
        let bass = state["bands"].as_array().and_then(|b| b.iter().find(|b| b["name"] == "BASS")).cloned();
        assert_eq!(bass.expect("the bass")["level"], levels[0], "{id}: {state:#}");
    })
}

/// Another account is about to be linked: a code is shown.
fn login(hub: &Hub, id: &str) -> After {
    hub.api("POST", &format!("/api/speakers/{id}/link"), json!({}));
    let code = |hub: &Hub, id: &str| {
        let view = shown(hub, id, "a code", |s| s["link"]["login"]["user_code"].is_string());
        view["link"]["login"]["user_code"].as_str().expect("a code").to_owned()
    };
    let before = code(hub, id);
    Box::new(move |hub, id, between| {
        if between == Between::Death {
            // Nobody is asked to enter a code that is worth nothing any more.
            shown(hub, id, "no code", |s| s["link"]["login"].is_null());
            hub.api("POST", &format!("/api/speakers/{id}/link"), json!({}));
        }
        let now = code(hub, id);
        assert!(now == before || between == Between::Death, "{id}: another code is shown");
        assert_eq!(hub.simulator().approve(&now).expect("it waits to be entered"), id);
        let linked =
            shown(hub, id, "linked", |s| s["link"]["login"].is_null() && s["link"]["state"] == "connected");
        assert!(linked["link"]["why"].is_null(), "{id}: {linked:#}");
    })
}
