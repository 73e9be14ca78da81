//! The bridge's wires, and what its requests can change.

use std::sync::Arc;

use actix::prelude::Addr;
use omnigate_actors::bridge::{self, Feed, HomeAssistant, Levers, LogLevel};
use omnigate_actors::changeable::Changeable;
use omnigate_actors::commander::{Pace, StopRequested};
use omnigate_actors::counters::Counters;
use omnigate_actors::driver::status::StatusSender;
use omnigate_actors::meter_list::MeterListing;
use omnigate_actors::meters::Meters;
use omnigate_actors::mqtt::{Broker, Turn};
use omnigate_actors::output::catalogue::Catalogue;
use omnigate_actors::publisher::Publisher;
use omnigate_actors::secrets::Secret;
use omnigate_actors::status::StatusBoard;
use omnigate_actors::store::meter_table::MeterTable;
use omnigate_actors::supervision::Root;
use slog::Logger;
use tokio::sync::{Notify, mpsc};

use crate::logging::LevelSwitch;
use crate::settings::Settings;

/// What the bridge is wired to.
pub struct Wires<'a> {
    pub broker: &'a Changeable<Broker>,
    pub token: &'a Changeable<Option<Secret>>,
    pub home_assistant: &'a Changeable<Option<HomeAssistant>>,
    pub table: &'a Arc<MeterTable>,
    pub catalogue: &'a Arc<Catalogue>,
    pub listing: &'a MeterListing,
    pub meters: &'a Addr<Meters>,
    pub publisher: &'a Addr<Publisher>,
    pub stop: mpsc::Sender<StopRequested>,
    pub root: &'a Arc<Root>,
    pub status: &'a Arc<StatusBoard>,
    pub driver: &'a StatusSender,
    pub level: LevelSwitch,
    pub resets: Option<Arc<Notify>>,
    pub feed: &'a Arc<Feed>,
    pub counters: &'a Arc<Counters>,
    pub log: Logger,
}

/// What the bridge is made from.
pub fn config(settings: &Settings, wires: Wires<'_>) -> bridge::Config {
    bridge::Config {
        broker: wires.broker.clone(),
        topics: settings.gateway.id.topics().clone(),
        base: settings.state.base_topic.clone(),
        home_assistant: wires.home_assistant.clone(),
        table: Arc::clone(wires.table),
        catalogue: Arc::clone(wires.catalogue),
        listing: Arc::clone(wires.listing),
        apply: wires.meters.clone().recipient(),
        add: wires.meters.clone().recipient(),
        remove: wires.meters.clone().recipient(),
        announce: wires.publisher.clone().recipient(),
        stop: wires.stop,
        token: wires.token.clone(),
        limits: settings.mqtt.set_limits(),
        pace: Pace::default(),
        root: Arc::clone(wires.root),
        status: Arc::clone(wires.status),
        driver: wires.driver.subscribe(),
        levers: Arc::new(Hands {
            level: wires.level,
            resets: wires.resets,
        }),
        feed: Arc::clone(wires.feed),
        turn: Turn::default(),
        counters: Arc::clone(wires.counters),
        log: wires.log,
    }
}

/// Where Home Assistant looks, as these settings say.
pub fn home_assistant(settings: &Settings) -> Option<HomeAssistant> {
    let of = &settings.home_assistant;
    of.enabled.then(|| HomeAssistant {
        prefix: of.prefix.clone(),
    })
}

struct Hands {
    level: LevelSwitch,
    /// Where the source is a dongle.
    resets: Option<Arc<Notify>>,
}

impl Levers for Hands {
    fn log_level(&self) -> LogLevel {
        self.level.level().into()
    }

    fn set_log_level(&self, level: LogLevel) {
        self.level.change(level.into());
    }

    fn reset_dongle(&self) -> bool {
        let Some(resets) = &self.resets else {
            return false;
        };
        resets.notify_one();
        true
    }
}
