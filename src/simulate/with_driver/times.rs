//! How long it takes to notice a failure, and to hear again: the table in the README.

use std::fs::Permissions;
use std::future::Future;
use std::os::unix::fs::PermissionsExt;

use super::happenings::obey_permissions;
use super::*;

/// After so long, the pauses between two attempts are as long as they become.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const README: &str = include_str!("../../../README.md");

#[actix_rt::test]
#[ignore = "takes two minutes, for it keeps the real times; prints a table"]
async fn detection_and_recovery_times() {
    obey_permissions();
    let rows = [
        actix_rt::spawn(unplugged()),
        actix_rt::spawn(ill("deaf, until it is reset", Ailment::Deaf, Cure::Reset)),
        actix_rt::spawn(ill(
            "deaf, until its port is opened again",
            Ailment::Deaf,
            Cure::Reopen,
        )),
        actix_rt::spawn(ill(
            "answers but hears nothing, until its link mode is set",
            Ailment::HearsNothing,
            Cure::SetConfig,
        )),
        actix_rt::spawn(ill(
            "answers but hears nothing, until it is reset",
            Ailment::HearsNothing,
            Cure::Reset,
        )),
        actix_rt::spawn(ill(
            "babbles garbage, until it is reset",
            Ailment::Babbles,
            Cure::Reset,
        )),
        actix_rt::spawn(struck("restarts by itself", VirtualDongle::reboot)),
        actix_rt::spawn(struck(
            "loses its link mode",
            VirtualDongle::lose_configuration,
        )),
        actix_rt::spawn(held()),
        actix_rt::spawn(denied()),
    ];
    println!("| failure | noticed after | heard again after |\n|---|---|---|");
    for row in rows {
        let Row {
            failure,
            noticed,
            heard,
        } = row.await.unwrap();
        println!(
            "| {failure} | {:.1} s | {:.1} s |",
            noticed.as_secs_f64(),
            heard.as_secs_f64()
        );
        assert!(README.contains(&format!("| {failure} | ")), "{failure}");
        assert!(noticed < Duration::from_secs(65), "{failure}");
        assert!(heard < Duration::from_secs(90), "{failure}");
    }
}

/// Both times count from the failure, or from its end if the gateway can do nothing about it.
struct Row {
    failure: &'static str,
    noticed: Duration,
    heard: Duration,
}

/// A dongle with the real times, and a meter that sends once a second.
struct Site {
    dongle: Arc<VirtualDongle>,
    gateway: Gateway,
}

impl Site {
    fn new() -> Self {
        let (dongle, path) = VirtualDongle::open(1, 0x14, None).unwrap();
        Self::of(dongle, path)
    }

    fn of(dongle: VirtualDongle, path: std::path::PathBuf) -> Self {
        let dongle = Arc::new(dongle);
        let air = Arc::downgrade(&dongle);
        actix_rt::spawn(async move {
            while let Some(dongle) = air.upgrade() {
                dongle.telegram(&TELEGRAM, LinkMode::C1a, LOUD);
                sleep(Duration::from_secs(1)).await;
            }
        });
        let source = Source::Im871a {
            path: PortPath::Fixed(path),
            wanted: C1A,
            timing: Timing::default(),
            resets: Arc::default(),
        };
        Self {
            dongle,
            gateway: Gateway::reading(source),
        }
    }

    /// It is heard, its rhythm is known, and it was just checked: the worst time to fail.
    async fn running(&mut self) {
        for _ in 0..10 {
            self.gateway.next().await;
        }
        let before = self.dongle.requests();
        while self.dongle.requests() < before + 2 {
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn noticed(&mut self) -> Duration {
        let started = Instant::now();
        let condition = |status: &DriverStatus| {
            let steps = status.steps;
            matches!(status.state, DriverState::Waiting { .. })
                || steps.ping + steps.set_link_mode > 0
        };
        timeout(LIMIT, self.gateway.status.wait_for(condition))
            .await
            .unwrap()
            .unwrap();
        started.elapsed()
    }

    async fn heard(&mut self, since: Instant) -> Duration {
        while self.gateway.telegrams.try_recv().is_ok() {}
        timeout(LIMIT, self.gateway.telegrams.recv())
            .await
            .unwrap()
            .unwrap();
        since.elapsed()
    }
}

async fn struck(failure: &'static str, strike: impl FnOnce(&VirtualDongle)) -> Row {
    let mut site = Site::new();
    site.running().await;
    let started = Instant::now();
    strike(&site.dongle);
    let noticed = site.noticed().await;
    let heard = site.heard(started).await;
    Row {
        failure,
        noticed,
        heard,
    }
}

fn ill(failure: &'static str, ailment: Ailment, cure: Cure) -> impl Future<Output = Row> {
    struck(failure, move |dongle| dongle.fall_ill(ailment, cure))
}

async fn unplugged() -> Row {
    let folder = tempfile::tempdir().unwrap();
    let (dongle, path) = VirtualDongle::open(1, 0x14, Some(&folder.path().join("dongle"))).unwrap();
    let mut site = Site::of(dongle, path);
    site.running().await;
    site.dongle.unplug();
    let noticed = site.noticed().await;
    sleep(Duration::from_secs(3)).await;
    site.dongle.plug_in().unwrap();
    let heard = site.heard(Instant::now()).await;
    Row {
        failure: "unplugged; plugged in again",
        noticed,
        heard,
    }
}

async fn held() -> Row {
    let (dongle, path) = VirtualDongle::open(1, 0x14, None).unwrap();
    let other = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    other.lock().unwrap();
    let mut site = Site::of(dongle, path);
    let noticed = site.noticed().await;
    sleep(LONGEST_PAUSE).await;
    drop(other);
    let heard = site.heard(Instant::now()).await;
    Row {
        failure: "port held by another program, until it is released",
        noticed,
        heard,
    }
}

async fn denied() -> Row {
    let (dongle, path) = VirtualDongle::open(1, 0x14, None).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o000)).unwrap();
    let mut site = Site::of(dongle, path.clone());
    let noticed = site.noticed().await;
    sleep(LONGEST_PAUSE).await;
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    let heard = site.heard(Instant::now()).await;
    Row {
        failure: "permission denied, until it is granted",
        noticed,
        heard,
    }
}
