//! SIGHUP: the settings are read again. What can change without touching the radio does; what cannot is named and waits for the next start.
//! A file with a mistake changes nothing.

use std::io::{self, IsTerminal};

use slog::{Logger, error, info, warn};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::settings::{DaemonSettings, Mistakes, Settings, Written};

/// Reads the settings again, from where they came from.
pub type Again<'a, S> = &'a dyn Fn() -> Result<S, Mistakes>;

/// Settings that know what their file says.
pub trait FromFile {
    /// What it says.
    fn written(&self) -> &Written;
}

impl FromFile for Settings {
    fn written(&self) -> &Written {
        &self.written
    }
}

impl FromFile for DaemonSettings {
    fn written(&self) -> &Written {
        &self.written
    }
}

/// The signal, which also comes when the terminal is closed.
pub struct Hangup {
    signal: Signal,
    terminal: bool,
}

impl Hangup {
    /// Begins to listen.
    ///
    /// # Errors
    /// If the system refuses a signal handler.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            signal: signal(SignalKind::hangup())?,
            terminal: io::stderr().is_terminal(),
        })
    }

    /// The next one.
    pub async fn next(&mut self) {
        self.signal.recv().await;
    }

    /// Whether it came because the terminal in which the program was started is gone: nobody watches it any more.
    pub fn terminal_closed(&self) -> bool {
        self.terminal && !io::stderr().is_terminal()
    }
}

/// The settings as they are now, to be put into force, and the log of what that changes. `in_force` is what the file says of the settings
/// that are, `changeable` are the keys that can change now.
pub fn read_again<S: FromFile>(
    again: Again<'_, S>,
    in_force: &mut Written,
    changeable: &[&str],
    log: &Logger,
) -> Option<S> {
    let settings = match again() {
        Ok(settings) => settings,
        Err(Mistakes { file, mistakes }) => {
            for mistake in mistakes {
                // Each with a reason of its own, so that the limit of the log leaves none out.
                error!(log, "settings not reloaded, nothing is changed"; "reason" => mistake.to_string(), "file" => file.display().to_string());
            }
            return None;
        }
    };
    let differences = in_force.differences(settings.written());
    let (changed, waiting): (Vec<_>, Vec<_>) = differences
        .into_iter()
        .partition(|key| changeable.contains(&key.as_str()));
    for key in &changed {
        in_force.adopt(key, settings.written());
    }
    info!(log, "settings reloaded"; "changed" => list(&changed));
    if !waiting.is_empty() {
        warn!(log, "changed settings that wait for the next start"; "reason" => list(&waiting));
    }
    Some(settings)
}

fn list(keys: &[String]) -> String {
    match keys {
        [] => "nothing".to_owned(),
        keys => keys.join(" "),
    }
}
