//! Owns the judgement of one event: its parts, its envelope, its payload and its context against the rules and the
//! catalogue. Pure; `events` gathers what arrived, asks here, and acts on the verdict.

use serde_json::{Map, Value};

use crate::catalogue::Catalogue;
use crate::state::Declared;

/// Header fields an event may carry.
const HEADER_KEYS: [&str; 7] = [
    "namespace",
    "name",
    "messageId",
    "dialogRequestId",
    "instance",
    "payloadVersion",
    "eventCorrelationToken",
];

/// One part of a multipart body, with its data only as far as it is metadata.
#[derive(Debug, Default)]
pub(crate) struct PartSeen {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) bytes: u64,
}

impl PartSeen {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The `name` parameter of Content-Disposition.
    pub(crate) fn name(&self) -> String {
        let disposition = self.header("content-disposition").unwrap_or_default();
        crate::multipart::parameter(disposition, "name").unwrap_or_default()
    }
}

/// Checks which parts there are, their order and headers (connection.md of the AVS pages: "Structure an HTTP/2
/// Request": metadata first, an optional wake word part, audio last).
pub(crate) fn check_parts(parts: &[PartSeen], faults: &mut Vec<String>) {
    let names: Vec<String> = parts.iter().map(PartSeen::name).collect();
    let known = matches!(
        names.iter().map(String::as_str).collect::<Vec<_>>()[..],
        ["metadata"] | ["metadata", "audio"] | ["metadata", "wakewordEngineMetadata", "audio"]
    );
    if !known {
        faults.push(format!("parts {names:?} instead of metadata[, wakewordEngineMetadata][, audio]"));
    }
    for (part, name) in parts.iter().zip(&names) {
        let disposition = part.header("content-disposition").unwrap_or_default();
        if !disposition.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("form-data") {
            faults.push(format!("part {name:?}: Content-Disposition is not form-data"));
        }
        let kind = part.header("content-type").unwrap_or_default();
        let bare = kind.split(';').next().unwrap_or_default().trim();
        let wanted = if name == "metadata" { "application/json" } else { "application/octet-stream" };
        if !bare.eq_ignore_ascii_case(wanted) {
            faults.push(format!("part {name:?}: Content-Type {kind:?} instead of {wanted}"));
        }
        if name == "audio" && part.bytes == 0 {
            faults.push("part \"audio\" is empty".to_owned());
        }
    }
}

/// Checks `{"context":…,"event":…}`; `declared` is what the device has declared so far.
pub(crate) fn check_message(
    message: &Value,
    catalogue: &Catalogue,
    declared: Option<&Declared>,
    faults: &mut Vec<String>,
) {
    let Some(object) = message.as_object() else {
        faults.push("the metadata is not a JSON object".to_owned());
        return;
    };
    only(object, &["context", "event"], "", faults);
    let Some(event) = object.get("event").and_then(Value::as_object) else {
        faults.push("event is missing".to_owned());
        return;
    };
    only(event, &["header", "endpoint", "payload"], "event.", faults);
    if let Some(endpoint) = event.get("endpoint")
        && endpoint["endpointId"].as_str().is_none_or(str::is_empty)
    {
        faults.push("event.endpoint has no endpointId".to_owned());
    }
    let Some(header) = event.get("header").and_then(Value::as_object) else {
        faults.push("event.header is missing".to_owned());
        return;
    };
    only(header, &HEADER_KEYS, "event.header.", faults);
    for (key, value) in header {
        if value.as_str().is_none_or(str::is_empty) {
            faults.push(format!("event.header.{key} is not a text"));
        }
    }
    for key in ["namespace", "name", "messageId"] {
        if !header.contains_key(key) {
            faults.push(format!("event.header.{key} is missing"));
        }
    }
    let namespace = header.get("namespace").and_then(Value::as_str).unwrap_or_default();
    let name = header.get("name").and_then(Value::as_str).unwrap_or_default();
    let Some(rule) = catalogue.event(namespace, name) else {
        faults.push(format!("no event {namespace}.{name}"));
        return;
    };
    match event.get("payload") {
        Some(payload) => rule.payload.check(payload, "payload", faults),
        None => faults.push("event.payload is missing".to_owned()),
    }
    // Discovery is implicit and never listed; everything else used must have been declared.
    if let Some(declared) = declared
        && namespace != "Alexa.Discovery"
        && !declared.interfaces.contains_key(namespace)
    {
        faults.push(format!("{namespace} was not declared"));
    }
    check_special(namespace, name, header, faults);
    match object.get("context") {
        None if rule.requires_context => faults.push("context is missing".to_owned()),
        None => {}
        Some(Value::Array(entries)) => {
            // The reference client reports exceptions with an empty context, so completeness is not asked there.
            let whole = rule.requires_context && name != "ExceptionEncountered";
            check_context(entries, whole, catalogue, declared, faults);
        }
        Some(_) => faults.push("context is not an array".to_owned()),
    }
}

