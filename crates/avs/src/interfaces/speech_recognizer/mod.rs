//! SpeechRecognizer 2.3: Alexa listens ("SpeechRecognizer 2.3"; connection notes 5.3, 5.4 and 6.3; where Amazon's page is
//! silent, the AVS Device SDK).
//!
//! Owns whether somebody is listened to, and the settings about it. Speech itself never comes here: the speaker's actor
//! uploads it beside the Recognize that names it. Promises: one open upload at most; every utterance that was begun is
//! closed once, whether it was heard, refused or cut; each Recognize begins a dialog of its own, which is the current
//! one before the event leaves, and tells how things were before it.

mod payload;
mod settings;

use std::time::Duration;

use antiphon_domain::HubTime;
use antiphon_domain::focus::{Channel, Focus, FocusChange, Mixability};
use antiphon_domain::sound::{BuiltIn, SoundId, Voice};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Announcement, Handling, Interface, Known, Turn, View, unlisted};
use crate::device::DeviceConfig;
use crate::effect::{CaptureCommand, Effect, SoundCommand, SoundSource, SoundStart};
use crate::exception::Refusal;
use crate::message::{CaptureId, ContextEntry, Directive, Event};
use crate::picture::{Attention, Picture};
use crate::sequencer::Policy;
use crate::session::EventOutcome;
use crate::signal::{Initiator, Profile, Signal, SoundNews, SpeechNews, Utterance, Wish};
use payload::ExpectSpeech;
use settings::Settings;

const NAMESPACE: &str = "SpeechRecognizer";
/// Without a directive for so long nobody waits for an answer any more [R].
const THINKING: Duration = Duration::from_secs(8);
/// However long the cloud would wait for speech, nobody begins to speak after this (ours).
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// Numbers of the tones: the voice is shared with Notifications, which counts from below.
const FIRST_TONE: u64 = 1 << 32;

#[derive(Clone, Debug, PartialEq)]
enum State {
    Idle,
    /// The request is being uploaded.
    Recognizing,
    /// It was uploaded; the answer is awaited, until that moment unless something comes.
    Busy {
        until: HubTime,
    },
    /// The cloud expects speech, and what initiator it wants to see then.
    Expecting {
        until: HubTime,
        initiator: Option<Value>,
    },
}

/// The Recognize that is open or awaits its answer.
#[derive(Debug)]
struct Request {
    message_id: String,
    dialog: String,
    capture: CaptureId,
    close_talk: bool,
    held: bool,
}

/// The interface.
#[derive(Debug)]
pub(super) struct SpeechRecognizer {
    microphone: bool,
    state: State,
    request: Option<Request>,
    /// The Dialog channel is ours.
    holds: bool,
    /// The tone to be sounded as soon as everybody else is done.
    owed: Option<BuiltIn>,
    tone: Option<SoundId>,
    last_tone: u64,
    settings: Settings,
}

impl SpeechRecognizer {
    pub(super) fn new(config: &DeviceConfig) -> Self {
        Self {
            microphone: config.microphone,
            state: State::Idle,
            request: None,
            holds: false,
            owed: None,
            tone: None,
            last_tone: FIRST_TONE,
            settings: Settings::new(config),
        }
    }

    fn begin(&mut self, utterance: &Utterance, turn: &mut Turn<'_>) {
        if self.request.as_ref().is_some_and(|request| request.capture == utterance.id) {
            return;
        }
        if !turn.view.connected || !self.takes(&utterance.initiator) {
            return close(utterance.id, turn);
        }
        let expected = match std::mem::replace(&mut self.state, State::Recognizing) {
            State::Expecting { initiator, .. } => Some(initiator),
            State::Recognizing => {
                if let Some(old) = &self.request {
                    close(old.capture, turn);
                }
                None
            }
            State::Idle | State::Busy { .. } => None,
        };
        let dialog = Uuid::new_v4().to_string();
        if let Some(event) = payload::energies(utterance, &dialog) {
            turn.send(event);
        }
        let event = payload::recognize(utterance, &dialog, expected, turn.view.moment);
        let held = utterance.initiator == Initiator::PressAndHold;
        self.request = Some(Request {
            message_id: event.header.message_id.clone(),
            dialog,
            capture: utterance.id,
            close_talk: held || utterance.profile == Profile::CloseTalk,
            held,
        });
        turn.request(event);
        self.take_channel(turn);
        turn.announce(Announcement::Listening(true));
        if self.settings.wake_word_tone {
            self.owe(BuiltIn::Listening, turn);
        }
    }

    /// Whether an utterance may begin now. While one is uploaded, a button may begin another, unless the first is held
    /// down; a wake word may not [R: the reference client's audio providers].
    fn takes(&self, initiator: &Initiator) -> bool {
        match &self.state {
            State::Idle => *initiator != Initiator::Expected,
            State::Expecting { .. } => true,
            State::Recognizing => {
                let pressed = matches!(initiator, Initiator::Tap | Initiator::PressAndHold);
                pressed && !self.request.as_ref().is_some_and(|request| request.held)
            }
            State::Busy { .. } => false,
        }
    }

