//! What can be seen of a child from any thread.

use std::fmt;
use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst,
};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use actix::{Actor, ActorContext, Context};

use super::control::Control;
use super::panics::bounded;
use super::role::{Instance, Role};

/// A child as the rest of the program sees it: its state, its restarts, what it waits for. One per child, the same for all its lives.
pub struct Monitor {
    role: &'static Role,
    instance: Option<Instance>,
    phase: AtomicU8,
    /// In milliseconds since [`epoch`]: when the phase ends (backing off, parked) or has begun (the others).
    at: AtomicU64,
    /// Its code is running right now.
    busy: AtomicBool,
    restarts: AtomicU32,
    lost: AtomicU32,
    refused: AtomicU32,
    mail: AtomicU32,
    /// Boxed while it is needed: most of many children never do. Locked for a few instructions at a time.
    rare: Mutex<Option<Box<Rare>>>,
    /// How it is told to stop.
    pub(super) control: Control,
}

/// What does not fit into an atomic.
#[derive(Default)]
struct Rare {
    last_exit: Option<LastExit>,
    failure: Option<String>,
    waits: Vec<Wait>,
}

impl Rare {
    fn is_empty(&self) -> bool {
        self.last_exit.is_none() && self.failure.is_none() && self.waits.is_empty()
    }
}

/// What a child is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not started yet.
    Starting,
    /// Alive, and it waits for nothing that it marked.
    Running,
    /// Alive and waiting, the longest of its waits.
    Waiting(Wait),
    /// Ended; starts again then.
    BackingOff {
        /// When.
        until: Instant,
    },
    /// Beyond its budget; refuses mail and is tried again then.
    Parked {
        /// When.
        until: Instant,
    },
    /// Ended for good.
    Stopped,
}

/// A wait that an actor marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// For what, in a few words.
    pub what: &'static str,
    /// Since when.
    pub since: Instant,
    /// How long is healthy; `None`: for ever.
    pub limit: Option<Duration>,
}

/// The end of a child's latest life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastExit {
    /// Why, in at most 200 characters.
    pub reason: String,
    /// When.
    pub at: Instant,
}

impl Monitor {
    pub(super) fn new(role: &'static Role, instance: Option<Instance>) -> Arc<Self> {
        Arc::new(Self {
            role,
            instance,
            phase: AtomicU8::new(Phase::Starting as u8),
            at: AtomicU64::new(0),
            busy: AtomicBool::new(false),
            restarts: AtomicU32::new(0),
            lost: AtomicU32::new(0),
            refused: AtomicU32::new(0),
            mail: AtomicU32::new(0),
            rare: Mutex::new(None),
            control: Control::default(),
        })
    }

