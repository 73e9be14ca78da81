//! Schedule: when to commit and when to force what is committed to the disk. Pure.
//!
//! * New readings are committed at once, so that they need not wait for being sent. In the long run there is one commit in [`GROUP`]
//!   at most: under load readings go in groups. Before that comes a credit of [`CREDIT`], which is more than telegrams that happen to
//!   come together use up.
//! * What is to be deleted waits for company, because losing a deletion only repeats a reading: it goes with the next commit, or with
//!   the next forced one, or alone after a while.
//! * A reading is on disk for certain before it is `sync_interval` old. The commit that comes late in the interval is forced, so that
//!   forcing rarely needs a commit of its own.

use std::time::{Duration, Instant};

/// Plans commits. Knows what was done; is told what waits.
#[derive(Debug)]
pub(super) struct Schedule {
    sync_interval: Duration,
    /// Up to when the commits so far last, each for one [`GROUP`].
    lasting: Option<Instant>,
    /// When the oldest reading came that is committed and not forced to disk.
    unforced_since: Option<Instant>,
}

/// What waits for a commit.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Waiting {
    /// When the oldest reading came.
    pub(super) readings_since: Option<Instant>,
    /// When the oldest deletion came.
    pub(super) deletions_since: Option<Instant>,
    /// There are so many deletions that they are worth a commit.
    pub(super) many_deletions: bool,
    /// It is time to look for readings that are too old.
    pub(super) sweep: bool,
    /// Somebody waits for it to be on disk.
    pub(super) urgent: bool,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Commit what waits, and force it to disk with everything before it.
    CommitForced,
    /// Commit what waits.
    Commit,
    /// Nothing before this moment.
    Wait(Instant),
    /// Nothing until something comes.
    Sleep,
}

impl Schedule {
    pub(super) fn new(sync_interval: Duration) -> Self {
        Self {
            sync_interval,
            lasting: None,
            unforced_since: None,
        }
    }

    pub(super) fn next(&self, now: Instant, waiting: &Waiting) -> Step {
        let force = self.force_at();
        let due = [
            (waiting.urgent || waiting.sweep).then_some(now),
            waiting.readings_since.map(|_| self.turn(now)),
            waiting
                .deletions_since
                .filter(|_| waiting.many_deletions)
                .map(|_| self.turn(now)),
            waiting
                .deletions_since
                .map(|since| since + self.deletion_delay()),
            force,
        ];
        let Some(due) = due.into_iter().flatten().min() else {
            return Step::Sleep;
        };
        if due > now {
            return Step::Wait(due);
        }
        let oldest = earlier(self.unforced_since, waiting.readings_since);
        let forced = waiting.urgent
            || oldest.is_some_and(|oldest| now >= oldest + self.sync_interval / 5 * 4);
        if forced {
            Step::CommitForced
        } else {
            Step::Commit
        }
    }

    /// A commit succeeded, of readings the oldest of which came then.
    pub(super) fn committed(
        &mut self,
        now: Instant,
        readings_since: Option<Instant>,
        forced: bool,
    ) {
        self.lasting = Some(self.lasting.map_or(now, |lasting| lasting.max(now)) + GROUP);
        self.unforced_since = if forced {
            None
        } else {
            earlier(self.unforced_since, readings_since)
        };
    }

    /// Whether everything that was committed is on disk for certain.
    pub(super) fn all_forced(&self) -> bool {
        self.unforced_since.is_none()
    }

    /// When there may be a commit again.
    fn turn(&self, now: Instant) -> Instant {
        self.lasting
            .and_then(|lasting| lasting.checked_sub(CREDIT))
            .map_or(now, |turn| turn.max(now))
    }

    fn force_at(&self) -> Option<Instant> {
        let margin = (self.sync_interval / 10).min(FORCE_TAKES);
        self.unforced_since
            .map(|since| since + (self.sync_interval - margin))
    }

    fn deletion_delay(&self) -> Duration {
        self.sync_interval
            .clamp(Duration::from_secs(1), Duration::from_secs(5))
    }
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

/// In the long run there is at most one commit in this time.
const GROUP: Duration = Duration::from_millis(20);

/// For so long there may be commits in advance.
const CREDIT: Duration = Duration::from_millis(500);

/// How long forcing to disk may take without making a reading older than the interval.
const FORCE_TAKES: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn readings(since: Instant) -> Waiting {
        Waiting {
            readings_since: Some(since),
            ..Waiting::default()
        }
    }

    #[test]
    fn a_lonely_reading_is_committed_at_once_and_forced_before_the_interval_ends() {
        let start = Instant::now();
        let mut schedule = Schedule::new(5 * SECOND);
        assert_eq!(schedule.next(start, &readings(start)), Step::Commit);
        schedule.committed(start, Some(start), false);
        let Step::Wait(due) = schedule.next(start, &Waiting::default()) else {
            panic!("has to force it")
        };
        assert!(due < start + 5 * SECOND && due > start + 4 * SECOND);
        assert_eq!(schedule.next(due, &Waiting::default()), Step::CommitForced);
        schedule.committed(due, None, true);
        assert_eq!(schedule.next(due, &Waiting::default()), Step::Sleep);
    }

    #[test]
    fn readings_that_come_together_by_chance_are_each_committed_at_once() {
        let start = Instant::now();
        let mut schedule = Schedule::new(5 * SECOND);
        for nth in 0..5 {
            let now = start + nth * GROUP / 20;
            assert_eq!(schedule.next(now, &readings(now)), Step::Commit);
            schedule.committed(now, Some(now), false);
        }
    }

    #[test]
    fn under_load_readings_share_commits() {
        let start = Instant::now();
        let mut schedule = Schedule::new(5 * SECOND);
        let mut commits = 0;
        for millisecond in 0..10_000 {
            let now = start + millisecond * SECOND / 1000;
            let step = schedule.next(now, &readings(now));
            match step {
                Step::Commit | Step::CommitForced => {
                    schedule.committed(now, Some(now), step == Step::CommitForced);
                    commits += 1;
                }
                Step::Wait(due) => assert!(due <= now + GROUP),
                Step::Sleep => panic!("a reading waits"),
            }
        }
        let bound = (10 * SECOND + CREDIT).as_millis() / GROUP.as_millis() + 1;
        assert!(commits <= bound, "{commits}");
        assert!(commits >= bound - 2, "{commits}");
    }

    #[test]
    fn every_commit_of_readings_is_forced_when_the_interval_is_zero() {
        let start = Instant::now();
        let schedule = Schedule::new(Duration::ZERO);
        assert_eq!(schedule.next(start, &readings(start)), Step::CommitForced);
        let deletions = Waiting {
            deletions_since: Some(start),
            ..Waiting::default()
        };
        assert_eq!(schedule.next(start, &deletions), Step::Wait(start + SECOND));
        assert_eq!(schedule.next(start + SECOND, &deletions), Step::Commit);
    }

    #[test]
    fn one_reading_a_second_is_forced_every_fifth() {
        let start = Instant::now();
        let mut schedule = Schedule::new(5 * SECOND);
        let forced: Vec<u32> = (0..15)
            .filter(|&second| {
                let now = start + second * SECOND;
                let step = schedule.next(now, &readings(now));
                schedule.committed(now, Some(now), step == Step::CommitForced);
                step == Step::CommitForced
            })
            .collect();
        assert_eq!(forced, [4, 9, 14]);
    }
}
