//! The whole catalogue, directive by directive: what is right is not refused, with strange keys and without optional
//! ones; what lacks a required member or crosses a bound is answered by ExceptionEncountered of the right type.

use antiphon_avs::device::{DeviceConfig, DeviceInput};
use serde_json::{Value, json};

use crate::catalogue::directives;
use crate::support::Bench;

const UNEXPECTED: &str = "! UNEXPECTED_INFORMATION_RECEIVED";
const UNSUPPORTED: &str = "! UNSUPPORTED_OPERATION";

/// What the rules take although the schema does not: directive, where in the payload, kind of fault (empty: any), why.
const TAKEN: [(&str, &str, &str, &str); 16] = [
    ("AudioPlayer.Play", "playBehavior", "enum", "unknown is ENQUEUE"),
    ("AudioPlayer.Play", "audioItem.stream.interruptedBehavior", "enum", "unknown is PAUSE"),
    ("AudioPlayer.Play", "audioItem.stream.streamFormat", "enum", "concerns attachments only"),
    ("AudioPlayer.Play", "audioItem.stream.expiryTime", "", "ignored, as in the reference client"),
    ("AudioPlayer.Play", "audioItem.stream.caption", "", "its one type need not be said"),
    ("AudioPlayer.Play", "audioItem.stream.httpHeaders", "", "what may not be sent is dropped"),
    ("AudioPlayer.Play", "audioItem.normalizationLevel", "", "ignored: undocumented"),
    ("AudioPlayer.Play", "analyzers", "", "to ignore them is safe"),
    ("Alexa.ApiGateway.SetGateway", "", "", "the session reads it"),
    ("System.SetEndpoint", "", "", "the session reads it"),
    ("Alerts.SetVolume", "volume", "bound", "clamped"),
    ("Alerts.AdjustVolume", "volume", "bound", "clamped"),
    ("Bluetooth.ConnectByProfile", "profile.version", "", "only the name tells profiles apart"),
    ("Alerts.SetAlert", "assets", "", "whatever is wrong with its tones, an alert rings"),
    ("Alerts.SetAlert", "assetPlayOrder", "", "the same"),
    ("Alerts.SetAlert", "backgroundAlertAsset", "", "the same"),
];

fn bench(directive: &str) -> Bench {
    let mut bench = Bench::with(DeviceConfig {
        legacy: directive == "System.SetEndpoint",
        inputs: vec![("LINE 1".into(), vec!["Turntable".into()])],
        bluetooth: true,
        microphone: true,
        ..Default::default()
    });
    bench.input(DeviceInput::Connected);
    bench
}

/// Samples by hand, where the schema alone gives nonsense.
fn by_hand(name: &str) -> Option<Value> {
    Some(match name {
        "EqualizerController.SetBands" => json!({ "bands": [{ "name": "BASS", "level": 1 }] }),
        "EqualizerController.AdjustBands" => {
            json!({ "bands": [{ "name": "BASS", "levelDirection": "UP", "levelDelta": 1 }] })
        }
        "EqualizerController.ResetBands" => json!({ "bands": [{ "name": "BASS" }] }),
        "SpeechRecognizer.SetWakeWords" => json!({ "wakeWords": ["ECHO"] }),
        "Alexa.InputController.SelectInput" => json!({ "input": "LINE 1" }),
        "Alerts.SetAlert" => json!({
            "token": "alert",
            "type": "ALARM",
            "scheduledTime": "2030-01-01T01:00:00+0000",
            "assets": [{ "assetId": "bell", "url": "https://media.test/bell" }],
            "assetPlayOrder": ["bell"],
            "backgroundAlertAsset": "bell",
            "loopCount": 2,
            "loopPauseInMilliSeconds": 100,
            "label": "pasta",
        }),
        _ => return None,
    })
}

