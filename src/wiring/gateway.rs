//! The running gateway: all actors with what they share.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use omnigate_actors::bridge::{Bridge, HomeAssistant};
use omnigate_actors::changeable::Changeable;
use omnigate_actors::clock;
use omnigate_actors::commander::{self, Commander};
use omnigate_actors::counters::{Count, Counters};
use omnigate_actors::dispatcher::{self, Dispatcher};
use omnigate_actors::driver::status::StatusSender;
use omnigate_actors::driver::{self, Driver};
use omnigate_actors::forward::Forward;
use omnigate_actors::heard::Heard;
use omnigate_actors::meter_handler;
use omnigate_actors::meter_list::{self, MeterListing};
use omnigate_actors::meters::{self, Handlers, Meters, Restore};
use omnigate_actors::mqtt::{Broker, Turn};
use omnigate_actors::output::catalogue::Catalogue;
use omnigate_actors::parser::{self, Parser};
use omnigate_actors::profiles::Watch;
use omnigate_actors::publisher::{self, Flush, Publisher};
use omnigate_actors::raw_telegram::LOSSLESS_WINDOW;
use omnigate_actors::rejects::Rejects;
use omnigate_actors::secrets::Secret;
use omnigate_actors::set_message::Afterthoughts;
use omnigate_actors::status::StatusBoard;
use omnigate_actors::store::disk::{self, DiskStore, Restored};
use omnigate_actors::store::meter_table::MeterTable;
use omnigate_actors::supervision::heartbeat::{Heartbeat, Limits};
use omnigate_actors::supervision::{Child, Event, Root, supervise_on};
use omnigate_actors::tree;
use serde_json::json;
use slog::{Logger, crit, error, info, o, warn};
use tokio::sync::{Semaphore, watch};

use super::bridge::{self, Wires};
use super::outputs::outputs;
use super::profiles;
use super::reasons::{Ends, Reason};
use super::status::Shown;
use super::watchdog;
use crate::control::{self, LockError, StateLock, Verbs};
use crate::logging::Logging;
use crate::overview::Sources;
use crate::page::{self, Page};
use crate::settings::Settings;

/// All actors, in the order in which they were started. They are stopped the other way round.
pub struct Gateway {
    root: Arc<Root>,
    log: Logger,
    store: Arc<DiskStore>,
    publisher: Child<Publisher>,
    meters: Child<Meters>,
    handlers: Handlers,
    commander: Child<Commander>,
    /// Where the state output is on.
    bridge: Option<Child<Bridge>>,
    dispatcher: Child<Dispatcher>,
    parser: Child<Parser>,
    driver: Child<Driver>,
    heartbeat: Heartbeat,
    page: Option<Page>,
    radio: Arbiter,
    broker: Arbiter,
    _profiles: Option<Watch>,
    _control: Option<control::Server>,
    _lock: Option<StateLock>,
    adjustable: Adjustable,
}

/// What can change while the gateway runs.
#[derive(Clone)]
struct Adjustable {
    broker: Changeable<Broker>,
    stop_token: Changeable<Option<Secret>>,
    home_assistant: Changeable<Option<HomeAssistant>>,
    status_interval: Changeable<Duration>,
}

impl Adjustable {
    fn new(settings: &Settings) -> Self {
        Self {
            broker: settings.mqtt.broker().into(),
            stop_token: settings.mqtt.stop_token.clone().into(),
            home_assistant: bridge::home_assistant(settings).into(),
            status_interval: settings.mqtt.status_interval.seconds().into(),
        }
    }
}

impl Gateway {
    /// The keys that can always change while it runs.
    const CHANGEABLE: [&str; 12] = [
        "log.level",
        "mqtt.url",
        "mqtt.username",
        "mqtt.password",
        "mqtt.password_file",
        "mqtt.ca_file",
        "mqtt.certificate_file",
        "mqtt.private_key_file",
        "mqtt.keep_alive",
        "mqtt.status_interval",
        "mqtt.stop_token",
        "mqtt.stop_token_file",
    ];

    /// Those that need a bridge.
    const OF_THE_BRIDGE: [&str; 2] = ["home_assistant.enabled", "home_assistant.prefix"];

