//! How many encrypted telegrams a second go from the Parser's mailbox to the Publisher's door, on one thread: link layer, routing,
//! decryption, verification, decoding, duplicate and replay checks. The telegrams are made beforehand.
//!
//! `cargo bench --bench pipeline`
#![allow(clippy::unwrap_used, reason = "a bench may be blunt")]

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use actix::prelude::*;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use jiff::{SignedDuration, Timestamp};
use omnigate::simulate::{EXAMPLE_KEY, VirtualMeter};
use omnigate_actors::counters::{Count, Counters};
use omnigate_actors::dispatcher::{self, Dispatcher};
use omnigate_actors::forward::Forward;
use omnigate_actors::heard::Heard;
use omnigate_actors::meter_handler;
use omnigate_actors::meters::{self, ApplySet, Handlers, Meters};
use omnigate_actors::parser::{self, Parse, Parser};
use omnigate_actors::profiles::InForce;
use omnigate_actors::publisher::{Announce, Publish};
use omnigate_actors::raw_telegram::RawTelegram;
use omnigate_actors::rejects::Rejects;
use omnigate_actors::set_message::{Afterthoughts, Limits, SetMessage};
use omnigate_actors::store::disk::{DiskStore, Limits as StoreLimits};
use omnigate_actors::store::meter_table::MeterTable;
use omnigate_actors::supervision::{Child, Root, supervise};
use omnigate_actors::tree;
use slog::{Discard, Logger, o};
use tempfile::TempDir;
use tokio::sync::watch;

/// Counts what arrives.
struct Door(Arc<AtomicUsize>);

impl Actor for Door {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(tree::PUBLISHER.mailbox);
    }
}

impl Handler<Publish> for Door {
    type Result = ();

    fn handle(&mut self, Publish(readings): Publish, _: &mut Context<Self>) {
        self.0.fetch_add(readings.len(), Relaxed);
    }
}

impl Handler<Announce> for Door {
    type Result = ();

    fn handle(&mut self, _: Announce, _: &mut Context<Self>) {}
}

/// The actors between the source and the Publisher.
struct Pipeline {
    parser: Child<Parser>,
    _dispatcher: Child<Dispatcher>,
    meters: Child<Meters>,
    arrived: Arc<AtomicUsize>,
    counters: Arc<Counters>,
    _folder: TempDir,
}

impl Pipeline {
    fn start() -> Self {
        let log = Logger::root(Discard, o!());
        let root = Root::new(log.clone(), |_| {});
        let counters = Arc::new(Counters::new());
        let rejects = Rejects::new(10);
        let arrived = Arc::new(AtomicUsize::new(0));
        let door = Door(Arc::clone(&arrived)).start();
        let (routes, routes_of_meters) = watch::channel(Arc::new(HashMap::new()));
        let table = Arc::new(MeterTable::new());
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = DiskStore::open(
            folder.path(),
            StoreLimits::default(),
            Arc::clone(&table) as _,
            Arc::clone(&counters),
            log.clone(),
        )
        .unwrap();
        let config = meters::Config {
            table,
            store: Arc::new(store),
            heard: Arc::default(),
            afterthoughts: Afterthoughts::default(),
            handlers: Handlers::default(),
            routes: Arc::new(routes),
            announce: Forward::to(door.clone()),
            publish: door.recipient(),
            shared: Arc::new(meter_handler::Shared {
                profiles: Arc::new(InForce::default()),
                live: true,
                counters: Arc::clone(&counters),
                rejects: rejects.clone(),
                log: log.clone(),
            }),
            root: Arc::clone(&root),
            log: log.clone(),
        };
        let meters = supervise(&root, &tree::METERS, move |monitor| {
            Meters::new(config.clone(), monitor)
        });
        let config = dispatcher::Config {
            routes: routes_of_meters,
            unknown: Arc::new(Heard::default()),
            rejects: rejects.clone(),
            counters: Arc::clone(&counters),
            log: log.clone(),
        };
        let dispatcher = supervise(&root, &tree::DISPATCHER, move |_| {
            Dispatcher::new(config.clone())
        });
        let config = parser::Config {
            next: Forward::to(dispatcher.addr.clone()),
            rejects,
            counters: Arc::clone(&counters),
            log,
        };
        let parser = supervise(&root, &tree::PARSER, move |monitor| {
            Parser::new(config.clone(), monitor)
        });
        Self {
            parser,
            _dispatcher: dispatcher,
            meters,
            arrived,
            counters,
            _folder: folder,
        }
    }

