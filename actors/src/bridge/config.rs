//! What the Bridge is made from.

use std::sync::Arc;

use actix::prelude::Recipient;
use slog::Logger;
use tokio::sync::{mpsc, watch};

use super::feed::Feed;
use super::home_assistant::HomeAssistant;
use super::request::{LogLevel, VERBS};
use super::{ACTOR, WINDOW, offline};
use crate::changeable::Changeable;
use crate::commander::{Pace, StopRequested};
use crate::counters::Counters;
use crate::driver::DriverStatus;
use crate::meter_list::MeterListing;
use crate::meters::{AddMeters, ApplySet, RemoveMeters};
use crate::mqtt::{self, Broker, QoS, Subscription, Turn};
use crate::output::base_topic::BaseTopic;
use crate::output::catalogue::Catalogue;
use crate::output::recalc::Topics;
use crate::output::state::STATE;
use crate::publisher::Announce;
use crate::secrets::Secret;
use crate::set_message::Limits;
use crate::status::StatusBoard;
use crate::store::meter_table::MeterTable;
use crate::supervision::Root;

/// What every life of the Bridge is made from.
#[derive(Clone)]
pub struct Config {
    /// How to reach the broker.
    pub broker: Changeable<Broker>,
    /// The gateway's id, for names.
    pub topics: Topics,
    /// What the bridge's topics begin with.
    pub base: BaseTopic,
    /// Where Home Assistant looks; `None`: it is told nothing. Each life of the Bridge asks once: it is restarted where this changes.
    pub home_assistant: Changeable<Option<HomeAssistant>>,
    /// The monitored meters.
    pub table: Arc<MeterTable>,
    /// What they are.
    pub catalogue: Arc<Catalogue>,
    /// All meters, the others on the air too.
    pub listing: MeterListing,
    /// Who applies changes of the set.
    pub apply: Recipient<ApplySet>,
    /// The same, for meters that are added.
    pub add: Recipient<AddMeters>,
    /// The same, for meters that are removed.
    pub remove: Recipient<RemoveMeters>,
    /// Who clears away what was published of meters that are gone.
    pub announce: Recipient<Announce>,
    /// Who stops the gateway.
    pub stop: mpsc::Sender<StopRequested>,
    /// What every request must say; `None`: nothing.
    pub token: Changeable<Option<Secret>>,
    /// How large a request may be.
    pub limits: Limits,
    /// How often requests may come.
    pub pace: Pace,
    /// All actors.
    pub root: Arc<Root>,
    /// How the gateway is.
    pub status: Arc<StatusBoard>,
    /// How the source is.
    pub driver: watch::Receiver<DriverStatus>,
    /// What can be changed.
    pub levers: Arc<dyn Levers>,
    /// What is logged.
    pub feed: Arc<Feed>,
    /// The lives' sessions follow one another.
    pub turn: Turn,
    /// Counts by reason.
    pub counters: Arc<Counters>,
    /// Where to log.
    pub log: Logger,
}

/// What a request can change outside of the actors. All methods return at once.
pub trait Levers: Send + Sync {
    /// The least important messages that are logged.
    fn log_level(&self) -> LogLevel;

    /// Changes that.
    fn set_log_level(&self, level: LogLevel);

    /// Has the dongle reset; says whether the source is one.
    fn reset_dongle(&self) -> bool;
}

impl Config {
    /// The Bridge's connection: with a last will of its own, since the one of the Publisher's is the status.
    pub(super) fn session(&self, home_assistant: Option<&HomeAssistant>) -> mqtt::Config {
        let subscription = |topic: String, qos| Subscription { topic, qos };
        // At QoS 0, so that the broker keeps no request for a gateway that is away.
        let requests = VERBS.map(|verb| subscription(self.request(verb), QoS::AtMostOnce));
        let mut subscriptions = vec![
            subscription(self.base.bridge(STATE), QoS::AtLeastOnce),
            subscription(self.base.bridge(METERS), QoS::AtLeastOnce),
            subscription(self.base.bridge(INFO), QoS::AtLeastOnce),
        ];
        subscriptions.extend(requests);
        if let Some(home_assistant) = home_assistant {
            subscriptions.push(subscription(home_assistant.status(), QoS::AtMostOnce));
        }
        mqtt::Config {
            broker: self.broker.clone(),
            client_id: self.topics.client_id(ACTOR),
            will: Some(offline(&self.base)),
            subscriptions,
            window: WINDOW,
            largest_payload: self.limits.bytes,
            counters: Arc::clone(&self.counters),
        }
    }

    pub(super) fn request(&self, verb: &str) -> String {
        self.base.bridge(&format!("request/{verb}"))
    }
}

/// The last level of the topic with the list of meters.
pub(super) const METERS: &str = "meters";

/// The last level of the topic with what the gateway is.
pub(super) const INFO: &str = "info";
