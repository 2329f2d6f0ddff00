//! The hub in words for a terminal, from the API's JSON.

use std::time::SystemTime;

use antiphon_domain::WallTime;
use serde_json::Value;

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("").to_string()
}

fn now() -> WallTime {
    SystemTime::now().into()
}

/// The hub as a table for a terminal, from the API's JSON.
pub(crate) fn table(hub: &Value) -> String {
    let head = ["SPEAKER", "ID", "ZONE", "VOLUME", "ENDPOINT", "ALEXA", "GROUP"];
    let mut rows = vec![head.map(String::from).to_vec()];
    for s in hub["speakers"].as_array().into_iter().flatten() {
        let mut volume = s["volume"].as_u64().map_or("unknown".into(), |v| v.to_string());
        if s["muted"] == true {
            volume.push_str(" (muted)");
        }
        let mut endpoint = format!("{} {}", text(&s["kind"]), text(&s["endpoint"]["state"]));
        if s["playing"] == true {
            endpoint.push_str(", playing");
        }
        if let Some(why) = s["endpoint"]["why"].as_str() {
            endpoint.push_str(&format!(": {why}"));
        }
        if let Some(since) = s["endpoint"]["since"].as_u64() {
            let now = u64::try_from(now().seconds()).unwrap_or(0);
            endpoint.push_str(&format!(" for {} s", now.saturating_sub(since)));
        }
        if let Some(trouble) = s["trouble"].as_str() {
            endpoint.push_str(&format!("; the last stream failed: {trouble}"));
        }
        let group = text(&s["group"]);
        let formed = hub["groups"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|g| g["id"] == s["group"] && g["formed"] == true);
        let group = if formed { group } else { String::new() };
        rows.push(vec![
            text(&s["name"]),
            text(&s["id"]),
            text(&s["zone"]),
            volume,
            endpoint,
            alexa(s),
            group,
        ]);
    }
    let mut out = String::new();
    if rows.len() == 1 {
        out.push_str(
            "No speaker yet. They appear as they are found; `antiphon check` says where the hub looks.\n",
        );
    } else {
        out.push_str(&columns(&rows));
    }
    for s in hub["speakers"].as_array().into_iter().flatten() {
        let notes = notes(s);
        if !notes.is_empty() {
            out.push_str(&format!("\n{}: {}", text(&s["name"]), notes.join("; ")));
        }
    }
    if !out.ends_with('\n') {
        out.push('\n');
    }
    for g in hub["groups"].as_array().into_iter().flatten() {
        if g["formed"] == true {
            out.push_str(&format!(
                "\nGroup {} ({}): volume {}",
                text(&g["name"]),
                text(&g["id"]),
                g["volume"]
            ));
        }
        if let Some(content) = g.get("content").filter(|c| c.is_object()) {
            let seconds = content["position_ms"].as_u64().unwrap_or(0) / 1000;
            let line = format!(
                "{} {} ({}:{:02})",
                text(&content["state"]),
                text(&content["url"]),
                seconds / 60,
                seconds % 60
            );
            out.push_str(&format!("\n  {line}"));
        }
    }
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out
}

/// Rows of as many cells each, in columns.
pub(super) fn columns(rows: &[Vec<String>]) -> String {
    let cells = rows.first().map_or(0, Vec::len);
    let width = |c: usize| rows.iter().map(|r| r[c].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..cells).map(width).collect();
    let mut out = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, w)| format!("{cell:w$}")).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

/// How a speaker is linked, and what its Alexa does now.
fn alexa(speaker: &Value) -> String {
    let state = text(&speaker["link"]["state"]);
    match speaker["device"]["attention"].as_str() {
        None | Some("idle") => state,
        Some(busy) => format!("{state}, {busy}"),
    }
}

/// What else is to be said of a speaker.
fn notes(speaker: &Value) -> Vec<String> {
    let device = &speaker["device"];
    let mut notes = Vec::new();
    if speaker["unheard"] == true {
        notes.push("RINGS, AND NOBODY CAN BE HEARD".into());
    }
    if let Some(other) = speaker["rung_by"].as_str() {
        notes.push(format!("rings by {other}"));
    }
    if let Some(other) = speaker["rings_for"].as_str() {
        notes.push(format!("rings for {other}"));
    }
    for alert in device["alerts"].as_array().into_iter().flatten() {
        notes.push(alert_words(alert, now()));
    }
    if device["notification"] == true {
        notes.push("a notification waits".into());
    }
    if let Some(tone) = tone(&device["equalizer"]) {
        notes.push(format!("equalizer {tone}"));
    }
    if let Some(input) = device["input"].as_str() {
        notes.push(format!("input {input}"));
    }
    if let Some(title) = device["card"]["title"]["mainTitle"].as_str() {
        notes.push(format!("card {title:?}"));
    }
    if let Some(why) = speaker["link"]["why"].as_str() {
        notes.push(format!("Alexa: {why}"));
    }
    notes
}

