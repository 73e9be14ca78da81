//! The session's thread: connects, subscribes, sends, notices what went wrong, and begins again.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use slog::{Logger, debug, error, info, warn};

use crate::counters::Count;
use crate::supervision::catch;
use crate::supervision::policy::Jitter;

use super::client::{Client, DisconnectToken};
use super::config::{Broker, Config};
use super::failure::Failure;
use super::inbox::Event;
use super::link::{LONGEST_REST, Link, Surroundings};
use super::relay::{Relay, Stage};
use super::retired::Retired;
use super::session::{Connection, Leave, Shared, Turn};

/// See the [module documentation](self).
pub(super) struct Worker {
    config: Config,
    /// The one that is, or is to be, connected to.
    broker: Arc<Broker>,
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
    Up(Link),
    /// Says goodbye, then waits until the relay has passed it on.
    Leaving {
        client: Client,
        goodbye: Option<DisconnectToken>,
        until: Instant,
    },
    Ended,
}

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
            broker: config.broker.get(),
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
        self.warn_of_password();
        if let Err(panic) = catch(|| self.work()) {
            // The actor notices that there are no more events, and fails.
            error!(self.log, "the MQTT session failed"; "error" => %panic);
            self.leave_now();
        }
        self.shared.inbox.close();
        drop(guard);
        self.retired.wait_for_all();
    }

    fn warn_of_password(&self) {
        if self.broker.password.is_some() && !self.broker.url.is_private() {
            warn!(self.log, "the password goes over a connection that is not encrypted and can be read on the way; use mqtts://";
                "reason" => "password in the clear", "broker" => %self.broker.url);
        }
    }

    fn work(&mut self) {
        while !matches!(self.state, State::Ended) {
            self.shared.beat();
            let now = Instant::now();
            self.follow_settings(now);
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

    /// Where the settings have changed, the connection is replaced as if it broke, so that the broker publishes the last will.
    fn follow_settings(&mut self, now: Instant) {
        let broker = self.config.broker.get();
        if Arc::ptr_eq(&broker, &self.broker) {
            return;
        }
        self.broker = broker;
        self.failures = 0;
        self.warn_of_password();
        self.state = match std::mem::replace(&mut self.state, State::Ended) {
            State::Up(link) => {
                info!(self.log, "connecting anew: the settings have changed"; "broker" => %self.broker.url);
                self.retired.add(link.client);
                self.forget_outgoing();
                self.shared.inbox.push(Event::Disconnected {
                    failure: Failure::new("the settings have changed"),
                    retry_in: Duration::ZERO,
                });
                State::Down { until: now }
            }
            State::Connecting { client, until } => {
                // The library sees the end and gives up; then it is the new broker's turn.
                client.cut();
                State::Connecting { client, until }
            }
            State::Down { .. } | State::Dialling { .. } => State::Down { until: now },
            ending @ (State::Leaving { .. } | State::Ended) => ending,
        };
    }

    /// Does what can be done now. Returns when there is more to do, if nobody rings before.
    fn step(&mut self, now: Instant) -> Instant {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Down { until } => self.down(until, now),
            State::Dialling { relay, until } => self.dialling(relay, until, now),
            State::Connecting { client, until } => self.connecting(client, until, now),
            State::Up(link) => self.up(link, now),
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
        let broker = &self.broker;
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
                let url = &self.broker.url;
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
        match Client::connect(
            &self.config,
            &self.broker,
            relay,
            port,
            &self.shared.inbox,
            &self.waker,
        ) {
            Ok(client) => {
                let until = now + self.broker.connect_timeout + CONNECT_MARGIN;
                self.state = State::Connecting { client, until };
                now
            }
            Err(failure) => self.fall(failure, NO_CONNECTION),
        }
    }

    fn connecting(&mut self, mut client: Client, until: Instant, now: Instant) -> Instant {
        if self.shared.orders().leave.is_some() {
            // The library sees the end and gives up; it cannot be told to.
            client.cut();
        }
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
        info!(self.log, "connected to the broker"; "broker" => %self.broker.url);
        self.shared.orders().connection = Some(connection);
        self.shared.inbox.push(Event::Connected(connection));
        self.state = State::Up(Link::new(client, &self.config, now));
    }

    fn up(&mut self, mut link: Link, now: Instant) -> Instant {
        let around = Surroundings {
            config: &self.config,
            shared: &self.shared,
            log: &self.log,
        };
        match link.serve(&around, &mut Context::from_waker(&self.waker), now) {
            Ok(look_again) => {
                let leave = self.shared.orders().leave;
                if let Some(leave) = leave {
                    return self.leave(link, leave, now);
                }
                self.state = State::Up(link);
                look_again
            }
            Err(failure) => {
                self.config.counters.increment(Count::BrokerLost);
                if now.duration_since(link.since) >= STABLE {
                    self.failures = 0;
                }
                self.retired.add(link.client);
                self.fall(failure, CONNECTION_LOST)
            }
        }
    }

    /// A goodbye only where nothing is on its way: otherwise it could be lost behind the rest.
    fn leave(&mut self, link: Link, how: Leave, now: Instant) -> Instant {
        self.forget_outgoing();
        if how == Leave::Fail || !link.is_idle() {
            self.retired.add(link.client);
            return now;
        }
        let goodbye = link.client.disconnect();
        self.state = State::Leaving {
            client: link.client,
            goodbye: Some(goodbye),
            until: now + GOODBYE,
        };
        now
    }

    /// Once the library has said it, it closes its side; the relay carries what was said and then ends by itself. To cut it before could
    /// take the goodbye back, and the broker would publish the last will.
    fn leaving(
        &mut self,
        client: Client,
        mut goodbye: Option<DisconnectToken>,
        until: Instant,
        now: Instant,
    ) -> Instant {
        let cx = &mut Context::from_waker(&self.waker);
        goodbye.take_if(|goodbye| goodbye.poll(cx).is_ready());
        if goodbye.is_none() && client.has_ended() || now >= until {
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
            State::Up(Link { client, .. })
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
        let retry_in = self.broker.backoff.delay(self.failures, Jitter(chance));
        warn!(self.log, "{}", what; "reason" => what, "error" => %failure,
            "broker" => %self.broker.url, "retry_in_ms" => retry_in.as_millis() as u64);
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
