//! The coordinator: who is with whom, how loud, and what they hear.
//!
//! One actor owns the [`House`]. `levels` fans volume out, `content` and `orders` decide who
//! hears what and from when, `groups` changes membership, `estates` says who leads on,
//! `timing` when speakers are heard, `now` and `pictures` what their receivers show, `at_device` what people do there,
//! `inputs` what the hub's inputs are, `rescue` who rings an alert that is not heard. Speakers introduce themselves; it tells them through recipients of one message type each.

mod at_device;
mod content;
mod estates;
mod groups;
mod inputs;
mod levels;
mod now;
mod orders;
mod pictures;
mod rescue;
mod timing;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use antiphon_domain::group::Target;
use antiphon_domain::house::{House, HouseError};
use antiphon_domain::{GroupId, HubTime, Offset, Report, SpeakerId};
use antiphon_endpoint::{NowPlaying, Pace};
use antiphon_render::FeedId;

use crate::messages::*;
use crate::parts::Parts;
use crate::post;
use crate::reach::Reach;
use crate::snapshot::{GroupView, Snapshot, SpeakerView};
use content::Contents;
use estates::Estates;
use pictures::Pictures;
use rescue::Rescues;

/// How often refused fan-outs are offered again, and a changed house is handed to the archive.
const AGAIN: Duration = Duration::from_millis(100);

/// The actor.
pub struct Coordinator {
    parts: Arc<Parts>,
    house: House,
    listeners: BTreeMap<SpeakerId, Listener>,
    contents: Contents,
    estates: Estates,
    rescues: Rescues,
    pictures: Pictures,
    /// What is shown on receivers may have changed.
    now_touched: bool,
    archive: Recipient<SaveHouse>,
    /// Why what a group was to hear last failed, until something else is played there.
    trouble: BTreeMap<GroupId, String>,
    /// The house has changed since it was handed to the archive.
    unsaved: bool,
}

/// What the coordinator knows of a speaker's actor.
struct Listener {
    reach: Reach,
    apply: Recipient<ApplyLevel>,
    listen: Recipient<Listen>,
    tell: Recipient<Tell>,
    ring: Recipient<Ring>,
    time: Recipient<Timing>,
    show: Recipient<Now>,
    /// What its group hears, as it was told last.
    now: Option<Arc<NowPlaying>>,
    /// When it is heard, as configured.
    configured: Offset,
    /// When it is to be heard; and whether it was told that.
    timing: Timing,
    timed: bool,
    /// The feed it was last told to listen to.
    hears: Option<FeedId>,
    /// A fan-out its mailbox refused.
    owed: Option<ApplyLevel>,
    view: Option<Box<SpeakerView>>,
    /// Whether it could lead: its Alexa and its receiver are there; and since when that is so.
    fit: (bool, HubTime),
}

impl Coordinator {
    /// Begins with the archived house.
    pub fn new(parts: Arc<Parts>, house: House, archive: Recipient<SaveHouse>) -> Self {
        Self {
            estates: Estates::new(parts.now()),
            rescues: Rescues::default(),
            pictures: Pictures::default(),
            now_touched: false,
            parts,
            house,
            listeners: BTreeMap::new(),
            contents: Contents::default(),
            archive,
            trouble: BTreeMap::new(),
            unsaved: false,
        }
    }

    /// The group a target means.
    fn group_of(&self, target: &Target) -> Result<GroupId, HouseError> {
        match target {
            Target::Group(id) => self
                .house
                .group(id)
                .map(|g| g.id.clone())
                .ok_or_else(|| HouseError::NoGroup(id.as_str().into())),
            Target::SpeakerInGroup(speaker) | Target::SpeakerAlone(speaker) => self
                .house
                .group_of(speaker)
                .map(|g| g.id.clone())
                .ok_or_else(|| HouseError::NoSpeaker(speaker.as_str().into())),
        }
    }

    /// Remembers that the house has changed. It is copied a few times a second at most: with hundreds of speakers a
    /// copy at each of their introductions, waiting for the disk, would be most of the hub's memory.
    fn save(&mut self) {
        self.unsaved = true;
        self.touch_now();
    }

    /// The same for what is acknowledged only once it is on disk: the archive has it before the answer is given.
    fn save_now(&mut self) {
        self.unsaved = true;
        self.touch_now();
        self.hand_over();
    }

    fn hand_over(&mut self) {
        if !self.unsaved {
            return;
        }
        // Refused, it is handed over again a moment later.
        self.unsaved = post::tell(&self.archive, SaveHouse(self.house.clone()), &self.parts.metrics).is_err();
        let formed = self.house.groups().filter(|g| g.members().len() > 1).count();
        self.parts.metrics.groups.set(formed as i64);
    }

