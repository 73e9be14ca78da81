//! Forward: the one-message slot before a bounded mailbox.
//!
//! An actor on the data path works synchronously and hands its result on with [`Forward::send`]. When the next mailbox is full the
//! message waits in the slot, and the actor takes no further mail until it went. The slot lives outside the actor's context, so that
//! a restart loses nothing: [`Forward::resume`], called in `started`, goes on where the last life stopped.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix::dev::ToEnvelope;
use actix::fut::wrap_future;
use actix::prelude::*;

use crate::supervision::Monitor;

/// A bounded way to the next actor. Clones share the slot.
pub struct Forward<M>
where
    M: Message + Send + 'static,
    M::Result: Send,
{
    /// Shared by all branches: an actix sender of its own for each would take more memory, and a further place in the mailbox.
    to: Arc<Recipient<M>>,
    slot: Arc<Mutex<Option<M>>>,
}

impl<M> Forward<M>
where
    M: Message + Send + Unpin + 'static,
    M::Result: Send,
{
    /// To the given mailbox, with an empty slot.
    pub fn new(to: Recipient<M>) -> Self {
        Self {
            to: Arc::new(to),
            slot: Arc::default(),
        }
    }

    /// Another way to the same mailbox, with a slot of its own: for one more actor that sends there.
    pub fn branch(&self) -> Self {
        Self {
            to: Arc::clone(&self.to),
            slot: Arc::default(),
        }
    }

    /// To the mailbox of `actor`.
    pub fn to<A>(actor: Addr<A>) -> Self
    where
        A: Actor<Context: ToEnvelope<A, M>> + Handler<M>,
    {
        Self::new(actor.recipient())
    }

    /// Hands the message on, or keeps it in the slot and takes no further mail until it went.
    ///
    /// Call it once per message: the slot holds one.
    pub fn send<A>(&self, message: M, monitor: &Arc<Monitor>, ctx: &mut Context<A>)
    where
        A: Actor<Context = Context<A>>,
    {
        if let Some(refused) = self.attempt(message) {
            *self.slot() = Some(refused);
            self.wait(monitor, ctx);
        }
    }

    /// Takes up a message that the last life left in the slot. Belongs into `started`.
    pub fn resume<A>(&self, monitor: &Arc<Monitor>, ctx: &mut Context<A>)
    where
        A: Actor<Context = Context<A>>,
    {
        if self.slot().is_some() {
            self.wait(monitor, ctx);
        }
    }

    /// The message back if the mailbox is full. A closed mailbox takes it for good: nobody is there any more.
    fn attempt(&self, message: M) -> Option<M> {
        match self.to.try_send(message) {
            Err(SendError::Full(message)) => Some(message),
            Err(SendError::Closed(_)) | Ok(()) => None,
        }
    }

    fn wait<A>(&self, monitor: &Arc<Monitor>, ctx: &mut Context<A>)
    where
        A: Actor<Context = Context<A>>,
    {
        let forward = self.clone();
        let waiting = monitor.waiting("room in the next mailbox");
        ctx.wait(wrap_future(async move {
            let _waiting = waiting;
            for attempt in 1.. {
                // A receiver on this thread needs its turn; one on another thread, or a restarting one, needs time.
                if attempt <= TURNS {
                    tokio::task::yield_now().await;
                } else {
                    tokio::time::sleep(RETRY_INTERVAL).await;
                }
                let Some(message) = forward.slot().take() else {
                    break;
                };
                match forward.attempt(message) {
                    Some(refused) => *forward.slot() = Some(refused),
                    None => break,
                }
            }
        }));
    }

    fn slot(&self) -> MutexGuard<'_, Option<M>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M> Clone for Forward<M>
where
    M: Message + Send + 'static,
    M::Result: Send,
{
    fn clone(&self) -> Self {
        Self {
            to: Arc::clone(&self.to),
            slot: Arc::clone(&self.slot),
        }
    }
}

/// How often the other actors of the thread get their turn before time has to pass.
const TURNS: u32 = 4;

/// How long a waiting message then waits before the next attempt.
const RETRY_INTERVAL: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervision::{Child, Root, supervise};
    use crate::tree;

    struct Number(u32);
    impl Message for Number {
        type Result = ();
    }

    struct Seen;
    impl Message for Seen {
        type Result = Vec<u32>;
    }

    struct Sink {
        seen: Vec<u32>,
        pause: Duration,
    }
    impl Actor for Sink {
        type Context = Context<Self>;
        fn started(&mut self, ctx: &mut Context<Self>) {
            ctx.set_mailbox_capacity(1);
        }
    }
    impl Handler<Number> for Sink {
        type Result = ();
        fn handle(&mut self, Number(number): Number, ctx: &mut Context<Self>) {
            self.seen.push(number);
            ctx.wait(wrap_future(tokio::time::sleep(self.pause)));
        }
    }
    impl Handler<Seen> for Sink {
        type Result = Vec<u32>;
        fn handle(&mut self, _: Seen, _: &mut Context<Self>) -> Vec<u32> {
            self.seen.clone()
        }
    }

    struct Relay {
        next: Forward<Number>,
        monitor: Arc<Monitor>,
    }
    impl Actor for Relay {
        type Context = Context<Self>;
        fn started(&mut self, ctx: &mut Context<Self>) {
            self.next.resume(&self.monitor, ctx);
        }
    }
    impl Supervised for Relay {}
    impl Handler<Number> for Relay {
        type Result = ();
        fn handle(&mut self, number: Number, ctx: &mut Context<Self>) {
            self.next.send(number, &self.monitor, ctx);
        }
    }

    fn relay(next: Forward<Number>) -> Child<Relay> {
        let root = Root::new(slog::Logger::root(slog::Discard, slog::o!()), |_| {});
        supervise(&root, &tree::PARSER, move |monitor| Relay {
            next: next.clone(),
            monitor: Arc::clone(monitor),
        })
    }

    #[actix_rt::test]
    async fn a_slow_receiver_gets_every_message_in_order() {
        let sink = Sink {
            seen: Vec::new(),
            pause: Duration::from_millis(2),
        }
        .start();
        let relay = relay(Forward::to(sink.clone()));
        for number in 0..50 {
            relay.addr.send(Number(number)).await.unwrap();
        }
        while sink.send(Seen).await.unwrap().len() < 50 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(sink.send(Seen).await.unwrap(), (0..50).collect::<Vec<_>>());
    }

    #[actix_rt::test]
    async fn the_next_life_sends_what_the_last_one_left_in_the_slot() {
        let sink = Sink {
            seen: Vec::new(),
            pause: Duration::ZERO,
        }
        .start();
        let next = Forward::to(sink.clone());
        *next.slot() = Some(Number(7));
        let _second_life = relay(next);
        while sink.send(Seen).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(sink.send(Seen).await.unwrap(), [7]);
    }
}
