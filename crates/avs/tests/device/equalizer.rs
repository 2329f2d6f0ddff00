//! EqualizerController 1.0.

use antiphon_avs::device::{Device, DeviceConfig};
use antiphon_avs::signal::{Signal, Wish};
use antiphon_domain::Moment;
use antiphon_domain::equalizer::{Band, Mode};
use serde_json::{Value, json};

use crate::support::Bench;

const EXCEPTION: &str = "! UNEXPECTED_INFORMATION_RECEIVED";

fn changed(levels: [i8; 3], mode: &str) -> String {
    let [bass, midrange, treble] = levels;
    let mut state = json!({ "bands": [
        { "name": "BASS", "level": bass },
        { "name": "MIDRANGE", "level": midrange },
        { "name": "TREBLE", "level": treble },
    ] });
    if !mode.is_empty() {
        state["mode"] = json!(mode);
    }
    format!("EqualizerChanged {state}")
}

fn stored(levels: [i8; 3], mode: Value) -> String {
    format!("store room.equalizer {}", json!({ "levels": levels, "mode": mode }))
}

fn bands(bands: Value) -> Value {
    json!({ "bands": bands })
}

#[test]
fn bands_are_set_moved_and_reset_and_kept() {
    let mut bench = Bench::new();
    let set = bands(json!([{ "name": "BASS", "level": 4 }, { "name": "TREBLE", "level": -2 }]));
    assert_eq!(
        bench.directive("EqualizerController.SetBands", set.clone()),
        ["equalize [4, 0, -2]".to_owned(), stored([4, 0, -2], Value::Null), changed([4, 0, -2], "")]
    );
    // Said again, though nothing changed.
    assert_eq!(bench.directive("EqualizerController.SetBands", set), [changed([4, 0, -2], "")]);
    let adjust = bands(json!([
        { "name": "BASS", "levelDirection": "UP", "levelDelta": 9 },
        { "name": "MIDRANGE", "levelDirection": "DOWN" },
    ]));
    // Beyond the scale is its end, without a complaint.
    assert_eq!(bench.directive("EqualizerController.AdjustBands", adjust)[2..], [changed([6, -1, -2], "")]);
    let reset = bands(json!([{ "name": "BASS" }, { "name": "MIDRANGE" }]));
    assert_eq!(bench.directive("EqualizerController.ResetBands", reset)[2..], [changed([0, 0, -2], "")]);
    assert_eq!(
        bench.directive("EqualizerController.ResetBands", bands(json!([]))),
        [changed([0, 0, -2], "")]
    );
}

#[test]
fn what_cannot_be_done_is_said_and_the_rest_is_done() {
    let mut bench = Bench::new();
    let set = bands(json!([{ "name": "SUB", "level": 1 }, { "name": "BASS", "level": 99 }]));
    assert_eq!(
        bench.directive("EqualizerController.SetBands", set)[2..],
        [changed([6, 0, 0], ""), EXCEPTION.into(), "redeclare".into()]
    );
    let adjust = bands(json!([
        { "name": "SUB", "levelDirection": "UP" },
        { "name": "BASS", "levelDirection": "DOWN", "levelDelta": 2 },
    ]));
    assert_eq!(
        bench.directive("EqualizerController.AdjustBands", adjust)[2..],
        [changed([4, 0, 0], ""), EXCEPTION.into(), "redeclare".into()]
    );
    let reset = bands(json!([{ "name": "SUB" }]));
    assert_eq!(
        bench.directive("EqualizerController.ResetBands", reset),
        [changed([4, 0, 0], ""), EXCEPTION.into(), "redeclare".into()]
    );
    assert_eq!(
        bench.directive("EqualizerController.SetMode", json!({ "mode": "DISCO" })),
        ["redeclare", EXCEPTION]
    );
}

#[test]
fn a_payload_that_does_not_fit_changes_nothing() {
    let mut bench = Bench::new();
    for (name, bad) in [
        ("SetBands", json!({})),
        ("SetBands", bands(json!([{ "name": "BASS" }]))),
        ("SetBands", bands(json!([{ "name": "BASS", "level": "3" }]))),
        ("AdjustBands", bands(json!([{ "name": "BASS" }]))),
        ("AdjustBands", bands(json!([{ "name": "BASS", "levelDirection": "LEFT" }]))),
        ("AdjustBands", bands(json!([{ "name": "BASS", "levelDirection": "UP", "levelDelta": -1 }]))),
        ("ResetBands", bands(json!([{}]))),
        ("SetMode", json!({})),
    ] {
        let told = bench.directive(&format!("EqualizerController.{name}"), bad.clone());
        assert_eq!(told, [EXCEPTION], "{name} {bad}");
    }
}

#[test]
fn a_mode_lies_over_the_bands_and_is_told_with_them() {
    let mut bench = Bench::new();
    let night = json!({ "mode": "NIGHT" });
    assert_eq!(
        bench.directive("EqualizerController.SetMode", night.clone()),
        ["equalize [-6, 1, -2]".to_owned(), stored([0; 3], json!("NIGHT")), changed([0; 3], "NIGHT")]
    );
    assert_eq!(bench.directive("EqualizerController.SetMode", night), [changed([0; 3], "NIGHT")]);
    assert_eq!(bench.device.picture(bench.moment()).equalizer.mode, Some(Mode::Night));
}

#[test]
fn a_person_changes_the_tone_too() {
    let mut bench = Bench::new();
    let wish = Wish::Bands(vec![(Band::Treble, 100), (Band::Bass, -3)]);
    assert_eq!(
        bench.signal(Signal::Wish(wish)),
        ["equalize [-3, 0, 6]".to_owned(), stored([-3, 0, 6], Value::Null), changed([-3, 0, 6], "")]
    );
    let told = bench.signal(Signal::Wish(Wish::EqualizerMode(Some(Mode::Tv))));
    assert_eq!(told[2..], [changed([-3, 0, 6], "TV")]);
    let told = bench.signal(Signal::Wish(Wish::EqualizerMode(None)));
    assert_eq!(told[2..], [changed([-3, 0, 6], "")]);
}

#[test]
fn the_tone_survives_a_restart_whoever_wrote_it() {
    let with = |value: Value| {
        let mut config = DeviceConfig::default();
        config.stored.insert("room.equalizer".into(), value);
        Device::new(config).picture(Moment::default()).equalizer
    };
    let tone = with(json!({ "levels": [1, 2, 3], "mode": "SPORT" }));
    assert_eq!(tone.levels.map(|level| level.db()), [1, 2, 3]);
    assert_eq!(tone.mode, Some(Mode::Sport));
    assert_eq!(with(json!({ "levels": [99, 0, -99], "mode": null })).levels.map(|l| l.db()), [6, 0, -6]);
    assert!(with(json!({ "levels": "loud" })).is_flat());
}