/// A payload with everything the schema knows.
fn sample(schema: &Value) -> Value {
    if let Some(first) = schema["enum"].get(0).or(schema["examples"].get(0)) {
        return first.clone();
    }
    let kind = match &schema["type"] {
        Value::Array(several) => several[0].as_str().unwrap(),
        one => one.as_str().unwrap_or("object"),
    };
    match kind {
        "string" => match schema["pattern"].as_str() {
            Some("^https://") => json!("https://gateway.test"),
            Some("^cid:.+") => json!("cid:part"),
            Some(pattern) if pattern.starts_with("^[0-9]{4}-") => json!("2030-01-01T01:00:00+0000"),
            Some(pattern) if pattern.starts_with("^[a-z]{2,3}-") => json!("en-US"),
            Some(pattern) => panic!("no sample for {pattern}"),
            None if schema["description"].as_str().is_some_and(|text| text.starts_with("http(s)")) => {
                json!("https://media.test/a")
            }
            None => json!("text"),
        },
        "integer" => json!(schema["minimum"].as_i64().unwrap_or(1)),
        "number" => json!(1.5),
        "boolean" => json!(true),
        "array" => json!([sample(&schema["items"])]),
        _ => {
            let members = schema["properties"].as_object().into_iter().flatten();
            Value::Object(members.map(|(name, inner)| (name.clone(), sample(inner))).collect())
        }
    }
}

/// The same with keys nobody knows, in every object.
fn with_strangers(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(with_strangers).collect(),
        Value::Object(members) => {
            let mut more: serde_json::Map<_, _> =
                members.iter().map(|(name, inner)| (name.clone(), with_strangers(inner))).collect();
            more.insert("fromTheFuture".into(), json!({ "any": [1, null, "thing"] }));
            Value::Object(more)
        }
        other => other.clone(),
    }
}

/// The same without what is optional.
fn bare(schema: &Value, value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(|item| bare(&schema["items"], item)).collect(),
        Value::Object(members) if schema["properties"].is_object() => {
            let required = schema["required"].as_array().cloned().unwrap_or_default();
            let kept = members.iter().filter(|(name, _)| required.contains(&json!(name)));
            Value::Object(
                kept.map(|(name, inner)| (name.clone(), bare(&schema["properties"][name], inner))).collect(),
            )
        }
        other => other.clone(),
    }
}

struct Wrong {
    path: String,
    kind: &'static str,
    payload: Value,
}

/// Every payload with one fault that the schema sees.
fn wrongs(schema: &Value, right: &Value) -> Vec<Wrong> {
    let mut found = Vec::new();
    spoil(schema, right, "", &mut |path, kind, payload| {
        if !jsonschema::is_valid(schema, &payload) {
            found.push(Wrong { path: path.into(), kind, payload });
        }
    });
    found
}

fn spoil(schema: &Value, right: &Value, path: &str, found: &mut dyn FnMut(&str, &'static str, Value)) {
    found(path, "type", if right.is_object() { json!(7) } else { json!({ "of another": "kind" }) });
    for (key, step) in [("minimum", -1), ("maximum", 1)] {
        if let Some(bound) = schema[key].as_i64().and_then(|bound| bound.checked_add(step)) {
            found(path, "bound", json!(bound));
        }
    }
    if schema["enum"].is_array() {
        found(path, "enum", json!("UNHEARD_OF"));
    }
    if schema["minLength"].is_number() {
        found(path, "bound", json!(""));
    }
    if schema["pattern"].is_string() {
        found(path, "pattern", json!("\u{1f415}"));
    }
    if schema["minItems"].is_number() {
        found(path, "bound", json!([]));
    }
    if let Some(items) = right.as_array() {
        if schema["uniqueItems"] == true {
            found(path, "bound", json!([items[0], items[0]]));
        }
        for (index, item) in items.iter().enumerate() {
            spoil(&schema["items"], item, path, &mut |path, kind, inner| {
                let mut whole = right.clone();
                whole[index] = inner;
                found(path, kind, whole);
            });
        }
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        let mut whole = right.clone();
        if let Some(members) = whole.as_object_mut() {
            members.remove(name.as_str().unwrap());
            found(&joined(path, name.as_str().unwrap()), "missing", whole);
        }
    }
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        let Some(member) = right.get(name) else { continue };
        spoil(inner, member, &joined(path, name), &mut |path, kind, inner| {
            let mut whole = right.clone();
            whole[name] = inner;
            found(path, kind, whole);
        });
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.into() } else { format!("{path}.{name}") }
}

