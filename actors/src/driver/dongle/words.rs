//! What the dongle's state machine says: what to do, what the operator is told, what it is doing.

use std::time::Duration;

use serde::Serialize;
use wmbus::im871a::{DeviceInfo, LinkMode, Request};

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Send this to the dongle.
    Send(Request),
    /// Close the port and open it again.
    Reopen,
    /// Tell the operator.
    Tell(Note),
}

/// What the operator is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// It is an iM871A.
    Identified(DeviceInfo),
    /// What is there is something else; it is left alone.
    WrongModule(DeviceInfo),
    /// The firmware does not know the link mode that was asked for.
    LinkModeUnavailable {
        /// What is set instead.
        instead: LinkMode,
    },
    /// It is configured, checked, and hears telegrams of this mode.
    Listening(LinkMode),
    /// A rung of the ladder.
    Step {
        /// What is done.
        rung: Rung,
        /// Why.
        cause: Cause,
    },
    /// All is well again.
    Recovered {
        /// What was wrong.
        cause: Cause,
        /// The last rung.
        rung: Rung,
        /// From the first rung to now.
        lasted: Duration,
    },
    /// The whole ladder was climbed, the dongle answers, and still no telegram comes.
    SilenceGoesOn {
        /// How long from now until the next climb.
        patience: Duration,
    },
}

/// A rung of the ladder, lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rung {
    /// Ask whether it is there.
    Ping,
    /// Set the link mode again.
    SetLinkMode,
    /// Reset the module.
    Reset,
    /// Close the port and open it again.
    Reopen,
}

/// Why the ladder is climbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A command stayed unanswered.
    NoAnswer,
    /// A command stayed unanswered and what comes instead is garbage.
    Babbling,
    /// It has, or takes, another configuration than the one it is given.
    Misconfigured,
    /// It answers but no telegram came for much longer than the meters' own rhythm.
    NoTelegrams,
    /// Nothing: somebody asked for a reset.
    Asked,
}

/// What it is doing, for the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// No port is open.
    Closed,
    /// It is being configured.
    Configuring,
    /// It listens.
    Listening,
    /// It listens, and answers, but nothing is heard for suspiciously long; the ladder did not help.
    Silent,
    /// The ladder is being climbed.
    Recovering { cause: Cause, rung: Rung },
    /// It is no iM871A.
    Refused,
}
