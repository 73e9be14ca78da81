//! The gateway's end of the socket.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use omnigate_actors::supervision::catch;
use rustix::event::{PollFd, PollFlags, poll};
use serde_json::{Value, json};
use slog::{Logger, debug, error, warn};

use super::timed::Timed;
use super::{CLIENT_WITHIN, LONGEST_REQUEST, StateLock, socket};

/// What can be asked, and who answers.
#[derive(Default)]
pub struct Verbs(Vec<(&'static str, Answer)>);

type Answer = Box<dyn Fn() -> Value + Send>;

impl Verbs {
    /// Adds a verb. `answer` is called on the socket's thread, returns at once, and holds no secret.
    #[must_use]
    pub fn with(mut self, verb: &'static str, answer: impl Fn() -> Value + Send + 'static) -> Self {
        self.0.push((verb, Box::new(answer)));
        self
    }

    fn answer(&self, verb: &str, log: &Logger) -> Value {
        let Some((_, answer)) = self.0.iter().find(|(name, _)| *name == verb) else {
            let known: Vec<_> = self.0.iter().map(|(name, _)| *name).collect();
            return json!({"error": format!("unknown verb, expected one of: {}", known.join(", "))});
        };
        match catch(answer) {
            Ok(answer) => json!({"answer": answer}),
            Err(panic) => {
                error!(log, "a question made the gateway panic: please report it"; "reason" => "control panic", "error" => %panic);
                json!({"error": "the gateway had an internal error"})
            }
        }
    }
}

/// Answers until it is dropped; then the socket is gone.
pub struct Server {
    path: PathBuf,
    /// Hangs up when it is dropped.
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Begins to answer. What a killed gateway left in the socket's place is replaced; that it is no living one's, the lock proves.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn start(lock: &StateLock, verbs: Verbs, log: Logger) -> io::Result<Self> {
        let path = socket(lock.state_dir());
        let listener = listen(&path)?;
        let (stop, stopped) = UnixStream::pair()?;
        let thread = thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || serve(&listener, &stopped, &verbs, &log))?;
        Ok(Self {
            path,
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It catches what can panic.
            let _ = thread.join();
        }
        // Another's cannot be there: the lock is released later.
        let _ = fs::remove_file(&self.path);
    }
}

/// Nobody else can open the socket, not even for the moment in which it is made.
fn listen(path: &Path) -> io::Result<UnixListener> {
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&new)?;
    listener.set_nonblocking(true)?;
    fs::set_permissions(&new, Permissions::from_mode(0o600))?;
    fs::rename(&new, path)?;
    Ok(listener)
}

fn serve(listener: &UnixListener, stopped: &UnixStream, verbs: &Verbs, log: &Logger) {
    loop {
        let mut ready = [
            PollFd::new(listener, PollFlags::IN),
            PollFd::new(stopped, PollFlags::IN),
        ];
        match poll(&mut ready, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                warn!(log, "the control socket cannot be watched"; "reason" => "control socket", "error" => %error);
                thread::sleep(PAUSE);
                continue;
            }
        }
        let [waiting, end] = &ready;
        if !end.revents().is_empty() {
            return;
        }
        if waiting.revents().is_empty() {
            continue;
        }
        let answered = match listener.accept() {
            Ok((client, _)) => answer(client, verbs, log),
            // It went away again.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => {
                warn!(log, "a client of the control socket cannot be served"; "reason" => "control socket", "error" => %error);
                thread::sleep(PAUSE);
                continue;
            }
        };
        if let Err(error) = answered {
            debug!(log, "a client of the control socket was left without an answer"; "error" => %error);
        }
    }
}

fn answer(client: UnixStream, verbs: &Verbs, log: &Logger) -> io::Result<()> {
    client.set_nonblocking(false)?;
    let mut client = Timed::new(client, CLIENT_WITHIN);
    let answer = match client.line(LONGEST_REQUEST) {
        Ok(None) => return Ok(()),
        Ok(Some(verb)) => verbs.answer(verb.trim(), log),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            json!({"error": error.to_string()})
        }
        Err(error) => return Err(error),
    };
    writeln!(client, "{answer}")
}

/// After a failure that would come again at once.
const PAUSE: Duration = Duration::from_secs(1);
