//! What each group hears, told to its members' receivers: title, picture, position, the group's own level.
//!
//! Settled once a tick where anything may have changed, and told only where something did: the position is told as a
//! moment and a place, which stay as they are while sound goes on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use antiphon_domain::{GroupId, HubTime};
use antiphon_endpoint::{GroupNow, NowPlaying, PlayState};
use antiphon_render::StreamTags;

use super::Coordinator;
use super::content::{Content, Heard, Owner, State};
use crate::messages::Now;
use crate::post;

/// What is known of a content beside its sound.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// What its stream says.
    pub(super) tags: StreamTags,
    /// How long it is, where its format says so.
    pub(super) length: Option<Duration>,
    /// Where it begins, as a place in the media.
    pub(super) begin: Duration,
    /// A moment, and what is heard then.
    pub(super) position: Option<(HubTime, Duration)>,
}

/// What every group hears now, found in one pass.
pub(super) type Currents<'a> = BTreeMap<&'a GroupId, (u64, &'a Content)>;

impl Coordinator {
    /// Something that is shown may have changed.
    pub(super) fn touch_now(&mut self) {
        self.now_touched = true;
    }

    /// Tells every speaker what its group hears, where that is another thing than it was told.
    pub(super) fn settle_now(&mut self) {
        if !std::mem::take(&mut self.now_touched) {
            return;
        }
        self.fetch_pictures();
        let currents = self.contents.currents();
        let mut changes = Vec::new();
        for group in self.house.groups() {
            let mut now: Option<Arc<NowPlaying>> = None;
            for member in group.members() {
                let Some(listener) = self.listeners.get(&member.speaker) else { continue };
                let now = now.get_or_insert_with(|| Arc::new(self.now_of(&group.id, &currents)));
                if listener.now.as_ref() != Some(now) {
                    changes.push((member.speaker.clone(), Arc::clone(now)));
                }
            }
        }
        for (speaker, now) in changes {
            let Some(listener) = self.listeners.get_mut(&speaker) else { continue };
            if post::tell(&listener.show, Now(Arc::clone(&now)), &self.parts.metrics).is_ok() {
                listener.now = Some(now);
            } else {
                // It is told again a moment later.
                self.now_touched = true;
            }
        }
    }

    fn now_of(&self, group: &GroupId, currents: &Currents<'_>) -> NowPlaying {
        let own = self.house.group(group).map(|g| GroupNow {
            id: g.id.clone(),
            name: g.name.clone(),
            volume: g.volume(),
            muted: g.muted(),
        });
        let Some(content) = self.heard_by(group, currents) else {
            return NowPlaying { group: own, ..NowPlaying::default() };
        };
        let card = match &content.owner {
            Owner::Device(leader, _) => self.listeners.get(leader).and_then(|l| l.view.as_ref()),
            Owner::Person => None,
        };
        let card = card.and_then(|view| view.device.playing.clone()).unwrap_or_default();
        let Facts { tags, length, position, .. } = &content.facts;
        NowPlaying {
            state: if content.is_held() { PlayState::Paused } else { PlayState::Playing },
            title: card.title.or_else(|| tags.title.clone()),
            artist: card.artist.or_else(|| tags.artist.clone()),
            album: card.album.or_else(|| tags.album.clone()),
            artwork: card.art.and_then(|url| self.pictures.get(&url)),
            position: *position,
            length: card.length_ms.map(Duration::from_millis).or(*length),
            group: own,
        }
    }

    /// The content behind what a group hears, through mirrors.
    fn heard_by<'a>(&self, group: &GroupId, currents: &Currents<'a>) -> Option<&'a Content> {
        let mut group = group.clone();
        for _ in 0..super::inputs::DEEPEST {
            let (_, content) = currents.get(&group)?;
            match &content.heard {
                Heard::Feed(_) => return Some(content),
                Heard::Mirror(_) if content.is_held() => return Some(content),
                Heard::Mirror(speaker) => group = self.house.group_of(speaker)?.id.clone(),
            }
        }
        None
    }

    /// Asks for the pictures of what is heard.
    fn fetch_pictures(&mut self) {
        let currents = self.contents.currents();
        let mut wanted = Vec::new();
        for (_, content) in currents.values() {
            if let Owner::Device(leader, _) = &content.owner
                && let Some(view) = self.listeners.get(leader).and_then(|l| l.view.as_ref())
                && let Some(url) = view.device.playing.as_ref().and_then(|playing| playing.art.clone())
            {
                wanted.push(url);
            }
        }
        self.pictures.want(wanted, &self.parts);
    }
}

/// Whether a content in this state is heard, or is about to be.
pub(super) fn is_current(state: State) -> bool {
    !matches!(state, State::Prepared | State::Next)
}
