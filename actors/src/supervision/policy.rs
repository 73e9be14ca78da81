//! The restart policy: when a child that ended starts again, and when its supervisor stops trying.
//!
//! Pure: time and chance come in as arguments, a [`Decision`] comes out; nothing here sleeps, logs or draws a random number.
//!
//! The words are those of OTP's `supervisor`: [`Restart`] is a child's restart type, *intensity* and *period* bound its restarts ("at
//! most N in T"). Two things differ, on purpose. OTP counts the restarts of all children of a supervisor together; here every child has a
//! [`Budget`] of its own, so that one bad meter cannot use up the others' restarts. And OTP restarts at once, always; here only the
//! first restart is immediate, and the next ones wait longer and longer ([`Backoff`]).

use std::time::{Duration, Instant};

/// When a child is started again after it ended by itself. Nobody is started again after a stop that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// Always.
    Permanent,
    /// Only after a failure: a panic or an error, not a stop of its own.
    Transient,
    /// Never.
    Temporary,
}

/// How a life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Its code panicked.
    Panic,
    /// It ended itself and gave a reason.
    Error,
    /// It stopped itself without a reason.
    Stop,
    /// It stopped because its supervisor was asked to stop it.
    Requested,
}

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Start again after this long.
    Restart {
        /// Zero for the first restart within a period.
        after: Duration,
    },
    /// Beyond the budget: refuse mail until then, then try again with a whole budget.
    Park {
        /// At most [`Policy::LONGEST_PARKING`] from the exit.
        until: Instant,
    },
    /// Beyond the budget: the child has failed for good, its supervisor must fail with it.
    GiveUp,
    /// Ended, and that is right.
    Done,
}

/// What happens to a child beyond its budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beyond {
    /// Fail upwards.
    GiveUp,
    /// Set it aside for this long, then try again; the others do not notice.
    Park(Duration),
}

/// A number between 0 and 1 that the caller draws, so that many children that failed together do not come back together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jitter(pub u32);

impl Jitter {
    /// Changes nothing: the whole delay.
    pub const NONE: Self = Self(0);
    /// Shortens as much as the policy allows.
    pub const MOST: Self = Self(u32::MAX);
}

/// Exponential delays: none, `base`, 2 `base`, 4 `base`, … at most `max`, each shortened by up to `spread` per cent of itself.
///
/// # Example
/// ```
/// # use std::time::Duration;
/// # use omnigate_actors::supervision::policy::{Backoff, Jitter};
/// let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(30), 50)?;
/// assert_eq!(backoff.delay(0, Jitter::NONE), Duration::ZERO);
/// assert_eq!(backoff.delay(1, Jitter::NONE), Duration::from_millis(100));
/// assert_eq!(backoff.delay(4, Jitter::NONE), Duration::from_millis(800));
/// assert_eq!(backoff.delay(4, Jitter::MOST), Duration::from_millis(400));
/// assert_eq!(backoff.delay(99, Jitter::NONE), Duration::from_secs(30));
/// # Ok::<(), omnigate_actors::supervision::policy::PolicyError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    base_ms: u64,
    max_ms: u64,
    spread: u8,
}

impl Backoff {
    /// `base` and `max` in whole milliseconds, `spread` in per cent, 0 to 90: a delay never vanishes.
    ///
    /// # Errors
    /// [`PolicyError::Backoff`] unless 1 ms ≤ `base` ≤ `max` ≤ 1 day and `spread` ≤ 90.
    pub const fn new(base: Duration, max: Duration, spread: u8) -> Result<Self, PolicyError> {
        const DAY_MS: u128 = 86_400_000;
        let (base_ms, max_ms) = (base.as_millis(), max.as_millis());
        if base_ms == 0 || base_ms > max_ms || max_ms > DAY_MS || spread > 90 {
            return Err(PolicyError::Backoff);
        }
        Ok(Self {
            base_ms: base_ms as u64,
            max_ms: max_ms as u64,
            spread,
        })
    }

    /// The shortest delay that is not zero.
    pub const fn base(&self) -> Duration {
        Duration::from_millis(self.base_ms)
    }

    /// The longest delay.
    pub const fn max(&self) -> Duration {
        Duration::from_millis(self.max_ms)
    }

