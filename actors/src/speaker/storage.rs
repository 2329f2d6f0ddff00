//! What a device machine keeps: to the archive in order, and the word that it is on disk; what it kept, at its beginning.

use std::time::Duration;

use actix::prelude::*;
use antiphon_avs::device::DeviceInput;
use antiphon_avs::effect::Receipt;
use antiphon_avs::signal::Signal;
use antiphon_domain::SpeakerId;
use tokio::sync::oneshot;
use tracing::warn;

use super::Speaker;
use crate::messages::{Recall, Remembered, SaveDevice};
use crate::post;

/// How long until the archive is asked again for what it did not tell (ours: a disk may need a while).
const AGAIN: Duration = Duration::from_secs(1);

/// What the archive remembers of a speaker. It is asked until it tells: a device that began with nothing would write over
/// the alarms that are on disk. Where the archive is dead the hub makes another, and the speaker anew.
pub(super) async fn recalled(archive: Recipient<Recall>, speaker: SpeakerId) -> Remembered {
    loop {
        let why = match archive.send(Recall(speaker.clone())).await {
            Ok(Some(remembered)) => return remembered,
            Ok(None) => "it cannot be read".to_owned(),
            Err(e) => e.to_string(),
        };
        warn!(%speaker, why, "what a speaker kept is not known yet; asking again");
        tokio::time::sleep(AGAIN).await;
    }
}

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
        if !self.begun {
            // The machine that is here now does not know what it kept: it must not write over that.
            drop(save);
        } else if post::tell(&self.archive.device, save, &self.parts.metrics).is_err() {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive whose disk answers at the third question.
    struct Slow(u32);

    impl Actor for Slow {
        type Context = Context<Self>;
    }

    impl Handler<Recall> for Slow {
        type Result = Option<Remembered>;

        fn handle(&mut self, _: Recall, _: &mut Self::Context) -> Self::Result {
            self.0 += 1;
            let stored = [("alerts.all".to_owned(), serde_json::json!(["alarm"]))].into();
            (self.0 == 3).then(|| Remembered { stored, ..Remembered::default() })
        }
    }

    #[test]
    fn an_archive_that_does_not_tell_is_asked_again() {
        System::new().block_on(async {
            let archive = Slow(0).start().recipient();
            let remembered = recalled(archive, SpeakerId::new("a")).await;
            assert_eq!(remembered.stored["alerts.all"], serde_json::json!(["alarm"]));
        });
    }
}
