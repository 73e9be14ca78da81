//! After how much silence a meter counts as away. Pure.
//!
//! The limit is six of the meter's own intervals, rounded up to a step that people know: a few telegrams that are lost on the way do not make
//! a meter unavailable, and the limit rarely changes.

use std::time::{Duration, Instant};

/// One meter's.
#[derive(Debug, Clone, Default)]
pub(super) struct Silence {
    last: Option<Instant>,
    limit: Option<Duration>,
}

impl Silence {
    /// Goes on from what was known before.
    pub(super) fn with_limit(limit: Option<Duration>) -> Self {
        Self { last: None, limit }
    }

    /// It was heard; so many telegrams were, usually so far apart.
    pub(super) fn heard(&mut self, now: Instant, telegrams: u64, interval: Option<Duration>) {
        self.last = Some(now);
        let Some(interval) = interval.filter(|_| telegrams >= NEEDED) else {
            return;
        };
        let wanted = step(interval.saturating_mul(6));
        // Falls only when it is far too long, lest it goes to and fro between two steps.
        if self
            .limit
            .is_none_or(|limit| wanted > limit || wanted * 4 <= limit)
        {
            self.limit = Some(wanted);
        }
    }

    /// When it was heard last, since the program started.
    pub(super) fn last(&self) -> Option<Instant> {
        self.last
    }

    /// After so much silence it is away; `None` while it is not known how often it sends.
    pub(super) fn limit(&self) -> Option<Duration> {
        self.limit
    }
}

/// So many telegrams are needed before anything is said.
const NEEDED: u64 = 4;

/// The next longer step; what is longer than all stays the longest.
fn step(time: Duration) -> Duration {
    STEPS
        .map(|minutes| Duration::from_secs(60 * minutes))
        .into_iter()
        .find(|&step| time <= step)
        .unwrap_or(LONGEST)
}

/// In minutes.
const STEPS: [u64; 11] = [2, 5, 15, 30, 60, 120, 240, 480, 1_440, 2_880, 5_760];

/// Of a meter that sends less than once a day.
const LONGEST: Duration = Duration::from_hours(240);

#[cfg(test)]
mod tests {
    use super::*;

    fn limit_after(intervals: &[u64]) -> Option<u64> {
        let mut silence = Silence::default();
        for (number, &interval) in intervals.iter().enumerate() {
            let interval = Some(Duration::from_secs(interval)).filter(|_| number > 0);
            silence.heard(Instant::now(), number as u64 + 1, interval);
        }
        silence.limit().map(|limit| limit.as_secs() / 60)
    }

    #[test]
    fn a_few_telegrams_tell_how_often_a_meter_sends() {
        assert_eq!(limit_after(&[16, 16, 16]), None);
        assert_eq!(limit_after(&[16, 16, 16, 16]), Some(2));
        assert_eq!(limit_after(&[900; 4]), Some(120));
        assert_eq!(limit_after(&[4 * 3_600; 4]), Some(1_440));
        assert_eq!(limit_after(&[86_400; 4]), Some(14_400));
    }

    #[test]
    fn rises_at_once_and_falls_only_when_it_is_far_too_long() {
        assert_eq!(limit_after(&[16, 16, 16, 16, 60]), Some(15));
        assert_eq!(limit_after(&[60, 60, 60, 60, 50]), Some(15));
        assert_eq!(limit_after(&[60, 60, 60, 60, 16]), Some(2));
    }
}
