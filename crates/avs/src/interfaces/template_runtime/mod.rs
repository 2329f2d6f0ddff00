//! TemplateRuntime 1.3: cards ("TemplateRuntime 1.3", "Display Cards Overview"; times on screen are the AVS Device SDK's;
//! interface notes 6).
//!
//! Owns which card is shown and for how long, and the cards of what is not played yet. A page of the hub shows it; there
//! are no events. An answer's card hides that of the player, which comes back after it while its item is still heard.

mod payload;
mod playing;

use std::collections::VecDeque;
use std::time::Duration;

use antiphon_domain::HubTime;
use serde_json::Value;

use super::{Activity, Announcement, Handling, Interface, Known, Turn, View, unlisted};
use crate::exception::Refusal;
use crate::message::Directive;
use crate::picture::Picture;
use crate::sequencer::Policy;
use crate::signal::{Signal, Wish};

const NAMESPACE: &str = "TemplateRuntime";
/// As many cards wait for their items.
const KEPT: usize = 100;
/// An answer's card stays so long after its speech.
const AFTER_SPEECH: Duration = Duration::from_secs(2);
/// One without speech stays so long (ours).
const UNSPOKEN: Duration = Duration::from_secs(60);
/// The player's card stays so long after its item was paused or stopped.
const AFTER_STOP: Duration = Duration::from_secs(60);
/// The same after it ended by itself.
const AFTER_END: Duration = Duration::from_secs(10);

#[derive(Debug)]
enum Kind {
    /// An answer, of that dialog.
    Answer { dialog: Option<String> },
    /// What the player plays.
    Player,
}

#[derive(Debug)]
struct Shown {
    kind: Kind,
    card: Value,
    until: Option<HubTime>,
}

/// The interface.
#[derive(Debug, Default)]
pub(super) struct TemplateRuntime {
    shown: Option<Shown>,
    /// The cards of items by `audioItemId`, the latest last.
    cards: VecDeque<(String, Value)>,
    /// What the player did last, with which item.
    playing: Option<(String, Activity)>,
    speaking: bool,
    /// A person put the card of this item away.
    dismissed: bool,
}

impl TemplateRuntime {
    fn show_card(&mut self, kind: Kind, card: Value, until: Option<HubTime>, turn: &mut Turn<'_>) {
        self.shown = Some(Shown { kind, card, until });
        turn.take_visual();
    }

    fn hide(&mut self, turn: &mut Turn<'_>) {
        if self.shown.take().is_some() {
            turn.give_up_visual();
        }
    }

    /// Shows the card of what is heard, if there is one.
    fn show_player(&mut self, turn: &mut Turn<'_>) {
        let Some((item, Activity::Playing)) = &self.playing else { return };
        let found = self.cards.iter().rev().find(|(id, _)| belongs(id, item));
        match found.map(|(_, card)| card.clone()) {
            Some(card) if !self.dismissed => self.show_card(Kind::Player, card, None, turn),
            _ => {}
        }
    }

    fn on_player_info(&mut self, id: String, card: Value, turn: &mut Turn<'_>) {
        self.cards.retain(|(known, _)| *known != id);
        if self.cards.len() == KEPT {
            self.cards.pop_front();
        }
        let now_heard = self.playing.as_ref().is_some_and(|(item, _)| belongs(&id, item));
        self.cards.push_back((id, card));
        if now_heard {
            self.dismissed = false;
            self.show_player(turn);
        }
    }

    fn on_playback(&mut self, item: &str, activity: Activity, turn: &mut Turn<'_>) {
        let another = self.playing.as_ref().is_none_or(|(known, _)| known != item);
        let was_playing = matches!(self.playing, Some((_, Activity::Playing)));
        self.playing = Some((item.into(), activity));
        let is_player = matches!(self.shown, Some(Shown { kind: Kind::Player, .. }));
        let limit = match activity {
            Activity::Playing => {
                if another {
                    self.dismissed = false;
                }
                if another && is_player {
                    // Its successor may have none.
                    self.hide(turn);
                }
                let answers = matches!(self.shown, Some(Shown { kind: Kind::Answer { .. }, .. }));
                if another || !was_playing && !answers || is_player {
                    self.show_player(turn);
                }
                return;
            }
            Activity::Paused | Activity::Stopped => AFTER_STOP,
            Activity::Finished => AFTER_END,
        };
        if let Some(shown) = self.shown.as_mut().filter(|_| is_player && !another) {
            shown.until = Some(turn.now() + limit);
        }
    }

