//! What can go wrong with the database, and what can be done about it.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use thiserror::Error;

/// What a caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It may go by itself or when a person makes room; try again later. Nothing of the change was stored.
    Retry,
    /// It stays until a person does what the error says.
    GiveUp,
}

impl Class {
    /// Its name as a metric label.
    pub fn name(self) -> &'static str {
        match self {
            Class::Retry => "retry",
            Class::GiveUp => "give_up",
        }
    }
}

/// Why the store could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The folder could not be made.
    #[error("the folder {} cannot be made: {cause}; check data_dir and who may write there", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's words.
        cause: String,
    },
    /// The file could not be opened or written.
    #[error("{} cannot be used: {cause}; check that this user may read and write it", path.display())]
    Denied {
        /// The database.
        path: PathBuf,
        /// The system's words.
        cause: String,
    },
    /// Another process has it open.
    #[error("{} is in use by another process; is a second hub running with the same data_dir?", path.display())]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// The file is no sound SQLite database.
    #[error(
        "{} is damaged ({cause}); move it away (with its -wal) and start again, or put a backup in its place: \
         without it, speakers are found anew but must be linked and grouped again",
        path.display()
    )]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// What SQLite found.
        cause: String,
    },
    /// The file is a database of some other program.
    #[error("{} is not Antiphon's (application id {application_id}); give data_dir a folder of its own", path.display())]
    Foreign {
        /// The database.
        path: PathBuf,
        /// The application id it carries.
        application_id: i32,
    },
    /// A later version of the hub wrote it.
    #[error("{} was written by a newer version (schema {found}, this one knows {known}); run that version", path.display())]
    TooNew {
        /// The database.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The newest one known here.
        known: i64,
    },
    /// There is no room left.
    #[error("no room is left for {}; free some space", path.display())]
    Full {
        /// The database.
        path: PathBuf,
    },
    /// The disk failed.
    #[error("the disk failed under {}: {cause}", path.display())]
    Disk {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        cause: String,
    },
    /// A stored value is not of the shape that was asked for, or a value cannot be stored.
    #[error("what is stored as {key:?} cannot be used: {cause}")]
    Document {
        /// Its key.
        key: String,
        /// What does not fit.
        cause: String,
    },
    /// A metric could not be registered.
    #[error("the store's metrics cannot be registered: {0}")]
    Metrics(String),
    /// SQLite refused in a way that should not happen.
    #[error("{} could not be changed: {cause}", path.display())]
    Unexpected {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        cause: String,
    },
}

impl StoreError {
    /// What can be done about it.
    pub fn class(&self) -> Class {
        match self {
            Self::InUse { .. } | Self::Full { .. } | Self::Disk { .. } => Class::Retry,
            _ => Class::GiveUp,
        }
    }
}

/// A failure that does not know yet which file it is about.
pub(crate) enum Failure {
    Sqlite(rusqlite::Error),
    Document { key: String, cause: String },
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Failure {
    pub(crate) fn at(self, path: &Path) -> StoreError {
        match self {
            Self::Sqlite(error) => of_sqlite(error, path),
            Self::Document { key, cause } => StoreError::Document { key, cause },
        }
    }
}

pub(crate) fn of_sqlite(error: rusqlite::Error, path: &Path) -> StoreError {
    let path = path.to_path_buf();
    let cause = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt { path, cause },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::InUse { path },
        Some(ErrorCode::DiskFull) => StoreError::Full { path },
        Some(ErrorCode::SystemIoFailure) => StoreError::Disk { path, cause },
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            StoreError::Denied { path, cause }
        }
        _ => StoreError::Unexpected { path, cause },
    }
}
