//! Tones and tone through the front door: notifications heard at the alerts' volume, and the equalizer in each band.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use antiphon_audio::eq::Equalizer;
use antiphon_simulator::Fault;
use rustix::process::Signal;
use serde_json::{Value, json};
use support::analysis::{tone_level, tone_levels};
use support::calm::calmly;
use support::hub::{Hub, PATIENCE, RATE, Setup, level_at, play};
use support::patience::{eventually, wait_for};

/// What Alexa was told last of something in a context.
fn told(hub: &Hub, id: &str, namespace: &str, name: &str) -> Value {
    let entries = hub.simulator().transcript(id);
    let found = entries.iter().rev().find_map(|entry| entry.context(namespace, name).cloned());
    found.unwrap_or(Value::Null)
}

/// Breaks the connection and waits for the SynchronizeState of the next.
fn reconnect(hub: &Hub, id: &str) {
    let mark = hub.simulator().mark(id);
    hub.simulator().inject(id, &Fault::TcpReset).unwrap();
    hub.event(id, mark, "System", "SynchronizeState");
    hub.wait_linked();
}

fn restart(hub: &mut Hub) {
    hub.end(Signal::KILL);
    hub.start_again();
    hub.wait_linked();
}

fn indicate(hub: &Hub, id: &str, track: &str, persist: bool) {
    let asset = json!({ "assetId": track, "url": hub.simulator().track(track) });
    let payload = json!({ "persistVisualIndicator": persist, "playAudioIndicator": true, "asset": asset });
    hub.send(id, "Notifications", "SetIndicator", payload);
}

/// Seconds in which a tone is heard.
fn heard_for(samples: &[f32], hertz: f64) -> f64 {
    let levels = tone_levels(samples, RATE, hertz, 0.05);
    levels.iter().filter(|(_, level)| *level > -50.0).count() as f64 * 0.05
}

#[test]
fn heard_notifications_at_the_alerts_volume() {
    calmly(notifications_at_the_alerts_volume);
}

fn notifications_at_the_alerts_volume() {
    let mut hub = Setup::new(&["kitchen"]).program().start();
    // How loud the music is has nothing to do with it, nor whether it is muted.
    hub.set_alone(&[("kitchen", 20)]);
    hub.api("PUT", "/api/speakers/kitchen/alerts/volume", json!({ "volume": 60 }));
    let mark = hub.simulator().mark("kitchen");
    hub.send("kitchen", "Speaker", "SetMute", json!({ "mute": true }));
    hub.event("kitchen", mark, "Speaker", "MuteChanged");
    indicate(&hub, "kitchen", "tone-880-2s.wav", true);
    hub.wait_level("kitchen", 880.0, level_at(60));
    // The same while it sounds is one, another comes after it; what cannot be fetched is replaced.
    indicate(&hub, "kitchen", "tone-880-2s.wav", false);
    indicate(&hub, "kitchen", "tone-660-1s.wav", true);
    indicate(&hub, "kitchen", "404", true);
    hub.wait_level("kitchen", 660.0, level_at(60));
    let before = hub.recording("kitchen").samples;
    let (first, second) = (heard_for(&before, 880.0), hub.recording("kitchen").end());
    assert!((first - 2.0).abs() < 0.15, "the first was heard for {first} s");
    // The built-in bell begins with an E.
    let bell = wait_for(PATIENCE, || {
        let sound = hub.recording("kitchen");
        let found = tone_levels(sound.between(second, sound.end()), RATE, 1318.5, 0.1);
        found.into_iter().map(|(_, level)| level).find(|level| *level > level_at(60) - 15.0)
    });
    println!("tones: the bell at {:.1} dBFS", bell.expect("the built-in tone"));
    hub.wait_silent("kitchen");
    let all = hub.recording("kitchen").samples;
    let lengths = (heard_for(&all, 880.0), heard_for(&all, 660.0));
    assert!((lengths.0 - 2.0).abs() < 0.15 && (lengths.1 - 1.0).abs() < 0.15, "{lengths:?} s");
    // ... and both flags outlive a connection and the hub.
    let flags = json!({ "isEnabled": true, "isVisualIndicatorPersisted": true });
    reconnect(&hub, "kitchen");
    assert_eq!(told(&hub, "kitchen", "Notifications", "IndicatorState"), flags);
    restart(&mut hub);
    assert_eq!(told(&hub, "kitchen", "Notifications", "IndicatorState"), flags);
    assert_eq!(hub.speaker("kitchen")["device"]["notification"], true);
    cleared(&hub);
    hub.assert_no_violations();
}

