//! The sharp edges of actix that supervision has to live with, one by one.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::prelude::*;
use tokio::time::sleep;

use super::support::*;
use crate::supervision::policy::Beyond;
use crate::supervision::*;

fn start_any() -> (Child<Victim>, Diary) {
    start(&root(), role(policy(5, Beyond::GiveUp)), Hooks::default())
}

/// What an actor had taken and holds in a future ends with its life; what is to survive is kept outside, as `forward::Forward` does.
#[test]
fn a_wait_ends_with_the_life_and_a_slot_outside_survives() {
    run(async {
        let (child, _) = start_any();
        let slot = Arc::new(Mutex::new(None));
        let kept = Arc::clone(&slot);
        child.addr.do_send(act(move |_, ctx| {
            *kept.lock().unwrap() = Some("the message in flight");
            ctx.run_later(Duration::from_secs(1), |_, _| panic!("a timer of the life"));
            ctx.spawn(actix::fut::wrap_future(async {
                sleep(Duration::from_secs(2)).await;
                unreachable!("it was dropped with its life");
            }));
        }));
        sleep(Duration::from_secs(10)).await;
        assert_eq!(child.handle.monitor.restarts(), 1);
        assert_eq!(slot.lock().unwrap().take(), Some("the message in flight"));
    });
}

/// In an actix context that is restarted, this cancels the first timer of the next life.
#[test]
fn a_timer_cancelled_in_a_handler_that_panics_does_not_harm_the_next_life() {
    run(async {
        let diary = Diary::default();
        let started: Hook = Some(Arc::new(|_, ctx| {
            ctx.run_later(Duration::from_secs(1), |victim: &mut Victim, _| {
                victim.diary.note("timer")
            });
        }));
        let hooks = Hooks {
            started,
            ..Hooks::default()
        };
        let child = supervise(&root(), role(policy(5, Beyond::GiveUp)), {
            let diary = diary.clone();
            move |monitor| Victim::new(monitor, &diary, &hooks)
        });
        child.addr.do_send(act(|_, ctx| {
            for _ in 0..4 {
                let timer = ctx.run_later(Duration::from_secs(9), |_, _| ());
                ctx.cancel_future(timer);
            }
            panic!("and then");
        }));
        sleep(Duration::from_secs(5)).await;
        assert_eq!(diary.take(), ["started", "restarting", "started", "timer"]);
    });
}

#[test]
fn a_child_without_an_address_lives_on() {
    run(async {
        let started: Hook = Some(Arc::new(|_, ctx| {
            ctx.run_interval(Duration::from_secs(1), |victim: &mut Victim, _| {
                victim.diary.note("timer")
            });
        }));
        let (Child { addr, handle }, diary) = start(
            &root(),
            role(policy(5, Beyond::GiveUp)),
            Hooks {
                started,
                ..Hooks::default()
            },
        );
        let weak = addr.downgrade();
        drop(addr);
        sleep(Duration::from_millis(2500)).await;
        assert_eq!(diary.take(), ["started", "timer", "timer"]);
        assert_eq!(
            weak.upgrade().unwrap().send(Ask).await,
            Ok(1),
            "and its address is still there to be had"
        );
        assert_eq!(handle.stop().await, Stopped::Clean);
        assert!(weak.upgrade().is_none());
    });
}

#[test]
fn an_actor_that_waits_serves_neither_mail_nor_timers_and_its_monitor_says_so() {
    run(async {
        let (child, diary) = start_any();
        child.addr.do_send(act(|victim, ctx| {
            ctx.run_later(Duration::from_secs(1), |victim, _| {
                victim.diary.note("timer")
            });
            let waiting = victim.monitor.waiting("the parser's mailbox");
            ctx.wait(actix::fut::wrap_future(async move {
                sleep(Duration::from_secs(3)).await;
                drop(waiting);
            }));
        }));
        sleep(Duration::from_secs(2)).await;
        let State::Waiting(wait) = child.handle.monitor.state() else {
            panic!("it waits")
        };
        assert_eq!(
            (wait.what, wait.limit),
            ("the parser's mailbox", Some(Duration::from_secs(5)))
        );
        assert_eq!(diary.take(), ["started"]);
        assert_eq!(child.addr.send(Ask).await, Ok(1));
        assert_eq!(child.handle.monitor.state(), State::Running);
        assert_eq!(diary.take(), ["timer"]);
    });
}

