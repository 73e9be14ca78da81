//! Wiring: starts the tree of actors, waits for a reason to end, and stops it in stages.
//!
//! Two threads: `radio` carries a telegram from the source to its meter's handler, `broker` carries readings and commands. What the
//! actors share and what outlives their lives is made here; who restarts how is in [`omnigate_actors::tree`].

mod daemon;
mod gateway;
mod profiles;
mod reasons;
mod status;
mod watchdog;

use std::io;
use std::path::Path;

use actix::prelude::*;
use slog::{Logger, warn};

use self::daemon::Daemon;
use self::gateway::Gateway;
use self::reasons::Reasons;
use crate::exit::Exit;
use crate::settings::{DaemonSettings, Settings};

/// Runs the gateway until there is a reason to end, and says how it ended.
///
/// # Errors
/// If the system refuses a thread or a signal handler.
pub fn run(settings: &Settings, log: &Logger) -> io::Result<Exit> {
    System::new().block_on(async {
        let (mut reasons, ends) = Reasons::listen()?;
        let gateway = Gateway::start(settings, log, ends)?;
        watchdog::ready(log);
        let reason = reasons.next(gateway.root()).await;
        reason.report(log);
        watchdog::stopping(log);
        tokio::select! {
            () = gateway.stop(&reason) => {}
            () = reasons.signal() => warn!(log, "second signal: ending at once"),
        }
        Ok(reason.exit())
    })
}

/// Runs the driver alone, which writes the FIFO, until there is a reason to end, and says how it ended.
///
/// # Errors
/// If the system refuses a thread or a signal handler.
pub fn drive(settings: &DaemonSettings, fifo: &Path, log: &Logger) -> io::Result<Exit> {
    System::new().block_on(async {
        let (mut reasons, ends) = Reasons::listen()?;
        let daemon = Daemon::start(settings, fifo, log, ends)?;
        watchdog::ready(log);
        let reason = reasons.next(daemon.root()).await;
        reason.report(log);
        watchdog::stopping(log);
        tokio::select! {
            () = daemon.stop() => {}
            () = reasons.signal() => warn!(log, "second signal: ending at once"),
        }
        Ok(reason.exit())
    })
}
