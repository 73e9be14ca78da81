//! What survives the end of a life, however it ended.

use super::support::*;
use crate::supervision::policy::Beyond;

#[test]
fn mail_behind_a_panic_is_answered_by_the_next_life() {
    run(async {
        let root = root();
        let (child, diary) = start(&root, role(policy(5, Beyond::GiveUp)), Hooks::default());
        let before = child.addr.send(Ask);
        let bad = child.addr.send(act(|_, _| panic!("on purpose")));
        let behind: Vec<_> = (0..5).map(|_| child.addr.send(Ask)).collect();
        assert_eq!(before.await, Ok(1));
        assert_eq!(bad.await, Err(actix::MailboxError::Closed));
        for (request, expected) in behind.into_iter().zip(1..) {
            assert_eq!(request.await, Ok(expected), "fresh state, and nothing lost");
        }
        assert_eq!(diary.take(), ["started", "restarting", "started"]);
        assert_eq!(
            (child.handle.monitor.restarts(), child.handle.monitor.lost()),
            (1, 1)
        );
        let reason = child.handle.monitor.last_exit().unwrap().reason;
        assert!(
            reason.starts_with("panicked at actors/src/supervision/tests/restarts.rs:")
                && reason.ends_with(": on purpose"),
            "{reason}"
        );
        assert_eq!(child.stop().await, crate::supervision::Stopped::Clean);
    });
}

#[test]
fn an_actor_that_fails_says_why_and_starts_again() {
    run(async {
        let root = root();
        let (child, diary) = start(&root, role(policy(5, Beyond::GiveUp)), Hooks::default());
        child
            .addr
            .send(act(|victim, ctx| {
                victim.monitor.fail(ctx, "the port is not ours")
            }))
            .await
            .unwrap();
        assert_eq!(child.addr.send(Ask).await, Ok(1));
        assert_eq!(
            diary.take(),
            ["started", "stopped", "restarting", "started"]
        );
        assert_eq!(
            child.handle.monitor.last_exit().unwrap().reason,
            "the port is not ours"
        );
        assert_eq!(child.handle.monitor.lost(), 0, "the message was handled");
    });
}
