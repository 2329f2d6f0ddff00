//! The house's rules, executable: arrows by manifest, purity of the lower rows, short rooms, every kind listed.
#![allow(clippy::expect_used)] // a test that cannot set the stage has failed

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each crate and the crates of ours it may name (ARCHITECTURE.md, "Arrows").
const ARROWS: &[(&str, &[&str])] = &[
    ("antiphon-domain", &[]),
    ("antiphon-avs", &["antiphon-domain"]),
    ("antiphon-audio", &["antiphon-domain"]),
    ("antiphon-endpoint", &["antiphon-domain", "antiphon-audio"]),
    ("antiphon-link", &["antiphon-domain", "antiphon-avs"]),
    ("antiphon-render", &["antiphon-domain", "antiphon-audio", "antiphon-endpoint"]),
    ("antiphon-discovery", &["antiphon-domain", "antiphon-endpoint", "antiphon-net"]),
    ("antiphon-store", &["antiphon-domain"]),
    ("antiphon-bluetooth", &["antiphon-domain"]),
    ("antiphon-airplay", &["antiphon-domain", "antiphon-audio", "antiphon-endpoint", "antiphon-net"]),
    ("antiphon-host", &["antiphon-domain", "antiphon-audio", "antiphon-endpoint"]),
    ("antiphon-net", &[]),
    ("antiphon-rtp", &["antiphon-domain", "antiphon-audio", "antiphon-endpoint", "antiphon-net"]),
    ("antiphon-sendspin", &["antiphon-domain", "antiphon-audio", "antiphon-endpoint", "antiphon-net"]),
    ("antiphon-snapcast", &["antiphon-domain", "antiphon-audio", "antiphon-endpoint", "antiphon-net"]),
    ("antiphon-simulator", &[]),
    (
        "antiphon-actors",
        &[
            "antiphon-domain",
            "antiphon-avs",
            "antiphon-audio",
            "antiphon-endpoint",
            "antiphon-link",
            "antiphon-render",
            "antiphon-discovery",
            "antiphon-store",
        ],
    ),
];

/// Outside packages with a home, and the crates that may name them.
const HOMES: &[(&str, &[&str])] = &[
    ("actix", &["antiphon-actors", "antiphon"]),
    ("actix-web", &["antiphon"]),
    ("h2", &["antiphon-link", "antiphon-simulator"]),
    ("rustls", &["antiphon-link", "antiphon-simulator", "antiphon"]),
    ("mdns-sd", &["antiphon-discovery"]),
    ("rusqlite", &["antiphon-store"]),
    ("zbus", &["antiphon-bluetooth"]),
    ("gstreamer", &["antiphon-render", "antiphon-host", "antiphon-rtp"]),
];

/// The pure rows: no runtime, no sockets, no clock.
const PURE: &[&str] = &["crates/domain", "crates/avs", "crates/audio", "crates/endpoint"];
const IMPURE_PACKAGES: &[&str] =
    &["tokio", "h2", "rustls", "gstreamer", "actix", "mdns-sd", "rusqlite", "reqwest", "zbus"];
const IMPURE_WORDS: &[&str] = &[
    "Instant::now",
    "SystemTime::now",
    "std::net::Tcp",
    "std::net::Udp",
    "std::fs",
    "std::thread",
    "tokio::",
];

/// Files up to about 400 lines; beyond this it is two ideas.
const LONGEST: usize = 450;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every manifest of the workspace: folder and parsed file.
fn manifests() -> Vec<(PathBuf, toml::Table)> {
    let mut found = Vec::new();
    for folder in ["", "actors", "crates", "crates/endpoints"] {
        let folder = root().join(folder);
        let children = fs::read_dir(&folder).expect("a folder of the project").flatten().map(|e| e.path());
        for place in std::iter::once(folder.clone()).chain(children) {
            let manifest = place.join("Cargo.toml");
            let known = found.iter().any(|(p, _): &(PathBuf, toml::Table)| p == &place);
            if manifest.is_file() && !known && !place.ends_with("fuzz") {
                let text = fs::read_to_string(&manifest).expect("readable");
                found.push((place, text.parse().expect("a manifest")));
            }
        }
    }
    found
}

