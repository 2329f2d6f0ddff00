//! One group: its level, its members' balances, and what a command makes of them (the volume laws of product.md 3).
//!
//! Pure; driven by [`House`](crate::house::House). A lone speaker is a group of one: the same road, no second path.

use serde::{Deserialize, Serialize};

use crate::curve::{Curve, GroupLevel};
use crate::id::{GroupId, SpeakerId};
use crate::level::{Level, LevelCommand, Report, report_of, report_of_moved};
use crate::units::Volume;

/// Whom a level command is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The group's own slider.
    Group(GroupId),
    /// One speaker, and its group moves with it (the default of a voice command).
    SpeakerInGroup(SpeakerId),
    /// One speaker alone: its new balance (a knob on the device, or scope `speaker`).
    SpeakerAlone(SpeakerId),
}

/// One speaker of a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Who.
    pub speaker: SpeakerId,
    /// Its balance.
    curve: Curve,
    /// Its own mute switch.
    muted: bool,
    /// The group's mute does not hold for it: it joined, or was unmuted alone, while the group was muted. Until the
    /// group's switch is used again.
    #[serde(default)]
    exempt: bool,
    /// Never heard above this.
    ceiling: Volume,
    /// Whether anybody ever said or heard how loud it is.
    known: bool,
}

/// What one member owes after a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Who.
    pub speaker: SpeakerId,
    /// Its level now.
    pub level: Level,
    /// The events it owes on its own connection.
    pub report: Report,
}

/// Speakers that hear the same content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Its stable id.
    pub id: GroupId,
    /// The name people gave it.
    pub name: String,
    level: GroupLevel,
    muted: bool,
    members: Vec<Member>,
}

impl Group {
    /// A group of one. `volume` is the remembered one, or `None` when nobody ever knew it.
    pub fn lone(
        id: GroupId,
        name: String,
        speaker: SpeakerId,
        volume: Option<Volume>,
        ceiling: Volume,
    ) -> Self {
        let level = f64::from(volume.unwrap_or(Volume::SAFE).get());
        let member = Member {
            speaker,
            curve: Curve::identity(),
            muted: false,
            exempt: false,
            ceiling,
            known: volume.is_some(),
        };
        Self { id, name, level, muted: false, members: vec![member] }
    }

    /// The group level as shown: 0 to 100.
    pub fn volume(&self) -> Volume {
        Volume::nearest(self.level)
    }

    /// The group's own mute switch.
    pub fn muted(&self) -> bool {
        self.muted
    }

    /// The members, in the order they joined.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Whether `speaker` is a member.
    pub fn has(&self, speaker: &SpeakerId) -> bool {
        self.position(speaker).is_some()
    }

    /// What `speaker` is asked to play at, or `None` when it is no member.
    pub fn level_of(&self, speaker: &SpeakerId) -> Option<Level> {
        self.position(speaker).map(|i| self.level_at(i))
    }

    /// Whether the volume of `speaker` was ever known; an unknown one is shown as unknown.
    pub fn is_known(&self, speaker: &SpeakerId) -> bool {
        self.position(speaker).is_some_and(|i| self.members[i].known)
    }

    /// Carries out a command for the whole group; every member whose level changed owes its events.
    pub fn command_group(&mut self, command: LevelCommand) -> Vec<Change> {
        let before = self.levels();
        match command {
            LevelCommand::SetVolume(volume) => self.level = f64::from(volume.get()),
            LevelCommand::AdjustVolume(step) => {
                self.level = (self.level + f64::from(step.get())).clamp(0.0, 100.0);
            }
            LevelCommand::SetMute(muted) => self.switch(muted),
        }
        self.mark_known();
        self.changes(&before, None)
    }

