//! Children that are asked to stop.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::time::{Instant, sleep};

use super::support::*;
use crate::supervision::policy::{Beyond, Policy};
use crate::supervision::*;

fn any_policy() -> Policy {
    policy(3, Beyond::GiveUp)
}

fn role_that(drain: bool) -> &'static Role {
    role_with(
        any_policy(),
        Shutdown {
            within: Duration::from_secs(5),
            drain,
        },
    )
}

#[test]
fn a_child_that_drains_handles_its_mail_first() {
    run(async {
        let (child, diary) = start(&root(), role_that(true), Hooks::default());
        let monitor = Arc::clone(&child.handle.monitor);
        for _ in 0..500 {
            child.addr.do_send(Ask);
        }
        // Back-pressure on the way is waited for.
        child.addr.do_send(act(|_, ctx| {
            ctx.wait(actix::fut::wrap_future(sleep(Duration::from_secs(1))))
        }));
        child
            .addr
            .do_send(act(|victim, _| victim.diary.note("last")));
        let addr = child.addr.clone();
        assert_eq!(child.stop().await, Stopped::Clean);
        assert_eq!(diary.take(), ["started", "last", "stopped"]);
        assert_eq!(
            (monitor.state(), monitor.refused(), monitor.restarts()),
            (State::Stopped, 0, 0)
        );
        assert!(!addr.connected());
        assert_eq!(monitor.last_exit().unwrap().reason, "stopped on request");
    });
}

#[test]
fn a_child_that_does_not_drain_throws_its_mail_away() {
    run(async {
        let (child, diary) = start(&root(), role_that(false), Hooks::default());
        let monitor = Arc::clone(&child.handle.monitor);
        // It waits, as a source waits for its dongle.
        child
            .addr
            .send(act(|_, ctx| {
                ctx.wait(actix::fut::wrap_future(std::future::pending()))
            }))
            .await
            .unwrap();
        child
            .addr
            .do_send(act(|victim, _| victim.diary.note("never")));
        let asked = Instant::now();
        assert_eq!(child.stop().await, Stopped::Clean);
        assert_eq!(asked.elapsed(), Duration::ZERO);
        assert_eq!(diary.take(), ["started", "stopped"]);
        assert_eq!(monitor.refused(), 1);
    });
}

#[test]
fn a_panic_while_draining_loses_only_its_message() {
    run(async {
        let (child, diary) = start(&root(), role_that(true), Hooks::default());
        let monitor = Arc::clone(&child.handle.monitor);
        for _ in 0..3 {
            child.addr.do_send(act(|_, _| panic!("poison")));
            child
                .addr
                .do_send(act(|victim, _| victim.diary.note("handled")));
        }
        let asked = Instant::now();
        assert_eq!(child.stop().await, Stopped::Clean);
        assert_eq!(
            asked.elapsed(),
            Duration::ZERO,
            "no back-off on the way out"
        );
        assert_eq!(
            diary
                .take()
                .into_iter()
                .filter(|note| note == "handled")
                .count(),
            3
        );
        assert_eq!(
            (monitor.lost(), monitor.refused(), monitor.restarts()),
            (3, 0, 3)
        );
    });
}

#[test]
fn more_panics_than_the_budget_while_draining_end_it_quietly() {
    run(async {
        let root = root();
        let (child, _) = start(&root, role_that(true), Hooks::default());
        let monitor = Arc::clone(&child.handle.monitor);
        (0..9).for_each(|_| child.addr.do_send(act(|_, _| panic!("poison"))));
        assert_eq!(child.stop().await, Stopped::Clean);
        assert_eq!((monitor.lost(), monitor.refused()), (4, 5));
        let gave_up = tokio::time::timeout(Duration::from_secs(1), root.gave_up()).await;
        assert!(
            gave_up.is_err(),
            "a stop that was asked for is no failure of the tree"
        );
    });
}

#[test]
fn a_child_that_backs_off_handles_its_mail_before_it_stops() {
    run(async {
        let (child, diary) = start(&root(), role_that(true), Hooks::default());
        child.addr.do_send(act(|_, _| panic!("first")));
        child.addr.do_send(act(|_, _| panic!("second")));
        child
            .addr
            .do_send(act(|victim, _| victim.diary.note("handled")));
        sleep(Duration::from_millis(1)).await;
        assert!(matches!(
            child.handle.monitor.state(),
            State::BackingOff { .. }
        ));
        let asked = Instant::now();
        assert_eq!(child.stop().await, Stopped::Clean);
        assert_eq!(asked.elapsed(), Duration::ZERO);
        assert!(diary.take().contains(&"handled".to_owned()));
    });
}

