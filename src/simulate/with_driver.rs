//! The Driver against the virtual dongle: what happens to dongles in the field.

use std::collections::HashSet;
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
use wmbus::{Buffer, MeterKey, Telegram};

use super::{Ailment, Cure, EXAMPLE_KEY, Options, Simulation, VirtualDongle};

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
    async fn hears_again(&mut self, dongle: &VirtualDongle) {
        while self.telegrams.try_recv().is_ok() {}
        let end = Instant::now() + LIMIT;
        loop {
            dongle.telegram(&TELEGRAM, LinkMode::C1a, LOUD);
            if timeout(Duration::from_millis(100), self.telegrams.recv())
                .await
                .is_ok()
            {
                return;
            }
            assert!(
                Instant::now() < end,
                "nothing heard: {:?}",
                *self.status.borrow()
            );
        }
    }
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
const LIMIT: Duration = Duration::from_secs(30);

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

/// Makes it ill and waits until it is well again; gives the trouble's cause and what helped.
async fn recovery(ailment: Ailment, cure: Cure) -> (Cause, Rung) {
    let (dongle, mut gateway) = running().await;
    let started = Instant::now();
    dongle.fall_ill(ailment, cure);
    gateway
        .reach("trouble", |status| {
            matches!(status.state, DriverState::Recovering { .. })
        })
        .await;
    let detected = started.elapsed();
    gateway.hears_again(&dongle).await;
    let recovered = started.elapsed();
    gateway
        .reach("recovery", |status| status.last_recovery.is_some())
        .await;
    let recovery = gateway.status.borrow().last_recovery.clone().unwrap();
    println!(
        "{ailment:?} until {cure:?}: detected after {detected:.1?}, heard again after {recovered:.1?}, {:?}",
        recovery.rung
    );
    (recovery.cause, recovery.rung)
}

#[actix_rt::test]
async fn configures_the_dongle_and_delivers_telegrams_with_their_strength() {
    let (dongle, mut gateway) = running().await;
    assert_eq!(dongle.link_mode(), Some(LinkMode::C1a));
    assert!(dongle.telegram(&TELEGRAM, LinkMode::C1a, LOUD));
    let telegram = gateway.next().await;
    assert_eq!(telegram.bytes(), TELEGRAM);
    assert_eq!(telegram.rssi(), Some(LOUD));
    let age = Timestamp::now().duration_since(telegram.received_at());
    assert!(age.abs() < jiff::SignedDuration::from_secs(5));
    let status = gateway.status.borrow().clone();
    assert_eq!(status.dongle.unwrap().serial_number, 0x1234_5678);
    assert_eq!(status.link_mode.as_deref(), Some("c1a"));
    assert!(status.last_telegram.is_some());
}

#[actix_rt::test]
async fn c1_and_t1_are_heard_together() {
    let (dongle, path) = dongle();
    let mut gateway = Gateway::on(path, Wanted::C1AndT1);
    gateway.listening().await;
    for mode in [LinkMode::C1a, LinkMode::T1] {
        assert!(dongle.telegram(&TELEGRAM, mode, LOUD));
        assert_eq!(gateway.next().await.bytes(), TELEGRAM);
    }
}

#[actix_rt::test]
async fn serial_bytes_may_come_in_any_pieces() {
    let (dongle, path) = dongle();
    dongle.split_writes(3);
    let mut gateway = Gateway::on(path, C1A);
    gateway.listening().await;
    for _ in 0..5 {
        dongle.telegram(&TELEGRAM, LinkMode::C1a, LOUD);
        assert_eq!(gateway.next().await.bytes(), TELEGRAM);
    }
    assert_eq!(gateway.counters.value(Count::SourceBytesSkipped), 0);
}

#[actix_rt::test]
async fn garbage_joined_messages_and_wrong_crcs_cost_only_themselves() {
    let (dongle, mut gateway) = running().await;
    let before = gateway.counters.value(Count::TelegramsReceived);
    dongle.raw(&[0x00, 0x13, 0xFF, 0x37]);
    dongle.telegram(&TELEGRAM, LinkMode::C1a, LOUD);
    dongle.telegram_with_wrong_crc(&TELEGRAM, LinkMode::C1a, LOUD);
    dongle.telegram(&TELEGRAM, LinkMode::C1a, LOUD);
    dongle.telegram(&TELEGRAM, LinkMode::C1a, LOUD);
    for _ in 0..3 {
        assert_eq!(gateway.next().await.bytes(), TELEGRAM);
    }
    sleep(Duration::from_millis(300)).await;
    assert_eq!(gateway.counters.value(Count::TelegramsReceived) - before, 3);
    assert_eq!(gateway.counters.value(Count::DongleCrcWrong), 1);
    assert!(gateway.counters.value(Count::SourceBytesSkipped) >= 4);
}

