//! Who goes on with a group's content when its leader leaves, is forgotten, or its actor dies.
//!
//! Each device machine tells what it would leave behind. The streams themselves are not touched by a hand-over: they
//! only get another owner and other names, so nobody hears it.

use std::collections::BTreeMap;

use antiphon_avs::effect::PlayerId;
use antiphon_avs::interfaces::Estate;
use antiphon_avs::signal::{PlayerNews, Signal};
use antiphon_domain::{HubTime, SpeakerId};
use tracing::info;

use super::Coordinator;
use crate::messages::Tell;

/// The first name given to an inherited stream; what devices name themselves is below it.
const FIRST: u64 = PlayerId::INHERITED;
/// News kept beside one estate.
const NEWS: usize = 32;

/// What every device would leave behind.
pub(super) struct Estates {
    all: BTreeMap<SpeakerId, Left>,
    last_name: u64,
}

#[derive(Default)]
struct Left {
    estate: Estate,
    /// What its device was told since it said what it leaves: perhaps it knows, perhaps it died before.
    since: Vec<(PlayerId, PlayerNews)>,
}

/// An estate under its new names.
pub(super) struct Inheritance {
    pub(super) estate: Estate,
    /// From the old names to the new ones.
    pub(super) names: BTreeMap<PlayerId, PlayerId>,
    /// News the heir must hear afterwards.
    pub(super) news: Vec<(PlayerId, PlayerNews)>,
}

impl Estates {
    /// None yet. Names are taken from the clock on, so that a coordinator made anew gives none a second time.
    pub(super) fn new(now: HubTime) -> Self {
        Self { all: BTreeMap::new(), last_name: FIRST + (now.nanos().max(0) as u64) / 1_000_000 }
    }

    /// A device says what it leaves; the latest counts.
    pub(super) fn bequeath(&mut self, speaker: &SpeakerId, estate: Estate) {
        if estate.is_empty() {
            self.all.remove(speaker);
        } else {
            self.all.insert(speaker.clone(), Left { estate, since: Vec::new() });
        }
    }

    /// A device is told something of its streams.
    pub(super) fn told(&mut self, speaker: &SpeakerId, id: PlayerId, news: &PlayerNews) {
        if let Some(left) = self.all.get_mut(speaker)
            && left.since.len() < NEWS
        {
            left.since.push((id, news.clone()));
        }
    }

    /// Takes an estate out, under fresh names.
    pub(super) fn take(&mut self, speaker: &SpeakerId) -> Option<Inheritance> {
        let Left { mut estate, since } = self.all.remove(speaker)?;
        let mut names = BTreeMap::new();
        let last = &mut self.last_name;
        estate.rename(|old| {
            *last += 1;
            names.insert(old, PlayerId(*last));
            PlayerId(*last)
        });
        let news = since.into_iter().filter_map(|(id, news)| Some((*names.get(&id)?, news))).collect();
        Some(Inheritance { estate, names, news })
    }
}

/// Who goes on: the first member in the order they joined whose actor lives.
pub(super) fn heir(
    members: &[SpeakerId],
    leader: &SpeakerId,
    alive: impl Fn(&SpeakerId) -> bool,
) -> Option<SpeakerId> {
    members.iter().find(|member| *member != leader && alive(member)).cloned()
}

impl Coordinator {
    /// Finds a new leader for every content whose leader has left its group or is dead.
    pub(super) fn settle_leaders(&mut self) {
        for group in self.contents.groups() {
            let (Some(leader), Some(home)) = (self.contents.leader(&group), self.house.group(&group)) else {
                continue;
            };
            let alive = |s: &SpeakerId| self.listeners.get(s).is_some_and(|l| l.tell.connected());
            if home.has(&leader) && alive(&leader) {
                continue;
            }
            let members: Vec<SpeakerId> = home.members().iter().map(|m| m.speaker.clone()).collect();
            // With nobody to go on, a dead leader's own next actor does.
            if let Some(heir) = heir(&members, &leader, alive) {
                info!(%group, from = %leader, to = %heir, "another speaker leads on");
                self.hand_on(&leader, &heir);
            }
        }
    }

    /// Gives the contents of one device to another's, or to a new machine of the same speaker.
    pub(super) fn hand_on(&mut self, from: &SpeakerId, to: &SpeakerId) {
        let inheritance = self.estates.take(from);
        let none = BTreeMap::new();
        let names = inheritance.as_ref().map_or(&none, |i| &i.names);
        // What the estate does not name (an input of the hub) goes on as nobody's.
        self.contents.reown(from, to, names);
        if let Some(Inheritance { estate, news, .. }) = inheritance {
            self.estates.bequeath(to, estate.clone());
            self.tell_speaker(to, Tell(Signal::Inherit(Box::new(estate))));
            for (id, news) in news {
                self.tell_speaker(to, Tell::player(id, news));
            }
        }
        if from != to {
            self.tell_speaker(from, Tell(Signal::ContentTaken));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speakers(names: &[&str]) -> Vec<SpeakerId> {
        names.iter().map(|n| SpeakerId::new(*n)).collect()
    }

    #[test]
    fn the_first_living_member_goes_on() {
        let members = speakers(&["a", "b", "c"]);
        let leader = SpeakerId::new("a");
        assert_eq!(heir(&members, &leader, |_| true), Some(SpeakerId::new("b")));
        assert_eq!(heir(&members, &leader, |s| s.as_str() != "b"), Some(SpeakerId::new("c")));
        assert_eq!(heir(&members, &leader, |s| s.as_str() == "a"), None, "not the one that goes");
        let gone = SpeakerId::new("z");
        assert_eq!(heir(&members, &gone, |_| true), Some(SpeakerId::new("a")), "it has left already");
    }

    #[test]
    fn names_are_given_once() {
        let mut first = Estates::new(HubTime::EPOCH);
        let speaker = SpeakerId::new("a");
        first.bequeath(&speaker, Estate::default());
        assert!(first.take(&speaker).is_none(), "an empty estate is none");
        let later = Estates::new(HubTime::from_nanos(2_000_000));
        assert!(later.last_name > first.last_name && first.last_name >= FIRST);
    }
}
