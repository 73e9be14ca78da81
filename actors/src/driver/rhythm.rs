//! How often telegrams come here, and how long a silence has to last before it means that something is wrong.
//!
//! Nobody configures this: a gateway between a hundred meters hears several telegrams a second, one beside a single battery meter
//! one an hour. So the gaps between telegrams, whoever sent them, are remembered, and a silence is suspicious when it is many times
//! longer than the longest of the last gaps.

use std::collections::VecDeque;
use std::time::Duration;

/// Bounds for what may be learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// A silence shorter than this is never suspicious. Default: 60 s.
    pub shortest: Duration,
    /// A silence longer than this always is, until climbing the ladder has shown that it helps nothing. Default: 6 h.
    pub longest: Duration,
    /// How long to wait for the very first telegram. Default: 15 min.
    pub unlearned: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            shortest: Duration::from_secs(60),
            longest: Duration::from_secs(6 * 3600),
            unlearned: Duration::from_secs(15 * 60),
        }
    }
}

/// The learned rhythm.
#[derive(Debug)]
pub struct Rhythm {
    bounds: Patience,
    gaps: VecDeque<Duration>,
    fruitless: u32,
}

impl Rhythm {
    /// Nothing learned yet.
    pub fn new(bounds: Patience) -> Self {
        Self {
            bounds,
            gaps: VecDeque::with_capacity(REMEMBERED),
            fruitless: 0,
        }
    }

    /// A telegram came after a gap in which the receiver listened all the time and nothing else can have ended the silence.
    pub fn natural_gap(&mut self, gap: Duration) {
        if self.gaps.len() == REMEMBERED {
            self.gaps.pop_front();
        }
        self.gaps.push_back(gap);
        self.fruitless = 0;
    }

    /// The whole ladder was climbed and the silence went on: the next climb waits twice as long, so that meters which really are
    /// silent do not have the dongle reset for ever.
    pub fn climbed_in_vain(&mut self) {
        self.fruitless = self.fruitless.saturating_add(1);
    }

    /// How long a silence may last before it is suspicious.
    pub fn patience(&self) -> Duration {
        let learned = match self.longest_gap() {
            Some(gap) => (gap * SUSPICIOUS).clamp(self.bounds.shortest, self.bounds.longest),
            None => self.bounds.unlearned,
        };
        let doubled = learned.saturating_mul(1 << self.fruitless.min(MOST_DOUBLINGS));
        doubled.min(LONGEST_SILENCE).max(learned)
    }

    /// How long to wait for a telegram after a step of the ladder before it has not helped.
    pub fn proof(&self) -> Duration {
        let expected = self
            .longest_gap()
            .map_or(self.bounds.unlearned / 4, |gap| gap * 2);
        expected.clamp(self.bounds.shortest / 4, self.bounds.longest / 4)
    }

    fn longest_gap(&self) -> Option<Duration> {
        self.gaps.iter().max().copied()
    }
}

/// How many gaps are remembered.
const REMEMBERED: usize = 32;
/// A silence is suspicious when it is this many times longer than the longest remembered gap.
const SUSPICIOUS: u32 = 8;
/// Climbing in vain doubles the patience at most so often.
const MOST_DOUBLINGS: u32 = 10;
/// And not beyond this.
const LONGEST_SILENCE: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn before_anything_was_heard_the_first_telegram_may_take_its_time() {
        assert_eq!(Rhythm::new(Patience::default()).patience(), seconds(900));
    }

    #[test]
    fn patience_follows_the_longest_recent_gap_within_its_bounds() {
        let mut rhythm = Rhythm::new(Patience::default());
        rhythm.natural_gap(seconds(1));
        assert_eq!(
            rhythm.patience(),
            seconds(60),
            "a lively place is given a minute"
        );
        rhythm.natural_gap(seconds(32));
        rhythm.natural_gap(seconds(16));
        assert_eq!(
            rhythm.patience(),
            seconds(256),
            "the longest counts, not the last"
        );
        for _ in 0..REMEMBERED {
            rhythm.natural_gap(seconds(16));
        }
        assert_eq!(
            rhythm.patience(),
            seconds(128),
            "what is long past is forgotten"
        );
        rhythm.natural_gap(seconds(100_000));
        assert_eq!(rhythm.patience(), seconds(6 * 3600));
    }

    #[test]
    fn climbing_in_vain_doubles_the_patience_up_to_a_day_until_a_telegram_comes() {
        let mut rhythm = Rhythm::new(Patience::default());
        rhythm.natural_gap(seconds(16));
        rhythm.climbed_in_vain();
        assert_eq!(rhythm.patience(), seconds(256));
        for _ in 0..40 {
            rhythm.climbed_in_vain();
        }
        assert_eq!(rhythm.patience(), seconds(24 * 3600));
        rhythm.natural_gap(seconds(16));
        assert_eq!(rhythm.patience(), seconds(128));
    }

    #[test]
    fn a_step_has_helped_when_a_telegram_comes_within_two_gaps() {
        let mut rhythm = Rhythm::new(Patience::default());
        rhythm.natural_gap(seconds(16));
        assert_eq!(rhythm.proof(), seconds(32));
    }
}
