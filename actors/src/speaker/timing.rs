//! When this speaker is heard: its offset moves what its endpoint is told, its group's pace says how the next session is
//! opened; and what its receiver shows of it.

use std::sync::Arc;

use actix::prelude::*;
use antiphon_avs::device::DeviceInput;
use antiphon_avs::signal::Signal;
use antiphon_domain::Offset;
use antiphon_endpoint::{Caps, Control, Pace};

use super::Speaker;
use crate::messages::{Now, Reaches, Timing};
use crate::post;
use crate::reach::Reach;

impl Handler<Timing> for Speaker {
    type Result = ();

    fn handle(&mut self, message: Timing, ctx: &mut Self::Context) {
        // One that plays goes on as it was opened: a change of pace would be heard. The next stream begins anew.
        self.timing = message;
        self.apply_shift(ctx);
    }
}

impl Handler<Now> for Speaker {
    type Result = ();

    fn handle(&mut self, message: Now, _: &mut Self::Context) {
        self.now = Some(message.0);
        self.show_now();
    }
}

impl Speaker {
    /// Lets the receiver show what its group hears.
    pub(super) fn show_now(&self) {
        if let (Some(session), Some(now)) = (&self.playback.session, &self.now) {
            session.output.control(Control::Now(Arc::clone(now)));
        }
    }

    /// Has what is told from now on be moved as it should be.
    fn apply_shift(&mut self, ctx: &mut Context<Self>) {
        let shift = self.reach.shift(self.timing.offset);
        if let Some(session) = &mut self.playback.session
            && session.shift != shift
        {
            session.shift = shift;
            session.caps = Caps { lead: self.reach.lead(session.pace, self.timing.offset), ..session.caps };
            session.output.control(Control::Shift(shift));
        }
        self.view.offset_ms = self.timing.offset.millis();
        self.show_lead();
        if self.begun {
            let lead = self.reach.lead(Pace::Steady, self.timing.offset);
            self.drive(DeviceInput::Signal(Signal::Lead(lead.0)), ctx);
        }
        self.publish();
    }

    /// The endpoint is described otherwise than before: perhaps it can do more, or less.
    pub(super) fn settle_reach(&mut self, ctx: &mut Context<Self>) {
        let reach = Reach::of(self.kind.as_ref(), &self.descriptor);
        if reach == self.reach {
            return;
        }
        self.reach = reach;
        let message = Reaches { speaker: self.id.clone(), reach };
        // Counted when refused; the next introduction says it again.
        let _ = post::tell(&self.roads.reaches, message, &self.parts.metrics);
        self.apply_shift(ctx);
    }

    /// Closes a session that was opened at another pace than the group's, before something new is heard by it.
    pub(super) fn settle_pace(&mut self, ctx: &mut Context<Self>) {
        let other = self.playback.session.as_ref().is_some_and(|s| s.pace != self.timing.pace);
        if other && self.voices.is_empty() {
            self.close_session(ctx);
        }
    }
}

/// As long as the coordinator has not said more: what the configuration says.
pub(super) fn first(offset: Offset) -> Timing {
    Timing { offset, pace: Pace::Steady }
}
