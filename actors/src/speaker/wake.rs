//! One timer for all the wake-ups a device machine asks for.

use actix::prelude::*;
use antiphon_avs::device::DeviceInput;
use antiphon_domain::HubTime;

use super::Speaker;

/// The timer: armed for one moment, or not.
#[derive(Default)]
pub(super) struct Wake {
    armed: Option<(HubTime, SpawnHandle)>,
}

impl Speaker {
    /// Arms the timer for the machine's deadline; called after each input.
    pub(super) fn arm(&mut self, ctx: &mut Context<Self>) {
        let deadline = self.device.deadline();
        if self.wake.armed.as_ref().map(|(at, _)| *at) == deadline {
            return;
        }
        if let Some((_, handle)) = self.wake.armed.take() {
            ctx.cancel_future(handle);
        }
        if let Some(at) = deadline {
            let wait = at.since(self.parts.now());
            let handle = ctx.run_later(wait, |speaker, ctx| {
                speaker.wake.armed = None;
                speaker.drive(DeviceInput::Timeout, ctx);
            });
            self.wake.armed = Some((at, handle));
        }
    }
}
