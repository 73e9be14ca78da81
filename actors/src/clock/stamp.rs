//! When a telegram was received, as far as that is known.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// When something was received: known, estimated, or so far only counted from the start of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamp {
    /// At this time.
    Known(Timestamp),
    /// At about this time: the system has started anew before its clock was right.
    Estimated(Timestamp),
    /// So long after the present start of the system, whose clock was not right; the time follows when it is. If it is negative, about so
    /// long before that.
    SinceBoot(SignedDuration),
}

impl Stamp {
    /// What [`of_reception`](super::of_reception) has told.
    pub fn of(reception: Timestamp) -> Self {
        if is_since_boot(reception) {
            Self::SinceBoot(reception.duration_since(Timestamp::UNIX_EPOCH))
        } else {
            Self::Known(reception)
        }
    }

    /// The stamp with a time, if the system's start is known or is not needed.
    pub fn resolve(self, boot_time: Option<Timestamp>) -> Self {
        match (self, boot_time) {
            (Self::SinceBoot(since), Some(boot_time)) => match boot_time.checked_add(since) {
                Ok(time) if since.is_negative() => Self::Estimated(time),
                Ok(time) => Self::Known(time),
                Err(_) => Self::Estimated(boot_time),
            },
            (stamp, _) => stamp,
        }
    }

    /// The time, if there is one.
    pub fn time(self) -> Option<Timestamp> {
        match self {
            Self::Known(time) | Self::Estimated(time) => Some(time),
            Self::SinceBoot(_) => None,
        }
    }

    /// Whether there is only an estimate.
    pub fn is_estimated(self) -> bool {
        matches!(self, Self::Estimated(_))
    }
}

/// The time since the system's start in the place of a time.
pub(super) fn since_boot(duration: Duration) -> Timestamp {
    Timestamp::UNIX_EPOCH
        .checked_add(duration)
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Whether this is no time but one since the system's start.
pub(crate) fn is_since_boot(reception: Timestamp) -> bool {
    reception.as_second() < YEAR_2000
}

/// No clock that is right says less, and no system runs for so long.
const YEAR_2000: i64 = 946_684_800;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_since_the_start_becomes_the_time_when_the_start_is_known() {
        let boot_time: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        let stamp = Stamp::of(since_boot(Duration::from_secs(90)));
        assert_eq!(stamp, Stamp::SinceBoot(SignedDuration::from_secs(90)));
        assert_eq!((stamp.time(), stamp.resolve(None)), (None, stamp));
        let time = "2030-01-01T00:01:30Z".parse().unwrap();
        assert_eq!(stamp.resolve(Some(boot_time)), Stamp::Known(time));
        assert_eq!(Stamp::of(time), Stamp::Known(time));
        assert_eq!(
            Stamp::Known(time).resolve(Some(boot_time)),
            Stamp::Known(time)
        );
        let before = Stamp::SinceBoot(SignedDuration::from_secs(-90));
        let estimate = before.resolve(Some(boot_time));
        assert!(estimate.is_estimated());
        assert_eq!(estimate.time(), "2029-12-31T23:58:30Z".parse().ok());
    }
}
