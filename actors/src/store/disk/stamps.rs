//! Stamps on disk: when the readings were received, across starts of a system whose clock was not right.

use jiff::{SignedDuration, Timestamp};
use rusqlite::types::Type;
use rusqlite::{Connection, Row, params};

use super::failure::Failure;
use crate::clock::Stamp;

/// What becomes of readings of an earlier start of the system whose time was never known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Undated {
    /// They go out last, with a time that is estimated: as if the earlier start had lasted until the present one.
    #[default]
    Estimate,
    /// They are dropped and counted.
    Drop,
}

/// The columns `received_at` and `boot` for a stamp.
pub(super) fn columns(stamp: Stamp, boot: &str) -> (i64, Option<&str>) {
    match stamp {
        Stamp::Known(time) => (time.as_millisecond(), None),
        Stamp::Estimated(time) => (time.as_millisecond(), Some(ESTIMATED)),
        Stamp::SinceBoot(since) => (
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Some(boot),
        ),
    }
}

/// The stamp in these two columns.
pub(super) fn read(row: &Row<'_>, received_at: usize, boot: usize) -> rusqlite::Result<Stamp> {
    let milliseconds: i64 = row.get(received_at)?;
    let boot: Option<String> = row.get(boot)?;
    if boot.as_deref().is_some_and(|boot| boot != ESTIMATED) {
        return Ok(Stamp::SinceBoot(SignedDuration::from_millis(milliseconds)));
    }
    let time = Timestamp::from_millisecond(milliseconds).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(received_at, Type::Integer, error.into())
    })?;
    Ok(match boot {
        None => Stamp::Known(time),
        Some(_) => Stamp::Estimated(time),
    })
}

/// Makes readings of earlier starts of the system whose time was never known readings of the present one, or drops them. Answers how many
/// there were.
pub(super) fn take_over(
    connection: &mut Connection,
    boot: &str,
    undated: Undated,
) -> Result<usize, Failure> {
    let earlier: Vec<(String, i64, i64)> = connection
        .prepare(
            "SELECT boot, max(received_at), min(place) FROM reading \
             WHERE boot IS NOT NULL AND boot NOT IN (?, ?) GROUP BY boot ORDER BY min(seq)",
        )?
        .query_map([ESTIMATED, boot], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect::<Result<_, _>>()?;
    let transaction = connection.transaction()?;
    let mut found = 0;
    for (old, end, first) in earlier {
        if undated == Undated::Drop {
            found += transaction.execute("DELETE FROM reading WHERE boot = ?", [&old])?;
            continue;
        }
        let last: i64 =
            transaction.query_row("SELECT max(place) FROM reading", [], |row| row.get(0))?;
        found += transaction.execute(
            "UPDATE reading SET received_at = received_at - ?1 - 1, place = place + ?2, boot = ?3 WHERE boot = ?4",
            params![end, turns_between(first, last), boot, old],
        )?;
    }
    transaction.commit()?;
    Ok(found)
}

/// Gives the readings of the present start of the system their time.
pub(super) fn resolve(
    connection: &Connection,
    boot: &str,
    boot_time: Timestamp,
) -> Result<(), Failure> {
    connection.execute(
        "UPDATE reading SET received_at = received_at + ?1, boot = CASE WHEN received_at < 0 THEN ?2 END WHERE boot = ?3",
        params![boot_time.as_millisecond(), ESTIMATED, boot],
    )?;
    Ok(())
}

/// What to add to the places so that they come after all others, each still in its line.
fn turns_between(first: i64, last: i64) -> i64 {
    let turn = |place: i64| place >> super::turns::LINE_BITS;
    (turn(last) + 1 - turn(first)) << super::turns::LINE_BITS
}

/// Stands in the place of a start of the system.
const ESTIMATED: &str = "";
