//! Turns: the order in which a backlog goes out. Oldest first within a meter; meters take turns.
//!
//! Every reading is given a turn when it comes: one after the meter's last, and never one that has begun already. Readings go out by
//! turn, so each meter with a backlog sends one reading per turn, and a meter that was silent need not wait for a chatty one. The order
//! is fixed once and kept with the row, so the database can be read along it, at any length of the backlog, in constant memory.

use std::collections::HashMap;
use std::sync::Arc;

use crate::meter::MeterName;

/// A reading's place in the order: its turn, and within the turn the number of its meter's line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place(pub(super) i64);

impl Place {
    /// Before every other.
    pub(super) const FIRST: Self = Self(i64::MIN);

    fn new(turn: i64, line: u32) -> Self {
        Self(turn << LINE_BITS | i64::from(line & LINE_MASK))
    }

    /// Which turn.
    pub(super) fn turn(self) -> i64 {
        self.0 >> LINE_BITS
    }

    /// Whose line.
    pub(super) fn line(self) -> u32 {
        // The mask leaves 24 bits.
        (self.0 & i64::from(LINE_MASK)) as u32
    }
}

/// Gives out places.
#[derive(Debug)]
pub(super) struct Turns {
    /// The latest turn of which a reading went out.
    now: i64,
    lines: HashMap<Arc<MeterName>, Line>,
    /// Numbers of lines that ended.
    free: Vec<u32>,
    next_number: u32,
    prune_at: usize,
}

/// The queue of one meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) number: u32,
    /// The turn of its latest reading.
    pub(super) last: i64,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self {
            now: 0,
            lines: HashMap::new(),
            free: Vec::new(),
            next_number: 0,
            prune_at: PRUNE_AT_LEAST,
        }
    }

    /// Takes up the lines of a backlog that an earlier run of the program left, whose first turn is given.
    pub(super) fn restore(
        &mut self,
        first: i64,
        lines: impl IntoIterator<Item = (Arc<MeterName>, Line)>,
    ) {
        for (meter, stored) in lines {
            let line = self.lines.entry(meter).or_insert(stored);
            line.last = line.last.max(stored.last);
            self.next_number = self.next_number.max(stored.number + 1);
        }
        if self.now == 0 {
            self.now = first - 1;
        }
    }

    /// The place of a meter's next reading.
    pub(super) fn place(&mut self, meter: &Arc<MeterName>) -> Place {
        if self.lines.len() >= self.prune_at {
            self.prune();
        }
        let now = self.now;
        let line = self.lines.entry(Arc::clone(meter)).or_insert_with(|| Line {
            number: self.free.pop().unwrap_or_else(|| {
                self.next_number += 1;
                self.next_number - 1
            }),
            last: now,
        });
        line.last = line.last.max(now) + 1;
        Place::new(line.last, line.number)
    }

    /// A reading with this place goes out.
    pub(super) fn goes_out(&mut self, place: Place) {
        self.now = self.now.max(place.turn());
    }

    /// Forgets the meters that have nothing waiting. Whoever gets the number next starts in a later turn, so no place is given twice.
    fn prune(&mut self) {
        let Self {
            now, lines, free, ..
        } = self;
        lines.retain(|_, line| {
            let waits = line.last > *now;
            if !waits {
                free.push(line.number);
            }
            waits
        });
        self.prune_at = (2 * self.lines.len()).max(PRUNE_AT_LEAST);
    }
}

/// Lines are numbered with this many bits; the turn has the rest, which lasts for seventeen years at a thousand turns per second. Two
/// lines that share a number go out in the order in which their readings came.
pub(super) const LINE_BITS: u32 = 24;
const LINE_MASK: u32 = (1 << LINE_BITS) - 1;

/// So many lines are not worth tidying up.
const PRUNE_AT_LEAST: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::tests::support::meter;

    #[test]
    fn meters_take_turns_and_nobody_waits_for_a_chatty_one() {
        let mut turns = Turns::new();
        let (chatty, quiet) = (meter(1), meter(2));
        let mut order: Vec<(Place, &str)> = Vec::new();
        for _ in 0..3 {
            order.push((turns.place(&chatty), "chatty"));
        }
        order.push((turns.place(&quiet), "quiet"));
        order.sort();
        let order: Vec<_> = order.into_iter().map(|(_, who)| who).collect();
        assert_eq!(order, ["chatty", "quiet", "chatty", "chatty"]);
    }

    #[test]
    fn a_new_reading_never_joins_a_turn_that_has_begun() {
        let mut turns = Turns::new();
        let first = turns.place(&meter(1));
        let second = turns.place(&meter(1));
        turns.goes_out(first);
        turns.goes_out(second);
        assert!(turns.place(&meter(2)) > second);
    }

    #[test]
    fn places_have_room_for_turn_and_line() {
        let place = Place::new(7, LINE_MASK);
        assert_eq!((place.turn(), place.line()), (7, LINE_MASK));
        assert!(Place::new(7, LINE_MASK) < Place::new(8, 0));
    }

    #[test]
    fn lines_without_a_reading_are_forgotten() {
        let mut turns = Turns::new();
        for number in 0..10 * PRUNE_AT_LEAST as u32 {
            let place = turns.place(&meter(number));
            turns.goes_out(place);
        }
        assert!(turns.lines.len() <= PRUNE_AT_LEAST);
        assert!(turns.next_number <= PRUNE_AT_LEAST as u32);
    }
}
