//! Database: one open connection, and every statement that it executes.
//!
//! What SQLite promises, on which the rest is built (<https://www.sqlite.org/wal.html>, `pragma.html#pragma_synchronous`):
//!
//! * in WAL mode a commit appends the changed pages to the log. A commit that the operating system has survives the end of the process
//!   however it comes. What a power cut leaves is a prefix of the commits, and the database opens;
//! * `synchronous=NORMAL` forces the log to disk only before a checkpoint copies it into the database, and when it is begun anew: the
//!   prefix may end anywhere since. `OFF` forces nothing, and a power cut during a checkpoint destroys the database: never used here;
//! * `synchronous=FULL` forces the whole log at the end of the commit, with all commits before it. So a commit in that mode is the way to
//!   force what was committed, and costs one sync of one file; a checkpoint would cost two and write every page twice;
//! * with `locking_mode=EXCLUSIVE` there is no shared-memory file, whose mapping would kill the process with SIGBUS on a full disk, and
//!   a second gateway on the same database is refused.
//!
//! Small pages, because a commit writes whole pages: one reading's commit touches three.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use super::backlog::Scan;
use super::batch::{Batch, Insert, Stored};
use super::failure::Failure;
use super::history::{self, HistoryLimits, Question};
use super::meters::{self, StoredMeter};
use super::row::Seq;
use super::schema;
use super::stamps::{self, Undated};
use super::turns::{Line, Place};
use crate::clock::Stamp;
use crate::meter::MeterName;
use crate::store::history::{Ended, Points};
use crate::store::outbox::{NewRow, RowId};

/// An open database.
pub(super) struct Database {
    connection: Connection,
    /// Names the present start of the system.
    boot: String,
    page_size: u64,
    forcing: bool,
    /// About how many points the history has.
    points: u64,
}

/// One transaction.
#[derive(Debug, Default)]
pub(super) struct Commit<'a> {
    pub(super) batch: Batch,
    /// The set of monitored meters, if it changed.
    pub(super) meters: Option<&'a [StoredMeter]>,
    /// The history's part.
    pub(super) history: History,
    /// Rows received before this go.
    pub(super) too_old: Option<Timestamp>,
    /// When the system was started, while the clock is right.
    pub(super) boot_time: Option<Timestamp>,
    /// With all commits before it, it is on disk for certain.
    pub(super) force: bool,
}

/// What is done about the history in a transaction.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Points that are complete.
    pub(super) ended: Vec<Ended>,
    /// Points that are too old at this second go, and more if there are too many.
    pub(super) sweep: Option<(i64, HistoryLimits)>,
}

/// What a transaction has led to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Rows that had to go to make room.
    pub(super) beyond_limit: Vec<(Place, Seq)>,
    /// Rows that had to go because of their age.
    pub(super) too_old: Vec<(Place, Seq)>,
    /// The database is close to its limit.
    pub(super) nearly_full: bool,
    /// Bytes in use.
    pub(super) bytes: u64,
    /// When the oldest row was received.
    pub(super) oldest: Option<Timestamp>,
}

impl Database {
    /// Prepares a connection and brings its database to this version.
    pub(super) fn new(
        mut connection: Connection,
        log_bytes: u32,
        boot: &str,
    ) -> Result<Self, Failure> {
        // Another gateway on this database is not going to end within any reasonable time.
        connection.busy_timeout(std::time::Duration::ZERO)?;
        connection.pragma_update(None, "page_size", PAGE_SIZE)?;
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        let mode: String =
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
        if mode != "wal" {
            return Err(Failure::Other(format!(
                "the journal mode is {mode} and cannot be changed"
            )));
        }
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        let log_bytes = i64::from(log_bytes);
        connection.pragma_update(None, "wal_autocheckpoint", log_bytes / PAGE_SIZE)?;
        // The log keeps its place on a disk that others fill.
        connection.pragma_update(None, "journal_size_limit", 2 * log_bytes)?;
        // Keys that were removed do not stay in unused parts of pages.
        connection.pragma_update(None, "secure_delete", "FAST")?;
        connection.pragma_update(None, "cell_size_check", true)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        schema::migrate(&mut connection)?;
        // A database that was made with another page size keeps it.
        let page_size = pragma_value(&connection, "PRAGMA page_size")?;
        let points = history::count(&connection)?;
        let database = Self {
            connection,
            boot: boot.to_owned(),
            page_size,
            forcing: false,
            points,
        };
        database.check()?;
        Ok(database)
    }

