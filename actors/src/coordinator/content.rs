//! What each group hears: the contents, whose they are, and who listens.
//!
//! A content is one feed, decoded once and shared by the mixers of its group. It belongs to the AVS device whose Play
//! began it (the group's leader for that content) or to a person at a surface. Of two contents for one group the
//! later wins and the earlier is reported stopped.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use antiphon_avs::effect::PlayerId;
use antiphon_domain::{GroupId, HubTime, SpeakerId};
use antiphon_render::{Feed, FeedEvent};

use actix::prelude::Recipient;

use super::inputs::Origin;
use super::now::{Currents, Facts, is_current};
use crate::messages::FeedNews;
use crate::parts::Parts;
use crate::post;
use crate::snapshot::ContentView;

/// Whose a content is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// An AVS device's, under the number its machine gave it.
    Device(SpeakerId, PlayerId),
    /// A person's, started here.
    Person,
}

/// One content.
pub(super) struct Content {
    pub(super) heard: Heard,
    pub(super) group: GroupId,
    pub(super) owner: Owner,
    pub(super) state: State,
    /// When it was asked for: the Play directive's last byte, or the surface's request.
    pub(super) asked: HubTime,
    url: String,
    /// What is known of it.
    pub(super) facts: Facts,
}

/// What a content is heard as.
pub(super) enum Heard {
    /// A feed of its own.
    Feed(Feed),
    /// The feed of whatever this speaker hears, following it as it changes. It is not this content's to control.
    Mirror(SpeakerId),
}

impl Content {
    /// Its own feed.
    pub(super) fn feed(&self) -> Option<&Feed> {
        match &self.heard {
            Heard::Feed(feed) => Some(feed),
            Heard::Mirror(_) => None,
        }
    }

    /// Takes in what a feed tells of itself. `now` is the moment at which that is read.
    pub(super) fn note(&mut self, event: &FeedEvent, now: HubTime) {
        let facts = &mut self.facts;
        match event {
            FeedEvent::Prepared { duration } => facts.length = *duration,
            FeedEvent::Tags(tags) => facts.tags.clone_from(tags),
            FeedEvent::Started { at } => facts.position = Some((*at, facts.begin)),
            FeedEvent::Resumed { at, offset } => facts.position = Some((*at, *offset)),
            FeedEvent::Paused { offset } => facts.position = Some((now, *offset)),
            FeedEvent::Recovered { at, offset, .. } => facts.position = Some((*at, *offset)),
            _ => {}
        }
    }

    /// Whether it stands still.
    pub(super) fn is_held(&self) -> bool {
        self.state == State::Paused
    }
}

/// Why all contents of a group end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Another took their place.
    Taken,
    /// A person wants silence.
    Stopped,
}

/// How far a content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Opened ahead of its turn; nobody listens.
    Prepared,
    /// Begins at the very sample the current one ends.
    Next,
    /// Asked to be heard; not due yet.
    Preparing,
    Playing,
    Paused,
    Stalled,
}

/// All contents.
#[derive(Default)]
pub(super) struct Contents {
    last: u64,
    all: BTreeMap<u64, Content>,
    news: Option<Recipient<FeedNews>>,
}

impl Contents {
    /// Where feeds tell their news.
    pub(super) fn news_to(&mut self, recipient: Recipient<FeedNews>) {
        self.news = Some(recipient);
    }

    /// Opens a feed, or names whose is mirrored; nothing is heard yet.
    pub(super) fn open(
        &mut self,
        parts: &Parts,
        (origin, url): (Origin, String),
        group: GroupId,
        owner: Owner,
        asked: HubTime,
    ) -> u64 {
        self.last += 1;
        let content = self.last;
        let news = self.news.clone();
        let metrics = parts.metrics.clone();
        let sink = Arc::new(move |event| {
            if let Some(news) = &news {
                // Counted when refused; the mailbox is far larger than all feeds' news together.
                let _ = post::tell(news, FeedNews { content, event }, &metrics);
            }
        });
        let begin = match &origin {
            Origin::Stream(source) => source.offset(),
            Origin::Mirror(_) => Duration::ZERO,
        };
        let heard = match origin {
            Origin::Stream(source) => Heard::Feed(parts.renderer.open_feed(*source, sink)),
            Origin::Mirror(speaker) => Heard::Mirror(speaker),
        };
        let state = State::Prepared;
        let facts = Facts { begin, ..Facts::default() };
        self.all.insert(content, Content { heard, group, owner, state, asked, url, facts });
        content
    }

    pub(super) fn get_mut(&mut self, content: u64) -> Option<&mut Content> {
        self.all.get_mut(&content)
    }

    pub(super) fn find(&self, owner: &Owner) -> Option<u64> {
        self.all.iter().find(|(_, c)| &c.owner == owner).map(|(id, _)| *id)
    }

    pub(super) fn remove(&mut self, content: u64) -> Option<Content> {
        self.all.remove(&content)
    }

    /// The content opened last.
    pub(super) fn newest(&self) -> u64 {
        self.last
    }

