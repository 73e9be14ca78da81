//! Puts the overview together from what the actors share.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use omnigate_actors::changeable::Changeable;
use omnigate_actors::clock;
use omnigate_actors::counters::{Count, Counters};
use omnigate_actors::driver::status::{DriverStatus, StatusSender};
use omnigate_actors::heard::Heard;
use omnigate_actors::latest::Latest;
use omnigate_actors::meter::{self, MeterId};
use omnigate_actors::mqtt;
use omnigate_actors::publisher::THE_BROKER;
use omnigate_actors::sighting::Sighting;
use omnigate_actors::store::disk::{DiskStore, Health};
use omnigate_actors::store::meter_table::MeterTable;
use omnigate_actors::supervision::{Monitor, Root, State};
use omnigate_actors::tree;
use prometheus_client::metrics::histogram::Histogram;

use super::words::{actor_state, medium, source_state};
use super::{
    Actor, Broker, Condition, Counter, Meter, Outbox, Overview, Source, Trouble, Unknown, Value,
};

/// Where the overview comes from: what the actors share and what outlives their lives.
#[derive(Clone)]
pub struct Sources {
    /// The gateway's id.
    pub gateway: String,
    /// When the program started, as [`clock::of_reception`] tells it.
    pub started: Timestamp,
    /// How the broker is reached.
    pub broker: Changeable<mqtt::Broker>,
    /// The actors.
    pub root: Arc<Root>,
    /// The source.
    pub driver: StatusSender,
    /// The monitored meters.
    pub meters: Arc<MeterTable>,
    /// What they said last.
    pub latest: Arc<Latest>,
    /// The others on the air.
    pub unknown: Arc<Heard>,
    /// The readings on their way.
    pub store: Arc<DiskStore>,
    /// What happened how often.
    pub counters: Arc<Counters>,
    /// How long the broker takes.
    pub latency: Histogram,
}

impl Sources {
    /// How the gateway is now.
    pub fn overview(&self) -> Overview {
        let now = Now {
            time: clock::now(),
            known: clock::known(clock::of_reception()),
            instant: Instant::now(),
        };
        let actors = self.actors(&now);
        let source = source(&self.driver.subscribe().borrow());
        let broker = self.broker(&now);
        let outbox = outbox(&self.store);
        let troubles = troubles(&actors, &source, &outbox, &broker);
        Overview {
            gateway: self.gateway.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            time: now.time,
            started: clock::known(self.started),
            troubles,
            source,
            broker,
            outbox,
            actors,
            meters: self.meters(),
            unknown: self.unknown(),
            counters: self.counters(),
        }
    }

    fn actors(&self, now: &Now) -> Vec<Actor> {
        let mut actors = Vec::new();
        self.root.for_each_child(|child| {
            let state = child.state();
            if child.instance().is_none() || child.restarts() > 0 || !is_alive(&state) {
                actors.push(actor(child, &state, now));
            }
        });
        actors
    }

    fn broker(&self, now: &Now) -> Broker {
        let mut away_since = None;
        let mut connected = false;
        self.root.for_each_child(|child| {
            if child.role().name == tree::PUBLISHER.name {
                let away = child
                    .waits()
                    .into_iter()
                    .find(|wait| wait.what == THE_BROKER);
                connected = away.is_none() && child.alive_since().is_some();
                away_since = away.and_then(|wait| now.at(wait.since));
            }
        });
        Broker {
            url: self.broker.get().url.to_string(),
            connected,
            away_since,
            published: self.counters.value(Count::MessagesPublished),
            lost: self.counters.value(Count::BrokerLost),
        }
    }

    fn meters(&self) -> Vec<Meter> {
        let meters = self.meters.snapshot();
        meters.values().map(|meter| self.meter(meter)).collect()
    }

    fn meter(&self, meter: &meter::Meter) -> Meter {
        let latest = self.latest.of(&meter.name);
        let (model, values) = match &latest {
            Some(reading) => (
                reading.profile.model.clone(),
                reading
                    .values()
                    .map(|value| Value {
                        channel: value.channel.number,
                        name: value.channel.name.clone(),
                        value: value.value.to_owned(),
                        unit: value.channel.unit.symbol().to_owned(),
                    })
                    .collect(),
            ),
            None => (meter.device_key.clone(), Vec::new()),
        };
        let memory = meter.memory();
        let sighting = memory.sighting;
        Meter {
            name: meter.name.to_string(),
            model,
            condition: match memory.condition {
                meter::Condition::Unheard => Condition::Unheard,
                meter::Condition::Reading => Condition::Reading,
                meter::Condition::Refused(reason) => Condition::Refused(reason.to_owned()),
            },
            last_heard: sighting.and_then(|sighting| clock::known(sighting.last_heard)),
            silent: sighting.is_some_and(|sighting| sighting.is_silent(clock::of_reception())),
            interval: sighting
                .and_then(|sighting| sighting.interval())
                .map(|interval| interval.as_secs_f64()),
            rssi: sighting
                .and_then(|sighting| sighting.rssi)
                .map(|rssi| rssi.dbm()),
            readings: memory.readings,
            refused: memory.refused,
            read_at: latest
                .and_then(|reading| reading.received_at.resolve(clock::boot_time()).time()),
            values,
        }
    }

