//! Rejects: the telegrams that the gateway could not use, kept for the curious. Bounded: the oldest go first. Bytes are kept as they were
//! received, so what was encrypted stays encrypted.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::supervision::unwinding;

/// A telegram that was rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The actor that rejected it, or that failed while it handled it.
    pub actor: &'static str,
    /// As received; at most [`Rejects::LONGEST`] bytes of it.
    pub telegram: Box<[u8]>,
    /// Why, without secrets.
    pub reason: String,
    /// When it was rejected.
    pub at: Timestamp,
}

/// The list of rejects; clones are the same list, which may be used from any thread.
#[derive(Clone)]
pub struct Rejects(Arc<List>);

struct List {
    capacity: usize,
    total: AtomicU64,
    newest_last: Mutex<VecDeque<Reject>>,
}

impl Rejects {
    /// No telegram of the standard is longer with its checksums.
    pub const LONGEST: usize = 512;

    /// An empty list that keeps the newest `capacity` rejects; 0 keeps none and only counts.
    pub fn new(capacity: usize) -> Self {
        Self(Arc::new(List {
            capacity,
            total: AtomicU64::new(0),
            newest_last: Mutex::new(VecDeque::new()),
        }))
    }

    /// Adds a telegram, and drops the oldest where there are too many.
    pub fn push(
        &self,
        actor: &'static str,
        telegram: &[u8],
        reason: impl Into<String>,
        at: Timestamp,
    ) {
        let telegram = telegram.get(..Self::LONGEST).unwrap_or(telegram).into();
        self.0.total.fetch_add(1, Relaxed);
        let mut list = self.list();
        list.push_back(Reject {
            actor,
            telegram,
            reason: reason.into(),
            at,
        });
        while list.len() > self.0.capacity {
            list.pop_front();
        }
    }

    /// What is kept, oldest first.
    pub fn list_all(&self) -> Vec<Reject> {
        self.list().iter().cloned().collect()
    }

    /// How many there were since the start, kept or not.
    pub fn total(&self) -> u64 {
        self.0.total.load(Relaxed)
    }

    /// Call this first in a handler with a clone of the telegram, and keep what it returns to the handler's end: if the handler panics,
    /// the telegram is put on this list. The supervisor counts it as lost.
    pub fn hold<T: AsRef<[u8]>>(&self, actor: &'static str, telegram: T) -> InHand<T> {
        InHand {
            rejects: self.clone(),
            actor,
            telegram,
        }
    }

    fn list(&self) -> MutexGuard<'_, VecDeque<Reject>> {
        // A push cannot panic half-way, so a poisoned list is as good as any.
        self.0
            .newest_last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The telegram in hand, for as long as its handler runs.
#[must_use = "the telegram is in hand until this is dropped"]
pub struct InHand<T: AsRef<[u8]>> {
    rejects: Rejects,
    actor: &'static str,
    telegram: T,
}

impl<T: AsRef<[u8]>> Drop for InHand<T> {
    fn drop(&mut self) {
        if let Some(panic) = unwinding() {
            self.rejects.push(
                self.actor,
                self.telegram.as_ref(),
                panic.to_string(),
                Timestamp::now(),
            );
        }
    }
}
