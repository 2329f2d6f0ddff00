//! Who rings an alert that is not heard at its own speaker: the nearest that can, of its group, else of the house.
//!
//! A speaker that was asked and cannot is passed over for [`SPURNED`]; while nobody rings, somebody is looked for
//! again and again.

use std::collections::BTreeMap;
use std::time::Duration;

use actix::prelude::*;
use antiphon_avs::signal::{Signal, Wish};
use antiphon_domain::sound::BuiltIn;
use antiphon_domain::{HubTime, SpeakerId};
use tracing::{info, warn};

use super::Coordinator;
use crate::messages::{Distress, Ring, Tell};
use crate::post;

/// How long a speaker that could not ring is not asked again.
const SPURNED: Duration = Duration::from_secs(10);
/// How long a speaker that was asked may take to be heard.
const ANSWER: Duration = Duration::from_secs(3);

/// Alerts that are not heard where they should be.
#[derive(Default)]
pub(super) struct Rescues {
    all: BTreeMap<SpeakerId, Rescue>,
}

struct Rescue {
    tone: BuiltIn,
    ringer: Option<(SpeakerId, HubTime, bool)>,
    spurned: BTreeMap<SpeakerId, HubTime>,
    /// Its speaker was told that nobody rings.
    told: bool,
}

/// A speaker that might ring.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Candidate {
    speaker: SpeakerId,
    /// It hears the same content.
    same_group: bool,
    /// It stands in the same place.
    same_zone: bool,
    /// Its endpoint takes sound now.
    ready: bool,
}

/// The nearest: of the group before the zone before the house, one that is ready before one that must be woken.
fn nearest(candidates: Vec<Candidate>) -> Option<SpeakerId> {
    let rank = |c: &Candidate| (!c.same_group, !c.same_zone, !c.ready);
    // The first of equals: candidates come in a settled order.
    candidates.into_iter().min_by_key(rank).map(|c| c.speaker)
}

impl Coordinator {
    fn candidates(&self, whom: &SpeakerId) -> Vec<Candidate> {
        let zone = self.listeners.get(whom).and_then(|l| l.view.as_ref()).and_then(|v| v.zone.clone());
        let group = self.house.group_of(whom);
        let rescue = self.rescues.all.get(whom);
        let mut found = Vec::new();
        for (speaker, listener) in &self.listeners {
            let Some(view) = &listener.view else { continue };
            let spurned = rescue.is_some_and(|r| r.spurned.contains_key(speaker));
            let reachable = matches!(view.endpoint.state, "ready" | "present" | "connecting");
            if speaker == whom || spurned || !reachable || !listener.ring.connected() {
                continue;
            }
            found.push(Candidate {
                speaker: speaker.clone(),
                same_group: group.is_some_and(|g| g.has(speaker)),
                same_zone: zone.is_some() && view.zone == zone,
                ready: view.endpoint.state == "ready",
            });
        }
        found
    }

    /// Finds somebody for every alert that nobody rings.
    pub(super) fn settle_rescues(&mut self) {
        let now = self.parts.now();
        let in_need: Vec<SpeakerId> = self.rescues.all.keys().cloned().collect();
        for whom in in_need {
            self.settle_rescue(&whom, now);
        }
    }

    fn settle_rescue(&mut self, whom: &SpeakerId, now: HubTime) {
        let Some(rescue) = self.rescues.all.get_mut(whom) else { return };
        rescue.spurned.retain(|_, since| now.since(*since) < SPURNED);
        if let Some((ringer, asked, heard)) = rescue.ringer.clone() {
            let alive = self.listeners.get(&ringer).is_some_and(|l| l.ring.connected());
            if alive && (heard || now.since(asked) < ANSWER) {
                return;
            }
            rescue.spurned.insert(ringer.clone(), now);
            self.ring(&ringer, Ring::Hush);
            self.free(&ringer);
        }
        let nearest = nearest(self.candidates(whom));
        let Some(rescue) = self.rescues.all.get_mut(whom) else { return };
        match nearest {
            Some(ringer) => {
                info!(%whom, %ringer, "asked to ring instead");
                let tone = rescue.tone;
                rescue.ringer = Some((ringer.clone(), now, false));
                self.ring(&ringer, Ring::For { whom: whom.clone(), tone });
            }
            None if !rescue.told => {
                rescue.told = true;
                warn!(%whom, "an alert is heard nowhere: no speaker can be reached");
                self.ring(whom, Ring::By(None));
            }
            None => {}
        }
    }

