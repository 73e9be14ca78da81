//! The heartbeat, in real time: what is watched is another thread.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use tokio::sync::oneshot;

use super::support::*;
use crate::supervision::heartbeat::{Complaint, Heartbeat, Limits};
use crate::supervision::policy::{Backoff, Beyond, Policy, Restart};
use crate::supervision::*;

const LIMITS: Limits = Limits {
    interval: Duration::from_millis(20),
    silence: Duration::from_millis(300),
};

/// Runs a test with an Arbiter of its own that is watched; complaints arrive in the channel.
fn watched<F: Future<Output = ()>>(
    test: impl FnOnce(std::sync::Arc<Root>, ArbiterHandle, mpsc::Receiver<Vec<Complaint>>) -> F,
) {
    System::new().block_on(async {
        let (root, arbiter) = (root(), Arbiter::new());
        let (tell, told) = mpsc::channel();
        let judge = move |complaints: &[Complaint]| drop(tell.send(complaints.to_vec()));
        let heartbeat =
            Heartbeat::start(root.clone(), &[("radio", arbiter.handle())], LIMITS, judge).unwrap();
        test(root, arbiter.handle(), told).await;
        drop(heartbeat);
        arbiter.stop();
        arbiter.join().unwrap();
    });
}

fn start_there(
    root: &std::sync::Arc<Root>,
    arbiter: &ArbiterHandle,
    role: &'static Role,
) -> Child<Victim> {
    let diary = Diary::default();
    supervise_on(arbiter, root, role, move |monitor| {
        Victim::new(monitor, &diary, &Hooks::default())
    })
}

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is complained of within this time and at least until the next judgement, other than that the thread is silent: a busy machine may
/// let it stand still for so long.
async fn complaints_of_waits(
    told: &mpsc::Receiver<Vec<Complaint>>,
    during: Duration,
) -> Vec<Complaint> {
    let deadline = Instant::now() + PATIENCE;
    tokio::time::sleep(during).await;
    let mut judged: Vec<_> = told.try_iter().collect();
    while judged.is_empty() {
        assert!(Instant::now() < deadline, "nothing is judged");
        tokio::time::sleep(Duration::from_millis(5)).await;
        judged = told.try_iter().collect();
    }
    let complaints = judged.into_iter().flatten();
    complaints
        .filter(|complaint| !matches!(complaint, Complaint::Silent { .. }))
        .collect()
}

/// The first complaint of this kind.
async fn first_complaint(
    told: &mpsc::Receiver<Vec<Complaint>>,
    wanted: impl Fn(&Complaint) -> bool,
) -> Complaint {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
        if let Some(complaint) = told.try_iter().flatten().find(&wanted) {
            return complaint;
        }
    }
    panic!("nobody complained");
}

async fn until_healthy(told: &mpsc::Receiver<Vec<Complaint>>) {
    let deadline = Instant::now() + PATIENCE;
    while !told.try_iter().any(|complaints| complaints.is_empty()) {
        assert!(Instant::now() < deadline, "it stays unhealthy");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn a_handler_that_hangs_is_noticed_and_named() {
    watched(|root, arbiter, told| async move {
        let child = start_there(&root, &arbiter, role(policy(5, Beyond::GiveUp)));
        child.addr.send(Ask).await.unwrap();
        until_healthy(&told).await;
        let (release, hang) = mpsc::channel::<()>();
        child.addr.do_send(act(move |_, _| {
            let _ = hang.recv();
        }));
        // Before the handler has begun, the thread may be silent for other reasons.
        let complaint = first_complaint(&told, |complaint| {
            matches!(complaint, Complaint::Silent { arbiter: "radio", running, .. } if running == &["victim"])
        })
        .await
        .to_string();
        assert!(
            complaint.starts_with("thread radio has been silent for ")
                && complaint.ends_with(" s; running: victim"),
            "{complaint}"
        );
        drop(release);
        told.try_iter().count();
        until_healthy(&told).await;
        child.stop().await;
    });
}

#[test]
fn a_thread_that_has_ended_is_complained_of() {
    watched(|_, arbiter, told| async move {
        until_healthy(&told).await;
        arbiter.stop();
        let complaint = first_complaint(&told, |_| true).await;
        assert!(
            matches!(complaint, Complaint::Silent { .. }),
            "{complaint:?}"
        );
    });
}

#[test]
fn a_wait_beyond_its_limit_is_complained_of_and_one_without_limit_is_not() {
    watched(|root, arbiter, told| async move {
        let role = role_that_waits(Duration::from_millis(200));
        let (child, patient) = (
            start_there(&root, &arbiter, role),
            start_there(&root, &arbiter, role),
        );
        // Each waits until the other side is dropped.
        let wait = |waiting: fn(&Victim) -> Waiting| {
            let (over, is_over) = oneshot::channel::<()>();
            let wait = act(move |victim, ctx| {
                let waiting = waiting(victim);
                ctx.wait(actix::fut::wrap_future(async move {
                    let _ = is_over.await;
                    drop(waiting);
                }));
            });
            (wait, over)
        };
        let (patience, _never_over) = wait(|victim| victim.monitor.waiting_for_ever("the dongle"));
        patient.addr.do_send(patience);
        let healthy = complaints_of_waits(&told, Duration::from_millis(500)).await;
        assert_eq!(healthy, []);

        let (impatience, over) = wait(|victim| victim.monitor.waiting("the dispatcher's mailbox"));
        child.addr.do_send(impatience);
        let complaint = first_complaint(&told, |complaint| {
            matches!(complaint, Complaint::Waits { .. })
        })
        .await
        .to_string();
        assert!(
            complaint.starts_with("victim has waited ")
                && complaint.ends_with(" s for the dispatcher's mailbox"),
            "{complaint}"
        );
        drop(over);
        child.addr.send(Ask).await.unwrap();
        told.try_iter().count();
        until_healthy(&told).await;
    });
}

#[test]
fn backing_off_and_being_parked_are_healthy() {
    watched(|root, arbiter, told| async move {
        // Both last longer than the test.
        let long = Policy::LONGEST_PARKING;
        let policy = |backoff, beyond| {
            let backoff = Backoff::new(backoff, backoff, 0).unwrap();
            Policy::new(Restart::Permanent, 2, 2 * long, backoff, beyond).unwrap()
        };
        let resting = start_there(&root, &arbiter, role(policy(long, Beyond::GiveUp)));
        let soon = policy(Duration::from_millis(1), Beyond::Park(long));
        let parked = start_there(&root, &arbiter, role(soon));
        // The first restart is immediate.
        (0..2).for_each(|_| resting.addr.do_send(act(|_, _| panic!("again"))));
        (0..3).for_each(|_| parked.addr.do_send(act(|_, _| panic!("again"))));
        let deadline = Instant::now() + PATIENCE;
        let states = || {
            (
                resting.handle.monitor.state(),
                parked.handle.monitor.state(),
            )
        };
        while !matches!(states(), (State::BackingOff { .. }, State::Parked { .. })) {
            assert!(Instant::now() < deadline, "{:?}", states());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let complaints = complaints_of_waits(&told, 2 * LIMITS.silence).await;
        assert_eq!(complaints, []);
    });
}