/// What sounds ends at once, and what waits is never heard.
fn cleared(hub: &Hub) {
    indicate(hub, "kitchen", "tone-880.wav", false);
    indicate(hub, "kitchen", "tone-550.wav", false);
    hub.wait_level("kitchen", 880.0, level_at(60));
    hub.send("kitchen", "Notifications", "ClearIndicator", json!({}));
    hub.wait_silent("kitchen");
    let all = hub.recording("kitchen").samples;
    assert_eq!(heard_for(&all, 550.0), 0.0);
    assert!(heard_for(&all, 880.0) < 5.0);
    eventually("the light is off", PATIENCE, || hub.speaker("kitchen")["device"]["notification"] == false);
    reconnect(hub, "kitchen");
    let off = json!({ "isEnabled": false, "isVisualIndicatorPersisted": false });
    assert_eq!(told(hub, "kitchen", "Notifications", "IndicatorState"), off);
}

/// Three speakers alike, each with a tone in another band.
const ROOMS: [(&str, u32); 3] = [("low", 40), ("middle", 1_000), ("high", 16_000)];
const NIGHT: [i64; 3] = [-6, 1, -2];

fn start_tones(hub: &Hub) {
    for (id, hertz) in ROOMS {
        let url = hub.simulator().track(&format!("tone-{hertz}-300s.wav"));
        hub.send(id, "AudioPlayer", "Play", play("REPLACE_ALL", &url, id, None));
    }
}

/// What the equalizer makes of a tone, dB: the mixer's own filters, which their own tests hold to the figures.
fn response(db: [i64; 3], hertz: u32) -> f64 {
    let mut equalizer = Equalizer::new();
    equalizer.set(db.map(|db| db as f64));
    equalizer.rest();
    let rate = f64::from(RATE);
    let tone = |n: usize| (std::f64::consts::TAU * f64::from(hertz) * (n / 2) as f64 / rate).sin() as f32;
    let mut samples: Vec<f32> = (0..4 * RATE as usize).map(|n| 4096.0 * tone(n)).collect();
    equalizer.process(&mut samples);
    let left: Vec<f32> = samples.iter().step_by(2).skip(RATE as usize).map(|s| s / 4096.0).collect();
    tone_level(&left, RATE, f64::from(hertz))
}

/// Each tone is heard as it must be with these bands (mode included), and all say so.
fn sound_like(hub: &Hub, db: [i64; 3]) {
    for (id, hertz) in ROOMS {
        let expected = response(db, hertz);
        hub.wait_level(id, f64::from(hertz), level_at(40) + expected);
        println!("tones: {db:?}: {hertz} Hz {expected:+.2} dB, heard to 0.3 dB");
    }
}

/// All are told the same; each answers with EqualizerChanged.
fn direct(hub: &Hub, name: &str, payload: &Value, levels: [i64; 3], mode: Option<&str>) {
    for (id, _) in ROOMS {
        let mark = hub.simulator().mark(id);
        hub.send(id, "EqualizerController", name, payload.clone());
        let changed = hub.event(id, mark, "EqualizerController", "EqualizerChanged");
        assert_eq!(*changed.payload(), state(levels, mode), "{id}: {name} {payload}");
    }
}

fn state(levels: [i64; 3], mode: Option<&str>) -> Value {
    let [bass, midrange, treble] = levels;
    let bands = json!([
        { "name": "BASS", "level": bass },
        { "name": "MIDRANGE", "level": midrange },
        { "name": "TREBLE", "level": treble },
    ]);
    match mode {
        Some(mode) => json!({ "bands": bands, "mode": mode }),
        None => json!({ "bands": bands }),
    }
}

