//! A command's end of the socket.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::timed::Timed;
use super::{CLIENT_WITHIN, LONGEST_ANSWER, socket};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens.
    #[error("no gateway runs on {}", .0.display())]
    NotRunning(PathBuf),
    /// Only the gateway's user, and root, may ask.
    #[error("{}: permission denied; ask as the user who runs the gateway", .0.display())]
    Forbidden(PathBuf),
    /// The connection failed.
    #[error("{}: {error}", .path.display())]
    Failed {
        /// The socket.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The gateway says so.
    #[error("the gateway answers: {0}")]
    Refused(String),
}

/// Asks the gateway that runs on this `state_dir`.
///
/// # Errors
/// [`AskError`].
pub fn ask(state_dir: &Path, verb: &str) -> Result<Value, AskError> {
    let path = socket(state_dir);
    exchange(&path, verb)
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                AskError::NotRunning(state_dir.to_owned())
            }
            io::ErrorKind::PermissionDenied => AskError::Forbidden(path),
            _ => AskError::Failed { path, error },
        })
        .and_then(|mut answer: Value| match answer.get_mut("answer") {
            Some(answer) => Ok(answer.take()),
            None => Err(AskError::Refused(
                answer
                    .get("error")
                    .and_then(Value::as_str)
                    .unwrap_or("something that is no answer")
                    .to_owned(),
            )),
        })
}

fn exchange(path: &Path, verb: &str) -> io::Result<Value> {
    let mut gateway = Timed::new(UnixStream::connect(path)?, PATIENCE);
    writeln!(gateway, "{verb}")?;
    let line = gateway
        .line(LONGEST_ANSWER)?
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    serde_json::from_str(&line).map_err(io::Error::from)
}

/// Time for the gateway to finish with another client first.
const PATIENCE: Duration = CLIENT_WITHIN.saturating_mul(3);