    /// Looks for damage. A large database takes too long to check; in one, damage is found when it is met.
    fn check(&self) -> Result<(), Failure> {
        if pages_in_use(&self.connection)? * self.page_size > CHECKED_BYTES {
            return Ok(());
        }
        let verdict: String =
            self.connection
                .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        match verdict.as_str() {
            "ok" => Ok(()),
            _ => Err(Failure::Damaged(verdict)),
        }
    }

    /// Takes up, or drops, readings of earlier starts of the system whose time was never known. Answers how many there are.
    pub(super) fn take_over(&mut self, undated: Undated) -> Result<usize, Failure> {
        stamps::take_over(&mut self.connection, &self.boot, undated)
    }

    /// The clock is right: gives the readings their time that had none.
    pub(super) fn resolve_stamps(&self, boot_time: Timestamp) -> Result<(), Failure> {
        stamps::resolve(&self.connection, &self.boot, boot_time)
    }

    /// What is in it, apart from the rows that memory holds.
    pub(super) fn scan(&self, held: &[Seq]) -> Result<Scan, Failure> {
        let mut lines = Vec::new();
        let (mut rows, mut first) = (0, None);
        let mut select = self.connection.prepare(
            "SELECT count(*), min(place), max(place) FROM reading GROUP BY place & 0xFFFFFF",
        )?;
        let mut groups = select.query([])?;
        while let Some(group) = groups.next()? {
            rows += group.get::<_, i64>(0)?;
            let (earliest, latest) = (Place(group.get(1)?), Place(group.get(2)?));
            first = first.min(Some(earliest)).or(Some(earliest));
            let line = Line {
                number: latest.line(),
                last: latest.turn(),
            };
            lines.push((self.meter_at(latest)?, line));
        }
        let mut exists = self
            .connection
            .prepare("SELECT 1 FROM reading WHERE seq = ?")?;
        for seq in held {
            rows -= i64::from(exists.exists([seq.0])?);
        }
        let last_seq =
            self.connection
                .query_row("SELECT coalesce(max(seq), 0) FROM reading", [], |row| {
                    row.get(0)
                })?;
        Ok(Scan {
            rows: u64::try_from(rows).unwrap_or(0),
            last_seq,
            first,
            lines,
        })
    }

    fn meter_at(&self, place: Place) -> Result<Arc<MeterName>, Failure> {
        let mut select = self.connection.prepare_cached(
            "SELECT manufacturer_key, device_id FROM reading WHERE place = ? LIMIT 1",
        )?;
        let name = select.query_row([place.0], |row| {
            Ok(MeterName {
                manufacturer_key: row.get(0)?,
                device_id: row.get(1)?,
            })
        })?;
        Ok(Arc::new(name))
    }

    /// The monitored meters; see [`meters::load`].
    pub(super) fn meters(&self) -> Result<Option<(Vec<StoredMeter>, usize)>, Failure> {
        meters::load(&self.connection)
    }

    /// Carries a transaction out. Rows are deleted, oldest first, until the database is within its limit.
    pub(super) fn commit(
        &mut self,
        commit: &Commit<'_>,
        limit_bytes: u64,
    ) -> Result<Outcome, Failure> {
        self.set_forcing(commit.force)?;
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let connection: &Connection = &transaction;
        let before = connection.total_changes();
        delete(connection, &commit.batch)?;
        insert(connection, &commit.batch, &self.boot, commit.boot_time)?;
        if let Some(meters) = commit.meters {
            meters::replace(connection, meters)?;
        }
        remember(connection, &commit.batch)?;
        history::write(connection, &commit.history.ended)?;
        let mut points = self.points + commit.history.ended.len() as u64;
        if let Some((now, limits)) = commit.history.sweep {
            points = history::sweep(connection, now, limits)?;
        }
        let mut outcome = Outcome::default();
        if let Some(before) = commit.too_old {
            drop_too_old(connection, before, &mut outcome.too_old)?;
        }
        // The history has room of its own.
        let limit = (limit_bytes + points * history::POINT_BYTES) / self.page_size;
        drop_beyond_limit(connection, limit, &mut outcome.beyond_limit)?;
        let in_use = pages_in_use(connection)?;
        outcome.nearly_full = in_use > limit / 10 * 9;
        outcome.bytes = in_use * self.page_size;
        outcome.oldest = oldest(connection)?;
        if commit.force && connection.total_changes() == before {
            // A commit without a change would force nothing.
            connection.execute("UPDATE gateway SET forced = forced + 1", [])?;
        }
        transaction.commit()?;
        self.points = points;
        Ok(outcome)
    }

