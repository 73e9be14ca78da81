//! The control socket: how `omnigate meters` and other commands ask the gateway that runs on this machine.
//!
//! `<state_dir>/control.sock`, a Unix-domain socket that only the gateway's user can open. A client sends one line, a verb, and gets one line
//! of JSON: `{"answer": …}`, or `{"error": "…"}`. It can only ask: nothing is changed through it, and no answer holds a secret.
//!
//! Served by a thread of its own, one client after the other, each within a time limit: no actor waits for a client. What a killed gateway
//! left behind is replaced; [`StateLock`] sees to it that no second gateway runs on one `state_dir`. Without a directory that can be written
//! the gateway runs on, and cannot be asked.

mod client;
mod lock;
mod server;
mod timed;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use client::{AskError, ask};
pub use lock::{LockError, StateLock};
pub use server::{Server, Verbs};

/// The socket's path.
fn socket(state_dir: &Path) -> PathBuf {
    state_dir.join("control.sock")
}

/// A client that has not sent its line, or taken its answer, is left after so long.
const CLIENT_WITHIN: Duration = Duration::from_secs(5);

/// Longer than any verb. Bytes.
const LONGEST_REQUEST: usize = 256;

/// More than the longest answer, that of a gateway with 10,000 meters. Bytes.
const LONGEST_ANSWER: usize = 64 << 20;

#[cfg(test)]
mod tests;