#[actix_rt::test]
async fn an_unplugged_dongle_is_waited_for_under_its_own_name() {
    let folder = tempfile::tempdir().unwrap();
    let by_id = folder.path().join("serial/by-id");
    let name = by_id.join("usb-Silicon_Labs_IMST_iM871A-USB_Stick_00001-if00-port0");
    let mut gateway = Gateway::on(PortPath::Auto(by_id.clone()), C1A);
    gateway.reach("waiting", |status| matches!(&status.state, DriverState::Waiting { reason } if reason.contains("iM871A"))).await;

    std::fs::create_dir_all(&by_id).unwrap();
    let (dongle, first) = VirtualDongle::open(1, 0x14, Some(&name)).unwrap();
    dongle.start_within(BOOT);
    assert_eq!(first, name);
    gateway.listening().await;
    gateway.hears_again(&dongle).await;
    let tty = name.canonicalize().unwrap();

    for round in 1..=2 {
        let pulled = Instant::now();
        dongle.unplug();
        gateway
            .reach("waiting", |status| {
                matches!(status.state, DriverState::Waiting { .. })
            })
            .await;
        let noticed = pulled.elapsed();
        assert_eq!(gateway.status.borrow().unplugged, round);
        std::fs::remove_dir_all(folder.path().join("serial")).unwrap();
        sleep(Duration::from_millis(100)).await;
        std::fs::create_dir_all(&by_id).unwrap();
        // Somebody else's port, which must not be touched, and perhaps another tty for the dongle.
        std::fs::write(by_id.join("usb-FTDI_FT232R_USB_UART-if00-port0"), "").unwrap();
        let occupied = super::pty::Pty::open(None).unwrap();
        let back = Instant::now();
        dongle.plug_in().unwrap();
        gateway.listening().await;
        gateway.hears_again(&dongle).await;
        println!(
            "unplugged: noticed after {noticed:.1?}; plugged in as {tty:?}, now {:?}: heard again after {:.1?}",
            name.canonicalize().unwrap(),
            back.elapsed()
        );
        drop(occupied);
    }
}

#[actix_rt::test]
async fn a_port_held_by_another_program_is_waited_for() {
    let (dongle, path) = dongle();
    let PortPath::Fixed(port) = &path else {
        unreachable!()
    };
    let other = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(port)
        .unwrap();
    other.lock().unwrap();
    let mut gateway = Gateway::on(path.clone(), C1A);
    gateway.reach("waiting", |status| matches!(&status.state, DriverState::Waiting { reason } if reason.contains("held by another program"))).await;
    drop(other);
    gateway.listening().await;
    gateway.hears_again(&dongle).await;
    assert!(
        std::fs::File::open(port).unwrap().try_lock().is_err(),
        "now it is the gateway's"
    );
}

#[actix_rt::test]
async fn deaf_until_reset() {
    assert_eq!(
        recovery(Ailment::Deaf, Cure::Reset).await,
        (Cause::NoAnswer, Rung::Reset)
    );
}

#[actix_rt::test]
async fn deaf_until_reopened() {
    assert_eq!(
        recovery(Ailment::Deaf, Cure::Reopen).await,
        (Cause::NoAnswer, Rung::Reopen)
    );
}

#[actix_rt::test]
async fn answering_but_receiving_nothing_until_the_link_mode_is_set() {
    assert_eq!(
        recovery(Ailment::HearsNothing, Cure::SetConfig).await,
        (Cause::NoTelegrams, Rung::SetLinkMode)
    );
}

#[actix_rt::test]
async fn answering_but_receiving_nothing_until_reset() {
    assert_eq!(
        recovery(Ailment::HearsNothing, Cure::Reset).await,
        (Cause::NoTelegrams, Rung::Reset)
    );
}

#[actix_rt::test]
async fn babbling_until_reset() {
    assert_eq!(
        recovery(Ailment::Babbles, Cure::Reset).await,
        (Cause::Babbling, Rung::Reset)
    );
}

#[actix_rt::test]
async fn a_dongle_that_only_ignores_commands_is_still_listened_to() {
    let (dongle, mut gateway) = running().await;
    dongle.fall_ill(Ailment::IgnoresCommands, Cure::Nothing);
    let top = DriverState::Recovering {
        cause: Cause::NoAnswer,
        rung: Rung::Reopen,
    };
    gateway
        .reach("the top of the ladder", |status| status.state == top)
        .await;
    for _ in 0..20 {
        gateway.hears_again(&dongle).await;
    }
    dongle.heal();
    gateway.listening().await;
}

#[actix_rt::test]
async fn a_lost_link_mode_is_set_again() {
    let (dongle, mut gateway) = running().await;
    let lost = Instant::now();
    dongle.lose_configuration();
    gateway
        .reach("recovery", |status| status.last_recovery.is_some())
        .await;
    gateway.hears_again(&dongle).await;
    println!("link mode lost: heard again after {:.1?}", lost.elapsed());
    let status = gateway.status.borrow().clone();
    assert_eq!(status.last_recovery.unwrap().rung, Rung::SetLinkMode);
    assert_eq!((status.steps.set_link_mode, status.steps.reset), (1, 0));
}

#[actix_rt::test]
async fn a_dongle_that_reboots_by_itself_gets_its_link_mode_back() {
    let (dongle, mut gateway) = running().await;
    let rebooted = Instant::now();
    dongle.reboot();
    gateway
        .reach("recovery", |status| status.last_recovery.is_some())
        .await;
    gateway.hears_again(&dongle).await;
    println!(
        "rebooted by itself: heard again after {:.1?}",
        rebooted.elapsed()
    );
    assert_eq!(dongle.link_mode(), Some(LinkMode::C1a));
}

