//! The table of interfaces in the README is made from what a device declares and knows, and from the catalogue of AVS's
//! messages; nothing of the catalogue is missing from it. `ANTIPHON_WRITE_README=1 cargo test --test readme` writes it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use antiphon_avs::device::{Device, DeviceConfig};
use serde_json::Value;

const BEGIN: &str = "<!-- interfaces: made by tests/readme.rs -->\n";
const END: &str = "<!-- end of interfaces -->\n";

/// What the catalogue lists among the directives and the connection takes, before a device sees it (`avs::session`); and
/// what it is.
const OF_THE_CONNECTION: [(&str, &str, &str); 2] =
    [("System", "Exception", "error body"), ("System", "SetEndpoint", "legacy")];

/// What no device declares, and why.
const UNDECLARED: [(&str, &str); 2] = [
    ("Alexa.Discovery", "carries the declaration; is none itself"),
    ("WholeHomeAudio", "not declared: needs Amazon's library. Groups are Antiphon's own"),
];

fn root(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Interfaces of the catalogue in its order: namespace, version, directives, events.
fn catalogue() -> Vec<(String, String, Vec<String>, Vec<String>)> {
    let mut all = Vec::new();
    for part in ["a", "b"] {
        let file = root(&format!("crates/simulator/catalogue/messages-{part}.json"));
        let text = std::fs::read_to_string(file).expect("the catalogue");
        let part: Value = serde_json::from_str(&text).expect("JSON");
        for interface in part["interfaces"].as_array().expect("interfaces") {
            let text = |key: &str| interface[key].as_str().expect("a text").to_owned();
            let names = |key: &str| {
                let messages = interface[key].as_array().expect("messages").iter();
                messages.map(|m| m["name"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
            };
            all.push((text("namespace"), text("version"), names("directives"), names("events")));
        }
    }
    assert!(all.len() >= 20, "the catalogue has only {} interfaces", all.len());
    all
}

/// What a device of this configuration declares: namespace -> version, directives.
fn known(
    change: impl FnOnce(&mut DeviceConfig),
) -> BTreeMap<&'static str, (&'static str, Vec<&'static str>)> {
    let mut config = DeviceConfig::default();
    change(&mut config);
    let known = Device::new(config).known().into_iter();
    known.map(|(namespace, version, directives)| (namespace, (version, directives))).collect()
}

/// What the connection takes such a message for, where it does not go to a device.
fn of_the_connection(namespace: &str, directive: &str) -> Option<&'static str> {
    let found = OF_THE_CONNECTION.iter().find(|(of, name, _)| (*of, *name) == (namespace, directive));
    found.map(|(_, _, what)| *what)
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

fn table() -> String {
    let usual = known(|_| {});
    let legacy = known(|config| config.legacy = true);
    let radio = known(|config| config.bluetooth = true);
    let inputs = known(|config| config.inputs = vec![("LINE 1".into(), vec!["line".into()])]);
    let mut text =
        String::from("| interface | version | declared | directives | events |\n|---|---|---|---|---|\n");
    let mut rows = 0;
    for (namespace, version, directives, events) in catalogue() {
        let name = namespace.as_str();
        let found = [&usual, &legacy, &radio, &inputs].into_iter().find_map(|known| known.get(name));
        let declared = match (usual.contains_key(name), legacy.contains_key(name)) {
            (true, true) => "always",
            (true, false) => "with `stack = \"modern\"` (default)",
            (false, true) => "with `stack = \"legacy\"` alone: the modern one forbids it",
            _ if radio.contains_key(name) => "for the speaker with `bluetooth = true`, where an adapter is",
            _ if inputs.contains_key(name) => "where `[[inputs]]` are configured",
            _ => {
                let why = UNDECLARED.iter().find(|(of, _)| *of == name);
                why.unwrap_or_else(|| panic!("no device declares {name}, and nobody says why")).1
            }
        };
        if let Some((_, knows)) = found {
            for directive in &directives {
                let elsewhere = of_the_connection(name, directive).is_some();
                assert!(
                    elsewhere || knows.contains(&directive.as_str()),
                    "the device does not know {name}.{directive}"
                );
            }
        }
        let version = found.map_or(version.as_str(), |(version, _)| version);
        let marked = |directive: &String| match of_the_connection(name, directive) {
            Some(what) => format!("{directive} ({what})"),
            None => directive.clone(),
        };
        let directives: Vec<String> = directives.iter().map(marked).collect();
        let (directives, events) = (list(&directives), list(&events));
        text.push_str(&format!("| {name} | {version} | {declared} | {directives} | {events} |\n"));
        rows += 1;
    }
    let names: Vec<String> = catalogue().into_iter().map(|(namespace, ..)| namespace).collect();
    for known in [&usual, &legacy, &radio, &inputs] {
        for namespace in known.keys() {
            assert!(names.iter().any(|n| n == namespace), "{namespace} is declared and in no catalogue");
        }
    }
    assert_eq!(rows, names.len());
    text
}

#[test]
fn the_table_of_interfaces_is_true_and_whole() {
    let file = root("README.md");
    let readme = std::fs::read_to_string(&file).expect("the README");
    let (before, rest) = readme.split_once(BEGIN).expect("the table begins");
    let (shown, after) = rest.split_once(END).expect("the table ends");
    let table = table();
    if std::env::var_os("ANTIPHON_WRITE_README").is_some() {
        std::fs::write(&file, format!("{before}{BEGIN}{table}{END}{after}")).expect("written");
        return;
    }
    assert_eq!(
        shown, table,
        "README.md: ANTIPHON_WRITE_README=1 cargo test --test readme writes the table anew"
    );
}

#[test]
fn both_readings_of_the_catalogue_are_one() {
    for part in ["a", "b"] {
        let read = |place: &str| {
            std::fs::read_to_string(root(&format!("{place}/messages-{part}.json"))).expect("the catalogue")
        };
        assert_eq!(read("crates/simulator/catalogue"), read("crates/avs/tests/catalogue"));
    }
}