    fn take_channel(&mut self, turn: &mut Turn<'_>) {
        self.holds = true;
        turn.take_focus(Channel::Dialog, Mixability::Mixable);
    }

    fn give_channel(&mut self, turn: &mut Turn<'_>) {
        if std::mem::take(&mut self.holds) {
            turn.give_up_focus(Channel::Dialog);
        }
    }

    /// The request is said; what was captured is uploaded to its end.
    fn stop_capture(&mut self, turn: &mut Turn<'_>) {
        if self.state != State::Recognizing {
            return;
        }
        self.state = State::Busy { until: turn.now() + THINKING };
        if let Some(request) = &self.request {
            close(request.capture, turn);
        }
        turn.announce(Announcement::Listening(false));
        if self.settings.speech_tone {
            self.owe(BuiltIn::Heard, turn);
        }
    }

    /// Nothing is under way any more.
    fn rest(&mut self, turn: &mut Turn<'_>) {
        let was = std::mem::replace(&mut self.state, State::Idle);
        if let Some(request) = self.request.take()
            && was == State::Recognizing
        {
            close(request.capture, turn);
            turn.announce(Announcement::Listening(false));
        }
        self.owed = None;
        self.give_channel(turn);
    }

    fn expect(&mut self, wanted: ExpectSpeech, turn: &mut Turn<'_>) -> Result<(), Refusal> {
        if !matches!(self.state, State::Idle | State::Busy { .. }) {
            return Err(Refusal::unsupported("speech is expected or heard already"));
        }
        let limit = Duration::from_millis(wanted.timeout_in_milliseconds.unsigned_abs()).min(LONGEST_WAIT);
        self.state = State::Expecting { until: turn.now() + limit, initiator: wanted.initiator };
        self.request = None;
        if self.microphone {
            turn.effect(Effect::Capture(CaptureCommand::Open));
            self.take_channel(turn);
        } else {
            self.give_channel(turn);
        }
        Ok(())
    }

    fn awaits(&self, message_id: &str) -> bool {
        self.request.as_ref().is_some_and(|request| request.message_id == message_id)
    }

    fn on_outcome(&mut self, message_id: &str, outcome: &EventOutcome, turn: &mut Turn<'_>) {
        // Directives follow a 200 only.
        if self.awaits(message_id) && *outcome != (EventOutcome::Accepted { status: 200 }) {
            self.rest(turn);
        }
    }

    fn on_speech(&mut self, news: &SpeechNews, turn: &mut Turn<'_>) {
        match news {
            SpeechNews::Begun(utterance) => self.begin(utterance, turn),
            SpeechNews::Ended { id } => {
                if self.request.as_ref().is_some_and(|request| request.capture == *id) {
                    self.stop_capture(turn);
                }
            }
            SpeechNews::NoMicrophone(_) => {
                // Somebody may still speak into another one.
                if let State::Expecting { .. } = self.state {
                    self.give_channel(turn);
                }
            }
        }
    }

    fn owe(&mut self, tone: BuiltIn, turn: &mut Turn<'_>) {
        self.owed = Some(tone);
        turn.when_settled();
    }
}

