//! The message catalogue: what AVS says its messages look like.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use std::time::Duration;

use antiphon_avs::device::{Device, DeviceConfig, DeviceInput};
use antiphon_avs::message::{CaptureId, Event};
use antiphon_avs::signal::{Initiator, PlayerNews, Signal, SpeechNews, Wish};
use antiphon_domain::media::{MediaError, MediaErrorKind};
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::support::{Bench, lines, speak, utterance};

struct Catalogue {
    interfaces: BTreeMap<String, Value>,
    events: BTreeMap<String, (Validator, bool)>,
    contexts: BTreeMap<String, Validator>,
}

/// Checks an event as the cloud would; panics with what is wrong.
pub fn check(event: &Event) {
    let json: Value = serde_json::from_str(&event.to_json()).unwrap();
    let header = &json["event"]["header"];
    let name = format!("{}.{}", header["namespace"].as_str().unwrap(), header["name"].as_str().unwrap());
    let Some((schema, needs_context)) = catalogue().events.get(&name) else {
        panic!("{name} is not an event")
    };
    if let Err(error) = schema.validate(&json["event"]["payload"]) {
        panic!("{name}: {error} at {}: {json:#}", error.instance_path());
    }
    assert!(header["messageId"].as_str().is_some_and(|id| id.len() == 36), "{name} has no messageId");
    let context = json.get("context");
    assert_eq!(context.is_some(), *needs_context, "{name} and its context");
    for entry in context.and_then(Value::as_array).into_iter().flatten() {
        let header = &entry["header"];
        let name = format!("{}.{}", header["namespace"].as_str().unwrap(), header["name"].as_str().unwrap());
        let Some(schema) = catalogue().contexts.get(&name) else { panic!("{name} is not a context entry") };
        if let Err(error) = schema.validate(&entry["payload"]) {
            panic!("{name}: {error}: {entry:#}");
        }
    }
}

fn catalogue() -> &'static Catalogue {
    static CATALOGUE: OnceLock<Catalogue> = OnceLock::new();
    CATALOGUE.get_or_init(|| {
        let mut all =
            Catalogue { interfaces: BTreeMap::new(), events: BTreeMap::new(), contexts: BTreeMap::new() };
        for text in
            [include_str!("../catalogue/messages-a.json"), include_str!("../catalogue/messages-b.json")]
        {
            let file: Value = serde_json::from_str(text).unwrap();
            for interface in file["interfaces"].as_array().unwrap() {
                let namespace = interface["namespace"].as_str().unwrap();
                for event in interface["events"].as_array().into_iter().flatten() {
                    let schema = jsonschema::validator_for(&event["payload"]).unwrap();
                    let needs_context = event["requires_context"].as_bool().unwrap();
                    let name = format!("{namespace}.{}", event["name"].as_str().unwrap());
                    all.events.insert(name, (schema, needs_context));
                }
                let contexts = match &interface["context"] {
                    Value::Array(several) => several.clone(),
                    Value::Null => Vec::new(),
                    one => vec![one.clone()],
                };
                for context in contexts {
                    let schema = jsonschema::validator_for(&context["payload"]).unwrap();
                    let name = format!("{namespace}.{}", context["name"].as_str().unwrap());
                    all.contexts.insert(name, schema);
                }
                all.interfaces.insert(namespace.into(), interface.clone());
            }
        }
        all
    })
}

/// The names of an interface's events.
pub fn events_of(namespace: &str) -> Vec<String> {
    let events = catalogue().interfaces[namespace]["events"].as_array().unwrap();
    events.iter().map(|event| event["name"].as_str().unwrap().into()).collect()
}

/// Every directive: `Namespace.Name` and the schema of its payload.
pub fn directives() -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for (namespace, interface) in &catalogue().interfaces {
        for directive in interface["directives"].as_array().into_iter().flatten() {
            let name = format!("{namespace}.{}", directive["name"].as_str().unwrap());
            all.push((name, directive["payload"].clone()));
        }
    }
    all
}

/// Every event: `Namespace.Name`.
pub fn events() -> Vec<String> {
    catalogue().events.keys().cloned().collect()
}

