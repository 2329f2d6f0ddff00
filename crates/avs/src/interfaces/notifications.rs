//! Notifications 1.0: something waits to be asked for ("Notifications 1.0", "AVS UX Notifications").
//!
//! A SetIndicator acts as it comes, whatever is said or played: the light, both flags and their keeping at once, and
//! the tone over music and over Alexa's own voice, as its page demands. The order of precedence of the interrupts' page
//! is kept where that says nothing: while a person is being listened to, and while an alert sounds, a tone waits, and
//! is heard right after; of those that waited for a long alert the latest alone. Tones come one after the other, at the alert volume; one that cannot be fetched, or not soon,
//! is replaced by the built-in one.

use std::collections::VecDeque;
use std::time::Duration;

use antiphon_domain::HubTime;
use antiphon_domain::media::Media;
use antiphon_domain::sound::{BuiltIn, SoundId, Voice};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Announcement, Handling, Interface, Known, Turn, View, payload, unlisted};
use crate::context::entry;
use crate::device::DeviceConfig;
use crate::effect::{SoundCommand, SoundSource, SoundStart};
use crate::exception::Refusal;
use crate::message::{ContextEntry, Directive};
use crate::picture::Picture;
use crate::sequencer::Policy;
use crate::signal::{Signal, SoundNews};

