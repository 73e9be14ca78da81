//! Backlog: which readings there are, where each of them is, and which is next. Pure: no clock, file or lock.
//!
//! ```text
//!           push                  written                  loaded
//!  reading ─────▶ unwritten ────────────────▶ only on disk ───────┐
//!                     │         └───────────────────────────────┐ │
//!                     │ while the disk fails                    ▼ ▼      next          remove
//!                     └──────────────────────────────────────▶  ready  ────────▶ sent ────────▶ to be deleted
//!                                                                 ▲               │
//!                                                                 └───────────────┘ rewind
//! ```
//!
//! Memory is bounded: `ready` is a window on the disk, `sent` is bounded by the sender, and `unwritten` in bytes; beyond that the oldest
//! readings go, counted.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::batch::{Batch, Insert, Stored};
use super::row::{Entry, Seq};
use super::turns::{Line, Place, Turns};
use super::unwritten::{Memories, Unwritten};
use crate::meter::MeterName;
use crate::raw_telegram::RawTelegram;
use crate::store::outbox::{NewRow, Row, RowId};

/// See the [module documentation](self).
#[derive(Debug)]
pub(super) struct Backlog {
    next_id: u64,
    next_seq: i64,
    turns: Turns,
    /// When the system was started, while the clock is right. Rows whose time depends on it wait for it.
    boot_time: Option<Timestamp>,
    unwritten: Unwritten,
    ready: BTreeMap<(Place, RowId), Arc<Entry>>,
    sent: BTreeMap<RowId, Arc<Entry>>,
    /// The names of those rows that are in memory and may be on disk too.
    held: HashSet<Seq>,
    /// What is only on disk lies behind this.
    loaded_to: (Place, Seq),
    /// How many rows are only on disk.
    unloaded: u64,
    /// The disk can be read.
    readable: bool,
    /// The disk cannot be written: readings continue from memory.
    failing: bool,
    deletions: BTreeSet<Seq>,
    crashes: BTreeMap<Seq, u8>,
    /// Of sources that lose nothing, while the disk has hardly any room left: they wait for these.
    held_back: Vec<RawTelegram>,
}

/// What a database holds, as far as the backlog needs to know.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// How many rows that are not held.
    pub(super) rows: u64,
    /// The highest name of a row; 0 if there is none.
    pub(super) last_seq: i64,
    /// The first place, if there is a row.
    pub(super) first: Option<Place>,
    /// The meters with rows.
    pub(super) lines: Vec<(Arc<MeterName>, Line)>,
}

impl Backlog {
    /// An empty backlog with no database yet.
    pub(super) fn new(memory_limit: usize) -> Self {
        Self {
            next_id: 1,
            next_seq: 1,
            turns: Turns::new(),
            boot_time: None,
            unwritten: Unwritten::new(memory_limit),
            ready: BTreeMap::new(),
            sent: BTreeMap::new(),
            held: HashSet::new(),
            loaded_to: START,
            unloaded: 0,
            readable: false,
            failing: false,
            deletions: BTreeSet::new(),
            crashes: BTreeMap::new(),
            held_back: Vec::new(),
        }
    }

    /// How many readings wait to be sent.
    pub(super) fn waiting(&self) -> u64 {
        (self.ready.len() + self.unwritten.unserved()) as u64 + self.unloaded
    }

    /// How many were sent and not removed.
    pub(super) fn sent(&self) -> usize {
        self.sent.len()
    }

    /// How many readings are not on disk.
    pub(super) fn unwritten(&self) -> usize {
        self.unwritten.len()
    }

    /// How many rows are in memory.
    #[cfg(test)]
    pub(super) fn in_memory(&self) -> usize {
        self.ready.len() + self.sent.len() + self.unwritten.unserved()
    }

    /// When the oldest reading came that is not on disk.
    pub(super) fn unwritten_since(&self) -> Option<Instant> {
        self.unwritten.since()
    }

    /// When the oldest reading in memory was received, of those that are not on disk or were sent.
    pub(super) fn oldest_in_memory(&self) -> Option<Timestamp> {
        let sent = self.sent.values().next();
        let oldest = sent.into_iter().chain(self.unwritten.oldest());
        oldest
            .filter_map(|entry| entry.row.reading.received_at.time())
            .min()
    }

    /// How many rows are to be deleted or marked on disk.
    pub(super) fn deletions(&self) -> usize {
        self.deletions.len() + self.crashes.len()
    }

