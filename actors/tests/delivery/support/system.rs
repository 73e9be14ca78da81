//! A Publisher and a Commander under supervision, on an Arbiter of their own as in the gateway.

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use jiff::Timestamp;
use omnigate_actors::commander::{self, Commander, StopRequested};
use omnigate_actors::counters::Counters;
use omnigate_actors::meter::MeterName;
use omnigate_actors::meters::ApplySet;
use omnigate_actors::mqtt::Turn;
use omnigate_actors::output::Outputs;
use omnigate_actors::output::recalc::{ReCalc, Topics};
use omnigate_actors::publisher::{self, Flush, FlushReport, MeterReading, Publish, Publisher};
use omnigate_actors::raw_telegram::RawTelegram;
use omnigate_actors::rejects::Rejects;
use omnigate_actors::set_message::{Afterthoughts, Limits};
use omnigate_actors::status::StatusBoard;
use omnigate_actors::store::disk::{DiskStore, Health, Limits as StoreLimits};
use omnigate_actors::store::meter_table::MeterTable;
use omnigate_actors::supervision::{Child, Root, supervise_on};
use omnigate_actors::tree;
use tempfile::TempDir;
use tokio::sync::mpsc;
use wmbus::Decoder;

use super::{address, log};

pub const GATEWAY: &str = "706462169";

/// `v2/<gateway>/<rest>`
pub fn topic(rest: &str) -> String {
    format!("v2/{GATEWAY}/{rest}")
}

/// Runs on threads of its own until it is dropped.
pub struct System {
    _system: SystemRunner,
    arbiter: Arbiter,
    root: Arc<Root>,
}

impl System {
    pub fn new() -> Self {
        let system = actix::System::new();
        let arbiter = system.block_on(async { Arbiter::new() });
        Self {
            _system: system,
            arbiter,
            root: Root::new(log(), |_| {}),
        }
    }

    pub fn publisher(&self, settings: PublisherSettings) -> RunningPublisher {
        let PublisherSettings { config, folder } = settings;
        let outbox = Arc::clone(&config.outbox);
        let counters = Arc::clone(&config.counters);
        let status = Arc::clone(&config.status);
        let outputs = config.outputs.clone();
        let child = supervise_on(
            &self.arbiter.handle(),
            &self.root,
            &tree::PUBLISHER,
            move |monitor| Publisher::new(config.clone(), monitor),
        );
        RunningPublisher {
            child,
            outbox,
            counters,
            status,
            outputs,
            _folder: folder,
        }
    }

    pub fn commander(&self, config: commander::Config) -> Child<Commander> {
        supervise_on(
            &self.arbiter.handle(),
            &self.root,
            &tree::COMMANDER,
            move |monitor| Commander::new(config.clone(), monitor),
        )
    }

    /// Starts an actor beside them.
    pub fn start<A: Actor<Context = Context<A>> + Send>(&self, actor: A) -> Addr<A> {
        A::start_in_arbiter(&self.arbiter.handle(), move |_| actor)
    }
}

impl Drop for System {
    fn drop(&mut self) {
        self.arbiter.stop();
    }
}

/// A Publisher and what it works on.
pub struct RunningPublisher {
    pub child: Child<Publisher>,
    pub outbox: Arc<DiskStore>,
    pub counters: Arc<Counters>,
    pub status: Arc<StatusBoard>,
    pub outputs: Outputs,
    _folder: TempDir,
}

impl RunningPublisher {
    /// Hands a reading over, waiting for room in the mailbox.
    pub fn publish(&self, reading: MeterReading) {
        wait(self.child.addr.send(Publish(vec![reading]))).unwrap();
    }

    pub fn flush(&self, within: Duration) -> FlushReport {
        wait(self.child.addr.send(Flush { within })).unwrap()
    }
}

/// Waits on this thread for an answer of an actor on another.
pub fn wait<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(async {
            tokio::time::timeout(super::PATIENCE, future)
                .await
                .expect("an answer")
        })
}

/// A Publisher's settings, with the folder of its outbox.
pub struct PublisherSettings {
    config: publisher::Config,
    folder: TempDir,
}

impl Deref for PublisherSettings {
    type Target = publisher::Config;

    fn deref(&self) -> &publisher::Config {
        &self.config
    }
}