    /// The child's place in the tree and its policy.
    pub fn role(&self) -> &'static Role {
        self.role
    }

    /// Which of several children of one role: the meter's name.
    pub fn instance(&self) -> Option<&Instance> {
        self.instance.as_ref()
    }

    /// What the child is doing now.
    pub fn state(&self) -> State {
        let until = || self.at();
        match Phase::from(self.phase.load(Relaxed)) {
            Phase::Starting => State::Starting,
            Phase::Running => match self.waits().into_iter().min_by_key(|wait| wait.since) {
                Some(wait) => State::Waiting(wait),
                None => State::Running,
            },
            Phase::BackingOff => State::BackingOff { until: until() },
            Phase::Parked => State::Parked { until: until() },
            Phase::Stopped => State::Stopped,
        }
    }

    /// When the present life began, if the child is alive.
    pub fn alive_since(&self) -> Option<Instant> {
        (Phase::from(self.phase.load(Relaxed)) == Phase::Running).then(|| self.at())
    }

    /// Whether the child's code runs at this moment: true for long means that it hangs.
    pub fn busy(&self) -> bool {
        self.busy.load(Relaxed)
    }

    /// Restarts since the program started, including those after a parking.
    pub fn restarts(&self) -> u32 {
        self.restarts.load(Relaxed)
    }

    /// Messages that were in hand when the child ended: lost, never retried.
    pub fn lost(&self) -> u32 {
        self.lost.load(Relaxed)
    }

    /// Messages that were thrown away unread, while the child was parked or when it stopped.
    pub fn refused(&self) -> u32 {
        self.refused.load(Relaxed)
    }

    /// Messages that it found in its mailbox when it read it last, in one turn of at most 128; actix does not tell what waits at this moment.
    pub fn mail(&self) -> u32 {
        self.mail.load(Relaxed)
    }

    /// How its latest life ended, if one has.
    pub fn last_exit(&self) -> Option<LastExit> {
        self.rare_if_any(|rare| rare.last_exit.clone())
    }

    /// The waits that the child is in, in no order.
    pub fn waits(&self) -> Vec<Wait> {
        self.rare_if_any(|rare| rare.waits.clone())
    }

    /// Marks a wait within the role's limit: back-pressure, an answer. It ends when the guard is dropped. Beyond the limit the child
    /// counts as hanging, and the service watchdog is no longer fed.
    pub fn waiting(self: &Arc<Self>, what: &'static str) -> Waiting {
        self.wait(what, Some(self.role.wait_limit))
    }

    /// Marks a wait that may last for ever and is healthy: a missing dongle, a broker that is away.
    pub fn waiting_for_ever(self: &Arc<Self>, what: &'static str) -> Waiting {
        self.wait(what, None)
    }

    fn wait(self: &Arc<Self>, what: &'static str, limit: Option<Duration>) -> Waiting {
        let wait = Wait {
            what,
            since: now(),
            limit,
        };
        self.rare(|rare| rare.waits.push(wait));
        Waiting {
            monitor: Arc::clone(self),
            wait,
        }
    }

    /// Ends the child's present life from any thread, as failed: the policy decides what follows, and another life counts as a restart.
    pub fn restart(&self) {
        self.control.ask_again();
    }

    /// Ends the actor's life as failed, for this reason (at most 200 characters of it are kept; no secrets).
    pub fn fail<A: Actor<Context = Context<A>>>(
        &self,
        ctx: &mut Context<A>,
        reason: impl fmt::Display,
    ) {
        self.set_failure(&reason.to_string());
        ctx.terminate();
    }

    pub(super) fn set_failure(&self, reason: &str) {
        self.rare(|rare| rare.failure = Some(bounded(reason, 200).to_owned()));
    }

    pub(super) fn take_failure(&self) -> Option<String> {
        self.rare_if_any(|rare| rare.failure.take())
    }

    pub(super) fn set_busy(&self, busy: bool) {
        self.busy.store(busy, Relaxed);
    }

    pub(super) fn set_mail(&self, messages: u32) {
        self.mail.store(messages, Relaxed);
    }

    pub(super) fn enter(&self, phase: Phase, at: Instant) {
        let at = at.saturating_duration_since(epoch()).as_millis() as u64;
        self.at.store(at, Relaxed);
        self.phase.store(phase as u8, Relaxed);
    }

    fn at(&self) -> Instant {
        epoch() + Duration::from_millis(self.at.load(Relaxed))
    }

    pub(super) fn exited(&self, reason: &str, at: Instant, message_lost: bool) {
        let reason = bounded(reason, 200).to_owned();
        self.rare(|rare| rare.last_exit = Some(LastExit { reason, at }));
        if message_lost {
            self.lost.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn count_restart(&self) {
        self.restarts.fetch_add(1, Relaxed);
    }

    pub(super) fn count_refused(&self, messages: u32) {
        self.refused.fetch_add(messages, Relaxed);
    }

    /// The last thing that happens to a child.
    pub(super) fn end(&self) {
        self.phase.store(Phase::Stopped as u8, SeqCst);
        self.control.end();
    }

    fn rare<T>(&self, access: impl FnOnce(&mut Rare) -> T) -> T {
        // Nothing inside a lock can panic half-way, so a poisoned one is as good as any.
        let mut rare = self.rare.lock().unwrap_or_else(PoisonError::into_inner);
        let present = rare.get_or_insert_default();
        let result = access(present);
        if present.is_empty() {
            *rare = None;
        }
        result
    }

    fn rare_if_any<T: Default>(&self, access: impl FnOnce(&mut Rare) -> T) -> T {
        let mut rare = self.rare.lock().unwrap_or_else(PoisonError::into_inner);
        rare.as_deref_mut().map(access).unwrap_or_default()
    }
}

/// `parser`, `meter_handler/kam-32666857`.
impl fmt::Display for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.role.name)?;
        match &self.instance {
            Some(instance) => write!(f, "/{instance}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Monitor({self}, {:?})", self.state())
    }
}

/// A wait, for as long as it lives. Move it into the future that waits.
#[must_use = "the wait ends when this is dropped"]
pub struct Waiting {
    monitor: Arc<Monitor>,
    wait: Wait,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.monitor.rare(|rare| {
            if let Some(at) = rare.waits.iter().position(|wait| *wait == self.wait) {
                rare.waits.swap_remove(at);
            }
        });
    }
}

/// The part of [`State`] that the supervisor sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    Starting,
    Running,
    BackingOff,
    Parked,
    Stopped,
}

impl From<u8> for Phase {
    fn from(value: u8) -> Self {
        [
            Self::Starting,
            Self::Running,
            Self::BackingOff,
            Self::Parked,
        ]
        .into_iter()
        .find(|phase| *phase as u8 == value)
        .unwrap_or(Self::Stopped)
    }
}

/// Now, by the runtime's clock, which tests can stop.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// An instant before all others that matter, to count milliseconds from.
fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}