    /// Carries out a command spoken to one member, which the whole group follows.
    /// Empty when `speaker` is no member.
    pub fn command_speaker(
        &mut self,
        speaker: &SpeakerId,
        command: LevelCommand,
        by_directive: bool,
    ) -> Vec<Change> {
        let Some(i) = self.position(speaker) else { return Vec::new() };
        let before = self.levels();
        match command {
            LevelCommand::SetVolume(volume) => {
                self.unmute(i);
                let wanted = volume.min(self.members[i].ceiling);
                if self.level_at(i).volume != wanted {
                    self.level = self.members[i].curve.lowest_level_for(f64::from(wanted.get()));
                }
            }
            LevelCommand::AdjustVolume(step) => {
                self.unmute(i);
                self.level = self.adjusted(i, f64::from(step.get()));
            }
            LevelCommand::SetMute(true) => self.switch(true),
            LevelCommand::SetMute(false) => {
                let was_muted = before[i].muted;
                self.unmute(i);
                if was_muted && before[i].volume == Volume::MIN {
                    let audible = Volume::UNMUTE.min(self.members[i].ceiling);
                    self.level = self.members[i].curve.lowest_level_for(f64::from(audible.get()));
                }
            }
        }
        self.mark_known();
        self.changes(&before, Some((i, command, by_directive)))
    }

    /// Carries out a command for one member alone: its new balance. Nobody else moves.
    /// Empty when `speaker` is no member.
    pub fn wish(&mut self, speaker: &SpeakerId, command: LevelCommand, by_directive: bool) -> Vec<Change> {
        let Some(i) = self.position(speaker) else { return Vec::new() };
        let before = self.level_at(i);
        let wanted = match command {
            LevelCommand::SetVolume(volume) => Some(volume),
            LevelCommand::AdjustVolume(step) => Some(before.volume.stepped(step)),
            LevelCommand::SetMute(muted) => {
                self.members[i].muted = muted;
                self.members[i].exempt |= !muted && self.muted;
                (!muted && before.muted && before.volume == Volume::MIN).then_some(Volume::UNMUTE)
            }
        };
        if let Some(volume) = wanted {
            if !matches!(command, LevelCommand::SetMute(_)) && before.muted {
                let _ = self.wish(speaker, LevelCommand::SetMute(false), by_directive);
            }
            self.rebalance(i, volume.min(self.members[i].ceiling));
        }
        self.members[i].known = true;
        let level = self.level_at(i);
        let report = report_of(command, before, level, by_directive);
        if level == before && report == Report::NONE {
            return Vec::new();
        }
        vec![Change { speaker: speaker.clone(), level, report }]
    }

    /// Bounds what is heard at a member from now on. The balance is kept.
    pub fn set_ceiling(&mut self, speaker: &SpeakerId, ceiling: Volume) -> Vec<Change> {
        let before = self.levels();
        if let Some(i) = self.position(speaker) {
            self.members[i].ceiling = ceiling;
        }
        self.changes(&before, None)
    }

    /// Notes that sound was heard at `speaker`: its volume is known from now on.
    pub fn heard(&mut self, speaker: &SpeakerId) {
        if let Some(i) = self.position(speaker) {
            self.members[i].known = true;
        }
    }

    /// Takes in a member at the volume it has; nobody's volume changes. A newcomer to a silent group falls silent
    /// with the next group command that leaves the group at 0.
    pub(crate) fn join(&mut self, newcomer: Leaving) {
        self.members.push(Member { muted: newcomer.muted, ..newcomer.member });
        let i = self.members.len() - 1;
        self.rebalance(i, newcomer.volume);
        // A mute of the group is not put on who joins.
        self.members[i].exempt = self.muted;
    }

    /// Lets a member go, with the level it has; nobody's volume changes.
    pub(crate) fn leave(&mut self, speaker: &SpeakerId) -> Option<Leaving> {
        let i = self.position(speaker)?;
        let level = self.level_at(i);
        let volume = Volume::nearest(self.members[i].curve.at(self.level));
        let member = self.members.remove(i);
        Some(Leaving { member, volume, muted: level.muted })
    }