fn check_special(namespace: &str, name: &str, header: &Map<String, Value>, faults: &mut Vec<String>) {
    if namespace == "Alexa.Discovery" {
        if header.get("payloadVersion").and_then(Value::as_str) != Some("3") {
            faults.push("payloadVersion \"3\" is missing".to_owned());
        }
        if !header.contains_key("eventCorrelationToken") {
            faults.push("eventCorrelationToken is missing".to_owned());
        }
    }
    if namespace == "SpeechRecognizer" && name == "Recognize" && !header.contains_key("dialogRequestId") {
        faults.push("Recognize without dialogRequestId".to_owned());
    }
}

fn check_context(
    entries: &[Value],
    whole: bool,
    catalogue: &Catalogue,
    declared: Option<&Declared>,
    faults: &mut Vec<String>,
) {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for entry in entries {
        let namespace = entry["header"]["namespace"].as_str().unwrap_or_default();
        let name = entry["header"]["name"].as_str().unwrap_or_default();
        let path = format!("context {namespace}.{name}");
        if let Some(object) = entry.as_object() {
            only(object, &["header", "payload"], "context.", faults);
        }
        if let Some(header) = entry["header"].as_object() {
            only(header, &["namespace", "name"], "context.header.", faults);
        }
        match catalogue.state(namespace, name) {
            Some(schema) => schema.check(&entry["payload"], &path, faults),
            None => faults.push(format!("{path}: no such state")),
        }
        if seen.contains(&(namespace, name)) {
            faults.push(format!("{path}: given twice"));
        }
        seen.push((namespace, name));
        if declared.is_some_and(|declared| !declared.interfaces.contains_key(namespace)) {
            faults.push(format!("{path}: its interface was not declared"));
        }
    }
    let Some(declared) = declared.filter(|_| whole) else { return };
    for (namespace, name) in catalogue.states() {
        let Some(version) = declared.interfaces.get(namespace) else { continue };
        // RecognizerState went away with SpeechRecognizer 2.3.
        let gone = name == "RecognizerState" && older(version, (2, 3)).is_none_or(|older| !older);
        // The trackers leave theirs out while nothing is active (AVS Device SDK).
        let idle = name == "ActivityState";
        if !gone && !idle && !seen.contains(&(namespace, name)) {
            faults.push(format!("context {namespace}.{name} is missing"));
        }
    }
}

fn older(version: &str, than: (u32, u32)) -> Option<bool> {
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?) < than)
}

fn only(object: &Map<String, Value>, allowed: &[&str], path: &str, faults: &mut Vec<String>) {
    for key in object.keys().filter(|key| !allowed.contains(&key.as_str())) {
        faults.push(format!("{path}{key}: unknown key"));
    }
}