fn name(manifest: &toml::Table) -> &str {
    manifest["package"]["name"].as_str().expect("a package name")
}

/// The dependencies of a manifest; tests may name more.
fn dependencies(manifest: &toml::Table) -> BTreeSet<String> {
    manifest
        .get("dependencies")
        .and_then(toml::Value::as_table)
        .map(|t| t.keys().cloned().collect())
        .unwrap_or_default()
}

/// Every Rust source below a folder.
fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let hidden = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.') || n == "target");
        if path.is_dir() && !hidden {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

#[test]
fn arrows_point_down() {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    for (place, manifest) in manifests() {
        let name = name(&manifest);
        if name == "antiphon" {
            continue;
        }
        let may =
            allowed.get(name).unwrap_or_else(|| panic!("{} has no row here: give it one", place.display()));
        for dependency in dependencies(&manifest).iter().filter(|d| d.starts_with("antiphon-")) {
            assert!(may.contains(&dependency.as_str()), "{name} must not name {dependency}");
        }
    }
}

#[test]
fn packages_stay_at_home() {
    for (_, manifest) in manifests() {
        let dependencies = dependencies(&manifest);
        for (package, homes) in HOMES {
            let lives = dependencies.contains(*package);
            assert!(
                !lives || homes.contains(&name(&manifest)),
                "{} is no home of {package}",
                name(&manifest)
            );
        }
    }
}

#[test]
fn the_lower_rows_are_pure() {
    for folder in PURE {
        let text = fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("a manifest");
        let dependencies = dependencies(&text.parse().expect("a manifest"));
        for package in IMPURE_PACKAGES {
            assert!(!dependencies.contains(*package), "{folder} must not name {package}");
        }
        assert!(root().join(folder).join("clippy.toml").is_file(), "{folder} has its own clippy.toml");
    }
    let mut all = Vec::new();
    PURE.iter().for_each(|folder| sources(&root().join(folder).join("src"), &mut all));
    // What speaks a protocol without I/O says so by its name, in every row.
    let mut endpoints = Vec::new();
    sources(&root().join("crates/endpoints"), &mut endpoints);
    all.extend(
        endpoints
            .into_iter()
            .filter(|p| p.components().any(|c| c.as_os_str().to_string_lossy().starts_with("wire"))),
    );
    for file in all {
        // The conformance suite drives real endpoints; it is compiled for tests only.
        if file.ends_with("endpoint/src/conformance.rs")
            || file.components().any(|c| c.as_os_str() == "conformance")
        {
            continue;
        }
        let text = fs::read_to_string(&file).expect("readable");
        let code: Vec<&str> = text.lines().filter(|l| !l.trim_start().starts_with("//")).collect();
        for word in IMPURE_WORDS {
            let found = code.iter().any(|line| line.contains(word));
            assert!(!found, "{} must not use {word}", file.display());
        }
    }
}

#[test]
fn rooms_are_short() {
    let mut all = Vec::new();
    sources(&root(), &mut all);
    assert!(all.len() > 50, "the sources were found");
    for file in all {
        let lines = fs::read_to_string(&file).expect("readable").lines().count();
        assert!(lines <= LONGEST, "{} has {lines} lines: which two ideas live in it?", file.display());
    }
}

#[test]
fn every_kind_is_listed() {
    let list = fs::read_to_string(root().join("src/kinds.rs")).expect("the list");
    for (place, manifest) in manifests() {
        if place.parent().is_some_and(|p| p.ends_with("endpoints")) {
            let krate = name(&manifest).replace('-', "_");
            assert!(list.contains(&krate), "src/kinds.rs does not list {krate}");
        }
    }
}

#[test]
fn every_interface_is_listed() {
    let folder = root().join("crates/avs/src/interfaces");
    let list = fs::read_to_string(folder.join("mod.rs")).expect("the list");
    for entry in fs::read_dir(folder).expect("the interfaces").flatten() {
        let path = entry.path();
        let module = path.file_stem().expect("a name").to_string_lossy().to_string();
        assert!(module == "mod" || list.contains(&format!("mod {module};")), "{module} is not listed");
    }
}
