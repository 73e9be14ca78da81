//! States and codes in words.

use omnigate_actors::driver::dongle::{Cause, Rung};
use omnigate_actors::driver::status::DriverState;
use omnigate_actors::supervision::State;
use wmbus::Medium;

/// What an actor is doing.
pub fn actor_state(state: &State) -> String {
    match state {
        State::Starting => "starting".to_owned(),
        State::Running => "running".to_owned(),
        State::Waiting(wait) => format!("waiting for {}", wait.what),
        State::BackingOff { .. } => "backing off".to_owned(),
        State::Parked { .. } => "parked".to_owned(),
        State::Stopped => "stopped".to_owned(),
    }
}

/// What the source is doing, more of that, and whether telegrams can come.
pub(super) fn source_state(state: &DriverState) -> (&'static str, Option<String>, bool) {
    match state {
        DriverState::Starting => ("starting", None, false),
        DriverState::Waiting { reason } => ("waiting", Some(reason.clone()), false),
        DriverState::WaitingForMeters => (
            "waiting",
            Some("it begins when the gateway is told which meters to monitor".to_owned()),
            true,
        ),
        DriverState::Configuring => ("configuring", None, false),
        DriverState::Listening => ("listening", None, true),
        DriverState::Silent => (
            "silent",
            Some("no telegram for suspiciously long".to_owned()),
            false,
        ),
        DriverState::Recovering { cause, rung } => (
            "recovering",
            Some(format!("{}: {}", self::cause(*cause), self::rung(*rung))),
            false,
        ),
        DriverState::Refused => (
            "refused",
            Some("what is at the port is no iM871A".to_owned()),
            false,
        ),
        DriverState::Ended => ("at its end", None, true),
    }
}

const fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::NoAnswer => "it does not answer",
        Cause::Babbling => "it sends garbage",
        Cause::Misconfigured => "it has another configuration than it was given",
        Cause::NoTelegrams => "it hears nothing",
        Cause::Asked => "somebody asked for a reset",
    }
}

const fn rung(rung: Rung) -> &'static str {
    match rung {
        Rung::Ping => "asking whether it is there",
        Rung::SetLinkMode => "setting its link mode again",
        Rung::Reset => "resetting it",
        Rung::Reopen => "opening its port again",
    }
}

/// What a meter measures.
pub(super) fn medium(medium: Medium) -> String {
    match medium.name() {
        Some(name) => name.to_owned(),
        None => format!("type {:02X}", medium.0),
    }
}
