//! The session's thread: connects, subscribes, sends, notices what went wrong, and begins again.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use slog::{Logger, debug, error, info, warn};

use crate::counters::Count;
use crate::supervision::catch;
use crate::supervision::policy::Jitter;

use super::client::{Client, DeliveryToken, DisconnectToken};
use super::config::Config;
use super::failure::Failure;
use super::inbox::Event;
use super::relay::{Relay, Stage};
use super::retired::Retired;
use super::session::{Connection, Leave, Shared, Turn};
use super::subscriptions::Subscriptions;

/// See the [module documentation](self).
pub(super) struct Worker {
    config: Config,
    shared: Arc<Shared>,
    turn: Turn,
    log: Logger,
    waker: Waker,
    chance: RandomState,
    state: State,
    /// Attempts that failed, and connections that broke soon, since the last one that lasted.
    failures: u32,
    last_connection: u64,
    retired: Retired,
}

enum State {
    /// Waits for the next attempt.
    Down {
        until: Instant,
    },
    /// On the way to the broker.
    Dialling {
        relay: Relay,
        until: Instant,
    },
    /// Introduces itself.
    Connecting {
        client: Client,
        until: Instant,
    },
    Up(Up),
    /// Says goodbye.
    Leaving {
        client: Client,
        goodbye: DisconnectToken,
        until: Instant,
    },
    Ended,
}

/// A connection.
struct Up {
    client: Client,
    since: Instant,
    subscriptions: Subscriptions,
    /// What is not acknowledged, oldest first. The broker acknowledges in the order of sending.
    in_flight: VecDeque<DeliveryToken>,
    /// When the last acknowledgement came, or else the first message went.
    progress: Instant,
}

/// The thread looks around at least so often.
const LONGEST_REST: Duration = Duration::from_secs(1);
/// A connection that lasted so long makes earlier failures forgotten.
const STABLE: Duration = Duration::from_secs(10);
/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);
/// The library's connect timeout is coarse, and must come first.
const CONNECT_MARGIN: Duration = Duration::from_secs(20);

const NO_CONNECTION: &str = "no connection to the broker";
const CONNECTION_LOST: &str = "connection to the broker lost";

impl Worker {
    pub(super) fn new(config: Config, shared: Arc<Shared>, turn: Turn, log: Logger) -> Self {
        Self {
            waker: shared.bell.waker(),
            config,
            shared,
            turn,
            log,
            chance: RandomState::new(),
            state: State::Down {
                until: Instant::now(),
            },
            failures: 0,
            last_connection: 0,
            retired: Retired::default(),
        }
    }

    /// The thread's whole life.
    pub(super) fn run(mut self) {
        self.shared.bell.hang_here();
        let turn = self.turn.clone();
        let guard = turn.take();
        if let Err(panic) = catch(|| self.work()) {
            // The actor notices that there are no more events, and fails.
            error!(self.log, "the MQTT session failed"; "error" => %panic);
            self.leave_now();
        }
        self.shared.inbox.close();
        drop(guard);
        self.retired.wait_for_all();
    }

    fn work(&mut self) {
        while !matches!(self.state, State::Ended) {
            self.shared.beat();
            let now = Instant::now();
            let look_again = self.step(now).min(self.retired.tend(now));
            let overflow = self.shared.inbox.take_overflow();
            if overflow > 0 {
                self.config
                    .counters
                    .add(Count::CommandsRefused, overflow as u64);
                warn!(self.log, "messages dropped: too many at once"; "reason" => "too many messages", "count" => overflow);
            }
            let rest = look_again.min(now + LONGEST_REST);
            thread::park_timeout(rest.saturating_duration_since(Instant::now()));
        }
        self.shared.inbox.push(Event::Closed);
    }

