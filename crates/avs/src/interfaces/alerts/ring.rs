//! The one alert that rings, or is about to: which sound follows which.
//!
//! Driven by the interface: [`Ring::form`] when it is settled whether the alert is in front, [`Ring::news`] for each
//! piece of news of the voice. In front it plays its passes, each chained to the one before; behind a conversation a
//! short form whose passes begin ten seconds apart ("Alerts", and the reference client). A file that is not there or
//! cannot be played makes place for the built-in tone at once, and for good.

use std::collections::BTreeSet;
use std::time::Duration;

use antiphon_domain::HubTime;
use antiphon_domain::sound::{BuiltIn, SoundId, Voice};

use super::alert::Alert;
use crate::effect::{AssetId, SoundCommand, SoundSource, SoundStart};
use crate::interfaces::Turn;
use crate::signal::SoundNews;

/// From the beginning of one short pass to that of the next (AVS Device SDK).
const BACKGROUND: Duration = Duration::from_secs(10);

/// How far it is with an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Its first sound is buffered, and its endpoint awake.
    Prepared,
    /// Its first sound will be heard when it is due.
    Ordered,
    /// It holds the channel.
    Claimed,
}

/// In which form it is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// In front.
    Full,
    /// Behind a conversation.
    Short,
    /// Behind a conversation, where nothing may sound behind anything.
    Silent,
}

/// What news of a sound means for the alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Nothing.
    Nothing,
    /// It is heard since then.
    Heard(HubTime),
    /// All its passes were heard.
    Over,
    /// Not even the built-in tone can be played.
    Broken,
}

/// What sounds are made from.
#[derive(Debug, Default)]
pub(super) struct Kit {
    /// The last sound's number.
    pub(super) number: u64,
    /// The files that are here.
    pub(super) ready: BTreeSet<AssetId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    pass: u32,
    item: usize,
}

#[derive(Clone, Debug)]
struct Sound {
    id: SoundId,
    place: Place,
    built_in: bool,
    since: Option<HubTime>,
}

/// An alert that rings.
#[derive(Debug)]
pub(super) struct Ring {
    pub(super) alert: Alert,
    /// When its first sound is due.
    pub(super) due: HubTime,
    /// When it ends at the latest.
    pub(super) limit: HubTime,
    pub(super) stage: Stage,
    /// Whether the cloud was told that it began.
    pub(super) started: bool,
    pub(super) form: Form,
    /// Its own files are played, not the built-in tone.
    assets: bool,
    /// Its own files are given up.
    stock: bool,
    stock_behind: bool,
    current: Option<Sound>,
    next: Option<Sound>,
}

impl Ring {
    /// A ring whose first sound is being prepared.
    pub(super) fn new(
        alert: Alert,
        due: HubTime,
        limit: HubTime,
        form: Form,
        kit: &mut Kit,
        turn: &mut Turn<'_>,
    ) -> Self {
        let mut ring = Self {
            alert,
            due,
            limit,
            stage: Stage::Prepared,
            started: false,
            form,
            assets: false,
            stock: false,
            stock_behind: false,
            current: None,
            next: None,
        };
        ring.form(form, kit, turn);
        ring
    }

    /// Begins a form from its beginning; heard from when it is due, or at once, unless it is only being prepared.
    pub(super) fn form(&mut self, form: Form, kit: &mut Kit, turn: &mut Turn<'_>) {
        self.hush(turn);
        self.form = form;
        self.assets = match form {
            Form::Full => !self.stock && self.has_assets(kit),
            Form::Short => !self.stock_behind && self.background(kit).is_some(),
            Form::Silent => return,
        };
        self.current = Some(self.open(Place { pass: 0, item: 0 }, kit, turn));
        if self.stage >= Stage::Ordered {
            // Who is interrupted is silent for a while; who falls due in a conversation is heard at once.
            let later = self.started && form == Form::Short;
            self.order(if later { turn.now() + BACKGROUND } else { self.due }, turn);
        }
    }

