//! SpeechSynthesizer 1.3: Alexa speaks ("SpeechSynthesizer 1.3"; connection notes 6.4; where Amazon's page is silent, the
//! AVS Device SDK).
//!
//! Owns what is spoken and what waits to be. Speech is fetched on arrival and heard in its turn, on the Dialog channel.
//! Promises: one SpeechStarted for what is heard, then one SpeechFinished or SpeechInterrupted; what is never heard
//! sends neither; nothing holds up the queue for longer than it speaks.

mod payload;

use std::collections::VecDeque;
use std::time::Duration;

use antiphon_domain::HubTime;
use antiphon_domain::focus::{Channel, Focus, FocusChange, Mixability};
use antiphon_domain::sound::{SoundId, Voice};
use serde_json::json;

use super::{Announcement, Handling, Interface, Known, Turn, View};
use crate::context::entry;
use crate::effect::{SoundCommand, SoundSource, SoundStart};
use crate::exception::Refusal;
use crate::message::{ContextEntry, Directive, Event};
use crate::picture::{Attention, Picture};
use crate::sequencer::Policy;
use crate::signal::{Signal, SoundNews};
use payload::{Behaviour, Speak};

const NAMESPACE: &str = "SpeechSynthesizer";
/// Within this time sound must follow the channel (connection notes 5.2).
const PATIENCE: Duration = Duration::from_secs(5);
/// So long after speech it still counts as speaking, lest the light flicker between two sentences [R].
const GRACE: Duration = Duration::from_millis(200);

/// What is said of speech that the endpoint broke off.
const LOST: &str = "the speaker's connection was lost";

/// Why a speech will never be heard.
#[derive(Debug)]
enum Trouble {
    Unattached,
    Failed(String),
}

/// One Speak.
#[derive(Debug)]
struct Speech {
    directive: Directive,
    id: SoundId,
    token: String,
    caption: Option<String>,
    trouble: Option<Trouble>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Somebody is listened to; speech that answers nobody waits.
    Held,
    /// The channel is asked for, or the sound is.
    Starting { limit: HubTime, asked: bool },
    /// Heard.
    Sounding { at: HubTime },
}

/// The interface.
#[derive(Debug)]
pub(super) struct SpeechSynthesizer {
    last_id: u64,
    /// What waits for its turn.
    arrived: VecDeque<Speech>,
    current: Option<(Speech, Phase)>,
    listening: bool,
    /// The others were told that speech sounds.
    speaking: bool,
    /// Until then it still looks like speaking.
    grace: Option<HubTime>,
    /// Token, position and activity of the latest speech.
    latest: (String, Duration, &'static str),
}

impl SpeechSynthesizer {
    pub(super) fn new() -> Self {
        Self {
            last_id: 0,
            arrived: VecDeque::new(),
            current: None,
            listening: false,
            speaking: false,
            grace: None,
            latest: (String::new(), Duration::ZERO, "FINISHED"),
        }
    }

    fn take_arrived(&mut self, directive: &Directive) -> Option<Speech> {
        let message_id = &directive.header.message_id;
        let index = self.arrived.iter().position(|s| s.directive.header.message_id == *message_id)?;
        self.arrived.remove(index)
    }

    /// Nothing that waits will be spoken.
    fn drop_arrived(&mut self, turn: &mut Turn<'_>) {
        for speech in self.arrived.drain(..) {
            turn.sound(SoundCommand::Stop { id: speech.id });
        }
    }

    /// Cuts short what is spoken; its directive is the caller's to end.
    fn cut(&mut self, turn: &mut Turn<'_>) -> Option<Directive> {
        let (speech, phase) = self.current.take()?;
        turn.sound(SoundCommand::Stop { id: speech.id });
        self.interrupted(&speech, phase, turn);
        turn.when_settled();
        Some(speech.directive)
    }

    fn interrupted(&mut self, speech: &Speech, phase: Phase, turn: &mut Turn<'_>) {
        let Phase::Sounding { at } = phase else { return };
        let offset = turn.now().since(at);
        self.latest = (speech.token.clone(), offset, "INTERRUPTED");
        let payload = json!({ "token": speech.token, "offsetInMilliseconds": millis(offset) });
        turn.send(Event::new(NAMESPACE, "SpeechInterrupted", payload));
    }

    fn begin(&mut self, turn: &mut Turn<'_>) {
        if let Some((_, phase)) = &mut self.current {
            *phase = Phase::Starting { limit: turn.now() + PATIENCE, asked: false };
            turn.take_focus(Channel::Dialog, Mixability::Mixable);
        }
    }

