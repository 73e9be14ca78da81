//! The Publisher's care for the retained status.

use std::time::{Duration, Instant};

use slog::info;
use tokio::sync::watch;

use super::in_flight::Sent;
use super::{Publisher, retained};
use crate::clock;
use crate::mqtt::Incoming;
use crate::status::{self, StatusBoard};

/// What is to be done about the status.
pub(super) struct StatusDuty {
    pub(super) changes: watch::Receiver<u64>,
    /// When this life published it.
    last: Option<Instant>,
    /// Somebody says that we are offline.
    contradicted: bool,
    /// The broker has what was said on this connection.
    pub(super) acknowledged: bool,
}

impl StatusDuty {
    pub(super) fn of(board: &StatusBoard) -> Self {
        Self {
            changes: board.changes(),
            last: None,
            contradicted: false,
            acknowledged: false,
        }
    }
}

impl Publisher {
    pub(super) fn say_online(&mut self) {
        self.status.last = Some(Instant::now());
        self.status.contradicted = false;
        self.status.changes.mark_unchanged();
        let status = self.config.status.online(clock::of_reception());
        self.batch
            .push(retained(&self.config.topics.status(), status));
        self.in_flight.push(Sent::Online, 1);
        self.hand_over();
    }

    /// Our own status came back from the broker, or what somebody else says of us: the last will of a connection that died may be published
    /// long after a newer `online`.
    pub(super) fn heard(&mut self, message: &Incoming) {
        // What the broker kept until we came is expected to be old, until it has our new one.
        let old = message.retained && !self.status.acknowledged;
        if self.farewell.is_none() && !old && status::says_offline(&message.payload) {
            info!(
                self.config.log,
                "the broker says that this gateway is offline; saying that it is online"
            );
            self.status.contradicted = true;
            self.keep_status();
        }
    }

    /// Publishes the status if it is time for it.
    pub(super) fn keep_status(&mut self) {
        if !self.uplink.is_connected() || self.farewell.is_some() {
            return;
        }
        let age = self
            .status
            .last
            .map_or(Duration::MAX, |last| last.elapsed());
        let changed = self.status.changes.has_changed().unwrap_or(false);
        if self.status.contradicted && age >= CORRECTION_GAP
            || changed && age >= self.config.status_gap
            || age >= *self.config.status_interval.get()
        {
            self.say_online();
        }
    }
}

/// An `offline` of ours is corrected at most so often, lest two that disagree flood the broker.
const CORRECTION_GAP: Duration = Duration::from_secs(1);