    /// Makes the first sound heard when it is due.
    pub(super) fn order_first(&mut self, turn: &mut Turn<'_>) {
        self.stage = Stage::Ordered;
        self.order(self.due, turn);
    }

    fn order(&self, at: HubTime, turn: &mut Turn<'_>) {
        if let Some(sound) = &self.current {
            let start = if at > turn.now() { SoundStart::At(at) } else { SoundStart::Now };
            turn.sound(SoundCommand::Play { id: sound.id, start });
        }
    }

    /// A file came: until the first sound is ordered it may be played still.
    pub(super) fn fetched(&mut self, kit: &mut Kit, turn: &mut Turn<'_>) {
        let better = match self.form {
            Form::Full => !self.stock && self.has_assets(kit),
            Form::Short => self.background(kit).is_some(),
            Form::Silent => false,
        };
        if self.stage == Stage::Prepared && !self.assets && better {
            self.form(self.form, kit, turn);
        }
    }

    /// Takes in what became of a sound of the voice.
    pub(super) fn news(
        &mut self,
        id: SoundId,
        news: &SoundNews,
        kit: &mut Kit,
        turn: &mut Turn<'_>,
    ) -> Meaning {
        let is = |sound: &Option<Sound>| sound.as_ref().is_some_and(|sound| sound.id == id);
        let (is_current, is_next) = (is(&self.current), is(&self.next));
        if !is_current && !is_next {
            return Meaning::Nothing;
        }
        match news {
            SoundNews::Scheduled { .. } => Meaning::Nothing,
            SoundNews::Started { at } => {
                if is_next {
                    self.current = self.next.take();
                }
                if let Some(sound) = &mut self.current {
                    sound.since = Some(*at);
                }
                self.chain(kit, turn);
                Meaning::Heard(*at)
            }
            SoundNews::Finished if is_current && !self.was_empty() => self.finished(kit, turn),
            SoundNews::Finished | SoundNews::Failed(_) | SoundNews::Unattached => {
                self.failed(is_current, kit, turn)
            }
            SoundNews::Lost => {
                self.lost(is_current, kit, turn);
                Meaning::Nothing
            }
        }
    }

    /// A file that ended before anything of it was heard has nothing in it, and would make a silent alarm.
    fn was_empty(&self) -> bool {
        self.current.as_ref().is_some_and(|sound| !sound.built_in && sound.since.is_none())
    }

    fn finished(&mut self, kit: &mut Kit, turn: &mut Turn<'_>) -> Meaning {
        let Some(ended) = self.current.take() else { return Meaning::Nothing };
        if self.form == Form::Short {
            self.current = Some(self.open(ended.place, kit, turn));
            let since = ended.since.unwrap_or(turn.now());
            self.order(since + BACKGROUND, turn);
            return Meaning::Nothing;
        }
        if let Some(next) = self.next.take() {
            self.current = Some(next);
            return Meaning::Nothing;
        }
        let Some((place, pause)) = self.following(ended.place) else { return Meaning::Over };
        // Its beginning was never told, so nothing is chained to it.
        self.current = Some(self.open(place, kit, turn));
        self.order(turn.now() + pause, turn);
        Meaning::Nothing
    }

    fn failed(&mut self, is_current: bool, kit: &mut Kit, turn: &mut Turn<'_>) -> Meaning {
        let failed = if is_current { self.current.take() } else { self.next.take() };
        let Some(failed) = failed else { return Meaning::Nothing };
        if failed.built_in {
            return Meaning::Broken;
        }
        match self.form {
            Form::Short => self.stock_behind = true,
            _ => self.stock = true,
        }
        self.assets = false;
        let place = Place { pass: failed.place.pass, item: 0 };
        let sound = self.open(place, kit, turn);
        if is_current {
            // What followed it was a file too.
            if let Some(next) = self.next.take() {
                turn.sound(SoundCommand::Stop { id: next.id });
            }
            self.current = Some(sound);
            if self.stage >= Stage::Ordered {
                self.order(self.due, turn);
            }
        } else if let Some(current) = &self.current {
            let again = failed.place.item == 0;
            let pause = if again { self.alert.pause() } else { Duration::ZERO };
            let start = SoundStart::After { id: current.id, pause };
            turn.sound(SoundCommand::Play { id: sound.id, start });
            self.next = Some(sound);
        }
        Meaning::Nothing
    }