const NAMESPACE: &str = "Notifications";
const KEY: &str = "notifications.indicator";
/// As many tones wait; of more nobody would learn more (ours).
const WAITING: usize = 16;
/// A tone that is not heard by then is replaced (ours: "at once" cannot wait for a slow server).
const PATIENCE: Duration = Duration::from_secs(5);
/// A tone is over by then (ours).
const LONGEST: Duration = Duration::from_secs(30);
/// After an alert that rang for longer only the latest of the waiting tones is heard: the light says the rest (ours).
const LONG_ALERT: Duration = Duration::from_secs(60);
/// After somebody was listened to there may be a tone that says so, of the same voice (ours).
const HEARD: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Tone {
    asset: Asset,
    id: SoundId,
    built_in: bool,
    /// Until then it has to be heard, or to have ended.
    until: HubTime,
    heard: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asset {
    asset_id: String,
    url: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SetIndicator {
    persist_visual_indicator: bool,
    play_audio_indicator: bool,
    asset: Option<Asset>,
}

#[derive(Debug)]
pub(super) struct Notifications {
    enabled: bool,
    persisted: bool,
    playing: Option<Tone>,
    waiting: VecDeque<Asset>,
    listening: bool,
    /// Until then nothing sounds, because somebody was listened to just now.
    quiet: Option<HubTime>,
    /// Since when an alert rings.
    alert: Option<HubTime>,
    number: u64,
}

impl Notifications {
    pub(super) fn new(config: &DeviceConfig) -> Self {
        let stored = config.stored.get(KEY).unwrap_or(&Value::Null);
        Self {
            enabled: stored["enabled"] == true,
            persisted: stored["persisted"] == true,
            playing: None,
            waiting: VecDeque::new(),
            listening: false,
            quiet: None,
            alert: None,
            number: 0,
        }
    }

    fn set(&mut self, wanted: SetIndicator, turn: &mut Turn<'_>) {
        self.keep(true, wanted.persist_visual_indicator, turn);
        let Some(asset) = wanted.asset.filter(|_| wanted.play_audio_indicator) else { return };
        let sounds = self.playing.as_ref().is_some_and(|tone| tone.asset.asset_id == asset.asset_id);
        if !sounds && self.waiting.len() < WAITING {
            self.waiting.push_back(asset);
            self.play_next(turn);
        }
    }

    fn clear(&mut self, turn: &mut Turn<'_>) {
        self.waiting.clear();
        self.quiet = None;
        if let Some(tone) = self.playing.take() {
            turn.sound(SoundCommand::Stop { id: tone.id });
        }
        self.keep(false, false, turn);
    }

    fn keep(&mut self, enabled: bool, persisted: bool, turn: &mut Turn<'_>) {
        if (self.enabled, self.persisted) == (enabled, persisted) {
            return;
        }
        (self.enabled, self.persisted) = (enabled, persisted);
        let value = if enabled { self.state() } else { Value::Null };
        turn.store(KEY, value);
    }

    fn state(&self) -> Value {
        json!({ "enabled": self.enabled, "persisted": self.persisted })
    }

    fn play_next(&mut self, turn: &mut Turn<'_>) {
        if self.playing.is_some() || self.listening || self.quiet.is_some() || self.alert.is_some() {
            return;
        }
        let Some(asset) = self.waiting.pop_front() else { return };
        let url = asset.url.clone();
        let source = if url.starts_with("https://") || url.starts_with("http://") {
            SoundSource::Media(Media { url, offset: Duration::ZERO, end: None, headers: Vec::new() })
        } else {
            SoundSource::BuiltIn(BuiltIn::Notification)
        };
        self.play(asset, source, turn);
    }

    fn play(&mut self, asset: Asset, source: SoundSource, turn: &mut Turn<'_>) {
        self.number += 1;
        let id = SoundId { voice: Voice::Notification, number: self.number };
        let built_in = matches!(source, SoundSource::BuiltIn(_));
        turn.sound(SoundCommand::Prepare { id, source });
        turn.sound(SoundCommand::Play { id, start: SoundStart::Now });
        let until = turn.now() + PATIENCE;
        self.playing = Some(Tone { asset, id, built_in, until, heard: false });
    }

    /// Who speaks is not to be spoken over, and the voice may be wanted for the tone that says "I hear".
    fn yield_to_listening(&mut self, turn: &mut Turn<'_>) {
        let Some(tone) = self.playing.take_if(|_| self.listening) else { return };
        turn.sound(SoundCommand::Stop { id: tone.id });
        if !tone.heard {
            self.waiting.push_front(tone.asset);
        }
    }

    /// The present tone came to nothing.
    fn failed(&mut self, turn: &mut Turn<'_>) {
        let Some(tone) = self.playing.take() else { return };
        if tone.built_in || tone.heard {
            self.play_next(turn);
        } else {
            self.play(tone.asset, SoundSource::BuiltIn(BuiltIn::Notification), turn);
        }
    }
}

impl Interface for Notifications {
    fn namespace(&self) -> &'static str {
        NAMESPACE
    }

    fn version(&self) -> &'static str {
        "1.0"
    }

    fn directives(&self) -> &'static [Known] {
        const { &[Known::in_turn("SetIndicator", Policy::FREE), Known::in_turn("ClearIndicator", Policy::FREE)] }
    }

    fn on_directive(&mut self, directive: &Directive, turn: &mut Turn<'_>) -> Result<Handling, Refusal> {
        match directive.header.name.as_str() {
            "SetIndicator" => {
                let wanted: SetIndicator = payload(directive)?;
                if wanted.play_audio_indicator && wanted.asset.is_none() {
                    return Err(Refusal::unexpected("a tone without an asset"));
                }
                if wanted.asset.as_ref().is_some_and(|a| a.asset_id.is_empty() || a.url.is_empty()) {
                    return Err(Refusal::unexpected("an asset without assetId or url"));
                }
                self.set(wanted, turn);
            }
            "ClearIndicator" => self.clear(turn),
            _ => return Err(unlisted(directive)),
        }
        Ok(Handling::Done)
    }

    fn on_signal(&mut self, signal: &Signal, turn: &mut Turn<'_>) {
        let Signal::Sound(id, news) = signal else { return };
        let Some(tone) = self.playing.as_mut().filter(|tone| tone.id == *id) else { return };
        match news {
            SoundNews::Scheduled { at } => tone.until = tone.until.max(*at + PATIENCE),
            SoundNews::Started { at } => {
                tone.heard = true;
                tone.until = *at + LONGEST;
            }
            SoundNews::Finished => {
                self.playing = None;
                self.play_next(turn);
            }
            SoundNews::Failed(_) | SoundNews::Lost | SoundNews::Unattached => self.failed(turn),
        }
    }

    fn on_announcement(&mut self, announcement: &Announcement, turn: &mut Turn<'_>) {
        match announcement {
            Announcement::Listening(listening) => {
                self.listening = *listening;
                self.quiet = (!listening).then(|| turn.now() + HEARD);
                self.yield_to_listening(turn);
            }
            Announcement::Ringing(true) => {
                self.alert.get_or_insert(turn.now());
            }
            Announcement::Ringing(false) => {
                let since = self.alert.take();
                if since.is_some_and(|since| turn.now().since(since) > LONG_ALERT) {
                    self.waiting.drain(..self.waiting.len().saturating_sub(1));
                }
            }
            _ => return,
        }
        self.play_next(turn);
    }

    fn on_logout(&mut self, turn: &mut Turn<'_>) {
        self.clear(turn);
    }

    fn deadline(&self) -> Option<HubTime> {
        let playing = self.playing.as_ref().map(|tone| tone.until);
        playing.into_iter().chain(self.quiet).min()
    }

    fn on_deadline(&mut self, turn: &mut Turn<'_>) {
        if self.quiet.take_if(|until| *until <= turn.now()).is_some() {
            self.play_next(turn);
        }
        if let Some(tone) = self.playing.as_ref().filter(|tone| tone.until <= turn.now()) {
            turn.sound(SoundCommand::Stop { id: tone.id });
            self.failed(turn);
        }
    }

    fn context(&self, _view: &View<'_>) -> Option<ContextEntry> {
        let state = json!({ "isEnabled": self.enabled, "isVisualIndicatorPersisted": self.persisted });
        Some(entry(NAMESPACE, "IndicatorState", state))
    }

    fn show(&self, _view: &View<'_>, picture: &mut Picture) {
        picture.notification = self.enabled;
    }
}
