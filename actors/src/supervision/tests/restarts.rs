//! How lives end, and what the next one finds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use actix::prelude::*;
use tokio::time::{Instant, sleep};

use super::support::*;
use crate::supervision::policy::{Beyond, Decision, Exit, Restart};
use crate::supervision::*;

fn start_any(root: &Arc<Root>, hooks: Hooks) -> (Child<Victim>, Diary) {
    start(root, role(policy(5, Beyond::GiveUp)), hooks)
}

/// Does its worst in the first life only.
fn once(step: impl Fn(&mut Context<Victim>) + Send + Sync + 'static) -> Hook {
    let done = AtomicU32::new(0);
    Some(Arc::new(move |_, ctx| {
        if done.fetch_add(1, SeqCst) == 0 {
            step(ctx);
        }
    }))
}

fn reason(child: &Child<Victim>) -> String {
    child.handle.monitor.last_exit().unwrap().reason
}

#[test]
fn mail_behind_a_panic_is_answered_by_the_next_life() {
    run(async {
        let (child, diary) = start_any(&root(), Hooks::default());
        let before = child.addr.send(Ask);
        let bad = child.addr.send(act(|_, _| panic!("on purpose")));
        let behind: Vec<_> = (0..5).map(|_| child.addr.send(Ask)).collect();
        assert_eq!(before.await, Ok(1));
        assert_eq!(bad.await, Err(MailboxError::Closed), "not answered");
        for (request, expected) in behind.into_iter().zip(1..) {
            assert_eq!(request.await, Ok(expected), "fresh state, and nothing lost");
        }
        assert_eq!(diary.take(), ["started", "restarting", "started"]);
        let monitor = &child.handle.monitor;
        assert_eq!(
            (monitor.restarts(), monitor.lost(), monitor.refused()),
            (1, 1, 0)
        );
        assert_eq!(monitor.state(), State::Running);
        let reason = reason(&child);
        assert!(
            reason.starts_with("panicked at actors/src/supervision/tests/restarts.rs:"),
            "{reason}"
        );
        assert!(reason.ends_with(": on purpose"), "{reason}");
    });
}

#[test]
fn an_actor_that_fails_says_why_and_starts_again() {
    run(async {
        let (child, diary) = start_any(&root(), Hooks::default());
        let failing = act(|victim, ctx| victim.monitor.fail(ctx, "the port is not ours"));
        child.addr.send(failing).await.unwrap();
        assert_eq!(child.addr.send(Ask).await, Ok(1));
        assert_eq!(
            diary.take(),
            ["started", "stopped", "restarting", "started"]
        );
        assert_eq!(reason(&child), "the port is not ours");
        assert_eq!(child.handle.monitor.lost(), 0, "the message was handled");

        let failing = act(|victim, ctx| {
            victim.monitor.fail(ctx, "a reason of this life");
            panic!("and then");
        });
        child.addr.do_send(failing);
        child.addr.do_send(act(|_, ctx| ctx.stop()));
        assert_eq!(child.addr.send(Ask).await, Ok(1));
        assert_eq!(
            reason(&child),
            "stopped by itself",
            "not the reason of the life before"
        );
    });
}

#[test]
fn an_actor_that_stops_by_itself_starts_again_if_it_is_permanent() {
    run(async {
        let (child, diary) = start_any(&root(), Hooks::default());
        child.addr.send(act(|_, ctx| ctx.stop())).await.unwrap();
        assert_eq!(child.addr.send(Ask).await, Ok(1));
        assert_eq!(
            diary.take(),
            ["started", "stopped", "restarting", "started"]
        );
        assert_eq!(reason(&child), "stopped by itself");
        child
            .addr
            .send(act(|_, ctx| ctx.terminate()))
            .await
            .unwrap();
        assert_eq!(child.addr.send(Ask).await, Ok(1));
        assert_eq!(child.handle.monitor.restarts(), 2);
    });
}

#[test]
fn transient_and_temporary_children_end_where_they_should() {
    run(async {
        let root = root();
        let child = |restart| {
            let policy = policy_that(restart, 5, Beyond::GiveUp);
            start(&root, role(policy), Hooks::default()).0
        };
        let transient = child(Restart::Transient);
        transient.addr.do_send(act(|_, _| panic!("a failure")));
        assert_eq!(transient.addr.send(Ask).await, Ok(1));
        transient.addr.do_send(act(|_, ctx| ctx.stop()));
        let temporary = child(Restart::Temporary);
        temporary.addr.do_send(act(|_, _| panic!("a failure")));
        temporary.addr.do_send(Ask);

        let gave_up = tokio::time::timeout(Duration::from_secs(1), root.gave_up()).await;
        assert!(
            gave_up.is_err(),
            "an end that the policy allows is no failure of the tree"
        );
        for (child, restarts, refused) in [(transient, 1, 0), (temporary, 0, 1)] {
            let monitor = &child.handle.monitor;
            assert_eq!(monitor.state(), State::Stopped);
            assert_eq!((monitor.restarts(), monitor.refused()), (restarts, refused));
            assert_eq!(monitor.alive_since(), None);
        }
    });
}

