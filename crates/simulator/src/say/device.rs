//! Owns the sentences about the device itself: inputs, Bluetooth, settings.

use super::{Utterance, after, rest};

/// What was asked of the Bluetooth adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Bluetooth {
    Scan,
    /// For so many seconds, if said.
    Discoverable(Option<u64>),
    Hide,
    /// Pair, Unpair, Connect or Disconnect, and which device.
    Link(&'static str, String),
    /// Whatever plays.
    ConnectAny,
    /// Play, Stop, Next or Previous, and which device.
    Control(&'static str, String),
    Category(String, String),
}

/// A setting, or a question about all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    Locales(Vec<String>),
    TimeZone(String),
    WakeWord(String),
    WakeWordTone(bool),
    SpeechTone(bool),
    Report,
    Software,
    ResetInactivity,
    Revoke,
}

pub(super) fn understand(sentence: &str, words: &[&str]) -> Option<Utterance> {
    let setting = match *words {
        ["switch", "to", ..] => {
            return after(sentence, "to").map(|input| Utterance::Input(input.to_ascii_uppercase()));
        }
        ["bluetooth", ref rest @ ..] => return bluetooth(sentence, rest).map(Utterance::Bluetooth),
        ["locale" | "locales", _, ..] => {
            let codes = rest(sentence, 1)?.split_whitespace().map(str::to_owned).collect();
            Setting::Locales(codes)
        }
        ["time", "zone", ..] => Setting::TimeZone(rest(sentence, 2)?),
        ["wake", "word", "tone", state @ ("on" | "off")] => Setting::WakeWordTone(state == "on"),
        ["speech", "tone", state @ ("on" | "off")] => Setting::SpeechTone(state == "on"),
        ["wake", "word", word] => Setting::WakeWord(word.to_ascii_uppercase()),
        ["report", "state"] => Setting::Report,
        ["software", "info"] => Setting::Software,
        ["reset", "inactivity"] => Setting::ResetInactivity,
        ["revoke"] => Setting::Revoke,
        _ => return None,
    };
    Some(Utterance::Setting(setting))
}

fn bluetooth(sentence: &str, words: &[&str]) -> Option<Bluetooth> {
    Some(match *words {
        ["scan"] => Bluetooth::Scan,
        ["discoverable"] => Bluetooth::Discoverable(None),
        ["discoverable", seconds] => Bluetooth::Discoverable(Some(seconds.parse().ok()?)),
        ["hide"] => Bluetooth::Hide,
        ["connect"] => Bluetooth::ConnectAny,
        ["category", _, ..] => {
            let words = rest(sentence, 2)?;
            let (name, category) = words.rsplit_once(' ')?;
            Bluetooth::Category(name.to_owned(), category.to_ascii_uppercase())
        }
        [verb, _, ..] => {
            let name = rest(sentence, 2)?;
            match verb {
                "pair" => Bluetooth::Link("PairDevices", name),
                "unpair" => Bluetooth::Link("UnpairDevices", name),
                "connect" => Bluetooth::Link("ConnectByDeviceIds", name),
                "disconnect" => Bluetooth::Link("DisconnectDevices", name),
                "play" => Bluetooth::Control("Play", name),
                "stop" => Bluetooth::Control("Stop", name),
                "next" => Bluetooth::Control("Next", name),
                "previous" => Bluetooth::Control("Previous", name),
                _ => return None,
            }
        }
        _ => return None,
    })
}
