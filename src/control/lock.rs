//! Only one gateway runs on one `state_dir`.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Held while the gateway runs. The system lets go of it however the process ends.
#[derive(Debug)]
pub struct StateLock {
    state_dir: PathBuf,
    /// Locked while it is open.
    _file: File,
}

/// Why the directory is not ours.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another gateway has it.
    #[error("another gateway{} runs on {}", process(.holder), .state_dir.display())]
    Taken {
        /// The directory.
        state_dir: PathBuf,
        /// The other's process id, if it can be told.
        holder: Option<u32>,
    },
    /// It cannot be made or written.
    #[error("{}: {error}", .path.display())]
    Unusable {
        /// What cannot be made or written.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl StateLock {
    /// Makes the directory if there is none, and takes it.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn take(state_dir: &Path) -> Result<Self, LockError> {
        let unusable = |path: &Path| {
            let path = path.to_owned();
            move |error| LockError::Unusable { path, error }
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(state_dir)
            .map_err(unusable(state_dir))?;
        let path = state_dir.join("control.lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(unusable(&path))?;
        match file.try_lock() {
            Ok(()) => {
                // For people; the lock does not depend on it.
                let _ = file
                    .set_len(0)
                    .and_then(|()| writeln!(file, "{}", std::process::id()));
                Ok(Self {
                    state_dir: state_dir.to_owned(),
                    _file: file,
                })
            }
            Err(TryLockError::WouldBlock) => Err(LockError::Taken {
                state_dir: state_dir.to_owned(),
                holder: read_process(&mut file),
            }),
            Err(TryLockError::Error(error)) => Err(unusable(&path)(error)),
        }
    }

    /// The directory.
    pub fn state_dir(&self) -> &Path {
        &self.state_dir
    }
}

fn read_process(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn process(holder: &Option<u32>) -> String {
    holder
        .map(|id| format!(" (process {id})"))
        .unwrap_or_default()
}