    /// The keys that can change while it runs.
    pub fn changeable(&self) -> Vec<&'static str> {
        let mut keys = Self::CHANGEABLE.to_vec();
        if self.bridge.is_some() {
            keys.extend(Self::OF_THE_BRIDGE);
        }
        keys
    }

    /// Puts into force what can change of these settings. Only a change that concerns the connection to the broker replaces it.
    pub fn adjust(&self, settings: &Settings) {
        let Adjustable {
            broker,
            stop_token,
            home_assistant,
            status_interval,
        } = &self.adjustable;
        let wanted = settings.mqtt.broker();
        if *broker.get() != wanted {
            broker.set(wanted);
        }
        stop_token.set(settings.mqtt.stop_token.clone());
        status_interval.set(settings.mqtt.status_interval.seconds());
        let wanted = bridge::home_assistant(settings);
        if let Some(bridge) = &self.bridge
            && *home_assistant.get() != wanted
        {
            home_assistant.set(wanted);
            bridge.handle.monitor.restart();
        }
    }

    /// Starts everything.
    ///
    /// # Errors
    /// If the system refuses a thread, or another gateway runs on the same `state_dir`.
    pub fn start(settings: &Settings, logging: &Logging, ends: Ends) -> io::Result<Self> {
        let log = logging.logger();
        let lock = lock_state_dir(&settings.gateway.state_dir, log)?;
        let radio = Arbiter::new();
        let broker = Arbiter::new();
        let counters = Arc::new(Counters::new());
        let rejects = Rejects::new(REJECTS_KEPT);
        let unknown = Arc::new(Heard::default());
        let heard = Arc::clone(&unknown);
        let table = Arc::new(if settings.driver.is_live() {
            MeterTable::new()
        } else {
            MeterTable::of_recording()
        });
        let catalogue: Arc<Catalogue> = Arc::default();
        let driver_status = StatusSender::new(clock::of_reception());
        let status = Arc::new(StatusBoard::new(clock::of_reception()));
        let root = {
            let (status, counters) = (Arc::clone(&status), Arc::clone(&counters));
            Root::new(log.clone(), move |report| {
                if matches!(report.event, Event::Exited { lost: true, .. }) {
                    counters.increment(Count::InHandLost);
                }
                status.touch();
            })
        };
        let shown = Shown {
            root: Arc::clone(&root),
            driver: driver_status.clone(),
            meters: Arc::clone(&table),
            unknown: Arc::clone(&unknown),
            counters: Arc::clone(&counters),
        };
        shown.on(&status);
        let (in_force, watch) = profiles::in_force(&settings.profiles, &status, log);
        let listing: MeterListing = {
            let (table, heard, in_force) = (
                Arc::clone(&table),
                Arc::clone(&heard),
                Arc::clone(&in_force),
            );
            Arc::new(move || {
                meter_list::list(&table.snapshot(), &heard.list(), &in_force.profiles())
            })
        };
        let of_actor = |name: &'static str| log.new(o!("actor" => name));

        let (store, restored) = DiskStore::open(
            &settings.gateway.state_dir,
            disk::Limits {
                history: settings.page.history(),
                ..settings.outbox.limits()
            },
            Arc::clone(&table) as _,
            Arc::clone(&counters),
            log.new(o!("part" => "store")),
        )?;
        let store = Arc::new(store);
        tell_of_health(&store, &status);

        let adjustable = Adjustable::new(settings);
        let mut config = publisher::Config::new(
            adjustable.broker.clone(),
            settings.gateway.id.topics().clone(),
            outputs(
                settings,
                &table,
                &catalogue,
                &counters,
                of_actor("publisher"),
            ),
            Arc::clone(&store),
            Arc::clone(&status),
            Arc::clone(&counters),
            rejects.clone(),
            of_actor("publisher"),
        );
        config.status_interval = adjustable.status_interval.clone();
        let sources = Sources {
            gateway: settings.gateway.id.topics().gateway_id().to_owned(),
            started: clock::of_reception(),
            broker: adjustable.broker.clone(),
            root: Arc::clone(&root),
            driver: driver_status.clone(),
            meters: Arc::clone(&table),
            latest: Arc::clone(&config.latest),
            unknown: Arc::clone(&unknown),
            store: Arc::clone(&store),
            counters: Arc::clone(&counters),
            latency: config.latency.clone(),
        };
        config.meters = Some(Arc::clone(&listing));
        let publisher = supervise_on(&broker.handle(), &root, &tree::PUBLISHER, move |monitor| {
            Publisher::new(config.clone(), monitor)
        });

        let afterthoughts = Afterthoughts::default();
        let handlers = Handlers::default();
        let (routes, routes_of_meters) = watch::channel(Arc::new(HashMap::new()));
        let config = meters::Config {
            table: Arc::clone(&table),
            store: Arc::clone(&store),
            heard,
            afterthoughts: afterthoughts.clone(),
            handlers: handlers.clone(),
            routes: Arc::new(routes),
            announce: Forward::to(publisher.addr.clone()),
            publish: Forward::to(publisher.addr.clone()),
            shared: Arc::new(meter_handler::Shared {
                profiles: Arc::clone(&in_force),
                live: settings.driver.is_live(),
                counters: Arc::clone(&counters),
                rejects: rejects.clone(),
                log: of_actor("meter_handler"),
            }),
            root: Arc::clone(&root),
            log: of_actor("meters"),
        };
        let meters = supervise_on(&radio.handle(), &root, &tree::METERS, move |monitor| {
            Meters::new(config.clone(), monitor)
        });
        restore(restored, meters.addr.clone(), log.clone());

        let source = settings.driver.source();
        let bridge = settings.state.enabled.then(|| {
            let wires = Wires {
                broker: &adjustable.broker,
                token: &adjustable.stop_token,
                home_assistant: &adjustable.home_assistant,
                table: &table,
                catalogue: &catalogue,
                listing: &listing,
                meters: &meters.addr,
                publisher: &publisher.addr,
                stop: ends.stop.clone(),
                root: &root,
                status: &status,
                driver: &driver_status,
                level: logging.level_switch(),
                resets: source.resets().cloned(),
                feed: logging.feed(),
                counters: &counters,
                log: of_actor("bridge"),
            };
            let config = bridge::config(settings, wires);
            supervise_on(&broker.handle(), &root, &tree::BRIDGE, move |monitor| {
                Bridge::new(config.clone(), monitor)
            })
        });

        let config = commander::Config {
            broker: adjustable.broker.clone(),
            topics: settings.gateway.id.topics().clone(),
            meters: meters.addr.clone().recipient(),
            stop: ends.stop,
            stop_token: adjustable.stop_token.clone(),
            limits: settings.mqtt.set_limits(),
            pace: settings.mqtt.set_pace(),
            turn: Turn::default(),
            afterthoughts,
            counters: Arc::clone(&counters),
            log: of_actor("commander"),
        };
        let commander = supervise_on(&broker.handle(), &root, &tree::COMMANDER, move |monitor| {
            Commander::new(config.clone(), monitor)
        });

        let config = dispatcher::Config {
            routes: routes_of_meters,
            unknown,
            rejects: rejects.clone(),
            counters: Arc::clone(&counters),
            log: of_actor("dispatcher"),
        };
        let dispatcher = supervise_on(&radio.handle(), &root, &tree::DISPATCHER, move |_| {
            Dispatcher::new(config.clone())
        });

        let config = parser::Config {
            next: Forward::to(dispatcher.addr.clone()),
            rejects,
            counters: Arc::clone(&counters),
            log: of_actor("parser"),
        };
        let parser = supervise_on(&radio.handle(), &root, &tree::PARSER, move |monitor| {
            Parser::new(config.clone(), monitor)
        });

        let config = driver::Config::new(
            source,
            parser.addr.clone().recipient(),
            Arc::new(Semaphore::new(LOSSLESS_WINDOW)),
            table.known(),
            ends.ended,
            counters,
            driver_status,
            of_actor("driver"),
        );
        let driver = supervise_on(&radio.handle(), &root, &tree::DRIVER, move |_| {
            Driver::new(config.clone())
        });

        let heartbeat = {
            let arbiters = [("radio", radio.handle()), ("broker", broker.handle())];
            let log = log.clone();
            Heartbeat::start(
                Arc::clone(&root),
                &arbiters,
                Limits::default(),
                move |complaints| {
                    watchdog::judge(&log, complaints);
                },
            )?
        };
        let verbs = {
            let sources = sources.clone();
            Verbs::default()
                .with("meters", move || json!(listing()))
                .with("status", move || json!(sources.overview()))
        };
        let control = lock
            .as_ref()
            .and_then(|lock| answer_commands(lock, verbs, log));
        let page = match &settings.page {
            off if !off.enabled => None,
            page => Some(Page::start(page::Config {
                listen: page.listen.0,
                sources,
                log: log.new(o!("part" => "page")),
            })?),
        };
        info!(log, "started"; "gateway" => settings.gateway.id.topics().gateway_id());
        Ok(Self {
            root,
            log: log.clone(),
            store,
            publisher,
            meters,
            handlers,
            commander,
            bridge,
            dispatcher,
            parser,
            driver,
            heartbeat,
            page,
            radio,
            broker,
            _profiles: watch,
            _control: control,
            _lock: lock,
            adjustable,
        })
    }

    /// The root of the supervision tree.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Stops in stages: the source, then the pipeline from its beginning, each actor after it has handled what waits for it, then the
    /// Publisher after it has sent what the outbox holds, then the store after it has written what is left.
    pub async fn stop(self, reason: &Reason) {
        self.driver.stop().await;
        self.parser.stop().await;
        self.dispatcher.stop().await;
        if let Some(bridge) = self.bridge {
            bridge.stop().await;
        }
        self.commander.stop().await;
        self.handlers.stop().await;
        self.meters.stop().await;
        let within = match reason {
            Reason::SourceEnded(_) => AS_LONG_AS_IT_TAKES,
            Reason::Stop(_) | Reason::Signal(_) | Reason::GaveUp(_) => FLUSH_WITHIN,
        };
        match self.publisher.addr.send(Flush { within }).await {
            Ok(report) if report.left == 0 && report.said_offline => {
                info!(self.log, "all readings are delivered")
            }
            Ok(report) => warn!(self.log, "the broker did not take everything in time";
                "reason" => "broker away", "readings_left" => report.left, "said_offline" => report.said_offline),
            Err(_) => {
                warn!(self.log, "the Publisher failed while it delivered the last readings"; "reason" => "flush failed")
            }
        }
        self.publisher.stop().await;
        close(&self.store, &self.log).await;
        drop(self.heartbeat);
        drop(self.page);
        self.radio.stop();
        self.broker.stop();
        info!(self.log, "stopped");
    }
}