    fn ring(&mut self, speaker: &SpeakerId, ring: Ring) {
        if let Some(listener) = self.listeners.get(speaker)
            && post::tell(&listener.ring, ring, &self.parts.metrics).is_err()
        {
            warn!(%speaker, "could not be told who rings for whom");
        }
    }

    /// An alert is heard where it should be, or over: nobody else rings it.
    fn end_rescue(&mut self, whom: &SpeakerId) {
        let Some(rescue) = self.rescues.all.remove(whom) else { return };
        if let Some((ringer, ..)) = rescue.ringer {
            self.ring(&ringer, Ring::Hush);
            self.free(&ringer);
            self.settle_rescues();
        }
        self.ring(whom, Ring::By(None));
    }

    /// A speaker rings no more, for nobody: it has one tone at a time, for the last that asked it.
    fn free(&mut self, ringer: &SpeakerId) {
        for rescue in self.rescues.all.values_mut() {
            rescue.ringer.take_if(|(asked, ..)| asked == ringer);
        }
    }

    /// A speaker's actor is a new one, or gone for good: what it rang and what rang for it is settled anew.
    pub(super) fn forget_rescues_of(&mut self, speaker: &SpeakerId) {
        self.end_rescue(speaker);
        self.free(speaker);
    }
}

impl Handler<Distress> for Coordinator {
    type Result = ();

    fn handle(&mut self, message: Distress, _: &mut Self::Context) {
        match message {
            Distress::Calls { speaker, tone } => {
                let rescue = Rescue { tone, ringer: None, spurned: BTreeMap::new(), told: false };
                self.rescues.all.entry(speaker.clone()).or_insert(rescue);
                let now = self.parts.now();
                self.settle_rescue(&speaker, now);
            }
            Distress::Over { speaker } => self.end_rescue(&speaker),
            Distress::Rings { ringer, whom, heard } => {
                let now = self.parts.now();
                let Some(rescue) = self.rescues.all.get_mut(&whom) else {
                    // It is over meanwhile; but it may ring for somebody else by now.
                    let busy = |rescue: &Rescue| rescue.ringer.as_ref().is_some_and(|(r, ..)| *r == ringer);
                    if !self.rescues.all.values().any(busy) {
                        self.ring(&ringer, Ring::Hush);
                    }
                    return;
                };
                if rescue.ringer.as_ref().is_none_or(|(asked, ..)| *asked != ringer) {
                    return;
                }
                if heard {
                    rescue.ringer = Some((ringer.clone(), now, true));
                    rescue.told = false;
                    self.ring(&whom, Ring::By(Some(ringer)));
                } else {
                    rescue.spurned.insert(ringer.clone(), now);
                    self.free(&ringer);
                    self.settle_rescues();
                }
            }
            Distress::Silence { whom } => {
                self.tell_speaker(&whom, Tell(Signal::UserActivity));
                self.tell_speaker(&whom, Tell(Signal::Wish(Wish::StopAlert)));
                self.end_rescue(&whom);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(name: &str, same_group: bool, same_zone: bool, ready: bool) -> Candidate {
        Candidate { speaker: SpeakerId::new(name), same_group, same_zone, ready }
    }

    #[test]
    fn the_group_comes_before_the_zone_before_the_house() {
        let pick = |candidates: &[Candidate]| nearest(candidates.to_vec()).map(|s| s.to_string());
        let house = candidate("house", false, false, true);
        let asleep = candidate("asleep", false, false, false);
        let zone = candidate("zone", false, true, false);
        let group = candidate("group", true, false, false);
        assert_eq!(pick(&[asleep.clone(), house.clone()]).as_deref(), Some("house"));
        assert_eq!(pick(&[house.clone(), zone.clone()]).as_deref(), Some("zone"));
        assert_eq!(pick(&[house, zone, group, asleep]).as_deref(), Some("group"));
        assert_eq!(pick(&[]), None);
    }
}