    /// Some may be monitored since they were last heard.
    fn unknown(&self) -> Vec<Unknown> {
        let monitored = self.meters.snapshot();
        let list = self.unknown.list();
        let others = list
            .iter()
            .filter(|sighting| !monitored.contains_key(&MeterId::of(sighting.address)));
        others.map(unknown).collect()
    }

    fn counters(&self) -> Vec<Counter> {
        self.counters
            .all()
            .map(|(count, value)| Counter {
                name: count.name().to_owned(),
                meaning: count.meaning().to_owned(),
                count: value,
            })
            .collect()
    }
}

/// One moment on both clocks.
struct Now {
    time: Timestamp,
    /// The same, if that is right.
    known: Option<Timestamp>,
    instant: Instant,
}

impl Now {
    /// Nothing while the time is not known.
    fn at(&self, instant: Instant) -> Option<Timestamp> {
        let age = self.instant.saturating_duration_since(instant);
        self.known?.checked_sub(age).ok()
    }
}

const fn is_alive(state: &State) -> bool {
    match state {
        State::Starting | State::Running | State::Waiting(_) => true,
        State::BackingOff { .. } | State::Parked { .. } | State::Stopped => false,
    }
}

fn actor(child: &Monitor, state: &State, now: &Now) -> Actor {
    let last_exit = child.last_exit();
    Actor {
        name: child.to_string(),
        state: actor_state(state),
        alive: is_alive(state),
        restarts: child.restarts(),
        mail: child.mail(),
        lost: child.lost(),
        last_error_at: last_exit.as_ref().and_then(|exit| now.at(exit.at)),
        last_error: last_exit.map(|exit| exit.reason),
    }
}

fn source(status: &DriverStatus) -> Source {
    let (state, detail, works) = source_state(&status.state);
    let steps = status.steps;
    Source {
        state: state.to_owned(),
        detail,
        works,
        since: clock::known(status.since),
        path: status.path.clone(),
        dongle: status.dongle.map(|dongle| {
            let (major, minor) = (dongle.firmware >> 4, dongle.firmware & 0xF);
            format!(
                "firmware {major}.{minor}, serial number {:08X}",
                dongle.serial_number
            )
        }),
        link_mode: status.link_mode.clone(),
        last_telegram: status.last_telegram.and_then(clock::known),
        recovery_steps: steps.ping + steps.set_link_mode + steps.reset + steps.reopen,
        unplugged: status.unplugged,
    }
}

fn outbox(store: &DiskStore) -> Outbox {
    let state = store.state();
    let (disk, failing_since) = match &*store.health().borrow() {
        _ if store.hangs() => (Some("it hangs".to_owned()), None),
        Health::Opening | Health::Working => (None, None),
        Health::Failing { since, reason } => (Some(reason.clone()), Some(*since)),
    };
    Outbox {
        waiting: state.waiting as u64,
        sent: state.sent as u64,
        bytes: state.bytes,
        // The database may still have what was acknowledged a moment ago.
        oldest: state.oldest.filter(|_| state.waiting + state.sent > 0),
        dropped: state.dropped + state.expired,
        disk,
        failing_since,
    }
}

fn unknown(sighting: &Sighting) -> Unknown {
    Unknown {
        manufacturer: sighting.address.manufacturer.to_string(),
        id: sighting.address.identification.to_string(),
        version: sighting.address.version,
        medium: medium(sighting.address.medium),
        telegrams: sighting.telegrams,
        last_heard: clock::known(sighting.last_heard),
        rssi: sighting.rssi.map(|rssi| rssi.dbm()),
    }
}

/// A meter that fails does not keep the gateway from its work; a service actor does.
fn troubles(actors: &[Actor], source: &Source, outbox: &Outbox, broker: &Broker) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    if !source.works {
        troubles.push(Trouble {
            part: "source".to_owned(),
            what: match &source.detail {
                Some(detail) => format!("{}: {detail}", source.state),
                None => source.state.clone(),
            },
            since: source.since,
        });
    }
    if let Some(reason) = &outbox.disk {
        troubles.push(Trouble {
            part: "disk".to_owned(),
            what: format!("{reason}; readings continue from memory"),
            since: outbox.failing_since,
        });
    }
    if !broker.connected {
        troubles.push(Trouble {
            part: "broker".to_owned(),
            what: "no connection".to_owned(),
            since: broker.away_since,
        });
    }
    let service = |actor: &&Actor| !actor.alive && !actor.name.contains('/');
    troubles.extend(actors.iter().filter(service).map(|actor| Trouble {
        part: actor.name.clone(),
        what: match &actor.last_error {
            Some(error) => format!("{}: {error}", actor.state),
            None => actor.state.clone(),
        },
        since: actor.last_error_at,
    }));
    troubles
}