    /// Whether a reading can be sent.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Adds a reading, with what is known of its meter after it. The telegram is kept until the reading is on disk. Answers how many old
    /// readings had to go for it.
    pub(super) fn push(
        &mut self,
        reading: NewRow,
        memory: Option<Box<[u8]>>,
        raw: Option<RawTelegram>,
        now: Instant,
    ) -> u64 {
        let id = self.new_id();
        let place = self.turns.place(&reading.meter);
        let entry = Arc::new(Entry::new(Row { id, reading }, place));
        self.unwritten.push(entry, memory, raw, now);
        if self.failing {
            let (all, behind) = (self.all_is_in_memory(), self.loaded_to.0);
            let served = self
                .unwritten
                .serve_one(id, |entry| all || entry.place < behind);
            served.into_iter().for_each(|entry| self.make_ready(entry));
        }
        let mut dropped = 0;
        while let Some(entry) = self.unwritten.excess(|id| self.sent.contains_key(&id)) {
            self.ready.remove(&(entry.place, entry.row.id));
            self.forget(&entry);
            dropped += 1;
        }
        dropped
    }

    /// The clock is right, or not any more.
    pub(super) fn set_boot_time(&mut self, boot_time: Option<Timestamp>) {
        self.boot_time = boot_time;
    }

    /// The next reading to send: oldest first within a meter, the meters in turns. One whose time is not known yet is left where it is.
    pub(super) fn next(&mut self) -> Option<Arc<Row>> {
        let (&key, entry) = self
            .ready
            .iter()
            .find(|(_, entry)| entry.row.is_dated(self.boot_time))?;
        let row = entry.row.dated(self.boot_time);
        let entry = self.ready.remove(&key)?;
        self.turns.goes_out(entry.place);
        self.sent.insert(row.id, entry);
        Some(row)
    }

    /// A reading that was sent leaves the outbox: it has arrived, or never will. It is given back if it was there.
    pub(super) fn remove(&mut self, id: RowId) -> Option<Arc<Row>> {
        let entry = self.sent.remove(&id)?;
        self.forget(&entry);
        Some(Arc::clone(&entry.row))
    }

    /// What was sent can be sent again.
    pub(super) fn rewind(&mut self) {
        while let Some((_, entry)) = self.sent.pop_first() {
            self.make_ready(entry);
        }
    }

    /// Handling a reading failed its sender. The reading leaves the outbox, and is given back, if that has happened too often.
    pub(super) fn crashed(&mut self, id: RowId) -> Option<Arc<Row>> {
        let entry = self.sent.get(&id)?;
        let crashes = entry.count_crash();
        if crashes >= CRASHES_ALLOWED {
            return self.remove(id);
        }
        if let Some(seq) = entry.seq() {
            self.crashes.insert(seq, crashes);
        }
        None
    }

    /// The disk cannot be written: readings continue from memory.
    pub(super) fn fail(&mut self) {
        self.failing = true;
        self.serve_unwritten();
    }

    /// The disk takes too long: all that waits for it can be sent.
    pub(super) fn do_not_wait_for_disk(&mut self) {
        let served = self.unwritten.serve(|_| true);
        served.into_iter().for_each(|entry| self.make_ready(entry));
    }

    /// The disk can be written again.
    pub(super) fn recover(&mut self) {
        self.failing = false;
    }

    /// The database is closed. Everything of which memory has a copy is to be written to the next, which may not have it.
    pub(super) fn detach(&mut self, now: Instant) {
        self.readable = false;
        for entry in self.ready.values().chain(self.sent.values()) {
            self.unwritten.push_served(entry, now);
        }
    }

    /// The names of the rows that are in memory and may be on disk too.
    pub(super) fn held(&self) -> Vec<Seq> {
        self.held.iter().copied().collect()
    }

    /// Takes up a database that was opened.
    pub(super) fn attach(&mut self, scan: Scan) {
        // No name is given twice.
        self.next_seq = self.next_seq.max(scan.last_seq + 1);
        if let Some(first) = scan.first {
            self.turns.restore(first.turn(), scan.lines);
        }
        self.loaded_to = START;
        self.unloaded = scan.rows;
        self.readable = true;
    }

    /// What is to be written now.
    pub(super) fn batch(&mut self) -> Batch {
        let (inserts, memories) = self.unwritten.batch(&mut self.next_seq);
        self.held.extend(inserts.iter().map(|insert| insert.seq));
        Batch {
            readings_since: self.unwritten.since(),
            inserts,
            memories,
            deletions: self.deletions.iter().copied().take(DELETIONS).collect(),
            crashes: self
                .crashes
                .iter()
                .map(|(&seq, &crashes)| (seq, crashes))
                .collect(),
        }
    }

    /// The batch could not be written.
    pub(super) fn not_written(&mut self, batch: Batch) {
        self.unwritten.batch_ended(batch.memories);
    }

    /// The batch is committed. Rows of it may have left the outbox meanwhile.
    pub(super) fn written(&mut self, batch: Batch, nearly_full: bool) {
        self.unwritten.batch_ended(Memories::new());
        if !nearly_full {
            self.held_back.clear();
        }
        for seq in &batch.deletions {
            self.deletions.remove(seq);
        }
        for (seq, crashes) in batch.crashes {
            if self.crashes.get(&seq) == Some(&crashes) {
                self.crashes.remove(&seq);
            }
        }
        for Insert { entry, seq } in batch.inserts {
            let Some(item) = self.unwritten.remove(entry.row.id) else {
                continue;
            };
            self.held_back
                .extend(item.raw.filter(|raw| nearly_full && raw.is_lossless()));
            if item.served {
                continue;
            }
            let key = (entry.place, seq);
            let joins_end = self.unloaded == 0 && self.ready.len() < WINDOW;
            if self.readable && (joins_end || key <= self.loaded_to) {
                self.loaded_to = self.loaded_to.max(key);
                self.make_ready(entry);
            } else {
                self.held.remove(&seq);
                self.unloaded += 1;
            }
        }
        self.shrink_window();
    }

