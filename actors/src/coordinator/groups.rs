//! Membership: who joins and leaves. Nobody's volume changes by it, and who goes on hears no gap.

use actix::prelude::*;
use antiphon_domain::house::HouseError;
use antiphon_domain::{GroupId, SpeakerId};
use tracing::info;

use super::Coordinator;
use super::content::Ending;
use crate::messages::{Forget, Regroup};

impl Handler<Regroup> for Coordinator {
    type Result = Result<(), HouseError>;

    fn handle(&mut self, message: Regroup, _: &mut Self::Context) -> Self::Result {
        match message {
            Regroup::Form { id, name, speakers } => self.form(&id, name, &speakers)?,
            Regroup::Leave(speaker) => self.house.leave(&speaker)?,
            Regroup::Dissolve(id) => {
                let group = self.house.group(&id).ok_or_else(|| HouseError::NoGroup(id.as_str().into()))?;
                let members: Vec<SpeakerId> = group.members().iter().map(|m| m.speaker.clone()).collect();
                for speaker in members {
                    self.house.leave(&speaker)?;
                }
            }
        }
        self.settle_leaders();
        self.rehome_contents();
        self.settle_timing();
        self.reconcile();
        self.save_now();
        Ok(())
    }
}

impl Handler<Forget> for Coordinator {
    type Result = Result<(), HouseError>;

    fn handle(&mut self, message: Forget, _: &mut Self::Context) -> Self::Result {
        self.house.forget(&message.0);
        self.listeners.remove(&message.0);
        self.forget_rescues_of(&message.0);
        self.settle_leaders();
        self.contents.disown(&message.0);
        self.parts.metrics.speakers.set(self.listeners.len() as i64);
        self.rehome_contents();
        self.reconcile();
        self.save_now();
        Ok(())
    }
}

impl Coordinator {
    fn form(&mut self, id: &GroupId, name: String, speakers: &[SpeakerId]) -> Result<(), HouseError> {
        let before = speakers.first().and_then(|s| self.house.group_of(s)).map(|g| g.id.clone());
        self.house.form(id, name, speakers)?;
        // The first speaker brings what it hears, unless others of its old group go on hearing it there.
        if let Some(before) = before.filter(|g| self.house.group(g).is_none()) {
            if self.contents.current(&before).is_some() {
                self.end_all(id, None, Ending::Taken);
            }
            self.contents.rename(&before, id);
        }
        info!(group = %id, speakers = speakers.len(), "group formed");
        Ok(())
    }

    /// Forms the configured groups the house has never seen, once all their speakers are here.
    pub(super) fn form_configured(&mut self) {
        let parts = self.parts.clone();
        for (id, name, speakers) in &parts.groups {
            let all_here = speakers.iter().all(|s| self.house.group_of(s).is_some());
            if all_here && !self.house.was_formed(id) && self.form(id, name.clone(), speakers).is_ok() {
                self.house.remember_formed(id);
            }
        }
    }
}