/// The interfaces named in a list of capability objects; a fault for each that is not one.
pub(crate) fn capabilities(
    list: &Value,
    faults: &mut Vec<String>,
) -> std::collections::BTreeMap<String, String> {
    let mut interfaces = std::collections::BTreeMap::new();
    let items = list.as_array().map_or(&[][..], Vec::as_slice);
    if items.is_empty() {
        faults.push("capabilities: an array with at least one entry was expected".to_owned());
    }
    for item in items {
        let (interface, version) = (item["interface"].as_str(), item["version"].as_str());
        match (item["type"].as_str(), interface, version) {
            (Some("AlexaInterface"), Some(interface), Some(version))
                if !interface.is_empty() && !version.is_empty() =>
            {
                if interface == "Alexa.Discovery" {
                    faults.push("capabilities: Alexa.Discovery must not list itself".to_owned());
                }
                if interfaces.insert(interface.to_owned(), version.to_owned()).is_some() {
                    faults.push(format!("capabilities: {interface} is listed twice"));
                }
            }
            _ => faults.push(format!("capabilities: {item} lacks type, interface or version")),
        }
        if item.get("configurations").is_some_and(|configurations| !configurations.is_object()) {
            faults.push("capabilities: configurations is not an object".to_owned());
        }
    }
    interfaces
}

/// What the Discovery way of declaring asks for and forbids ("Alexa.Discovery", "About AVS Versions").
pub(crate) fn modern(interfaces: &std::collections::BTreeMap<String, String>, faults: &mut Vec<String>) {
    for (interface, least) in [("System", (2, 0)), ("Alexa.ApiGateway", (1, 0)), ("InteractionModel", (1, 2))]
    {
        let old = interfaces.get(interface).and_then(|version| older(version, least));
        if old != Some(false) {
            faults.push(format!("capabilities: {interface} of at least {}.{} is missing", least.0, least.1));
        }
    }
    if interfaces.contains_key("Settings") {
        faults.push("capabilities: Settings goes with the Capabilities API only".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn judge(message: Value, declared: &[(&str, &str)]) -> Vec<String> {
        let interfaces = declared.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let declared = (!declared.is_empty()).then_some(Declared { modern: true, interfaces });
        let mut faults = Vec::new();
        check_message(&message, &Catalogue::load().unwrap(), declared.as_ref(), &mut faults);
        faults
    }

    fn event(namespace: &str, name: &str, payload: Value) -> Value {
        json!({"event":{"header":{"namespace":namespace,"name":name,"messageId":"m"},"payload":payload}})
    }

    #[test]
    fn a_volume_changed_is_judged() {
        let good = event("Speaker", "VolumeChanged", json!({"volume":40,"muted":false}));
        assert!(judge(good.clone(), &[("Speaker", "1.0")]).is_empty());
        assert_eq!(judge(good.clone(), &[("System", "2.0")]), ["Speaker was not declared"]);
        let mut stray = good;
        stray["event"]["header"]["extra"] = json!("x");
        assert_eq!(judge(stray, &[]), ["event.header.extra: unknown key"]);
        assert_eq!(judge(event("Speaker", "Loud", json!({})), &[]), ["no event Speaker.Loud"]);
    }

    #[test]
    fn a_synchronise_state_must_be_whole() {
        let mut message = event("System", "SynchronizeState", json!({}));
        assert_eq!(judge(message.clone(), &[]), ["context is missing"]);
        message["context"] = json!([]);
        let declared = [("System", "2.0"), ("Speaker", "1.0")];
        assert_eq!(judge(message.clone(), &declared), ["context Speaker.VolumeState is missing"]);
        let state = json!({"header":{"namespace":"Speaker","name":"VolumeState"},
            "payload":{"volume":40,"muted":false}});
        message["context"] = json!([state]);
        assert!(judge(message.clone(), &declared).is_empty());
        message["context"] = json!([state, state]);
        assert_eq!(judge(message, &declared), ["context Speaker.VolumeState: given twice"]);
    }
}
