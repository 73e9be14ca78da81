//! How often something may happen: now and then several times in a row, but not for long. Pure.

use std::time::{Duration, Instant};

/// At most so many at once, and in the long run one per interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// So many may come at once after a quiet time; at least 1.
    pub burst: u32,
    /// After so long one more may come.
    pub interval: Duration,
}

impl Default for Pace {
    /// 10 at once, then one per second.
    fn default() -> Self {
        Self {
            burst: 10,
            interval: Duration::from_secs(1),
        }
    }
}

/// Keeps the pace.
#[derive(Debug)]
pub(crate) struct Paced {
    pace: Pace,
    /// When everything that was admitted will have been paid for, at one per interval.
    paid: Option<Instant>,
}

impl Paced {
    pub(crate) fn new(pace: Pace) -> Self {
        Self { pace, paid: None }
    }

    /// Whether one may come now; or else how long it has to wait.
    pub(crate) fn admit(&mut self, now: Instant) -> Result<(), Duration> {
        let credit = self.pace.interval * self.pace.burst.saturating_sub(1);
        let paid = self.paid.map_or(now, |paid| paid.max(now));
        let wait = paid.saturating_duration_since(now).saturating_sub(credit);
        if !wait.is_zero() {
            return Err(wait);
        }
        self.paid = Some(paid + self.pace.interval);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_burst_then_one_per_interval() {
        let mut paced = Paced::new(Pace {
            burst: 3,
            interval: Duration::from_secs(2),
        });
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!([0, 0, 1].map(|millis| paced.admit(at(millis))), [Ok(()); 3]);
        assert_eq!(paced.admit(at(1)), Err(Duration::from_millis(1999)));
        assert_eq!(paced.admit(at(1500)), Err(Duration::from_millis(500)));
        assert_eq!(paced.admit(at(2000)), Ok(()));
        assert_eq!(paced.admit(at(2000)), Err(Duration::from_secs(2)));
        // After a quiet time the whole burst is there again, and no more.
        assert_eq!(
            [9000, 9000, 9000].map(|millis| paced.admit(at(millis))),
            [Ok(()); 3]
        );
        assert_eq!(paced.admit(at(9000)), Err(Duration::from_secs(2)));
    }

    proptest! {
        #[test]
        fn no_span_of_time_has_more_than_it_may(burst in 1..5_u32, steps in proptest::collection::vec(0..3000_u64, 1..60)) {
            let interval = Duration::from_secs(1);
            let mut paced = Paced::new(Pace { burst, interval });
            let mut now = Instant::now();
            let mut admitted: Vec<Instant> = Vec::new();
            for step in steps {
                now += Duration::from_millis(step);
                match paced.admit(now) {
                    Ok(()) => admitted.push(now),
                    Err(wait) => prop_assert!(wait <= interval),
                }
            }
            for (first, from) in admitted.iter().enumerate() {
                for (last, to) in admitted.iter().enumerate().skip(first) {
                    let allowed = u128::from(burst) + (*to - *from).as_millis() / interval.as_millis();
                    prop_assert!((last - first + 1) as u128 <= allowed);
                }
            }
        }
    }
}
