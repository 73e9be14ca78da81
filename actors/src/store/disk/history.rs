//! The history's tables: what is written, read and thrown away.

use rusqlite::{Connection, OptionalExtension, params};

use super::failure::Failure;
use crate::meter::MeterName;
use crate::store::history::{Ended, Point, Points, Span};

/// How much of the history is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryLimits {
    /// Points of an hour. Points of five minutes are kept for a week at most.
    pub days: u32,
    /// Points altogether. Beyond it the oldest days go.
    pub points: u64,
}

impl HistoryLimits {
    /// So many days, and no more than about 150 MB.
    pub const fn days(days: u32) -> Self {
        Self {
            days,
            points: 3_000_000,
        }
    }
}

/// A question for the points of a meter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) meter: MeterName,
    pub(super) span: Span,
    /// Only points that begin then or later, in seconds since 1970.
    pub(super) since: i64,
}

/// Writes points, behind those that are there already for the same time.
pub(super) fn write(connection: &Connection, ended: &[Ended]) -> Result<(), Failure> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO history (series, span, start, count, mean, low, high, last) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET
             mean = (mean * count + excluded.mean * excluded.count) / (count + excluded.count),
             count = count + excluded.count,
             low = min(low, excluded.low),
             high = max(high, excluded.high),
             last = excluded.last",
    )?;
    for Ended {
        meter,
        channel,
        span,
        point,
    } in ended
    {
        insert.execute(params![
            series(connection, meter, *channel)?,
            span.seconds(),
            point.start,
            point.count,
            point.mean,
            point.low,
            point.high,
            point.last,
        ])?;
    }
    Ok(())
}

fn series(connection: &Connection, meter: &MeterName, channel: u32) -> Result<i64, Failure> {
    let key = params![meter.manufacturer_key, meter.device_id, channel];
    let known = connection
        .prepare_cached(
            "SELECT id FROM series WHERE manufacturer_key = ? AND device_id = ? AND channel = ?",
        )?
        .query_row(key, |row| row.get(0))
        .optional()?;
    match known {
        Some(id) => Ok(id),
        None => {
            connection
                .prepare_cached(
                    "INSERT INTO series (manufacturer_key, device_id, channel) VALUES (?, ?, ?)",
                )?
                .execute(key)?;
            Ok(connection.last_insert_rowid())
        }
    }
}

/// The points that are asked for.
pub(super) fn read(connection: &Connection, question: &Question) -> Result<Points, Failure> {
    let mut select = connection.prepare_cached(
        "SELECT channel, start, count, mean, low, high, last FROM series JOIN history ON series = id
         WHERE manufacturer_key = ? AND device_id = ? AND span = ? AND start >= ? ORDER BY channel, start",
    )?;
    let Question { meter, span, since } = question;
    let mut rows = select.query(params![
        meter.manufacturer_key,
        meter.device_id,
        span.seconds(),
        since
    ])?;
    let mut points = Points::new();
    while let Some(row) = rows.next()? {
        points.entry(row.get(0)?).or_default().push(Point {
            start: row.get(1)?,
            count: row.get(2)?,
            mean: row.get(3)?,
            low: row.get(4)?,
            high: row.get(5)?,
            last: row.get(6)?,
        });
    }
    Ok(points)
}

/// Throws away what is too old at this moment, and more if there is too much. Answers how many points are left.
pub(super) fn sweep(
    connection: &Connection,
    now: i64,
    limits: HistoryLimits,
) -> Result<u64, Failure> {
    let mut days = limits.days;
    loop {
        for span in Span::ALL {
            let days = match span {
                Span::Fine => days.min(FINE_DAYS),
                Span::Hour => days,
            };
            let mut delete = connection.prepare_cached(
                "DELETE FROM history WHERE series IN (SELECT id FROM series) AND span = ? AND start < ?",
            )?;
            delete.execute(params![span.seconds(), now - i64::from(days) * 86_400])?;
        }
        let left = count(connection)?;
        if left <= limits.points || days == 0 {
            connection.execute(
                "DELETE FROM series WHERE NOT EXISTS (SELECT 1 FROM history WHERE series = id)",
                [],
            )?;
            return Ok(left);
        }
        days /= 2;
    }
}

/// How many points there are.
pub(super) fn count(connection: &Connection) -> Result<u64, Failure> {
    let count: i64 = connection.query_row("SELECT count(*) FROM history", [], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// For so long power can be seen in detail.
const FINE_DAYS: u32 = 7;

/// What a point takes in the database, measured with those of OmniPower meters; so much room the history has beside the outbox.
pub(super) const POINT_BYTES: u64 = 50;