/// Whoever cannot write there runs on without; whoever finds another gateway there does not run.
fn lock_state_dir(state_dir: &Path, log: &Logger) -> io::Result<Option<StateLock>> {
    match StateLock::take(state_dir) {
        Ok(lock) => Ok(Some(lock)),
        Err(error @ LockError::Unusable { .. }) => {
            warn!(log, "the state directory cannot be used; going on without it"; "reason" => "state_dir", "error" => %error);
            Ok(None)
        }
        Err(error @ LockError::Taken { .. }) => {
            crit!(log, "not started"; "reason" => "state_dir", "error" => %error);
            Err(io::Error::new(io::ErrorKind::AddrInUse, error))
        }
    }
}

fn answer_commands(lock: &StateLock, verbs: Verbs, log: &Logger) -> Option<control::Server> {
    control::Server::start(lock, verbs, log.new(o!("part" => "control")))
        .inspect_err(|error| {
            warn!(log, "no control socket: commands cannot ask this gateway"; "reason" => "control socket", "error" => %error);
        })
        .ok()
}

/// Leaves on disk what the broker did not take.
async fn close(store: &DiskStore, log: &Logger) {
    if tokio::time::timeout(CLOSE_WITHIN, store.close())
        .await
        .is_err()
    {
        warn!(log, "the disk did not take everything in time"; "reason" => "disk too slow");
    }
    let state = store.state();
    let kept = (state.waiting + state.sent).saturating_sub(store.unwritten());
    if kept > 0 {
        info!(log, "readings are kept for the next start"; "readings" => kept);
    }
}

/// The status says at once when the disk fails and when it works again.
fn tell_of_health(store: &DiskStore, status: &Arc<StatusBoard>) {
    let (mut health, status) = (store.health(), Arc::clone(status));
    actix_rt::spawn(async move {
        while health.changed().await.is_ok() {
            status.touch();
        }
    });
}

/// Gives the stored meters to Meters when the database could be read.
fn restore(restored: Restored, meters: Addr<Meters>, log: Logger) {
    actix_rt::spawn(async move {
        if let Ok(Some(stored)) = restored.await
            && meters.send(Restore(stored)).await.is_err()
        {
            error!(
                log,
                "the meters of the last run could not be restored: they are monitored after the next set message"
            );
        }
    });
}

/// Telegrams kept for the curious.
const REJECTS_KEPT: usize = 100;

/// How long the broker may take for the last readings when the gateway is told to stop.
const FLUSH_WITHIN: Duration = Duration::from_secs(5);

/// How long the disk may take for what is left.
const CLOSE_WITHIN: Duration = Duration::from_secs(10);

/// For the readings of a file, whose end is not known in advance.
const AS_LONG_AS_IT_TAKES: Duration = Duration::from_hours(24);