#[test]
fn a_panic_in_a_timer_is_an_exit() {
    run(async {
        let hooks = Hooks {
            started: once(|ctx| {
                ctx.run_later(Duration::from_secs(1), |_, _| panic!("in a timer"));
            }),
            ..Hooks::default()
        };
        let (child, _) = start_any(&root(), hooks);
        sleep(Duration::from_secs(2)).await;
        assert_eq!(child.addr.send(Ask).await, Ok(1));
        assert!(reason(&child).ends_with("in a timer"));
        assert_eq!(child.handle.monitor.lost(), 0, "no message was in hand");
    });
}

#[test]
fn a_panic_in_a_spawned_future_is_an_exit() {
    run(async {
        let (child, _) = start_any(&root(), Hooks::default());
        let spawning = act(|_, ctx| {
            ctx.spawn(actix::fut::wrap_future(async {
                sleep(Duration::from_secs(1)).await;
                panic!("in a future");
            }));
        });
        child.addr.send(spawning).await.unwrap();
        sleep(Duration::from_secs(2)).await;
        assert_eq!(child.addr.send(Ask).await, Ok(1));
        assert!(reason(&child).ends_with("in a future"));
    });
}

#[test]
fn a_panic_while_it_is_made_or_started_is_an_exit() {
    run(async {
        let root = root();
        let hooks = Hooks {
            started: once(|_| panic!("in started")),
            ..Hooks::default()
        };
        let (child, diary) = start_any(&root, hooks);
        assert_eq!(child.addr.send(Ask).await, Ok(1));
        assert!(reason(&child).ends_with("in started"));
        assert_eq!(diary.take(), ["started", "restarting", "started"]);

        let mut lives = 0;
        let diary = Diary::default();
        let child = supervise(&root, role(policy(5, Beyond::GiveUp)), move |monitor| {
            lives += 1;
            assert!(lives > 2, "not made yet");
            Victim::new(monitor, &diary, &Hooks::default())
        });
        assert_eq!(child.addr.send(Ask).await, Ok(1));
        assert_eq!(
            (
                child.handle.monitor.restarts(),
                reason(&child).ends_with("not made yet")
            ),
            (2, true)
        );
    });
}

#[test]
fn a_panic_in_restarting_is_an_exit() {
    run(async {
        let hooks = Hooks {
            restarting: once(|_| panic!("in restarting")),
            ..Hooks::default()
        };
        let (child, diary) = start_any(&root(), hooks);
        child.addr.do_send(act(|_, _| panic!("first")));
        assert_eq!(child.addr.send(Ask).await, Ok(1));
        assert_eq!(
            diary.take(),
            ["started", "restarting", "restarting", "started"]
        );
        assert!(reason(&child).ends_with("in restarting"));
    });
}

#[test]
fn a_panic_in_stopping_or_stopped_is_an_exit() {
    run(async {
        let root = root();
        for hooks in [
            Hooks {
                stopping: Some(|_| panic!("on the way out")),
                ..Hooks::default()
            },
            Hooks {
                stopped: Some(Arc::new(|_, _| panic!("on the way out"))),
                ..Hooks::default()
            },
        ] {
            let (child, _) = start_any(&root, hooks);
            child.addr.do_send(act(|_, ctx| ctx.stop()));
            assert_eq!(child.addr.send(Ask).await, Ok(1));
            assert!(reason(&child).ends_with("on the way out"));
        }
    });
}

#[test]
fn panics_in_destructors_do_not_hurt_the_supervisor() {
    struct Grenade;
    impl Drop for Grenade {
        fn drop(&mut self) {
            panic!("in a destructor");
        }
    }
    run(async {
        let root = root();
        // Of the actor itself, after a panic and after a stop.
        let hooks = Hooks {
            dropped: Some(|| panic!("in the actor's destructor")),
            ..Hooks::default()
        };
        let (child, _) = start_any(&root, hooks);
        child.addr.do_send(act(|_, _| panic!("first")));
        child.addr.do_send(act(|_, ctx| ctx.stop()));
        assert_eq!(child.addr.send(Ask).await, Ok(1));
        assert_eq!(reason(&child), "stopped by itself");
        // Of a future that the actor has spawned.
        let (child, _) = start_any(&root, Hooks::default());
        let grenade = Grenade;
        child.addr.do_send(act(|_, ctx| {
            ctx.spawn(actix::fut::wrap_future(async move {
                std::future::pending::<()>().await;
                drop(grenade);
            }));
        }));
        child.addr.do_send(act(|_, _| panic!("first")));
        assert_eq!(child.addr.send(Ask).await, Ok(1));
        assert!(reason(&child).ends_with("first"));
        // Of mail that is thrown away.
        let grenade = Grenade;
        child.addr.do_send(act(|_, ctx| {
            ctx.wait(actix::fut::wrap_future(std::future::pending()))
        }));
        child.addr.do_send(act(move |_, _| drop(grenade)));
        let monitor = Arc::clone(&child.handle.monitor);
        assert_eq!(child.stop().await, Stopped::Dropped);
        assert_eq!((monitor.state(), monitor.refused()), (State::Stopped, 1));
    });
}