impl Interface for SpeechRecognizer {
    fn namespace(&self) -> &'static str {
        NAMESPACE
    }

    fn version(&self) -> &'static str {
        "2.3"
    }

    fn configurations(&self) -> Option<Value> {
        let values: Vec<[&str; 1]> = payload::WAKE_WORDS.iter().map(|word| [*word]).collect();
        Some(json!({ "wakeWords": [{ "scopes": ["DEFAULT"], "values": values }] }))
    }

    fn directives(&self) -> &'static [Known] {
        const {
            &[
                Known::in_turn("StopCapture", Policy::FREE),
                Known::in_turn("ExpectSpeech", Policy::AUDIO_BLOCKING),
                Known::in_turn("SetWakeWords", Policy::FREE),
                Known::in_turn("SetWakeWordConfirmation", Policy::FREE),
                Known::in_turn("SetSpeechConfirmation", Policy::FREE),
                Known::in_turn("SetEndOfSpeechOffset", Policy::FREE),
            ]
        }
    }

    fn on_arrival(&mut self, directive: &Directive, _turn: &mut Turn<'_>) -> Result<(), Refusal> {
        if directive.header.name == "ExpectSpeech" {
            ExpectSpeech::of(directive)?;
        }
        Ok(())
    }

    fn on_directive(&mut self, directive: &Directive, turn: &mut Turn<'_>) -> Result<Handling, Refusal> {
        match directive.header.name.as_str() {
            "StopCapture" => {
                // Who holds a button says when it is over. After the end, and when nobody speaks, it means nothing.
                if self.request.as_ref().is_some_and(|request| !request.close_talk) {
                    self.stop_capture(turn);
                }
            }
            // Its turn has come when the speech before it has ended; then it is done with: what it asked for is a
            // state, and must not hold up what follows.
            "ExpectSpeech" => self.expect(ExpectSpeech::of(directive)?, turn)?,
            "SetWakeWords" => {
                let words = payload::wake_words(directive)?;
                self.settings.set_wake_words(words, "WakeWordsReport", turn);
            }
            "SetWakeWordConfirmation" => {
                let on = payload::wake_word_tone(directive)?;
                self.settings.set_wake_word_tone(on, "WakeWordConfirmationReport", turn);
            }
            "SetSpeechConfirmation" => {
                let on = payload::speech_tone(directive)?;
                self.settings.set_speech_tone(on, "SpeechConfirmationReport", turn);
            }
            "SetEndOfSpeechOffset" => payload::end_of_speech(directive)?,
            _ => return Err(unlisted(directive)),
        }
        Ok(Handling::Done)
    }

    /// The dialog of an open Recognize may be over before it: the cloud began another one.
    fn accepts_stale(&self, directive: &Directive) -> bool {
        let dialog = self.request.as_ref().map(|request| request.dialog.as_str());
        directive.header.name == "StopCapture"
            && self.state == State::Recognizing
            && dialog == directive.header.dialog_request_id.as_deref()
    }

    fn on_signal(&mut self, signal: &Signal, turn: &mut Turn<'_>) {
        match signal {
            Signal::Speech(news) => self.on_speech(news, turn),
            Signal::Wish(Wish::StopListening) => self.stop_capture(turn),
            Signal::Wish(wish) => self.settings.grant(wish, turn),
            Signal::Outcome { message_id, outcome } => self.on_outcome(message_id, outcome, turn),
            // The cloud said all it wanted; it will not listen any longer.
            Signal::Answered { message_id } if self.awaits(message_id) => self.stop_capture(turn),
            Signal::Sound(
                id,
                SoundNews::Finished | SoundNews::Failed(_) | SoundNews::Lost | SoundNews::Unattached,
            ) => {
                self.tone = self.tone.filter(|tone| tone != id);
            }
            _ => {}
        }
    }

    fn on_connection(&mut self, up: bool, turn: &mut Turn<'_>) {
        if !up {
            self.rest(turn);
        }
    }

    fn on_announcement(&mut self, announcement: &Announcement, turn: &mut Turn<'_>) {
        if let (Announcement::DialogOver, State::Busy { .. }) = (announcement, &self.state) {
            self.rest(turn);
        }
    }

    fn on_focus(&mut self, change: FocusChange, turn: &mut Turn<'_>) {
        match change.focus {
            Focus::None => {
                self.holds = false;
                if !matches!(self.state, State::Expecting { .. }) {
                    self.rest(turn);
                }
            }
            Focus::Foreground if !self.holds => turn.give_up_focus(Channel::Dialog),
            _ => {}
        }
    }

    fn on_settled(&mut self, turn: &mut Turn<'_>) {
        let Some(tone) = self.owed.take() else { return };
        if let Some(id) = self.tone.take() {
            turn.sound(SoundCommand::Stop { id });
        }
        let id = SoundId { voice: Voice::Notification, number: self.last_tone };
        self.last_tone += 1;
        self.tone = Some(id);
        turn.sound(SoundCommand::Prepare { id, source: SoundSource::BuiltIn(tone) });
        turn.sound(SoundCommand::Play { id, start: SoundStart::Now });
    }

    fn on_logout(&mut self, turn: &mut Turn<'_>) {
        self.rest(turn);
        self.settings.forget(turn);
    }

    fn deadline(&self) -> Option<HubTime> {
        match self.state {
            State::Busy { until } | State::Expecting { until, .. } => Some(until),
            State::Idle | State::Recognizing => None,
        }
    }

    fn on_deadline(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now();
        match self.state {
            State::Expecting { until, .. } if until <= now => {
                turn.send(Event::new(NAMESPACE, "ExpectSpeechTimedOut", json!({})));
                self.rest(turn);
            }
            State::Busy { until } if until <= now => {
                let since = if turn.view.quiet { turn.view.last_directive } else { now };
                let until = since + THINKING;
                if until <= now {
                    self.rest(turn);
                } else {
                    self.state = State::Busy { until };
                }
            }
            _ => {}
        }
    }

    fn show(&self, _view: &View<'_>, picture: &mut Picture) {
        picture.attention = match self.state {
            State::Idle => return,
            State::Recognizing => Attention::Listening,
            State::Busy { .. } => Attention::Thinking,
            State::Expecting { .. } => Attention::Expecting,
        };
    }

    fn settings(&self) -> Vec<ContextEntry> {
        self.settings.list()
    }
}

fn close(capture: CaptureId, turn: &mut Turn<'_>) {
    turn.effect(Effect::Capture(CaptureCommand::Close(capture)));
}
