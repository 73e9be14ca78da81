//! The session: a connection that comes back by itself, run by a thread of its own.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use slog::Logger;

use super::config::Config;
use super::inbox::{Events, Inbox};
use super::worker::Worker;

/// A running session. When it is dropped without [`Session::close`], whoever it served has failed: the connection ends as if it broke, so that
/// the broker publishes the last will.
pub struct Session {
    shared: Arc<Shared>,
}

/// A message to the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The topic, without wildcards and NUL.
    pub topic: Arc<str>,
    /// The payload.
    pub payload: Vec<u8>,
    /// How surely it is to arrive.
    pub qos: QoS,
    /// The broker keeps it for those who subscribe later.
    pub retained: bool,
}

/// How surely a message arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum QoS {
    /// Lost where the connection breaks; never kept for a client that is away.
    AtMostOnce = 0,
    /// Acknowledged.
    AtLeastOnce = 1,
}

/// One connection of a session, from its [`Event::Connected`](super::Event::Connected) to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection(pub(super) u64);

/// Sessions with the same turn run one after the other: at the broker they are the same client. Kept by what outlives a session, such as
/// an actor's configuration.
#[derive(Debug, Clone, Default)]
pub struct Turn(Arc<Mutex<()>>);

impl Turn {
    /// Waits for the session before to end.
    pub(super) fn take(&self) -> MutexGuard<'_, ()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// Starts to connect, as soon as it is its turn.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(config: Config, turn: &Turn, log: Logger) -> io::Result<(Self, Events)> {
        let shared = Arc::new(Shared {
            orders: Mutex::default(),
            bell: Arc::default(),
            inbox: Inbox::new(),
            started: Instant::now(),
            beat: AtomicU64::new(0),
        });
        let events = Events::of(&shared.inbox);
        let worker = Worker::new(config, Arc::clone(&shared), turn.clone(), log);
        thread::Builder::new()
            .name("mqtt".to_owned())
            .spawn(move || worker.run())?;
        Ok((Self { shared }, events))
    }

    /// Sends messages, in order, and leaves `messages` empty. If the connection has ended they are thrown away: its
    /// [`Event::Disconnected`](super::Event::Disconnected) is on its way.
    ///
    /// Never waits. Whoever sends counts what is not acknowledged and bounds it.
    pub fn send(&self, connection: Connection, messages: &mut Vec<Outgoing>) {
        let mut orders = self.shared.orders();
        if orders.connection == Some(connection) {
            orders.outgoing.extend(messages.drain(..));
        } else {
            messages.clear();
        }
        drop(orders);
        self.shared.bell.ring();
    }

    /// Ends a wait between two attempts.
    pub fn hurry(&self) {
        self.shared.orders().hurry = true;
        self.shared.bell.ring();
    }

    /// Ends the connection without the last will, and then tells [`Event::Closed`](super::Event::Closed). What is not acknowledged yet is
    /// given up.
    pub fn close(&self) {
        self.shared.orders().leave = Some(Leave::Close);
        self.shared.bell.ring();
    }

    /// How long the session's thread has shown no sign of life. It looks around every second, so more than a few mean that the library
    /// below hangs.
    pub fn silent_for(&self) -> Duration {
        self.shared.silent_for()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.orders().leave.get_or_insert(Leave::Fail);
        self.shared.bell.ring();
    }
}

/// What the actor's thread and the session's have in common.
pub(super) struct Shared {
    orders: Mutex<Orders>,
    pub(super) bell: Arc<Bell>,
    pub(super) inbox: Arc<Inbox>,
    started: Instant,
    /// Milliseconds after `started`.
    beat: AtomicU64,
}

/// What the actor wants.
#[derive(Default)]
pub(super) struct Orders {
    /// The connection for which `outgoing` is.
    pub(super) connection: Option<Connection>,
    pub(super) outgoing: VecDeque<Outgoing>,
    pub(super) hurry: bool,
    pub(super) leave: Option<Leave>,
}

/// How to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// As agreed, without the last will.
    Close,
    /// As if the connection broke.
    Fail,
}

impl Shared {
    pub(super) fn orders(&self) -> MutexGuard<'_, Orders> {
        // Nothing that is done under the lock can panic half-way.
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A sign of life.
    pub(super) fn beat(&self) {
        self.beat
            .store(self.started.elapsed().as_millis() as u64, Relaxed);
    }

    fn silent_for(&self) -> Duration {
        let beat = Duration::from_millis(self.beat.load(Relaxed));
        self.started.elapsed().saturating_sub(beat)
    }
}

/// Wakes the session's thread. It never misses a ring: one that comes while it works lets it look again.
#[derive(Default)]
pub(super) struct Bell(OnceLock<Thread>);

impl Bell {
    /// From now on it wakes this thread.
    pub(super) fn hang_here(&self) {
        let _ = self.0.set(thread::current());
    }

    pub(super) fn ring(&self) {
        if let Some(thread) = self.0.get() {
            thread.unpark();
        }
    }

    pub(super) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}
