//! The one place that asks what time it is.

use jiff::Timestamp;

/// The time now, UTC, as the operating system tells it.
pub fn now() -> Timestamp {
    Timestamp::now()
}
