//! What the service manager is told: ready, alive, stopping. Without one, nothing happens.

use omnigate_actors::supervision::heartbeat::Complaint;
use sd_notify::NotifyState;
use slog::{Logger, debug, error};

/// The gateway has started.
pub fn ready(log: &Logger) {
    tell(log, &[NotifyState::Ready]);
}

/// The settings are being read again; [`ready`] ends that.
pub fn reloading(log: &Logger) {
    let mut states = vec![NotifyState::Reloading];
    // In the same message: it tells this reload from an earlier one.
    states.extend(NotifyState::monotonic_usec_now());
    tell(log, &states);
}

/// The gateway is stopping.
pub fn stopping(log: &Logger) {
    tell(log, &[NotifyState::Stopping]);
}

/// Feeds the watchdog for as long as there is nothing to complain of; otherwise the service manager ends the process, which is the only
/// cure for a thread that hangs.
pub fn judge(log: &Logger, complaints: &[Complaint]) {
    if complaints.is_empty() {
        tell(log, &[NotifyState::Watchdog]);
    }
    for complaint in complaints {
        error!(log, "the watchdog is not fed"; "reason" => "unhealthy", "error" => %complaint);
    }
}

fn tell(log: &Logger, states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!(log, "the service manager does not listen"; "error" => %error);
    }
}
