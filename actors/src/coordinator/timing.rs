//! When speakers are heard: offsets, and groups that are as quick as their members can. What is set goes to each speaker
//! before it is told to listen to anything.

use actix::prelude::*;
use antiphon_domain::house::HouseError;
use antiphon_domain::{GroupId, Lead, Offset, SpeakerId};
use antiphon_endpoint::Pace;
use tracing::info;

use super::Coordinator;
use crate::messages::{SetLowLatency, SetOffset, Timing};
use crate::post;
use crate::snapshot::LowLatencyView;

impl Handler<SetOffset> for Coordinator {
    type Result = Result<(), HouseError>;

    fn handle(&mut self, message: SetOffset, _: &mut Self::Context) -> Self::Result {
        let SetOffset { speaker, offset } = message;
        self.house.set_offset(&speaker, offset)?;
        info!(%speaker, offset_ms = offset.millis(), "offset set");
        self.settle_timing();
        self.save_now();
        Ok(())
    }
}

impl Handler<SetLowLatency> for Coordinator {
    type Result = Result<(), HouseError>;

    fn handle(&mut self, message: SetLowLatency, _: &mut Self::Context) -> Self::Result {
        let group = self.group_of(&message.target)?;
        self.house.set_low_latency(&group, message.on)?;
        info!(%group, on = message.on, "low latency set");
        self.settle_timing();
        self.save_now();
        Ok(())
    }
}

impl Coordinator {
    /// What counts for a speaker: what a person set, else the configuration.
    pub(super) fn offset_of(&self, speaker: &SpeakerId, configured: Offset) -> Offset {
        self.house.timing().offset(speaker).unwrap_or(configured)
    }

    fn wants_low_latency(&self, group: &GroupId) -> bool {
        let set = self.house.timing().low_latency(group);
        set.unwrap_or_else(|| self.parts.low_latency.contains(group))
    }

    /// The members that keep a group from being quick.
    fn slow_members(&self, group: &GroupId) -> Vec<SpeakerId> {
        let Some(group) = self.house.group(group) else { return Vec::new() };
        let members = group.members().iter().map(|m| &m.speaker);
        members.filter(|s| self.listeners.get(*s).is_some_and(|l| !l.reach.is_quick())).cloned().collect()
    }

    /// How sessions of a group's members are opened: quick where that is wanted and every member can.
    fn pace_of(&self, group: &GroupId) -> Pace {
        let quick = self.wants_low_latency(group) && self.slow_members(group).is_empty();
        if quick { Pace::Quick } else { Pace::Steady }
    }

    /// The largest lead of a group's members: the smallest that all of them can do.
    pub(super) fn lead_of(&self, group: &GroupId) -> Lead {
        let pace = self.pace_of(group);
        let Some(group) = self.house.group(group) else { return Lead::default() };
        let members = group.members().iter().filter_map(|m| self.listeners.get(&m.speaker));
        members.map(|l| l.reach.lead(pace, l.timing.offset)).max().unwrap_or_default()
    }

    /// Tells every speaker its offset and the pace of its group, where that changed.
    pub(super) fn settle_timing(&mut self) {
        let mut changes = Vec::new();
        for group in self.house.groups() {
            let pace = self.pace_of(&group.id);
            for member in group.members() {
                let Some(listener) = self.listeners.get(&member.speaker) else { continue };
                let offset = self.offset_of(&member.speaker, listener.configured);
                let timing = Timing { offset, pace };
                if listener.timing != timing || !listener.timed {
                    changes.push((member.speaker.clone(), timing));
                }
            }
        }
        for (speaker, timing) in changes {
            let Some(listener) = self.listeners.get_mut(&speaker) else { continue };
            listener.timing = timing;
            // Refused, it is told again a moment later.
            listener.timed = post::tell(&listener.time, timing, &self.parts.metrics).is_ok();
        }
    }

    /// How a group's wish for low latency fares; `None` where there is none.
    pub(super) fn low_latency_view(&self, group: &GroupId) -> Option<LowLatencyView> {
        if !self.wants_low_latency(group) {
            return None;
        }
        let slow = self.slow_members(group);
        let why = (!slow.is_empty()).then(|| {
            let names: Vec<String> = slow
                .iter()
                .filter_map(|s| {
                    let listener = self.listeners.get(s)?;
                    let kind = listener.view.as_ref().map_or("", |view| view.kind);
                    Some(format!("{s} ({kind}) needs {} ms", listener.reach.quick.0.as_millis()))
                })
                .collect();
            names.join(", ")
        });
        Some(LowLatencyView { active: slow.is_empty(), why })
    }
}