    fn position(&self, speaker: &SpeakerId) -> Option<usize> {
        self.members.iter().position(|m| &m.speaker == speaker)
    }

    fn level_at(&self, i: usize) -> Level {
        let member = &self.members[i];
        let volume = Volume::nearest(member.curve.at(self.level)).min(member.ceiling);
        Level { volume, muted: (self.muted && !member.exempt) || member.muted }
    }

    fn levels(&self) -> Vec<Level> {
        (0..self.members.len()).map(|i| self.level_at(i)).collect()
    }

    /// Uses the group's own mute switch; it holds for everybody again.
    fn switch(&mut self, muted: bool) {
        self.muted = muted;
        for member in &mut self.members {
            member.exempt = false;
        }
    }

    fn unmute(&mut self, i: usize) {
        self.switch(false);
        self.members[i].muted = false;
    }

    fn mark_known(&mut self) {
        for member in &mut self.members {
            member.known = true;
        }
    }

    /// The group level that moves member `i` by `step` from where its curve really is, saturating at its ceiling.
    fn adjusted(&self, i: usize, step: f64) -> GroupLevel {
        let member = &self.members[i];
        let here = member.curve.at(self.level);
        let ceiling = f64::from(member.ceiling.get());
        let wanted = if step >= 0.0 {
            // Never lower anybody on the way up, even when the ceiling came down meanwhile.
            (here + step).min(ceiling.max(here))
        } else {
            // From what is heard, not from a balance hidden above the ceiling.
            (here.min(ceiling) + step).max(0.0)
        };
        if wanted == here { self.level } else { member.curve.nearest_level_for(wanted, self.level) }
    }

    /// Member `i` is at `volume` from now on; nobody else's volume changes.
    fn rebalance(&mut self, i: usize, volume: Volume) {
        if Volume::nearest(self.members[i].curve.at(self.level)) == volume {
            return;
        }
        if self.level <= 0.0 || self.level >= 100.0 {
            self.level = self.level_off_the_end(i);
        }
        self.members[i].curve = Curve::through(self.level, f64::from(volume.get()));
    }

    /// Every curve is silent at level 0 and full at 100, so a wish of member `i` there needs a level just beside the
    /// end: one at which all others still round to where they are.
    fn level_off_the_end(&mut self, i: usize) -> GroupLevel {
        let silent = self.level <= 0.0;
        let mut beside: GroupLevel = if silent { 1.0 } else { 99.0 };
        for (j, other) in self.members.iter_mut().enumerate() {
            if j != i {
                other.curve = other.curve.off_the_ends();
                beside = if silent {
                    beside.min(other.curve.silent_up_to())
                } else {
                    beside.max(other.curve.full_from())
                };
            }
        }
        beside
    }

    /// Every member whose level differs from `before`, and the addressed one whatever happened.
    fn changes(&self, before: &[Level], addressed: Option<(usize, LevelCommand, bool)>) -> Vec<Change> {
        let mut changes = Vec::new();
        for (i, member) in self.members.iter().enumerate() {
            let level = self.level_at(i);
            let report = match addressed {
                Some((a, command, by_directive)) if a == i => {
                    report_of(command, before[i], level, by_directive)
                }
                _ => report_of_moved(before[i], level),
            };
            if level != before[i] || report != Report::NONE {
                changes.push(Change { speaker: member.speaker.clone(), level, report });
            }
        }
        changes
    }
}

/// A member between two groups, with what it takes along.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Leaving {
    pub(crate) member: Member,
    pub(crate) volume: Volume,
    pub(crate) muted: bool,
}

impl Leaving {
    /// The speaker alone again, at the level it had.
    pub(crate) fn alone(self, id: GroupId, name: String) -> Group {
        let mut group = Group::lone(id, name, self.member.speaker, Some(self.volume), self.member.ceiling);
        group.members[0].muted = self.muted;
        group.members[0].known = self.member.known;
        group
    }
}
