//! Disks that fail, in every way that has a name: readings continue from memory, and nothing is lost that the disk gives back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rusqlite::ffi;

use super::support::{Run, Set, identify};
use super::vfs::{ASIDE, DATABASE, Faults, Image, Medium};
use crate::counters::Count;
use crate::store::disk::{Health, Limits};

const SECOND: Duration = Duration::from_secs(1);

fn start(medium: &Medium) -> Run {
    Run::start(medium, Limits::default(), &Set::of(0..3), Instant::now())
}

/// A disk with this many readings of each of three meters in the outbox.
fn filled(each: u64) -> Image {
    let medium = Medium::new(Image::default(), 1);
    let mut run = start(&medium);
    for number in 0..3 * each {
        run.push((number % 3) as u32, number);
    }
    run.pass(10 * SECOND);
    run.worker.finish(run.now);
    medium.kept_by_system()
}

fn numbers(image: Image) -> Vec<u64> {
    start(&Medium::new(image, 2)).take_numbers()
}

fn fails(run: &Run) -> bool {
    matches!(*run.shared.health.borrow(), Health::Failing { .. })
}

/// Pushes and delivers, as a gateway would whatever its disk does.
fn deliver(run: &mut Run, readings: std::ops::Range<u64>) {
    for number in readings {
        run.push((number % 3) as u32, number);
        run.pass(SECOND);
        let row = run.next().expect("it can be sent");
        assert_eq!(identify(&row.reading).1, number);
        run.remove(row.id);
    }
}

#[test]
fn a_full_disk_is_lived_through() {
    let medium = Medium::new(filled(10), 3);
    let mut run = start(&medium);
    assert_eq!(run.take_numbers(), (0..30).collect::<Vec<_>>());
    run.shared.rewind();
    // Others take all the room there is.
    let used = medium.files().values().sum::<usize>() as u64;
    medium.set_faults(Faults {
        capacity: Some(used),
        ..Faults::default()
    });
    for number in 30..60 {
        run.push(0, number);
    }
    run.pass(2 * SECOND);
    assert!(fails(&run));
    // The old ones first.
    assert_eq!(run.take_numbers(), (0..60).collect::<Vec<_>>());
    run.shared.rewind();
    medium.set_faults(Faults::default());
    run.pass(60 * SECOND);
    assert_eq!(*run.shared.health.borrow(), Health::Working);
    assert_eq!(run.shared.front().backlog.unwritten(), 0);
    assert_eq!(
        numbers(medium.kept_by_system()),
        (0..60).collect::<Vec<_>>()
    );
}

#[test]
fn the_log_that_has_its_room_takes_deletions_on_a_full_disk() {
    let medium = Medium::new(filled(1000), 4);
    let mut run = start(&medium);
    // In use for a while, so that the log has its room.
    for number in 3000..4000 {
        run.push(0, number);
        run.pass(Duration::from_millis(30));
    }
    // And was copied into the database, as it is now and then.
    run.shared.meters_changed();
    run.pass(SECOND);
    let used = medium.files().values().sum::<usize>() as u64;
    medium.set_faults(Faults {
        capacity: Some(used),
        ..Faults::default()
    });
    for row in run.take_all() {
        run.remove(row.id);
    }
    run.pass(60 * SECOND);
    assert_eq!(*run.shared.health.borrow(), Health::Working);
    assert!(numbers(medium.kept_by_system()).is_empty());
}

