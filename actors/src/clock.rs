//! The clock: the one place that asks what time it is, and whether that can be believed.
//!
//! A gateway without a battery clock boots in 1970, or at the time at which it was switched off. The clock is right when the kernel says
//! that it is synchronised, or when it is later than the build of this program and has not stepped for a while (`STEADY`). Until then telegrams are
//! stamped with the time since the system has started, which never steps; their readings are given their time when the clock is right.

mod kernel;
mod stamp;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

pub use self::kernel::boot_id;
pub use self::stamp::Stamp;
pub(crate) use self::stamp::is_since_boot;

/// The time now, UTC, as the operating system tells it, right or not.
pub fn now() -> Timestamp {
    kernel::look().wall
}

/// When what is received now was received: the time, or while the clock is not right the time since the system has started, as if that had
/// been in 1970. [`Stamp::of`] tells the two apart.
pub fn of_reception() -> Timestamp {
    let look = kernel::look();
    if is_right(look) {
        look.wall
    } else {
        stamp::since_boot(look.since_boot)
    }
}

/// The time of what [`of_reception`] has told, if that is known by now. Whoever shows it says nothing otherwise: 1970 is no answer.
pub fn known(reception: Timestamp) -> Option<Timestamp> {
    Stamp::of(reception).resolve(boot_time()).time()
}

/// When the system has started, if the clock is right.
pub fn boot_time() -> Option<Timestamp> {
    let look = kernel::look();
    is_right(look)
        .then(|| look.wall.checked_sub(signed(look.since_boot)).ok())
        .flatten()
}

/// What the kernel says of the time.
#[derive(Debug, Clone, Copy)]
struct Look {
    /// Since the system has started. Never steps, goes on while the system sleeps.
    since_boot: Duration,
    /// The clock.
    wall: Timestamp,
    /// The kernel says that the clock is synchronised.
    synchronised: bool,
}

impl Look {
    fn steps_from(&self, earlier: &Self) -> bool {
        let by_wall = self.wall.duration_since(earlier.wall);
        let passed = signed(self.since_boot) - signed(earlier.since_boot);
        (by_wall - passed).abs() > STEP
    }
}

/// Decides whether the clock is right. Pure.
#[derive(Debug)]
struct Judge {
    last: Option<Look>,
    /// When the clock last stepped. What came before the first look is not known: since the system's start nothing is seen to have stepped.
    stepped: Duration,
}

impl Judge {
    const fn new() -> Self {
        Self {
            last: None,
            stepped: Duration::ZERO,
        }
    }

    fn is_right(&mut self, look: Look) -> bool {
        if self.last.is_some_and(|last| look.steps_from(&last)) {
            self.stepped = look.since_boot;
        }
        self.last = Some(look);
        let steady = look.since_boot.saturating_sub(self.stepped) >= STEADY;
        look.wall.as_second() >= BUILT && (look.synchronised || steady)
    }
}

fn is_right(look: Look) -> bool {
    static JUDGE: Mutex<Judge> = Mutex::new(Judge::new());
    JUDGE
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .is_right(look)
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

/// How long a clock that nobody vouches for must not have stepped.
const STEADY: Duration = Duration::from_secs(60);

/// A smaller difference is no step.
const STEP: SignedDuration = SignedDuration::from_secs(10);

/// When this program was built, in seconds since 1970.
const BUILT: i64 = seconds(env!("OMNIGATE_BUILT"));

const fn seconds(digits: &str) -> i64 {
    match i64::from_str_radix(digits, 10) {
        Ok(seconds) => seconds,
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(since_boot: u64, wall: i64) -> Look {
        Look {
            since_boot: Duration::from_secs(since_boot),
            wall: Timestamp::from_second(wall).unwrap(),
            synchronised: false,
        }
    }

    const LATER: i64 = BUILT + 1_000_000;

    #[test]
    fn a_clock_that_boots_in_1970_is_right_a_minute_after_it_was_set() {
        let mut judge = Judge::new();
        assert!(!judge.is_right(look(20, 20)));
        assert!(!judge.is_right(look(500, 500)), "however long");
        assert!(!judge.is_right(look(510, LATER)));
        assert!(!judge.is_right(look(569, LATER + 59)));
        assert!(judge.is_right(look(571, LATER + 61)));
    }

    #[test]
    fn the_kernel_may_vouch_for_it_at_once() {
        let mut judge = Judge::new();
        assert!(!judge.is_right(look(20, 20)));
        let synchronised = |look| Look {
            synchronised: true,
            ..look
        };
        assert!(!judge.is_right(synchronised(look(21, 21))), "not of 1970");
        assert!(judge.is_right(synchronised(look(22, LATER))));
    }

    #[test]
    fn a_step_makes_it_wait_again_and_slow_steering_does_not() {
        let mut judge = Judge::new();
        assert!(!judge.is_right(look(20, LATER)));
        assert!(judge.is_right(look(100, LATER + 83)));
        assert!(judge.is_right(look(200, LATER + 180)));
        assert!(!judge.is_right(look(201, LATER + 3600)));
        assert!(!judge.is_right(look(230, LATER + 100)));
        assert!(judge.is_right(look(290, LATER + 160)));
    }

    #[test]
    fn a_program_that_starts_on_a_system_that_runs_need_not_wait() {
        assert!(Judge::new().is_right(look(10_000, LATER)));
    }

    #[test]
    fn this_system_has_a_clock() {
        let look = kernel::look();
        assert!(look.since_boot > Duration::ZERO);
        assert!(look.wall.as_second() >= BUILT);
        assert_ne!(boot_id(), "");
    }
}
