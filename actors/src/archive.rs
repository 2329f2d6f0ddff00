//! The archive: the store's actor, first up and last down. Acknowledged means committed.
//!
//! It has a thread of its own, because a commit waits for the disk. Levels are saved debounced; secrets and
//! who is with whom before they are acknowledged.

use std::path::Path;
use std::time::Duration;

use actix::prelude::*;
use antiphon_domain::SpeakerId;
use antiphon_domain::house::House;
use antiphon_store::{SpeakerRecord, Store, StoreError, secret_name};
use tracing::{error, warn};

use crate::messages::{
    Close, EraseAccount, EraseSpeaker, Heartbeat, Recall, RecallHouse, Remembered, SaveDevice, SaveHouse,
    SaveSecret, SaveSpeaker, Settle,
};

const HOUSE: &str = "house";
/// How long a changed house may wait for a later one: a slider in motion is one write.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// Messages that may wait for the disk.
const MAILBOX: usize = 4096;

/// The actor.
pub struct Archive {
    store: Store,
    house: Option<House>,
}

/// What was found at start.
#[derive(Debug, Default)]
pub struct Found {
    /// The groups and levels.
    pub house: House,
    /// The speakers ever seen.
    pub speakers: Vec<SpeakerRecord>,
}

impl Archive {
    /// Opens the database and reads what the hub starts from.
    pub fn open(database: &Path, registry: &prometheus::Registry) -> Result<(Self, Found), StoreError> {
        let mut store = Store::open(database)?;
        if let Err(e) = store.register(registry) {
            // A second archive in one hub counts on where the first one did.
            tracing::debug!(error = %e, "the store's figures are registered already");
        }
        let found = Found { house: store.document(HOUSE)?.unwrap_or_default(), speakers: store.speakers()? };
        Ok((Self { store, house: None }, found))
    }

    /// Starts it on a thread of its own; returns once its mailbox has its full size. Until then it is that of any new
    /// actor, 16, and actix never wakes a request that found a full mailbox: the seventeenth speaker would wait for ever
    /// to be remembered.
    pub fn begin(self) -> Addr<Self> {
        let (told, ready) = std::sync::mpsc::channel();
        let archive = Self::start_in_arbiter(&Arbiter::new().handle(), move |ctx| {
            ctx.set_mailbox_capacity(MAILBOX);
            // Whoever began it waits for just this.
            let _ = told.send(());
            self
        });
        // An arbiter that could not start shows as an archive that is dead; the hub looks after those.
        let _ = ready.recv();
        archive
    }

    /// What cannot be read takes nothing else with it: alarms ring without an account. `None` where the database gives no
    /// answer at all about what the device stored: it must not begin with nothing and write over what is there.
    fn recall(&self, speaker: &SpeakerId) -> Option<Remembered> {
        let stored = match self.store.device_values(speaker) {
            Ok(stored) => stored,
            Err(e) => {
                error!(%speaker, error = %e, "what a device stored cannot be read now");
                return None;
            }
        };
        let secret = |name| known(speaker, self.store.secret(speaker, name));
        let text = |name| secret(name).map(|s| s.expose().to_string());
        Some(Remembered {
            refresh_token: secret(secret_name::REFRESH_TOKEN),
            gateway: text(secret_name::GATEWAY),
            declared: text(secret_name::DECLARED),
            stored,
        })
    }

    /// Writes the waiting house; false, and it goes on waiting, when the disk does not take it.
    fn flush_house(&mut self) -> bool {
        let Some(house) = self.house.take() else { return true };
        match self.store.save_document(HOUSE, &house) {
            Ok(()) => true,
            Err(e) => {
                error!(error = %e, "groups and levels could not be saved");
                self.house = Some(house);
                false
            }
        }
    }

    /// Writes the house a moment later, and again until the disk takes it.
    fn flush_later(&self, ctx: &mut Context<Self>) {
        ctx.run_later(DEBOUNCE, |archive, ctx| {
            if !archive.flush_house() {
                archive.flush_later(ctx);
            }
        });
    }
}

