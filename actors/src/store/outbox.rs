//! What is in the outbox: readings on their way to the broker.
//!
//! One row is one telegram's reading. It goes through these states:
//!
//! * *waiting* from [`DiskStore::push`] on; it can be taken for sending when it was committed to the disk, or at once while the disk does
//!   not work, and if the time at which it was received is known;
//! * *sent* from [`DiskStore::next`] on, which hands out the oldest row of each meter in turn, each row once;
//! * gone after [`DiskStore::remove`], when all its messages are acknowledged;
//! * waiting again after [`DiskStore::rewind`], when the connection was lost or the Publisher began a new life: in its old place, so that
//!   the order within a meter never changes.
//!
//! [`DiskStore::push`]: super::disk::DiskStore::push
//! [`DiskStore::next`]: super::disk::DiskStore::next
//! [`DiskStore::remove`]: super::disk::DiskStore::remove
//! [`DiskStore::rewind`]: super::disk::DiskStore::rewind

use std::sync::Arc;

use jiff::Timestamp;

use crate::clock::Stamp;
use crate::meter::MeterName;

/// A reading that is to go into the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRow {
    /// Whose reading it is.
    pub meter: Arc<MeterName>,
    /// When the telegram was received. A row that is handed out has a time.
    pub received_at: Stamp,
    /// What the outputs keep of the reading, as [`crate::output::Outputs`] packs it. The store does not look into it.
    pub body: Box<[u8]>,
}

/// A reading in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What it is called as long as the program runs.
    pub id: RowId,
    /// The reading.
    pub reading: NewRow,
}

impl Row {
    /// Whether its time is known, if the system was started then.
    pub(super) fn is_dated(&self, boot_time: Option<Timestamp>) -> bool {
        boot_time.is_some() || self.reading.received_at.time().is_some()
    }

    /// The row with its time.
    pub(super) fn dated(self: &Arc<Self>, boot_time: Option<Timestamp>) -> Arc<Self> {
        if self.reading.received_at.time().is_some() {
            return Arc::clone(self);
        }
        let mut row = Self::clone(self);
        row.reading.received_at = row.reading.received_at.resolve(boot_time);
        Arc::new(row)
    }
}

/// Names a row. Of one meter, the older row has the lower one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId(pub u64);

/// How an outbox stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutboxState {
    /// Rows that wait to be sent.
    pub waiting: usize,
    /// Rows that were sent and are not acknowledged.
    pub sent: usize,
    /// About how much room the database takes, in bytes.
    pub bytes: u64,
    /// When the oldest of them was received, if that is known.
    pub oldest: Option<Timestamp>,
    /// Rows dropped because there was no room, since the program started.
    pub dropped: u64,
    /// Rows dropped because they were too old, since the program started.
    pub expired: u64,
}