    async fn monitor(&self, meters: &[VirtualMeter]) {
        let entries: Vec<_> = meters
            .iter()
            .map(|meter| {
                format!(
                    r#"{{"deviceId": "{}", "manufacturerKey": "kam", "encryptionKey": "{EXAMPLE_KEY}", "manufacturerDeviceKey": "OmniPower"}}"#,
                    meter.address().identification
                )
            })
            .collect();
        let message = format!("[{}]", entries.join(","));
        let limits = Limits {
            bytes: message.len(),
            meters: meters.len(),
        };
        let set = SetMessage::parse(message.as_bytes(), &limits).unwrap();
        let report = self.meters.addr.send(ApplySet(set)).await.unwrap();
        assert_eq!(report.accepted(), meters.len());
    }

    /// Feeds the telegrams as fast as they are taken; how long it took until all readings had arrived.
    async fn carry(&self, telegrams: Vec<RawTelegram>) -> Duration {
        let expected = self.arrived.load(Relaxed) + telegrams.len();
        let started = Instant::now();
        for telegram in telegrams {
            let mut message = Parse(telegram);
            while let Err(SendError::Full(refused)) = self.parser.addr.try_send(message) {
                message = refused;
                tokio::task::yield_now().await;
            }
        }
        while self.arrived.load(Relaxed) < expected {
            let lost = self.counters.value(Count::HandlerMailboxFull);
            assert_eq!(lost, 0, "{:?}", self.counters);
            tokio::task::yield_now().await;
        }
        started.elapsed()
    }
}

/// Meters that send in turn, at a clock of their own.
struct Air {
    meters: Vec<VirtualMeter>,
    now: Timestamp,
}

impl Air {
    fn new(meters: u32) -> Self {
        let now = Timestamp::now();
        let meters = (0..meters)
            .map(|number| {
                let id = format!("{number:08}").parse().unwrap();
                VirtualMeter::new(id, EXAMPLE_KEY.parse().unwrap(), INTERVAL, now)
            })
            .collect();
        Self { meters, now }
    }

    fn telegrams(&mut self, count: usize) -> Vec<RawTelegram> {
        let mut telegrams = Vec::with_capacity(count);
        while telegrams.len() < count {
            self.now += SignedDuration::try_from(INTERVAL).unwrap();
            for meter in self.meters.iter_mut().take(count - telegrams.len()) {
                let bytes = meter.telegram(self.now).unwrap();
                telegrams.push(RawTelegram::radio(bytes, self.now, None));
            }
        }
        telegrams
    }
}

fn pipeline(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parser_to_publisher");
    group.throughput(Throughput::Elements(1)).sample_size(10);
    for meters in [1, 100, 10_000] {
        group.bench_function(BenchmarkId::new("meters", meters), |bencher| {
            bencher.iter_custom(|telegrams| {
                System::new().block_on(async {
                    let mut air = Air::new(meters);
                    let pipeline = Pipeline::start();
                    pipeline.monitor(&air.meters).await;
                    let mut took = Duration::ZERO;
                    let mut left = telegrams as usize;
                    while left > 0 {
                        let batch = left.min(BATCH);
                        left -= batch;
                        took += pipeline.carry(air.telegrams(batch)).await;
                    }
                    took
                })
            });
        });
    }
    group.finish();
}

/// How often a meter sends.
const INTERVAL: Duration = Duration::from_secs(16);

/// Telegrams that are made at once.
const BATCH: usize = 100_000;

criterion_group!(benches, pipeline);
criterion_main!(benches);
