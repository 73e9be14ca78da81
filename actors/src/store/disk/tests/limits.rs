//! Limits in bytes and age, rows that fail their sender, long backlogs, the set of meters.

use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::support::{Run, Set, identify, meter, reading};
use super::vfs::{Image, Medium};
use crate::counters::Count;
use crate::raw_telegram::RawTelegram;
use crate::store::disk::Limits;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn beyond_the_limit_the_oldest_go_and_are_counted() {
    let medium = Medium::new(Image::default(), 1);
    let limits = Limits {
        bytes: 200 << 10,
        ..Limits::default()
    };
    let mut run = Run::start(&medium, limits, &Set::of(0..3), Instant::now());
    for number in 0..3000 {
        run.push((number % 3) as u32, number);
        if number % 100 == 0 {
            run.pass(SECOND);
        }
    }
    run.pass(SECOND);
    let state = run.shared.state();
    assert!(
        state.bytes <= 200 << 10 && state.bytes > 180 << 10,
        "{}",
        state.bytes
    );
    let mut kept = run.take_numbers();
    kept.sort_unstable();
    assert!(kept.len() > 500, "{}", kept.len());
    assert_eq!(
        kept,
        (3000 - kept.len() as u64..3000).collect::<Vec<_>>(),
        "the newest are kept"
    );
    assert_eq!(state.dropped, 3000 - kept.len() as u64);
    assert_eq!(
        run.shared.counters.value(Count::OutboxDropped),
        state.dropped
    );
    assert_eq!(state.oldest, reading(0, kept[0]).received_at.time());
}

#[test]
fn a_source_that_loses_nothing_waits_for_room() {
    let medium = Medium::new(Image::default(), 2);
    let limits = Limits {
        bytes: 200 << 10,
        ..Limits::default()
    };
    let mut run = Run::start(&medium, limits, &Set::of(0..1), Instant::now());
    let permits = std::sync::Arc::new(Semaphore::new(8));
    let mut number = 0;
    while let Ok(permit) = permits.clone().try_acquire_owned() {
        let received_at = reading(0, number).received_at.time().unwrap();
        let telegram = RawTelegram::lossless([], received_at, permit);
        run.shared.push(reading(0, number), None, telegram, run.now);
        run.pass(SECOND);
        number += 1;
        assert!(number < 10_000, "it has to wait");
    }
    assert_eq!(run.shared.state().dropped, 0);
    // Room again when some of them have arrived.
    for row in run.take_all().iter().take(300) {
        run.remove(row.id);
    }
    run.pass(10 * SECOND);
    assert_eq!(permits.available_permits(), 8);
}

#[test]
fn a_row_that_fails_its_sender_twice_is_given_up_even_across_a_restart() {
    let medium = Medium::new(Image::default(), 3);
    let mut run = Run::start(&medium, Limits::default(), &Set::of(0..1), Instant::now());
    run.push(0, 1);
    run.push(0, 2);
    run.pass(SECOND);
    let row = run.next().unwrap();
    assert!(run.shared.crashed(row.id, run.now).is_none());
    run.pass(10 * SECOND);
    let medium = Medium::new(medium.kept_by_system(), 4);
    let mut run = Run::start(&medium, Limits::default(), &Set::of(0..1), run.now);
    let row = run.next().unwrap();
    let rejected = run.shared.crashed(row.id, run.now).unwrap();
    assert_eq!(identify(&rejected.reading), (0, 1));
    assert_eq!(run.shared.counters.value(Count::OutboxRejected), 1);
    assert_eq!(run.take_numbers(), [2]);
    run.pass(10 * SECOND);
    let medium = Medium::new(medium.kept_by_system(), 5);
    assert_eq!(
        Run::start(&medium, Limits::default(), &Set::of(0..1), run.now).take_numbers(),
        [2]
    );
}

