//! Schema: the tables, and how a database of an earlier version becomes one of this.

use rusqlite::Connection;

use super::failure::Failure;

/// Marks a file as this program's: `omng`.
const APPLICATION_ID: i64 = 0x6F6D_6E67;

/// One script per version, in order. A script that was released is never changed; what comes later is a new one.
const MIGRATIONS: &[&str] = &[VERSION_1, VERSION_2];

/// * `reading`: the outbox. `seq` rises with every row, so the oldest is the lowest. `place` is the order in which rows go out.
///   `received_at` is in milliseconds: where `boot` is null since 1970, UTC; where it is empty too, but estimated; otherwise since the start
///   of the system that `boot` names, whose clock was not right, or before it if it is negative. `crashes` says how often handling the row has failed the Publisher.
/// * `meter`: the monitored meters, their keys, and what is remembered of them.
/// * `gateway`: one row. `meters_known` is 0 until the gateway was told which meters to monitor. `forced` counts the commits that had
///   nothing else to write when what was committed before had to be forced to disk.
const VERSION_1: &str = "
    CREATE TABLE reading (
        seq INTEGER PRIMARY KEY,
        place INTEGER NOT NULL,
        received_at INTEGER NOT NULL,
        boot TEXT,
        crashes INTEGER NOT NULL,
        manufacturer_key TEXT NOT NULL,
        device_id TEXT NOT NULL,
        body BLOB NOT NULL
    ) STRICT;
    CREATE INDEX reading_by_place ON reading (place);
    CREATE INDEX reading_by_boot ON reading (boot) WHERE boot IS NOT NULL;
    CREATE TABLE meter (
        manufacturer_key TEXT NOT NULL,
        device_id TEXT NOT NULL,
        device_key TEXT NOT NULL,
        key BLOB,
        memory BLOB,
        PRIMARY KEY (manufacturer_key, device_id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE gateway (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        meters_known INTEGER NOT NULL,
        forced INTEGER NOT NULL
    ) STRICT;
    INSERT INTO gateway (id, meters_known, forced) VALUES (1, 0, 0);
";

/// * `series`: the channels of meters that have a history.
/// * `history`: its points. `span` is a point's length and `start` its beginning since 1970, UTC, both in seconds.
const VERSION_2: &str = "
    CREATE TABLE series (
        id INTEGER PRIMARY KEY,
        manufacturer_key TEXT NOT NULL,
        device_id TEXT NOT NULL,
        channel INTEGER NOT NULL,
        UNIQUE (manufacturer_key, device_id, channel)
    ) STRICT;
    CREATE TABLE history (
        series INTEGER NOT NULL,
        span INTEGER NOT NULL,
        start INTEGER NOT NULL,
        count INTEGER NOT NULL,
        mean REAL NOT NULL,
        low REAL NOT NULL,
        high REAL NOT NULL,
        last REAL NOT NULL,
        PRIMARY KEY (series, span, start)
    ) STRICT, WITHOUT ROWID;
";

/// Brings a database to this version; an empty one too. Either all of it happens or nothing.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), Failure> {
    let application: i64 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let known = MIGRATIONS.len() as i64;
    match application {
        0 if version == 0 && tables == 0 => {}
        APPLICATION_ID if version > known => {
            return Err(Failure::Newer {
                found: version,
                known,
            });
        }
        APPLICATION_ID if version > 0 => {}
        _ => {
            return Err(Failure::Damaged(
                "it is not a database of this program".to_owned(),
            ));
        }
    }
    let outstanding = MIGRATIONS
        .iter()
        .skip(usize::try_from(version).unwrap_or(usize::MAX));
    let mut outstanding = outstanding.peekable();
    if outstanding.peek().is_none() {
        return Ok(());
    }
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    for script in outstanding {
        transaction.execute_batch(script)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", known)?;
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_migration_finds_nothing_to_do() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        connection
            .execute("UPDATE gateway SET forced = 7", [])
            .unwrap();
        migrate(&mut connection).unwrap();
        let forced: i64 = connection
            .query_row("SELECT forced FROM gateway", [], |row| row.get(0))
            .unwrap();
        assert_eq!(forced, 7);
    }

    #[test]
    fn a_later_version_is_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        let known = MIGRATIONS.len() as i64;
        assert_eq!(
            migrate(&mut connection),
            Err(Failure::Newer { found: 99, known })
        );
    }

    #[test]
    fn a_database_of_another_program_is_not_used() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE theirs (x)").unwrap();
        assert!(matches!(migrate(&mut connection), Err(Failure::Damaged(_))));
    }
}
