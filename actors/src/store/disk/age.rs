//! Age: when readings are too old to be worth delivering. Pure.
//!
//! A gateway without a battery clock boots in 1970, and clocks are set while it runs. A clock that jumps ahead by mistake must not make
//! everything look old: age is judged only when the wall clock has kept step with the monotonic one for [`STEADY`].

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// Decides when to look for old readings, and how old is too old.
#[derive(Debug)]
pub(super) struct Age {
    max: SignedDuration,
    next: Option<Instant>,
    last: Option<Look>,
}

#[derive(Debug, Clone, Copy)]
struct Look {
    at: Instant,
    wall: Timestamp,
    steady_since: Instant,
}

impl Age {
    pub(super) fn new(max: Duration) -> Self {
        Self {
            max: SignedDuration::try_from(max).unwrap_or(SignedDuration::MAX),
            next: None,
            last: None,
        }
    }

    /// What was received before the answer is too old. Answers only now and then.
    pub(super) fn too_old(&mut self, now: Instant, wall: Timestamp) -> Option<Timestamp> {
        if self.next.is_some_and(|next| now < next) {
            return None;
        }
        self.next = Some(now + INTERVAL);
        let steady_since = self
            .last
            .filter(|last| last.keeps_step(now, wall))
            .map_or(now, |last| last.steady_since);
        self.last = Some(Look {
            at: now,
            wall,
            steady_since,
        });
        if now.duration_since(steady_since) < STEADY {
            return None;
        }
        wall.checked_sub(self.max).ok()
    }
}

impl Look {
    fn keeps_step(&self, now: Instant, wall: Timestamp) -> bool {
        let elapsed = SignedDuration::try_from(now.duration_since(self.at));
        elapsed.is_ok_and(|elapsed| (wall.duration_since(self.wall) - elapsed).abs() < STEP)
    }
}

/// How often to look.
const INTERVAL: Duration = Duration::from_secs(60);

/// How long the clock has to be steady.
const STEADY: Duration = Duration::from_secs(600);

/// A smaller difference between the clocks is no step.
const STEP: SignedDuration = SignedDuration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn a_clock_that_jumps_makes_nothing_old() {
        let start = Instant::now();
        let wall: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        let mut age = Age::new(DAY);
        let mut answers = Vec::new();
        for minute in 0..60 {
            let elapsed = Duration::from_secs(60 * minute);
            // In the half hour it is a year ahead for ten minutes.
            let error = if (30..40).contains(&minute) {
                365 * DAY
            } else {
                Duration::ZERO
            };
            if age
                .too_old(start + elapsed, wall + elapsed + error)
                .is_some()
            {
                answers.push(minute);
            }
        }
        let steady = (10..30).chain(50..60);
        assert_eq!(answers, steady.collect::<Vec<_>>());
    }

    #[test]
    fn a_steady_clock_tells_what_is_too_old() {
        let start = Instant::now();
        let wall: Timestamp = "2030-01-02T00:00:00Z".parse().unwrap();
        let mut age = Age::new(DAY);
        assert_eq!(age.too_old(start, wall), None);
        for minute in 1..10 {
            let elapsed = Duration::from_secs(60 * minute);
            assert_eq!(age.too_old(start + elapsed, wall + elapsed), None);
        }
        assert_eq!(
            age.too_old(start + STEADY, wall + STEADY),
            Some(wall + STEADY - DAY)
        );
        assert_eq!(
            age.too_old(start + STEADY, wall + STEADY),
            None,
            "not twice in a minute"
        );
    }
}
