//! The message catalogue: what AVS says its messages look like.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use antiphon_avs::device::{Device, DeviceConfig};
use antiphon_avs::message::Event;
use jsonschema::Validator;
use serde_json::{Value, json};

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
    let inputs = vec![("LINE 1".into(), vec!["Turntable".into()])];
    let config = DeviceConfig { inputs, bluetooth: true, ..Default::default() };
    for object in Device::new(config).capabilities() {
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
