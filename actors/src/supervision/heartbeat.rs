//! The heartbeat: notices from outside when a thread hangs, which nothing on that thread could.
//!
//! Every Arbiter's thread ticks, in a task of its own beside the actors'. A watcher thread looks at the ticks and at the waits that actors
//! have marked, and says at every look whether the system is healthy; the program feeds the service manager's watchdog from that. Nothing
//! can end a handler that hangs: the service manager ends the process.
//!
//! Unhealthy is an Arbiter that has not ticked for [`Limits::silence`], and a wait beyond its limit. Children that back off or are parked,
//! waits within their limits (back-pressure) and those without one (a missing dongle) are healthy.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use actix::ArbiterHandle;

use super::root::Root;
use crate::tick;

/// How often is looked, and how long a thread may be silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Between two ticks, and between two looks at them.
    pub interval: Duration,
    /// The longest time between two ticks of a healthy thread: far longer than any handler takes. Waits are looked at twice in it.
    pub silence: Duration,
}

impl Default for Limits {
    /// A look every second; a thread hangs after ten.
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            silence: Duration::from_secs(10),
        }
    }
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Complaint {
    /// An Arbiter's thread does not tick.
    Silent {
        /// Its name.
        arbiter: &'static str,
        /// Since when, in whole seconds.
        seconds: u64,
        /// The children whose code runs at this moment; the one that hangs is among them.
        running: Vec<String>,
    },
    /// An actor waits longer than it should.
    Waits {
        /// Which.
        child: String,
        /// For what.
        what: &'static str,
        /// For how long, in whole seconds.
        seconds: u64,
    },
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent {
                arbiter,
                seconds,
                running,
            } => {
                write!(
                    f,
                    "thread {arbiter} has been silent for {seconds} s; running: {}",
                    running.join(", ")
                )
            }
            Self::Waits {
                child,
                what,
                seconds,
            } => write!(f, "{child} has waited {seconds} s for {what}"),
        }
    }
}

/// The watcher. It watches until this is dropped, which must be before the Arbiters are stopped.
pub struct Heartbeat {
    watcher: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
    over: Arc<AtomicBool>,
}

impl Heartbeat {
    /// Watches these Arbiters and all children of `root`. `judge` is called on the watcher's thread at every look, with nothing to
    /// complain of if all is well.
    ///
    /// # Errors
    /// If the system refuses another thread.
    pub fn start(
        root: Arc<Root>,
        arbiters: &[(&'static str, ArbiterHandle)],
        limits: Limits,
        judge: impl FnMut(&[Complaint]) + Send + 'static,
    ) -> std::io::Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let start = Instant::now();
        let pulses = arbiters
            .iter()
            .map(|(name, arbiter)| Pulse::start(name, arbiter, start, limits.interval, &over))
            .collect();
        let (stop, stopped) = mpsc::channel();
        let watcher = Watcher {
            root,
            pulses,
            limits,
            start,
        };
        let thread = thread::Builder::new()
            .name("heartbeat".to_owned())
            .spawn(move || watcher.watch(&stopped, judge))?;
        Ok(Self {
            watcher: Some((stop, thread)),
            over,
        })
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
        if let Some((stop, thread)) = self.watcher.take() {
            drop(stop);
            // A watcher that panicked has judged nothing since, and the service manager has noticed.
            let _ = thread.join();
        }
    }
}

/// One Arbiter's.
struct Pulse {
    arbiter: &'static str,
    /// Milliseconds from the start to the latest tick.
    latest: Arc<AtomicU64>,
}

impl Pulse {
    fn start(
        arbiter: &'static str,
        handle: &ArbiterHandle,
        start: Instant,
        interval: Duration,
        over: &Arc<AtomicBool>,
    ) -> Self {
        let latest = Arc::new(AtomicU64::new(0));
        let (ticks, over) = (Arc::clone(&latest), Arc::clone(over));
        // Refused by an Arbiter that has ended: it will be silent, and is to be complained of.
        handle.spawn(async move {
            while !over.load(Relaxed) {
                ticks.store(start.elapsed().as_millis() as u64, Relaxed);
                tokio::time::sleep_until(tick::next(interval)).await;
            }
        });
        Self { arbiter, latest }
    }
}

struct Watcher {
    root: Arc<Root>,
    pulses: Vec<Pulse>,
    limits: Limits,
    start: Instant,
}

impl Watcher {
    fn watch(&self, stopped: &mpsc::Receiver<()>, mut judge: impl FnMut(&[Complaint])) {
        let mut latest = Instant::now();
        let mut overdue = (latest, Vec::new());
        while stopped.recv_timeout(self.limits.interval) == Err(RecvTimeoutError::Timeout) {
            let now = Instant::now();
            let since_latest = now.duration_since(latest);
            latest = now;
            // If this thread was held up as well, then the whole machine was, and everybody needs a moment to come round.
            if since_latest > self.limits.interval + self.limits.silence / 2 {
                continue;
            }
            // There may be 100,000 children, and their limits are long: not at every look.
            if now.duration_since(overdue.0) >= self.limits.silence / 2 {
                overdue = (now, self.overdue(now));
            }
            let mut complaints = self.silent(now);
            complaints.extend_from_slice(&overdue.1);
            judge(&complaints);
        }
    }

    fn silent(&self, now: Instant) -> Vec<Complaint> {
        let silences = self.pulses.iter().map(|pulse| {
            let ticked = self.start + Duration::from_millis(pulse.latest.load(Relaxed));
            (pulse.arbiter, now.saturating_duration_since(ticked))
        });
        silences
            .filter(|(_, silence)| *silence > self.limits.silence)
            .map(|(arbiter, silence)| Complaint::Silent {
                arbiter,
                seconds: silence.as_secs(),
                running: self.running(),
            })
            .collect()
    }

    fn running(&self) -> Vec<String> {
        let mut running = Vec::new();
        self.root.for_each_child(|child| {
            if child.busy() {
                running.push(child.to_string());
            }
        });
        running
    }

    fn overdue(&self, now: Instant) -> Vec<Complaint> {
        let mut complaints = Vec::new();
        self.root.for_each_child(|child| {
            for wait in child.waits() {
                let waited = now.saturating_duration_since(wait.since);
                if wait.limit.is_some_and(|limit| waited > limit) {
                    complaints.push(Complaint::Waits {
                        child: child.to_string(),
                        what: wait.what,
                        seconds: waited.as_secs(),
                    });
                }
            }
        });
        complaints
    }
}
