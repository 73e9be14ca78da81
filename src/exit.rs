//! How the program ends: the exit codes, for the service manager and for scripts.

use std::fmt;
use std::process::{ExitCode, Termination};

/// The exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, or stopped because somebody asked for it.
    Clean = 0,
    /// Anything that has no code of its own: a file that cannot be read, an input line that is no telegram.
    Failed = 1,
    /// The command line makes no sense.
    WrongUse = 2,
    /// An actor failed again and again: starting the program anew may help.
    GaveUp = 70,
    /// The settings cannot be used: starting the program anew does not help.
    BadSettings = 78,
}

impl Exit {
    /// All of them, with what a service manager and its operator need to know.
    pub const ALL: [(Self, &str); 5] = [
        (Self::Clean, "stopped because it was asked to"),
        (Self::Failed, "failed for another reason"),
        (Self::WrongUse, "the command line makes no sense"),
        (
            Self::GaveUp,
            "gave up: a part of it failed again and again; start it anew",
        ),
        (
            Self::BadSettings,
            "the settings cannot be used; starting it anew does not help",
        ),
    ];
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (*self as u8).fmt(f)
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self as u8)
    }
}
