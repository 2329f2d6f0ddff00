//! Orders and news about content: device machines and people ask, feeds report, listeners are told.

use std::time::Duration;

use actix::prelude::*;
use antiphon_avs::effect::{PlayerCommand, PlayerId, PlayerSource};
use antiphon_avs::signal::{Attributes, PlayerNews, Signal};
use antiphon_domain::house::HouseError;
use antiphon_domain::media::{MediaError, MediaErrorKind};
use antiphon_domain::{GroupId, HubTime, SpeakerId};
use antiphon_render::{ByteReader, Feed, FeedEvent, FeedId};
use tracing::{debug, info, warn};

use super::Coordinator;
use super::content::{Ending, Heard, Owner, State};
use super::inputs::Origin;
use crate::messages::{FeedNews, Listen, PlayMedia, PlayerOrder, StopContent, Tell};
use crate::post;

impl Handler<PlayerOrder> for Coordinator {
    type Result = ();

    fn handle(&mut self, message: PlayerOrder, _: &mut Self::Context) {
        let PlayerOrder { speaker, command, attachment, received } = message;
        let asked = received.unwrap_or_else(|| self.parts.now());
        let content_of = |c: &Self, id: PlayerId| c.contents.find(&Owner::Device(speaker.clone(), id));
        match command {
            PlayerCommand::Prepare { id, source } => {
                self.prepare(&speaker, id, (source, attachment), asked);
            }
            PlayerCommand::Play { id, after } => {
                let Some(content) = content_of(self, id) else {
                    // The news that it is gone is on its way, or was lost: nobody must wait for it for ever.
                    debug!(%speaker, player = id.0, "asked to play what is not there");
                    return self.tell_speaker(&speaker, Tell::player(id, PlayerNews::Taken));
                };
                let predecessor = after.and_then(|p| content_of(self, p));
                if after.is_some() && predecessor.is_none() && self.is_taken(content) {
                    // What it was to follow lost the group to another's Play while this order was on its way.
                    self.end(content);
                    return self.tell_speaker(&speaker, Tell::player(id, PlayerNews::Taken));
                }
                self.play(content, predecessor, asked);
            }
            PlayerCommand::Pause { id } => {
                if let Some(content) = content_of(self, id) {
                    self.pause(content);
                }
            }
            PlayerCommand::Resume { id } => {
                if let Some(content) = content_of(self, id) {
                    self.resume(content);
                }
            }
            PlayerCommand::Silence => self.silence(&speaker),
            PlayerCommand::Bequeath(estate) => self.estates.bequeath(&speaker, *estate),
            PlayerCommand::Stop { id } => {
                if let Some(content) = content_of(self, id) {
                    self.end(content);
                }
                self.reconcile();
            }
        }
    }
}

impl Handler<PlayMedia> for Coordinator {
    type Result = Result<(), HouseError>;

    fn handle(&mut self, message: PlayMedia, _: &mut Self::Context) -> Self::Result {
        let group = self.group_of(&message.target)?;
        let now = self.parts.now();
        if let Some(origin) = self.origin(PlayerSource::Media(message.media), None) {
            let content = self.contents.open(&self.parts, origin, group, Owner::Person, now);
            self.play(content, None, now);
        }
        Ok(())
    }
}

impl Handler<StopContent> for Coordinator {
    type Result = Result<(), HouseError>;

    fn handle(&mut self, message: StopContent, _: &mut Self::Context) -> Self::Result {
        let group = self.group_of(&message.target)?;
        self.end_all(&group, None, Ending::Stopped);
        self.reconcile();
        Ok(())
    }
}

impl Handler<FeedNews> for Coordinator {
    type Result = ();