    /// The next rows behind this one.
    pub(super) fn load(
        &self,
        (place, seq): (Place, Seq),
        at_most: usize,
    ) -> Result<Vec<Stored>, Failure> {
        let mut select = self.connection.prepare_cached(&format!(
            "{SELECT} WHERE place >= ?1 AND (place > ?1 OR seq > ?2) ORDER BY place, seq LIMIT ?3"
        ))?;
        let rows = select.query_map(params![place.0, seq.0, at_most as i64], stored)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Points of a meter's history.
    pub(super) fn history(&self, question: &Question) -> Result<Points, Failure> {
        history::read(&self.connection, question)
    }

    /// Copies the log into the database, so that the log can begin anew in the place that it has.
    pub(super) fn checkpoint(&self) -> Result<(), Failure> {
        let busy: bool =
            self.connection
                .query_row("PRAGMA wal_checkpoint(RESTART)", [], |row| row.get(0))?;
        if busy {
            Err(Failure::Other("the checkpoint was blocked".to_owned()))
        } else {
            Ok(())
        }
    }

    /// Gives the file's free space back to the disk if that is most of it. Worth it when a long backlog is gone.
    pub(super) fn shrink(&self) -> Result<bool, Failure> {
        let pages = pragma_value(&self.connection, "PRAGMA page_count")?;
        let in_use = pages_in_use(&self.connection)?;
        if pages * self.page_size < SHRUNK_BYTES || in_use > pages / 10 {
            return Ok(false);
        }
        self.connection.execute_batch("VACUUM")?;
        self.checkpoint()?;
        Ok(true)
    }

    /// Writes meters of another database into this one.
    pub(super) fn adopt_meters(&mut self, meters: &[StoredMeter]) -> Result<(), Failure> {
        let transaction = self.connection.transaction()?;
        meters::replace(&transaction, meters)?;
        Ok(transaction.commit()?)
    }

    /// Writes rows of another database into this one.
    pub(super) fn adopt_readings(&mut self, rows: Vec<Stored>) -> Result<(), Failure> {
        let inserts = rows
            .into_iter()
            .map(|stored| Insert {
                seq: stored.seq,
                entry: Arc::new(stored.into_entry(RowId(0))),
            })
            .collect();
        let batch = Batch {
            inserts,
            ..Batch::default()
        };
        let transaction = self.connection.transaction()?;
        insert(&transaction, &batch, &self.boot, None)?;
        Ok(transaction.commit()?)
    }

    /// Ends the connection. The log is copied into the database and removed.
    pub(super) fn close(self) -> Result<(), Failure> {
        self.connection.close().map_err(|(_, error)| error.into())
    }

    fn set_forcing(&mut self, forcing: bool) -> Result<(), Failure> {
        if self.forcing != forcing {
            let mode = if forcing { "FULL" } else { "NORMAL" };
            self.connection.pragma_update(None, "synchronous", mode)?;
            self.forcing = forcing;
        }
        Ok(())
    }
}

fn oldest(connection: &Connection) -> Result<Option<Timestamp>, Failure> {
    let mut select =
        connection.prepare_cached("SELECT received_at, boot FROM reading ORDER BY seq LIMIT 1")?;
    let oldest = select
        .query_row([], |row| stamps::read(row, 0, 1))
        .optional()?;
    Ok(oldest.and_then(Stamp::time))
}

fn delete(connection: &Connection, batch: &Batch) -> Result<(), Failure> {
    let mut delete = connection.prepare_cached("DELETE FROM reading WHERE seq = ?")?;
    for seq in &batch.deletions {
        delete.execute([seq.0])?;
    }
    let mut mark = connection.prepare_cached("UPDATE reading SET crashes = ? WHERE seq = ?")?;
    for (seq, crashes) in &batch.crashes {
        mark.execute(params![crashes, seq.0])?;
    }
    Ok(())
}

fn insert(
    connection: &Connection,
    batch: &Batch,
    boot: &str,
    boot_time: Option<Timestamp>,
) -> Result<(), Failure> {
    // A row may be there already: when the answer to its commit was lost, or a damaged database's rows were rescued.
    let mut insert = connection.prepare_cached(
        "INSERT OR REPLACE INTO reading (seq, place, received_at, boot, crashes, manufacturer_key, device_id, body) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    for added in &batch.inserts {
        let Insert { entry, seq } = added;
        let NewRow {
            meter,
            received_at,
            body,
        } = &entry.row.reading;
        let (received_at, boot) = stamps::columns(received_at.resolve(boot_time), boot);
        insert.execute(params![
            seq.0,
            entry.place.0,
            received_at,
            boot,
            entry.crashes(),
            meter.manufacturer_key,
            meter.device_id,
            body,
        ])?;
    }
    Ok(())
}

/// Meters that were removed meanwhile have no row; nothing is remembered of them.
fn remember(connection: &Connection, batch: &Batch) -> Result<(), Failure> {
    let mut update = connection.prepare_cached(
        "UPDATE meter SET memory = ? WHERE manufacturer_key = ? AND device_id = ?",
    )?;
    for (meter, (_, memory)) in &batch.memories {
        update.execute(params![memory, meter.manufacturer_key, meter.device_id])?;
    }
    Ok(())
}

fn drop_beyond_limit(
    connection: &Connection,
    limit_pages: u64,
    dropped: &mut Vec<(Place, Seq)>,
) -> Result<(), Failure> {
    while pages_in_use(connection)? > limit_pages {
        let mut delete = connection.prepare_cached(
            "DELETE FROM reading WHERE seq IN (SELECT seq FROM reading ORDER BY seq LIMIT ?) RETURNING place, seq",
        )?;
        let before = dropped.len();
        for row in delete.query_map([DROPPED_AT_ONCE], place_and_seq)? {
            dropped.push(row?);
        }
        if dropped.len() == before {
            // The limit is smaller than the table of meters.
            break;
        }
    }
    Ok(())
}

/// Looks only at the oldest rows, again and again while it finds any: the others came later.
fn drop_too_old(
    connection: &Connection,
    before: Timestamp,
    dropped: &mut Vec<(Place, Seq)>,
) -> Result<(), Failure> {
    let mut delete = connection.prepare_cached(
        "DELETE FROM reading WHERE seq IN (SELECT seq FROM reading ORDER BY seq LIMIT ?) AND received_at < ? \
         AND coalesce(boot, '') = '' \
         RETURNING place, seq",
    )?;
    while dropped.len() < TOO_OLD_AT_ONCE {
        let found = dropped.len();
        for row in delete.query_map(
            params![DROPPED_AT_ONCE, before.as_millisecond()],
            place_and_seq,
        )? {
            dropped.push(row?);
        }
        if dropped.len() == found {
            break;
        }
    }
    Ok(())
}

/// The rows between these two that a damaged database gives before it fails, up to a few hundred; oldest or newest first.
pub(super) fn readable_rows(
    from: &Connection,
    low: Seq,
    high: Seq,
    newest_first: bool,
) -> Vec<Stored> {
    let order = if newest_first { "DESC" } else { "ASC" };
    let sql = format!("{SELECT} WHERE seq > ? AND seq < ? ORDER BY seq {order} LIMIT 256");
    let mut found = Vec::new();
    let Ok(mut select) = from.prepare_cached(&sql) else {
        return found;
    };
    let Ok(mut rows) = select.query([low.0, high.0]) else {
        return found;
    };
    while let Ok(Some(row)) = rows.next() {
        found.extend(stored(row));
    }
    found
}

fn place_and_seq(row: &Row<'_>) -> rusqlite::Result<(Place, Seq)> {
    Ok((Place(row.get(0)?), Seq(row.get(1)?)))
}

/// What [`stored`] reads.
const SELECT: &str =
    "SELECT seq, place, received_at, boot, crashes, manufacturer_key, device_id, body FROM reading";

fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    let meter = MeterName {
        manufacturer_key: row.get(5)?,
        device_id: row.get(6)?,
    };
    Ok(Stored {
        seq: Seq(row.get(0)?),
        place: Place(row.get(1)?),
        crashes: row.get(4)?,
        reading: NewRow {
            meter: Arc::new(meter),
            received_at: stamps::read(row, 2, 3)?,
            body: row.get::<_, Vec<u8>>(7)?.into_boxed_slice(),
        },
    })
}

fn pages_in_use(connection: &Connection) -> Result<u64, Failure> {
    let all = pragma_value(connection, "PRAGMA page_count")?;
    Ok(all.saturating_sub(pragma_value(connection, "PRAGMA freelist_count")?))
}

fn pragma_value(connection: &Connection, pragma: &str) -> Result<u64, Failure> {
    let value: Option<i64> = connection
        .prepare_cached(pragma)?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(value
        .and_then(|value| u64::try_from(value).ok())
        .unwrap_or(0))
}

/// Bytes per page of a new database.
const PAGE_SIZE: i64 = 1024;

/// Pages kept in memory, in KiB.
const CACHE_KIB: i64 = 1024;

/// A database up to this size is checked when it is opened.
const CHECKED_BYTES: u64 = 8 << 20;

/// A file below this size is left as it is.
const SHRUNK_BYTES: u64 = 4 << 20;

/// Rows that are dropped before looking again whether that was enough.
const DROPPED_AT_ONCE: i64 = 64;

/// Rows that are dropped for their age in one transaction.
const TOO_OLD_AT_ONCE: usize = 4096;
