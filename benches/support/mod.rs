//! What the benches have in common: the actors from the Parser to the MeterHandlers, and the meters whose telegrams they get.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use jiff::{SignedDuration, Timestamp};
use omnigate::simulate::{EXAMPLE_KEY, VirtualMeter};
use omnigate_actors::counters::Counters;
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
use omnigate_actors::store;
use omnigate_actors::store::disk::DiskStore;
use omnigate_actors::store::meter_table::MeterTable;
use omnigate_actors::supervision::{Child, Root, supervise};
use omnigate_actors::tree;
use slog::{Discard, Logger, o};
use tempfile::TempDir;
use tokio::sync::watch;

/// What outlives the actors, with the store in a folder of its own.
pub struct State {
    pub counters: Arc<Counters>,
    table: Arc<MeterTable>,
    pub store: Arc<DiskStore>,
    _folder: TempDir,
}

impl State {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let counters = Arc::new(Counters::new());
        let table = Arc::new(MeterTable::new());
        let (store, _) = DiskStore::open(
            folder.path(),
            store::disk::Limits::default(),
            Arc::clone(&table) as _,
            Arc::clone(&counters),
            Logger::root(Discard, o!()),
        )
        .unwrap();
        Self {
            counters,
            table,
            store: Arc::new(store),
            _folder: folder,
        }
    }
}

/// The actors between the source and the Publisher, on the thread that starts them.
pub struct Line {
    parser: Child<Parser>,
    _dispatcher: Child<Dispatcher>,
    meters: Child<Meters>,
}

impl Line {
    pub fn start(
        root: &Arc<Root>,
        state: &State,
        publish: Forward<Publish>,
        announce: Forward<Announce>,
    ) -> Self {
        let State {
            counters,
            table,
            store,
            ..
        } = state;
        let log = Logger::root(Discard, o!());
        let rejects = Rejects::new(10);
        let (routes, routes_of_meters) = watch::channel(Arc::new(HashMap::new()));
        let config = meters::Config {
            table: Arc::clone(table),
            store: Arc::clone(store),
            heard: Arc::default(),
            afterthoughts: Afterthoughts::default(),
            handlers: Handlers::default(),
            routes: Arc::new(routes),
            announce,
            publish,
            shared: Arc::new(meter_handler::Shared {
                profiles: Arc::new(InForce::default()),
                live: true,
                counters: Arc::clone(counters),
                rejects: rejects.clone(),
                log: log.clone(),
            }),
            root: Arc::clone(root),
            log: log.clone(),
        };
        let meters = supervise(root, &tree::METERS, move |monitor| {
            Meters::new(config.clone(), monitor)
        });
        let config = dispatcher::Config {
            routes: routes_of_meters,
            unknown: Arc::new(Heard::default()),
            rejects: rejects.clone(),
            counters: Arc::clone(counters),
            log: log.clone(),
        };
        let dispatcher = supervise(root, &tree::DISPATCHER, move |_| {
            Dispatcher::new(config.clone())
        });
        let config = parser::Config {
            next: Forward::to(dispatcher.addr.clone()),
            rejects,
            counters: Arc::clone(counters),
            log,
        };
        let parser = supervise(root, &tree::PARSER, move |monitor| {
            Parser::new(config.clone(), monitor)
        });
        Self {
            parser,
            _dispatcher: dispatcher,
            meters,
        }
    }

    /// Makes these the monitored meters.
    pub async fn monitor(&self, meters: &[VirtualMeter]) {
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

    /// Gives the Parser a telegram as soon as its mailbox has room.
    pub async fn feed(&self, telegram: RawTelegram) {
        let mut message = Parse(telegram);
        while let Err(SendError::Full(refused)) = self.parser.addr.try_send(message) {
            message = refused;
            tokio::task::yield_now().await;
        }
    }
}

/// Meters that send in turn, at a clock of their own.
pub struct Air {
    pub meters: Vec<VirtualMeter>,
    now: Timestamp,
}

impl Air {
    pub fn new(meters: u32) -> Self {
        let now = Timestamp::now();
        let meters = (0..meters)
            .map(|number| {
                let id = format!("{number:08}").parse().unwrap();
                VirtualMeter::new(id, EXAMPLE_KEY.parse().unwrap(), INTERVAL, now)
            })
            .collect();
        Self { meters, now }
    }

    /// The next `count` telegrams, of each meter in turn.
    pub fn telegrams(&mut self, count: usize) -> Vec<RawTelegram> {
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

/// How often a meter sends.
const INTERVAL: Duration = Duration::from_secs(16);
