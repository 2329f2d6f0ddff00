//! Volume, fanned out: stop 5 of the SetVolume road.

use actix::prelude::*;
use antiphon_domain::group::Target;
use antiphon_domain::house::{FanOut, HouseError};
use antiphon_domain::{HubTime, Report, SpeakerId};

use super::Coordinator;
use crate::messages::{ApplyLevel, ChangeLevel, Heard};
use crate::post;

impl Handler<ChangeLevel> for Coordinator {
    type Result = Result<(), HouseError>;

    fn handle(&mut self, message: ChangeLevel, _: &mut Self::Context) -> Self::Result {
        let target = match message.target {
            Target::SpeakerInGroup(speaker) if message.by_directive && !self.parts.voice_moves_group => {
                Target::SpeakerAlone(speaker)
            }
            target => target,
        };
        let fan_out = self.house.command(&target, message.command, message.by_directive)?;
        self.fan_out(&fan_out, message.received);
        if message.by_directive {
            self.save();
        } else {
            // A surface is answered when it is on disk.
            self.save_now();
        }
        Ok(())
    }
}

impl Handler<Heard> for Coordinator {
    type Result = ();

    fn handle(&mut self, message: Heard, _: &mut Self::Context) {
        let speaker = &message.0;
        let unknown = self.house.group_of(speaker).is_some_and(|group| !group.is_known(speaker));
        self.house.heard(speaker);
        if unknown {
            self.save();
        }
    }
}

impl Coordinator {
    pub(super) fn fan_out(&mut self, fan_out: &FanOut, received: Option<HubTime>) {
        for change in &fan_out.changes {
            let share = ApplyLevel {
                version: fan_out.version,
                level: change.level,
                report: change.report,
                asked: true,
                received,
            };
            self.give(&change.speaker, share);
        }
    }

    /// Tells one speaker the level it has, e.g. because it is new here.
    pub(super) fn tell_level(&mut self, speaker: &SpeakerId, report: Report) {
        let Some(level) = self.house.level_of(speaker) else { return };
        let version = self.house.version();
        self.give(speaker, ApplyLevel { version, level, report, asked: false, received: None });
    }

    /// Gives a speaker its share. What a full mailbox refuses is owed and offered again, never dropped: one slow
    /// member holds up nobody, and gets the latest level when it listens again.
    fn give(&mut self, speaker: &SpeakerId, share: ApplyLevel) {
        let Some(listener) = self.listeners.get_mut(speaker) else { return };
        let share = match listener.owed.take() {
            Some(owed) => ApplyLevel {
                report: Report {
                    volume: share.report.volume || owed.report.volume,
                    mute: share.report.mute || owed.report.mute,
                },
                asked: share.asked || owed.asked,
                ..share
            },
            None => share,
        };
        if post::tell(&listener.apply, share, &self.parts.metrics) == Err(post::Refused::Full) {
            listener.owed = Some(share);
        }
    }

    pub(super) fn offer_again(&mut self) {
        let owed: Vec<_> =
            self.listeners.iter_mut().filter_map(|(s, l)| Some((s.clone(), l.owed.take()?))).collect();
        for (speaker, share) in owed {
            self.give(&speaker, share);
        }
    }
}