#[test]
fn capabilities_are_those_of_the_catalogue() {
    for object in Device::new(DeviceConfig::default()).capabilities() {
        let namespace = object["interface"].as_str().unwrap();
        let known = &catalogue().interfaces[namespace];
        assert_eq!(object["version"], known["version"], "{namespace}");
        let expected = &known["capability_object"];
        let keys = |value: &Value| value.as_object().map(|o| o.keys().cloned().collect::<Vec<_>>());
        assert_eq!(keys(&object), keys(expected), "{namespace}");
        let found = keys(&object["configurations"]).unwrap_or_default();
        let allowed = keys(&expected["configurations"]).unwrap_or_default();
        assert!(found.iter().all(|key| allowed.contains(key)), "{namespace}: {found:?}, {allowed:?}");
    }
}

#[test]
fn a_fresh_connection_is_told_the_state_of_everything() {
    let device = Device::new(DeviceConfig::default());
    let event = device.synchronize_state(antiphon_domain::Moment::default());
    check(&event);
    let context = event.context.unwrap();
    let quiet = [
        ("VolumeState", json!({ "volume": 40, "muted": false })),
        ("PlaybackState", json!({ "token": "", "offsetInMilliseconds": 0, "playerActivity": "IDLE" })),
        ("AlertsState", json!({ "allAlerts": [], "activeAlerts": [] })),
        ("SpeechState", json!({ "token": "", "offsetInMilliseconds": 0, "playerActivity": "FINISHED" })),
        ("IndicatorState", json!({ "isEnabled": false, "isVisualIndicatorPersisted": false })),
    ];
    for (name, payload) in quiet {
        let entry = context.iter().find(|entry| entry.header.name == name);
        assert_eq!(entry.map(|entry| &entry.payload), Some(&payload), "{name}");
    }
}

/// Catalogue directives of our interfaces that are answered by UNSUPPORTED_OPERATION, and why.
const NOT_OURS: [&str; 1] = [
    "System.SetEndpoint", // belongs to System 1.x and 1.4
];

/// A right payload for each directive that needs one.
fn right(name: &str) -> Value {
    match name {
        "Speaker.SetVolume" | "Speaker.AdjustVolume" => json!({ "volume": 5 }),
        "Speaker.SetMute" => json!({ "mute": true }),
        "System.SetLocales" => json!({ "locales": ["en-US"] }),
        "System.SetTimeZone" => json!({ "timeZone": "Europe/Berlin" }),
        "Alerts.SetAlert" => json!({
            "token": "alert",
            "type": "TIMER",
            "scheduledTime": "2030-01-01T01:00:00+0000",
            "loopCount": 2,
            "loopPauseInMilliSeconds": 100,
            "label": "pasta",
        }),
        "Alerts.DeleteAlert" => json!({ "token": "alert" }),
        "Alerts.DeleteAlerts" => json!({ "tokens": ["alert"] }),
        "Alerts.SetVolume" | "Alerts.AdjustVolume" => json!({ "volume": 5 }),
        "Alerts.SetAlarmVolumeRamp" => json!({ "alarmVolumeRamp": "ASCENDING" }),
        "Notifications.SetIndicator" => json!({
            "persistVisualIndicator": true,
            "playAudioIndicator": true,
            "asset": { "assetId": "ding", "url": "https://media.test/ding" },
        }),
        "InteractionModel.NewDialogRequest" => json!({ "dialogRequestId": "id" }),
        "SpeechRecognizer.ExpectSpeech" => json!({
            "timeoutInMilliseconds": 8000,
            "initiator": { "type": "an opaque one", "payload": { "token": "opaque" } },
        }),
        "SpeechRecognizer.SetWakeWords" => json!({ "wakeWords": ["ECHO"] }),
        "SpeechRecognizer.SetWakeWordConfirmation" => json!({ "wakeWordConfirmation": "TONE" }),
        "SpeechRecognizer.SetSpeechConfirmation" => json!({ "speechConfirmation": "NONE" }),
        "SpeechRecognizer.SetEndOfSpeechOffset" => {
            json!({ "endOfSpeechOffsetInMilliseconds": 900, "startOfSpeechTimestamp": "1893456000000" })
        }
        "SpeechSynthesizer.Speak" => json!({
            "url": "cid:speech",
            "format": "AUDIO_MPEG",
            "token": "token",
            "playBehavior": "ENQUEUE",
            "caption": { "content": "WEBVTT", "type": "WEBVTT" },
            "analyzers": [{ "interface": "An.Analyzer", "enabled": "YES" }],
        }),
        "TemplateRuntime.RenderTemplate" => crate::template_runtime::weather(),
        "TemplateRuntime.RenderPlayerInfo" => crate::template_runtime::player_info("item#1"),
        "Alexa.ApiGateway.SetGateway" => json!({ "gateway": "https://gateway.test" }),
        "AudioPlayer.UpdateProgressReportInterval" => json!({ "progressReportIntervalInMilliseconds": 1000 }),
        "AudioPlayer.Play" => json!({
            "playBehavior": "ENQUEUE",
            "playRequestor": { "type": "ALERT", "id": "alert" },
            "audioItem": {
                "audioItemId": "item",
                "stream": {
                    "url": "https://media.test/a",
                    "offsetInMilliseconds": 10,
                    "endOffsetInMilliseconds": 9_000,
                    "progressReport": {
                        "progressReportDelayInMilliseconds": 100,
                        "progressReportIntervalInMilliseconds": 100,
                    },
                    "token": "token",
                    "interruptedBehavior": "PAUSE",
                },
            },
        }),
        _ => json!({}),
    }
}

