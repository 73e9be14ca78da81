//! Worker: does all the work on the database, on a thread of its own. One call of [`Worker::step`] is one turn, and the thread only waits
//! in between. Time is told to it, so tests need neither thread nor patience.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use slog::{Logger, error, info, warn};
use tokio::sync::oneshot;

use super::age::Age;
use super::database::{Commit, History};
use super::failure::Failure;
use super::link::Link;
use super::schedule::{Schedule, Step, Waiting};
use super::shared::{Health, MetersToWrite, Shared};
use super::stamps::Undated;
use super::state_dir::Place;
use super::{Limits, MetersSource, StoredMeter};
use crate::clock;
use crate::counters::Count;

/// See the [module documentation](self).
pub(super) struct Worker {
    shared: Arc<Shared>,
    link: Link,
    limits: Limits,
    meters: Arc<dyn MetersSource>,
    log: Logger,
    schedule: Schedule,
    age: Option<Age>,
    /// What was received before is to be deleted.
    too_old: Option<Timestamp>,
    tidied_at: Option<Instant>,
    /// When the system was started, while the clock is right.
    boot_time: Option<Timestamp>,
    told_of_clock: bool,
    recorded_at: Option<Instant>,
    swept_at: Option<Instant>,
    /// What is committed now is the last.
    stopping: bool,
    /// Gets the stored meters, once.
    restored: Option<oneshot::Sender<Option<Vec<StoredMeter>>>>,
}

impl Worker {
    pub(super) fn new(
        shared: Arc<Shared>,
        place: Box<dyn Place>,
        limits: Limits,
        meters: Arc<dyn MetersSource>,
        restored: oneshot::Sender<Option<Vec<StoredMeter>>>,
        boot: String,
        log: Logger,
    ) -> Self {
        Self {
            shared,
            link: Link::new(place, limits.log, boot, log.clone()),
            schedule: Schedule::new(limits.sync_interval),
            age: limits.max_age.map(Age::new),
            limits,
            meters,
            log,
            too_old: None,
            tidied_at: None,
            boot_time: None,
            told_of_clock: false,
            recorded_at: None,
            swept_at: None,
            stopping: false,
            restored: Some(restored),
        }
    }

    /// Does what is due. Answers when to call it again if nothing comes before; `None` is never. `boot_time` is when the system was started,
    /// while the clock is right.
    pub(super) fn step(&mut self, now: Instant, boot_time: Option<Timestamp>) -> Option<Instant> {
        if boot_time.is_some() != self.boot_time.is_some() {
            self.date(now, boot_time);
        }
        let next = self.work(now);
        if self.boot_time.is_some() {
            return next;
        }
        if !self.told_of_clock {
            warn!(self.log, "the clock is not right: readings wait for it"; "reason" => "clock");
            self.told_of_clock = true;
        }
        let look = now + CLOCK_INTERVAL;
        Some(next.map_or(look, |next| next.min(look)))
    }

    /// The clock is right, or not any more.
    fn date(&mut self, now: Instant, boot_time: Option<Timestamp>) {
        self.boot_time = boot_time;
        self.shared.front().backlog.set_boot_time(boot_time);
        let Some(boot_time) = boot_time else {
            return;
        };
        if std::mem::take(&mut self.told_of_clock) {
            info!(self.log, "the clock is right");
        }
        if let Some(database) = self.link.database()
            && let Err(failure) = database.resolve_stamps(boot_time)
        {
            self.fail(now, &failure);
        }
        self.shared.taker.notify_one();
    }

    fn work(&mut self, now: Instant) -> Option<Instant> {
        if self.link.retry_at().is_some_and(|at| now < at) {
            let loaded = self.load(now);
            self.answer();
            return if loaded {
                Some(now)
            } else {
                self.link.retry_at()
            };
        }
        if self.link.retry_at().is_some() {
            self.reconnect_if_useless(now);
        }
        if self.link.database().is_none() && !self.open(now) {
            self.answer();
            return self.link.retry_at();
        }
        let step = match self.link.retry_at() {
            Some(_) => Step::CommitForced,
            None => {
                let waiting = self.waiting(now);
                self.schedule.next(now, &waiting)
            }
        };
        match step {
            Step::CommitForced => self.commit(now, true),
            Step::Commit => self.commit(now, false),
            Step::Wait(_) | Step::Sleep => self.tidy(now),
        }
        let loaded = self.load(now);
        self.answer();
        match step {
            Step::Wait(until) if !loaded => Some(until),
            Step::Sleep if !loaded => None,
            _ => Some(now),
        }
    }

    /// Leaves everything on disk, as far as the disk works, and closes the database.
    pub(super) fn finish(&mut self, now: Instant) {
        if self.link.database().is_none() {
            self.open(now);
        }
        self.stopping = self.shared.history().is_some();
        while self.link.database().is_some()
            && (self.stopping
                || !(self.all_on_disk() && self.shared.front().backlog.deletions() == 0))
        {
            self.commit(now, true);
            self.stopping = false;
            if self.link.retry_at().is_some() {
                break;
            }
        }
        self.answer();
        let left = self.shared.front().backlog.unwritten();
        if left > 0 {
            error!(self.log, "readings are lost: the database does not take them"; "readings" => left);
        }
        self.link.close();
    }

