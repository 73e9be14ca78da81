//! The mechanism: one future per child, [`Lives`], that carries it from life to life.
//!
//! A life is an actor in an actix context. Every step of it (making it, `started`, handlers, timers, spawned futures, `stopped`, its
//! destructor) runs inside [`catch`]. When it ends, everything of it is dropped, the [`Budget`] is asked, and the next life begins with
//! an actor that is made anew. What outlives a life: the mailbox with its waiting messages, hence the address; the budget; the
//! [`Monitor`]. The message in hand does not.
//!
//! A state machine and not an `async fn`, which would keep room for its large parts twice: there may be 100,000 of it.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{self, Poll, ready};
use std::time::Instant;

use actix::dev::ContextFut;
use actix::dev::channel::AddressReceiver;
use actix::prelude::{Actor, ActorContext, Context, Supervised};
use tokio::time::{Sleep, sleep_until};

use super::child::Charge;
use super::control::Order;
use super::mail::Mail;
use super::monitor::{Monitor, Phase, now};
use super::panics::{Panic, catch};
use super::policy::{Budget, Decision, Exit};
use super::root::Event;
use crate::faults;

/// All lives of a child. Resolves when it has ended for good.
pub(super) struct Lives<A: Actor<Context = Context<A>>, F> {
    stage: Stage<A>,
    budget: Budget,
    make: F,
    mail: Rc<Mail<A>>,
    /// Dropped last: it says that all the others are gone.
    charge: Charge,
}

#[expect(
    clippy::large_enum_variant,
    reason = "nearly all children are alive, and a box would only add to them"
)]
enum Stage<A: Actor<Context = Context<A>>> {
    /// The first life begins.
    First,
    Alive(Life<A>),
    /// Between two lives: messages queue up for the next one. Boxed, because a timer is large and most children never need one.
    Resting(Pin<Box<Sleep>>),
    /// Beyond the budget: messages are thrown away.
    Parked(Pin<Box<Sleep>>),
    Over,
}

impl<A, F> Lives<A, F>
where
    A: Actor<Context = Context<A>> + Supervised,
    F: FnMut(&Arc<Monitor>) -> A,
{
    pub(super) fn new(charge: Charge, queue: AddressReceiver<A>, make: F) -> Self {
        let budget = Budget::new(&charge.monitor.role().policy);
        Self {
            charge,
            mail: Mail::new(queue),
            make,
            budget,
            stage: Stage::First,
        }
    }

    /// Begins a life; its code runs when it is polled.
    fn begin(&mut self, first: bool) -> Stage<A> {
        self.charge.monitor.enter(Phase::Running, now());
        // Who asked for another life has this one.
        self.charge.monitor.control.take_again();
        let body = catch(|| {
            let mut ctx = self.mail.context();
            let mut actor = (self.make)(&self.charge.monitor);
            if !first {
                actor.restarting(&mut ctx);
            }
            ctx.into_future(actor)
        });
        match body {
            Ok(body) => Stage::Alive(Life {
                body: Some(body),
                told: false,
            }),
            Err(panic) => self.ended(Exit::Panic, &panic.to_string()),
        }
    }

    fn begin_again(&mut self) -> Stage<A> {
        self.charge.monitor.count_restart();
        self.begin(false)
    }

    /// Asks the policy what follows a life.
    fn ended(&mut self, exit: Exit, reason: &str) -> Stage<A> {
        let now = now();
        let lost = self.mail.was_in_hand();
        let decision = self.budget.on_exit(now, exit, self.charge.root.jitter());
        self.charge.monitor.exited(reason, now, lost);
        self.charge.root.report(
            &self.charge.monitor,
            Event::Exited {
                exit,
                decision,
                lost,
            },
            reason,
        );
        match decision {
            Decision::Done => Stage::Over,
            Decision::Restart { .. } if self.stopping() => self.hurry(),
            _ if self.stopping() => Stage::Over,
            Decision::Restart { after } if after.is_zero() => self.begin_again(),
            Decision::Restart { after } => {
                Stage::Resting(self.sleep(Phase::BackingOff, now + after))
            }
            Decision::Park { until } => Stage::Parked(self.sleep(Phase::Parked, until)),
            Decision::GiveUp => {
                self.charge.root.give_up(&self.charge.monitor, reason);
                Stage::Over
            }
        }
    }

    fn stopping(&self) -> bool {
        self.charge.monitor.control.order() != Order::Run
    }

    /// Asked to stop between two lives: messages that are to be handled first need another life, which the budget still bounds.
    fn hurry(&mut self) -> Stage<A> {
        let drain = self.charge.monitor.role().shutdown.drain
            && self.charge.monitor.control.order() == Order::Stop;
        if drain {
            self.begin_again()
        } else {
            Stage::Over
        }
    }

    fn sleep(&self, phase: Phase, until: Instant) -> Pin<Box<Sleep>> {
        self.charge.monitor.enter(phase, until);
        Box::pin(sleep_until(until.into()))
    }
}