    fn snapshot(&self) -> Snapshot {
        let mut homes = BTreeMap::new();
        for group in self.house.groups() {
            homes.extend(group.members().iter().map(|member| (&member.speaker, group)));
        }
        let mut speakers = Vec::new();
        for (id, listener) in &self.listeners {
            let Some(view) = &listener.view else { continue };
            let mut view = (**view).clone();
            if let Some(group) = homes.get(id) {
                if let Some(level) = group.level_of(id) {
                    view.set_level(level, group.is_known(id));
                }
                view.trouble = self.trouble.get(&group.id).cloned();
                view.group = Some(group.id.clone());
            }
            speakers.push(view);
        }
        let currents = self.contents.currents();
        let mut groups = Vec::new();
        for group in self.house.groups() {
            let current = currents.get(&group.id);
            let formed = House::is_formed(&group.id);
            let low_latency = self.low_latency_view(&group.id);
            if formed || current.is_some() || low_latency.is_some() {
                groups.push(GroupView {
                    id: group.id.clone(),
                    name: group.name.clone(),
                    volume: group.volume(),
                    muted: group.muted(),
                    formed,
                    low_latency,
                    speakers: group.members().iter().map(|m| m.speaker.clone()).collect(),
                    content: current.map(|(_, content)| content.view()),
                });
            }
        }
        Snapshot { speakers, groups }
    }
}

impl Actor for Coordinator {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(8192);
        self.contents.news_to(ctx.address().recipient());
        self.pictures.news_to(ctx.address().recipient());
        pictures::tidy(&self.parts.assets);
        ctx.run_interval(AGAIN, |coordinator, _| {
            coordinator.offer_again();
            coordinator.settle_leaders();
            coordinator.settle_rescues();
            coordinator.settle_timing();
            coordinator.reconcile();
            coordinator.settle_now();
            coordinator.hand_over();
        });
    }
}

impl Handler<Enlist> for Coordinator {
    type Result = ();

    fn handle(&mut self, message: Enlist, _: &mut Self::Context) {
        let Enlist { speaker, name, ceiling, offset, reach, apply, listen, tell, ring, time, show } = message;
        self.house.admit(&speaker, &name, None, ceiling);
        let _ = self.house.set_ceiling(&speaker, ceiling);
        let view = self.listeners.remove(&speaker).and_then(|old| old.view);
        let fit = (false, self.parts.now());
        let timing = Timing { offset: self.offset_of(&speaker, offset), pace: Pace::Steady };
        let listener = Listener {
            reach,
            apply,
            listen,
            tell,
            ring,
            time,
            configured: offset,
            timing,
            timed: false,
            show,
            now: None,
            hears: None,
            owed: None,
            view,
            fit,
        };
        self.listeners.insert(speaker.clone(), listener);
        self.parts.metrics.speakers.set(self.listeners.len() as i64);
        // Its machine is a new one: it goes on with what the old one left.
        self.hand_on(&speaker, &speaker);
        self.forget_rescues_of(&speaker);
        self.form_configured();
        self.tell_level(&speaker, Report::NONE);
        self.settle_timing();
        self.reconcile();
        self.save();
    }
}

impl Handler<Reaches> for Coordinator {
    type Result = ();

    fn handle(&mut self, message: Reaches, _: &mut Self::Context) {
        if let Some(listener) = self.listeners.get_mut(&message.speaker) {
            listener.reach = message.reach;
        }
    }
}

impl Handler<Publish> for Coordinator {
    type Result = ();

    fn handle(&mut self, message: Publish, _: &mut Self::Context) {
        let now = self.parts.now();
        if let Some(listener) = self.listeners.get_mut(&message.0.id) {
            if let Some(fit) = estates::fitness(&message.0).filter(|fit| *fit != listener.fit.0) {
                listener.fit = (fit, now);
            }
            let before = listener.view.as_ref().and_then(|view| view.device.playing.as_ref());
            let other = before != message.0.device.playing.as_ref();
            listener.view = Some(message.0);
            if other {
                self.touch_now();
            }
        }
    }
}

impl Handler<GetSnapshot> for Coordinator {
    type Result = MessageResult<GetSnapshot>;

    fn handle(&mut self, _: GetSnapshot, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.snapshot())
    }
}

impl Handler<GetHouse> for Coordinator {
    type Result = MessageResult<GetHouse>;

    fn handle(&mut self, _: GetHouse, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.house.clone())
    }
}

impl Handler<Heartbeat> for Coordinator {
    type Result = ();

    fn handle(&mut self, _: Heartbeat, _: &mut Self::Context) {}
}

impl Handler<Close> for Coordinator {
    type Result = ();

    fn handle(&mut self, _: Close, ctx: &mut Self::Context) {
        self.hand_over();
        ctx.stop();
    }
}
