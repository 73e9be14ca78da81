//! A row of the outbox, with what the store has to know of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering::Relaxed};

use super::turns::Place;
use crate::meter::MeterName;
use crate::store::outbox::Row;

/// A row that is in memory. It may be on disk too.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) row: Arc<Row>,
    pub(super) place: Place,
    /// 0 until it has a name in the database.
    seq: AtomicI64,
    crashes: AtomicU8,
}

/// Names a row in the database: rises with every row, so that the lowest is the oldest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Seq(pub(super) i64);

impl Entry {
    pub(super) fn new(row: Row, place: Place) -> Self {
        Self {
            row: Arc::new(row),
            place,
            seq: AtomicI64::new(0),
            crashes: AtomicU8::new(0),
        }
    }

    /// A row that was read from the database.
    pub(super) fn stored(row: Row, place: Place, seq: Seq, crashes: u8) -> Self {
        Self {
            seq: AtomicI64::new(seq.0),
            crashes: AtomicU8::new(crashes),
            ..Self::new(row, place)
        }
    }

    pub(super) fn meter(&self) -> &Arc<MeterName> {
        &self.row.reading.meter
    }

    /// Its name in the database, once it has one. It may be there then, or the attempt to write it may have failed.
    pub(super) fn seq(&self) -> Option<Seq> {
        match self.seq.load(Relaxed) {
            0 => None,
            seq => Some(Seq(seq)),
        }
    }

    /// Its name in the database, which is `next` if it had none.
    pub(super) fn seq_or(&self, next: &mut i64) -> Seq {
        self.seq().unwrap_or_else(|| {
            let seq = *next;
            *next += 1;
            self.seq.store(seq, Relaxed);
            Seq(seq)
        })
    }

    /// How often its handling has failed the Publisher.
    pub(super) fn crashes(&self) -> u8 {
        self.crashes.load(Relaxed)
    }

    pub(super) fn count_crash(&self) -> u8 {
        self.crashes.fetch_add(1, Relaxed).saturating_add(1)
    }

    /// About what it costs in memory.
    pub(super) fn weight(&self) -> usize {
        self.row.reading.body.len() + OVERHEAD
    }
}

/// A row without its body, with its places in the maps that lead to it.
const OVERHEAD: usize = 384;