/// Whether the rules take a payload that the schema does not: a volume of alerts out of range is clamped.
fn is_tolerated(name: &str, wrong: &Value) -> bool {
    matches!(name, "Alerts.SetVolume" | "Alerts.AdjustVolume") && wrong["volume"].is_number()
}

/// Every payload that lacks one required member, or has one number just outside its bounds.
fn wrongs(schema: &Value, right: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    for name in schema["required"].as_array().into_iter().flatten() {
        let mut lacking = right.clone();
        lacking.as_object_mut().unwrap().remove(name.as_str().unwrap()).unwrap();
        found.push(lacking);
    }
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        let Some(member) = right.get(name) else { continue };
        let mut instead = Vec::new();
        if member.is_object() {
            instead = wrongs(inner, member);
        }
        if let Some(minimum) = inner["minimum"].as_i64() {
            instead.push(json!(minimum - 1));
        }
        if let Some(maximum) = inner["maximum"].as_i64() {
            instead.push(json!(maximum as u64 + 1));
        }
        instead.push(json!({ "of another": "kind" }));
        for value in instead {
            let mut wrong = right.clone();
            wrong[name] = value;
            // An object may stand where objects may; only what the schema refuses is wrong.
            if !jsonschema::is_valid(schema, &wrong) {
                found.push(wrong);
            }
        }
    }
    found
}

#[test]
fn every_directive_is_known_and_every_wrong_payload_refused() {
    for namespace in [
        "System",
        "Speaker",
        "AudioPlayer",
        "Alerts",
        "Notifications",
        "InteractionModel",
        "SpeechRecognizer",
        "SpeechSynthesizer",
        "TemplateRuntime",
        "AudioActivityTracker",
        "VisualActivityTracker",
    ] {
        for known in catalogue().interfaces[namespace]["directives"].as_array().unwrap() {
            let name = format!("{namespace}.{}", known["name"].as_str().unwrap());
            if name == "System.Exception" {
                continue;
            }
            let right = right(&name);
            let mut bench = Bench::new();
            let told = bench.directive(&name, right.clone());
            let refused = ["! UNSUPPORTED_OPERATION"];
            assert_eq!(told == refused, NOT_OURS.contains(&name.as_str()), "{name}: {told:?}");
            if told == refused {
                continue;
            }
            assert!(!told.iter().any(|line| line.starts_with('!')), "{name}: {told:?}");
            for wrong in wrongs(&known["payload"], &right) {
                if is_tolerated(&name, &wrong) {
                    continue;
                }
                let mut told = bench.directive(&name, wrong.clone());
                // What is to be told of it besides waits for a connection.
                told.retain(|line| !line.starts_with("store outbox"));
                assert_eq!(told, ["! UNEXPECTED_INFORMATION_RECEIVED"], "{name} {wrong}");
            }
        }
    }
}