    /// The worker's own code failed, which is as good as a failing disk.
    pub(super) fn panicked(&mut self, now: Instant, reason: &str) {
        self.fail(now, &Failure::Other(format!("panic: {reason}")));
    }

    fn open(&mut self, now: Instant) -> bool {
        let shared = Arc::clone(&self.shared);
        let opened = self
            .link
            .open(clock::now(), &shared.counters)
            .and_then(|database| {
                let undated = database.take_over(self.limits.undated)?;
                if let Some(boot_time) = self.boot_time {
                    database.resolve_stamps(boot_time)?;
                }
                let held = shared.front().backlog.held();
                Ok((database.meters()?, database.scan(&held)?, undated))
            });
        match opened {
            Ok((stored, scan, undated)) => {
                self.tell_undated(undated);
                if let Some((_, unusable @ 1..)) = stored {
                    warn!(self.log, "stored meters make no sense and are left out"; "meters" => unusable);
                }
                let mut front = shared.front();
                front.backlog.attach(scan);
                if self.meters.are_known() {
                    front.meters = MetersToWrite::Everything;
                }
                drop(front);
                self.restore(stored.map(|(meters, _)| meters));
                if self.link.retry_at().is_none() {
                    shared.health.send_replace(Health::Working);
                }
                true
            }
            Err(failure) => {
                if self.restored.is_some()
                    && let Some(meters) = self.link.read_only_meters()
                {
                    self.restore(Some(meters));
                }
                self.fail(now, &failure);
                false
            }
        }
    }

    fn tell_undated(&self, readings: usize) {
        match self.limits.undated {
            _ if readings == 0 => {}
            Undated::Estimate => {
                warn!(self.log, "readings of an earlier start of the system, whose clock was never right: their times are estimated";
                    "reason" => "clock", "readings" => readings);
            }
            Undated::Drop => {
                warn!(self.log, "readings of an earlier start of the system, whose clock was never right, are dropped";
                    "reason" => "clock", "readings" => readings);
                self.shared
                    .counters
                    .add(Count::OutboxUndated, readings as u64);
            }
        }
    }

    /// A connection that cannot write may be to a disk that is there no more. It is kept only for what can still be read from it.
    fn reconnect_if_useless(&mut self, now: Instant) {
        let mut front = self.shared.front();
        if !front.backlog.more_on_disk() && self.link.let_go() {
            front.backlog.detach(now);
        }
    }

    fn restore(&mut self, meters: Option<Vec<StoredMeter>>) {
        if let Some(restored) = self.restored.take() {
            // Nobody waits for it if the gateway is stopping.
            let _ = restored.send(meters);
        }
    }

    fn waiting(&mut self, now: Instant) -> Waiting {
        if let Some(age) = &mut self.age {
            self.too_old = self.too_old.or(age.too_old(now, clock::now()));
        }
        let flush = !self.all_on_disk();
        let front = self.shared.front();
        Waiting {
            readings_since: front.backlog.unwritten_since(),
            deletions_since: front.deletions_since,
            many_deletions: front.backlog.deletions() >= MANY_DELETIONS,
            sweep: self.too_old.is_some() && front.backlog.waiting() > 0,
            urgent: front.meters != MetersToWrite::Nothing || flush && !front.flushes.is_empty(),
        }
    }

    fn commit(&mut self, now: Instant, force: bool) {
        let (batch, to_write) = {
            let mut front = self.shared.front();
            front.busy_since = Some(now);
            let to_write = std::mem::replace(&mut front.meters, MetersToWrite::Nothing);
            (front.backlog.batch(), to_write)
        };
        let meters = match to_write {
            MetersToWrite::Nothing => None,
            MetersToWrite::Set => self.meters.stored(false),
            MetersToWrite::Everything => self.meters.stored(true),
        };
        let history = self.history(now);
        let Some(database) = self.link.database() else {
            return;
        };
        let commit = Commit {
            batch,
            meters: meters.as_deref(),
            too_old: self.too_old.take(),
            boot_time: self.boot_time,
            history,
            force,
        };
        let done = database
            .commit(&commit, self.limits.bytes)
            .or_else(|failure| match failure {
                Failure::Full(_) => {
                    // The log may begin anew in the room that it has already.
                    database.checkpoint()?;
                    database.commit(&commit, self.limits.bytes)
                }
                failure => Err(failure),
            });
        // A disk that fails to be written may still give its main file, so the set of meters has to be in there.
        let done = done.and_then(|outcome| {
            if meters.is_some() {
                database.checkpoint()?;
            }
            Ok(outcome)
        });
        let batch = commit.batch;
        let mut front = self.shared.front();
        front.busy_since = None;
        match done {
            Ok(outcome) => {
                self.schedule.committed(now, batch.readings_since, force);
                front.backlog.written(batch, outcome.nearly_full);
                front.deletions_since = (front.backlog.deletions() > 0).then_some(now);
                let lost = front.backlog.dropped_from_disk(&outcome.beyond_limit);
                let too_old = front.backlog.dropped_from_disk(&outcome.too_old);
                front.dropped += lost;
                front.expired += too_old;
                front.bytes = outcome.bytes;
                front.oldest = outcome.oldest;
                if self.link.works() {
                    front.backlog.recover();
                    self.shared.health.send_replace(Health::Working);
                }
                drop(front);
                self.shared.counters.add(Count::OutboxDropped, lost);
                self.shared.counters.add(Count::OutboxExpired, too_old);
            }
            Err(failure) => {
                front.backlog.not_written(batch);
                front.meters = front.meters.max(to_write);
                drop(front);
                if let Some(mut recorder) = self.shared.history() {
                    recorder.give_back(commit.history.ended);
                }
                self.fail(now, &failure);
            }
        }
        self.shared.taker.notify_one();
    }