#[test]
fn heard_the_equalizer_in_each_band() {
    calmly(the_equalizer_in_each_band);
}

fn the_equalizer_in_each_band() {
    let mut hub = Setup::new(&ROOMS.map(|(id, _)| id)).program().start();
    start_tones(&hub);
    sound_like(&hub, [0, 0, 0]);
    let set = json!({ "bands": [{ "name": "BASS", "level": 6 }, { "name": "TREBLE", "level": -4 }] });
    direct(&hub, "SetBands", &set, [6, 0, -4], None);
    sound_like(&hub, [6, 0, -4]);
    let adjust = json!({ "bands": [
        { "name": "MIDRANGE", "levelDirection": "UP", "levelDelta": 3 },
        { "name": "TREBLE", "levelDirection": "DOWN" },
        // Beyond the end of the scale is its end.
        { "name": "BASS", "levelDirection": "UP", "levelDelta": 20 },
    ] });
    direct(&hub, "AdjustBands", &adjust, [6, 3, -5], None);
    sound_like(&hub, [6, 3, -5]);
    direct(&hub, "ResetBands", &json!({ "bands": [{ "name": "MIDRANGE" }] }), [6, 0, -5], None);
    direct(&hub, "SetMode", &json!({ "mode": "NIGHT" }), [6, 0, -5], Some("NIGHT"));
    let night = [6 + NIGHT[0], NIGHT[1], -5 + NIGHT[2]];
    sound_like(&hub, night);
    unsupported_bands(&hub);
    by_hand(&hub);
    restart(&mut hub);
    for (id, _) in ROOMS {
        assert_eq!(told(&hub, id, "EqualizerController", "EqualizerState"), state([-3, 2, 6], Some("TV")));
    }
    start_tones(&hub);
    sound_like(&hub, [-3 - 2, 2 + 3, 6 + 1]);
    hub.assert_no_violations();
}

/// What is not there is refused, the rest is done, and Alexa is told again what there is.
fn unsupported_bands(hub: &Hub) {
    let strange = json!({ "bands": [{ "name": "PRESENCE", "level": 2 }, { "name": "TREBLE", "level": 9 }] });
    let marks = ROOMS.map(|(id, _)| hub.simulator().mark(id));
    direct(hub, "SetBands", &strange, [6, 0, 6], Some("NIGHT"));
    for ((id, _), mark) in ROOMS.iter().zip(marks) {
        let refused = hub.event(id, mark, "System", "ExceptionEncountered");
        assert_eq!(refused.payload()["error"]["type"], "UNEXPECTED_INFORMATION_RECEIVED");
        hub.event(id, mark, "Alexa.Discovery", "AddOrUpdateReport");
    }
    sound_like(hub, [6 + NIGHT[0], NIGHT[1], 6 + NIGHT[2]]);
}

/// A person's own hand, of which Alexa hears also when it was away.
fn by_hand(hub: &Hub) {
    for (id, _) in ROOMS {
        let mark = hub.simulator().mark(id);
        hub.api("PUT", &format!("/api/speakers/{id}/equalizer"), json!({ "bands": { "bass": -3 } }));
        let changed = hub.event(id, mark, "EqualizerController", "EqualizerChanged");
        assert_eq!(*changed.payload(), state([-3, 0, 6], Some("NIGHT")));
        // Nothing gets through while the connection is made anew.
        hub.simulator().inject(id, &Fault::TcpReset).unwrap();
        let body = json!({ "bands": { "midrange": 2 }, "mode": "tv" });
        hub.api("PUT", &format!("/api/speakers/{id}/equalizer"), body);
        hub.event(id, mark, "System", "SynchronizeState");
    }
    hub.wait_linked();
    sound_like(hub, [-3 - 2, 2 + 3, 6 + 1]);
    let (status, answer) =
        hub.ask("PUT", "/api/speakers/low/equalizer", Some(json!({ "bands": { "bass": 7 } })));
    assert_eq!(status, 400, "{answer}");
}