fn refusals(told: &[String]) -> Vec<&str> {
    told.iter().map(String::as_str).filter(|line| line.starts_with('!')).collect()
}

#[test]
fn every_directive_of_the_catalogue() {
    let mut undeclared = Vec::new();
    let mut taken = [0; TAKEN.len()];
    let mut amiss = Vec::new();
    let (mut rights, mut faults) = (0, 0);
    for (name, schema) in directives() {
        // The body of an HTTP error, not a directive.
        if name == "System.Exception" {
            continue;
        }
        let right = by_hand(&name).unwrap_or_else(|| sample(&schema));
        assert!(jsonschema::is_valid(&schema, &right), "{name}: the sample {right} is wrong");
        let namespace = name.rsplit_once('.').unwrap().0;
        let declared = |object: &Value| object["interface"] == namespace;
        if !bench(&name).device.capabilities().iter().any(declared) {
            undeclared.push(name);
            continue;
        }
        let mut least = bare(&schema, &right);
        if name == "Notifications.SetIndicator" {
            // With a sound it needs one.
            least["playAudioIndicator"] = json!(false);
        }
        for payload in [right.clone(), with_strangers(&right), least] {
            rights += 1;
            let mut bench = bench(&name);
            let told = bench.directive(&name, payload.clone());
            if !refusals(&told).is_empty() || bench.device.counts().handled != 1 {
                amiss.push(format!("{name}, right, {payload}: {told:?}"));
            }
        }
        for wrong in wrongs(&schema, &right) {
            faults += 1;
            let Wrong { path, kind, payload } = wrong;
            let told = bench(&name).directive(&name, payload.clone());
            if refusals(&told) == [UNEXPECTED] {
                continue;
            }
            let row = TAKEN.iter().position(|(directive, place, fault, _)| {
                let here = path == *place || path.starts_with(&format!("{place}.")) || place.is_empty();
                let fits = fault.is_empty() || *fault == kind;
                name.starts_with(directive) && here && fits
            });
            let Some(row) = row.filter(|_| refusals(&told).is_empty()) else {
                amiss.push(format!("{name}, {path} {kind}, {payload}: {told:?}"));
                continue;
            };
            taken[row] += 1;
        }
    }
    println!("{rights} right payloads, {faults} faults; not declared: {undeclared:?}");
    for ((directive, path, _, why), count) in TAKEN.iter().zip(taken) {
        println!("{directive} {path}: {why}, {count} times");
        let there = !undeclared.iter().any(|name| name.starts_with(directive));
        if there && count == 0 {
            amiss.push(format!("{directive} {path}: nothing is taken that should not be"));
        }
    }
    assert!(amiss.is_empty(), "{amiss:#?}");
}

#[test]
fn what_no_catalogue_knows_is_unsupported() {
    let mut namespaces: Vec<String> =
        directives().iter().map(|(name, _)| name.rsplit_once('.').unwrap().0.into()).collect();
    namespaces.extend(["WholeHomeAudio".into(), "Alexa.Discovery".into(), "".into(), "No.Such".into()]);
    for namespace in namespaces {
        let name = format!("{namespace}.NoSuch");
        assert_eq!(bench(&name).directive(&name, json!({})), [UNSUPPORTED], "{name}");
    }
    // Part of System 1.4 alone.
    let gateway = json!({ "endpoint": "https://gateway.test" });
    assert_eq!(bench("").directive("System.SetEndpoint", gateway), [UNSUPPORTED]);
}
