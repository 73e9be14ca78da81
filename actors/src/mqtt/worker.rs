//! The session's thread: connects, subscribes, sends, notices what went wrong, and begins again.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use slog::{Logger, debug, error, info, warn};

use crate::counters::Count;
use crate::supervision::catch;
use crate::supervision::policy::Jitter;

use super::client::{Client, DeliveryToken, DisconnectToken, Granted, SubscribeToken};
use super::config::Config;
use super::failure::Failure;
use super::inbox::Event;
use super::session::{Connection, Leave, Shared, Turn};

/// See the [module documentation](self).
pub(super) struct Worker {
    config: Config,
    shared: Arc<Shared>,
    turn: Turn,
    log: Logger,
    waker: Waker,
    chance: RandomState,
    state: State,
    /// Attempts to connect so far.
    attempts: usize,
    /// Attempts that failed, and connections that broke soon, since the last one that lasted.
    failures: u32,
    last_connection: u64,
    /// Clients that are done, and since when.
    retired: Vec<(Instant, Client)>,
}

enum State {
    Down {
        until: Instant,
    },
    Connecting {
        client: Client,
        until: Instant,
    },
    Up(Up),
    Leaving {
        client: Client,
        last: Last,
        until: Instant,
    },
    Ended,
}

/// The last thing on a connection.
enum Last {
    /// Our own last will: the library always says goodbye, and then the broker publishes none.
    Will(DeliveryToken),
    Goodbye(DisconnectToken),
}

/// A connection.
struct Up {
    client: Client,
    since: Instant,
    subscriptions: Vec<Wanted>,
    listening: bool,
    /// What is not acknowledged, oldest first. The broker acknowledges in the order of sending.
    in_flight: VecDeque<DeliveryToken>,
    /// When the last acknowledgement came, or else the first message went.
    progress: Instant,
}

/// How it stands with one of the configured subscriptions.
enum Wanted {
    Asked {
        token: SubscribeToken,
        since: Instant,
        refusals: u32,
    },
    Granted,
    Refused {
        refusals: u32,
        again: Instant,
    },
}

