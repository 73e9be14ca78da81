//! The Driver against the virtual dongle.

mod happenings;
mod sources;
mod times;

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use jiff::Timestamp;
use omnigate_actors::counters::{Count, Counters};
use omnigate_actors::driver::dongle::{Cause, Rung, Timing, Wanted};
use omnigate_actors::driver::port::PortPath;
use omnigate_actors::driver::rhythm::Patience;
use omnigate_actors::driver::status::{DriverState, StatusSender};
use omnigate_actors::driver::{
    Config, Driver, DriverStatus, FifoConfig, FifoWriter, Source, SourceEnded,
};
use omnigate_actors::parser::Parse;
use omnigate_actors::raw_telegram::{LOSSLESS_WINDOW, RawTelegram};
use omnigate_actors::supervision::{Child, Root, Stopped, supervise};
use omnigate_actors::tree;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{sleep, timeout};
use wmbus::im871a::{LinkMode, Rssi};

use super::{Ailment, Cure, VirtualDongle};

const LOUD: Rssi = Rssi::from_dbm(-42);
const C1A: Wanted = Wanted::Mode(LinkMode::C1a);
/// Captured from a meter: 39 bytes after the L field.
const TELEGRAM: [u8; 40] = [
    0x27, 0x44, 0x2D, 0x2C, 0x57, 0x68, 0x66, 0x32, 0x30, 0x02, 0x8D, 0x20, 0x2E, 0x21, 0x87, 0x03,
    0x20, 0xD3, 0xA4, 0xF1, 0x49, 0xB1, 0xB8, 0xF5, 0x78, 0x3D, 0xF7, 0x43, 0x4B, 0x8A, 0x66, 0xA5,
    0x57, 0x86, 0x49, 0x9A, 0xBE, 0x7B, 0xAB, 0x59,
];

/// The times of a dongle in a hurry.
fn hurried() -> Timing {
    Timing {
        answer: Duration::from_millis(300),
        settle: BOOT + Duration::from_millis(50),
        check: Duration::from_secs(1),
        first_pause: Duration::from_millis(200),
        longest_pause: Duration::from_secs(1),
        patience: Patience {
            shortest: Duration::from_secs(2),
            longest: Duration::from_secs(20),
            unlearned: Duration::from_secs(60),
        },
    }
}

/// In place of the Parser.
struct Probe(UnboundedSender<RawTelegram>);
impl Actor for Probe {
    type Context = Context<Self>;
}
impl Handler<Parse> for Probe {
    type Result = ();
    fn handle(&mut self, Parse(telegram): Parse, _: &mut Context<Self>) {
        let _ = self.0.send(telegram);
    }
}
struct Gateway {
    telegrams: UnboundedReceiver<RawTelegram>,
    status: watch::Receiver<DriverStatus>,
    counters: Arc<Counters>,
    driver: Child<Driver>,
}

impl Gateway {
    fn on(path: PortPath, wanted: Wanted) -> Self {
        Self::reading(Source::Im871a {
            path,
            wanted,
            timing: hurried(),
            resets: Arc::default(),
        })
    }

    fn reading(source: Source) -> Self {
        let (sender, telegrams) = unbounded_channel();
        let probe = Probe(sender).start();
        let (driver, status, counters) = driver(source, probe.recipient());
        Self {
            telegrams,
            status,
            counters,
            driver,
        }
    }

    async fn reach(&mut self, what: &str, condition: impl FnMut(&DriverStatus) -> bool) {
        let reached = timeout(LIMIT, self.status.wait_for(condition))
            .await
            .map(drop);
        assert!(
            reached.is_ok(),
            "{what} not reached: {:?}",
            *self.status.borrow()
        );
    }

    async fn listening(&mut self) {
        self.reach("listening", |status| status.state == DriverState::Listening)
            .await;
    }

    async fn next(&mut self) -> RawTelegram {
        timeout(LIMIT, self.telegrams.recv())
            .await
            .expect("a telegram in time")
            .unwrap()
    }

    /// Keeps telegrams on the air, as meters do, until the gateway has one.
    async fn hears_again(&mut self, dongle: &VirtualDongle) -> RawTelegram {
        while self.telegrams.try_recv().is_ok() {}
        let end = Instant::now() + LIMIT;
        loop {
            dongle.telegram(&TELEGRAM, LinkMode::C1a, LOUD);
            let telegram = timeout(Duration::from_millis(100), self.telegrams.recv());
            if let Ok(telegram) = telegram.await {
                return telegram.unwrap();
            }
            assert!(
                Instant::now() < end,
                "nothing heard: {:?}",
                *self.status.borrow()
            );
        }
    }
}

/// Waits until a number has grown so far, if it does.
async fn grown_to(least: u64, number: impl Fn() -> u64) -> u64 {
    let end = Instant::now() + LIMIT;
    while number() < least && Instant::now() < end {
        sleep(Duration::from_millis(5)).await;
    }
    number()
}

fn driver(
    source: Source,
    parser: Recipient<Parse>,
) -> (Child<Driver>, watch::Receiver<DriverStatus>, Arc<Counters>) {
    let counters = Arc::new(Counters::new());
    let status = StatusSender::new(Timestamp::now());
    let receiver = status.subscribe();
    let config = Config::new(
        source,
        parser,
        Arc::new(Semaphore::new(LOSSLESS_WINDOW)),
        watch::channel(true).1,
        mpsc::channel(1).0,
        Arc::clone(&counters),
        status,
        slog::Logger::root(slog::Discard, slog::o!()),
    );
    (supervised(config), receiver, counters)
}

fn supervised(config: Config) -> Child<Driver> {
    let root = Root::new(slog::Logger::root(slog::Discard, slog::o!()), |_| {});
    supervise(&root, &tree::DRIVER, move |_| Driver::new(config.clone()))
}

/// What a virtual dongle in a hurry needs to start.
const BOOT: Duration = Duration::from_millis(200);
/// Longer than anything takes on a busy machine, and than a gateway that has not learned the rhythm takes to miss telegrams.
const LIMIT: Duration = Duration::from_secs(120);

fn dongle() -> (VirtualDongle, PortPath) {
    let (dongle, path) = VirtualDongle::open(0x1234_5678, 0x14, None).unwrap();
    dongle.start_within(BOOT);
    (dongle, PortPath::Fixed(path))
}

/// A dongle that the Driver has configured, hears, and has learned the rhythm of.
async fn running() -> (VirtualDongle, Gateway) {
    let (dongle, path) = dongle();
    let mut gateway = Gateway::on(path, C1A);
    gateway.listening().await;
    for _ in 0..5 {
        gateway.hears_again(&dongle).await;
    }
    (dongle, gateway)
}
