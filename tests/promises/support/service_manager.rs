//! A service manager, as far as the program speaks with one: the notify protocol, the watchdog, and what `deploy/omnigate.service` says of
//! restarts.

use std::collections::BTreeSet;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::gateway::Options;
use super::process::Process;
use super::{DEADLINE_OF_AN_END, wait_at_most, wait_for};

const UNIT: &str = include_str!("../../../deploy/omnigate.service");

/// Keeps the program running until it is dropped.
pub struct ServiceManager {
    lives: Arc<Mutex<Vec<Life>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    _folders: [TempDir; 2],
}

/// One run of the program.
struct Life {
    process: Process,
    /// The messages that it sent, in order.
    messages: Vec<String>,
    /// When the watchdog was fed.
    fed: Vec<Instant>,
    end: Option<ExitStatus>,
}

impl ServiceManager {
    /// Starts the gateway. `faults` are injected into its first life only. Whoever does not feed the watchdog for `watchdog` is killed.
    pub fn start(options: Options, faults: &str, watchdog: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("notify");
        let messages = UnixDatagram::bind(&socket).unwrap();
        messages
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        let (mut command, settings) = options.prepare();
        command.env("NOTIFY_SOCKET", &socket);
        command.env("WATCHDOG_USEC", watchdog.as_micros().to_string());
        command.env("OMNIGATE_FAULTS", faults);
        let lives: Arc<Mutex<Vec<Life>>> = Arc::default();
        let over = Arc::new(AtomicBool::new(false));
        let thread = {
            let (lives, over) = (Arc::clone(&lives), Arc::clone(&over));
            thread::spawn(move || keep_running(command, &messages, watchdog, &lives, &over))
        };
        let manager = Self {
            lives,
            over,
            thread: Some(thread),
            _folders: [folder, settings],
        };
        wait_for("the first life", || (manager.count() > 0).then_some(()));
        manager
    }

    /// How often it was started.
    pub fn count(&self) -> usize {
        self.lives().len()
    }

    /// Waits until this run, the first is 0, has ended.
    pub fn end_of(&self, life: usize) -> ExitStatus {
        let what = format!("the end of run {life}");
        wait_at_most(DEADLINE_OF_AN_END, &what, || {
            self.lives().get(life).and_then(|life| life.end)
        })
    }

    /// Waits until this run, the first is 0, has sent a message with this line, and gives the message.
    pub fn message(&self, life: usize, line: &str) -> String {
        wait_for(&format!("{line} in run {life}"), || {
            let lives = self.lives();
            let mut messages = lives.get(life)?.messages.iter();
            messages
                .find(|message| message.lines().any(|other| other == line))
                .cloned()
        })
    }

    /// Whether the last of what this run told of its state is that it is ready.
    pub fn is_ready_again(&self, life: usize) -> bool {
        let lives = self.lives();
        let messages = lives[life]
            .messages
            .iter()
            .map(|message| message.trim_end());
        let states: Vec<_> = messages
            .filter(|message| *message != "WATCHDOG=1")
            .collect();
        states.last() == Some(&"READY=1")
    }

    /// How long this run left the watchdog hungry at most, up to now.
    pub fn longest_fast(&self, life: usize) -> Duration {
        let lives = self.lives();
        let fed = &lives[life].fed;
        let pauses = fed
            .iter()
            .zip(fed.iter().skip(1).copied().chain([Instant::now()]));
        pauses.map(|(before, after)| after - *before).max().unwrap()
    }

    /// What this run printed so far.
    pub fn output(&self, life: usize) -> String {
        let lives = self.lives();
        lives
            .get(life)
            .map(|life| life.process.output())
            .unwrap_or_default()
    }

    /// Waits until this run has printed this.
    pub fn wait_for_output(&self, life: usize, text: &str) {
        wait_for(&format!("{text:?} in the output of run {life}"), || {
            self.output(life).contains(text).then_some(())
        });
    }

    /// Writes a line to the standard input of this run.
    pub fn feed(&self, life: usize, lines: &[&str]) {
        let mut lives = self.lives();
        lives[life].process.feed(lines.iter().copied());
    }

    /// Sends a signal to the latest run.
    pub fn signal(&self, name: &str) {
        self.lives().last().unwrap().process.signal(name);
    }

    fn lives(&self) -> MutexGuard<'_, Vec<Life>> {
        self.lives.lock().unwrap()
    }
}

impl Drop for ServiceManager {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

fn keep_running(
    mut command: Command,
    messages: &UnixDatagram,
    watchdog: Duration,
    lives: &Mutex<Vec<Life>>,
    over: &AtomicBool,
) {
    let prevented = values("RestartPreventExitStatus");
    assert_eq!(values("Restart"), ["on-failure".to_owned()].into());
    while !over.load(Relaxed) {
        lives.lock().unwrap().push(Life {
            process: Process::again(&mut command),
            messages: Vec::new(),
            fed: vec![Instant::now()],
            end: None,
        });
        let end = loop {
            if over.load(Relaxed) {
                return;
            }
            let mut buffer = [0; 4096];
            let message = messages
                .recv(&mut buffer)
                .map(|length| String::from_utf8(buffer[..length].to_vec()).unwrap());
            let mut lives = lives.lock().unwrap();
            let life = lives.last_mut().unwrap();
            if let Ok(message) = message {
                if message
                    .lines()
                    .any(|line| line == "WATCHDOG=1" || line == "READY=1")
                {
                    life.fed.push(Instant::now());
                }
                life.messages.push(message);
            } else if life.fed.last().unwrap().elapsed() > watchdog {
                // As systemd does. Hung threads do not hear it, but the process ends.
                life.process.signal("ABRT");
            }
            if let Some(end) = life.process.try_wait() {
                life.end = Some(end);
                break end;
            }
        };
        let stays_down = end.success()
            || end
                .code()
                .is_some_and(|code| prevented.contains(&code.to_string()));
        if stays_down {
            return;
        }
        assert!(end.code().is_some() || end.signal().is_some());
        command.env_remove("OMNIGATE_FAULTS");
        thread::sleep(Duration::from_millis(200));
    }
}

/// The words that the unit file gives to this key.
fn values(key: &str) -> BTreeSet<String> {
    let line = UNIT
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    line.unwrap_or_else(|| panic!("the unit file has no {key}"))
        .split_whitespace()
        .map(str::to_owned)
        .collect()
}
