//! Afterthoughts: further answers to a set message that was answered before, on their way from Meters to the Commander.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::SetReport;

/// Bounded: the oldest go first. Clones are the same list; it outlives the lives of both actors.
#[derive(Debug, Clone, Default)]
pub struct Afterthoughts(Arc<Mutex<VecDeque<SetReport>>>);

impl Afterthoughts {
    /// This is to be answered, too.
    pub fn add(&self, report: SetReport) {
        let mut reports = self.lock();
        if reports.len() >= MOST {
            reports.pop_front();
        }
        reports.push_back(report);
    }

    /// All that are there; nobody else gets them.
    pub fn take(&self) -> VecDeque<SetReport> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<SetReport>> {
        // Nothing that is done under the lock can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The Commander takes them every second.
const MOST: usize = 16;
