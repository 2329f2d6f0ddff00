//! The tables, as a list of steps. `PRAGMA user_version` says how many of them a file has seen.
//!
//! A step that was released is never edited; what changes is a new step at the end.

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
    // 3: what each device machine remembers, one row a value (it was one document a speaker)
    "CREATE TABLE device (
        speaker TEXT NOT NULL,
        key     TEXT NOT NULL,
        value   TEXT NOT NULL,
        PRIMARY KEY (speaker, key)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO device (speaker, key, value)
        SELECT substr(d.key, 8), e.key, d.value -> e.fullkey FROM documents AS d, json_each(d.value) AS e
        WHERE substr(d.key, 1, 7) = 'device:' AND json_type(d.value) = 'object';
    DELETE FROM documents WHERE substr(key, 1, 7) = 'device:';",
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

    #[test]
    fn what_a_device_stored_as_one_document_becomes_a_row_each() {
        let mut connection = Connection::open_in_memory().unwrap();
        take(&mut connection, 1, MIGRATIONS[0]).unwrap();
        take(&mut connection, 2, MIGRATIONS[1]).unwrap();
        let documents = r#"INSERT INTO documents VALUES ('device:a:b', '{"x.y":{"n":[1,2]},"s":"text","n":null}'),
            ('house', '{"v":1}')"#;
        connection.execute(documents, []).unwrap();
        migrate(&mut connection, Path::new("x")).unwrap();
        let mut statement =
            connection.prepare("SELECT speaker, key, value FROM device ORDER BY key").unwrap();
        let rows: Vec<(String, String, String)> = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let row = |key: &str, value: &str| ("a:b".to_owned(), key.to_owned(), value.to_owned());
        assert_eq!(rows, [row("n", "null"), row("s", "\"text\""), row("x.y", "{\"n\":[1,2]}")]);
        let left: i64 = connection.query_row("SELECT count(*) FROM documents", [], |row| row.get(0)).unwrap();
        assert_eq!(left, 1);
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