/// The window is the same however long the backlog is, and the file becomes small again.
#[test]
fn a_long_backlog_goes_out_in_turns_in_constant_memory() {
    const ROWS: u64 = 100_000;
    let medium = Medium::new(Image::default(), 6);
    let mut run = Run::start(&medium, Limits::default(), &Set::of(0..10), Instant::now());
    for number in 0..ROWS {
        // Half of them are of one meter.
        run.push(
            if number % 2 == 0 {
                0
            } else {
                (number % 10) as u32
            },
            number,
        );
        if number % 1000 == 0 {
            run.pass(Duration::from_millis(100));
        }
    }
    run.pass(10 * SECOND);
    let largest = medium.files().values().sum::<usize>();
    let (mut sent, mut last) = (0, [None; 10]);
    while sent < ROWS {
        let row = run.next().unwrap();
        let (of, number) = identify(&row.reading);
        assert!(last[of as usize].replace(number) < Some(number), "in order");
        run.remove(row.id);
        sent += 1;
        let in_memory = run.shared.front().backlog.in_memory();
        assert!(in_memory <= 2000, "{in_memory} rows in memory");
        // After a fifth of the chatty one's readings the others are done.
        if sent == ROWS * 6 / 10 {
            assert_eq!(last[1..].iter().flatten().count(), 5);
            assert!(
                last[1..].iter().flatten().all(|&last| last >= ROWS - 10),
                "{last:?}"
            );
        }
        if sent % 100 == 0 {
            run.pass(Duration::from_millis(10));
        }
    }
    run.pass(120 * SECOND);
    run.push(0, ROWS);
    run.pass(120 * SECOND);
    let left = medium.files().values().sum::<usize>();
    assert!(left < largest / 2, "{left} of {largest} bytes");
}

#[test]
fn the_set_of_meters_is_stored_with_its_keys_and_what_is_remembered() {
    let medium = Medium::new(Image::default(), 7);
    let set = Set::of(0..3);
    let mut run = Run::start(&medium, Limits::default(), &set, Instant::now());
    run.push(1, 77);
    run.pass(10 * SECOND);
    let restart = |medium: &Medium, run: &Run| {
        let medium = Medium::new(medium.kept_by_system(), 8);
        Run::start(&medium, Limits::default(), &Set::default().into(), run.now)
    };
    let mut again = restart(&medium, &run);
    let stored = again.restored.try_recv().unwrap().unwrap();
    assert_eq!(stored.len(), 3);
    let of_one = stored
        .iter()
        .find(|stored| stored.name == *meter(1))
        .unwrap();
    assert_eq!(of_one.key, Some(wmbus::Key::from_bytes([1; 16])));
    assert_eq!(of_one.memory.as_deref(), Some(&77_u64.to_le_bytes()[..]));
    // Another set: what stays keeps what is remembered.
    *set.0.lock().unwrap() = Set::of(1..5).0.lock().unwrap().clone();
    run.shared.meters_changed();
    run.pass(SECOND);
    let memories = restart(&medium, &run).restored_memories().unwrap();
    let expected = [(1, Some(77)), (2, None), (3, None), (4, None)];
    assert_eq!(memories, expected.into());
    // None at all is a set too.
    *set.0.lock().unwrap() = Some(Vec::new());
    run.shared.meters_changed();
    run.pass(SECOND);
    assert_eq!(
        restart(&medium, &run)
            .restored
            .try_recv()
            .unwrap()
            .unwrap()
            .len(),
        0
    );
}

#[test]
fn a_gateway_that_was_never_told_knows_it() {
    let medium = Medium::new(Image::default(), 9);
    let mut run = Run::start(
        &medium,
        Limits::default(),
        &Set::default().into(),
        Instant::now(),
    );
    assert!(run.restored.try_recv().unwrap().is_none());
    run.push(0, 1);
    run.pass(10 * SECOND);
    let medium = Medium::new(medium.kept_by_system(), 10);
    let mut run = Run::start(&medium, Limits::default(), &Set::default().into(), run.now);
    assert!(run.restored.try_recv().unwrap().is_none());
}

/// A set that is sent again and again wears no disk out.
#[test]
fn the_same_set_again_writes_next_to_nothing() {
    let medium = Medium::new(Image::default(), 11);
    let set = Set::of(0..10_000);
    let mut run = Run::start(&medium, Limits::default(), &set, Instant::now());
    run.pass(SECOND);
    let before = medium.traffic().written;
    for _ in 0..10 {
        run.shared.meters_changed();
        run.pass(SECOND);
    }
    let written = medium.traffic().written - before;
    assert!(written < 100 << 10, "{written} bytes");
}
