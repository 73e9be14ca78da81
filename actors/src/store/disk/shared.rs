//! What the database's thread and those who use it share.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{Notify, oneshot, watch};

use super::backlog::Backlog;
use super::history::Question;
use super::worker::MANY_DELETIONS;
use crate::counters::{Count, Counters};
use crate::raw_telegram::RawTelegram;
use crate::store::history::{Points, Recorder};
use crate::store::outbox::{NewRow, OutboxState, Row, RowId};

/// How the database is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It is being opened.
    Opening,
    /// It works.
    Working,
    /// It does not. Readings continue from memory.
    Failing {
        /// Since when.
        since: Timestamp,
        /// Why, as SQLite or the operating system says it.
        reason: String,
    },
}

pub(super) struct Shared {
    front: Mutex<Front>,
    /// The history that is not on disk, if there is to be one. Not locked together with `front`.
    history: Option<Mutex<Recorder>>,
    work: Condvar,
    /// Whoever takes readings waits for this.
    pub(super) taker: Notify,
    pub(super) health: watch::Sender<Health>,
    pub(super) counters: Arc<Counters>,
}

/// Locked for moments only, never while the disk is busy.
pub(super) struct Front {
    pub(super) backlog: Backlog,
    /// When the oldest deletion came that was not committed.
    pub(super) deletions_since: Option<Instant>,
    pub(super) meters: MetersToWrite,
    pub(super) flushes: Vec<oneshot::Sender<bool>>,
    pub(super) questions: Vec<(Question, oneshot::Sender<Points>)>,
    pub(super) stop: bool,
    /// Bytes in use in the database.
    pub(super) bytes: u64,
    /// When the oldest row in the database was received.
    pub(super) oldest: Option<Timestamp>,
    /// How many readings had to go because there was no room.
    pub(super) dropped: u64,
    /// How many readings had to go because they were too old.
    pub(super) expired: u64,
    /// Since when the disk has been busy with a transaction.
    pub(super) busy_since: Option<Instant>,
    woken: bool,
}

/// Which part of the set of meters is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum MetersToWrite {
    Nothing,
    /// The set. What is remembered of the meters is written with their readings.
    Set,
    /// All of it, because the database may not have it.
    Everything,
}

impl Shared {
    pub(super) fn new(memory_limit: usize, history: bool, counters: Arc<Counters>) -> Self {
        let front = Front {
            backlog: Backlog::new(memory_limit),
            deletions_since: None,
            meters: MetersToWrite::Nothing,
            flushes: Vec::new(),
            questions: Vec::new(),
            stop: false,
            bytes: 0,
            oldest: None,
            dropped: 0,
            expired: 0,
            busy_since: None,
            woken: false,
        };
        Self {
            front: Mutex::new(front),
            history: history.then(Mutex::default),
            work: Condvar::new(),
            taker: Notify::new(),
            health: watch::Sender::new(Health::Opening),
            counters,
        }
    }