    /// Streams of one device are another's from now on, under these names; those without a new name are nobody's, or
    /// gone when they were not heard yet. What `keeps` names stays, prepared, with its device. Answers what it lost.
    pub(super) fn reown(
        &mut self,
        from: &SpeakerId,
        to: &SpeakerId,
        names: &BTreeMap<PlayerId, PlayerId>,
        keeps: Option<&GroupId>,
    ) -> Vec<PlayerId> {
        let mut lost = Vec::new();
        let mut gone = Vec::new();
        for (number, content) in &mut self.all {
            let Owner::Device(owner, id) = &content.owner else { continue };
            if owner != from {
                continue;
            }
            let (id, name) = (*id, names.get(id));
            match (name, keeps) {
                (None, Some(home)) if content.state == State::Prepared => {
                    content.group = home.clone();
                    continue;
                }
                (Some(name), _) => content.owner = Owner::Device(to.clone(), *name),
                (None, _) if matches!(content.state, State::Prepared | State::Next) => gone.push(*number),
                (None, _) => content.owner = Owner::Person,
            }
            lost.push(id);
        }
        self.all.retain(|number, _| !gone.contains(number));
        lost
    }

    /// A device's machine knows nothing (any more) of its streams: what is heard goes on as nobody's, what was
    /// prepared is gone.
    pub(super) fn disown(&mut self, speaker: &SpeakerId) {
        let owned = |c: &Content| matches!(&c.owner, Owner::Device(owner, _) if owner == speaker);
        self.all.retain(|_, c| !(owned(c) && matches!(c.state, State::Prepared | State::Next)));
        for content in self.all.values_mut().filter(|c| owned(c)) {
            content.owner = Owner::Person;
        }
    }

    /// What a group hears now or is about to hear. Of two, what stands still gives way to what was begun over it, as the
    /// AudioPlayer's stream does to a phone's.
    pub(super) fn current(&self, group: &GroupId) -> Option<(u64, &Content)> {
        let mut found: Option<(u64, &Content)> = None;
        for (id, content) in self.all.iter().filter(|(_, c)| &c.group == group) {
            if is_current(content.state)
                && found.is_none_or(|(_, before)| before.is_held() || !content.is_held())
            {
                found = Some((*id, content));
            }
        }
        found
    }

    /// The same of every group, in one pass.
    pub(super) fn currents(&self) -> Currents<'_> {
        let mut found = Currents::new();
        for (id, content) in self.all.iter().filter(|(_, c)| is_current(c.state)) {
            let before = found.get(&content.group);
            if before.is_none_or(|(_, before)| before.is_held() || !content.is_held()) {
                found.insert(&content.group, (*id, content));
            }
        }
        found
    }

    /// Every content of a group, prepared ones too.
    pub(super) fn of_group(&self, group: &GroupId) -> Vec<u64> {
        self.all.iter().filter(|(_, c)| &c.group == group).map(|(id, _)| *id).collect()
    }

    /// The content that begins when the group's current one ends, or has just begun because that one ended.
    pub(super) fn next_of(&mut self, group: &GroupId) -> Option<&mut Content> {
        let follows = |c: &Content| !matches!(c.state, State::Prepared | State::Paused);
        self.all.values_mut().find(|c| &c.group == group && follows(c))
    }

    /// A group's contents belong to another group from now on.
    pub(super) fn rename(&mut self, from: &GroupId, to: &GroupId) {
        for content in self.all.values_mut() {
            if &content.group == from {
                content.group = to.clone();
            }
        }
    }

    /// All groups that have contents.
    pub(super) fn groups(&self) -> Vec<GroupId> {
        let mut groups: Vec<GroupId> = self.all.values().map(|c| c.group.clone()).collect();
        groups.dedup();
        groups
    }

    /// The device that owns what a group hears, or what it is to hear first; `None`: nobody's, or a person's.
    pub(super) fn leader(&self, group: &GroupId) -> Option<SpeakerId> {
        let device = |c: &Content| match &c.owner {
            Owner::Device(speaker, _) => Some(speaker.clone()),
            Owner::Person => None,
        };
        match self.current(group) {
            Some((_, current)) => device(current),
            // Others may have prepared something, too: its turn comes by their own order.
            None => self.all.values().filter(|c| &c.group == group).find_map(device),
        }
    }

    /// The same of every group that has contents, in one pass.
    pub(super) fn leaders(&self) -> Vec<(GroupId, SpeakerId)> {
        let currents = self.currents();
        let mut leaders = BTreeMap::new();
        for content in self.all.values() {
            let counts = currents.get(&content.group).map_or(content, |(_, current)| current);
            if let Owner::Device(speaker, _) = &counts.owner {
                leaders.entry(&content.group).or_insert(speaker);
            }
        }
        leaders.into_iter().map(|(group, speaker)| (group.clone(), speaker.clone())).collect()
    }
}

impl Content {
    /// It as surfaces show it.
    pub(super) fn view(&self) -> ContentView {
        ContentView {
            url: self.url.clone(),
            title: self.facts.tags.title.clone(),
            state: match self.state {
                State::Prepared | State::Next | State::Preparing => "preparing",
                State::Playing => "playing",
                State::Paused => "paused",
                State::Stalled => "stalled",
            },
            position_ms: self.feed().map_or(0, |feed| millis(feed.position())),
            leader: match &self.owner {
                Owner::Device(speaker, _) => Some(speaker.clone()),
                Owner::Person => None,
            },
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
