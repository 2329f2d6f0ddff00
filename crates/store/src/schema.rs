//! The tables, as a list of steps. `PRAGMA user_version` says how many of them a file has seen.
//!
//! A step that was released is never edited; what changes (alerts and the event outbox are to come) is a new step at
//! the end.

use std::path::Path;

use rusqlite::Connection;

use crate::error::{StoreError, of_sqlite};

/// "ANTP": marks the file as ours (`PRAGMA application_id`).
const APPLICATION_ID: i32 = 0x414E_5450;

/// Times are milliseconds since the Unix epoch; `addresses` a JSON list of `host:port`, `properties` a JSON object.
const MIGRATIONS: &[&str] = &[
    // 1: who there is
    "CREATE TABLE speakers (
        id            TEXT PRIMARY KEY NOT NULL,
        name          TEXT NOT NULL,
        kind          TEXT NOT NULL,
        addresses     TEXT NOT NULL,
        properties    TEXT NOT NULL,
        serial_number TEXT,
        first_seen    INTEGER NOT NULL,
        last_seen     INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE secrets (
        speaker TEXT NOT NULL,
        name    TEXT NOT NULL,
        value   TEXT NOT NULL,
        PRIMARY KEY (speaker, name)
    ) STRICT, WITHOUT ROWID;",
    // 2: what they remember (groups with their balances, settings)
    "CREATE TABLE documents (
        key   TEXT PRIMARY KEY NOT NULL,
        value TEXT NOT NULL
    ) STRICT;",
];

/// Refuses a database of another program before anything in it is touched.
pub(crate) fn check_owner(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let application_id = number("application_id").map_err(|e| of_sqlite(e, path))?;
    let pages_in_use: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(|e| of_sqlite(e, path))?;
    let ours = application_id == i64::from(APPLICATION_ID);
    let fresh = application_id == 0 && pages_in_use == 0;
    if ours || fresh {
        return Ok(());
    }
    // An application id is a signed 32-bit number of the file's header.
    Err(StoreError::Foreign { path: path.to_path_buf(), application_id: application_id as i32 })
}

/// Takes the steps the file has not seen, each with its mark in one commit: a crash between leaves a whole version.
pub(crate) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let found: i64 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(|e| of_sqlite(e, path))?;
    let known = MIGRATIONS.len() as i64;
    if found > known {
        return Err(StoreError::TooNew { path: path.to_path_buf(), found, known });
    }
    let seen = usize::try_from(found).unwrap_or(0);
    for (index, step) in MIGRATIONS.iter().enumerate().skip(seen) {
        take(connection, index + 1, step).map_err(|e| of_sqlite(e, path))?;
    }
    Ok(())
}

fn take(connection: &mut Connection, version: usize, step: &str) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(step)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", version as i64)?;
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(connection: &Connection) -> i64 {
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    }

    /// Every older version, with a speaker in it, becomes the newest and keeps the speaker.
    #[test]
    fn every_older_version_is_brought_up_to_date() {
        for old in 0..MIGRATIONS.len() {
            let mut connection = Connection::open_in_memory().unwrap();
            for (index, step) in MIGRATIONS.iter().enumerate().take(old) {
                take(&mut connection, index + 1, step).unwrap();
            }
            assert_eq!(version(&connection), old as i64);
            if old > 0 {
                connection
                    .execute("INSERT INTO speakers VALUES ('a','A','virtual','[]','{}',NULL,1,2)", [])
                    .unwrap();
            }
            migrate(&mut connection, Path::new("x")).unwrap();
            assert_eq!(version(&connection), MIGRATIONS.len() as i64);
            let speakers: i64 =
                connection.query_row("SELECT count(*) FROM speakers", [], |row| row.get(0)).unwrap();
            assert_eq!(speakers, i64::from(old > 0));
            connection.execute("INSERT INTO documents VALUES ('house','{}')", []).unwrap();
        }
    }

    /// A step that fails half way leaves the version before it, whole.
    #[test]
    fn a_failed_step_changes_nothing() {
        let mut connection = Connection::open_in_memory().unwrap();
        take(&mut connection, 1, MIGRATIONS[0]).unwrap();
        take(&mut connection, 2, "CREATE TABLE half (a TEXT); CREATE TABLE speakers (b TEXT);").unwrap_err();
        assert_eq!(version(&connection), 1);
        connection.execute("SELECT * FROM half", []).unwrap_err();
        migrate(&mut connection, Path::new("x")).unwrap();
    }
}
