//! What the Publisher is made from.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;
use serde_json::json;
use slog::Logger;

use super::{ACTOR, Announcements, BrokerState, retained};
use crate::changeable::Changeable;
use crate::clock;
use crate::counters::Counters;
use crate::latest::Latest;
use crate::meter_list::MeterListing;
use crate::mqtt::{self, Broker, QoS, Turn};
use crate::output::Outputs;
use crate::output::recalc::Topics;
use crate::rejects::Rejects;
use crate::status::{self, StatusBoard};
use crate::store::disk::{DiskStore, Health};

/// What every life of the Publisher is made from.
#[derive(Clone)]
pub struct Config {
    /// How to reach the broker.
    pub broker: Changeable<Broker>,
    /// The gateway's topics.
    pub topics: Topics,
    /// The forms in which readings are published.
    pub outputs: Outputs,
    /// The readings on their way.
    pub outbox: Arc<DiskStore>,
    /// The announcements on their way.
    pub announcements: Announcements,
    /// What the status says.
    pub status: Arc<StatusBoard>,
    /// How the connection is.
    pub broker_state: BrokerState,
    /// The status is published at least so often.
    pub status_interval: Changeable<Duration>,
    /// The status is published at most so often, unless it is wrong at the broker.
    pub status_gap: Duration,
    /// The list of meters, for its topic; `None`: there is no such topic.
    pub meters: Option<MeterListing>,
    /// The list of meters is published at most so often.
    pub meters_gap: Duration,
    /// How many messages may wait for their acknowledgement at once.
    pub window: usize,
    /// What each meter said last.
    pub latest: Arc<Latest>,
    /// Seconds from when a reading was handed to the MQTT session until the broker acknowledged all of its messages.
    pub latency: Histogram,
    /// The lives' sessions follow one another.
    pub turn: Turn,
    /// Counts by reason.
    pub counters: Arc<Counters>,
    /// Where telegrams go that made the Publisher fail.
    pub rejects: Rejects,
    /// Where to log.
    pub log: Logger,
}

impl Config {
    /// With the usual times: a status every 60 s and at most every 5 s, 200 messages on their way. Adds the sections `broker`,
    /// `outbox` and `counters` to the status.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a different wire to the rest of the system"
    )]
    pub fn new(
        broker: Changeable<Broker>,
        topics: Topics,
        outputs: Outputs,
        outbox: Arc<DiskStore>,
        status: Arc<StatusBoard>,
        counters: Arc<Counters>,
        rejects: Rejects,
        log: Logger,
    ) -> Self {
        let broker_state = BrokerState::default();
        let (of, at) = (broker_state.clone(), broker.clone());
        status.add("broker", move || of.section(&at.get().url));
        let of = Arc::clone(&outbox);
        status.add("outbox", move || outbox_section(&of));
        let of = Arc::clone(&counters);
        status.add("counters", move || {
            of.all()
                .map(|(count, value)| (count.name().to_owned(), json!(value)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        });
        Self {
            broker,
            topics,
            outputs,
            outbox,
            announcements: Announcements::default(),
            status,
            broker_state,
            status_interval: Duration::from_secs(60).into(),
            status_gap: Duration::from_secs(5),
            meters: None,
            meters_gap: Duration::from_secs(60),
            window: 200,
            latest: Arc::default(),
            latency: Histogram::new(LATENCY_BUCKETS),
            turn: Turn::default(),
            counters,
            rejects,
            log,
        }
    }

    /// The Publisher's connection: with the last will, and listening to what is said of us.
    pub(super) fn session(&self) -> mqtt::Config {
        let status = self.topics.status();
        mqtt::Config {
            broker: self.broker.clone(),
            client_id: self.topics.client_id(ACTOR),
            will: Some(retained(&status, status::lost())),
            subscriptions: vec![mqtt::Subscription {
                topic: status,
                qos: QoS::AtLeastOnce,
            }],
            window: self.window,
            largest_payload: LARGEST_OFFLINE,
            counters: Arc::clone(&self.counters),
        }
    }
}

fn outbox_section(outbox: &DiskStore) -> serde_json::Value {
    let state = outbox.state();
    let disk = match &*outbox.health().borrow() {
        _ if outbox.hangs() => json!({"state": "hanging"}),
        Health::Opening => json!({"state": "opening"}),
        Health::Working => json!({"state": "working"}),
        Health::Failing { since, reason } => {
            json!({"state": "failing", "since": since.to_string(), "reason": reason})
        }
    };
    json!({
        "waiting": state.waiting, "sent": state.sent, "bytes": state.bytes,
        "oldest": state.oldest.map(|oldest| oldest.to_string()),
        "dropped": state.dropped, "expired": state.expired,
        "disk": disk, "not_on_disk": outbox.unwritten(),
        "clock_is_right": clock::boot_time().is_some(),
    })
}

/// Upper bounds in seconds, from a broker on the same machine to one behind a bad line.
const LATENCY_BUCKETS: [f64; 9] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];

/// Larger than any `offline`; of a larger status nothing is needed.
const LARGEST_OFFLINE: usize = 1024;
