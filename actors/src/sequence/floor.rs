//! Floor: what a meter's register does not fall below if its numbers begin anew.

use super::RESET_AFTER;

/// What the register of a reset meter does not fall below: the lowest of the last [`RESET_AFTER`] readings and more. So a forged register
/// that is too high neither raises it nor locks the real meter out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Floor<V> {
    /// The lowest of a whole row of readings, [`RESET_AFTER`].
    of_last: Option<V>,
    /// The lowest of the row that is growing, and how many it has.
    of_this: Option<V>,
    count: usize,
}

impl<V: PartialOrd + Copy> Floor<V> {
    /// Of a meter that was never heard.
    pub(super) const fn new() -> Self {
        Self {
            of_last: None,
            of_this: None,
            count: 0,
        }
    }

    /// Which an earlier run of the program knew.
    pub(super) const fn known(value: Option<V>) -> Self {
        Self {
            of_last: value,
            of_this: None,
            count: 0,
        }
    }

    /// After a further reading was published.
    pub(super) fn with(mut self, register: Option<V>) -> Self {
        self.of_this = lower(self.of_this, register);
        self.count += 1;
        if self.count == RESET_AFTER {
            self.of_last = self.of_this.take();
            self.count = 0;
        }
        self
    }

    /// Nothing before a whole row of readings is known: a few may be forged.
    pub(super) fn value(&self) -> Option<V> {
        self.of_last
            .and_then(|last| lower(Some(last), self.of_this))
    }

    /// Whether the register is lower than it was.
    pub(super) fn is_above(&self, register: Option<V>) -> bool {
        matches!((self.value(), register), (Some(floor), Some(now)) if now < floor)
    }
}

/// The lower of those that are there.
fn lower<V: PartialOrd>(a: Option<V>, b: Option<V>) -> Option<V> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b < a { b } else { a }),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(registers: impl IntoIterator<Item = i64>) -> Floor<i64> {
        registers
            .into_iter()
            .fold(Floor::new(), |floor, register| floor.with(Some(register)))
    }

    /// A row is twenty readings, [`RESET_AFTER`]. Nineteen say nothing; of 100 to 119 the lowest is 100. The next row's readings count
    /// only if they are lower, until it is whole: then 120 is the lowest.
    #[test]
    fn is_the_lowest_of_the_last_whole_row() {
        assert_eq!(after(100..119).value(), None);
        assert_eq!(after(100..120).value(), Some(100));
        assert_eq!(after(100..139).value(), Some(100));
        assert_eq!(after(100..140).value(), Some(120));
        assert_eq!(after((100..120).chain([50])).value(), Some(50));
    }

    /// One reading of 10^9 among those of a row is not the lowest, and so bars nothing.
    #[test]
    fn is_not_raised_by_a_forged_register() {
        let floor = after((100..119).chain([1_000_000_000]));
        assert_eq!(floor.value(), Some(100));
        assert!(!floor.is_above(Some(100)));
        assert!(floor.is_above(Some(99)));
    }

    #[test]
    fn bars_nothing_where_no_register_is_known() {
        assert!(!after(100..120).is_above(None));
        assert!(!Floor::known(None).is_above(Some(0)));
        assert!(Floor::known(Some(1)).is_above(Some(0)));
    }
}
