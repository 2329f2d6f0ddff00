//! Owns the small grammar of `say`: a sentence in, an `Utterance` out. Pure.
//!
//! ```text
//! [set] volume [to] N    N from 0 to 10 is the spoken scale (times ten), above 10 it is per cent
//! volume N percent       always per cent
//! volume up | louder     ten steps up; "volume down | quieter" ten down
//! mute | unmute
//! play NAME              an album or track of the simulator's own, or a URL; "play" alone resumes
//! stop | pause           the alert that rings, else the music | next | previous | resume
//! shuffle | loop | repeat on|off          thumbs up | down [off]
//! [set a] timer [for] N seconds|minutes|hours [called NAME]
//! alarm at H:MM[:SS] (UTC) | alarm in N UNIT          wake me in N UNIT with NAME (music)
//! remind me in N UNIT to TEXT
//! cancel alarm(s) | timer(s) | reminder(s) | everything
//! snooze [N UNIT]        the alert that rings, else the next one; nine minutes
//! alarm volume [to] N | up | down          alarm ramp on|off
//! notification [silent] | clear notifications
//! bass | treble | midrange up|down [N] | to N | reset    reset equalizer    equalizer mode MODE
//! switch to INPUT
//! tell me TEXT | ask me TEXT
//! show card text|image|list|weather | what is playing
//! bluetooth scan | discoverable [N] | hide | pair|unpair|connect|disconnect|play|stop|next|previous NAME
//! bluetooth connect (any player) | bluetooth category NAME CATEGORY
//! locale CODE [CODE] | time zone NAME | wake word WORD | wake word tone on|off | speech tone on|off
//! report state | software info | reset inactivity | revoke
//! ```

mod device;

use std::time::Duration;

use crate::provider::Press;

pub(crate) use device::{Bluetooth, Setting};

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Utterance {
    /// 0-100.
    Volume(u8),
    /// -100..=100.
    Step(i8),
    Mute(bool),
    Play(String),
    Resume,
    Stop,
    Press(Press),
    /// Length and label.
    Timer(Duration, Option<String>),
    AlarmIn(Duration),
    /// Second of the UTC day.
    AlarmAt(u32),
    Wake(Duration, String),
    Reminder(Duration, String),
    /// The type of alert to cancel; `None` all.
    Cancel(Option<&'static str>),
    Snooze(Duration),
    AlarmVolume(u8),
    AlarmStep(i8),
    Ramp(bool),
    /// Whether it sounds.
    Notify(bool),
    ClearNotifications,
    /// Band and level, dB.
    Band(String, i64),
    /// Band and steps up or down, dB.
    BandStep(String, i64),
    /// One band, or all.
    ResetBands(Option<String>),
    EqualizerMode(String),
    Input(String),
    Tell(String),
    Ask(String),
    Card(String),
    Playing,
    Bluetooth(Bluetooth),
    Setting(Setting),
}

/// Understands a sentence, in any case, with or without politeness.
pub(crate) fn understand(sentence: &str) -> Option<Utterance> {
    let lower = sentence.trim().trim_end_matches(['.', '!', '?']).to_ascii_lowercase();
    let words: Vec<&str> =
        lower.split_whitespace().filter(|word| !["please", "the", "a", "an"].contains(word)).collect();
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
        | ["volume", ref rest @ ..] => level(rest).map(Utterance::Volume),
        ["mute"] => Some(Utterance::Mute(true)),
        ["unmute"] => Some(Utterance::Mute(false)),
        ["stop"] | ["pause"] => Some(Utterance::Stop),
        ["resume"] | ["continue"] | ["play"] => Some(Utterance::Resume),
        ["next"] | ["skip"] | ["next", "track" | "song"] => Some(Utterance::Press(Press::Next)),
        ["previous"] | ["back"] | ["previous", "track" | "song"] => Some(Utterance::Press(Press::Previous)),
        [what @ ("shuffle" | "loop" | "repeat"), state @ ("on" | "off")] => {
            Some(Utterance::Press(Press::Toggle(what.to_ascii_uppercase(), state == "on")))
        }
        ["thumbs", way @ ("up" | "down"), ref rest @ ..] => Some(Utterance::Press(Press::Toggle(
            format!("THUMBS{}", way.to_ascii_uppercase()),
            rest.is_empty(),
        ))),
        // Names and texts keep their case: URLs need it.
        ["play", ..] => rest(sentence, 1).map(Utterance::Play),
        ["tell", "me", ..] => rest(sentence, 2).map(Utterance::Tell),
        ["ask", "me", ..] => rest(sentence, 2).map(Utterance::Ask),
        ["show", "card", kind] | ["show", kind, "card"] | ["show", kind] => {
            ["text", "image", "list", "weather"].contains(&kind).then(|| Utterance::Card(kind.to_owned()))
        }
        ["what", "is", "playing"] | ["what's", "playing"] => Some(Utterance::Playing),
        ["remind", "me", "in", count, unit, "to", ..] => {
            Some(Utterance::Reminder(length(count, unit)?, after(sentence, "to")?))
        }
        ["wake", "me", "in", count, unit, "with" | "to", ..] => {
            let keyword = if words.contains(&"with") { "with" } else { "to" };
            Some(Utterance::Wake(length(count, unit)?, after(sentence, keyword)?))
        }
        _ => alerts(&words).or_else(|| equalizer(&words)).or_else(|| device::understand(sentence, &words)),
    }
}

