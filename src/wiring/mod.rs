//! Wiring: starts the tree of actors, waits for a reason to end, and stops it in stages.
//!
//! Two threads: `radio` carries a telegram from the source to its meter's handler, `broker` carries readings and commands. What the
//! actors share and what outlives their lives is made here; who restarts how is in [`omnigate_actors::tree`].

mod bridge;
mod daemon;
mod gateway;
mod outputs;
mod profiles;
mod rates;
mod reasons;
mod reload;
mod status;
mod watchdog;

use std::io;
use std::path::Path;

use actix::prelude::*;
use slog::{Logger, warn};

use self::daemon::Daemon;
use self::gateway::Gateway;
use self::reasons::{Reason, Reasons};
use self::reload::{Again, FromFile, Hangup, read_again};
use crate::exit::Exit;
use crate::logging::Logging;
use crate::settings::{DaemonSettings, Settings, Written};

/// Runs the gateway until there is a reason to end, and says how it ended. At a SIGHUP it reads its settings `again`, if it can.
///
/// # Errors
/// If the system refuses a thread or a signal handler.
pub fn run(
    settings: &Settings,
    again: Option<Again<'_, Settings>>,
    logging: &Logging,
) -> io::Result<Exit> {
    let log = logging.logger();
    System::new().block_on(async {
        let (mut reasons, ends) = Reasons::listen()?;
        let hangup = Hangup::listen()?;
        let gateway = Gateway::start(settings, logging, ends)?;
        let changeable = gateway.changeable();
        watchdog::ready(log);
        let reason = tokio::select! {
            reason = reasons.next(gateway.root()) => reason,
            reason = reloads(hangup, again, &settings.written, &changeable, log, |settings| {
                logging.change_level(settings.log.level);
                gateway.adjust(settings);
            }) => reason,
        };
        reason.report(log);
        watchdog::stopping(log);
        tokio::select! {
            () = gateway.stop(&reason) => {}
            () = reasons.signal() => warn!(log, "second signal: ending at once"),
        }
        Ok(reason.exit())
    })
}

/// Runs the driver alone, which writes the FIFO, until there is a reason to end, and says how it ended. At a SIGHUP it reads its settings
/// `again`.
///
/// # Errors
/// If the system refuses a thread or a signal handler.
pub fn drive(
    settings: &DaemonSettings,
    again: Again<'_, DaemonSettings>,
    fifo: &Path,
    logging: &Logging,
) -> io::Result<Exit> {
    let log = logging.logger();
    System::new().block_on(async {
        let (mut reasons, ends) = Reasons::listen()?;
        let hangup = Hangup::listen()?;
        let daemon = Daemon::start(settings, fifo, log, ends)?;
        watchdog::ready(log);
        let reason = tokio::select! {
            reason = reasons.next(daemon.root()) => reason,
            reason = reloads(hangup, Some(again), &settings.written, &Daemon::CHANGEABLE, log, |settings| {
                logging.change_level(settings.log.level);
            }) => reason,
        };
        reason.report(log);
        watchdog::stopping(log);
        tokio::select! {
            () = daemon.stop() => {}
            () = reasons.signal() => warn!(log, "second signal: ending at once"),
        }
        Ok(reason.exit())
    })
}

/// Puts the settings into force at every SIGHUP, until one is a reason to end.
async fn reloads<S: FromFile>(
    mut hangup: Hangup,
    again: Option<Again<'_, S>>,
    written: &Written,
    changeable: &[&str],
    log: &Logger,
    adjust: impl Fn(&S),
) -> Reason {
    let mut in_force = written.clone();
    loop {
        hangup.next().await;
        let Some(again) = again.filter(|_| !hangup.terminal_closed()) else {
            return Reason::Signal("SIGHUP");
        };
        watchdog::reloading(log);
        if let Some(settings) = read_again(again, &mut in_force, changeable, log) {
            adjust(&settings);
        }
        watchdog::ready(log);
    }
}