    /// What of the history is to be written with this commit: now and then what is complete, and at the end everything.
    fn history(&mut self, now: Instant) -> History {
        let (Some(limits), Some(mut recorder)) = (self.limits.history, self.shared.history())
        else {
            return History::default();
        };
        let due =
            |at: Option<Instant>, interval| at.is_none_or(|at| now.duration_since(at) >= interval);
        let ended = if self.stopping {
            recorder.take_all()
        } else if due(self.recorded_at, RECORD_INTERVAL) {
            self.recorded_at = Some(now);
            recorder.take_ended(clock::now())
        } else {
            Vec::new()
        };
        let sweep = !ended.is_empty() && due(self.swept_at, SWEEP_INTERVAL);
        if sweep {
            self.swept_at = Some(now);
        }
        History {
            ended,
            sweep: sweep.then(|| (clock::now().as_second(), limits)),
        }
    }

    /// Fills the window on the disk. Answers whether there was anything to do.
    fn load(&mut self, now: Instant) -> bool {
        let Some((behind, at_most)) = self.shared.front().backlog.wants() else {
            return false;
        };
        let Some(database) = self.link.database() else {
            return false;
        };
        match database.load(behind, at_most) {
            Ok(rows) => {
                self.shared.front().backlog.loaded(rows);
                self.shared.taker.notify_one();
                true
            }
            Err(failure) => {
                self.fail(now, &failure);
                false
            }
        }
    }

    fn fail(&mut self, now: Instant, failure: &Failure) {
        let readable = self.link.fail(now, failure);
        let mut front = self.shared.front();
        front.busy_since = None;
        if !readable {
            front.backlog.detach(now);
        }
        front.backlog.fail();
        drop(front);
        self.shared.counters.increment(Count::DatabaseFailures);
        self.shared.health.send_modify(|health| {
            let since = match health {
                Health::Failing { since, .. } => *since,
                Health::Opening | Health::Working => clock::now(),
            };
            *health = Health::Failing {
                since,
                reason: failure.to_string(),
            };
        });
        self.shared.taker.notify_one();
    }

    /// Gives room back that a long backlog has left in the file.
    fn tidy(&mut self, now: Instant) {
        if self
            .tidied_at
            .is_some_and(|at| now.duration_since(at) < TIDY_INTERVAL)
        {
            return;
        }
        self.tidied_at = Some(now);
        if let Some(database) = self.link.database()
            && let Err(failure) = database.shrink()
        {
            self.fail(now, &failure);
        }
    }

    fn all_on_disk(&self) -> bool {
        let front = self.shared.front();
        front.backlog.unwritten() == 0
            && front.meters == MetersToWrite::Nothing
            && self.schedule.all_forced()
    }

    /// Answers those who wait for the disk.
    fn answer(&mut self) {
        self.answer_flushes();
        self.answer_questions();
    }

    /// What memory holds comes on top of what can be read. A disk that fails here fails its next commit too.
    fn answer_questions(&mut self) {
        let questions = std::mem::take(&mut self.shared.front().questions);
        for (question, answer) in questions {
            let read = self
                .link
                .database()
                .map(|database| database.history(&question));
            let mut points = read.and_then(Result::ok).unwrap_or_default();
            if let Some(recorder) = self.shared.history() {
                recorder.add_to(&mut points, &question.meter, question.span);
            }
            // Whoever asked may have gone.
            let _ = answer.send(points);
        }
    }

    fn answer_flushes(&mut self) {
        let failing = self.link.retry_at().is_some();
        if failing || self.all_on_disk() {
            for flush in self.shared.front().flushes.drain(..) {
                // Whoever asked may have gone.
                let _ = flush.send(!failing);
            }
        }
    }
}

/// So many deletions are worth a commit of their own.
pub(super) const MANY_DELETIONS: usize = 4096;

/// How often to look at a clock that is not right.
const CLOCK_INTERVAL: Duration = Duration::from_secs(1);
/// How often complete points of the history are looked for.
const RECORD_INTERVAL: Duration = Duration::from_secs(10);

/// How often points of the history are looked for that are too old.
const SWEEP_INTERVAL: Duration = Duration::from_secs(3600);

/// How often to look whether the file should be smaller.
const TIDY_INTERVAL: Duration = Duration::from_secs(60);