fn alerts(words: &[&str]) -> Option<Utterance> {
    match *words {
        ["set", ref rest @ ..] => alerts(rest),
        ["timer", "for", count, unit] | ["timer", count, unit] => {
            Some(Utterance::Timer(length(count, unit)?, None))
        }
        ["timer", "for", count, unit, "called", name] | ["timer", count, unit, "called", name] => {
            Some(Utterance::Timer(length(count, unit)?, Some(name.to_owned())))
        }
        ["alarm", "in", count, unit] => Some(Utterance::AlarmIn(length(count, unit)?)),
        ["alarm", "at" | "for", time] => clock(time).map(Utterance::AlarmAt),
        ["alarm", "volume", "up"] => Some(Utterance::AlarmStep(10)),
        ["alarm", "volume", "down"] => Some(Utterance::AlarmStep(-10)),
        ["alarm", "volume", "to", ref rest @ ..] | ["alarm", "volume", ref rest @ ..] => {
            level(rest).map(Utterance::AlarmVolume)
        }
        ["alarm", "ramp", state @ ("on" | "off")] => Some(Utterance::Ramp(state == "on")),
        ["cancel", "alarm" | "alarms"] => Some(Utterance::Cancel(Some("ALARM"))),
        ["cancel", "timer" | "timers"] => Some(Utterance::Cancel(Some("TIMER"))),
        ["cancel", "reminder" | "reminders"] => Some(Utterance::Cancel(Some("REMINDER"))),
        ["cancel", "everything" | "all"] => Some(Utterance::Cancel(None)),
        ["snooze"] => Some(Utterance::Snooze(Duration::from_secs(540))),
        ["snooze", "for", count, unit] | ["snooze", count, unit] => {
            length(count, unit).map(Utterance::Snooze)
        }
        ["notification"] | ["notify"] => Some(Utterance::Notify(true)),
        ["notification" | "notify", "silent" | "silently"] => Some(Utterance::Notify(false)),
        ["clear", "notification" | "notifications"] => Some(Utterance::ClearNotifications),
        _ => None,
    }
}

fn equalizer(words: &[&str]) -> Option<Utterance> {
    let band = |name: &str| match name {
        "bass" | "treble" | "midrange" => Some(name.to_ascii_uppercase()),
        "mid" | "mids" => Some("MIDRANGE".to_owned()),
        _ => None,
    };
    match *words {
        ["set", ref rest @ ..] if !rest.is_empty() => equalizer(rest),
        ["reset", "equalizer"] => Some(Utterance::ResetBands(None)),
        ["reset", name] | [name, "reset"] => band(name).map(|name| Utterance::ResetBands(Some(name))),
        ["equalizer", "mode", mode] => Some(Utterance::EqualizerMode(mode.to_ascii_uppercase())),
        [name, "to", level] => Some(Utterance::Band(band(name)?, level.parse().ok()?)),
        [name, way @ ("up" | "down"), ref rest @ ..] => {
            let name = band(name)?;
            let steps: i64 = match rest {
                [] => 1,
                [count] | ["by", count] => count.parse().ok().filter(|count| (0..=100).contains(count))?,
                _ => return None,
            };
            Some(Utterance::BandStep(name, if way == "up" { steps } else { -steps }))
        }
        _ => None,
    }
}

fn level(words: &[&str]) -> Option<u8> {
    let (number, percent) = match words {
        [word] => (word.trim_end_matches('%'), word.ends_with('%')),
        [word, "percent" | "%"] => (*word, true),
        _ => return None,
    };
    let number: u8 = number.parse().ok()?;
    let level = if percent || number > 10 { number } else { number * 10 };
    (level <= 100).then_some(level)
}

