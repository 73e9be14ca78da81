//! A child beyond its budget is set aside, and the others do not notice.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use super::support::*;
use crate::supervision::policy::Beyond;
use crate::supervision::*;

const PARKING: Duration = Duration::from_secs(600);

fn start_parkable(root: &Arc<Root>) -> (Child<Victim>, Diary) {
    start(
        root,
        role(policy(3, Beyond::Park(PARKING))),
        Hooks::default(),
    )
}

/// One panic more than the budget; the last follows 0.3 s of back-off.
fn spoil(child: &Child<Victim>) {
    (0..4).for_each(|_| child.addr.do_send(act(|_, _| panic!("poison"))));
}

#[test]
fn a_parked_child_refuses_mail_and_is_tried_again_at_the_same_address() {
    run(async {
        let reports = Diary::default();
        let root = Root::new(slog::Logger::root(slog::Discard, slog::o!()), {
            let reports = reports.clone();
            move |report| reports.note(format!("{:?}", report.event))
        });
        let (child, diary) = start_parkable(&root);
        let (other, _) = start_parkable(&root);
        // Each queued message holds one of a few permits that the whole system shares.
        let permits = Arc::new(Semaphore::new(4));
        spoil(&child);
        for _ in 0..4 {
            let permit = Arc::clone(&permits).try_acquire_owned().unwrap();
            child.addr.do_send(act(move |_, _| drop(permit)));
        }
        sleep(Duration::from_millis(200)).await;
        assert_eq!(
            permits.available_permits(),
            0,
            "while it backs off its mail is kept"
        );
        sleep(Duration::from_millis(800)).await;

        let parked = Instant::now();
        let State::Parked { until } = child.handle.monitor.state() else {
            panic!("it is parked")
        };
        assert!(until.duration_since(parked.into_std()) <= PARKING);
        assert_eq!(
            (permits.available_permits(), child.handle.monitor.refused()),
            (4, 4),
            "its mail is thrown away"
        );
        assert_eq!(diary.take().len(), 7);

        assert!(child.addr.connected());
        assert_eq!(
            child.addr.send(Ask).await,
            Err(MailboxError::Closed),
            "refused at once"
        );
        for _ in 0..1000 {
            child.addr.try_send(Ask).unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(child.handle.monitor.refused(), 1005);
        assert_eq!(other.addr.send(Ask).await, Ok(1));
        assert!(diary.take().is_empty(), "and no code of it has run");

        sleep(PARKING).await;
        assert_eq!(
            child.addr.send(Ask).await,
            Ok(1),
            "the same address, a new life"
        );
        assert_eq!(child.handle.monitor.restarts(), 4);
        assert_eq!(diary.take(), ["restarting", "started"]);
        let reports = reports.take();
        assert_eq!(reports.len(), 5);
        assert!(
            reports[3].contains("Park") && reports[4] == "Resumed",
            "{reports:?}"
        );

        spoil(&child);
        sleep(Duration::from_secs(1)).await;
        assert!(
            matches!(child.handle.monitor.state(), State::Parked { .. }),
            "with a whole budget, and no more"
        );
    });
}

#[test]
fn a_parked_child_stops_at_once() {
    run(async {
        let root = root();
        let (child, diary) = start_parkable(&root);
        spoil(&child);
        sleep(Duration::from_secs(1)).await;
        diary.take();
        let asked = Instant::now();
        let monitor = Arc::clone(&child.handle.monitor);
        assert_eq!(child.stop().await, Stopped::Clean);
        assert_eq!(asked.elapsed(), Duration::ZERO);
        assert_eq!(monitor.state(), State::Stopped);
        assert!(
            diary.take().is_empty(),
            "and its code does not run again for that"
        );
    });
}

#[test]
fn ten_thousand_children_may_be_parked_while_one_works() {
    run(async {
        let root = root();
        let children: Vec<_> = (0..10_000).map(|_| start_parkable(&root).0).collect();
        let (good, _) = start_parkable(&root);
        children.iter().for_each(spoil);
        sleep(Duration::from_secs(1)).await;
        let mut parked = 0;
        root.for_each_child(|child| {
            parked += u32::from(matches!(child.state(), State::Parked { .. }))
        });
        assert_eq!(parked, 10_000);
        assert_eq!(good.addr.send(Ask).await, Ok(1));
        drop(children);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(root.children().len(), 1, "and they leave nothing behind");
    });
}