    /// The delay before the restart that follows `earlier` others.
    pub fn delay(&self, earlier: u32, jitter: Jitter) -> Duration {
        self.shorten(Duration::from_millis(self.longest_ms(earlier)), jitter)
    }

    /// Milliseconds before chance shortens them.
    const fn longest_ms(&self, earlier: u32) -> u64 {
        if earlier == 0 {
            return 0;
        }
        let doublings = if earlier > 32 { 31 } else { earlier - 1 };
        let delay = self.base_ms.saturating_mul(1 << doublings);
        if delay > self.max_ms {
            self.max_ms
        } else {
            delay
        }
    }

    fn shorten(&self, delay: Duration, jitter: Jitter) -> Duration {
        let share = f64::from(self.spread) / 100.0 * f64::from(jitter.0) / f64::from(u32::MAX);
        delay.mul_f64(1.0 - share)
    }
}

/// A child's restart type, its budget and what happens beyond it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    restart: Restart,
    intensity: u32,
    period: Duration,
    backoff: Backoff,
    beyond: Beyond,
}

impl Policy {
    /// A parked child is tried again after at most this.
    pub const LONGEST_PARKING: Duration = Duration::from_secs(600);

    /// At most `intensity` restarts (1 to 100) in `period`; beyond it, `beyond`.
    ///
    /// # Errors
    /// [`PolicyError::Intensity`]; [`PolicyError::Unreachable`] if the delays of `intensity` restarts together are not shorter than
    /// `period`: a child that always fails would be restarted for ever; [`PolicyError::Parking`] if it is zero or above
    /// [`Policy::LONGEST_PARKING`].
    pub const fn new(
        restart: Restart,
        intensity: u32,
        period: Duration,
        backoff: Backoff,
        beyond: Beyond,
    ) -> Result<Self, PolicyError> {
        if intensity == 0 || intensity > 100 {
            return Err(PolicyError::Intensity);
        }
        let mut together: u64 = 0;
        let mut earlier = 0;
        while earlier < intensity {
            together = together.saturating_add(backoff.longest_ms(earlier));
            earlier += 1;
        }
        if together as u128 >= period.as_millis() {
            return Err(PolicyError::Unreachable);
        }
        if let Beyond::Park(parking) = beyond
            && (parking.is_zero() || parking.as_millis() > Self::LONGEST_PARKING.as_millis())
        {
            return Err(PolicyError::Parking);
        }
        Ok(Self {
            restart,
            intensity,
            period,
            backoff,
            beyond,
        })
    }

    /// The restart type.
    pub const fn restart(&self) -> Restart {
        self.restart
    }

    /// The most restarts in a [`period`](Self::period).
    pub const fn intensity(&self) -> u32 {
        self.intensity
    }

    /// The window that restarts are counted in.
    pub const fn period(&self) -> Duration {
        self.period
    }

    /// The delays between restarts.
    pub const fn backoff(&self) -> Backoff {
        self.backoff
    }

    /// What happens beyond the budget.
    pub const fn beyond(&self) -> Beyond {
        self.beyond
    }
}

/// Why a policy was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// See [`Backoff::new`].
    #[error("back-off must be 1 ms <= base <= max <= 1 day with a spread of at most 90 %")]
    Backoff,
    /// Outside 1 to 100.
    #[error("intensity must be 1 to 100 restarts")]
    Intensity,
    /// The back-off alone keeps a child that always fails within its budget.
    #[error("the back-off is so long that the budget can never be exceeded")]
    Unreachable,
    /// Zero or above [`Policy::LONGEST_PARKING`].
    #[error("a child is parked for more than nothing and at most ten minutes")]
    Parking,
}

/// One child's restarts, counted against its policy.
#[derive(Debug, Clone)]
pub struct Budget {
    policy: &'static Policy,
    /// When the restarts of the last period were decided; boxed, as most of many children never fail.
    #[expect(
        clippy::box_collection,
        reason = "eight bytes instead of 24, up to 100,000 times"
    )]
    recent: Option<Box<Vec<Instant>>>,
}

impl Budget {
    /// A whole budget.
    pub const fn new(policy: &'static Policy) -> Self {
        Self {
            policy,
            recent: None,
        }
    }

