//! The feed: what was logged lately, on its way to `bridge/logging`.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::request::LogLevel;

/// Filled by the log, emptied by the bridge. Bounded: what finds no room is counted. Closed until a bridge listens.
#[derive(Default)]
pub struct Feed {
    open: AtomicBool,
    content: Mutex<Content>,
}

#[derive(Default)]
struct Content {
    lines: VecDeque<Line>,
    missed: u64,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// How important.
    pub level: LogLevel,
    /// What happened, with the values that belong to it.
    pub message: String,
}

impl Feed {
    /// Takes a line in, from any thread, at once; where nobody listens it is not even made.
    pub fn push(&self, line: impl FnOnce() -> Line) {
        if !self.open.load(Relaxed) {
            return;
        }
        let line = line();
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        if content.lines.len() < MOST {
            content.lines.push_back(line);
        } else {
            content.missed += 1;
        }
    }

    /// Somebody listens from now on.
    pub(super) fn open(&self) {
        self.open.store(true, Relaxed);
    }

    /// Everything since the last call, and how many lines found no room.
    pub(super) fn take(&self) -> (VecDeque<Line>, u64) {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        let Content { lines, missed } = std::mem::take(&mut *content);
        (lines, missed)
    }
}

/// Lines that wait.
const MOST: usize = 100;
