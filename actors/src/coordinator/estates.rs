//! Who goes on with a group's content when its leader leaves, is forgotten, its actor dies, or its receiver or Alexa
//! is away for long.
//!
//! Each device machine tells what it would leave behind. The streams themselves are not touched by a hand-over: they
//! only get another owner and other names, so nobody hears it.

use std::collections::BTreeMap;
use std::time::Duration;

use antiphon_avs::effect::PlayerId;
use antiphon_avs::interfaces::Estate;
use antiphon_avs::signal::{PlayerNews, Signal};
use antiphon_domain::{HubTime, SpeakerId};
use tracing::info;

use super::Coordinator;
use crate::messages::Tell;
use crate::snapshot::SpeakerView;

/// The first name given to an inherited stream; what devices name themselves is below it.
const FIRST: u64 = PlayerId::INHERITED;
/// How long a leader may be without its receiver or its Alexa before another member leads on that has both: longer
/// than a receiver or a connection takes to begin anew, shorter than people wait for a voice that does not answer. Our
/// choice; nobody hears it happen.
const LONG: Duration = Duration::from_secs(10);
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

    /// A device is told something of its streams. Of too much the oldest is forgotten, but never how a stream ended: an
    /// heir that did not hear it would wait for that end.
    pub(super) fn told(&mut self, speaker: &SpeakerId, id: PlayerId, news: &PlayerNews) {
        let Some(left) = self.all.get_mut(speaker) else { return };
        if is_end(news) && left.since.iter().any(|(of, old)| *of == id && is_end(old)) {
            // A stream ends once; so the ends are no more than the streams of the estate.
            return;
        }
        if left.since.len() >= NEWS {
            let color = left.since.iter().position(|(_, old)| is_color(old));
            match color.or_else(|| left.since.iter().position(|(_, old)| !is_end(old))) {
                Some(oldest) => drop(left.since.remove(oldest)),
                None if !is_end(news) => return,
                None => {}
            }
        }
        left.since.push((id, news.clone()));
    }

    /// Whether a device would leave anything.
    fn has(&self, speaker: &SpeakerId) -> bool {
        self.all.contains_key(speaker)
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

/// Whether no more comes of a stream after this.
fn is_end(news: &PlayerNews) -> bool {
    use PlayerNews::{Failed, Finished, Stopped, Taken, Unattached};
    matches!(news, Finished | Stopped { .. } | Failed(_) | Taken | Unattached)
}

/// Whether it only says what a stream is like.
fn is_color(news: &PlayerNews) -> bool {
    matches!(news, PlayerNews::Attributes(_) | PlayerNews::Title(_))
}

/// Who goes on: the first member in the order they joined who can.
pub(super) fn heir(
    members: &[SpeakerId],
    leader: &SpeakerId,
    can: impl Fn(&SpeakerId) -> bool,
) -> Option<SpeakerId> {
    members.iter().find(|member| *member != leader && can(member)).cloned()
}

/// Whether a speaker could lead: its Alexa and its receiver are there. `None`: it is being tried.
pub(super) fn fitness(view: &SpeakerView) -> Option<bool> {
    match (view.link.state, view.endpoint.state) {
        ("connected", "ready" | "present") => Some(true),
        ("connected", "connecting") => None,
        _ => Some(false),
    }
}

impl Coordinator {
    /// Finds a new leader for every content whose leader has left its group, is dead, or has been unfit for [`LONG`].
    pub(super) fn settle_leaders(&mut self) {
        let now = self.parts.now();
        for (group, leader) in self.contents.leaders() {
            let Some(home) = self.house.group(&group) else { continue };
            let living = |s: &SpeakerId| self.listeners.get(s).filter(|l| l.tell.connected());
            let been = |s: &SpeakerId, fit: bool, least: Duration| {
                living(s).is_some_and(|l| l.fit.0 == fit && now.since(l.fit.1) >= least)
            };
            let members: Vec<SpeakerId> = home.members().iter().map(|m| m.speaker.clone()).collect();
            let heir = if home.has(&leader) && living(&leader).is_some() {
                // Nobody hears it or Alexa does not: one that has been well for as long does better.
                if !been(&leader, false, LONG) || !self.estates.has(&leader) {
                    continue;
                }
                heir(&members, &leader, |s| been(s, true, LONG))
            } else {
                // With nobody to go on, a dead leader's own next actor does.
                heir(&members, &leader, |s| been(s, true, Duration::ZERO))
                    .or_else(|| heir(&members, &leader, |s| living(s).is_some()))
            };
            if let Some(heir) = heir {
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
        // What the estate does not name (an input of the hub) goes on as nobody's; what waits for its turn at a device
        // that lives is still that device's.
        let alive = from != to && self.listeners.get(from).is_some_and(|l| l.tell.connected());
        let home = self.house.group_of(from).filter(|_| alive).map(|g| g.id.clone());
        let lost = self.contents.reown(from, to, names, home.as_ref());
        if let Some(Inheritance { estate, news, .. }) = inheritance {
            self.estates.bequeath(to, estate.clone());
            self.tell_speaker(to, Tell(Signal::Inherit(Box::new(estate))));
            for (id, news) in news {
                self.tell_speaker(to, Tell::player(id, news));
            }
        }
        if from != to {
            for id in lost {
                self.tell_speaker(from, Tell::player(id, PlayerNews::Taken));
            }
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

    #[test]
    fn an_end_is_never_forgotten() {
        let speaker = SpeakerId::new("a");
        let mut estates = Estates::new(HubTime::EPOCH);
        estates.all.insert(speaker.clone(), Left::default());
        estates.told(&speaker, PlayerId(1), &PlayerNews::Finished);
        estates.told(&speaker, PlayerId(2), &PlayerNews::Buffered);
        for n in 0..100 {
            estates.told(&speaker, PlayerId(2), &PlayerNews::Title(n.to_string()));
        }
        estates.told(&speaker, PlayerId(2), &PlayerNews::Finished);
        estates.told(&speaker, PlayerId(2), &PlayerNews::Finished);
        let since = &estates.all[&speaker].since;
        assert_eq!(since.len(), NEWS);
        assert_eq!(since[0], (PlayerId(1), PlayerNews::Finished));
        assert_eq!(since[1], (PlayerId(2), PlayerNews::Buffered), "titles go first");
        assert_eq!(since[NEWS - 1], (PlayerId(2), PlayerNews::Finished));
        assert_eq!(since[NEWS - 2], (PlayerId(2), PlayerNews::Title("99".into())));
    }
}
