//! Speaker 1.0, each row of its table of edge cases as far as one device decides it.

use antiphon_avs::signal::Signal;
use antiphon_domain::level::report_of;
use antiphon_domain::{Level, LevelCommand, Report, Volume, VolumeStep};
use serde_json::json;

use crate::support::Bench;

const BAD: [&str; 1] = ["! UNEXPECTED_INFORMATION_RECEIVED"];

fn level(volume: i64, muted: bool) -> Level {
    Level { volume: Volume::new(volume).unwrap(), muted }
}

#[test]
fn good_directives_wish_for_a_change() {
    let mut bench = Bench::new();
    for (name, payload, expected) in [
        ("Speaker.SetVolume", json!({ "volume": 0 }), "SetVolume(Volume(0))"),
        ("Speaker.SetVolume", json!({ "volume": 100, "unknown": {} }), "SetVolume(Volume(100))"),
        ("Speaker.AdjustVolume", json!({ "volume": -100 }), "AdjustVolume(VolumeStep(-100))"),
        ("Speaker.AdjustVolume", json!({ "volume": 100 }), "AdjustVolume(VolumeStep(100))"),
        ("Speaker.AdjustVolume", json!({ "volume": 0 }), "AdjustVolume(VolumeStep(0))"),
        ("Speaker.SetMute", json!({ "mute": true }), "SetMute(true)"),
        ("Speaker.SetMute", json!({ "mute": false }), "SetMute(false)"),
    ] {
        assert_eq!(bench.directive(name, payload), [expected]);
    }
    assert_eq!(bench.device.counts().handled, 7);
}

#[test]
fn bad_directives_change_nothing() {
    let mut bench = Bench::new();
    for (name, payload) in [
        ("Speaker.SetVolume", json!({ "volume": 101 })),
        ("Speaker.SetVolume", json!({ "volume": -1 })),
        ("Speaker.SetVolume", json!({ "volume": "50" })),
        ("Speaker.SetVolume", json!({ "volume": 50.5 })),
        ("Speaker.SetVolume", json!({ "volume": null })),
        ("Speaker.SetVolume", json!({ "volume": 99_999_999_999_999_999_999_u128.to_string() })),
        ("Speaker.SetVolume", json!({})),
        ("Speaker.SetVolume", json!([])),
        ("Speaker.AdjustVolume", json!({ "volume": 101 })),
        ("Speaker.AdjustVolume", json!({ "volume": -101 })),
        ("Speaker.AdjustVolume", json!({ "value": 5 })),
        ("Speaker.SetMute", json!({ "mute": "true" })),
        ("Speaker.SetMute", json!({ "muted": true })),
        ("Speaker.SetMute", json!(null)),
    ] {
        assert_eq!(bench.directive(name, payload.clone()), BAD, "{name} {payload}");
    }
    assert_eq!(bench.device.counts().refused, 14);
    assert_eq!(bench.directive("Speaker.SetBalance", json!({})), ["! UNSUPPORTED_OPERATION"]);
    assert_eq!(bench.directive("Toaster.SetVolume", json!({ "volume": 1 })), ["! UNSUPPORTED_OPERATION"]);
}

/// Before, command, after, and what the cloud hears, where the speaker that is asked is this one.
#[test]
fn each_edge_case_is_reported_as_it_should_be() {
    let volume = |v| LevelCommand::SetVolume(Volume::new(v).unwrap());
    let step = |v| LevelCommand::AdjustVolume(VolumeStep::new(v).unwrap());
    let table: [(Level, LevelCommand, Level, &[&str]); 9] = [
        (level(40, false), volume(50), level(50, false), &["VolumeChanged 50 false"]),
        (level(40, false), volume(40), level(40, false), &["VolumeChanged 40 false"]),
        (level(90, false), step(20), level(100, false), &["VolumeChanged 100 false"]),
        (level(40, true), volume(50), level(50, false), &["VolumeChanged 50 false"]),
        (level(40, false), volume(0), level(0, false), &["VolumeChanged 0 false"]),
        (level(40, false), LevelCommand::SetMute(false), level(40, false), &[]),
        (level(40, true), LevelCommand::SetMute(true), level(40, true), &["MuteChanged 40 true"]),
        (level(40, false), LevelCommand::SetMute(true), level(40, true), &["MuteChanged 40 true"]),
        (
            level(0, true),
            LevelCommand::SetMute(false),
            level(10, false),
            &["VolumeChanged 10 false", "MuteChanged 10 false"],
        ),
    ];
    for (before, command, after, expected) in table {
        let mut bench = Bench::new();
        let report = report_of(command, before, after, true);
        let told = bench.signal(Signal::Levels { level: after, report });
        let expected: Vec<String> = expected
            .iter()
            .map(|line| {
                let [name, volume, muted] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
                format!("{name} {{\"muted\":{muted},\"volume\":{volume}}}")
            })
            .collect();
        assert_eq!(told, expected, "{before:?} {command:?}");
    }
}

#[test]
fn the_context_follows_the_level() {
    let mut bench = Bench::new();
    assert!(bench.signal(Signal::Levels { level: level(7, true), report: Report::NONE }).is_empty());
    let context = bench.device.context(bench.moment());
    let entry = context.iter().find(|entry| entry.header.name == "VolumeState").unwrap();
    assert_eq!(entry.payload, json!({ "volume": 7, "muted": true }));
}
