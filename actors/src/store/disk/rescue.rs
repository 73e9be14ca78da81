//! Rescue: what can still be read from a damaged database goes into the new one.

use rusqlite::Connection;

use super::database::{Database, readable_rows};
use super::failure::Failure;
use super::meters;
use super::row::Seq;

/// What was rescued.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rescued {
    pub(super) readings: u64,
    pub(super) meters: usize,
}

/// Copies the meters and the readings as far as they can be read: the readings from the oldest on up to the damage, and from the newest
/// back to it. A failure of the new database ends it.
pub(super) fn rescue(from: &Connection, to: &mut Database) -> Result<Rescued, Failure> {
    // With its log, but without shared memory.
    from.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    let meters = meters::load_readable(from);
    if let Some(meters) = &meters {
        to.adopt_meters(meters)?;
    }
    let mut readings = 0;
    let (mut low, mut high) = (Seq(i64::MIN), Seq(i64::MAX));
    for newest_first in [false, true] {
        loop {
            let rows = readable_rows(from, low, high, newest_first);
            let Some(row) = rows.last() else {
                break;
            };
            *(if newest_first { &mut high } else { &mut low }) = row.seq;
            readings += rows.len() as u64;
            to.adopt_readings(rows)?;
        }
    }
    Ok(Rescued {
        readings,
        meters: meters.map_or(0, |meters| meters.len()),
    })
}
