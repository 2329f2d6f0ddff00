//! All groups of the home: who is with whom, and the versions that keep fan-outs in order.
//!
//! Owned by the coordinator actor. Every speaker is in exactly one group; alone it is a group of one.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::group::{Change, Group, Leaving, Target};
use crate::id::{GroupId, SpeakerId};
use crate::level::{Level, LevelCommand};
use crate::timing::{Offset, Timing};
use crate::units::Volume;

/// How the ids of groups of one begin.
const ALONE: &str = "solo:";

/// What one command made of the levels: the changes, and a number that only grows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FanOut {
    /// A speaker that saw a later version ignores this one.
    pub version: u64,
    /// The members that owe something.
    pub changes: Vec<Change>,
}

/// A name that fits nothing here.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HouseError {
    /// No such speaker.
    #[error("there is no speaker {0:?}")]
    NoSpeaker(String),
    /// No such group.
    #[error("there is no group {0:?}")]
    NoGroup(String),
    /// The id is taken.
    #[error("the name {0:?} is taken already")]
    Taken(String),
    /// It cannot be done now; the text says why.
    #[error("{0}")]
    NotNow(String),
    /// A group needs somebody.
    #[error("a group needs at least one speaker")]
    Nobody,
}

/// All groups.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct House {
    version: u64,
    groups: BTreeMap<GroupId, Group>,
    /// Configured groups that were formed once: a person who dissolves one does not find it back after a restart.
    #[serde(default)]
    formed: BTreeSet<GroupId>,
    #[serde(default)]
    timing: Timing,
}

impl House {
    /// Takes in a speaker that is not here yet, alone; otherwise leaves everything as it is.
    pub fn admit(&mut self, speaker: &SpeakerId, name: &str, volume: Option<Volume>, ceiling: Volume) {
        if self.group_of(speaker).is_some() {
            return;
        }
        let id = Self::own_id(speaker);
        self.groups.insert(id.clone(), Group::lone(id, name.into(), speaker.clone(), volume, ceiling));
    }

    /// Forgets a speaker for good.
    pub fn forget(&mut self, speaker: &SpeakerId) {
        self.timing.forget_speaker(speaker);
        self.timing.forget_group(&Self::own_id(speaker));
        // A speaker that is not here is forgotten already.
        let _ = self.detach(speaker);
    }

    /// The number of the latest change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether a configured group was formed before.
    pub fn was_formed(&self, id: &GroupId) -> bool {
        self.formed.contains(id)
    }

    /// Remembers that a configured group was formed.
    pub fn remember_formed(&mut self, id: &GroupId) {
        self.formed.insert(id.clone());
    }

    /// The groups by id.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    /// The group of that id.
    pub fn group(&self, id: &GroupId) -> Option<&Group> {
        self.groups.get(id)
    }

    /// The group `speaker` is in.
    pub fn group_of(&self, speaker: &SpeakerId) -> Option<&Group> {
        self.groups.values().find(|g| g.has(speaker))
    }

    /// What `speaker` is asked to play at.
    pub fn level_of(&self, speaker: &SpeakerId) -> Option<Level> {
        self.group_of(speaker).and_then(|g| g.level_of(speaker))
    }

    /// Carries out a level command.
    pub fn command(
        &mut self,
        target: &Target,
        command: LevelCommand,
        by_directive: bool,
    ) -> Result<FanOut, HouseError> {
        let changes = match target {
            Target::Group(id) => self.group_mut(id)?.command_group(command),
            Target::SpeakerInGroup(speaker) => {
                self.home_of(speaker)?.command_speaker(speaker, command, by_directive)
            }
            Target::SpeakerAlone(speaker) => self.home_of(speaker)?.wish(speaker, command, by_directive),
        };
        Ok(self.fan_out(changes))
    }

    /// Bounds what is heard at a speaker.
    pub fn set_ceiling(&mut self, speaker: &SpeakerId, ceiling: Volume) -> Result<FanOut, HouseError> {
        let changes = self.home_of(speaker)?.set_ceiling(speaker, ceiling);
        Ok(self.fan_out(changes))
    }

    /// Notes that sound was heard at `speaker`.
    pub fn heard(&mut self, speaker: &SpeakerId) {
        if let Ok(group) = self.home_of(speaker) {
            group.heard(speaker);
        }
    }

    /// When speakers are heard, as people set it.
    pub fn timing(&self) -> &Timing {
        &self.timing
    }