    /// These had to go from the database. Answers how many readings are lost by that: what was sent may arrive all the same.
    pub(super) fn dropped_from_disk(&mut self, rows: &[(Place, Seq)]) -> u64 {
        let mut lost = 0;
        for &(place, seq) in rows {
            if !self.held.contains(&seq) {
                self.unloaded = self.unloaded.saturating_sub(1);
                lost += 1;
                continue;
            }
            let of_place = (place, RowId(0))..=(place, RowId(u64::MAX));
            let mut ready = self.ready.range(of_place);
            if let Some((&key, _)) = ready.find(|(_, entry)| entry.seq() == Some(seq)) {
                self.ready.remove(&key);
                self.held.remove(&seq);
                lost += 1;
            }
        }
        lost
    }

    /// Whether there are rows that only the disk has.
    pub(super) fn more_on_disk(&self) -> bool {
        self.unloaded > 0
    }

    /// Behind which row to load how many, if any are wanted.
    pub(super) fn wants(&self) -> Option<((Place, Seq), usize)> {
        let wanted = self.readable
            && self.unloaded > 0
            && self.ready.len() < WINDOW / 2
            && !self.too_many_marks();
        wanted.then_some((self.loaded_to, WINDOW))
    }

    /// These are the next rows in the database, all there are if they are fewer than wanted.
    pub(super) fn loaded(&mut self, rows: Vec<Stored>) {
        let all = rows.len() < WINDOW;
        for stored in rows {
            let seq = stored.seq;
            self.loaded_to = self.loaded_to.max((stored.place, seq));
            if self.held.contains(&seq) || self.deletions.contains(&seq) {
                continue;
            }
            self.unloaded = self.unloaded.saturating_sub(1);
            self.held.insert(seq);
            let entry = stored.into_entry(self.new_id());
            self.make_ready(Arc::new(entry));
        }
        if all {
            self.unloaded = 0;
        }
        if self.failing {
            self.serve_unwritten();
        }
    }

    fn new_id(&mut self) -> RowId {
        let id = RowId(self.next_id);
        self.next_id += 1;
        id
    }

    fn make_ready(&mut self, entry: Arc<Entry>) {
        self.ready.insert((entry.place, entry.row.id), entry);
    }

    /// Readings that wait for the disk can be sent, unless older ones of their meter may be on the disk.
    fn serve_unwritten(&mut self) {
        let (all, behind) = (self.all_is_in_memory(), self.loaded_to.0);
        let served = self.unwritten.serve(|entry| all || entry.place < behind);
        served.into_iter().for_each(|entry| self.make_ready(entry));
    }

    /// Nothing more can be had from the disk.
    fn all_is_in_memory(&self) -> bool {
        !self.readable || self.unloaded == 0 || self.too_many_marks()
    }

    /// Deliveries that cannot be marked on disk are all repeated after a restart.
    fn too_many_marks(&self) -> bool {
        self.failing && self.deletions.len() >= MARKS_KEPT
    }

    /// A row left the outbox.
    fn forget(&mut self, entry: &Entry) {
        if let Some(seq) = entry.seq() {
            self.held.remove(&seq);
            self.crashes.remove(&seq);
            self.deletions.insert(seq);
        }
        self.unwritten.forget(entry.row.id);
    }

    /// Keeps the window bounded when rows joined it in the middle: its end goes back to be only on disk.
    fn shrink_window(&mut self) {
        while self.readable
            && !self.failing
            && self.ready.len() > 2 * WINDOW
            && let Some((key, entry)) = self.ready.pop_last()
        {
            let written = entry
                .seq()
                .filter(|_| !self.unwritten.contains(entry.row.id));
            let Some(seq) = written else {
                self.ready.insert(key, entry);
                break;
            };
            self.held.remove(&seq);
            self.unloaded += 1;
            self.loaded_to = self.loaded_to.min((entry.place, Seq(seq.0 - 1)));
        }
    }
}

/// Before every row.
const START: (Place, Seq) = (Place::FIRST, Seq(0));

/// A row is given up when its handling failed so often.
const CRASHES_ALLOWED: u8 = 2;

/// Rows that are loaded from the disk at once.
pub(super) const WINDOW: usize = 512;

/// Rows that are deleted in one commit.
const DELETIONS: usize = 8192;

/// Deliveries that are remembered while the disk cannot be written.
const MARKS_KEPT: usize = 65_536;