#[test]
fn a_wait_that_ends_with_its_life_is_over() {
    run(async {
        let (child, _) = start_any();
        child.addr.do_send(act(|victim, ctx| {
            let waiting = victim.monitor.waiting_for_ever("the dongle");
            ctx.spawn(actix::fut::wrap_future(async move {
                let _waiting = waiting;
                std::future::pending::<()>().await;
            }));
        }));
        sleep(Duration::from_millis(1)).await;
        let State::Waiting(wait) = child.handle.monitor.state() else {
            panic!("it waits")
        };
        assert_eq!((wait.what, wait.limit), ("the dongle", None));
        child.addr.do_send(act(|_, _| panic!("and then")));
        assert_eq!(child.addr.send(Ask).await, Ok(1));
        assert_eq!(child.handle.monitor.state(), State::Running);
    });
}

#[test]
fn a_mailbox_is_as_large_as_the_role_says_and_do_send_knows_no_limit() {
    run(async {
        let (child, _) = start_any();
        let accepted = (0..100)
            .take_while(|_| child.addr.try_send(Ask).is_ok())
            .count();
        assert_eq!(accepted, 16);
        child.addr.do_send(Ask);
        sleep(Duration::from_millis(1)).await;
        assert_eq!(child.addr.send(Ask).await, Ok(18));
        child
            .addr
            .do_send(act(|_, ctx| ctx.set_mailbox_capacity(2)));
        sleep(Duration::from_millis(1)).await;
        let accepted = (0..100)
            .take_while(|_| child.addr.try_send(Ask).is_ok())
            .count();
        assert_eq!(accepted, 2, "an actor may set another");
    });
}

#[test]
fn an_actor_knows_its_address_in_every_life() {
    run(async {
        let (child, _) = start_any();
        for _ in 0..2 {
            let known = child.addr.clone();
            child
                .addr
                .send(act(move |_, ctx| {
                    assert!(ctx.address() == known && ctx.connected())
                }))
                .await
                .unwrap();
            child.addr.do_send(act(|_, _| panic!("and then")));
        }
        assert_eq!(child.addr.send(Ask).await, Ok(1));
        assert_eq!(child.handle.monitor.restarts(), 2);
    });
}

/// Without a pause every now and then, one busy actor would keep the others on its thread from running at all.
#[test]
fn a_mailbox_that_never_runs_empty_does_not_starve_the_thread() {
    fn again(victim: &mut Victim, ctx: &mut Context<Victim>) {
        victim.answered += 1;
        ctx.address().do_send(act(again));
    }
    run(async {
        let (child, _) = start_any();
        child.addr.do_send(act(again));
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert!(child.addr.send(Ask).await.unwrap() > 100);
    });
}

#[test]
fn a_child_may_live_on_another_arbiter_and_ends_with_it() {
    // Real time: another thread does not share the paused clock.
    System::new().block_on(async {
        let root = root();
        let arbiter = Arbiter::new();
        let here = std::thread::current().id();
        let diary = Diary::default();
        let child = supervise_on(&arbiter.handle(), &root, role(policy(5, Beyond::GiveUp)), {
            let diary = diary.clone();
            move |monitor| {
                assert_ne!(std::thread::current().id(), here);
                Victim::new(monitor, &diary, &Hooks::default())
            }
        });
        child.addr.do_send(act(|_, _| panic!("once")));
        assert_eq!(child.addr.send(Ask).await, Ok(1));
        assert_eq!(diary.take(), ["started", "restarting", "started"]);
        arbiter.stop();
        assert_eq!(
            root.gave_up().await,
            GaveUp {
                child: "victim".to_owned(),
                reason: "its thread ended".to_owned()
            }
        );
        assert_eq!(child.handle.monitor.state(), State::Stopped);
        arbiter.join().unwrap();

        let dead = Arbiter::new();
        let handle = dead.handle();
        dead.stop();
        dead.join().unwrap();
        let late = supervise_on(
            &handle,
            &root,
            role(policy(5, Beyond::GiveUp)),
            move |monitor| Victim::new(monitor, &diary, &Hooks::default()),
        );
        assert_eq!(late.handle.monitor.state(), State::Stopped);
        assert!(!late.addr.connected());
    });
}
