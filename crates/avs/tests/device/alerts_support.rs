//! What the tests of Alerts share: a connected device, setting, what is told and what is heard.

use antiphon_avs::device::{DeviceConfig, DeviceInput};
use antiphon_avs::effect::{AssetId, Effect};
use antiphon_avs::iso8601;
use antiphon_avs::message::CaptureId;
use antiphon_avs::session::EventOutcome;
use antiphon_avs::signal::{Initiator, Profile, Signal, SoundNews, SpeechFormat, SpeechNews, Utterance};
use antiphon_domain::media::{MediaError, MediaErrorKind};
use antiphon_domain::sound::Voice;
use serde_json::{Value, json};

use crate::support::{Bench, lines};

/// A connected device whose cloud accepts everything.
pub fn bench() -> Bench {
    with(DeviceConfig::default())
}

pub fn with(config: DeviceConfig) -> Bench {
    let mut bench = Bench::with(config);
    bench.accepting = true;
    bench.input(DeviceInput::Connected);
    bench
}

pub fn time(bench: &Bench, seconds: i64) -> String {
    let wall = bench.moment().wall;
    iso8601::format(antiphon_domain::WallTime::from_nanos(wall.nanos() + seconds * 1_000_000_000))
}

/// SetAlert for so many seconds from now.
pub fn set(bench: &mut Bench, token: &str, kind: &str, seconds: i64, more: Value) -> Vec<String> {
    let mut payload = json!({ "token": token, "type": kind, "scheduledTime": time(bench, seconds) });
    for (name, value) in more.as_object().unwrap() {
        payload[name] = value.clone();
    }
    bench.directive("Alerts.SetAlert", payload)
}

/// Only the events, as `Name token`.
pub fn told(lines: &[String]) -> Vec<String> {
    let mut told = Vec::new();
    for line in lines {
        let Some((name, payload)) = line.split_once(" {") else {
            if line.starts_with('!') {
                told.push(line.clone());
            }
            continue;
        };
        if name.contains(' ') || !name.starts_with(char::is_uppercase) {
            continue;
        }
        let payload: Value = serde_json::from_str(&format!("{{{payload}")).unwrap();
        let rest = match (&payload["token"], &payload["tokens"]) {
            (Value::String(token), _) => token.clone(),
            (_, Value::Array(tokens)) => json!(tokens).to_string(),
            _ => payload.to_string(),
        };
        told.push(format!("{name} {rest}"));
    }
    told
}

/// Only what the room hears.
pub fn sounds(lines: &[String]) -> Vec<&str> {
    let heard = lines.iter().filter(|line| line.starts_with("sound ") || line.starts_with("Swell"));
    heard.map(String::as_str).collect()
}

pub fn started(bench: &mut Bench, number: u64) -> Vec<String> {
    let at = bench.now;
    bench.sound(Voice::Alert, number, SoundNews::Started { at })
}

pub fn finished(bench: &mut Bench, number: u64) -> Vec<String> {
    bench.sound(Voice::Alert, number, SoundNews::Finished)
}

pub fn failed(bench: &mut Bench, number: u64) -> Vec<String> {
    let error = MediaError { kind: MediaErrorKind::Unknown, message: String::new() };
    bench.sound(Voice::Alert, number, SoundNews::Failed(error))
}

/// Sets an alert without files that sounds now as sound 1.
pub fn sounding(token: &str, kind: &str, more: Value) -> Bench {
    let mut bench = bench();
    set(&mut bench, token, kind, 10, more);
    bench.pass(10_000);
    let told = told(&started(&mut bench, 1));
    assert_eq!(told, [format!("AlertStarted {token}"), format!("AlertEnteredForeground {token}")]);
    bench
}

pub fn state(bench: &Bench) -> (Vec<String>, Vec<String>) {
    let context = bench.device.context(bench.moment());
    let payload = &context.iter().find(|entry| entry.header.name == "AlertsState").unwrap().payload;
    let tokens = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|alert| alert["token"].as_str().unwrap().into()).collect()
    };
    (tokens(&payload["allAlerts"]), tokens(&payload["activeAlerts"]))
}

pub fn fetched(bench: &mut Bench, effects: &[String]) {
    for line in effects {
        if let Some(name) = line.strip_prefix("fetch ") {
            bench.signal(Signal::Fetched(AssetId(name.into()), Ok(())));
        }
    }
}

pub fn two_assets() -> Value {
    json!({
        "assets": [
            { "assetId": "a", "url": "https://media.test/a" },
            { "assetId": "b", "url": "https://media.test/b" },
        ],
        "assetPlayOrder": ["a", "b", "a"],
        "loopCount": 2,
        "loopPauseInMilliSeconds": 500,
    })
}

/// `sound Alert1 is Asset(..)` without the name of the file.
pub fn kinds(lines: &[String]) -> Vec<String> {
    let cut = |line: &&str| line.split("(AssetId").next().unwrap().to_owned();
    sounds(lines).iter().map(cut).collect()
}

/// Somebody begins to speak, and the cloud listens.
pub fn listen(bench: &mut Bench) -> Vec<String> {
    let utterance = Utterance {
        id: CaptureId(1),
        initiator: Initiator::Tap,
        profile: Profile::NearField,
        format: SpeechFormat::Pcm,
        energies: None,
    };
    // Were the request accepted at once, that would mean that nothing comes of it.
    let accepting = std::mem::replace(&mut bench.accepting, false);
    let effects = bench.input(DeviceInput::Signal(Signal::Speech(SpeechNews::Begun(utterance))));
    bench.accepting = accepting;
    let mut told = lines(&effects);
    for effect in effects {
        if let Effect::Send(event) = effect
            && event.header.namespace == "Alerts"
            && accepting
        {
            let outcome = EventOutcome::Accepted { status: 204 };
            told.extend(bench.signal(Signal::Outcome { message_id: event.header.message_id, outcome }));
        }
    }
    told
}

/// They have said it.
pub fn say_no_more(bench: &mut Bench) -> Vec<String> {
    bench.signal(Signal::Speech(SpeechNews::Ended { id: CaptureId(1) }))
}