    fn on_news(&mut self, id: SoundId, news: &SoundNews, turn: &mut Turn<'_>) {
        if let Some((speech, phase)) = self.current.as_mut().filter(|(speech, _)| speech.id == id) {
            match news {
                // It is on its way, and only the endpoint's own delay is waited for.
                SoundNews::Scheduled { at } => {
                    if let Phase::Starting { limit, .. } = phase {
                        *limit = (*limit).max(*at + PATIENCE);
                    }
                }
                SoundNews::Started { at } => self.started(*at, turn),
                SoundNews::Finished => {
                    // It was too short to be seen beginning.
                    if let Phase::Starting { .. } = phase {
                        self.started(turn.now(), turn);
                    }
                    self.finished(turn);
                }
                SoundNews::Failed(error) => {
                    let message = format!("the speech cannot be played: {}", error.message);
                    self.give_up(Refusal::internal(message), turn);
                }
                SoundNews::Lost => self.give_up(Refusal::internal(LOST), turn),
                SoundNews::Unattached => {
                    turn.regret(&speech.directive.raw, &unattached());
                    turn.complete(&speech.directive.header.message_id);
                    turn.when_settled();
                    self.current = None;
                }
            }
        } else if let Some(speech) = self.arrived.iter_mut().find(|speech| speech.id == id) {
            // It is told in its turn.
            match news {
                SoundNews::Failed(error) => speech.trouble = Some(Trouble::Failed(error.message.clone())),
                SoundNews::Lost => speech.trouble = Some(Trouble::Failed(LOST.into())),
                SoundNews::Unattached => speech.trouble = Some(Trouble::Unattached),
                _ => {}
            }
        }
    }

    fn started(&mut self, at: HubTime, turn: &mut Turn<'_>) {
        let Some((speech, phase @ Phase::Starting { .. })) = &mut self.current else { return };
        *phase = Phase::Sounding { at };
        turn.send(Event::new(NAMESPACE, "SpeechStarted", json!({ "token": speech.token })));
        if !self.speaking {
            self.speaking = true;
            turn.announce(Announcement::Speaking(true));
        }
    }

    fn finished(&mut self, turn: &mut Turn<'_>) {
        let Some((speech, Phase::Sounding { at })) = &self.current else { return };
        self.latest = (speech.token.clone(), turn.now().since(*at), "FINISHED");
        turn.send(Event::new(NAMESPACE, "SpeechFinished", json!({ "token": speech.token })));
        turn.complete(&speech.directive.header.message_id);
        turn.when_settled();
        self.current = None;
    }

    /// The speech that has its turn cannot be played (on): with it fails the rest of its dialog.
    fn give_up(&mut self, refusal: Refusal, turn: &mut Turn<'_>) {
        let Some((speech, phase)) = self.current.take() else { return };
        self.interrupted(&speech, phase, turn);
        turn.refuse(speech.directive, refusal);
        turn.when_settled();
    }
}

impl Interface for SpeechSynthesizer {
    fn namespace(&self) -> &'static str {
        NAMESPACE
    }