#[test]
fn restarts_wait_longer_and_longer_and_then_the_supervisor_gives_up() {
    run(async {
        let root = root();
        let hooks = Hooks {
            started: Some(Arc::new(|_, _| panic!("never well"))),
            ..Hooks::default()
        };
        let begin = Instant::now();
        let (child, diary) = start(&root, role(policy(4, Beyond::GiveUp)), hooks);
        sleep(Duration::from_millis(1)).await;
        assert_eq!(
            diary.take(),
            ["started", "restarting", "started"],
            "the first restart is immediate"
        );
        assert!(matches!(
            child.handle.monitor.state(),
            State::BackingOff { .. }
        ));

        let gave_up = root.gave_up().await;
        // 0.1 s, 0.2 s, 0.4 s; tokio's timers count whole milliseconds.
        let after = begin.elapsed();
        assert!(
            (Duration::from_millis(700)..Duration::from_millis(710)).contains(&after),
            "{after:?}"
        );
        assert_eq!(gave_up.child, "victim");
        assert!(gave_up.reason.ends_with("never well"));
        sleep(Duration::from_millis(1)).await;
        assert_eq!(child.handle.monitor.state(), State::Stopped);
        assert_eq!(child.handle.monitor.restarts(), 4);
        assert!(!child.addr.connected());
        assert_eq!(
            root.gave_up().await,
            gave_up,
            "whoever asks later is told as well"
        );
    });
}

#[test]
fn mail_waits_while_the_child_backs_off() {
    run(async {
        let (child, _) = start_any(&root(), Hooks::default());
        child.addr.do_send(act(|_, _| panic!("first")));
        child.addr.do_send(act(|_, _| panic!("second")));
        sleep(Duration::from_millis(50)).await;
        assert!(matches!(
            child.handle.monitor.state(),
            State::BackingOff { .. }
        ));
        assert_eq!(child.handle.monitor.alive_since(), None);
        let asked = Instant::now();
        assert_eq!(child.addr.send(Ask).await, Ok(1));
        assert!(asked.elapsed() >= Duration::from_millis(50));
        let since = child.handle.monitor.alive_since().unwrap();
        let age = Instant::now().into_std().duration_since(since);
        assert!(
            age < Duration::from_millis(5),
            "its second life is young: {age:?}"
        );
    });
}

#[test]
fn every_exit_is_reported_and_logged_in_one_line() {
    let reports = Diary::default();
    let log = Diary::default();
    let root = Root::new(log.logger(), {
        let reports = reports.clone();
        move |report| {
            let Event::Exited {
                exit,
                decision,
                lost,
            } = report.event
            else {
                panic!("what else")
            };
            reports.note(format!(
                "{} {exit:?} {lost} {}",
                report.child,
                decision != Decision::Done
            ));
            assert_ne!(exit, Exit::Error, "an observer that panics hurts nobody");
        }
    });
    run(async {
        let instance: Instance = Arc::new("kam-32666857");
        let spec = ChildSpec {
            role: role(policy(5, Beyond::GiveUp)),
            instance: Some(instance),
        };
        let diary = Diary::default();
        let child = supervise(&root, spec, move |monitor| {
            Victim::new(monitor, &diary, &Hooks::default())
        });
        child.addr.do_send(act(|_, _| panic!("line one\nline two")));
        child
            .addr
            .do_send(act(|victim, ctx| victim.monitor.fail(ctx, "gone")));
        assert_eq!(child.addr.send(Ask).await, Ok(1));
        child.stop().await;
    });
    assert_eq!(
        reports.take(),
        [
            "victim/kam-32666857 Panic true true",
            "victim/kam-32666857 Error false true",
            "victim/kam-32666857 Requested false false"
        ]
    );
    let log = log.take();
    assert_eq!(
        log.len(),
        4,
        "one for each exit and one for the observer: {log:?}"
    );
    assert!(
        log[0].starts_with(
            "ERRO restarting actor=victim meter=kam-32666857 reason=panicked at actors/src"
        ),
        "{}",
        log[0]
    );
    assert!(
        log[0].ends_with(": line one after_ms=0 message_lost=true"),
        "{}",
        log[0]
    );
    assert!(log[1].contains("reason=gone"), "{}", log[1]);
    assert!(log[2].starts_with("CRIT a report failed"), "{}", log[2]);
    assert_eq!(
        log[3],
        "INFO stopped actor=victim meter=kam-32666857 reason=stopped on request"
    );
}

#[test]
fn a_restart_that_is_asked_for_from_outside_is_one_like_any_other() {
    run(async {
        let (child, diary) = start_any(&root(), Hooks::default());
        assert_eq!(child.addr.send(Ask).await, Ok(1));
        let monitor = Arc::clone(&child.handle.monitor);
        monitor.restart();
        // The mail that comes meanwhile waits for the next life.
        assert_eq!(child.addr.send(Ask).await, Ok(1));
        assert_eq!(diary.take(), ["started", "restarting", "started"]);
        assert_eq!((monitor.restarts(), monitor.lost()), (1, 0));
        assert_eq!(reason(&child), "a restart was asked for");
    });
}
