//! The monitored meters on disk.

use std::collections::HashMap;
use std::fmt;

use rusqlite::{Connection, params};
use wmbus::Key;

use super::failure::Failure;
use crate::meter::MeterName;

/// A monitored meter as the database keeps it.
#[derive(Clone)]
pub struct StoredMeter {
    /// Its name in topics.
    pub name: MeterName,
    /// The model that the set message names.
    pub device_key: String,
    /// Its key, if it encrypts.
    pub key: Option<Key>,
    /// What is remembered of it, as its owner encoded it.
    pub memory: Option<Box<[u8]>>,
}

impl StoredMeter {
    fn changes_nothing_in(&self, stored: &Self) -> bool {
        self.device_key == stored.device_key
            && self.key == stored.key
            && (self.memory.is_none() || self.memory == stored.memory)
    }
}

impl fmt::Debug for StoredMeter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredMeter({})", self.name)
    }
}

/// Makes these the stored meters, within the caller's transaction. Of a meter that is stored already only what differs is written, and
/// its memory stays as it is if none is given.
pub(super) fn replace(connection: &Connection, meters: &[StoredMeter]) -> Result<(), Failure> {
    let stored = load(connection)?
        .map(|(meters, _)| meters)
        .unwrap_or_default();
    let mut outdated: HashMap<MeterName, StoredMeter> = stored
        .into_iter()
        .map(|meter| (meter.name.clone(), meter))
        .collect();
    let mut insert = connection.prepare_cached(
        "INSERT INTO meter (manufacturer_key, device_id, device_key, key, memory) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT DO UPDATE SET device_key = ?3, key = ?4, memory = coalesce(?5, memory)",
    )?;
    for meter in meters {
        let stored = outdated.remove(&meter.name);
        if stored.is_some_and(|stored| meter.changes_nothing_in(&stored)) {
            continue;
        }
        insert.execute(params![
            meter.name.manufacturer_key,
            meter.name.device_id,
            meter.device_key,
            meter.key.as_ref().map(Key::as_bytes),
            meter.memory,
        ])?;
    }
    let mut delete = connection
        .prepare_cached("DELETE FROM meter WHERE manufacturer_key = ? AND device_id = ?")?;
    for name in outdated.keys() {
        delete.execute(params![name.manufacturer_key, name.device_id])?;
    }
    connection.execute(
        "UPDATE gateway SET meters_known = 1 WHERE meters_known = 0",
        [],
    )?;
    Ok(())
}

/// The stored meters; `None` if the gateway was never told which to monitor. A row that makes no sense is left out and counted.
pub(super) fn load(connection: &Connection) -> Result<Option<(Vec<StoredMeter>, usize)>, Failure> {
    let known: bool =
        connection.query_row("SELECT meters_known FROM gateway", [], |row| row.get(0))?;
    if !known {
        return Ok(None);
    }
    let mut select = connection.prepare(SELECT)?;
    let mut rows = select.query([])?;
    let (mut meters, mut unusable) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        match read(row) {
            Ok(meter) => meters.push(meter),
            Err(_) => unusable += 1,
        }
    }
    Ok(Some((meters, unusable)))
}

/// The meters that a damaged database still gives; `None` if it gives none.
pub(super) fn load_readable(connection: &Connection) -> Option<Vec<StoredMeter>> {
    let mut select = connection.prepare(SELECT).ok()?;
    let mut rows = select.query([]).ok()?;
    let mut meters = Vec::new();
    while let Ok(Some(row)) = rows.next() {
        meters.extend(read(row));
    }
    (!meters.is_empty()).then_some(meters)
}

const SELECT: &str = "SELECT manufacturer_key, device_id, device_key, key, memory FROM meter";

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<StoredMeter> {
    let key: Option<[u8; 16]> = row.get(3)?;
    Ok(StoredMeter {
        name: MeterName {
            manufacturer_key: row.get(0)?,
            device_id: row.get(1)?,
        },
        device_key: row.get(2)?,
        key: key.map(Key::from_bytes),
        memory: row.get::<_, Option<Vec<u8>>>(4)?.map(Vec::into_boxed_slice),
    })
}