    /// What to do about a child whose life ended at `now`, which must not be before an earlier one.
    pub fn on_exit(&mut self, now: Instant, exit: Exit, jitter: Jitter) -> Decision {
        match (self.policy.restart, exit) {
            (_, Exit::Requested) | (Restart::Temporary, _) | (Restart::Transient, Exit::Stop) => {
                return Decision::Done;
            }
            (Restart::Permanent, _) | (Restart::Transient, Exit::Panic | Exit::Error) => {}
        }
        let recent = self.recent.get_or_insert_default();
        recent.retain(|at| now.saturating_duration_since(*at) < self.policy.period);
        let earlier = recent.len() as u32;
        if earlier < self.policy.intensity {
            recent.push(now);
            let after = self.policy.backoff.delay(earlier, jitter);
            return Decision::Restart { after };
        }
        self.recent = None;
        match self.policy.beyond {
            Beyond::GiveUp => Decision::GiveUp,
            Beyond::Park(parking) => Decision::Park {
                until: now + self.policy.backoff.shorten(parking, jitter),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    prop_compose! {
        fn backoffs()(base in 1..5_000u64, times in 1..1_000u64, spread in 0..=90u8) -> Backoff {
            Backoff::new(ms(base), ms(base * times), spread).unwrap()
        }
    }

    fn restarts() -> impl Strategy<Value = Restart> {
        prop_oneof![
            Just(Restart::Permanent),
            Just(Restart::Transient),
            Just(Restart::Temporary)
        ]
    }

    fn beyonds() -> impl Strategy<Value = Beyond> {
        prop_oneof![
            Just(Beyond::GiveUp),
            (1..=600_000u64).prop_map(|parking| Beyond::Park(ms(parking)))
        ]
    }

    prop_compose! {
        /// The period is what the back-off needs and up to as much again.
        fn policies(restart: Restart)(
            backoff in backoffs(),
            intensity in 1..=20u32,
            room in 1..600_000u64,
            beyond in beyonds(),
        ) -> &'static Policy {
            let together: Duration = (0..intensity).map(|earlier| backoff.delay(earlier, Jitter::NONE)).sum();
            &*Box::leak(Box::new(Policy::new(restart, intensity, together + ms(room), backoff, beyond).unwrap()))
        }
    }

    fn exits() -> impl Strategy<Value = Exit> {
        prop_oneof![Just(Exit::Panic), Just(Exit::Error), Just(Exit::Stop)]
    }

    fn failures() -> impl Strategy<Value = Exit> {
        prop_oneof![Just(Exit::Panic), Just(Exit::Error)]
    }

    fn jitters() -> impl Strategy<Value = Jitter> {
        any::<u32>().prop_map(Jitter)
    }

    proptest! {
        #[test]
        fn delays_grow_from_nothing_to_the_longest(backoff in backoffs(), earlier in 0..200u32, jitter in jitters()) {
            let longest = backoff.delay(earlier, Jitter::NONE);
            let shortest = backoff.delay(earlier, Jitter::MOST);
            let delay = backoff.delay(earlier, jitter);
            prop_assert!(shortest <= delay && delay <= longest && longest <= backoff.max());
            prop_assert_eq!(longest.is_zero(), earlier == 0);
            prop_assert!(backoff.delay(earlier + 1, jitter) >= delay);
            if earlier > 0 {
                prop_assert!(longest >= backoff.base());
                prop_assert_eq!(backoff.delay(earlier + 1, Jitter::NONE), (2 * longest).min(backoff.max()));
            }
        }

        #[test]
        fn a_child_that_always_fails_at_once_exceeds_its_budget(
            policy in policies(Restart::Permanent),
            exits in proptest::collection::vec((exits(), jitters()), 21),
        ) {
            let mut budget = Budget::new(policy);
            let mut now = Instant::now();
            let mut restarts = 0;
            for (exit, jitter) in exits {
                match budget.on_exit(now, exit, jitter) {
                    Decision::Restart { after } => {
                        restarts += 1;
                        now += after;
                    }
                    Decision::Park { until } => {
                        let Beyond::Park(parking) = policy.beyond() else { panic!("parked without being told to") };
                        prop_assert!(now <= until && until <= now + parking);
                        break;
                    }
                    Decision::GiveUp => {
                        prop_assert_eq!(policy.beyond(), Beyond::GiveUp);
                        break;
                    }
                    Decision::Done => panic!("a permanent child is never done"),
                }
            }
            prop_assert_eq!(restarts, policy.intensity());
        }

        #[test]
        fn no_period_sees_more_restarts_than_the_intensity(
            policy in policies(Restart::Permanent),
            exits in proptest::collection::vec((0..30_000u64, exits(), jitters()), 0..100),
        ) {
            let mut budget = Budget::new(policy);
            let mut now = Instant::now();
            let mut restarts: Vec<Instant> = Vec::new();
            for (pause, exit, jitter) in exits {
                now += ms(pause);
                let recent = restarts.iter().filter(|at| now.duration_since(**at) < policy.period()).count() as u32;
                match budget.on_exit(now, exit, jitter) {
                    Decision::Restart { after } => {
                        prop_assert!(recent < policy.intensity());
                        prop_assert_eq!(after, policy.backoff().delay(recent, jitter));
                        restarts.push(now);
                        now += after;
                    }
                    Decision::Park { until } => {
                        prop_assert_eq!(recent, policy.intensity());
                        // After a parking the whole budget is there again.
                        restarts.clear();
                        now = until;
                    }
                    Decision::GiveUp => {
                        prop_assert_eq!(recent, policy.intensity());
                        break;
                    }
                    Decision::Done => panic!("a permanent child is never done"),
                }
            }
        }

        #[test]
        fn a_child_that_fails_rarely_is_always_restarted_at_once(
            policy in policies(Restart::Permanent),
            exits in proptest::collection::vec((0..1_000u64, exits(), jitters()), 0..100),
        ) {
            let mut budget = Budget::new(policy);
            let mut now = Instant::now();
            for (more, exit, jitter) in exits {
                now += policy.period() + ms(more);
                prop_assert_eq!(budget.on_exit(now, exit, jitter), Decision::Restart { after: Duration::ZERO });
            }
        }

        #[test]
        fn the_restart_type_says_who_is_done(
            (policy, exit) in restarts().prop_flat_map(|restart| (policies(restart), exits())),
            failure in failures(),
            jitter in jitters(),
        ) {
            let decide = |exit| Budget::new(policy).on_exit(Instant::now(), exit, jitter);
            let again = Decision::Restart { after: Duration::ZERO };
            prop_assert_eq!(decide(Exit::Requested), Decision::Done);
            match policy.restart() {
                Restart::Permanent => prop_assert_eq!(decide(exit), again),
                Restart::Transient => {
                    prop_assert_eq!(decide(failure), again);
                    prop_assert_eq!(decide(Exit::Stop), Decision::Done);
                }
                Restart::Temporary => prop_assert_eq!(decide(exit), Decision::Done),
            }
        }
    }

    #[test]
    fn policies_that_make_no_sense_are_refused() {
        let backoff = Backoff::new(ms(100), ms(30_000), 50).unwrap();
        for (base, max, spread) in [(0, 1, 0), (2, 1, 0), (1, 1, 91), (1, 86_400_001, 0)] {
            assert_eq!(
                Backoff::new(ms(base), ms(max), spread),
                Err(PolicyError::Backoff)
            );
        }
        let new = |intensity, period, beyond| {
            Policy::new(Restart::Permanent, intensity, period, backoff, beyond).err()
        };
        assert_eq!(new(0, MINUTE, Beyond::GiveUp), Some(PolicyError::Intensity));
        assert_eq!(
            new(101, MINUTE, Beyond::GiveUp),
            Some(PolicyError::Intensity)
        );
        // 0.1 + 0.2 + … + 25.6 s, and then 30 s more.
        assert_eq!(new(10, ms(51_101), Beyond::GiveUp), None);
        assert_eq!(
            new(10, ms(51_100), Beyond::GiveUp),
            Some(PolicyError::Unreachable)
        );
        assert_eq!(
            new(11, MINUTE, Beyond::GiveUp),
            Some(PolicyError::Unreachable)
        );
        for parking in [Duration::ZERO, Policy::LONGEST_PARKING + ms(1)] {
            assert_eq!(
                new(10, MINUTE, Beyond::Park(parking)),
                Some(PolicyError::Parking)
            );
        }
    }
}