/// A tone in words: `bass +2, treble -1, mode movie`; `None` when it is flat.
pub(crate) fn tone(equalizer: &Value) -> Option<String> {
    let mut words = Vec::new();
    for (index, band) in ["bass", "midrange", "treble"].iter().enumerate() {
        let level = equalizer["levels"][index].as_i64().unwrap_or(0);
        if level != 0 {
            words.push(format!("{band} {level:+}"));
        }
    }
    if let Some(mode) = equalizer["mode"].as_str() {
        words.push(format!("mode {}", mode.to_lowercase()));
    }
    (!words.is_empty()).then(|| words.join(", "))
}

/// An alert in words, seen from `now`: `timer "eggs" in 4 min 5 s (2026-11-22T12:00:00.000Z)`.
fn alert_words(alert: &Value, now: WallTime) -> String {
    let due = WallTime::from_nanos(alert["scheduled"].as_i64().unwrap_or(0));
    let kind = text(&alert["kind"]).to_lowercase();
    let label = alert["label"].as_str().map_or(String::new(), |label| format!(" {label:?}"));
    let when = if alert["ringing"] == true {
        "rings now".to_string()
    } else if due > now {
        format!("in {}", span(due.since(now).as_secs()))
    } else {
        "is due".to_string()
    };
    format!("{kind}{label} {when} ({})", antiphon_avs::iso8601::format(due))
}

/// A length of time, in the two greatest units that it has.
fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// The alarms, timers and reminders of these speakers.
pub(crate) fn alarms(speakers: &[Value]) -> String {
    let mut out = String::new();
    let now = now();
    for speaker in speakers {
        let device = &speaker["device"];
        let loud = device["alert_volume"].as_u64().map_or("unknown".into(), |v| v.to_string());
        let ramp = if device["alarm_ramp"] == true { ", coming up slowly" } else { "" };
        out.push_str(&format!("{}: alert volume {loud}{ramp}\n", text(&speaker["name"])));
        for alert in device["alerts"].as_array().into_iter().flatten() {
            out.push_str(&format!("  {}\n", alert_words(alert, now)));
        }
        for (key, words) in [("rung_by", "rings by"), ("rings_for", "rings for")] {
            if let Some(other) = speaker[key].as_str() {
                out.push_str(&format!("  {words} {other}\n"));
            }
        }
        if speaker["unheard"] == true {
            out.push_str("  rings, and nobody can be heard\n");
        }
    }
    if out.is_empty() {
        out.push_str("No speaker yet.\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_tone_is_told_only_where_it_changes_something() {
        assert_eq!(tone(&json!({ "levels": [0, 0, 0], "mode": null })), None);
        let some = json!({ "levels": [2, 0, -1], "mode": "MOVIE" });
        assert_eq!(tone(&some).as_deref(), Some("bass +2, treble -1, mode movie"));
    }

    #[test]
    fn an_alert_is_told_from_now() {
        let now = WallTime::from_seconds(1_000);
        let due = WallTime::from_seconds(1_000 + 245);
        let mut alert =
            json!({ "kind": "TIMER", "scheduled": due.nanos(), "label": "eggs", "ringing": false });
        assert_eq!(alert_words(&alert, now), "timer \"eggs\" in 4 min 5 s (1970-01-01T00:20:45.000Z)");
        alert["ringing"] = true.into();
        assert!(alert_words(&alert, now).contains("rings now"));
    }

    #[test]
    fn a_speaker_that_cannot_be_heard_says_so_first() {
        let speaker = json!({ "unheard": true, "rings_for": "sofa", "device": { "notification": true } });
        assert_eq!(notes(&speaker)[0], "RINGS, AND NOBODY CAN BE HEARD");
        assert!(notes(&speaker).contains(&"rings for sofa".to_string()));
    }
}
