//! How a child is told to stop from any thread, and how it tells that it has.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use tokio::sync::oneshot;

/// What the owner wants of a child, each stronger than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Order {
    Run,
    /// Handle what is queued if the role says so, then stop.
    Stop,
    /// End now.
    Kill,
    /// It has ended: there is nothing left to order.
    Over,
}

/// A child's, shared by its owner and its supervisor.
#[derive(Default)]
pub(super) struct Control {
    order: AtomicU8,
    /// The present life is to end, and another to follow.
    again: AtomicBool,
    signals: Mutex<Signals>,
}

/// Locked for a few instructions at a time, so that nobody ever waits for it.
#[derive(Default)]
struct Signals {
    /// Wakes the child's task.
    waker: Option<Waker>,
    /// Dropped when the child has ended, which is what its owner waits for.
    ended: Option<oneshot::Sender<()>>,
}

impl Control {
    pub(super) fn order(&self) -> Order {
        let order = self.order.load(SeqCst);
        [Order::Run, Order::Stop, Order::Kill]
            .into_iter()
            .find(|known| *known as u8 == order)
            .unwrap_or(Order::Over)
    }

    /// Gives an order; a stronger one that was given before stays.
    pub(super) fn give(&self, order: Order) {
        self.order.fetch_max(order as u8, SeqCst);
        let waker = self.signals().waker.clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Asks for another life.
    pub(super) fn ask_again(&self) {
        self.again.store(true, SeqCst);
        let waker = self.signals().waker.clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether another life was asked for. Answers yes once.
    pub(super) fn take_again(&self) -> bool {
        self.again.load(SeqCst) && self.again.swap(false, SeqCst)
    }

    /// From here on an order wakes this task.
    pub(super) fn attach(&self, waker: Waker) {
        self.signals().waker = Some(waker);
    }

    /// Resolves, as closed, when the child has ended; at once if it has. For one owner.
    pub(super) fn ended(&self) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let mut signals = self.signals();
        if self.order() != Order::Over {
            signals.ended = Some(sender);
        }
        receiver
    }

    /// The child has ended.
    pub(super) fn end(&self) {
        let mut signals = self.signals();
        self.order.store(Order::Over as u8, SeqCst);
        let done = (signals.waker.take(), signals.ended.take());
        // Whom this wakes must not find the lock taken.
        drop(signals);
        drop(done);
    }

    fn signals(&self) -> MutexGuard<'_, Signals> {
        // Nothing inside a lock can panic half-way, so a poisoned one is as good as any.
        self.signals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