/// Every event of listening and speaking.
fn speech(bench: &mut Bench) -> Vec<Vec<String>> {
    let mut told = Vec::new();
    let mut heard = utterance(1, Initiator::Tap);
    heard.energies = Some((1.0, 0.5));
    told.push(bench.signal(Signal::Speech(SpeechNews::Begun(heard))));
    told.push(bench.signal(Signal::Speech(SpeechNews::Ended { id: CaptureId(1) })));
    for token in ["a", "b"] {
        told.push(bench.directive("SpeechSynthesizer.Speak", speak(token)));
    }
    told.push(bench.spoken(1));
    told.push(bench.silent(1));
    told.push(bench.spoken(2));
    told.push(bench.signal(Signal::Wish(Wish::StopForeground)));
    told.push(bench.directive("SpeechRecognizer.ExpectSpeech", json!({ "timeoutInMilliseconds": 1 })));
    told.push(bench.pass(1));
    for name in ["SetWakeWords", "SetWakeWordConfirmation", "SetSpeechConfirmation"] {
        let name = format!("SpeechRecognizer.{name}");
        told.push(bench.directive(&name, right(&name)));
    }
    for wish in [Wish::WakeWords(vec!["ALEXA".into()]), Wish::WakeWordTone(false), Wish::SpeechTone(true)] {
        told.push(bench.signal(Signal::Wish(wish)));
    }
    told
}

#[test]
fn every_event_is_sent_by_somebody() {
    let mut bench = Bench::new();
    let mut names = BTreeSet::new();
    let mut note = |lines: Vec<String>| names.extend(lines.iter().map(|line| word(line).to_owned()));
    note(lines(&bench.input(DeviceInput::Connected)));
    for (name, payload) in [
        ("System.SetLocales", json!({ "locales": ["en-US"] })),
        ("System.SetTimeZone", json!({ "timeZone": "UTC" })),
        ("System.ReportState", json!({})),
        ("AudioPlayer.Play", right("AudioPlayer.Play")),
    ] {
        note(bench.directive(name, payload));
    }
    let volume = antiphon_domain::Volume::MAX;
    let level = antiphon_domain::Level { volume, muted: true };
    let report = antiphon_domain::Report { volume: true, mute: true };
    note(bench.signal(Signal::Levels { level, report }));
    note(bench.signal(Signal::Wish(Wish::Locales(vec!["de-DE".into()]))));
    note(bench.signal(Signal::Wish(Wish::TimeZone("Europe/Berlin".into()))));
    note(bench.started(1));
    note(bench.pass(500));
    let update = json!({ "progressReportIntervalInMilliseconds": 1000 });
    note(bench.directive("AudioPlayer.UpdateProgressReportInterval", update));
    let at = bench.now;
    for news in [
        PlayerNews::Title("title".into()),
        PlayerNews::Stalled { at },
        PlayerNews::Recovered { at },
        PlayerNews::Paused { offset: Duration::ZERO },
        PlayerNews::Resumed { at },
        PlayerNews::Buffered,
        PlayerNews::Finished,
    ] {
        note(bench.news(1, news));
    }
    note(bench.directive("AudioPlayer.Play", right("AudioPlayer.Play")));
    note(bench.started(2));
    note(bench.directive("AudioPlayer.Stop", json!({})));
    note(bench.directive("AudioPlayer.Play", right("AudioPlayer.Play")));
    let error = MediaError { kind: MediaErrorKind::Unknown, message: String::new() };
    note(bench.news(3, PlayerNews::Failed(error)));
    note(bench.directive("AudioPlayer.ClearQueue", json!({})));
    note(bench.directive("No.Such", json!({})));
    for lines in speech(&mut bench) {
        note(lines);
    }
    note(bench.pass(3_600_000));
    // Built for the connection, not sent by the machine.
    names.insert("SynchronizeState".into());
    for namespace in ["System", "Speaker", "AudioPlayer", "SpeechRecognizer", "SpeechSynthesizer"] {
        for event in catalogue().interfaces[namespace]["events"].as_array().unwrap() {
            let name = event["name"].as_str().unwrap();
            assert!(names.contains(name), "nothing sent {namespace}.{name}");
        }
    }
}

fn word(line: &str) -> &str {
    match line.split(' ').next() {
        Some("!") | None => "ExceptionEncountered",
        Some(word) => word,
    }
}