impl<A, F> Future for Lives<A, F>
where
    A: Actor<Context = Context<A>> + Supervised,
    F: FnMut(&Arc<Monitor>) -> A,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            let stopping = this.stopping();
            this.stage = match &mut this.stage {
                Stage::First => {
                    this.charge.monitor.control.attach(cx.waker().clone());
                    this.begin(true)
                }
                Stage::Alive(life) => {
                    let (exit, reason) = ready!(life.poll(cx, &this.charge.monitor, &this.mail));
                    this.ended(exit, &reason)
                }
                Stage::Resting(_) if stopping => this.hurry(),
                Stage::Parked(_) if stopping => Stage::Over,
                Stage::Resting(sleep) => {
                    ready!(sleep.as_mut().poll(cx));
                    this.begin_again()
                }
                Stage::Parked(sleep) => {
                    this.charge.monitor.count_refused(this.mail.refuse(cx));
                    ready!(sleep.as_mut().poll(cx));
                    this.charge.root.report(
                        &this.charge.monitor,
                        Event::Resumed,
                        "parking is over",
                    );
                    this.begin_again()
                }
                Stage::Over => {
                    this.charge.monitor.count_refused(this.mail.refuse_all());
                    // It is no longer to run, so its end is no surprise.
                    this.charge.monitor.control.give(Order::Kill);
                    return Poll::Ready(());
                }
            };
        }
    }
}

/// Nothing of it is ever pinned in place.
impl<A: Actor<Context = Context<A>>, F> Unpin for Lives<A, F> {}

/// One life.
struct Life<A: Actor<Context = Context<A>>> {
    /// `None` once it has ended.
    body: Option<ContextFut<A, Context<A>>>,
    /// It knows that it is to stop.
    told: bool,
}

impl<A: Actor<Context = Context<A>>> Life<A> {
    /// Ready when it has ended, with how and why.
    fn poll(
        &mut self,
        cx: &mut task::Context<'_>,
        monitor: &Monitor,
        mail: &Mail<A>,
    ) -> Poll<(Exit, String)> {
        let order = monitor.control.order();
        if order == Order::Kill {
            self.end();
            return Poll::Ready((Exit::Requested, "did not stop in time".to_owned()));
        }
        if order == Order::Run && monitor.control.take_again() {
            self.end();
            return Poll::Ready((Exit::Error, "a restart was asked for".to_owned()));
        }
        if order == Order::Stop && !self.told {
            if monitor.role().shutdown.drain {
                mail.look_again();
            } else {
                self.tell();
            }
        }
        let mut polled = self.run(cx, monitor);
        monitor.set_mail(mail.found());
        if order == Order::Stop && !self.told && mail.empty() && polled == Ok(Poll::Pending) {
            self.tell();
            polled = self.run(cx, monitor);
        }
        if polled == Ok(Poll::Pending) {
            return Poll::Pending;
        }
        let failure = monitor.take_failure();
        let (exit, reason) = match polled {
            Ok(_) => match failure {
                Some(reason) => (Exit::Error, reason),
                None if self.told => (Exit::Requested, "stopped on request".to_owned()),
                None => (Exit::Stop, "stopped by itself".to_owned()),
            },
            Err(panic) => (Exit::Panic, panic.to_string()),
        };
        self.end();
        // However it went: it was on its way out.
        Poll::Ready((if self.told { Exit::Requested } else { exit }, reason))
    }

    /// The actor's code runs here and nowhere else.
    fn run(&mut self, cx: &mut task::Context<'_>, monitor: &Monitor) -> Result<Poll<()>, Panic> {
        let Some(body) = &mut self.body else {
            return Ok(Poll::Pending);
        };
        monitor.set_busy(true);
        let mut polled = catch(|| Pin::new(&mut *body).poll(cx));
        if faults::happen(body.ctx(), monitor) && polled == Ok(Poll::Pending) {
            polled = catch(|| Pin::new(&mut *body).poll(cx));
        }
        monitor.set_busy(false);
        polled
    }

    fn tell(&mut self) {
        self.told = true;
        if let Some(body) = &mut self.body {
            body.ctx().stop();
        }
    }

    /// Drops the actor, its timers and its futures. Terminated first: a context that is dropped alive would run once more. A destructor
    /// that panics does not change how the life ended.
    fn end(&mut self) {
        let body = self.body.take();
        let _ = catch(|| {
            if let Some(mut body) = body {
                body.ctx().terminate();
            }
        });
    }
}

/// The runtime drops the task when its thread ends.
impl<A: Actor<Context = Context<A>>> Drop for Life<A> {
    fn drop(&mut self) {
        self.end();
    }
}