    fn handle(&mut self, message: FeedNews, _: &mut Self::Context) {
        let now = self.parts.now();
        // News of a content that was stopped meanwhile is stale.
        let Some(content) = self.contents.get_mut(message.content) else { return };
        let (group, asked) = (content.group.clone(), content.asked);
        content.note(&message.event, now);
        let news = match message.event {
            FeedEvent::Scheduled { at } => {
                // One that follows another was asked for long before its turn.
                if content.state == State::Preparing {
                    self.parts.metrics.play_to_due.observe(at.since(asked).as_secs_f64());
                }
                None
            }
            FeedEvent::Started { at } => {
                content.state = State::Playing;
                Some(PlayerNews::Started { at })
            }
            FeedEvent::Buffered => Some(PlayerNews::Buffered),
            FeedEvent::Stalled { .. } => {
                content.state = State::Stalled;
                Some(PlayerNews::Stalled { at: now })
            }
            FeedEvent::Recovered { .. } => {
                content.state = State::Playing;
                Some(PlayerNews::Recovered { at: now })
            }
            FeedEvent::Paused { offset } => {
                content.state = State::Paused;
                Some(PlayerNews::Paused { offset })
            }
            FeedEvent::Resumed { at, .. } => {
                content.state = State::Playing;
                Some(PlayerNews::Resumed { at })
            }
            FeedEvent::Attributes(a) => Some(PlayerNews::Attributes(Attributes {
                codec: a.codec.unwrap_or_default(),
                rate: a.rate,
                bits_per_second: a.bitrate,
            })),
            FeedEvent::Tags(tags) => tags.title.map(PlayerNews::Title),
            FeedEvent::Finished { .. } => Some(PlayerNews::Finished),
            FeedEvent::Stopped { offset } => Some(PlayerNews::Stopped { offset }),
            FeedEvent::Failed { error, .. } => {
                info!(%group, kind = ?error.kind, why = %error.message, "a stream failed");
                self.trouble.insert(group.clone(), error.message.clone());
                Some(PlayerNews::Failed(error))
            }
            other => {
                debug!(event = ?other, "feed");
                None
            }
        };
        self.touch_now();
        let Some(news) = news else { return };
        let over = matches!(news, PlayerNews::Finished | PlayerNews::Stopped { .. } | PlayerNews::Failed(_));
        self.tell_owner(message.content, news);
        if over {
            if let Some(feed) = self.contents.remove(message.content).and_then(|c| c.feed().cloned()) {
                self.succeed(&group, feed.id());
            }
            self.reconcile();
        }
    }
}

impl Coordinator {
    fn prepare(
        &mut self,
        speaker: &SpeakerId,
        id: PlayerId,
        (source, attachment): (PlayerSource, Option<ByteReader>),
        asked: HubTime,
    ) {
        let Some(group) = self.house.group_of(speaker).map(|g| g.id.clone()) else { return };
        let attached = matches!(source, PlayerSource::Attachment { .. });
        // To hear what one hears already would end it.
        let found = self.origin(source, attachment).filter(|(origin, _)| match origin {
            Origin::Mirror(other) => self.house.group(&group).is_some_and(|g| !g.has(other)),
            Origin::Stream(_) => true,
        });
        let Some(origin) = found else {
            let news = if attached {
                PlayerNews::Unattached
            } else {
                let message = "there is nothing behind this input now".into();
                PlayerNews::Failed(MediaError { kind: MediaErrorKind::InternalDeviceError, message })
            };
            return self.tell_speaker(speaker, Tell::player(id, news));
        };
        let owner = Owner::Device(speaker.clone(), id);
        self.contents.open(&self.parts, origin, group, owner, asked);
    }

    pub(super) fn pause(&mut self, content: u64) {
        let Some(c) = self.contents.get_mut(content) else { return };
        match &c.heard {
            Heard::Feed(feed) => feed.pause(),
            Heard::Mirror(_) => {
                c.state = State::Paused;
                self.tell_owner(content, PlayerNews::Paused { offset: Duration::ZERO });
                self.reconcile();
            }
        }
    }

