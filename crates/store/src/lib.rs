//! SQLite behind the archive: speakers, groups, secrets.