#[test]
fn a_disk_that_becomes_read_only_still_gives_what_it_has() {
    let medium = Medium::new(filled(1000), 5);
    let mut run = start(&medium);
    medium.set_faults(Faults {
        write: Some(ffi::SQLITE_IOERR_WRITE),
        ..Faults::default()
    });
    run.push(0, 3000);
    run.pass(SECOND);
    assert!(fails(&run));
    let rows = run.take_all();
    let mut found: Vec<_> = rows.iter().map(|row| identify(&row.reading).1).collect();
    found.sort_unstable();
    assert_eq!(found, (0..3001).collect::<Vec<_>>());
    rows.iter().for_each(|row| run.remove(row.id));
    deliver(&mut run, 3001..3100);
    run.pass(600 * SECOND);
    assert!(fails(&run));
    // What was delivered meanwhile is not delivered again.
    medium.set_faults(Faults::default());
    run.pass(60 * SECOND);
    assert_eq!(*run.shared.health.borrow(), Health::Working);
    assert!(run.take_numbers().is_empty());
    assert!(numbers(medium.kept_by_system()).is_empty());
}

#[test]
fn every_way_to_fail_is_survived_and_ended() {
    let write = |code| Faults {
        write: Some(code),
        ..Faults::default()
    };
    let faults = [
        write(ffi::SQLITE_READONLY),
        write(ffi::SQLITE_IOERR_WRITE),
        write(ffi::SQLITE_FULL),
        Faults {
            sync: Some(ffi::SQLITE_IOERR_FSYNC),
            ..Faults::default()
        },
        Faults {
            read: Some(ffi::SQLITE_IOERR_READ),
            ..write(ffi::SQLITE_IOERR_WRITE)
        },
        Faults {
            open: Some(ffi::SQLITE_CANTOPEN),
            ..write(ffi::SQLITE_IOERR)
        },
    ];
    for (index, &fault) in faults.iter().enumerate() {
        let medium = Medium::new(filled(100), 6);
        let mut run = start(&medium);
        medium.set_faults(fault);
        for number in 300..400 {
            run.push((number % 3) as u32, number);
        }
        run.pass(300 * SECOND);
        assert!(fails(&run), "fault {index}");
        assert!(run.shared.counters.value(Count::DatabaseFailures) > 1);
        let sent: BTreeMap<_, _> = run
            .take_all()
            .iter()
            .map(|row| (identify(&row.reading).1, row.id))
            .collect();
        assert!(
            (300..400).all(|number| sent.contains_key(&number)),
            "fault {index}"
        );
        for number in 300..350 {
            run.remove(sent[&number]);
        }
        run.shared.rewind();
        run.pass(300 * SECOND);
        medium.set_faults(Faults::default());
        run.pass(60 * SECOND);
        assert_eq!(
            *run.shared.health.borrow(),
            Health::Working,
            "fault {index}"
        );
        let mut left = run.take_numbers();
        left.sort_unstable();
        let expected: Vec<_> = (0..300).chain(350..400).collect();
        assert_eq!(left, expected, "fault {index}");
        let mut stored = numbers(medium.kept_by_system());
        stored.sort_unstable();
        assert_eq!(stored, expected, "fault {index}");
    }
}

#[test]
fn a_disk_that_cannot_be_opened_at_first_gives_all_later() {
    let medium = Medium::new(filled(10), 7);
    medium.set_faults(Faults {
        open: Some(ffi::SQLITE_CANTOPEN),
        ..Faults::default()
    });
    let mut run = start(&medium);
    assert!(fails(&run));
    assert!(run.restored.try_recv().is_err());
    deliver(&mut run, 30..40);
    for number in 40..45 {
        run.push(0, number);
    }
    medium.set_faults(Faults::default());
    run.pass(60 * SECOND);
    assert_eq!(*run.shared.health.borrow(), Health::Working);
    assert_eq!(run.restored_memories().unwrap().len(), 3);
    let mut found = run.take_numbers();
    found.sort_unstable();
    assert_eq!(found, (0..30).chain(40..45).collect::<Vec<_>>());
    assert_eq!(numbers(medium.kept_by_system()).len(), 35);
}