impl Actor for Archive {
    type Context = Context<Self>;

    fn stopped(&mut self, _: &mut Self::Context) {
        self.flush_house();
    }
}

impl Handler<SaveHouse> for Archive {
    type Result = ();

    fn handle(&mut self, message: SaveHouse, ctx: &mut Self::Context) {
        if self.house.replace(message.0).is_none() {
            self.flush_later(ctx);
        }
    }
}

impl Handler<Settle> for Archive {
    type Result = bool;

    fn handle(&mut self, _: Settle, _: &mut Self::Context) -> bool {
        self.flush_house()
    }
}

impl Handler<SaveSpeaker> for Archive {
    type Result = ();

    fn handle(&mut self, message: SaveSpeaker, _: &mut Self::Context) {
        if let Err(e) = self.store.save_speaker(&message.0) {
            warn!(speaker = %message.0.id, error = %e, "speaker could not be saved");
        }
    }
}

impl Handler<EraseSpeaker> for Archive {
    type Result = ();

    fn handle(&mut self, message: EraseSpeaker, _: &mut Self::Context) {
        if let Err(e) = self.store.forget_speaker(&message.0) {
            warn!(speaker = %message.0, error = %e, "speaker could not be erased");
        }
    }
}

impl Handler<SaveSecret> for Archive {
    type Result = bool;

    fn handle(&mut self, message: SaveSecret, _: &mut Self::Context) -> bool {
        // A token that is given up takes with it what was the account's, at one stroke: after a power cut nothing of it
        // is left.
        let given_up = message.name == secret_name::REFRESH_TOKEN && message.secret.expose().is_empty();
        let saved = if given_up {
            self.store.forget_account(&message.speaker)
        } else {
            self.store.save_secret(&message.speaker, message.name, &message.secret)
        };
        match saved {
            Ok(()) => true,
            Err(e) => {
                error!(speaker = %message.speaker, secret = message.name, error = %e, "secret could not be saved");
                false
            }
        }
    }
}

impl Handler<SaveDevice> for Archive {
    type Result = ();

    fn handle(&mut self, message: SaveDevice, _: &mut Self::Context) {
        let SaveDevice { speaker, key, value, saved } = message;
        let result = self.store.save_device_value(&speaker, &key, &value);
        if let Err(e) = &result {
            error!(%speaker, key, error = %e, "a device's state could not be saved");
        }
        if let Some(saved) = saved {
            // A speaker that has ended needs no answer.
            let _ = saved.send(result.is_ok());
        }
    }
}

impl Handler<EraseAccount> for Archive {
    type Result = bool;

    fn handle(&mut self, message: EraseAccount, _: &mut Self::Context) -> bool {
        match self.store.forget_account(&message.0) {
            Ok(()) => true,
            Err(e) => {
                error!(speaker = %message.0, error = %e, "an account could not be erased");
                false
            }
        }
    }
}

impl Handler<Recall> for Archive {
    type Result = Option<Remembered>;

    fn handle(&mut self, message: Recall, _: &mut Self::Context) -> Self::Result {
        self.recall(&message.0)
    }
}

impl Handler<RecallHouse> for Archive {
    type Result = MessageResult<RecallHouse>;

    fn handle(&mut self, _: RecallHouse, _: &mut Self::Context) -> Self::Result {
        self.flush_house();
        MessageResult(self.store.document(HOUSE).ok().flatten().unwrap_or_default())
    }
}

impl Handler<Heartbeat> for Archive {
    type Result = ();

    fn handle(&mut self, _: Heartbeat, _: &mut Self::Context) {}
}

impl Handler<Close> for Archive {
    type Result = ();

    fn handle(&mut self, _: Close, ctx: &mut Self::Context) {
        self.flush_house();
        ctx.stop();
    }
}

/// What was read, or nothing where it cannot be.
fn known<T: Default>(speaker: &SpeakerId, read: Result<T, StoreError>) -> T {
    read.unwrap_or_else(|e| {
        error!(%speaker, error = %e, "something of a speaker could not be recalled");
        T::default()
    })
}
