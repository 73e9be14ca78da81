//! Commander: the cloud's ear. Hears `sensors/set` and STOP at the broker, validates them, answers. Sends `ApplySet` to Meters and
//! `StopRequested` to the root.
//!
//! Owns its connection to the broker. Every session is a clean one and STOP is subscribed at QoS 0, so the broker keeps no STOP for a gateway
//! that is away; a retained STOP is ignored. Of set messages that come faster than the pace allows, only the latest waits; the others are
//! answered as superseded. One is applied at a time. Awaits only Meters. Ends only by a bug: a bad message is answered, not fatal.

mod answers;
mod pace;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::fut::wrap_future;
use actix::prelude::*;
use slog::{Logger, debug, info, warn};
use tokio::sync::mpsc;

use crate::changeable::Changeable;
use crate::counters::{Count, Counters};
use crate::faults;
use crate::meters::ApplySet;
use crate::mqtt::{self, Broker, Event, Incoming, QoS, Subscription, Turn};
use crate::output::recalc::{STOP_ALL, Topics};
use crate::secrets::Secret;
use crate::set_message::{Afterthoughts, Limits, SetMessage, SetReport, Unusable};
use crate::supervision::Monitor;
use crate::tick;
use crate::uplink::Uplink;

use answers::Answers;
pub use pace::Pace;
pub(crate) use pace::Paced;

/// What every life of the Commander is made from.
#[derive(Clone)]
pub struct Config {
    /// How to reach the broker.
    pub broker: Changeable<Broker>,
    /// The gateway's topics.
    pub topics: Topics,
    /// Who applies set messages.
    pub meters: Recipient<ApplySet>,
    /// Who stops the gateway.
    pub stop: mpsc::Sender<StopRequested>,
    /// What a STOP must say; `None`: anything.
    pub stop_token: Changeable<Option<Secret>>,
    /// How large a set message may be.
    pub limits: Limits,
    /// How often set messages may come.
    pub pace: Pace,
    /// The lives' sessions follow one another.
    pub turn: Turn,
    /// What is to be said about the set of meters later.
    pub afterthoughts: Afterthoughts,
    /// Counts by reason.
    pub counters: Arc<Counters>,
    /// Where to log.
    pub log: Logger,
}

/// The gateway is to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopRequested {
    /// Where that was said.
    pub topic: String,
}

/// See the [module documentation](self).
pub struct Commander {
    config: Config,
    monitor: Arc<Monitor>,
    uplink: Uplink,
    answers: Answers,
    paced: Paced,
    /// The set message that waits for its turn.
    waiting: Option<Incoming>,
    /// One is being applied.
    applying: bool,
    /// It will be looked at again when the pace allows the next one.
    pausing: bool,
}

impl Config {
    fn session(&self) -> mqtt::Config {
        let subscription = |topic: String, qos| Subscription { topic, qos };
        mqtt::Config {
            broker: self.broker.clone(),
            client_id: self.topics.client_id(ACTOR),
            will: None,
            subscriptions: vec![
                subscription(self.topics.set(), QoS::AtLeastOnce),
                subscription(self.topics.stop(), QoS::AtMostOnce),
                subscription(STOP_ALL.to_owned(), QoS::AtMostOnce),
            ],
            window: WINDOW,
            largest_payload: self.limits.bytes,
            counters: Arc::clone(&self.counters),
        }
    }
}

impl Commander {
    /// A new life.
    pub fn new(config: Config, monitor: &Arc<Monitor>) -> Self {
        Self {
            answers: Answers::new(config.topics.set_result().into()),
            paced: Paced::new(config.pace),
            config,
            monitor: Arc::clone(monitor),
            uplink: Uplink::new(monitor),
            waiting: None,
            applying: false,
            pausing: false,
        }
    }

    fn hear(&mut self, message: Incoming, ctx: &mut Context<Self>) {
        faults::hit(ACTOR, "");
        if message.topic == self.config.topics.set() {
            self.hear_set(message, ctx);
        } else {
            self.hear_stop(&message);
        }
    }

    fn hear_stop(&self, message: &Incoming) {
        let Config { log, counters, .. } = &self.config;
        let topic = &message.topic;
        if message.retained {
            counters.increment(Count::CommandsRefused);
            warn!(log, "retained STOP ignored: it would stop every start; remove it from the broker"; "topic" => topic);
            return;
        }
        let token = self.config.stop_token.get();
        if token
            .as_ref()
            .as_ref()
            .is_some_and(|token| !token.matches(&message.payload))
        {
            counters.increment(Count::CommandsRefused);
            warn!(log, "STOP refused: it does not say the stop token"; "topic" => topic);
            return;
        }
        counters.increment(Count::CommandsAccepted);
        info!(log, "STOP heard"; "topic" => topic);
        // One that finds no room is not needed: another is on its way.
        let _ = self.config.stop.try_send(StopRequested {
            topic: topic.clone(),
        });
    }