/// The thread looks around at least so often.
const LONGEST_REST: Duration = Duration::from_secs(1);
/// A connection that lasted so long makes earlier failures forgotten.
const STABLE: Duration = Duration::from_secs(10);
/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);
/// The library's connect timeout is coarse, and must come first.
const CONNECT_MARGIN: Duration = Duration::from_secs(20);
/// After so long the library's thread has certainly left the callback that told us of a failure.
const RETIREMENT: Duration = Duration::from_secs(1);

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
            attempts: 0,
            failures: 0,
            last_connection: 0,
            retired: Vec::new(),
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
        }
        self.leave_now();
        self.shared.inbox.close();
        drop(guard);
        thread::sleep(RETIREMENT);
    }

    fn work(&mut self) {
        while !matches!(self.state, State::Ended) {
            self.shared.beat();
            let now = Instant::now();
            let look_again = self.step(now);
            self.retired
                .retain(|(since, _)| now.duration_since(*since) < RETIREMENT);
            let overflow = self.shared.inbox.take_overflow();
            if overflow > 0 {
                self.config
                    .counters
                    .add(Count::CommandsRefused, overflow as u64);
                warn!(self.log, "messages dropped: too many at once"; "count" => overflow);
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
            State::Connecting { client, until } => self.connecting(client, until, now),
            State::Up(up) => self.up(up, now),
            State::Leaving {
                client,
                last,
                until,
            } => self.leaving(client, last, until, now),
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
        self.attempts += 1;
        let attempt = self.uri().and_then(|uri| {
            debug!(self.log, "connecting"; "broker" => &uri);
            Client::connect(&self.config, &uri, &self.shared.inbox, &self.waker)
        });
        match attempt {
            Ok(client) => {
                let until = Instant::now() + self.config.broker.connect_timeout + CONNECT_MARGIN;
                self.state = State::Connecting { client, until };
                Instant::now()
            }
            Err(failure) => self.fall(failure, "no connection to the broker"),
        }
    }

    /// Where to connect. Resolves the name here, because the library would hold up all its clients meanwhile.
    fn uri(&self) -> Result<String, Failure> {
        let url = &self.config.broker.url;
        self.shared.excuse();
        let resolved = (url.host(), url.port()).to_socket_addrs();
        self.shared.beat();
        let addresses: Vec<SocketAddr> = resolved
            .map_err(|error| Failure::new(format!("{} is not found: {error}", url.host())))?
            .collect();
        let turn = (self.attempts - 1) % addresses.len().max(1);
        match addresses.get(turn) {
            None => Err(Failure::new(format!("{} has no address", url.host()))),
            Some(_) if url.is_tls() => Ok(url.to_string()),
            Some(address) => Ok(format!("mqtt://{address}")),
        }
    }

    fn connecting(&mut self, mut client: Client, until: Instant, now: Instant) -> Instant {
        match client.poll_connect(&mut Context::from_waker(&self.waker)) {
            Poll::Ready(Ok(())) => {
                self.rise(client, now);
                now
            }
            Poll::Ready(Err(failure)) => {
                self.retire(client);
                self.fall(failure, "no connection to the broker")
            }
            Poll::Pending if now >= until => {
                client.abandon();
                self.fall(
                    Failure::new("no answer from the MQTT library"),
                    "no connection to the broker",
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
        let subscriptions = self
            .config
            .subscriptions
            .iter()
            .map(|subscription| Wanted::Asked {
                token: client.subscribe(subscription),
                since: now,
                refusals: 0,
            })
            .collect();
        self.shared.orders().connection = Some(connection);
        self.shared.inbox.push(Event::Connected(connection));
        self.state = State::Up(Up {
            client,
            since: now,
            subscriptions,
            listening: false,
            in_flight: VecDeque::with_capacity(self.config.window),
            progress: now,
        });
    }

    fn up(&mut self, mut up: Up, now: Instant) -> Instant {
        match self.serve(&mut up, now) {
            Ok(look_again) => {
                let leave = self.shared.orders().leave;
                if let Some(leave) = leave {
                    return self.leave(up.client, leave, now);
                }
                self.state = State::Up(up);
                look_again
            }
            Err(failure) => {
                self.config.counters.increment(Count::BrokerLost);
                if now.duration_since(up.since) >= STABLE {
                    self.failures = 0;
                }
                self.retire(up.client);
                self.fall(failure, "connection to the broker lost")
            }
        }
    }

    /// Keeps a connection going. Fails when it is at its end.
    fn serve(&mut self, up: &mut Up, now: Instant) -> Result<Instant, Failure> {
        // Looked at before the acknowledgements are collected, and acted on after it: the broker has those messages.
        let lost = up.client.is_lost();
        self.send(up, now)?;
        let acknowledged = self.collect(up, now)?;
        if lost {
            return Err(Failure::new("closed by the broker, or no answer to a ping"));
        }
        let mut look_again = self.subscribe(up, now)?;
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
                warn!(self.log, "publish failed"; "topic" => &*topic, "error" => %failure);
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

    /// Looks at what the broker says to the subscriptions, and asks again for those that it refused.
    fn subscribe(&mut self, up: &mut Up, now: Instant) -> Result<Instant, Failure> {
        let mut cx = Context::from_waker(&self.waker);
        let mut look_again = now + LONGEST_REST;
        for (wanted, subscription) in up.subscriptions.iter_mut().zip(&self.config.subscriptions) {
            let next = match wanted {
                Wanted::Granted => continue,
                Wanted::Refused { again, .. } if now < *again => {
                    look_again = look_again.min(*again);
                    continue;
                }
                Wanted::Refused { refusals, .. } => Wanted::Asked {
                    token: up.client.subscribe(subscription),
                    since: now,
                    refusals: *refusals,
                },
                Wanted::Asked {
                    token,
                    since,
                    refusals,
                } => match token.poll(&mut cx) {
                    Poll::Pending if now >= *since + self.config.broker.ack_timeout => {
                        return Err(Failure::new("stalled: no answer to a subscription"));
                    }
                    Poll::Pending => continue,
                    Poll::Ready(Err(failure)) => return Err(failure),
                    Poll::Ready(Ok(Granted::Nothing)) => {
                        let failure = Failure::subscription_refused();
                        let again = self.delay(*refusals + 1);
                        warn!(self.log, "subscription refused";
                            "topic" => &subscription.topic, "error" => %failure, "retry_in_ms" => again.as_millis() as u64);
                        self.shared.inbox.push(Event::SubscriptionRefused {
                            topic: subscription.topic.clone(),
                            failure,
                        });
                        Wanted::Refused {
                            refusals: refusals.saturating_add(1),
                            again: now + again,
                        }
                    }
                    Poll::Ready(Ok(granted)) => {
                        if !granted.is_at_least(subscription.qos) {
                            warn!(self.log, "the broker grants a subscription only at most once"; "topic" => &subscription.topic);
                        }
                        Wanted::Granted
                    }
                },
            };
            // What was asked for just now is looked at at once, so that its answer wakes us.
            if matches!(next, Wanted::Asked { .. }) {
                look_again = now;
            }
            *wanted = next;
        }
        let all = up
            .subscriptions
            .iter()
            .all(|wanted| matches!(wanted, Wanted::Granted));
        if all && !up.listening {
            up.listening = true;
            self.shared.inbox.push(Event::Listening);
        }
        Ok(look_again)
    }

    fn leave(&mut self, client: Client, how: Leave, now: Instant) -> Instant {
        self.forget_outgoing();
        let will = self.config.will.clone().filter(|_| how == Leave::Fail);
        let last = match will.map(|will| client.publish(will)) {
            Some(Ok(token)) => Last::Will(token),
            Some(Err(_)) | None => Last::Goodbye(client.disconnect()),
        };
        self.state = State::Leaving {
            client,
            last,
            until: now + GOODBYE,
        };
        now
    }

    fn leaving(&mut self, client: Client, mut last: Last, until: Instant, now: Instant) -> Instant {
        let mut cx = Context::from_waker(&self.waker);
        if let Last::Will(token) = &mut last
            && token.poll(&mut cx).is_ready()
        {
            last = Last::Goodbye(client.disconnect());
        }
        let done = match &mut last {
            Last::Will(_) => false,
            Last::Goodbye(token) => token.poll(&mut cx).is_ready(),
        };
        if !done && now < until {
            self.state = State::Leaving {
                client,
                last,
                until,
            };
            return until;
        }
        match last {
            // Without a goodbye the broker publishes it when the connection breaks, or when another takes its place.
            Last::Will(_) => client.abandon(),
            Last::Goodbye(_) => self.retire(client),
        }
        now
    }

    /// The session ends where it stands.
    fn leave_now(&mut self) {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Up(Up { client, .. })
            | State::Leaving { client, .. }
            | State::Connecting { client, .. } => client.abandon(),
            State::Down { .. } | State::Ended => {}
        }
        self.forget_outgoing();
    }

    /// There is no connection. Tells so, and waits for the next attempt.
    fn fall(&mut self, failure: Failure, what: &'static str) -> Instant {
        self.forget_outgoing();
        self.failures = self.failures.saturating_add(1);
        let retry_in = self.delay(self.failures);
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

    fn retire(&mut self, client: Client) {
        drop(client.disconnect());
        self.retired.push((Instant::now(), client));
    }

    /// The wait after so many failures in a row.
    fn delay(&self, failures: u32) -> Duration {
        let chance = self.chance.hash_one(Instant::now()) as u32;
        self.config.broker.backoff.delay(failures, Jitter(chance))
    }
}
