//! The settings of SpeechRecognizer 2.3: wake words and two tones. Kept over restarts; the cloud hears of each change,
//! as a report when it asked for it, else as a change.

use serde_json::{Value, json};

use super::{NAMESPACE, payload};
use crate::context::entry;
use crate::device::DeviceConfig;
use crate::interfaces::Turn;
use crate::message::{ContextEntry, Event, Retry};
use crate::signal::Wish;

const WAKE_WORDS_KEY: &str = "speech_recognizer.wake_words";
const WAKE_WORD_TONE_KEY: &str = "speech_recognizer.wake_word_tone";
const SPEECH_TONE_KEY: &str = "speech_recognizer.speech_tone";

/// What is set.
#[derive(Debug)]
pub(super) struct Settings {
    wake_words: Vec<String>,
    /// A tone sounds when listening begins.
    pub wake_word_tone: bool,
    /// A tone sounds when the request was heard.
    pub speech_tone: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let wake_words = vec![payload::WAKE_WORDS[0].into()];
        Self { wake_words, wake_word_tone: false, speech_tone: false }
    }
}

impl Settings {
    pub(super) fn new(config: &DeviceConfig) -> Self {
        let mut settings = Self::default();
        let on = |key: &str| config.stored.get(key).and_then(Value::as_bool).unwrap_or(false);
        settings.wake_word_tone = on(WAKE_WORD_TONE_KEY);
        settings.speech_tone = on(SPEECH_TONE_KEY);
        let stored = config.stored.get(WAKE_WORDS_KEY);
        let words: Option<Vec<String>> = stored.and_then(|value| serde_json::from_value(value.clone()).ok());
        if let Some(words) = words.filter(|words| payload::is_declared(words)) {
            settings.wake_words = words;
        }
        settings
    }

    /// The defaults again.
    pub(super) fn forget(&mut self, turn: &mut Turn<'_>) {
        *self = Self::default();
        for key in [WAKE_WORDS_KEY, WAKE_WORD_TONE_KEY, SPEECH_TONE_KEY] {
            turn.store(key, Value::Null);
        }
    }

    /// Grants a person's wish; what is so already is no change.
    pub(super) fn grant(&mut self, wish: &Wish, turn: &mut Turn<'_>) {
        match wish {
            Wish::WakeWords(words) if payload::is_declared(words) && *words != self.wake_words => {
                self.set_wake_words(words.clone(), "WakeWordsChanged", turn);
            }
            Wish::WakeWordTone(on) if *on != self.wake_word_tone => {
                self.set_wake_word_tone(*on, "WakeWordConfirmationChanged", turn);
            }
            Wish::SpeechTone(on) if *on != self.speech_tone => {
                self.set_speech_tone(*on, "SpeechConfirmationChanged", turn);
            }
            _ => {}
        }
    }

    pub(super) fn set_wake_words(&mut self, words: Vec<String>, event: &str, turn: &mut Turn<'_>) {
        self.wake_words = words;
        turn.store(WAKE_WORDS_KEY, json!(self.wake_words));
        turn.send(setting(event, json!({ "wakeWords": self.wake_words })));
    }

    pub(super) fn set_wake_word_tone(&mut self, on: bool, event: &str, turn: &mut Turn<'_>) {
        self.wake_word_tone = on;
        turn.store(WAKE_WORD_TONE_KEY, json!(on));
        turn.send(setting(event, json!({ "wakeWordConfirmation": word(on) })));
    }

    pub(super) fn set_speech_tone(&mut self, on: bool, event: &str, turn: &mut Turn<'_>) {
        self.speech_tone = on;
        turn.store(SPEECH_TONE_KEY, json!(on));
        turn.send(setting(event, json!({ "speechConfirmation": word(on) })));
    }

    /// As a StateReport lists them.
    pub(super) fn list(&self) -> Vec<ContextEntry> {
        let tone = |name: &str, key: &str, on: bool| entry(NAMESPACE, name, json!({ key: word(on) }));
        vec![
            entry(NAMESPACE, "WakeWordsReport", json!({ "wakeWords": self.wake_words })),
            tone("WakeWordConfirmationReport", "wakeWordConfirmation", self.wake_word_tone),
            tone("SpeechConfirmationReport", "speechConfirmation", self.speech_tone),
        ]
    }
}

const fn word(on: bool) -> &'static str {
    if on { "TONE" } else { "NONE" }
}

fn setting(event: &str, payload: Value) -> Event {
    let mut event = Event::new(NAMESPACE, event, payload);
    event.retry = Retry::UntilAccepted;
    event
}
