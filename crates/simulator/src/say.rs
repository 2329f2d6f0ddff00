//! Owns the small grammar of `say`: a sentence in, an `Utterance` out. Pure.
//!
//! ```text
//! [set] volume [to] N   N from 0 to 10 is the spoken scale (times ten), above 10 it is per cent
//! volume N percent      always per cent
//! volume up | louder    ten steps up; "volume down | quieter" ten down
//! mute | unmute
//! play NAME             an album or track of the simulator's own, or a URL
//! stop | pause          | next | previous
//! [set a] timer [for] N seconds|minutes
//! tell me TEXT          speech from the cloud
//! ```

use std::time::Duration;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Utterance {
    /// 0-100.
    Volume(u8),
    /// -100..=100.
    Step(i8),
    Mute(bool),
    Play(String),
    Stop,
    Next,
    Previous,
    Timer(Duration),
    Tell(String),
}

/// Understands a sentence, in any case, with or without politeness.
pub(crate) fn understand(sentence: &str) -> Option<Utterance> {
    let lower = sentence.trim().trim_end_matches(['.', '!', '?']).to_ascii_lowercase();
    let words: Vec<&str> =
        lower.split_whitespace().filter(|word| !["please", "the", "a"].contains(word)).collect();
    match words[..] {
        ["volume", "up"] | ["turn", "up", "volume"] | ["turn", "volume", "up"] | ["louder"] => {
            Some(Utterance::Step(10))
        }
        ["volume", "down"] | ["turn", "down", "volume"] | ["turn", "volume", "down"] | ["quieter"] => {
            Some(Utterance::Step(-10))
        }
        ["set", "volume", "to", ref rest @ ..]
        | ["set", "volume", ref rest @ ..]
        | ["volume", "to", ref rest @ ..]
        | ["volume", ref rest @ ..] => volume(rest),
        ["mute"] => Some(Utterance::Mute(true)),
        ["unmute"] => Some(Utterance::Mute(false)),
        ["stop"] | ["pause"] => Some(Utterance::Stop),
        ["next"] | ["skip"] | ["next", "track" | "song"] => Some(Utterance::Next),
        ["previous"] | ["back"] | ["previous", "track" | "song"] => Some(Utterance::Previous),
        ["set", "timer", "for", count, unit]
        | ["set", "timer", count, unit]
        | ["timer", "for", count, unit]
        | ["timer", count, unit] => timer(count, unit),
        // Names and texts keep their case: URLs need it.
        ["play", ..] => rest(sentence, 1).map(Utterance::Play),
        ["tell", "me", ..] => rest(sentence, 2).map(Utterance::Tell),
        _ => None,
    }
}

fn volume(words: &[&str]) -> Option<Utterance> {
    let (number, percent) = match words {
        [word] => (word.trim_end_matches('%'), word.ends_with('%')),
        [word, "percent" | "%"] => (*word, true),
        _ => return None,
    };
    let number: u8 = number.parse().ok()?;
    let level = if percent || number > 10 { number } else { number * 10 };
    (level <= 100).then_some(Utterance::Volume(level))
}

fn timer(count: &str, unit: &str) -> Option<Utterance> {
    let count: u64 = count.parse().ok().filter(|count| (1..=86_400).contains(count))?;
    let seconds = match unit {
        "second" | "seconds" | "s" => count,
        "minute" | "minutes" | "min" => count * 60,
        _ => return None,
    };
    Some(Utterance::Timer(Duration::from_secs(seconds)))
}

fn rest(sentence: &str, skip: usize) -> Option<String> {
    let text = sentence.split_whitespace().skip(skip).collect::<Vec<_>>().join(" ");
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sentences() {
        let cases = [
            ("set volume to 5", Utterance::Volume(50)),
            ("Set the volume to 10.", Utterance::Volume(100)),
            ("volume 35", Utterance::Volume(35)),
            ("volume 5%", Utterance::Volume(5)),
            ("volume 5 percent", Utterance::Volume(5)),
            ("volume up", Utterance::Step(10)),
            ("quieter", Utterance::Step(-10)),
            ("mute", Utterance::Mute(true)),
            ("play http://H/Tone.mp3", Utterance::Play("http://H/Tone.mp3".into())),
            ("next", Utterance::Next),
            ("set a timer for 5 seconds", Utterance::Timer(Duration::from_secs(5))),
            ("timer 2 minutes", Utterance::Timer(Duration::from_secs(120))),
            ("tell me It works", Utterance::Tell("It works".into())),
        ];
        for (sentence, wanted) in cases {
            assert_eq!(understand(sentence), Some(wanted), "{sentence}");
        }
        for nonsense in ["", "volume", "set volume to 101", "play", "timer x seconds", "volume 300", "sing"] {
            assert_eq!(understand(nonsense), None, "{nonsense}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in any::<String>()) {
            understand(&text);
        }
    }
}
