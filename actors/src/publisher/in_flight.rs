//! What was sent and is not acknowledged, in order.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::store::outbox::RowId;

/// What messages belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// A row of the outbox.
    Row(RowId),
    /// The oldest announcement that was sent.
    Announcement,
    /// The list of meters.
    Meters,
    /// The status `online`.
    Online,
    /// The status `offline`.
    Offline,
}

/// The broker acknowledges in the order of sending, so a count is all that an acknowledgement is.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    sent: VecDeque<Unacknowledged>,
    messages: usize,
}

#[derive(Debug)]
struct Unacknowledged {
    sent: Sent,
    /// How many of its messages are not acknowledged yet.
    missing: usize,
    since: Instant,
}

impl InFlight {
    /// So many messages of it were sent; at least one.
    pub(super) fn push(&mut self, sent: Sent, messages: usize) {
        self.sent.push_back(Unacknowledged {
            sent,
            missing: messages,
            since: Instant::now(),
        });
        self.messages += messages;
    }

    /// How many messages are on their way.
    pub(super) fn messages(&self) -> usize {
        self.messages
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.sent.clear();
        self.messages = 0;
    }

    /// Takes from the given number of acknowledgements what the oldest needs, and tells it, with how long that took, if that completes it.
    /// Call it until there is none.
    pub(super) fn next_done(&mut self, acknowledged: &mut usize) -> Option<(Sent, Duration)> {
        let oldest = self.sent.front_mut()?;
        let taken = (*acknowledged).min(oldest.missing);
        *acknowledged -= taken;
        oldest.missing -= taken;
        self.messages -= taken;
        if oldest.missing > 0 {
            return None;
        }
        let done = (oldest.sent, oldest.since.elapsed());
        self.sent.pop_front();
        Some(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(in_flight: &mut InFlight, mut acknowledged: usize) -> Vec<Sent> {
        std::iter::from_fn(|| in_flight.next_done(&mut acknowledged))
            .map(|(sent, _)| sent)
            .collect()
    }

    #[test]
    fn a_row_is_done_with_its_last_message() {
        let row = |id| Sent::Row(RowId(id));
        let mut in_flight = InFlight::default();
        in_flight.push(row(1), 4);
        in_flight.push(Sent::Online, 1);
        in_flight.push(row(2), 4);
        assert_eq!(done(&mut in_flight, 3), []);
        assert_eq!(in_flight.messages(), 6);
        assert_eq!(done(&mut in_flight, 1), [row(1)]);
        assert_eq!(done(&mut in_flight, 0), []);
        assert_eq!(done(&mut in_flight, 3), [Sent::Online]);
        assert_eq!(done(&mut in_flight, 2), [row(2)]);
        assert!(in_flight.is_empty());
        assert_eq!(in_flight.messages(), 0);
        assert_eq!(done(&mut in_flight, 7), []);
    }
}
