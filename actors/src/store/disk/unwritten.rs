//! Unwritten: the readings that are not on disk yet, with what is to be written with them. Pure. Bounded in bytes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use super::batch::Insert;
use super::row::Entry;
use crate::meter::MeterName;
use crate::raw_telegram::RawTelegram;
use crate::store::outbox::RowId;

/// See the [module documentation](self).
#[derive(Debug)]
pub(super) struct Unwritten {
    limit: usize,
    bytes: usize,
    items: BTreeMap<RowId, Item>,
    /// How many of them can be had nowhere else.
    unserved: usize,
    /// Of meters whose readings left before they were written.
    memories: Memories,
    /// The last row of the batch that is being written.
    writing: Option<RowId>,
}

/// A reading that is not on disk.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) entry: Arc<Entry>,
    pub(super) raw: Option<RawTelegram>,
    /// It can be sent, or was, although it is not on disk.
    pub(super) served: bool,
    memory: Option<Box<[u8]>>,
    since: Instant,
}

/// What is known of meters after their readings; the reading tells which is the latest.
pub(super) type Memories = HashMap<Arc<MeterName>, (RowId, Box<[u8]>)>;

impl Unwritten {
    /// Nothing yet, and never more than about `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            bytes: 0,
            items: BTreeMap::new(),
            unserved: 0,
            memories: Memories::new(),
            writing: None,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn contains(&self, id: RowId) -> bool {
        self.items.contains_key(&id)
    }

    /// How many of them can be had nowhere else.
    pub(super) fn unserved(&self) -> usize {
        self.unserved
    }

    /// When the oldest came.
    pub(super) fn since(&self) -> Option<Instant> {
        self.items.values().next().map(|item| item.since)
    }

    /// The oldest.
    pub(super) fn oldest(&self) -> Option<&Arc<Entry>> {
        self.items.values().next().map(|item| &item.entry)
    }

    pub(super) fn push(
        &mut self,
        entry: Arc<Entry>,
        memory: Option<Box<[u8]>>,
        raw: Option<RawTelegram>,
        now: Instant,
    ) {
        self.bytes += entry.weight();
        self.unserved += 1;
        self.items.insert(
            entry.row.id,
            Item {
                entry,
                raw,
                served: false,
                memory,
                since: now,
            },
        );
    }

    /// A row that can be sent, or was, and is to be written all the same.
    pub(super) fn push_served(&mut self, entry: &Arc<Entry>, now: Instant) {
        self.items.entry(entry.row.id).or_insert_with(|| {
            self.bytes += entry.weight();
            let entry = Arc::clone(entry);
            Item {
                entry,
                raw: None,
                served: true,
                memory: None,
                since: now,
            }
        });
    }

    /// Takes out a row that was written, or that left the outbox.
    pub(super) fn remove(&mut self, id: RowId) -> Option<Item> {
        let item = self.items.remove(&id)?;
        self.bytes = self.bytes.saturating_sub(item.entry.weight());
        self.unserved -= usize::from(!item.served);
        Some(item)
    }

    /// Takes out a row that left the outbox. What is known of its meter is written all the same.
    pub(super) fn forget(&mut self, id: RowId) {
        if let Some(Item {
            entry,
            memory: Some(memory),
            ..
        }) = self.remove(id)
        {
            keep_latest(&mut self.memories, entry.meter(), (id, memory));
        }
    }

    /// The oldest row that may be dropped, if there are too many. What is being written stays, and what `kept` says.
    pub(super) fn excess(&self, kept: impl Fn(RowId) -> bool) -> Option<Arc<Entry>> {
        if self.bytes <= self.limit {
            return None;
        }
        let mut candidates = self.items.range((
            self.writing
                .map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded),
            std::ops::Bound::Unbounded,
        ));
        candidates
            .find(|&(&id, _)| !kept(id))
            .map(|(_, item)| Arc::clone(&item.entry))
    }

    /// Marks as served, and answers, the rows that can be had nowhere else and that `may` be sent.
    pub(super) fn serve(&mut self, may: impl Fn(&Entry) -> bool) -> Vec<Arc<Entry>> {
        if self.unserved == 0 {
            return Vec::new();
        }
        let waiting = self
            .items
            .values_mut()
            .filter(|item| !item.served && may(&item.entry));
        let served: Vec<_> = waiting
            .map(|item| {
                item.served = true;
                Arc::clone(&item.entry)
            })
            .collect();
        self.unserved -= served.len();
        served
    }

    /// Like [`serve`](Self::serve) for one row.
    pub(super) fn serve_one(
        &mut self,
        id: RowId,
        may: impl Fn(&Entry) -> bool,
    ) -> Option<Arc<Entry>> {
        let item = self
            .items
            .get_mut(&id)
            .filter(|item| !item.served && may(&item.entry))?;
        item.served = true;
        self.unserved -= 1;
        Some(Arc::clone(&item.entry))
    }

    /// The oldest rows, to be written now, and all memories. Rows without a name in the database are given one.
    pub(super) fn batch(&mut self, next_seq: &mut i64) -> (Vec<Insert>, Memories) {
        let mut memories = std::mem::take(&mut self.memories);
        let mut inserts = Vec::new();
        for (&id, item) in self.items.iter().take(BATCH) {
            let entry = Arc::clone(&item.entry);
            inserts.push(Insert {
                seq: entry.seq_or(next_seq),
                entry,
            });
            if let Some(memory) = &item.memory {
                keep_latest(&mut memories, item.entry.meter(), (id, memory.clone()));
            }
            self.writing = Some(id);
        }
        (inserts, memories)
    }

    /// The batch was written or not. What is given back was not.
    pub(super) fn batch_ended(&mut self, memories: Memories) {
        self.writing = None;
        for (meter, memory) in memories {
            keep_latest(&mut self.memories, &meter, memory);
        }
    }
}

fn keep_latest(memories: &mut Memories, meter: &Arc<MeterName>, new: (RowId, Box<[u8]>)) {
    match memories.get_mut(meter) {
        Some(known) if known.0 > new.0 => {}
        Some(known) => *known = new,
        None => {
            memories.insert(Arc::clone(meter), new);
        }
    }
}

/// Rows that are written in one commit.
const BATCH: usize = 2048;