impl DerefMut for PublisherSettings {
    fn deref_mut(&mut self) -> &mut publisher::Config {
        &mut self.config
    }
}

/// A Publisher's settings for the broker at this URL.
pub fn publisher_config(url: &str) -> PublisherSettings {
    let counters: Arc<Counters> = Arc::default();
    let folder = tempfile::tempdir().unwrap();
    let config = publisher::Config::new(
        address(url).into(),
        Topics::new(GATEWAY).unwrap(),
        recalc(&counters),
        store_in(folder.path(), StoreLimits::default(), &counters),
        Arc::new(StatusBoard::new(Timestamp::now())),
        counters,
        Rejects::new(10),
        log(),
    );
    PublisherSettings { config, folder }
}

/// The same with an outbox that the disk does not take, and that has so much room in memory, in bytes.
pub fn without_disk(url: &str, memory: usize) -> PublisherSettings {
    let mut settings = publisher_config(url);
    let limits = StoreLimits {
        memory,
        ..StoreLimits::default()
    };
    settings.outbox = store_in(Path::new("/proc/omnigate"), limits, &settings.counters);
    let health = settings.outbox.health();
    super::wait_for("the disk to fail", || {
        matches!(*health.borrow(), Health::Failing { .. }).then_some(())
    });
    settings
}

fn store_in(folder: &Path, limits: StoreLimits, counters: &Arc<Counters>) -> Arc<DiskStore> {
    let meters = Arc::new(MeterTable::new());
    let counters = Arc::clone(counters);
    let (store, _) = DiskStore::open(folder, limits, meters, counters, log()).unwrap();
    Arc::new(store)
}

/// The cloud's output.
fn recalc(counters: &Arc<Counters>) -> Outputs {
    let recalc = ReCalc::new(Topics::new(GATEWAY).unwrap());
    Outputs::new(vec![Box::new(recalc)], Arc::clone(counters))
}

/// A Commander's settings, and where its STOP arrives.
pub fn commander_config(
    url: &str,
    meters: Recipient<ApplySet>,
) -> (commander::Config, mpsc::Receiver<StopRequested>) {
    let (stop, stops) = mpsc::channel(1);
    let config = commander::Config {
        broker: address(url).into(),
        topics: Topics::new(GATEWAY).unwrap(),
        meters,
        stop,
        stop_token: None.into(),
        limits: Limits::default(),
        pace: commander::Pace::default(),
        turn: Turn::default(),
        afterthoughts: Afterthoughts::default(),
        counters: Arc::default(),
        log: log(),
    };
    (config, stops)
}

pub fn meter(number: usize) -> Arc<MeterName> {
    Arc::new(MeterName {
        manufacturer_key: "kam".to_owned(),
        device_id: number.to_string(),
    })
}

/// Gives the same captured telegram's reading again and again, each a second later.
pub struct Readings {
    reading: MeterReading,
    second: i64,
}

impl Readings {
    pub fn new() -> Self {
        let bytes: Vec<_> = (0..TELEGRAM.len() / 2)
            .map(|at| u8::from_str_radix(&TELEGRAM[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        let mut decoder = Decoder::new(Some(KEY.parse().unwrap()));
        let reading = decoder.decode(&bytes).unwrap();
        let profile = Arc::clone(decoder.profile(reading.address).unwrap());
        let received_at = Timestamp::UNIX_EPOCH;
        Self {
            reading: MeterReading {
                meter: meter(0),
                received_at,
                rssi: None,
                profile,
                introduces: false,
                memory: None,
                reading,
                raw: RawTelegram::radio(bytes, received_at, None),
            },
            second: 0,
        }
    }

    pub fn next_of(&mut self, number: usize) -> MeterReading {
        self.second += 1;
        MeterReading {
            meter: meter(number),
            received_at: Timestamp::from_second(FIRST_SECOND + self.second).unwrap(),
            ..self.reading.clone()
        }
    }
}

/// The readings' times are counted from here.
pub const FIRST_SECOND: i64 = 1_800_000_000;

const TELEGRAM: &str =
    "27442D2C5768663230028D202E21870320D3A4F149B1B8F5783DF7434B8A66A55786499ABE7BAB59";
pub const KEY: &str = "9A25139E3244CC2E391A8EF6B915B697";