    pub(super) fn resume(&mut self, content: u64) {
        let now = self.parts.now();
        let Some(group) = self.contents.get_mut(content).map(|c| c.group.clone()) else { return };
        let lead = self.lead_of(&group);
        let Some(c) = self.contents.get_mut(content) else { return };
        match &c.heard {
            Heard::Feed(feed) => feed.resume(lead),
            Heard::Mirror(_) => {
                c.state = State::Playing;
                self.tell_owner(content, PlayerNews::Resumed { at: now });
                self.reconcile();
            }
        }
    }

    /// Lets a content be heard: at once, or gaplessly after its predecessor. The later Play wins: whatever another
    /// owner had in the group is reported stopped.
    fn play(&mut self, content: u64, predecessor: Option<u64>, asked: HubTime) {
        let Some((group, owner)) = self.contents.get_mut(content).map(|c| (c.group.clone(), c.owner.clone()))
        else {
            return;
        };
        // Its speaker may be with others now than when it was prepared; what follows another stays with it.
        let home = match (predecessor.and_then(|p| self.contents.get_mut(p)), &owner) {
            (Some(before), _) => Some(before.group.clone()),
            (None, Owner::Device(speaker, _)) => self.house.group_of(speaker).map(|g| g.id.clone()),
            (None, Owner::Person) => None,
        };
        let group = home.unwrap_or(group);
        if let Some(c) = self.contents.get_mut(content) {
            c.group = group.clone();
        }
        self.trouble.remove(&group);
        self.end_all(&group, Some(&owner), Ending::Taken);
        let before = predecessor.and_then(|p| self.contents.get_mut(p)).and_then(|c| c.feed().cloned());
        if let Some(before) = before
            && let Some(c) = self.contents.get_mut(content)
            && let Heard::Feed(feed) = &c.heard
        {
            before.then(feed);
            c.state = State::Next;
            return;
        }
        if let Some(c) = self.contents.get_mut(content) {
            c.state = State::Preparing;
            c.asked = asked;
        }
        self.reconcile();
        let lead = self.lead_of(&group);
        let Some(c) = self.contents.get_mut(content) else { return };
        match &c.heard {
            Heard::Feed(feed) => feed.start(lead),
            Heard::Mirror(_) => {
                c.state = State::Playing;
                let at = self.parts.now();
                self.tell_owner(content, PlayerNews::Started { at });
            }
        }
    }

    /// Ends every content of a group but those of `sparing`'s device; their owners are told why.
    pub(super) fn end_all(&mut self, group: &GroupId, sparing: Option<&Owner>, why: Ending) {
        let same = |a: &Owner, b: &Owner| match (a, b) {
            (Owner::Device(a, _), Owner::Device(b, _)) => a == b,
            _ => false,
        };
        let mut owners = Vec::new();
        for content in self.contents.of_group(group) {
            let Some(owner) = self.contents.get_mut(content).map(|c| c.owner.clone()) else { continue };
            // A person's new content spares itself alone; a device's spares all of that device.
            if sparing.is_some_and(|s| same(s, &owner))
                || (sparing == Some(&owner) && self.is_newest(content))
            {
                continue;
            }
            self.end(content);
            let Owner::Device(speaker, id) = owner else { continue };
            match why {
                // Of these streams and no others: it may have begun a later one, of which the order is on its way.
                Ending::Taken => self.tell_news(&speaker, id, PlayerNews::Taken),
                Ending::Stopped if owners.contains(&speaker) => {}
                Ending::Stopped => owners.push(speaker),
            }
        }
        for speaker in owners {
            self.tell_speaker(&speaker, Tell(Signal::ContentStopped));
        }
    }

    /// Whether the group of a prepared content hears somebody else's now.
    fn is_taken(&mut self, content: u64) -> bool {
        let Some((group, owner)) = self.contents.get_mut(content).map(|c| (c.group.clone(), c.owner.clone()))
        else {
            return false;
        };
        match (self.contents.current(&group).map(|(_, c)| &c.owner), &owner) {
            (Some(Owner::Device(now, _)), Owner::Device(own, _)) => now != own,
            (now, _) => now.is_some(),
        }
    }

