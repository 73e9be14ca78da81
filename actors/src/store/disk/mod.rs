//! The store on disk: the outbox and the set of monitored meters, in one SQLite database.
//!
//! # What is promised
//! * A reading is committed before it can be taken for sending, and deleted when it was acknowledged: delivered at least once.
//! * When the program ends, however it ends, what was pushed more than a moment before is in the database. When the power fails, what was
//!   pushed at least `sync_interval` before is; with 0, everything that was ever taken for sending.
//! * What is known of a meter after a reading is committed with it, in one transaction.
//! * Oldest first within a meter; the meters take turns (`turns`). Memory does not grow with the backlog (`backlog`).
//! * Beyond the limits in bytes and age the oldest go, counted and reported. A source that loses nothing is made to wait before that.
//! * A reading that came while the clock was not right waits until it is, and has the right time then. One of an earlier start of the system
//!   goes out last, with a time that is marked as estimated, or is dropped (`stamps`).
//! * A row whose handling failed its taker twice is given back as rejected, across restarts.
//! * What meters said over time is kept thinned out, for plots; of that a crash costs at most the points of the present hour (`history`).
//! * A disk that is full, read-only, failing or hanging is a state: readings continue from memory, in the same order, as far as that
//!   reaches, and go to the disk when it works again. A damaged database is moved aside, and a new one begun with what can be rescued.
//!
//! How these rest on what SQLite promises is in `database`; the tables are in `schema`; when commits happen is in `schedule`.
//!
//! # Threads
//! All work on the database happens on one thread (`worker`). The others only touch what is in memory, under a lock that is never held
//! while the disk works; so an actor may call every method here, and none of them waits for the disk.

mod age;
mod backlog;
mod batch;
mod database;
mod failure;
mod history;
mod link;
mod meters;
mod rescue;
mod row;
mod schedule;
mod schema;
mod shared;
mod stamps;
mod state_dir;
mod turns;
mod unwritten;
mod worker;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use slog::Logger;
use tokio::sync::{Notify, oneshot, watch};

use self::history::Question;
use self::shared::Shared;
use self::state_dir::StateDir;
use self::worker::Worker;
use crate::clock;
use crate::counters::Counters;
use crate::meter::MeterName;
use crate::output::recalc::Values;
use crate::raw_telegram::RawTelegram;
use crate::store::history::{Points, Span};
use crate::store::outbox::{NewRow, OutboxState, Row, RowId};
use crate::supervision::catch;

pub use self::history::HistoryLimits;
pub use self::meters::StoredMeter;
pub use self::shared::Health;
pub use self::stamps::Undated;

/// How much is kept, and how surely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// What was pushed longer ago survives a power cut. Zero: before it is sent.
    pub sync_interval: Duration,
    /// Size of the database in bytes, free space in it and the history not counted. Beyond it the oldest readings go.
    pub bytes: u64,
    /// Older readings go.
    pub max_age: Option<Duration>,
    /// Bytes in memory of readings that the disk did not take. Beyond it the oldest go.
    pub memory: usize,
    /// How much history is kept, if any is.
    pub history: Option<HistoryLimits>,
    /// Bytes of SQLite's log when it is copied into the database. It takes about that much room beside the database.
    pub log: u32,
    /// What becomes of readings whose time was never known.
    pub undated: Undated,
}

impl Default for Limits {
    /// 5 s; 256 MiB, which is about a million readings; no limit by age; 16 MiB; no history; 4 MiB; an estimate.
    fn default() -> Self {
        Self {
            sync_interval: Duration::from_secs(5),
            bytes: 256 << 20,
            max_age: None,
            memory: 16 << 20,
            history: None,
            log: 4 << 20,
            undated: Undated::Estimate,
        }
    }
}

/// Tells which meters are monitored when they are to be written. Called on the database's thread.
pub trait MetersSource: Send + Sync {
    /// Whether the gateway was told which meters to monitor.
    fn are_known(&self) -> bool;

    /// The meters; `None` unless they [are known](Self::are_known). Without memory what is stored of that stays.
    fn stored(&self, with_memory: bool) -> Option<Vec<StoredMeter>>;
}

/// The outbox and the set of meters on disk. See the [module documentation](self).
pub struct DiskStore {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Ends with the thread.
    closed: watch::Receiver<()>,
}

/// The meters that an earlier run has stored; `None` if it was never told which. Comes when the database could be read, which on a bad
/// disk may be late or never.
pub type Restored = oneshot::Receiver<Option<Vec<StoredMeter>>>;

