//! A child's mailbox, kept outside its lives.
//!
//! An actix context owns its mailbox, and nobody else can take a message out of it. That is too little here: a parked child has to throw
//! its mail away without running, and a child that stops has to know when its mailbox is empty. So the context gets a mailbox that is
//! never used, and the real one is kept here and served by a future in the context, the [`Pump`]. For the actor nothing changes:
//! `ctx.address()`, `ctx.set_mailbox_capacity()`, `ctx.wait()` and `ctx.stop()` do what they always do.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{self, Poll, Waker};

use actix::dev::channel::AddressReceiver;
use actix::dev::{AsyncContextParts, ContextParts, EnvelopeProxy};
use actix::prelude::{Actor, ActorFuture, AsyncContext, Context, Stream};

use super::panics::catch;
use crate::faults;

/// The messages that wait for a child.
pub(super) struct Mail<A: Actor<Context = Context<A>>> {
    queue: RefCell<AddressReceiver<A>>,
    in_hand: Cell<bool>,
    empty: Cell<bool>,
    found: Cell<u32>,
}

impl<A: Actor<Context = Context<A>>> Mail<A> {
    pub(super) fn new(queue: AddressReceiver<A>) -> Rc<Self> {
        Rc::new(Self {
            queue: RefCell::new(queue),
            in_hand: Cell::new(false),
            empty: Cell::new(false),
            found: Cell::new(0),
        })
    }

    /// A context whose actor is served from here.
    pub(super) fn context(self: &Rc<Self>) -> Context<A> {
        let mut ctx = Context::new();
        *ctx.parts() = ContextParts::new(self.queue.borrow().sender_producer());
        ctx.spawn(Pump {
            mail: Rc::clone(self),
        });
        ctx
    }

    /// Whether a message was being handled when the actor's code was left the last time; asking forgets it.
    pub(super) fn was_in_hand(&self) -> bool {
        self.in_hand.take()
    }

    /// Whether the pump has found nothing to do since the last call of [`Mail::look_again`].
    pub(super) fn empty(&self) -> bool {
        self.empty.get()
    }

    /// How many messages the pump found in its last turn.
    pub(super) fn found(&self) -> u32 {
        self.found.get()
    }

    pub(super) fn look_again(&self) {
        self.empty.set(false);
    }

    /// Throws away what has come, and returns how much that was; wakes the task when more comes.
    pub(super) fn refuse(&self, cx: &mut task::Context<'_>) -> u32 {
        let mut refused = 0;
        while let Poll::Ready(Some(envelope)) = self.next(cx) {
            refused += 1;
            // Whoever wrote the message's destructor may have made a mistake; the message is gone all the same.
            let _ = catch(|| drop(envelope));
        }
        refused
    }

    /// Throws everything away.
    pub(super) fn refuse_all(&self) -> u32 {
        self.refuse(&mut task::Context::from_waker(Waker::noop()))
    }

    fn next(&self, cx: &mut task::Context<'_>) -> Poll<Option<actix::dev::Envelope<A>>> {
        Pin::new(&mut *self.queue.borrow_mut()).poll_next(cx)
    }
}

/// Serves the mail to the actor, for one life.
struct Pump<A: Actor<Context = Context<A>>> {
    mail: Rc<Mail<A>>,
}

/// After so many messages in a row, other actors of the thread (and the thread's heartbeat) get their turn.
const BATCH: u32 = 128;

impl<A: Actor<Context = Context<A>>> ActorFuture<A> for Pump<A> {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        actor: &mut A,
        ctx: &mut Context<A>,
        cx: &mut task::Context<'_>,
    ) -> Poll<()> {
        if ctx.waiting() {
            return Poll::Pending;
        }
        let mut handled = 0;
        // The context waits while a future of `ctx.wait` runs, and from `ctx.stop` on.
        while !ctx.waiting() {
            if handled == BATCH {
                cx.waker().wake_by_ref();
                break;
            }
            let Poll::Ready(Some(mut envelope)) = self.mail.next(cx) else {
                self.mail.empty.set(true);
                break;
            };
            self.mail.in_hand.set(true);
            envelope.handle(actor, ctx);
            self.mail.in_hand.set(false);
            handled += 1;
            if faults::pending() {
                break;
            }
        }
        self.mail.found.set(handled);
        Poll::Pending
    }
}