#[actix_rt::test]
async fn daemon_and_gateway_survive_each_others_restart() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("IM871A_pipe");
    let (dongle, port) = dongle();
    let daemon = || {
        let writer = FifoWriter::new(FifoConfig {
            path: fifo.clone(),
            counters: Arc::new(Counters::new()),
            log: slog::Logger::root(slog::Discard, slog::o!()),
        });
        let source = Source::Im871a {
            path: port.clone(),
            wanted: C1A,
            timing: hurried(),
        };
        driver(source, writer.start().recipient())
    };
    let mut gateway = Gateway::reading(Source::Fifo(fifo.clone()));
    gateway
        .reach("waiting", |status| {
            matches!(status.state, DriverState::Waiting { .. })
        })
        .await;
    for _ in 0..2 {
        let running = daemon();
        gateway.hears_again(&dongle).await;
        assert_eq!(gateway.driver.stop().await, Stopped::Clean);
        gateway = Gateway::reading(Source::Fifo(fifo.clone()));
        gateway.hears_again(&dongle).await;
        dongle.telegram(&TELEGRAM, LinkMode::C1a, LOUD);
        let telegram = gateway.next().await;
        assert_eq!(telegram.bytes()[..40], TELEGRAM);
        assert_eq!(
            telegram.bytes().len(),
            42,
            "with the two bytes of the prototype"
        );
        assert!(telegram.is_lossless());
        assert_eq!(running.0.stop().await, Stopped::Clean);
    }
}

#[actix_rt::test]
async fn virtual_meters_are_heard_and_can_be_read() {
    let options = Options {
        interval: Duration::from_millis(500),
        ..Options::default()
    };
    let simulation = Simulation::start(&options).unwrap();
    simulation.dongle().start_within(BOOT);
    let path = PortPath::Fixed(simulation.path().to_owned());
    let mut gateway = Gateway::on(path, C1A);
    let key: MeterKey = EXAMPLE_KEY.parse().unwrap();
    let mut heard = HashSet::new();
    let mut frames = HashSet::new();
    while heard.len() < 3 || frames.len() < 2 {
        let raw = gateway.next().await;
        let telegram = Telegram::parse(raw.bytes()).unwrap();
        heard.insert(telegram.address().to_string());
        frames.insert(telegram.decrypt(&key, &mut Buffer::new()).unwrap().ci);
    }
    assert_eq!(frames, HashSet::from([0x78, 0x79]));
}

#[actix_rt::test]
async fn every_line_of_a_file_arrives_however_slow_the_system_is() {
    struct Slow {
        seen: Vec<RawTelegram>,
        total: Arc<std::sync::atomic::AtomicUsize>,
    }
    impl Actor for Slow {
        type Context = Context<Self>;
        fn started(&mut self, ctx: &mut Context<Self>) {
            ctx.set_mailbox_capacity(LOSSLESS_WINDOW);
        }
    }
    impl Handler<Parse> for Slow {
        type Result = ();
        fn handle(&mut self, Parse(telegram): Parse, _: &mut Context<Self>) {
            self.total
                .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            self.seen.push(telegram);
            // Lets go of them only when no more can come.
            if self.seen.len() == LOSSLESS_WINDOW {
                self.seen.clear();
            }
        }
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let telegram: String = TELEGRAM.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut lines = String::from("# a comment\n\nnonsense\n");
    for _ in 0..10_000 {
        lines += &telegram;
        lines += " 9A25139E3244CC2E391A8EF6B915B697\n";
    }
    std::fs::write(file.path(), lines).unwrap();

    let total = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let slow = Slow {
        seen: Vec::new(),
        total: Arc::clone(&total),
    }
    .start();
    let (sender, mut ended) = mpsc::channel(1);
    let (present, meters_present) = watch::channel(false);
    let counters = Arc::new(Counters::new());
    let config = Config::new(
        Source::File(file.path().to_owned()),
        slow.recipient(),
        Arc::new(Semaphore::new(LOSSLESS_WINDOW)),
        meters_present,
        sender,
        Arc::clone(&counters),
        StatusSender::new(Timestamp::now()),
        slog::Logger::root(slog::Discard, slog::o!()),
    );
    let _driver = supervised(config);
    sleep(Duration::from_millis(200)).await;
    assert_eq!(
        total.load(std::sync::atomic::Ordering::Relaxed),
        0,
        "not before there are meters"
    );
    present.send(true).unwrap();
    let SourceEnded(summary) = timeout(LIMIT, ended.recv()).await.unwrap().unwrap();
    assert_eq!(
        (summary.telegrams, summary.refused, summary.failure),
        (10_000, 1, None)
    );
    sleep(Duration::from_millis(200)).await;
    assert_eq!(total.load(std::sync::atomic::Ordering::Relaxed), 10_000);
    assert_eq!(counters.value(Count::SourceLinesRefused), 1);
}
