//! The heartbeat, in real time: what is watched is another thread.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use actix::prelude::*;

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

/// What is judged within this time.
async fn judgements(
    told: &mpsc::Receiver<Vec<Complaint>>,
    during: Duration,
) -> Vec<Vec<Complaint>> {
    tokio::time::sleep(during).await;
    told.try_iter().collect()
}

/// The first judgement that complains.
async fn first_complaint(told: &mpsc::Receiver<Vec<Complaint>>) -> Vec<Complaint> {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
        if let Some(complaints) = told.try_iter().find(|complaints| !complaints.is_empty()) {
            return complaints;
        }
    }
    panic!("nobody complained");
}

async fn until_healthy(told: &mpsc::Receiver<Vec<Complaint>>) {
    let deadline = Instant::now() + Duration::from_secs(20);
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
        let complaints = first_complaint(&told).await;
        let [
            Complaint::Silent {
                arbiter: "radio",
                running,
                ..
            },
        ] = &complaints[..]
        else {
            panic!("{complaints:?}")
        };
        assert_eq!(running, &["victim"]);
        assert_eq!(
            complaints[0].to_string(),
            "thread radio has been silent for 0 s; running: victim"
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
        let complaints = first_complaint(&told).await;
        assert!(
            matches!(&complaints[..], [Complaint::Silent { .. }]),
            "{complaints:?}"
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
        let wait = |waiting: fn(&Victim) -> Waiting| {
            act(move |victim, ctx| {
                let waiting = waiting(victim);
                ctx.wait(actix::fut::wrap_future(async move {
                    tokio::time::sleep(Duration::from_millis(800)).await;
                    drop(waiting);
                }));
            })
        };
        patient
            .addr
            .do_send(wait(|victim| victim.monitor.waiting_for_ever("the dongle")));
        let healthy = judgements(&told, Duration::from_millis(500)).await;
        assert!(
            healthy.iter().all(Vec::is_empty) && !healthy.is_empty(),
            "{healthy:?}"
        );

        child.addr.do_send(wait(|victim| {
            victim.monitor.waiting("the dispatcher's mailbox")
        }));
        let complaints = first_complaint(&told).await;
        assert_eq!(
            complaints[0].to_string(),
            "victim has waited 0 s for the dispatcher's mailbox"
        );
        child.addr.send(Ask).await.unwrap();
        told.try_iter().count();
        until_healthy(&told).await;
    });
}

#[test]
fn backing_off_and_being_parked_are_healthy() {
    watched(|root, arbiter, told| async move {
        let second = Duration::from_secs(1);
        let backoff = Backoff::new(second, second, 0).unwrap();
        let policy =
            |beyond| Policy::new(Restart::Permanent, 2, 2 * second, backoff, beyond).unwrap();
        let resting = start_there(&root, &arbiter, role(policy(Beyond::GiveUp)));
        let parked = start_there(&root, &arbiter, role(policy(Beyond::Park(second))));
        (0..2).for_each(|_| resting.addr.do_send(act(|_, _| panic!("again"))));
        (0..3).for_each(|_| parked.addr.do_send(act(|_, _| panic!("again"))));
        let mut seen = (false, false);
        let deadline = Instant::now() + 20 * second;
        while seen != (true, true) {
            assert!(Instant::now() < deadline, "{seen:?}");
            let judged = judgements(&told, Duration::from_millis(50)).await;
            assert!(judged.iter().all(Vec::is_empty), "{judged:?}");
            seen.0 |= matches!(resting.handle.monitor.state(), State::BackingOff { .. });
            seen.1 |= matches!(parked.handle.monitor.state(), State::Parked { .. });
        }
    });
}