#[test]
fn stopping_may_take_its_time_until_the_deadline() {
    run(async {
        let patient = Hooks {
            stopping: Some(|victim| {
                victim.answered += 1;
                if victim.answered > 1 {
                    Running::Stop
                } else {
                    Running::Continue
                }
            }),
            started: Some(Arc::new(|_, ctx| {
                ctx.run_interval(Duration::from_secs(3), |_, ctx| ctx.stop());
            })),
            ..Hooks::default()
        };
        let (child, _) = start(&root(), role_that(true), patient);
        let asked = Instant::now();
        assert_eq!(child.stop().await, Stopped::Clean);
        assert!(
            asked.elapsed() > Duration::from_secs(2),
            "its second answer counted"
        );

        let stubborn = Hooks {
            stopping: Some(|_| Running::Continue),
            ..Hooks::default()
        };
        let (child, diary) = start(&root(), role_that(true), stubborn);
        let monitor = Arc::clone(&child.handle.monitor);
        let asked = Instant::now();
        assert_eq!(child.stop().await, Stopped::Dropped);
        assert!(asked.elapsed() >= Duration::from_secs(5));
        assert_eq!(diary.take(), ["started"], "dropped where it stood");
        assert_eq!(monitor.last_exit().unwrap().reason, "did not stop in time");
    });
}

#[test]
fn a_child_that_nobody_keeps_stops_cleanly() {
    run(async {
        let (child, diary) = start(&root(), role_that(true), Hooks::default());
        child
            .addr
            .do_send(act(|victim, _| victim.diary.note("handled")));
        let (addr, monitor) = (child.addr.clone(), Arc::clone(&child.handle.monitor));
        drop(child);
        sleep(Duration::from_millis(1)).await;
        assert_eq!(diary.take(), ["started", "handled", "stopped"]);
        assert!(!addr.connected());
        assert_eq!(monitor.state(), State::Stopped);
    });
}

#[test]
fn a_child_that_has_ended_can_still_be_stopped() {
    run(async {
        let hooks = Hooks {
            started: Some(Arc::new(|_, _| panic!("never well"))),
            ..Hooks::default()
        };
        let root = root();
        let (child, _) = start(&root, role_that(true), hooks);
        root.gave_up().await;
        assert_eq!(child.stop().await, Stopped::Clean);
    });
}

#[test]
fn a_tree_stops_from_the_bottom_to_the_top() {
    run(async {
        let (root, diary) = (root(), Diary::default());
        let handles = ["publisher", "parser", "driver"].map(|name| {
            let told = diary.clone();
            let stopped: Hook = Some(Arc::new(move |_, _| told.note(name)));
            start(
                &root,
                role_that(true),
                Hooks {
                    stopped,
                    ..Hooks::default()
                },
            )
            .0
            .handle
        });
        sleep(Duration::from_millis(1)).await;
        let stopped = stop_in_reverse(handles.into()).await;
        assert_eq!(diary.take(), ["driver", "parser", "publisher"]);
        assert!(stopped.iter().all(|(_, how)| *how == Stopped::Clean));
        drop(stopped);
        assert!(root.children().is_empty());
    });
}

#[test]
fn a_child_that_hangs_is_told_from_one_that_is_slow() {
    // Real time: the thread of a child that hangs cannot share the paused clock.
    System::new().block_on(async {
        let arbiter = Arbiter::new();
        let role = role_with(
            any_policy(),
            Shutdown {
                within: Duration::from_millis(100),
                drain: true,
            },
        );
        let diary = Diary::default();
        let child = supervise_on(&arbiter.handle(), &root(), role, move |monitor| {
            Victim::new(monitor, &diary, &Hooks::default())
        });
        let (release, hang) = std::sync::mpsc::channel::<()>();
        child.addr.do_send(act(move |_, _| {
            let _ = hang.recv();
        }));
        assert_eq!(child.stop().await, Stopped::Hangs);
        drop(release);
        arbiter.stop();
        arbiter.join().unwrap();
    });
}