    /// The card of an answer is taken away; the player's comes back.
    fn end_answer(&mut self, turn: &mut Turn<'_>) {
        self.hide(turn);
        self.show_player(turn);
    }
}

impl Interface for TemplateRuntime {
    fn namespace(&self) -> &'static str {
        NAMESPACE
    }

    fn version(&self) -> &'static str {
        "1.3"
    }

    fn directives(&self) -> &'static [Known] {
        const {
            &[
                Known::in_turn("RenderTemplate", Policy::VISUAL),
                Known::in_turn("RenderPlayerInfo", Policy::VISUAL),
            ]
        }
    }

    fn on_directive(&mut self, directive: &Directive, turn: &mut Turn<'_>) -> Result<Handling, Refusal> {
        match directive.header.name.as_str() {
            "RenderTemplate" => {
                let card = payload::template(directive)?;
                let dialog = directive.header.dialog_request_id.clone().filter(|id| !id.is_empty());
                let until = (!self.speaking).then(|| turn.now() + UNSPOKEN);
                self.show_card(Kind::Answer { dialog }, card, until, turn);
            }
            "RenderPlayerInfo" => {
                let (id, card) = payload::player_info(directive)?;
                self.on_player_info(id, card, turn);
            }
            _ => return Err(unlisted(directive)),
        }
        Ok(Handling::Done)
    }

    fn on_announcement(&mut self, announcement: &Announcement, turn: &mut Turn<'_>) {
        match announcement {
            Announcement::Playback { item, activity, .. } if !item.is_empty() => {
                self.on_playback(item, *activity, turn);
            }
            Announcement::Speaking(speaking) => {
                self.speaking = *speaking;
                if let Some(Shown { kind: Kind::Answer { .. }, until, .. }) = &mut self.shown {
                    *until = (!*speaking).then(|| turn.now() + AFTER_SPEECH);
                }
            }
            Announcement::Dialog(current) => {
                if let Some(Shown { kind: Kind::Answer { dialog: Some(dialog) }, .. }) = &self.shown
                    && dialog != current
                {
                    self.end_answer(turn);
                }
            }
            _ => {}
        }
    }

    fn on_signal(&mut self, signal: &Signal, turn: &mut Turn<'_>) {
        if *signal == Signal::Wish(Wish::DismissCard) {
            match self.shown.as_ref().map(|shown| &shown.kind) {
                Some(Kind::Player) => {
                    self.dismissed = true;
                    self.hide(turn);
                }
                Some(Kind::Answer { .. }) => self.end_answer(turn),
                None => {}
            }
        }
    }

    fn on_logout(&mut self, turn: &mut Turn<'_>) {
        self.hide(turn);
        self.cards.clear();
        self.playing = None;
    }

    fn deadline(&self) -> Option<HubTime> {
        self.shown.as_ref().and_then(|shown| shown.until)
    }

    fn on_deadline(&mut self, turn: &mut Turn<'_>) {
        if self.deadline().is_some_and(|until| until <= turn.now()) {
            self.end_answer(turn);
        }
    }

    fn show(&self, _view: &View<'_>, picture: &mut Picture) {
        picture.card = self.shown.as_ref().map(|shown| shown.card.clone());
        // What a display of a receiver shows, whatever answer or person hides the card here.
        if let Some((item, Activity::Playing | Activity::Paused)) = &self.playing {
            let found = self.cards.iter().rev().find(|(id, _)| belongs(id, item));
            picture.playing = found.map(|(_, card)| playing::read(card));
        }
    }
}

/// Whether a card is of an item: its id may be the item's with something added.
fn belongs(card: &str, item: &str) -> bool {
    card.contains(item)
}