    /// Has a speaker be heard so much later than the others.
    pub fn set_offset(&mut self, speaker: &SpeakerId, offset: Offset) -> Result<(), HouseError> {
        self.home_of(speaker)?;
        self.timing.set_offset(speaker, offset);
        Ok(())
    }

    /// Has a group be as quick as its members can, or not.
    pub fn set_low_latency(&mut self, group: &GroupId, on: bool) -> Result<(), HouseError> {
        self.group_mut(group)?;
        self.timing.set_low_latency(group, on);
        Ok(())
    }

    /// Makes a group of these speakers, or changes who is in it. The first one's level is the group's when it is new;
    /// who leaves is alone at the volume it has. Nobody's volume changes.
    pub fn form(&mut self, id: &GroupId, name: String, speakers: &[SpeakerId]) -> Result<(), HouseError> {
        let Some(first) = speakers.first() else { return Err(HouseError::Nobody) };
        if id.as_str().starts_with(ALONE) {
            return Err(HouseError::Taken(id.as_str().into()));
        }
        for speaker in speakers {
            self.home_of(speaker)?;
        }
        if !self.groups.contains_key(id) {
            let leader = self.detach(first)?;
            self.groups.insert(id.clone(), leader.alone(id.clone(), name.clone()));
        }
        let group = self.group_mut(id)?;
        group.name = name;
        let leavers: Vec<SpeakerId> =
            group.members().iter().map(|m| m.speaker.clone()).filter(|s| !speakers.contains(s)).collect();
        for speaker in speakers {
            self.join(id, speaker)?;
        }
        for speaker in &leavers {
            self.leave(speaker)?;
        }
        Ok(())
    }

    /// Puts a speaker into a group that somebody formed, at the volume it has.
    pub fn join(&mut self, id: &GroupId, speaker: &SpeakerId) -> Result<(), HouseError> {
        if !self.groups.contains_key(id) || id.as_str().starts_with(ALONE) {
            return Err(HouseError::NoGroup(id.as_str().into()));
        }
        if &self.home_of(speaker)?.id != id {
            let newcomer = self.detach(speaker)?;
            self.group_mut(id)?.join(newcomer);
            self.version += 1;
        }
        Ok(())
    }

    /// Takes a speaker out of its group; it is alone again at the volume it has.
    pub fn leave(&mut self, speaker: &SpeakerId) -> Result<(), HouseError> {
        let own = Self::own_id(speaker);
        if self.home_of(speaker)?.id != own {
            let leaver = self.detach(speaker)?;
            self.groups.insert(own.clone(), leaver.alone(own, speaker.as_str().into()));
            self.version += 1;
        }
        Ok(())
    }

    /// The id a speaker's group of one bears. No formed group can have such an id.
    pub fn own_id(speaker: &SpeakerId) -> GroupId {
        GroupId::new(format!("{ALONE}{speaker}"))
    }

    /// Whether a group was formed by somebody, and is not just a lone speaker.
    pub fn is_formed(group: &GroupId) -> bool {
        !group.as_str().starts_with(ALONE)
    }

    /// Takes a speaker out of where it is; a group nobody is in any more is gone.
    fn detach(&mut self, speaker: &SpeakerId) -> Result<Leaving, HouseError> {
        let nobody = || HouseError::NoSpeaker(speaker.as_str().into());
        let home = self.home_of(speaker)?;
        let id = home.id.clone();
        let leaving = home.leave(speaker).ok_or_else(nobody)?;
        if home.members().is_empty() {
            self.groups.remove(&id);
            // A lone speaker's own wish waits for it; a group that is gone has none.
            if Self::is_formed(&id) {
                self.timing.forget_group(&id);
            }
        }
        Ok(leaving)
    }

    fn group_mut(&mut self, id: &GroupId) -> Result<&mut Group, HouseError> {
        self.groups.get_mut(id).ok_or_else(|| HouseError::NoGroup(id.as_str().into()))
    }

    fn home_of(&mut self, speaker: &SpeakerId) -> Result<&mut Group, HouseError> {
        self.groups
            .values_mut()
            .find(|g| g.has(speaker))
            .ok_or_else(|| HouseError::NoSpeaker(speaker.as_str().into()))
    }

    fn fan_out(&mut self, changes: Vec<Change>) -> FanOut {
        self.version += 1;
        FanOut { version: self.version, changes }
    }
}