impl DiskStore {
    /// Opens the store in a state directory, or makes one. Whatever is wrong with the disk, this succeeds, and [`health`](Self::health)
    /// tells.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn open(
        state_dir: &Path,
        limits: Limits,
        meters: Arc<dyn MetersSource>,
        counters: Arc<Counters>,
        log: Logger,
    ) -> std::io::Result<(Self, Restored)> {
        let shared = Arc::new(Shared::new(
            limits.memory,
            limits.history.is_some(),
            counters,
        ));
        let (restored, receiver) = oneshot::channel();
        let place = Box::new(StateDir::new(state_dir));
        let mut worker = Worker::new(
            Arc::clone(&shared),
            place,
            limits,
            meters,
            restored,
            clock::boot_id(),
            log,
        );
        let seen = Arc::clone(&shared);
        let (closing, closed) = watch::channel(());
        let thread = thread::Builder::new()
            .name("database".to_owned())
            .spawn(move || {
                loop {
                    let next = catch(|| worker.step(Instant::now(), clock::boot_time()))
                        .unwrap_or_else(|panic| {
                            worker.panicked(Instant::now(), &panic.to_string());
                            Some(Instant::now())
                        });
                    if seen.wait(next) {
                        break;
                    }
                }
                worker.finish(Instant::now());
                drop(closing);
            })?;
        Ok((
            Self {
                shared,
                thread: Some(thread),
                closed,
            },
            receiver,
        ))
    }

    /// Adds a reading with what is known of its meter after it. The reading can be sent when it is committed; the telegram is kept until
    /// then.
    pub fn push(&self, reading: NewRow, memory: Option<Box<[u8]>>, telegram: RawTelegram) {
        self.shared.push(reading, memory, telegram, Instant::now());
    }

    /// Adds what a meter said to its history.
    pub fn record(&self, meter: &Arc<MeterName>, received_at: Timestamp, values: &Values) {
        if let Some(mut history) = self.shared.history() {
            history.record(meter, received_at, values);
        }
    }

    /// The next reading to send. It counts as sent until it is removed or everything is rewound.
    pub fn next(&self) -> Option<Arc<Row>> {
        self.shared.next(Instant::now())
    }

    /// Woken when [`next`](Self::next) may have a reading.
    pub fn ready(&self) -> &Notify {
        &self.shared.taker
    }

    /// A reading that was sent has arrived.
    pub fn remove(&self, id: RowId) {
        self.shared.remove(id, Instant::now());
    }

    /// All readings that were sent and not removed can be sent again.
    pub fn rewind(&self) {
        self.shared.rewind();
    }

    /// Handling this reading failed its sender. If that has happened before, the reading leaves the outbox and is given back.
    pub fn crashed(&self, id: RowId) -> Option<Arc<Row>> {
        self.shared.crashed(id, Instant::now())
    }

    /// How the outbox stands.
    pub fn state(&self) -> OutboxState {
        self.shared.state()
    }

    /// The set of meters has changed and is to be written.
    pub fn meters_changed(&self) {
        self.shared.meters_changed();
    }

    /// Waits until all that was given before is on disk for certain. `false` if the disk does not work.
    pub async fn flush(&self) -> bool {
        self.shared.flush().await.unwrap_or(false)
    }

    /// The points of a meter's history from this second on; none if the database does not work, or too many have asked.
    pub async fn history(&self, meter: &MeterName, span: Span, since: i64) -> Points {
        let question = Question {
            meter: meter.clone(),
            span,
            since,
        };
        self.shared.ask(question).await.unwrap_or_default()
    }

    /// How many readings are not on disk.
    pub fn unwritten(&self) -> usize {
        self.shared.front().backlog.unwritten()
    }

    /// How the database is doing, and every change of that.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.shared.health.subscribe()
    }

    /// Whether the disk has been busy for so long that readings continue from memory.
    pub fn hangs(&self) -> bool {
        self.shared.front().disk_hangs(Instant::now())
    }

    /// Leaves everything on disk, as far as the disk works, and closes the database. Nothing that is given afterwards gets there.
    pub async fn close(&self) {
        self.shared.stop();
        let mut closed = self.closed.clone();
        // Nothing is ever sent: it ends with the thread.
        while closed.changed().await.is_ok() {}
    }
}

/// Closes the database too, and waits for the disk.
impl Drop for DiskStore {
    fn drop(&mut self) {
        self.shared.stop();
        if let Some(thread) = self.thread.take() {
            // It catches its own panics.
            let _ = thread.join();
        }
    }
}
