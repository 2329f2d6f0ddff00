//! Changes that are committed together. Every change of the store goes through here.

use std::collections::BTreeMap;
use std::path::Path;

use antiphon_domain::{Secret, SpeakerId};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::error;

use crate::error::{Failure, StoreError, of_sqlite};
use crate::record::{self, SpeakerRecord};
use crate::secret_name;

/// An open change: the methods are those of [`Store`](crate::Store), nothing is on disk before all is.
#[derive(Debug)]
pub struct Batch<'a> {
    transaction: Transaction<'a>,
    path: &'a Path,
}

impl<'a> Batch<'a> {
    pub(crate) fn run<T>(
        connection: &'a mut Connection,
        path: &'a Path,
        work: impl FnOnce(&Batch<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|e| of_sqlite(e, path))?;
        let batch = Batch { transaction, path };
        // On an early return the transaction is dropped, which rolls it back.
        let value = work(&batch)?;
        batch.transaction.commit().map_err(|e| of_sqlite(e, path))?;
        Ok(value)
    }

    /// Inserts or replaces a speaker. What is stored as `first_seen` stays.
    pub fn save_speaker(&self, speaker: &SpeakerRecord) -> Result<(), StoreError> {
        record::save(&self.transaction, speaker).map_err(|e| e.at(self.path))
    }

    /// Forgets a speaker with its account; false when it was not there.
    pub fn forget_speaker(&self, id: &SpeakerId) -> Result<bool, StoreError> {
        self.forget_account(id)?;
        for table in ["secrets", "device"] {
            self.execute(&format!("DELETE FROM {table} WHERE speaker = ?1"), params![id.as_str()])?;
        }
        Ok(self.execute("DELETE FROM speakers WHERE id = ?1", params![id.as_str()])? > 0)
    }

    /// Forgets every secret of a speaker and all that its device stored, but for what is the room's: values whose keys
    /// begin with `room.`. The speaker stays, with an empty refresh token: it was given up, so a configured first one is
    /// not to be used either.
    pub fn forget_account(&self, id: &SpeakerId) -> Result<(), StoreError> {
        self.execute("DELETE FROM secrets WHERE speaker = ?1", params![id.as_str()])?;
        self.save_secret(id, secret_name::REFRESH_TOKEN, &Secret::new(""))?;
        let account = "DELETE FROM device WHERE speaker = ?1 AND substr(key, 1, 5) <> 'room.'";
        self.execute(account, params![id.as_str()])?;
        Ok(())
    }

    /// Stores one value of a speaker's device (which need not be stored itself), in place of the old one; JSON `null`
    /// removes it.
    pub fn save_device_value(
        &self,
        speaker: &SpeakerId,
        key: &str,
        value: &serde_json::Value,
    ) -> Result<(), StoreError> {
        if value.is_null() {
            self.execute(
                "DELETE FROM device WHERE speaker = ?1 AND key = ?2",
                params![speaker.as_str(), key],
            )?;
        } else {
            self.execute(
                "INSERT INTO device (speaker, key, value) VALUES (?1, ?2, ?3)
                 ON CONFLICT (speaker, key) DO UPDATE SET value = ?3",
                params![speaker.as_str(), key, value.to_string()],
            )?;
        }
        Ok(())
    }

    /// Stores a value under `key`, in place of what was there.
    pub fn save_document<T: Serialize + ?Sized>(&self, key: &str, value: &T) -> Result<(), StoreError> {
        let text = serde_json::to_string(value)
            .map_err(|e| StoreError::Document { key: key.to_owned(), cause: e.to_string() })?;
        self.execute(
            "INSERT INTO documents (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2",
            params![key, text],
        )?;
        Ok(())
    }

    /// Removes the value under `key`; false when there was none.
    pub fn remove_document(&self, key: &str) -> Result<bool, StoreError> {
        Ok(self.execute("DELETE FROM documents WHERE key = ?1", params![key])? > 0)
    }

    /// Stores a secret of a speaker (which need not be stored itself), in place of the old one.
    pub fn save_secret(&self, speaker: &SpeakerId, name: &str, secret: &Secret) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO secrets (speaker, name, value) VALUES (?1, ?2, ?3)
             ON CONFLICT (speaker, name) DO UPDATE SET value = ?3",
            params![speaker.as_str(), name, secret.expose()],
        )?;
        Ok(())
    }

    /// Removes a secret; false when there was none.
    pub fn remove_secret(&self, speaker: &SpeakerId, name: &str) -> Result<bool, StoreError> {
        let removed = self.execute(
            "DELETE FROM secrets WHERE speaker = ?1 AND name = ?2",
            params![speaker.as_str(), name],
        )?;
        Ok(removed > 0)
    }

    fn execute(&self, sql: &str, values: impl rusqlite::Params) -> Result<usize, StoreError> {
        let mut statement = self.transaction.prepare_cached(sql).map_err(|e| of_sqlite(e, self.path))?;
        statement.execute(values).map_err(|e| of_sqlite(e, self.path))
    }
}

pub(crate) fn document<T: DeserializeOwned>(
    connection: &Connection,
    key: &str,
) -> Result<Option<T>, Failure> {
    let mut statement = connection.prepare_cached("SELECT value FROM documents WHERE key = ?1")?;
    let Some(text) = statement.query_row([key], |row| row.get::<_, String>(0)).optional()? else {
        return Ok(None);
    };
    match serde_json::from_str(&text) {
        Ok(value) => Ok(Some(value)),
        Err(e) => Err(Failure::Document { key: key.to_owned(), cause: e.to_string() }),
    }
}

pub(crate) fn device_values(
    connection: &Connection,
    speaker: &SpeakerId,
) -> Result<BTreeMap<String, serde_json::Value>, Failure> {
    let mut statement = connection.prepare_cached("SELECT key, value FROM device WHERE speaker = ?1")?;
    let mut rows = statement.query([speaker.as_str()])?;
    let mut values = BTreeMap::new();
    while let Some(row) = rows.next()? {
        // What cannot be read takes nothing else with it: beside it may lie the alarms.
        let key: String = match row.get(0) {
            Ok(key) => key,
            Err(e) => {
                error!(%speaker, error = %e, "a stored value of a device has no readable name; it is left out");
                continue;
            }
        };
        let text = row.get::<_, String>(1).map_err(|e| e.to_string());
        match text.and_then(|text| serde_json::from_str(&text).map_err(|e| e.to_string())) {
            Ok(value) => {
                values.insert(key, value);
            }
            Err(cause) => {
                error!(%speaker, key, cause, "a stored value of a device cannot be read; it is left out");
            }
        }
    }
    Ok(values)
}

pub(crate) fn secret(
    connection: &Connection,
    speaker: &SpeakerId,
    name: &str,
) -> Result<Option<Secret>, Failure> {
    let mut statement =
        connection.prepare_cached("SELECT value FROM secrets WHERE speaker = ?1 AND name = ?2")?;
    let found = statement.query_row([speaker.as_str(), name], |row| row.get::<_, String>(0)).optional()?;
    Ok(found.map(Secret::new))
}
