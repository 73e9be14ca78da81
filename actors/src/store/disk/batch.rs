//! What goes to the database and comes from it.

use std::sync::Arc;
use std::time::Instant;

use super::row::{Entry, Seq};
use super::turns::Place;
use super::unwritten::Memories;
use crate::store::outbox::{NewRow, Row, RowId};

/// One commit's changes to the outbox.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) inserts: Vec<Insert>,
    pub(super) deletions: Vec<Seq>,
    /// How often the handling of a row has failed.
    pub(super) crashes: Vec<(Seq, u8)>,
    /// What is known of meters after the readings in the batch.
    pub(super) memories: Memories,
    /// When the oldest of the readings came, if there are any.
    pub(super) readings_since: Option<Instant>,
}

/// A row with its name in the database.
#[derive(Debug)]
pub(super) struct Insert {
    pub(super) entry: Arc<Entry>,
    pub(super) seq: Seq,
}

/// A row as the database has it.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) seq: Seq,
    pub(super) place: Place,
    pub(super) crashes: u8,
    pub(super) reading: NewRow,
}

impl Stored {
    pub(super) fn into_entry(self, id: RowId) -> Entry {
        let row = Row {
            id,
            reading: self.reading,
        };
        Entry::stored(row, self.place, self.seq, self.crashes)
    }
}
