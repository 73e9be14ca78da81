//! Rejects: the telegrams that the gateway could not use, kept for the curious. Bounded: the oldest go first. Bytes are kept as they were
//! received, so what was encrypted stays encrypted.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::raw_telegram::RawTelegram;
use crate::supervision::{bounded, unwinding};

/// A telegram that was rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The actor that rejected it, or that failed while it handled it.
    pub actor: &'static str,
    /// As received; at most [`Rejects::LONGEST_TELEGRAM`] bytes of it. Of a reading that could not be sent, what was in the outbox.
    pub telegram: Box<[u8]>,
    /// When it was received, UTC.
    pub received_at: Timestamp,
    /// Why, without secrets; at most [`Rejects::LONGEST_REASON`] characters.
    pub reason: String,
}

/// The list of rejects. Clones are the same list; it may be used from any thread.
#[derive(Clone)]
pub struct Rejects(Arc<List>);

struct List {
    capacity: usize,
    total: AtomicU64,
    oldest_first: Mutex<VecDeque<Reject>>,
}

impl Rejects {
    /// Bytes kept of a telegram; none of the standard's is longer, checksums included.
    pub const LONGEST_TELEGRAM: usize = 512;
    /// Characters kept of a reason.
    pub const LONGEST_REASON: usize = 200;

    /// An empty list that keeps the newest `capacity` rejects; 0 keeps none and only counts.
    pub fn new(capacity: usize) -> Self {
        Self(Arc::new(List {
            capacity,
            total: AtomicU64::new(0),
            oldest_first: Mutex::new(VecDeque::new()),
        }))
    }

    /// Adds a telegram, and drops the oldest where there are too many. The bytes are copied, so a telegram that a source waits for is
    /// not held up here.
    pub fn push(&self, actor: &'static str, telegram: &RawTelegram, reason: &str) {
        self.push_bytes(actor, telegram.bytes(), telegram.received_at(), reason);
    }

    /// The same for what is left of a telegram in the outbox.
    pub fn push_bytes(
        &self,
        actor: &'static str,
        bytes: &[u8],
        received_at: Timestamp,
        reason: &str,
    ) {
        self.0.total.fetch_add(1, Relaxed);
        if self.0.capacity == 0 {
            return;
        }
        let reject = Reject {
            actor,
            telegram: bytes.get(..Self::LONGEST_TELEGRAM).unwrap_or(bytes).into(),
            received_at,
            reason: bounded(reason, Self::LONGEST_REASON).to_owned(),
        };
        let mut list = self.lock();
        if list.len() == self.0.capacity {
            list.pop_front();
        }
        list.push_back(reject);
    }

    /// What is kept, oldest first.
    pub fn kept(&self) -> Vec<Reject> {
        self.lock().iter().cloned().collect()
    }

    /// How many there were since the start, kept or not.
    pub fn total(&self) -> u64 {
        self.0.total.load(Relaxed)
    }

    /// Call this first in a handler with (a clone of) the telegram, and keep what it returns to the handler's end: if the handler
    /// panics, the telegram is put on this list. That it is lost is counted by the supervisor.
    pub fn hold<'a>(&'a self, actor: &'static str, telegram: &'a RawTelegram) -> InHand<'a> {
        InHand {
            rejects: self,
            actor,
            telegram,
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Reject>> {
        // Nothing inside a lock can panic half-way, so a poisoned list is as good as any.
        self.0
            .oldest_first
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The telegram in hand, for as long as its handler runs. It is a local variable of the handler, so whatever unwinds the handler comes by.
#[must_use = "the telegram is in hand until this is dropped"]
pub struct InHand<'a> {
    rejects: &'a Rejects,
    actor: &'static str,
    telegram: &'a RawTelegram,
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        if let Some(panic) = unwinding() {
            self.rejects
                .push(self.actor, self.telegram, &panic.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervision::catch;

    fn telegram(byte: u8) -> RawTelegram {
        RawTelegram::radio([byte; 3], Timestamp::UNIX_EPOCH, None)
    }

    #[test]
    fn the_oldest_go_first_and_all_are_counted() {
        let rejects = Rejects::new(2);
        for byte in 1..=3 {
            rejects.push("parser", &telegram(byte), "link layer, byte 3");
        }
        let kept = rejects.kept();
        assert_eq!(
            kept.iter()
                .map(|reject| reject.telegram[0])
                .collect::<Vec<_>>(),
            [2, 3]
        );
        assert_eq!(rejects.total(), 3);

        let none = Rejects::new(0);
        none.push("parser", &telegram(1), "whatever");
        assert_eq!((none.kept(), none.total()), (Vec::new(), 1));
    }

    #[test]
    fn what_is_long_is_cut() {
        let rejects = Rejects::new(1);
        let long = RawTelegram::radio([7; 1000], Timestamp::UNIX_EPOCH, None);
        rejects.push("parser", &long, &"ä".repeat(1000));
        let kept = rejects.kept();
        assert_eq!(kept[0].telegram.len(), 512);
        assert_eq!(kept[0].reason.chars().count(), 200);
    }

    #[test]
    fn only_the_telegram_of_a_handler_that_panics_is_rejected() {
        let rejects = Rejects::new(9);
        let handler = |byte: u8| {
            let telegram = telegram(byte);
            let _hand = rejects.hold("meter_handler", &telegram);
            assert!(byte != 2, "not two");
        };
        assert!(catch(|| handler(1)).is_ok());
        assert!(catch(|| handler(2)).is_err());
        assert!(catch(|| handler(3)).is_ok());
        let kept = rejects.kept();
        assert_eq!(kept.len(), 1);
        assert_eq!(
            (kept[0].actor, &kept[0].telegram[..]),
            ("meter_handler", &[2, 2, 2][..])
        );
        assert!(
            kept[0].reason.contains("rejects.rs:") && kept[0].reason.ends_with(": not two"),
            "{}",
            kept[0].reason
        );
    }
}