    /// Does what can be done now. Returns when there is more to do, if nobody rings before.
    fn step(&mut self, now: Instant) -> Instant {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Down { until } => self.down(until, now),
            State::Dialling { relay, until } => self.dialling(relay, until, now),
            State::Connecting { client, until } => self.connecting(client, until, now),
            State::Up(up) => self.up(up, now),
            State::Leaving {
                client,
                goodbye,
                until,
            } => self.leaving(client, goodbye, until, now),
            State::Ended => now,
        }
    }

    fn down(&mut self, until: Instant, now: Instant) -> Instant {
        let mut orders = self.shared.orders();
        if orders.leave.is_some() {
            return now;
        }
        let hurry = std::mem::take(&mut orders.hurry);
        drop(orders);
        if now < until && !hurry {
            self.state = State::Down { until };
            return until;
        }
        let broker = &self.config.broker;
        debug!(self.log, "connecting"; "broker" => %broker.url);
        match Relay::dial(&broker.url, broker.connect_timeout, self.waker.clone()) {
            Ok(relay) => {
                let until = now + broker.connect_timeout;
                self.state = State::Dialling { relay, until };
                until
            }
            Err(failure) => self.fall(failure, NO_CONNECTION),
        }
    }

    fn dialling(&mut self, relay: Relay, until: Instant, now: Instant) -> Instant {
        if self.shared.orders().leave.is_some() {
            return now;
        }
        let port = match relay.stage() {
            Stage::Ready(port) => port,
            Stage::Failed(failure) => return self.fall(failure, NO_CONNECTION),
            Stage::Dialling if now >= until => {
                let url = &self.config.broker.url;
                return self.fall(
                    Failure::new(format!("no answer from {url} in time")),
                    NO_CONNECTION,
                );
            }
            Stage::Dialling => {
                self.state = State::Dialling { relay, until };
                return until;
            }
        };
        match Client::connect(&self.config, relay, port, &self.shared.inbox, &self.waker) {
            Ok(client) => {
                let until = now + self.config.broker.connect_timeout + CONNECT_MARGIN;
                self.state = State::Connecting { client, until };
                now
            }
            Err(failure) => self.fall(failure, NO_CONNECTION),
        }
    }

    fn connecting(&mut self, mut client: Client, until: Instant, now: Instant) -> Instant {
        match client.poll_connect(&mut Context::from_waker(&self.waker)) {
            Poll::Ready(Ok(())) if client.begin() => {
                self.rise(client, now);
                now
            }
            Poll::Ready(Ok(())) => {
                self.retired.add(client);
                self.fall(Failure::new("the connection broke at once"), NO_CONNECTION)
            }
            Poll::Ready(Err(failure)) => {
                self.retired.add(client);
                self.fall(failure, NO_CONNECTION)
            }
            Poll::Pending if now >= until => {
                client.abandon();
                self.fall(
                    Failure::new("no answer from the MQTT library"),
                    NO_CONNECTION,
                )
            }
            Poll::Pending => {
                self.state = State::Connecting { client, until };
                until
            }
        }
    }

    fn rise(&mut self, client: Client, now: Instant) {
        self.last_connection += 1;
        let connection = Connection(self.last_connection);
        self.config.counters.increment(Count::BrokerConnects);
        info!(self.log, "connected to the broker"; "broker" => %self.config.broker.url);
        let subscriptions = Subscriptions::ask(&client, &self.config, now);
        self.shared.orders().connection = Some(connection);
        self.shared.inbox.push(Event::Connected(connection));
        self.state = State::Up(Up {
            client,
            since: now,
            subscriptions,
            in_flight: VecDeque::with_capacity(self.config.window),
            progress: now,
        });
    }

    fn up(&mut self, mut up: Up, now: Instant) -> Instant {
        match self.serve(&mut up, now) {
            Ok(look_again) => {
                let leave = self.shared.orders().leave;
                if let Some(leave) = leave {
                    return self.leave(up, leave, now);
                }
                self.state = State::Up(up);
                look_again
            }
            Err(failure) => {
                self.config.counters.increment(Count::BrokerLost);
                if now.duration_since(up.since) >= STABLE {
                    self.failures = 0;
                }
                self.retired.add(up.client);
                self.fall(failure, CONNECTION_LOST)
            }
        }
    }

    /// Keeps a connection going. Fails when it is at its end.
    fn serve(&mut self, up: &mut Up, now: Instant) -> Result<Instant, Failure> {
        // Looked at before the acknowledgements are collected, and acted on after it: the broker has those messages.
        let end = up.client.end(self.config.broker.keep_alive);
        if end.is_none() {
            self.send(up, now)?;
        }
        let acknowledged = self.collect(up, now)?;
        end.map_or(Ok(()), Err)?;
        let mut look_again = self.subscribe(up, now)?.min(now + LONGEST_REST);
        if acknowledged > 0 {
            // There is room for more.
            look_again = now;
        }
        if !up.in_flight.is_empty() {
            let patience = up.progress + self.config.broker.ack_timeout;
            if now >= patience {
                return Err(Failure::new(format!(
                    "stalled: {} messages wait for their acknowledgement",
                    up.in_flight.len()
                )));
            }
            look_again = look_again.min(patience);
        }
        Ok(look_again)
    }

    fn send(&mut self, up: &mut Up, now: Instant) -> Result<(), Failure> {
        let room = self.config.window.saturating_sub(up.in_flight.len());
        let messages: Vec<_> = {
            let outgoing = &mut self.shared.orders().outgoing;
            outgoing.drain(..room.min(outgoing.len())).collect()
        };
        for message in messages {
            let topic = Arc::clone(&message.topic);
            let token = up.client.publish(message).inspect_err(|failure| {
                self.config.counters.increment(Count::PublishFailed);
                warn!(self.log, "publish failed"; "reason" => "publish failed", "topic" => &*topic, "error" => %failure);
            })?;
            if up.in_flight.is_empty() {
                up.progress = now;
            }
            up.in_flight.push_back(token);
        }
        Ok(())
    }

    /// Tells how many messages were acknowledged.
    fn collect(&mut self, up: &mut Up, now: Instant) -> Result<usize, Failure> {
        let mut cx = Context::from_waker(&self.waker);
        let mut acknowledged = 0;
        let mut failed = None;
        while let Some(oldest) = up.in_flight.front_mut() {
            match oldest.poll(&mut cx) {
                Poll::Pending => break,
                Poll::Ready(Ok(())) => acknowledged += 1,
                Poll::Ready(Err(failure)) => {
                    self.config.counters.increment(Count::PublishFailed);
                    failed = Some(failure);
                    break;
                }
            }
            up.in_flight.pop_front();
        }
        if acknowledged > 0 {
            up.progress = now;
            self.shared.inbox.push(Event::Acknowledged(acknowledged));
        }
        failed.map_or(Ok(acknowledged), Err)
    }

    /// Looks at what the broker says to the subscriptions.
    fn subscribe(&mut self, up: &mut Up, now: Instant) -> Result<Instant, Failure> {
        let mut cx = Context::from_waker(&self.waker);
        let told = up
            .subscriptions
            .tend(&up.client, &self.config, now, &mut cx)?;
        for (topic, failure) in told.refused {
            warn!(self.log, "subscription refused"; "reason" => "subscription refused", "topic" => &topic, "error" => %failure);
            self.shared
                .inbox
                .push(Event::SubscriptionRefused { topic, failure });
        }
        for topic in told.weak {
            warn!(self.log, "the broker grants a subscription only at most once"; "topic" => &topic);
        }
        if told.complete {
            self.shared.inbox.push(Event::Listening);
        }
        Ok(told.look_again)
    }

    /// A goodbye only where nothing is on its way: otherwise it could be lost behind the rest.
    fn leave(&mut self, up: Up, how: Leave, now: Instant) -> Instant {
        self.forget_outgoing();
        if how == Leave::Fail || !up.in_flight.is_empty() {
            self.retired.add(up.client);
            return now;
        }
        let goodbye = up.client.disconnect();
        self.state = State::Leaving {
            client: up.client,
            goodbye,
            until: now + GOODBYE,
        };
        now
    }

    fn leaving(
        &mut self,
        client: Client,
        mut goodbye: DisconnectToken,
        until: Instant,
        now: Instant,
    ) -> Instant {
        let said = goodbye
            .poll(&mut Context::from_waker(&self.waker))
            .is_ready();
        if said || now >= until {
            self.retired.add(client);
            return now;
        }
        self.state = State::Leaving {
            client,
            goodbye,
            until,
        };
        until
    }

    /// The session ends where it stands.
    fn leave_now(&mut self) {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Up(Up { client, .. })
            | State::Leaving { client, .. }
            | State::Connecting { client, .. } => client.abandon(),
            State::Down { .. } | State::Dialling { .. } | State::Ended => {}
        }
        self.forget_outgoing();
    }

    /// There is no connection. Tells so, and waits for the next attempt.
    fn fall(&mut self, failure: Failure, what: &'static str) -> Instant {
        self.forget_outgoing();
        self.failures = self.failures.saturating_add(1);
        let chance = self.chance.hash_one(Instant::now()) as u32;
        let retry_in = self
            .config
            .broker
            .backoff
            .delay(self.failures, Jitter(chance));
        warn!(self.log, "{}", what; "reason" => what, "error" => %failure,
            "broker" => %self.config.broker.url, "retry_in_ms" => retry_in.as_millis() as u64);
        self.shared
            .inbox
            .push(Event::Disconnected { failure, retry_in });
        let until = Instant::now() + retry_in;
        self.state = State::Down { until };
        until
    }

    fn forget_outgoing(&mut self) {
        let mut orders = self.shared.orders();
        orders.connection = None;
        orders.outgoing.clear();
    }
}