#[test]
fn memory_is_bounded_while_the_disk_fails() {
    let medium = Medium::new(Image::default(), 8);
    medium.set_faults(Faults {
        open: Some(ffi::SQLITE_CANTOPEN),
        ..Faults::default()
    });
    let limits = Limits {
        memory: 100 << 10,
        ..Limits::default()
    };
    let mut run = Run::start(&medium, limits, &Set::of(0..1), Instant::now());
    for number in 0..10_000 {
        run.push(0, number);
    }
    let kept = run.take_numbers();
    let dropped = run.shared.state().dropped;
    assert!((100..300).contains(&kept.len()), "{}", kept.len());
    assert_eq!(dropped + kept.len() as u64, 10_000);
    assert_eq!(run.shared.counters.value(Count::OutboxDropped), dropped);
    // The newest are kept.
    assert_eq!(kept, (dropped..10_000).collect::<Vec<_>>());
}

#[test]
fn a_file_that_is_no_database_is_moved_aside() {
    let medium = Medium::new(filled(10), 9);
    medium.damage(DATABASE, |content| {
        content.iter_mut().for_each(|byte| *byte = 0xA5)
    });
    let mut run = start(&medium);
    assert_eq!(*run.shared.health.borrow(), Health::Working);
    assert_eq!(run.shared.counters.value(Count::DatabasesSetAside), 1);
    assert!(medium.files().contains_key(ASIDE));
    deliver(&mut run, 0..20);
    run.pass(10 * SECOND);
    assert!(numbers(medium.kept_by_system()).is_empty());
}

/// Every page in turn is overwritten with garbage. The store always starts, the damaged file is kept, and most of what is not on that page
/// is rescued.
#[test]
fn what_a_damaged_page_does_not_hold_is_rescued() {
    let image = filled(100);
    let pages = Medium::new(image.clone(), 10).files()[DATABASE] / 1024;
    let (mut noticed, mut rescued) = (0, 0);
    for page in 0..pages {
        let medium = Medium::new(image.clone(), 11);
        medium.damage(DATABASE, |content| {
            content[page * 1024..(page + 1) * 1024].fill(0xA5)
        });
        let mut run = start(&medium);
        assert_eq!(*run.shared.health.borrow(), Health::Working, "page {page}");
        let found = run.take_numbers().len();
        if run.shared.counters.value(Count::DatabasesSetAside) == 1 {
            noticed += 1;
            rescued += found;
            assert!(medium.files().contains_key(ASIDE));
        }
        deliver(&mut run, 300..310);
    }
    assert!(noticed > pages * 9 / 10, "{noticed} of {pages}");
    assert!(
        rescued > noticed * 250,
        "{} of 300 on average",
        rescued / noticed
    );
}

/// What memory knows goes into the new database, whatever could be rescued of the old one.
#[test]
fn damage_that_is_met_while_running_costs_nothing_that_memory_has() {
    let medium = Medium::new(filled(2000), 12);
    let mut run = start(&medium);
    // Nearly all of it, but not what SQLite has to see first.
    medium.damage(DATABASE, |content| content[20 * 1024..].fill(0xA5));
    let window = run.take_all().len() as u64;
    assert!(window < 6000);
    run.push(0, 6000);
    run.pass(10 * SECOND);
    assert_eq!(run.shared.counters.value(Count::DatabasesSetAside), 1);
    assert_eq!(*run.shared.health.borrow(), Health::Working);
    assert_eq!(run.take_numbers(), [6000]);
    run.worker.finish(run.now);
    let mut again = start(&Medium::new(medium.kept_by_system(), 13));
    let mut found = again.take_numbers();
    found.sort_unstable();
    assert_eq!(found, (0..window).chain([6000]).collect::<Vec<_>>());
    assert_eq!(again.restored_memories().unwrap().len(), 3);
}

/// Nobody waits for a disk that does not answer.
#[test]
fn a_disk_that_hangs_does_not_hold_readings_up() {
    let medium = Medium::new(Image::default(), 14);
    let mut run = start(&medium);
    run.shared.front().busy_since = Some(run.now);
    run.push(0, 1);
    assert!(run.next().is_none());
    run.now += 11 * SECOND;
    assert_eq!(identify(&run.next().unwrap().reading).1, 1);
}
