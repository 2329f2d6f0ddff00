//! SQLite behind the archive: speakers, secrets, what devices store, and documents (groups).
//!
//! Owns one database file and holds it alone while it is open. Promises that whatever a method acknowledged (returned
//! `Ok` for) is on disk: write-ahead log, `synchronous=FULL`, one commit a call or a [`Store::batch`]. Driven by the
//! archive actor from a thread that may block; every method waits for the disk.

mod batch;
mod error;
mod metrics;
mod open;
mod record;
mod schema;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use antiphon_domain::{Secret, SpeakerId};
use rusqlite::Connection;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use batch::Batch;
pub use error::{Class, StoreError};
pub use record::SpeakerRecord;

use metrics::Metrics;

/// Names of the secrets the hub keeps for a speaker.
pub mod secret_name {
    /// The LWA refresh token as it was last rotated; empty once the account was given up.
    pub const REFRESH_TOKEN: &str = "refresh_token";
    /// The AVS gateway the speaker was last told to use (System.SetEndpoint / VerifyGateway).
    pub const GATEWAY: &str = "gateway";
    /// What the speaker declared to AVS last.
    pub const DECLARED: &str = "declared";
}

/// The open database.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
    metrics: Option<Metrics>,
}

impl Store {
    /// Opens the database file, making it (readable by this user alone, mode 0600) and its folder (0700) where
    /// they are not there yet, and brings its tables up to date.
    pub fn open(path: &Path) -> Result<Store, StoreError> {
        let connection = open::open(path)?;
        Ok(Store { connection, path: path.to_path_buf(), metrics: None })
    }

    /// Counts commits and failures on `registry` from now on.
    pub fn register(&mut self, registry: &prometheus::Registry) -> Result<(), StoreError> {
        self.metrics = Some(Metrics::register(registry).map_err(|e| StoreError::Metrics(e.to_string()))?);
        Ok(())
    }

    /// Where the database lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every speaker, by id.
    pub fn speakers(&self) -> Result<Vec<SpeakerRecord>, StoreError> {
        self.counted(record::all(&self.connection).map_err(|e| e.at(&self.path)))
    }

    /// One speaker.
    pub fn speaker(&self, id: &SpeakerId) -> Result<Option<SpeakerRecord>, StoreError> {
        self.counted(record::one(&self.connection, id).map_err(|e| e.at(&self.path)))
    }

    /// Inserts or replaces a speaker. What is stored as `first_seen` stays.
    pub fn save_speaker(&mut self, speaker: &SpeakerRecord) -> Result<(), StoreError> {
        self.batch(|b| b.save_speaker(speaker))
    }

    /// Everything a speaker's device stored, by key. A value that cannot be read is left out, and the log says which.
    pub fn device_values(
        &self,
        speaker: &SpeakerId,
    ) -> Result<BTreeMap<String, serde_json::Value>, StoreError> {
        self.counted(batch::device_values(&self.connection, speaker).map_err(|e| e.at(&self.path)))
    }

    /// Stores one value of a speaker's device, in place of the old one; JSON `null` removes it.
    pub fn save_device_value(
        &mut self,
        speaker: &SpeakerId,
        key: &str,
        value: &serde_json::Value,
    ) -> Result<(), StoreError> {
        self.batch(|b| b.save_device_value(speaker, key, value))
    }

    /// Forgets every secret of a speaker and all that its device stored, but for what is the room's
    /// (keys that begin with `room.`); the speaker stays, with an empty refresh token.
    pub fn forget_account(&mut self, id: &SpeakerId) -> Result<(), StoreError> {
        self.batch(|b| b.forget_account(id))?;
        self.scrub()
    }

    /// Forgets a speaker with its account; false when it was not there.
    pub fn forget_speaker(&mut self, id: &SpeakerId) -> Result<bool, StoreError> {
        let there = self.batch(|b| b.forget_speaker(id))?;
        self.scrub()?;
        Ok(there)
    }

    /// Empties the log: `secure_delete` overwrites what was removed in the database, but the log beside it would keep
    /// the pages as they were.
    fn scrub(&mut self) -> Result<(), StoreError> {
        let done =
            self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
        self.counted(done.map(drop).map_err(|e| error::of_sqlite(e, &self.path)))
    }

    /// Stores a value under `key`, in place of what was there.
    pub fn save_document<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), StoreError> {
        self.batch(|b| b.save_document(key, value))
    }

    /// The value under `key`. [`StoreError::Document`] when it is not of that shape (any more).
    pub fn document<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, StoreError> {
        self.counted(batch::document(&self.connection, key).map_err(|e| e.at(&self.path)))
    }

    /// Removes the value under `key`; false when there was none.
    pub fn remove_document(&mut self, key: &str) -> Result<bool, StoreError> {
        self.batch(|b| b.remove_document(key))
    }

    /// Stores a secret of a speaker (which need not be stored itself), in place of the old one.
    pub fn save_secret(
        &mut self,
        speaker: &SpeakerId,
        name: &str,
        secret: &Secret,
    ) -> Result<(), StoreError> {
        self.batch(|b| b.save_secret(speaker, name, secret))
    }

    /// A secret of a speaker.
    pub fn secret(&self, speaker: &SpeakerId, name: &str) -> Result<Option<Secret>, StoreError> {
        self.counted(batch::secret(&self.connection, speaker, name).map_err(|e| e.at(&self.path)))
    }

    /// Removes a secret; false when there was none.
    pub fn remove_secret(&mut self, speaker: &SpeakerId, name: &str) -> Result<bool, StoreError> {
        self.batch(|b| b.remove_secret(speaker, name))
    }

    /// Does several changes in one commit: all of them, or none when `work` or the commit fails.
    pub fn batch<T>(
        &mut self,
        work: impl FnOnce(&Batch<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let begun = Instant::now();
        let result = Batch::run(&mut self.connection, &self.path, work);
        if result.is_ok()
            && let Some(metrics) = &self.metrics
        {
            metrics.committed(begun.elapsed());
        }
        self.counted(result)
    }

    fn counted<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if let (Err(error), Some(metrics)) = (&result, &self.metrics) {
            metrics.failed(error.class());
        }
        result
    }
}
