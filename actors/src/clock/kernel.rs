//! What the kernel says of the time.

use std::time::Duration;

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};

use super::Look;

#[cfg(feature = "fault-injection")]
use self::injected::inject;
#[cfg(not(feature = "fault-injection"))]
use std::convert::identity as inject;

/// Looks at the clocks.
pub(super) fn look() -> Look {
    let since_boot = clock_gettime(ClockId::Boottime);
    inject(Look {
        since_boot: Duration::new(
            u64::try_from(since_boot.tv_sec).unwrap_or(0),
            u32::try_from(since_boot.tv_nsec).unwrap_or(0),
        ),
        wall: Timestamp::now(),
        synchronised: is_synchronised(),
    })
}

/// Names the present run of the system; another after each start. Empty if the kernel does not tell.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

/// The kernel lets its estimate of the error grow while nobody steers the clock, up to this, which it calls not synchronised.
/// Source: adjtimex(2), and NTP_PHASE_LIMIT in the kernel.
const MAX_ERROR_MICROSECONDS: libc::c_long = 16_000_000;

fn is_synchronised() -> bool {
    #[expect(
        unsafe_code,
        reason = "no library offers this call without changing the clock; with no modes set it only fills the structure in"
    )]
    // SAFETY: `timex` is made of numbers, for which zero is a value, and the call writes nothing but the structure.
    let (answer, state) = unsafe {
        let mut state: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut state), state)
    };
    answer >= 0 && state.maxerror < MAX_ERROR_MICROSECONDS
}

/// The clock of a test: the environment variable `OMNIGATE_CLOCK` names a file that holds seconds to be added to the system's clock, and the
/// word `synchronised` if the kernel is to vouch for it.
#[cfg(feature = "fault-injection")]
mod injected {
    use std::path::PathBuf;
    use std::sync::LazyLock;

    use jiff::SignedDuration;

    use super::Look;

    static FILE: LazyLock<Option<PathBuf>> =
        LazyLock::new(|| std::env::var_os("OMNIGATE_CLOCK").map(PathBuf::from));

    pub(super) fn inject(look: Look) -> Look {
        let Some(file) = &*FILE else {
            return look;
        };
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let mut words = text.split_whitespace();
        let offset = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
        Look {
            wall: look.wall + SignedDuration::from_secs(offset),
            synchronised: words.next() == Some("synchronised"),
            ..look
        }
    }
}
