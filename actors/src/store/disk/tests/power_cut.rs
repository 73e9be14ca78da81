//! The power fails, again and again, at any moment: the database opens, and nothing older than `sync_interval` is missing.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use super::support::{Random, Run, Set, identify};
use super::vfs::{Faults, Image, Medium};
use crate::store::disk::Limits;

/// What was pushed, as far as it may still be in the outbox.
#[derive(Default)]
struct Model {
    rows: BTreeMap<u64, Pushed>,
    next: u64,
}

struct Pushed {
    meter: u32,
    at: Instant,
    sent: bool,
    removed: bool,
}

#[derive(Default)]
struct Figures {
    cuts: u32,
    pushed: u64,
    survived: u64,
    lost_young: u64,
    repeated: u64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cuts,
            pushed,
            survived,
            lost_young,
            repeated,
        } = self;
        write!(
            f,
            "{cuts} cuts, {pushed} readings pushed, {survived} found again, {lost_young} lost younger than the interval, {repeated} repeated"
        )
    }
}

/// What is expected of the store, which may be told otherwise.
struct Trial {
    seed: u64,
    cuts: u32,
    promised: Duration,
    configured: Duration,
    faults: Faults,
}

impl Trial {
    fn run(&self) -> Result<Figures, String> {
        let mut random = Random::new(self.seed);
        let mut model = Model::default();
        let mut figures = Figures::default();
        let mut image = Image::default();
        let mut now = Instant::now();
        while figures.cuts < self.cuts {
            let medium = Medium::new(image, random.next());
            medium.set_faults(self.faults);
            (image, now) = self.life(&medium, now, &mut model, &mut figures, &mut random)?;
            figures.cuts += 1;
        }
        Ok(figures)
    }

    /// From switching on to the next cut.
    fn life(
        &self,
        medium: &Medium,
        now: Instant,
        model: &mut Model,
        figures: &mut Figures,
        random: &mut Random,
    ) -> Result<(Image, Instant), String> {
        // A short log, so that it is copied into the database and begun anew in many lives.
        let limits = Limits {
            sync_interval: self.configured,
            log: 64 << 10,
            ..Limits::default()
        };
        let mut run = Run::start(medium, limits, &Set::of(0..METERS), now);
        self.compare(&mut run, model, figures)?;
        medium.cut_after(random.below(600));
        loop {
            match random.below(10) {
                0..5 => {
                    let (meter, number) = (random.below(u64::from(METERS)) as u32, model.next);
                    run.push(meter, number);
                    model.next += 1;
                    model.rows.insert(
                        number,
                        Pushed {
                            meter,
                            at: run.now,
                            sent: false,
                            removed: false,
                        },
                    );
                    figures.pushed += 1;
                }
                5..8 => {
                    for _ in 0..random.below(6) {
                        if let Some(row) = run.next() {
                            let (_, number) = identify(&row.reading);
                            model
                                .rows
                                .get_mut(&number)
                                .ok_or("an unknown reading")?
                                .sent = true;
                            if random.chance(80) {
                                run.remove(row.id);
                                model
                                    .rows
                                    .get_mut(&number)
                                    .ok_or("an unknown reading")?
                                    .removed = true;
                            }
                        }
                    }
                }
                8 => run.pass(Duration::from_millis(random.below(3000))),
                _ => run.pass(Duration::from_millis(random.below(60))),
            }
            if let Some(image) = medium.cut() {
                return Ok((image, run.now));
            }
        }
    }

    /// What is in the outbox after a cut, against what has to be.
    fn compare(
        &self,
        run: &mut Run,
        model: &mut Model,
        figures: &mut Figures,
    ) -> Result<(), String> {
        let memories = run.restored_memories();
        let mut found = BTreeMap::new();
        let mut last = BTreeMap::new();
        for row in run.take_all() {
            let (meter, number) = identify(&row.reading);
            if found.insert(number, meter).is_some() {
                return Err(format!("reading {number} is there twice"));
            }
            if last.insert(meter, number) > Some(number) {
                return Err(format!("reading {number} is out of order"));
            }
            // No reading is there without what was remembered with it.
            let remembered = memories
                .as_ref()
                .and_then(|memories| memories.get(&meter).copied().flatten());
            if remembered < Some(number) {
                return Err(format!(
                    "reading {number} is there, and {remembered:?} is remembered"
                ));
            }
        }
        run.shared.rewind();
        for (&number, pushed) in &model.rows {
            let safe = match self.promised {
                Duration::ZERO => pushed.sent,
                interval => pushed.at + interval <= run.now,
            };
            match (found.contains_key(&number), pushed.removed) {
                (true, false) => figures.survived += 1,
                (true, true) => figures.repeated += 1,
                (false, true) => {}
                (false, false) if safe => {
                    let age = run.now - pushed.at;
                    return Err(format!(
                        "reading {number} of meter {} is missing, {age:?} old",
                        pushed.meter
                    ));
                }
                (false, false) => figures.lost_young += 1,
            }
        }
        let unknown = found.keys().find(|number| !model.rows.contains_key(number));
        if let Some(number) = unknown {
            return Err(format!("reading {number} was removed long ago"));
        }
        model.rows.retain(|number, _| found.contains_key(number));
        model
            .rows
            .values_mut()
            .for_each(|pushed| pushed.removed = false);
        Ok(())
    }
}

const METERS: u32 = 5;

/// A thousand cuts: each time the database opens, passes SQLite's own check, and has what it has to have.
#[test]
fn nothing_older_than_the_interval_is_missing_after_a_thousand_power_cuts() {
    for (seconds, cuts) in [(5, 600), (1, 200), (60, 50), (0, 150)] {
        let interval = Duration::from_secs(seconds);
        let trial = Trial {
            seed: 0xC0FFEE + seconds,
            cuts,
            promised: interval,
            configured: interval,
            faults: Faults::default(),
        };
        let figures = trial.run().unwrap();
        println!("sync_interval {seconds} s: {figures}");
        assert!(
            figures.survived > u64::from(cuts),
            "the test has to find something"
        );
        assert!(
            seconds == 0 || figures.lost_young > 0,
            "the cuts have to cost something"
        );
    }
}

/// The test above can fail: a store that forces less often than it promises is caught.
#[test]
fn a_store_that_promises_too_much_is_caught() {
    let trial = Trial {
        seed: 1,
        cuts: 500,
        promised: Duration::from_secs(5),
        configured: Duration::from_secs(60),
        faults: Faults::default(),
    };
    let error = trial.run().err().unwrap();
    assert!(error.contains("is missing"), "{error}");
}

/// And so is a disk that does not force anything: then even SQLite's own check fails, or readings are missing.
#[test]
fn a_disk_that_lies_is_caught() {
    for promised in [Duration::ZERO, Duration::from_secs(5)] {
        let trial = Trial {
            seed: 2,
            cuts: 500,
            promised,
            configured: promised,
            faults: Faults {
                sync_lies: true,
                ..Faults::default()
            },
        };
        assert!(trial.run().is_err());
    }
}