    pub(super) fn front(&self) -> MutexGuard<'_, Front> {
        self.front.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn history(&self) -> Option<MutexGuard<'_, Recorder>> {
        let history = self.history.as_ref()?;
        Some(history.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells the database's thread that there is something to do.
    pub(super) fn wake(&self, mut front: MutexGuard<'_, Front>) {
        front.woken = true;
        drop(front);
        self.work.notify_one();
    }

    /// Waits until there is something to do, or this moment has come. Answers whether it is time to stop.
    pub(super) fn wait(&self, until: Option<Instant>) -> bool {
        let mut front = self.front();
        while !front.woken && !front.stop {
            front = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => break,
                Some(left) => {
                    self.work
                        .wait_timeout(front, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
                None => self
                    .work
                    .wait(front)
                    .unwrap_or_else(PoisonError::into_inner),
            };
        }
        front.woken = false;
        front.stop
    }
}

/// What the users of the store do. Each is told the time.
impl Shared {
    pub(super) fn push(
        &self,
        reading: NewRow,
        memory: Option<Box<[u8]>>,
        telegram: RawTelegram,
        now: Instant,
    ) {
        let telegram = Some(telegram).filter(RawTelegram::is_lossless);
        let mut front = self.front();
        let first = front.backlog.unwritten() == 0;
        let dropped = front.backlog.push(reading, memory, telegram, now);
        front.dropped += dropped;
        let ready = front.backlog.has_ready() || front.disk_hangs(now);
        if first {
            self.wake(front);
        } else {
            drop(front);
        }
        self.counters.increment(Count::OutboxAccepted);
        self.counters.add(Count::OutboxDropped, dropped);
        if ready {
            self.taker.notify_one();
        }
    }

    pub(super) fn next(&self, now: Instant) -> Option<Arc<Row>> {
        let mut front = self.front();
        if front.disk_hangs(now) {
            front.backlog.do_not_wait_for_disk();
        }
        let row = front.backlog.next();
        if front.backlog.wants().is_some() {
            self.wake(front);
        }
        row
    }

    pub(super) fn remove(&self, id: RowId, now: Instant) {
        let mut front = self.front();
        front.backlog.remove(id);
        self.deletion(front, now);
    }

    pub(super) fn rewind(&self) {
        self.front().backlog.rewind();
        self.taker.notify_one();
    }

    pub(super) fn crashed(&self, id: RowId, now: Instant) -> Option<Arc<Row>> {
        let mut front = self.front();
        let rejected = front.backlog.crashed(id);
        self.deletion(front, now);
        if rejected.is_some() {
            self.counters.increment(Count::OutboxRejected);
        }
        rejected
    }

    pub(super) fn state(&self) -> OutboxState {
        let front = self.front();
        OutboxState {
            waiting: usize::try_from(front.backlog.waiting()).unwrap_or(usize::MAX),
            sent: front.backlog.sent(),
            bytes: front.bytes,
            oldest: front
                .oldest
                .into_iter()
                .chain(front.backlog.oldest_in_memory())
                .min(),
            dropped: front.dropped,
            expired: front.expired,
        }
    }

    pub(super) fn meters_changed(&self) {
        let mut front = self.front();
        front.meters = front.meters.max(MetersToWrite::Set);
        self.wake(front);
    }

    pub(super) fn flush(&self) -> oneshot::Receiver<bool> {
        let (sender, receiver) = oneshot::channel();
        let mut front = self.front();
        front.flushes.push(sender);
        self.wake(front);
        receiver
    }

    /// Asks for points. With too many questions waiting, the answer's sender is dropped.
    pub(super) fn ask(&self, question: Question) -> oneshot::Receiver<Points> {
        let (sender, receiver) = oneshot::channel();
        let mut front = self.front();
        if front.questions.len() < QUESTIONS {
            front.questions.push((question, sender));
            self.wake(front);
        }
        receiver
    }

    pub(super) fn stop(&self) {
        let mut front = self.front();
        front.stop = true;
        self.wake(front);
    }

    /// There is something to delete, which need not be at once.
    fn deletion(&self, mut front: MutexGuard<'_, Front>, now: Instant) {
        let first = front.deletions_since.is_none() && front.backlog.deletions() > 0;
        if first {
            front.deletions_since = Some(now);
        }
        if first || front.backlog.deletions() == MANY_DELETIONS {
            self.wake(front);
        }
    }
}

impl Front {
    /// Whether the disk has been busy for so long that nobody waits for it any more.
    pub(super) fn disk_hangs(&self, now: Instant) -> bool {
        self.busy_since
            .is_some_and(|since| now.saturating_duration_since(since) > PATIENCE)
    }
}

/// Questions for the history that may wait at once.
const QUESTIONS: usize = 16;

/// A transaction that takes longer is a failing disk.
const PATIENCE: Duration = Duration::from_secs(10);
