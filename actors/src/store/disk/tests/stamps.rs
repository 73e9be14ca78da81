//! Readings that come while the clock is not right.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::support::{Run, Set, boot_time, meter, radio};
use super::vfs::{Image, Medium};
use crate::clock::Stamp;
use crate::counters::Count;
use crate::store::disk::{Limits, Undated};
use crate::store::outbox::NewRow;

const SECOND: Duration = Duration::from_secs(1);

/// A start of the system.
fn boot(name: &str, clock: Option<Timestamp>, medium: &Medium, limits: Limits) -> Run {
    let place = Box::new(medium.clone());
    Run::booted(name, clock, place, limits, &Set::of(0..2), Instant::now())
}

/// A reading of a meter that says only its number.
fn push(run: &mut Run, of: u32, number: u8, received_at: Stamp) {
    let reading = NewRow {
        meter: meter(of),
        received_at,
        body: [number].into(),
    };
    run.shared.push(reading, None, radio(), run.now);
    run.pass(SECOND);
}

fn since_boot(seconds: i64) -> Stamp {
    Stamp::SinceBoot(SignedDuration::from_secs(seconds))
}

/// That many seconds after [`boot_time`].
fn known(seconds: i64) -> Stamp {
    Stamp::Known(boot_time() + SignedDuration::from_secs(seconds))
}

/// All readings that can be sent, in order, with their times.
fn sent(run: &mut Run) -> Vec<(u8, Stamp)> {
    let rows = run.take_all();
    rows.iter()
        .map(|row| (row.reading.body[0], row.reading.received_at))
        .collect()
}

#[test]
fn they_wait_until_it_is_and_have_the_right_time_then() {
    let medium = Medium::new(Image::default(), 1);
    let mut run = boot("one", None, &medium, Limits::default());
    push(&mut run, 0, 1, since_boot(100));
    push(&mut run, 1, 2, known(7));
    push(&mut run, 0, 3, since_boot(101));
    assert_eq!(sent(&mut run), [(2, known(7))], "the others wait");
    assert_eq!(run.shared.state().waiting, 2);
    run.boot_time = Some(boot_time());
    run.pass(2 * SECOND);
    push(&mut run, 0, 4, known(102));
    assert_eq!(
        sent(&mut run),
        [(1, known(100)), (3, known(101)), (4, known(102))]
    );
}

#[test]
fn what_had_its_time_keeps_it_after_a_restart() {
    let medium = Medium::new(Image::default(), 2);
    let mut run = boot("one", None, &medium, Limits::default());
    push(&mut run, 0, 1, since_boot(100));
    run.boot_time = Some(boot_time());
    run.pass(2 * SECOND);
    push(&mut run, 0, 2, since_boot(200));
    run.pass(10 * SECOND);
    let medium = Medium::new(medium.kept_by_system(), 3);
    let mut run = boot("two", None, &medium, Limits::default());
    assert_eq!(sent(&mut run), [(1, known(100)), (2, known(200))]);
}

/// The readings of the first start that had their time first, then those that never had: as if that start had lasted until the present one.
#[test]
fn what_never_had_its_time_goes_out_last_with_an_estimate() {
    let medium = Medium::new(Image::default(), 4);
    let mut run = boot("one", None, &medium, Limits::default());
    push(&mut run, 0, 1, since_boot(100));
    push(&mut run, 1, 2, since_boot(130));
    push(&mut run, 0, 3, known(3));
    run.pass(10 * SECOND);
    let medium = Medium::new(medium.kept_by_system(), 5);
    // A second start without a clock changes nothing.
    let mut run = boot("two", None, &medium, Limits::default());
    push(&mut run, 0, 4, since_boot(10));
    run.pass(10 * SECOND);
    let medium = Medium::new(medium.kept_by_system(), 6);
    let mut run = boot("three", Some(boot_time()), &medium, Limits::default());
    let estimated =
        |milliseconds| Stamp::Estimated(boot_time() - SignedDuration::from_millis(milliseconds));
    assert_eq!(
        sent(&mut run),
        [
            (3, known(3)),
            (1, estimated(40_002)),
            (2, estimated(10_002)),
            (4, estimated(1)),
        ]
    );
    run.pass(10 * SECOND);
    let medium = Medium::new(medium.kept_by_system(), 7);
    let mut run = boot("four", None, &medium, Limits::default());
    assert_eq!(sent(&mut run).len(), 4, "and stays an estimate");
}

#[test]
fn what_never_had_its_time_may_be_dropped() {
    let medium = Medium::new(Image::default(), 8);
    let limits = Limits {
        undated: Undated::Drop,
        ..Limits::default()
    };
    let mut run = boot("one", None, &medium, limits);
    push(&mut run, 0, 1, since_boot(100));
    push(&mut run, 0, 2, known(3));
    run.pass(10 * SECOND);
    let medium = Medium::new(medium.kept_by_system(), 9);
    let mut run = boot("two", Some(boot_time()), &medium, limits);
    assert_eq!(sent(&mut run), [(2, known(3))]);
    assert_eq!(run.shared.counters.value(Count::OutboxUndated), 1);
}

/// The clock is right for a while, steps back to 1970, and is set again.
#[test]
fn steps_neither_reorder_nor_lose_anything() {
    let medium = Medium::new(Image::default(), 10);
    let mut run = boot("one", Some(boot_time()), &medium, Limits::default());
    push(&mut run, 0, 1, known(100));
    run.boot_time = None;
    run.pass(SECOND);
    push(&mut run, 0, 2, since_boot(101));
    push(&mut run, 0, 3, since_boot(102));
    run.boot_time = Some(boot_time());
    run.pass(2 * SECOND);
    push(&mut run, 0, 4, known(90));
    assert_eq!(
        sent(&mut run),
        [
            (1, known(100)),
            (2, known(101)),
            (3, known(102)),
            (4, known(90))
        ]
    );
}
