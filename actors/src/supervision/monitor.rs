//! What can be seen of a child from any thread, and how it is told to stop.

use std::fmt;
use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst,
};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use actix::{Actor, ActorContext, Context};
use tokio::sync::oneshot;

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
    order: AtomicU8,
    restarts: AtomicU32,
    lost: AtomicU32,
    refused: AtomicU64,
    inner: Mutex<Inner>,
}

/// What does not fit into an atomic. Locked for a few instructions at a time, so that nobody ever waits for it.
#[derive(Default)]
struct Inner {
    waker: Option<Waker>,
    /// Boxed when it is first needed: most of many children never do.
    rare: Option<Box<Rare>>,
}

#[derive(Default)]
struct Rare {
    last_exit: Option<LastExit>,
    failure: Option<String>,
    waits: Vec<Wait>,
    stopped: Option<oneshot::Sender<()>>,
}

impl Inner {
    fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
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
            order: AtomicU8::new(Order::Run as u8),
            restarts: AtomicU32::new(0),
            lost: AtomicU32::new(0),
            refused: AtomicU64::new(0),
            inner: Mutex::new(Inner::default()),
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
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// How its latest life ended, if one has.
    pub fn last_exit(&self) -> Option<LastExit> {
        self.lock()
            .rare
            .as_ref()
            .and_then(|rare| rare.last_exit.clone())
    }

    /// The waits that the child is in, in no order.
    pub fn waits(&self) -> Vec<Wait> {
        self.lock()
            .rare
            .as_ref()
            .map_or_else(Vec::new, |rare| rare.waits.clone())
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
        self.lock().rare().waits.push(wait);
        Waiting {
            monitor: Arc::clone(self),
            wait,
        }
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
        self.lock().rare().failure = Some(bounded(reason, 200).to_owned());
    }

    pub(super) fn take_failure(&self) -> Option<String> {
        self.lock()
            .rare
            .as_mut()
            .and_then(|rare| rare.failure.take())
    }

    pub(super) fn set_busy(&self, busy: bool) {
        self.busy.store(busy, Relaxed);
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
        self.lock().rare().last_exit = Some(LastExit { reason, at });
        if message_lost {
            self.lost.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn count_restart(&self) {
        self.restarts.fetch_add(1, Relaxed);
    }

    pub(super) fn count_refused(&self, messages: u64) {
        self.refused.fetch_add(messages, Relaxed);
    }

    /// What the child's owner wants of it.
    pub(super) fn order(&self) -> Order {
        Order::from(self.order.load(SeqCst))
    }

    /// Gives an order; one that is given already is not taken back.
    pub(super) fn give(&self, order: Order) {
        self.order.fetch_max(order as u8, SeqCst);
        let waker = self.lock().waker.clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// From here on an order wakes this task.
    pub(super) fn attach(&self, waker: Waker) {
        self.lock().waker = Some(waker);
    }

    /// Resolves (as closed) when the child has ended; at once if it has.
    pub(super) fn ended(&self) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let mut inner = self.lock();
        if Phase::from(self.phase.load(SeqCst)) != Phase::Stopped {
            inner.rare().stopped = Some(sender);
        }
        receiver
    }

    /// The last thing that happens to a child.
    pub(super) fn end(&self) {
        let mut inner = self.lock();
        self.phase.store(Phase::Stopped as u8, SeqCst);
        let waker = inner.waker.take();
        let stopped = inner.rare.as_mut().and_then(|rare| rare.stopped.take());
        // What these wake must not find the lock taken.
        drop(inner);
        drop((waker, stopped));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing inside a lock can panic half-way, so a poisoned one is as good as any.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mut inner = self.monitor.lock();
        let waits = &mut inner.rare().waits;
        if let Some(at) = waits.iter().position(|wait| *wait == self.wait) {
            waits.swap_remove(at);
        }
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

/// What the owner wants, each stronger than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Order {
    Run,
    /// Handle what is queued, then stop.
    Stop,
    /// End now.
    Kill,
}

impl From<u8> for Order {
    fn from(value: u8) -> Self {
        [Self::Run, Self::Stop]
            .into_iter()
            .find(|order| *order as u8 == value)
            .unwrap_or(Self::Kill)
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
