//! Setting alerts, and judging when and how loud they are heard.
#![allow(clippy::expect_used, reason = "a test ends where something is not as it must be")]

use super::analysis::total_level;
use super::hub::{Hub, PATIENCE, RATE, Sound};
use super::patience::wait_for;
use antiphon_avs::iso8601;
use antiphon_domain::WallTime;
use antiphon_simulator::{Direction, Entry};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What counts as sound: three steps of 16 bits.
const HEARD: f32 = 1e-4;

/// The whole second of the calendar that is at least so many seconds away.
pub fn in_seconds(seconds: f64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
    (now + seconds).ceil() as u64
}

/// A second of the calendar as the cloud writes it.
pub fn stamp(second: u64) -> String {
    iso8601::format(WallTime::from_seconds(second as i64))
}

/// The second a timestamp names, rounded down.
pub fn second(stamp: &Value) -> u64 {
    let time = stamp.as_str().and_then(iso8601::parse).expect("a timestamp");
    time.seconds() as u64
}

/// The payload of a SetAlert.
pub fn alert(kind: &str, token: &str, second: u64) -> Value {
    json!({ "token": token, "type": kind, "scheduledTime": stamp(second) })
}

/// With files to be played in this order, each once or more.
pub fn with_assets(mut alert: Value, hub: &Hub, tracks: &[&str]) -> Value {
    let mut assets = Vec::new();
    for track in tracks {
        let asset = json!({ "assetId": track, "url": hub.simulator().track(track) });
        if !assets.contains(&asset) {
            assets.push(asset);
        }
    }
    alert["assets"] = json!(assets);
    alert["assetPlayOrder"] = json!(tracks);
    alert
}

impl Hub {
    /// Sets an alert and waits until it is acknowledged.
    pub fn set_alert(&self, id: &str, alert: &Value) {
        let mark = self.simulator().mark(id);
        self.send(id, "Alerts", "SetAlert", alert.clone());
        let set = self.event(id, mark, "Alerts", "SetAlertSucceeded");
        assert_eq!(set.payload()["token"], alert["token"]);
    }

    /// Waits until the hub knows of each event a speaker told so far that it was heard; what it does not know of it
    /// tells again. Both hub and simulator must still live their first life: they count from its beginning.
    pub fn wait_acknowledged(&self, id: &str) {
        let name = format!("antiphon_link_events_total{{outcome=\"accepted\",speaker=\"{id}\"}} ");
        let mut last = (0, 0);
        let found = wait_for(PATIENCE, || {
            let heard = self.simulator().transcript(id).iter().filter(|e| counted(e)).count();
            let page = self.metrics();
            let known = page.lines().find_map(|line| line.strip_prefix(&name)?.parse::<f64>().ok());
            last = (known.unwrap_or(0.0) as usize, heard);
            (last.0 >= last.1).then_some(())
        });
        assert!(found.is_some(), "{id} knows that {} of {} events were heard", last.0, last.1);
    }

    /// Names and tokens of what Alerts told from a mark on, volumes and ramps left out: `Started:a` and so on. What a
    /// hub told a second time, as it did not learn that it was heard, counts once.
    pub fn alerts_told(&self, id: &str, mark: u64) -> Vec<String> {
        let entries = self.simulator().transcript(id);
        let mut heard = BTreeSet::new();
        let fresh = entries.iter().filter(|e| heard.insert(e.message_id.clone()));
        let ours = fresh.filter(|e| e.index >= mark && e.is_event("Alerts", &e.name));
        let told = ours.filter_map(|e| {
            let token = e.payload()["token"].as_str()?;
            Some(format!("{}:{token}", e.name.trim_start_matches("Alert")))
        });
        told.collect()
    }

    /// Waits until exactly this was told.
    pub fn wait_alerts_told(&self, id: &str, mark: u64, expected: &[&str]) {
        let mut last = Vec::new();
        let found = wait_for(PATIENCE, || {
            last = self.alerts_told(id, mark);
            (last.len() >= expected.len()).then_some(())
        });
        assert!(found.is_some() && last == expected, "{id} told {last:?}, not {expected:?}");
    }

    /// Waits until a speaker's latest fifth of a second is all silence, or it has played nothing for as long.
    pub fn wait_silent(&self, id: &str) {
        let window = RATE as usize / 5;
        let mut before = (0, Instant::now());
        let found = wait_for(PATIENCE, || {
            let sound = self.recording(id).samples;
            if sound.len() != before.0 {
                before = (sound.len(), Instant::now());
            }
            let from = sound.len().saturating_sub(window);
            let silent = sound[from..].iter().all(|s| s.abs() < HEARD);
            (silent || before.1.elapsed() > Duration::from_millis(500)).then_some(())
        });
        assert!(found.is_some(), "{id} does not fall silent");
    }

    /// Waits until a speaker's latest quarter of a second is no silence.
    pub fn wait_heard(&self, id: &str) {
        let found = wait_for(PATIENCE, || {
            let sound = self.recording(id).samples;
            let from = sound.len().checked_sub(RATE as usize / 4)?;
            (total_level(&sound[from..]) > -60.0).then_some(())
        });
        assert!(found.is_some(), "{id} is not heard");
    }

    /// Whether the picture says that an alert rings there.
    pub fn rings(&self, id: &str) -> bool {
        let view = self.speaker(id);
        let alerts = view["device"]["alerts"].as_array().cloned().unwrap_or_default();
        !view["rings_for"].is_null() || alerts.iter().any(|alert| alert["ringing"] == true)
    }

    /// Waits until a speaker is heard at or after a frame; the frame of the first sample.
    pub fn wait_first_sound(&self, id: &str, from: f64) -> f64 {
        let found = wait_for(PATIENCE, || first_sound(&self.recording(id), from));
        found.unwrap_or_else(|| panic!("{id} is not heard"))
    }
}

/// Whether the hub counts it among the accepted events: not those that open a connection.
fn counted(entry: &Entry) -> bool {
    let opening = matches!(entry.namespace.as_str(), "Alexa.ApiGateway" | "Alexa.Discovery")
        || entry.is_event("System", "SynchronizeState");
    entry.direction == Direction::Event && !opening
}

/// The hub's frame of the first sample that is no silence, at or after a frame.
pub fn first_sound(sound: &Sound, from: f64) -> Option<f64> {
    let skip = (from.max(0.0) as u64).saturating_sub(sound.origin) as usize;
    let at = sound.samples.iter().skip(skip).position(|sample| sample.abs() > HEARD)?;
    Some((sound.origin + (skip + at) as u64) as f64)
}

/// Milliseconds between two frames.
pub fn millis(from: f64, to: f64) -> f64 {
    (to - from) * 1000.0 / f64::from(RATE)
}

/// The part of a sound from so many seconds after a frame on, so many seconds long.
pub fn part(sound: &Sound, frame: f64, after: f64, seconds: f64) -> &[f32] {
    let from = frame + after * f64::from(RATE);
    sound.between(from.round() as u64, (from + seconds * f64::from(RATE)).round() as u64)
}

/// How loud everything in it is, dBFS.
pub fn level(sound: &Sound, frame: f64, after: f64, seconds: f64) -> f64 {
    total_level(part(sound, frame, after, seconds))
}
