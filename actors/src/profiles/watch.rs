//! Looks at the directory of profiles again and again while the gateway runs.
//!
//! By looking, not by being told: the system's notices (inotify) get lost on network file systems, in containers whose directory is mounted,
//! and when many files change at once, so that one has to look anyway. Looking costs one `stat` a file, well below a millisecond for a
//! hundred files, on a thread of its own.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use slog::{Logger, error, info, warn};

use super::{Directory, FileMistake, InForce};
use crate::supervision::catch;

/// Watches until it is dropped.
pub struct Watch {
    _stop: Sender<()>,
    seen: Arc<Mutex<Seen>>,
}

/// What the status tells.
#[derive(Default)]
struct Seen {
    files: usize,
    mistakes: Vec<String>,
}

impl Watch {
    /// Reads the directory, puts its profiles in force, and looks after it from then on.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn start(
        directory: PathBuf,
        interval: Duration,
        in_force: Arc<InForce>,
        log: Logger,
    ) -> io::Result<Self> {
        let (stop, stopped) = channel();
        let seen = Arc::<Mutex<Seen>>::default();
        let mut watcher = Watcher {
            directory: Directory::new(directory),
            in_force,
            told: HashSet::new(),
            seen: Arc::clone(&seen),
            log,
        };
        watcher.look(true);
        thread::Builder::new()
            .name("profiles".to_owned())
            .spawn(move || watcher.watch(&stopped, interval))?;
        Ok(Self { _stop: stop, seen })
    }

    /// For the status: how many profiles come from files, and what is wrong with the others.
    pub fn section(&self) -> impl Fn() -> Value + Send + use<> {
        let seen = Arc::clone(&self.seen);
        move || {
            let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            let first: Vec<_> = seen.mistakes.iter().take(MISTAKES_SHOWN).collect();
            json!({"from_files": seen.files, "mistakes": seen.mistakes.len(), "first_mistakes": first})
        }
    }
}

struct Watcher {
    directory: Directory,
    in_force: Arc<InForce>,
    /// Mistakes that were logged.
    told: HashSet<String>,
    seen: Arc<Mutex<Seen>>,
    log: Logger,
}

impl Watcher {
    fn watch(mut self, stopped: &Receiver<()>, interval: Duration) {
        while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
            self.look(false);
        }
    }

    fn look(&mut self, at_once: bool) {
        match catch(|| self.directory.look(at_once)) {
            Ok(false) => {}
            Ok(true) => self.take(),
            Err(panic) => {
                error!(self.log, "the directory of profiles made the gateway panic: please report it";
                    "reason" => "profiles panic", "error" => %panic);
            }
        }
    }

    fn take(&mut self) {
        let (profiles, files, mistakes) = self.directory.result();
        self.in_force.replace(profiles);
        info!(self.log, "meter profiles read"; "from_files" => files.len(), "mistakes" => mistakes.len());
        self.tell(&mistakes);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen {
            files: files.len(),
            mistakes: mistakes.iter().map(FileMistake::to_string).collect(),
        };
    }

    /// Each mistake once, until it is mended.
    fn tell(&mut self, mistakes: &[FileMistake]) {
        let all: HashSet<_> = mistakes.iter().map(FileMistake::to_string).collect();
        let new = mistakes
            .iter()
            .filter(|mistake| !self.told.contains(&mistake.to_string()));
        for mistake in new.take(MISTAKES_SHOWN) {
            warn!(self.log, "mistake in a meter profile; what was in force before stays";
                "reason" => "profile mistake", "error" => %mistake);
        }
        self.told = all;
    }
}

/// As many are logged at once, and told in the status.
const MISTAKES_SHOWN: usize = 20;
