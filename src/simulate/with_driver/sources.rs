//! Meters, files and FIFOs as sources.

use std::collections::HashSet;

use wmbus::{Buffer, MeterKey, Telegram};

use super::*;
use crate::simulate::{EXAMPLE_KEY, Options, Simulation};

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
            resets: Arc::default(),
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
        let telegram = gateway.hears_again(&dongle).await;
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
async fn every_line_of_a_file_arrives_however_slow_the_system_is() {
    struct Slow {
        seen: Vec<RawTelegram>,
        total: Arc<std::sync::atomic::AtomicU64>,
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

    let total = Arc::new(std::sync::atomic::AtomicU64::new(0));
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
    let arrived = grown_to(10_000, || total.load(std::sync::atomic::Ordering::Relaxed));
    assert_eq!(arrived.await, 10_000);
    assert_eq!(counters.value(Count::SourceLinesRefused), 1);
}
