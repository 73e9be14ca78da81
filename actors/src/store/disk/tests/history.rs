//! The history: what is written, kept and read.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::Connection;

use super::support::{Set, meter, silent};
use crate::counters::Counters;
use crate::output::recalc::Values;
use crate::store::disk::history::{HistoryLimits, Question, count, read, sweep, write};
use crate::store::disk::schema::migrate;
use crate::store::disk::{DiskStore, Limits};
use crate::store::history::{Ended, Point, Span};

fn open(folder: &Path) -> DiskStore {
    let limits = Limits {
        history: Some(HistoryLimits::days(3650)),
        ..Limits::default()
    };
    let counters = Arc::new(Counters::new());
    let (store, _) = DiskStore::open(folder, limits, Set::of([1]), counters, silent()).unwrap();
    store
}

fn push(store: &DiskStore, second: i64, energy: f64) {
    let values = format!("1\t\"accumulated-power\"\t{energy}\n");
    let received_at = Timestamp::from_second(second).unwrap();
    store.record(&meter(1), received_at, &Values::stored(values.as_bytes()));
}

/// A full hour, so long ago that it is over and not so long that it is thrown away.
fn hour() -> i64 {
    Span::Hour.start(Timestamp::now().as_second()) - 7200
}

#[tokio::test]
async fn points_survive_a_restart_and_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let start = hour();
    let store = open(folder.path());
    push(&store, start, 1.0);
    push(&store, start + 10, 2.0);
    store.close().await;

    let store = open(folder.path());
    push(&store, start + 20, 9.0);
    push(&store, start + 3600, 10.0);
    let before = store.history(&meter(1), Span::Hour, 0).await;
    store.close().await;
    let store = open(folder.path());
    let after = store.history(&meter(1), Span::Hour, 0).await;
    let expected = |start, count, mean, low, high, last| Point {
        start,
        count,
        mean,
        low,
        high,
        last,
    };
    let points = [
        expected(start, 3, 4.0, 1.0, 9.0, 9.0),
        expected(start + 3600, 1, 10.0, 10.0, 10.0, 10.0),
    ];
    assert_eq!(
        before[&1], points,
        "what memory holds is among what is told"
    );
    assert_eq!(after[&1], points);
    assert_eq!(
        store.history(&meter(1), Span::Fine, start + 300).await[&1].len(),
        1
    );
    assert!(store.history(&meter(2), Span::Hour, 0).await.is_empty());
}

#[test]
fn what_is_too_old_or_too_much_goes_the_oldest_first() {
    let mut connection = Connection::open_in_memory().unwrap();
    migrate(&mut connection).unwrap();
    let now = 1_800_000_000;
    let ended = |span: Span, days: i64, of: u32| Ended {
        meter: meter(of),
        channel: 1,
        span,
        point: Point {
            start: span.start(now - days * 86_400),
            count: 1,
            mean: 1.0,
            low: 1.0,
            high: 1.0,
            last: 1.0,
        },
    };
    let mut all = vec![ended(Span::Hour, 40, 2)];
    for days in 0..40 {
        all.extend(Span::ALL.map(|span| ended(span, days, 1)));
    }
    write(&connection, &all).unwrap();
    let limits = HistoryLimits {
        days: 31,
        points: 1000,
    };
    assert_eq!(sweep(&connection, now, limits).unwrap(), 32 + 8);
    let series: i64 = connection
        .query_row("SELECT count(*) FROM series", [], |row| row.get(0))
        .unwrap();
    assert_eq!(series, 1, "the channel without points is gone");
    let limits = HistoryLimits {
        days: 31,
        points: 20,
    };
    assert!(sweep(&connection, now, limits).unwrap() <= 20);
    let question = Question {
        meter: meter(1).as_ref().clone(),
        span: Span::Hour,
        since: 0,
    };
    let left = &read(&connection, &question).unwrap()[&1];
    assert_eq!(left.last().unwrap().start, Span::Hour.start(now));
}

/// The history of 100 OmniPower meters for 30 days:
/// `cargo test -p omnigate-actors --lib history_of_a_hundred -- --ignored --nocapture`
#[test]
#[ignore = "measures"]
fn history_of_a_hundred_meters_for_thirty_days_is_small() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("omnigate.db");
    let mut connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "page_size", 1024).unwrap();
    // What is measured is how large it is, not how long the disk takes.
    for (pragma, value) in [("synchronous", "off"), ("journal_mode", "memory")] {
        connection.pragma_update(None, pragma, value).unwrap();
    }
    migrate(&mut connection).unwrap();
    let now = Span::Hour.start(Timestamp::now().as_second());
    // As they come: point by point, the meters in turn.
    for second in (now - 30 * 86_400..now).step_by(300) {
        let transaction = connection.transaction().unwrap();
        let mut ended = Vec::new();
        for of in 0..100 {
            for channel in 1..=4 {
                let spans = if second % 3600 == 0 {
                    &Span::ALL[..]
                } else {
                    &Span::ALL[..1]
                };
                // Registers rise, powers vary, and nothing is fed back.
                let value = match channel {
                    1 => 10_000.0 + (second - now) as f64 / 7000.0,
                    3 => f64::from(of * 37 % 900) + (second % 1777) as f64,
                    _ => 0.0,
                };
                ended.extend(spans.iter().map(|span| Ended {
                    meter: meter(of),
                    channel,
                    span: *span,
                    point: Point {
                        start: second,
                        count: 19,
                        mean: value,
                        low: value * 0.93,
                        high: value * 1.07,
                        last: value * 1.01,
                    },
                }));
            }
        }
        write(&transaction, &ended).unwrap();
        if second % 86_400 == 0 {
            sweep(&transaction, second, HistoryLimits::days(31)).unwrap();
        }
        transaction.commit().unwrap();
    }
    sweep(&connection, now, HistoryLimits::days(31)).unwrap();
    let points = count(&connection).unwrap();
    drop(connection);
    let bytes = std::fs::metadata(&path).unwrap().len();
    println!(
        "{points} points, {bytes} bytes, {} bytes each",
        bytes / points
    );
    assert!(bytes < 100_000_000);
}