    fn hear_set(&mut self, message: Incoming, ctx: &mut Context<Self>) {
        let log = &self.config.log;
        if message.retained {
            warn!(log, "retained set message accepted: the broker keeps the meters' keys and gives them to whoever may read this topic";
                "topic" => &message.topic);
        }
        if !self.config.broker.get().url.is_private() {
            warn!(log, "set message over a connection that is not encrypted: the meters' keys can be read on the way; use mqtts://";
                "reason" => "keys in the clear");
        }
        if self.waiting.replace(message).is_some() {
            self.refuse(&Unusable::Superseded);
        }
        self.apply_next(ctx);
    }

    /// Applies the set message that waits, if it is its turn.
    fn apply_next(&mut self, ctx: &mut Context<Self>) {
        if self.applying {
            return;
        }
        let Some(message) = self.waiting.take() else {
            return;
        };
        if let Err(wait) = self.paced.admit(Instant::now()) {
            self.waiting = Some(message);
            if !std::mem::replace(&mut self.pausing, true) {
                ctx.run_later(wait, |commander, ctx| {
                    commander.pausing = false;
                    commander.apply_next(ctx);
                });
            }
            return;
        }
        match parse(&message, &self.config.limits) {
            Ok(set) => self.apply(set, ctx),
            Err(unusable) => {
                self.refuse(&unusable);
                self.apply_next(ctx);
            }
        }
    }

    fn apply(&mut self, set: SetMessage, ctx: &mut Context<Self>) {
        self.applying = true;
        let waiting = self.monitor.waiting("Meters to apply a set message");
        let report = self.config.meters.send(ApplySet(set));
        let report = wrap_future::<_, Self>(async move {
            let _waiting = waiting;
            report.await
        });
        ctx.spawn(report.map(|report, commander, ctx| {
            commander.applying = false;
            match report {
                Ok(report) => commander.accept(&report),
                // It was in Meters' hand when that failed.
                Err(_) => commander.refuse(&Unusable::Unanswered),
            }
            commander.apply_next(ctx);
        }));
    }

    fn accept(&mut self, report: &SetReport) {
        self.config.counters.increment(Count::CommandsAccepted);
        info!(self.config.log, "set message applied"; "accepted" => report.accepted(), "refused" => report.refused());
        self.answer(report.to_json());
    }

    fn refuse(&mut self, unusable: &Unusable) {
        self.config.counters.increment(Count::CommandsRefused);
        warn!(self.config.log, "set message refused: nothing is changed"; "reason" => "set message refused", "error" => %unusable);
        self.answer(unusable.to_json());
    }

    fn answer(&mut self, json: String) {
        if self.answers.push(json) {
            warn!(self.config.log, "too many answers wait for the broker: the oldest was dropped"; "reason" => "answers dropped");
        }
        self.send_answers();
    }

    /// What has turned out about the set of meters since it was answered.
    fn add_afterthoughts(&mut self) {
        for report in self.config.afterthoughts.take() {
            self.answer(report.to_json());
        }
    }

    fn send_answers(&mut self) {
        if self.uplink.is_connected() {
            self.uplink.send(&mut self.answers.take_unsent());
        }
    }
}

impl Actor for Commander {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        faults::hit("commander.started", "");
        let Config { turn, log, .. } = &self.config;
        self.uplink
            .start(self.config.session(), turn, log.clone(), ctx);
        ctx.run_interval_at(tick::next(TICK), TICK, |commander, _| {
            commander.uplink.watch();
            commander.add_afterthoughts();
        });
    }
}

impl Supervised for Commander {}

impl StreamHandler<VecDeque<Event>> for Commander {
    fn handle(&mut self, events: VecDeque<Event>, ctx: &mut Self::Context) {
        for event in events {
            match event {
                Event::Connected(connection) => {
                    self.uplink.connected(connection);
                    self.send_answers();
                }
                Event::Disconnected { .. } => {
                    self.uplink.disconnected();
                    self.answers.rewind();
                }
                Event::Acknowledged(count) => {
                    self.answers.acknowledged(count);
                    self.send_answers();
                }
                Event::Listening => info!(self.config.log, "commands are heard"),
                Event::Message(message) => self.hear(message, ctx),
                // Logged by the session.
                Event::SubscriptionRefused { .. } => {}
                Event::Closed => debug!(self.config.log, "no commands are heard any more"),
            }
        }
    }

    fn finished(&mut self, ctx: &mut Self::Context) {
        self.monitor.fail(ctx, "the MQTT session ended");
    }
}

fn parse(message: &Incoming, limits: &Limits) -> Result<SetMessage, Unusable> {
    if message.size > limits.bytes {
        return Err(Unusable::TooLarge {
            bytes: message.size,
            limit: limits.bytes,
        });
    }
    SetMessage::parse(&message.payload, limits)
}

/// The name in logs and the client id.
const ACTOR: &str = "commander";

/// How often the session is looked after.
const TICK: Duration = Duration::from_secs(1);

/// Answers on their way at once.
const WINDOW: usize = 16;
