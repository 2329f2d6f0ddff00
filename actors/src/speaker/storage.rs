//! What a device machine keeps: to the archive in order, and the word that it is on disk.

use actix::prelude::*;
use antiphon_avs::device::DeviceInput;
use antiphon_avs::effect::Receipt;
use antiphon_avs::signal::Signal;
use tokio::sync::oneshot;
use tracing::warn;

use super::Speaker;
use crate::messages::SaveDevice;
use crate::post;

impl Speaker {
    /// Hands a value to the archive. What follows among the effects goes out at once: a machine that must not speak
    /// before the disk has it waits for its receipt.
    pub(super) fn store(
        &mut self,
        key: String,
        value: serde_json::Value,
        receipt: Option<Receipt>,
        ctx: &mut Context<Self>,
    ) {
        let (saved, answer) = oneshot::channel();
        let wanted = receipt.is_some();
        let save = SaveDevice { speaker: self.id.clone(), key, value, saved: wanted.then_some(saved) };
        // Refused, `saved` is dropped with it, which says so to the waiting receipt.
        if post::tell(&self.archive.device, save, &self.parts.metrics).is_err() {
            warn!(speaker = %self.id, "the archive did not take a value of the device");
        }
        if let Some(receipt) = receipt {
            let told = answer.into_actor(self).map(move |saved, speaker, ctx| {
                let signal = Signal::Stored(receipt, saved.unwrap_or(false));
                speaker.drive(DeviceInput::Signal(signal), ctx);
            });
            ctx.spawn(told);
        }
    }
}
