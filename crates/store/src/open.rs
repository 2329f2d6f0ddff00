//! Opens the file: permissions, the pragmas that make "acknowledged" mean "on disk", a check, migrations.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::error::{StoreError, of_sqlite};
use crate::schema;

/// How long to wait for another process to let go, e.g. a hub that is just ending.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) fn open(path: &Path) -> Result<Connection, StoreError> {
    make_private(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(|e| of_sqlite(e, path))?;
    prepare(&connection).map_err(|e| of_sqlite(e, path))?;
    schema::check_owner(&connection, path)?;
    check(&connection, path)?;
    schema::migrate(&mut connection, path)?;
    Ok(connection)
}

/// SQLite gives the write-ahead log the permissions of the database, so it is enough to make that one ours first.
fn make_private(path: &Path) -> Result<(), StoreError> {
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|e| StoreError::Folder { path: folder.to_path_buf(), cause: e.to_string() })?;
    }
    let denied = |e: io::Error| StoreError::Denied { path: path.to_path_buf(), cause: e.to_string() };
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            let mode = fs::metadata(path).map_err(denied)?.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(denied)?;
            }
            Ok(())
        }
        Err(e) => Err(denied(e)),
    }
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(PATIENCE)?;
    // One hub alone: two with the same tokens would rotate them away from each other. Must come before WAL, which
    // then needs no shared-memory file.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    // FULL syncs the log at every commit; NORMAL would lose the last ones with the power.
    connection.pragma_update(None, "synchronous", "FULL")?;
    // What was removed (a token) is overwritten, not only unlinked.
    connection.pragma_update(None, "secure_delete", "ON")?;
    // Exclusive mode locks at the first write; take it now, so that a second hub hears it at its start.
    connection.execute_batch("BEGIN EXCLUSIVE; COMMIT")
}

/// Reads every page once: a house's database is small, and half a database is worse than a clear word.
fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let verdict: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|e| of_sqlite(e, path))?;
    if verdict == "ok" {
        return Ok(());
    }
    Err(StoreError::Corrupt { path: path.to_path_buf(), cause: verdict.replace('\n', " ") })
}