    /// Nothing is wrong with the sound, but nobody heard it: it is asked for again, and waits for whoever takes it.
    fn lost(&mut self, is_current: bool, kit: &mut Kit, turn: &mut Turn<'_>) {
        // What was to follow is chained again once the present one is heard.
        if let Some(next) = self.next.take().filter(|_| is_current) {
            turn.sound(SoundCommand::Stop { id: next.id });
        }
        let Some(lost) = self.current.take_if(|_| is_current) else { return };
        self.current = Some(self.open(lost.place, kit, turn));
        if self.stage >= Stage::Ordered {
            self.order(self.due, turn);
        }
    }

    /// Silences it.
    pub(super) fn hush(&mut self, turn: &mut Turn<'_>) {
        for sound in [self.next.take(), self.current.take()].into_iter().flatten() {
            turn.sound(SoundCommand::Stop { id: sound.id });
        }
    }

    /// Has the following sound begin where the present one ends.
    fn chain(&mut self, kit: &mut Kit, turn: &mut Turn<'_>) {
        let Some(current) = self.current.as_ref().filter(|_| self.form == Form::Full) else { return };
        let Some((place, pause)) = self.following(current.place).filter(|_| self.next.is_none()) else {
            return;
        };
        let start = SoundStart::After { id: current.id, pause };
        let sound = self.open(place, kit, turn);
        turn.sound(SoundCommand::Play { id: sound.id, start });
        self.next = Some(sound);
    }

    fn following(&self, place: Place) -> Option<(Place, Duration)> {
        let items = if self.assets { self.alert.order.len() } else { 1 };
        if place.item + 1 < items {
            return Some((Place { item: place.item + 1, ..place }, Duration::ZERO));
        }
        let pass = place.pass.saturating_add(1);
        let more = self.alert.loops.is_none_or(|loops| pass < loops);
        more.then_some((Place { pass, item: 0 }, self.alert.pause()))
    }

    fn open(&self, place: Place, kit: &mut Kit, turn: &mut Turn<'_>) -> Sound {
        let asset = match self.form {
            _ if !self.assets => None,
            Form::Full => {
                let place = self.alert.order.get(place.item);
                place.and_then(|place| self.alert.assets.get(*place)).map(|asset| asset.id())
            }
            _ => self.background(kit),
        };
        let built_in = asset.is_none();
        let source = match asset {
            Some(asset) => SoundSource::Asset(asset),
            None => SoundSource::BuiltIn(self.tone()),
        };
        kit.number += 1;
        let id = SoundId { voice: Voice::Alert, number: kit.number };
        turn.sound(SoundCommand::Prepare { id, source });
        Sound { id, place, built_in, since: None }
    }

    fn tone(&self) -> BuiltIn {
        if self.form == Form::Short { self.alert.kind.short_tone() } else { self.alert.kind.tone() }
    }

    fn has_assets(&self, kit: &Kit) -> bool {
        let mut places = self.alert.order.iter();
        !self.alert.order.is_empty()
            && places.all(|place| {
                self.alert.assets.get(*place).is_some_and(|asset| kit.ready.contains(&asset.id()))
            })
    }

    fn background(&self, kit: &Kit) -> Option<AssetId> {
        let asset = self.alert.assets.get(self.alert.background?)?.id();
        kit.ready.contains(&asset).then_some(asset)
    }
}