    fn version(&self) -> &'static str {
        "1.3"
    }

    fn directives(&self) -> &'static [Known] {
        const { &[Known::in_turn("Speak", Policy::AUDIO_BLOCKING)] }
    }

    fn on_arrival(&mut self, directive: &Directive, turn: &mut Turn<'_>) -> Result<(), Refusal> {
        let speak = Speak::of(directive)?;
        match speak.behaviour {
            Behaviour::Enqueue => {}
            Behaviour::ReplaceEnqueued => self.drop_arrived(turn),
            Behaviour::ReplaceAll => {
                self.drop_arrived(turn);
                if let Some(old) = self.cut(turn) {
                    // A dialog that corrects itself goes on; another one was interrupted.
                    if old.header.dialog_request_id == directive.header.dialog_request_id {
                        turn.complete(&old.header.message_id);
                    } else {
                        turn.abandon(old);
                    }
                }
            }
        }
        self.last_id += 1;
        let id = SoundId { voice: Voice::Dialog, number: self.last_id };
        let source = SoundSource::Attachment { stream: directive.stream, content_id: speak.content_id };
        turn.sound(SoundCommand::Prepare { id, source });
        self.arrived.push_back(Speech {
            directive: directive.clone(),
            id,
            token: speak.token,
            caption: speak.caption,
            trouble: None,
        });
        Ok(())
    }

    fn on_directive(&mut self, directive: &Directive, turn: &mut Turn<'_>) -> Result<Handling, Refusal> {
        // Not there: it was dropped for another one, or because somebody began to talk.
        let Some(speech) = self.take_arrived(directive) else { return Ok(Handling::Done) };
        match speech.trouble {
            Some(Trouble::Failed(message)) => return Err(Refusal::internal(message)),
            Some(Trouble::Unattached) => {
                turn.regret(&directive.raw, &unattached());
                return Ok(Handling::Done);
            }
            None => {}
        }
        // The answer to a question ends the listening; what answers nobody waits for its end.
        let answers = directive.header.dialog_request_id.as_deref().is_some_and(|id| !id.is_empty());
        self.current = Some((speech, Phase::Held));
        if answers || !self.listening {
            self.begin(turn);
        }
        Ok(Handling::Running)
    }

    fn on_cancel(&mut self, directive: &Directive, turn: &mut Turn<'_>) {
        if let Some(speech) = self.take_arrived(directive) {
            turn.sound(SoundCommand::Stop { id: speech.id });
        } else if self
            .current
            .as_ref()
            .is_some_and(|(speech, _)| speech.directive.header.message_id == directive.header.message_id)
        {
            self.cut(turn);
        }
    }

    fn on_signal(&mut self, signal: &Signal, turn: &mut Turn<'_>) {
        if let Signal::Sound(id, news) = signal {
            self.on_news(*id, news, turn);
        }
    }

    fn on_announcement(&mut self, announcement: &Announcement, turn: &mut Turn<'_>) {
        if let Announcement::Listening(listening) = announcement {
            self.listening = *listening;
            if *listening {
                self.drop_arrived(turn);
            } else if let Some((_, Phase::Held)) = self.current {
                self.begin(turn);
            }
        }
    }

    fn on_focus(&mut self, change: FocusChange, turn: &mut Turn<'_>) {
        match (change.focus, &mut self.current) {
            (Focus::Foreground, Some((speech, Phase::Starting { asked: asked @ false, .. }))) => {
                *asked = true;
                turn.sound(SoundCommand::Play { id: speech.id, start: SoundStart::Now });
            }
            (Focus::Foreground, _) => turn.when_settled(),
            (Focus::None, Some((_, Phase::Starting { .. } | Phase::Sounding { .. }))) => {
                self.drop_arrived(turn);
                if let Some(directive) = self.cut(turn) {
                    turn.abandon(directive);
                }
            }
            // Nothing is more important than this channel.
            _ => {}
        }
    }

    fn on_settled(&mut self, turn: &mut Turn<'_>) {
        if self.current.is_some() {
            return;
        }
        turn.give_up_focus(Channel::Dialog);
        if self.speaking {
            self.speaking = false;
            self.grace = Some(turn.now() + GRACE);
            turn.announce(Announcement::Speaking(false));
        }
    }

    fn on_logout(&mut self, turn: &mut Turn<'_>) {
        self.drop_arrived(turn);
        if let Some((speech, _)) = self.current.take() {
            turn.sound(SoundCommand::Stop { id: speech.id });
            turn.when_settled();
        }
        self.latest = (String::new(), Duration::ZERO, "FINISHED");
    }

    fn deadline(&self) -> Option<HubTime> {
        match self.current {
            Some((_, Phase::Starting { limit, .. })) => Some(limit),
            _ => self.grace,
        }
    }

    fn on_deadline(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now();
        self.grace = self.grace.filter(|until| *until > now);
        if let Some((speech, Phase::Starting { limit, .. })) = &self.current
            && *limit <= now
        {
            turn.sound(SoundCommand::Stop { id: speech.id });
            self.give_up(Refusal::internal("the speech was not to be heard in time"), turn);
        }
    }

    fn context(&self, view: &View<'_>) -> Option<ContextEntry> {
        let (token, offset, activity) = match &self.current {
            Some((speech, Phase::Sounding { at })) => (&speech.token, view.now.since(*at), "PLAYING"),
            _ => (&self.latest.0, self.latest.1, self.latest.2),
        };
        let state =
            json!({ "token": token, "offsetInMilliseconds": millis(offset), "playerActivity": activity });
        Some(entry(NAMESPACE, "SpeechState", state))
    }

    fn show(&self, view: &View<'_>, picture: &mut Picture) {
        if let Some((speech, Phase::Sounding { .. })) = &self.current {
            picture.caption = speech.caption.clone();
        }
        let lingers = self.grace.is_some_and(|until| view.now < until)
            && matches!(picture.attention, Attention::Idle | Attention::Thinking);
        if self.speaking || lingers {
            picture.attention = Attention::Speaking;
        } else if self.current.is_some() && picture.attention == Attention::Idle {
            picture.attention = Attention::Thinking;
        }
    }
}

fn unattached() -> Refusal {
    Refusal::unexpected("the attachment with the speech never came")
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
