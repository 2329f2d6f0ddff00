//! A speaker as it is remembered, and its row.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use antiphon_domain::SpeakerId;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::Failure;

/// A speaker that was discovered or configured once; what a descriptor says, and when it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpeakerRecord {
    /// Its stable id.
    pub id: SpeakerId,
    /// The name people gave it.
    pub name: String,
    /// The name of its kind, as the list of kinds has it.
    pub kind: String,
    /// Where it was last reached, best first.
    pub addresses: Vec<SocketAddr>,
    /// What its kind remembers.
    pub properties: BTreeMap<String, String>,
    /// The device serial number it is registered by at AVS.
    pub serial_number: Option<String>,
    /// When it was first seen, kept to the millisecond.
    pub first_seen: SystemTime,
    /// When it was last seen, kept to the millisecond.
    pub last_seen: SystemTime,
}

const COLUMNS: &str = "id, name, kind, addresses, properties, serial_number, first_seen, last_seen";

pub(crate) fn all(connection: &Connection) -> Result<Vec<SpeakerRecord>, Failure> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM speakers ORDER BY id"))?;
    let mut rows = statement.query([])?;
    let mut speakers = Vec::new();
    while let Some(row) = rows.next()? {
        speakers.push(read(row)?);
    }
    Ok(speakers)
}

pub(crate) fn one(connection: &Connection, id: &SpeakerId) -> Result<Option<SpeakerRecord>, Failure> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM speakers WHERE id = ?1"))?;
    let found = statement.query_row([id.as_str()], |row| Ok(read(row))).optional()?;
    found.transpose()
}

pub(crate) fn save(connection: &Connection, speaker: &SpeakerRecord) -> Result<(), Failure> {
    let broken = |cause: serde_json::Error| unusable(&speaker.id, cause.to_string());
    let addresses = serde_json::to_string(&speaker.addresses).map_err(broken)?;
    let properties = serde_json::to_string(&speaker.properties).map_err(broken)?;
    let mut statement = connection.prepare_cached(
        "INSERT INTO speakers (id, name, kind, addresses, properties, serial_number, first_seen, last_seen)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (id) DO UPDATE SET name = ?2, kind = ?3, addresses = ?4, properties = ?5,
             serial_number = ?6, last_seen = ?8",
    )?;
    statement.execute(params![
        speaker.id.as_str(),
        speaker.name,
        speaker.kind,
        addresses,
        properties,
        speaker.serial_number,
        millis(speaker.first_seen),
        millis(speaker.last_seen),
    ])?;
    Ok(())
}

fn read(row: &Row<'_>) -> Result<SpeakerRecord, Failure> {
    let id = SpeakerId::new(row.get::<_, String>(0)?);
    let broken = |cause: serde_json::Error| unusable(&id, cause.to_string());
    Ok(SpeakerRecord {
        name: row.get(1)?,
        kind: row.get(2)?,
        addresses: serde_json::from_str(&row.get::<_, String>(3)?).map_err(broken)?,
        properties: serde_json::from_str(&row.get::<_, String>(4)?).map_err(broken)?,
        serial_number: row.get(5)?,
        first_seen: moment(row.get(6)?),
        last_seen: moment(row.get(7)?),
        id,
    })
}

fn unusable(id: &SpeakerId, cause: String) -> Failure {
    Failure::Document { key: format!("speaker {id}"), cause }
}

/// Milliseconds since the Unix epoch; a clock set before 1970 counts as 1970.
fn millis(moment: SystemTime) -> i64 {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn moment(millis: i64) -> SystemTime {
    let since = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
    UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
}