    fn is_newest(&self, content: u64) -> bool {
        self.contents.newest() == content
    }

    /// Stops a content and forgets it.
    fn end(&mut self, content: u64) {
        if let Some(feed) = self.contents.remove(content).and_then(|c| c.feed().cloned()) {
            feed.stop();
        }
    }

    /// The current content of a group is over: the one that follows it without a gap is the current one, and who
    /// heard the old feed hears the new one already.
    fn succeed(&mut self, group: &GroupId, ended: FeedId) {
        let Some(next) = self.contents.next_of(group) else { return };
        if next.state == State::Next {
            next.state = State::Preparing;
        }
        let Some(feed) = next.feed().cloned() else { return };
        for listener in self.listeners.values_mut().filter(|l| l.hears == Some(ended)) {
            if post::tell(&listener.listen, Listen::Follow(feed.clone()), &self.parts.metrics).is_ok() {
                listener.hears = Some(feed.id());
            }
        }
    }

    /// After regrouping: a content whose group is gone goes where its owner went, or ends.
    pub(super) fn rehome_contents(&mut self) {
        for group in self.contents.groups() {
            if self.house.group(&group).is_some() {
                continue;
            }
            let home = self
                .contents
                .leader(&group)
                .or_else(|| self.listener_of(&group))
                .and_then(|s| self.house.group_of(&s))
                .map(|g| g.id.clone());
            match home {
                Some(home) if self.contents.current(&home).is_none() => self.contents.rename(&group, &home),
                _ => self.end_all(&group, None, Ending::Taken),
            }
        }
    }

    /// Somebody who listened to a group's content when the group still was.
    fn listener_of(&self, group: &GroupId) -> Option<SpeakerId> {
        let feed = self.feed_of(group)?.id();
        self.listeners.iter().find(|(_, l)| l.hears == Some(feed)).map(|(s, _)| s.clone())
    }

    /// Tells every speaker what to listen to, where that changed. The one place that attaches and detaches.
    pub(super) fn reconcile(&mut self) {
        let mut changes = Vec::new();
        let currents = self.contents.currents();
        for group in self.house.groups() {
            let feed = self.feed_in(&group.id, &currents);
            for member in group.members() {
                let Some(listener) = self.listeners.get(&member.speaker) else { continue };
                if listener.hears != feed.map(Feed::id) {
                    changes.push((member.speaker.clone(), feed.cloned()));
                }
            }
        }
        if !changes.is_empty() {
            self.now_touched = true;
        }
        for (speaker, feed) in changes {
            let Some(listener) = self.listeners.get_mut(&speaker) else { continue };
            let id = feed.as_ref().map(Feed::id);
            let order = feed.map_or(Listen::Nothing, Listen::To);
            if post::tell(&listener.listen, order, &self.parts.metrics).is_ok() {
                listener.hears = id;
            }
        }
    }

    fn tell_owner(&mut self, content: u64, news: PlayerNews) {
        if let Some(Owner::Device(speaker, id)) = self.contents.get_mut(content).map(|c| c.owner.clone()) {
            self.tell_news(&speaker, id, news);
        }
    }

    /// News of a stream, which an heir must hear too where the device dies before it has.
    fn tell_news(&mut self, speaker: &SpeakerId, id: PlayerId, news: PlayerNews) {
        self.estates.told(speaker, id, &news);
        self.tell_speaker(speaker, Tell::player(id, news));
    }

    pub(super) fn tell_speaker(&mut self, speaker: &SpeakerId, news: Tell) {
        if let Some(listener) = self.listeners.get(speaker)
            && post::tell(&listener.tell, news, &self.parts.metrics).is_err()
        {
            warn!(%speaker, "news of its stream was refused by the speaker");
        }
    }
}
