//! States and codes in words.

use jiff::SignedDuration;
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

/// How long ago, in the largest unit that fits.
pub fn ago(time: SignedDuration) -> String {
    let seconds = time.as_secs();
    match seconds {
        ..1 => "now".to_owned(),
        1..120 => format!("{seconds} s ago"),
        120..7_200 => format!("{} min ago", seconds / 60),
        7_200..172_800 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_told_in_the_largest_unit() {
        let told = |seconds| ago(SignedDuration::from_secs(seconds));
        assert_eq!(told(-5), "now");
        assert_eq!(told(119), "119 s ago");
        assert_eq!(told(7_199), "119 min ago");
        assert_eq!(told(172_799), "47 h ago");
        assert_eq!(told(172_800), "2 days ago");
    }
}