fn length(count: &str, unit: &str) -> Option<Duration> {
    let count: u64 = count.parse().ok().filter(|count| (1..=86_400).contains(count))?;
    let seconds = match unit {
        "second" | "seconds" | "s" => count,
        "minute" | "minutes" | "min" => count * 60,
        "hour" | "hours" | "h" => count * 3600,
        _ => return None,
    };
    Some(Duration::from_secs(seconds))
}

/// `7:30`, `7:30am`, `19:30:05`: the second of the day.
fn clock(text: &str) -> Option<u32> {
    let (digits, half) = match (text.strip_suffix("am"), text.strip_suffix("pm")) {
        (Some(digits), _) => (digits, Some(0)),
        (_, Some(digits)) => (digits, Some(12)),
        _ => (text, None),
    };
    let mut parts = digits.split(':').map(|part| part.parse::<u32>().ok());
    let hour = parts.next()??;
    let minute = parts.next().unwrap_or(Some(0))?;
    let second = parts.next().unwrap_or(Some(0))?;
    let hour = match half {
        Some(half) => (1..=12).contains(&hour).then_some(hour % 12 + half)?,
        None => hour,
    };
    (hour < 24 && minute < 60 && second < 60 && parts.next().is_none())
        .then_some(hour * 3600 + minute * 60 + second)
}

/// The sentence without its first words.
fn rest(sentence: &str, skip: usize) -> Option<String> {
    let text = sentence.split_whitespace().skip(skip).collect::<Vec<_>>().join(" ");
    (!text.is_empty()).then_some(text)
}

/// What stands behind the first such word.
fn after(sentence: &str, keyword: &str) -> Option<String> {
    let at = sentence.split_whitespace().position(|word| word.eq_ignore_ascii_case(keyword))?;
    rest(sentence, at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sentences() {
        let seconds = Duration::from_secs;
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
            ("next", Utterance::Press(Press::Next)),
            ("thumbs up", Utterance::Press(Press::Toggle("THUMBSUP".into(), true))),
            ("shuffle off", Utterance::Press(Press::Toggle("SHUFFLE".into(), false))),
            ("set a timer for 5 seconds", Utterance::Timer(seconds(5), None)),
            ("timer 2 minutes called pizza", Utterance::Timer(seconds(120), Some("pizza".into()))),
            ("set an alarm at 7:30am", Utterance::AlarmAt(27_000)),
            ("alarm in 3 seconds", Utterance::AlarmIn(seconds(3))),
            ("alarm at 19:30:05", Utterance::AlarmAt(70_205)),
            ("wake me in 2 seconds with demo", Utterance::Wake(seconds(2), "demo".into())),
            ("remind me in 1 minute to call Bob", Utterance::Reminder(seconds(60), "call Bob".into())),
            ("cancel all", Utterance::Cancel(None)),
            ("snooze", Utterance::Snooze(seconds(540))),
            ("alarm volume 3", Utterance::AlarmVolume(30)),
            ("set alarm volume to 45", Utterance::AlarmVolume(45)),
            ("alarm ramp on", Utterance::Ramp(true)),
            ("notification silent", Utterance::Notify(false)),
            ("bass up", Utterance::BandStep("BASS".into(), 1)),
            ("treble down 3", Utterance::BandStep("TREBLE".into(), -3)),
            ("set midrange to -4", Utterance::Band("MIDRANGE".into(), -4)),
            ("reset the equalizer", Utterance::ResetBands(None)),
            ("equalizer mode movie", Utterance::EqualizerMode("MOVIE".into())),
            ("switch to hdmi 1", Utterance::Input("HDMI 1".into())),
            ("tell me It works", Utterance::Tell("It works".into())),
            ("show the weather", Utterance::Card("weather".into())),
        ];
        for (sentence, wanted) in cases {
            assert_eq!(understand(sentence), Some(wanted), "{sentence}");
        }
        for nonsense in [
            "",
            "volume",
            "set volume to 101",
            "timer x seconds",
            "volume 300",
            "sing",
            "alarm at 25:00",
            "set",
            "set set",
            "alarm at 1:2:3:4",
            "bass up 1000",
            "remind me in 5 seconds to",
            "bluetooth",
            "show jazz",
        ] {
            assert_eq!(understand(nonsense), None, "{nonsense}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in any::<String>()) {
            understand(&text);
        }

        #[test]
        fn words_never_panic(words in proptest::collection::vec("set|alarm|at|in|[0-9:]{1,6}|bass|to|bluetooth|on", 0..6)) {
            understand(&words.join(" "));
        }
    }
}
