//! The mechanism: one future per child that carries it from life to life.
//!
//! A life is an actor in an actix context. Every step of it (making it, `started`, handlers, timers, spawned futures, `stopped`, its
//! destructor) runs inside [`catch`]. When it ends, everything of it is dropped, the [`Budget`] is asked, and the next life begins with
//! an actor that is made anew. What outlives a life: the mailbox with its waiting messages, hence the address; the budget; the
//! [`Monitor`]. The message in hand does not.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Instant;

use actix::dev::ContextFut;
use actix::prelude::{Actor, ActorContext, Context, Supervised};

use super::mail::Mail;
use super::monitor::{Monitor, Order, Phase, now};
use super::panics::catch;
use super::policy::{Budget, Decision, Exit};
use super::root::{Event, Root};

/// Carries a child from its first life to its last.
pub(super) async fn carry<A, F>(
    root: Arc<Root>,
    monitor: Arc<Monitor>,
    mail: Rc<Mail<A>>,
    mut make: F,
) where
    A: Actor<Context = Context<A>> + Supervised,
    F: FnMut(&Arc<Monitor>) -> A,
{
    poll_fn(|cx| {
        monitor.attach(cx.waker().clone());
        Poll::Ready(())
    })
    .await;
    let mut budget = Budget::new(&monitor.role().policy);
    let mut first = true;
    loop {
        let (exit, reason) = live(&monitor, &mail, &mut make, first).await;
        first = false;
        let now = now();
        monitor.exited(&reason, now);
        let lost = mail.was_in_hand();
        if lost {
            monitor.count_lost();
        }
        let decision = budget.on_exit(now, exit, root.jitter());
        root.report(
            &monitor,
            Event::Exited {
                exit,
                decision,
                lost,
            },
            &reason,
        );
        let stopping = monitor.order() != Order::Run;
        match decision {
            Decision::Done => break,
            Decision::Restart { .. } if stopping => {}
            _ if stopping => break,
            Decision::Restart { after } => rest(&monitor, now + after).await,
            Decision::Park { until } => park(&root, &monitor, &mail, until).await,
            Decision::GiveUp => {
                root.give_up(&monitor, &reason);
                break;
            }
        }
        if monitor.order() != Order::Run && !stopping {
            break;
        }
        monitor.count_restart();
    }
    monitor.count_refused(mail.refuse_all());
}

/// One life, from making the actor to its end.
async fn live<A, F>(
    monitor: &Arc<Monitor>,
    mail: &Rc<Mail<A>>,
    make: &mut F,
    first: bool,
) -> (Exit, String)
where
    A: Actor<Context = Context<A>> + Supervised,
    F: FnMut(&Arc<Monitor>) -> A,
{
    monitor.enter(Phase::Running, None);
    let born = catch(|| {
        let mut ctx = mail.context();
        let mut actor = make(monitor);
        if !first {
            actor.restarting(&mut ctx);
        }
        ctx.into_future(actor)
    });
    let mut life = match born {
        Ok(body) => Life {
            body: Some(body),
            told: false,
        },
        Err(panic) => return (Exit::Panic, panic.to_string()),
    };
    poll_fn(|cx| life.poll(cx, monitor, mail)).await
}

struct Life<A: Actor<Context = Context<A>>> {
    /// `None` once it has ended.
    body: Option<ContextFut<A, Context<A>>>,
    /// It knows that it is to stop.
    told: bool,
}

impl<A: Actor<Context = Context<A>>> Life<A> {
    fn poll(
        &mut self,
        cx: &mut task::Context<'_>,
        monitor: &Monitor,
        mail: &Mail<A>,
    ) -> Poll<(Exit, String)> {
        let Some(body) = &mut self.body else {
            return Poll::Pending;
        };
        let order = monitor.order();
        if order == Order::Kill {
            let panic = self.end();
            return Poll::Ready((
                Exit::Requested,
                panic.unwrap_or_else(|| "did not stop in time".to_owned()),
            ));
        }
        let drain = monitor.role().shutdown.drain;
        if order == Order::Stop && !self.told {
            if drain {
                mail.look_again();
            } else {
                body.ctx().stop();
                self.told = true;
            }
        }
        monitor.set_busy(true);
        let mut polled = catch(|| Pin::new(&mut *body).poll(cx));
        if order == Order::Stop && !self.told && mail.empty() && polled == Ok(Poll::Pending) {
            body.ctx().stop();
            self.told = true;
            polled = catch(|| Pin::new(&mut *body).poll(cx));
        }
        monitor.set_busy(false);
        #[cfg(feature = "fault-injection")]
        let polled = inject(polled, monitor);
        let ended = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(())) if self.told => (Exit::Requested, "stopped on request".to_owned()),
            Ok(Poll::Ready(())) => match monitor.take_failure() {
                Some(reason) => (Exit::Error, reason.into()),
                None => (Exit::Stop, "stopped by itself".to_owned()),
            },
            Err(panic) if self.told => (Exit::Requested, panic.to_string()),
            Err(panic) => (Exit::Panic, panic.to_string()),
        };
        // A destructor that panics does not change how the life ended.
        let _ = self.end();
        Poll::Ready(ended)
    }

    /// Drops the actor, its timers and its futures. Terminated first: a context that is dropped alive would run once more.
    fn end(&mut self) -> Option<String> {
        let body = self.body.take();
        let dropped = catch(|| {
            if let Some(mut body) = body {
                body.ctx().terminate();
            }
        });
        dropped.err().map(|panic| panic.to_string())
    }
}

/// The runtime dropped the task: its thread ends.
impl<A: Actor<Context = Context<A>>> Drop for Life<A> {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// Waits with the mailbox closed to nobody: messages queue up for the next life.
async fn rest(monitor: &Monitor, until: Instant) {
    if until <= now() {
        return;
    }
    monitor.enter(Phase::BackingOff, Some(until));
    // Boxed, because a timer is large and most children never need one.
    let mut sleep = Box::pin(tokio::time::sleep_until(until.into()));
    poll_fn(|cx| {
        if monitor.order() == Order::Run {
            sleep.as_mut().poll(cx)
        } else {
            Poll::Ready(())
        }
    })
    .await;
}

/// Waits and throws away what comes.
async fn park<A: Actor<Context = Context<A>>>(
    root: &Root,
    monitor: &Monitor,
    mail: &Mail<A>,
    until: Instant,
) {
    monitor.enter(Phase::Parked, Some(until));
    let mut sleep = Box::pin(tokio::time::sleep_until(until.into()));
    poll_fn(|cx| {
        monitor.count_refused(mail.refuse(cx));
        if monitor.order() == Order::Run {
            sleep.as_mut().poll(cx)
        } else {
            Poll::Ready(())
        }
    })
    .await;
    root.report(monitor, Event::Resumed, "parking is over");
}

/// Ends the life if a fault asks for it.
#[cfg(feature = "fault-injection")]
fn inject(
    polled: Result<Poll<()>, super::Panic>,
    monitor: &Monitor,
) -> Result<Poll<()>, super::Panic> {
    match crate::faults::take_injected() {
        None => polled,
        Some(crate::faults::Injected::Error) => {
            monitor.set_failure("injected fault");
            Ok(Poll::Ready(()))
        }
        Some(crate::faults::Injected::Stop) => Ok(Poll::Ready(())),
    }
}
