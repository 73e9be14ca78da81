//! Which telegrams are wanted, and how patient to be about them.

use std::str::FromStr;
use std::time::Duration;

use wmbus::im871a::LinkMode;

use crate::driver::rhythm::Patience;

/// Which telegrams the gateway wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Those of one link mode.
    Mode(LinkMode),
    /// Those of C1 and T1 together, which firmware 0x14 and later can hear; older firmware hears C1 only.
    C1AndT1,
}

impl FromStr for Wanted {
    type Err = WantedError;

    /// Reads the setting: a link mode's name, or `c1t1`.
    fn from_str(setting: &str) -> Result<Self, WantedError> {
        if setting.eq_ignore_ascii_case(C1_AND_T1) {
            return Ok(Self::C1AndT1);
        }
        setting.parse().map(Self::Mode).map_err(|_| WantedError)
    }
}

/// The setting names no link mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not one of {C1_AND_T1}, {}", LinkMode::ALL.map(|(_, name)| name).join(", "))]
pub struct WantedError;

/// How long things take and how often they are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long a command may stay unanswered. Default: 1 s.
    pub answer: Duration,
    /// How long the module needs after a reset before it takes a link mode. Default: 2 s.
    pub settle: Duration,
    /// Time between two checks. Default: 30 s.
    pub check: Duration,
    /// First pause between two attempts to reopen; it doubles up to [`Timing::longest_pause`]. Default: 1 s.
    pub first_pause: Duration,
    /// Longest pause between two attempts to reopen, or to open a port that refuses. Default: 30 s.
    pub longest_pause: Duration,
    /// What silences are suspicious.
    pub patience: Patience,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(1),
            settle: Duration::from_secs(2),
            check: Duration::from_secs(30),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(30),
            patience: Patience::default(),
        }
    }
}

/// The setting for C1 and T1 together.
const C1_AND_T1: &str = "c1t1";
