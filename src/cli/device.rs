//! Commands for one speaker's Alexa device: alarms, keys, tone.

use anyhow::bail;
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::client::Client;
use crate::view;

/// Keys and, from `shuffle` on, switches of a remote control, as the API calls them.
pub(super) const KEYS: [&str; 11] = [
    "play",
    "pause",
    "next",
    "previous",
    "skip-forward",
    "skip-backward",
    "shuffle",
    "loop",
    "repeat",
    "thumbs-up",
    "thumbs-down",
];
/// How many of them are keys.
const BUTTONS: usize = 6;

#[derive(Debug, Subcommand)]
pub(super) enum AlarmAction {
    /// Silence what rings.
    Stop,
    /// How loud they are, 0 to 100.
    Volume {
        /// 0 to 100.
        #[arg(value_parser = clap::value_parser!(u8).range(0..=100))]
        level: u8,
    },
    /// Whether alarms come up slowly.
    Ramp {
        /// `on` or `off`.
        #[arg(value_parser = ["on", "off"])]
        switch: String,
    },
}

/// Puts a setting of a speaker.
pub(super) fn put(client: &Client, name: &str, what: &[&str], body: Value) -> anyhow::Result<()> {
    let path: Vec<&str> = ["api", "speakers", name].iter().chain(what).copied().collect();
    client.ask(Method::PUT, &path, Some(body))?;
    Ok(())
}

pub(super) fn alarms(
    client: &Client,
    name: Option<&str>,
    action: Option<&AlarmAction>,
    as_json: bool,
) -> anyhow::Result<()> {
    let Some(action) = action else { return show_alarms(client, name, as_json) };
    let names = match name {
        Some(name) => vec![name.to_string()],
        None => {
            let all = client.get(&["api", "speakers"])?;
            let ids = all.as_array().into_iter().flatten().filter_map(|s| s["id"].as_str());
            ids.map(String::from).collect()
        }
    };
    for name in &names {
        match action {
            AlarmAction::Stop => {
                client.post(&["api", "speakers", name, "alerts", "stop"], json!({}))?;
            }
            AlarmAction::Volume { level } => {
                put(client, name, &["alerts", "volume"], json!({ "volume": level }))?;
            }
            AlarmAction::Ramp { switch } => {
                put(client, name, &["alerts", "ramp"], json!({ "on": switch == "on" }))?;
            }
        }
    }
    Ok(())
}

fn show_alarms(client: &Client, name: Option<&str>, as_json: bool) -> anyhow::Result<()> {
    let speakers = match name {
        Some(name) => vec![client.get(&["api", "speakers", name])?],
        None => client.get(&["api", "speakers"])?.as_array().cloned().unwrap_or_default(),
    };
    if as_json {
        let mut all = Map::new();
        for speaker in &speakers {
            let id = speaker["id"].as_str().unwrap_or_default();
            all.insert(id.into(), client.get(&["api", "speakers", id, "alerts"])?);
        }
        println!("{}", serde_json::to_string_pretty(&all)?);
    } else {
        print!("{}", view::alarms(&speakers));
    }
    Ok(())
}

pub(super) fn press(client: &Client, name: &str, key: &str, on: bool) -> anyhow::Result<()> {
    if KEYS[..BUTTONS].contains(&key) {
        client.post(&["api", "speakers", name, "buttons", key], json!({}))?;
        return Ok(());
    }
    put(client, name, &["toggles", key], json!({ "on": on }))
}

pub(super) fn equalizer(
    client: &Client,
    name: &str,
    settings: &[String],
    as_json: bool,
) -> anyhow::Result<()> {
    if !settings.is_empty() {
        put(client, name, &["equalizer"], equalizer_body(settings)?)?;
    }
    let speaker = client.get(&["api", "speakers", name])?;
    let tone = &speaker["device"]["equalizer"];
    if as_json {
        println!("{}", serde_json::to_string_pretty(tone)?);
    } else if settings.is_empty() {
        println!("{}", view::tone(tone).unwrap_or_else(|| "flat".into()));
    }
    Ok(())
}

fn equalizer_body(settings: &[String]) -> anyhow::Result<Value> {
    let mut body = json!({});
    let mut words = settings.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match (word, words.next()) {
            ("flat", None) => {
                body = json!({ "bands": { "bass": 0, "midrange": 0, "treble": 0 }, "mode": "none" });
            }
            ("mode", Some(mode)) => body["mode"] = mode.into(),
            ("bass" | "midrange" | "treble", Some(level)) if level.parse::<i64>().is_ok() => {
                body["bands"][word] = level.parse::<i64>()?.into();
            }
            _ => bail!("expected bass, midrange or treble with dB, `mode MODE` or `flat`; found {word:?}"),
        }
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tone_is_told_in_words() {
        let body = |words: &str| {
            equalizer_body(&words.split_whitespace().map(String::from).collect::<Vec<_>>()).ok()
        };
        assert_eq!(body("bass +2 treble -1"), Some(json!({ "bands": { "bass": 2, "treble": -1 } })));
        assert_eq!(body("mode movie bass 0"), Some(json!({ "bands": { "bass": 0 }, "mode": "movie" })));
        let flat = json!({ "bands": { "bass": 0, "midrange": 0, "treble": 0 }, "mode": "none" });
        assert_eq!(body("flat"), Some(flat));
        assert_eq!(body("bass"), None);
        assert_eq!(body("loud 3"), None);
    }
}
