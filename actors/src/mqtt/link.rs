//! One connection, from its beginning to its end: subscribes, sends, collects acknowledgements.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use slog::{Logger, warn};

use crate::counters::Count;

use super::client::{Client, DeliveryToken};
use super::config::Config;
use super::failure::Failure;
use super::inbox::Event;
use super::session::Shared;
use super::subscriptions::Subscriptions;

/// See the [module documentation](self).
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) since: Instant,
    subscriptions: Subscriptions,
    /// What is not acknowledged, oldest first. The broker acknowledges in the order of sending.
    in_flight: VecDeque<DeliveryToken>,
    /// When the last acknowledgement came, or else the first message went.
    progress: Instant,
}

/// What a connection needs of its session.
pub(super) struct Surroundings<'a> {
    pub(super) config: &'a Config,
    pub(super) shared: &'a Shared,
    pub(super) log: &'a Logger,
}

impl Link {
    /// Begins with the subscriptions.
    pub(super) fn new(client: Client, config: &Config, now: Instant) -> Self {
        Self {
            subscriptions: Subscriptions::ask(&client, config, now),
            client,
            since: now,
            in_flight: VecDeque::with_capacity(config.window),
            progress: now,
        }
    }

    /// Whether nothing is on its way.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// Does what can be done now. Returns when there is more to do, if `cx` is not woken before. Fails when the connection is at its end.
    pub(super) fn serve(
        &mut self,
        around: &Surroundings<'_>,
        cx: &mut Context<'_>,
        now: Instant,
    ) -> Result<Instant, Failure> {
        // Looked at before the acknowledgements are collected, and acted on after it: the broker has those messages.
        let end = self.client.end();
        if end.is_none() {
            self.send(around, now)?;
        }
        let acknowledged = self.collect(around, cx, now)?;
        end.map_or(Ok(()), Err)?;
        let mut look_again = self.subscribe(around, cx, now)?;
        if !self.in_flight.is_empty() {
            let patience = self.progress + self.client.broker().ack_timeout;
            if now >= patience {
                return Err(Failure::new(format!(
                    "stalled: {} messages wait for their acknowledgement",
                    self.in_flight.len()
                )));
            }
            look_again = look_again.min(patience);
        }
        // Where something was acknowledged there is room for more.
        Ok(if acknowledged { now } else { look_again })
    }

    fn send(&mut self, around: &Surroundings<'_>, now: Instant) -> Result<(), Failure> {
        let room = around.config.window.saturating_sub(self.in_flight.len());
        let messages: Vec<_> = {
            let outgoing = &mut around.shared.orders().outgoing;
            outgoing.drain(..room.min(outgoing.len())).collect()
        };
        for message in messages {
            let topic = Arc::clone(&message.topic);
            let token = self.client.publish(message).inspect_err(|failure| {
                around.config.counters.increment(Count::PublishFailed);
                warn!(around.log, "publish failed"; "reason" => "publish failed", "topic" => &*topic, "error" => %failure);
            })?;
            if self.in_flight.is_empty() {
                self.progress = now;
            }
            self.in_flight.push_back(token);
        }
        Ok(())
    }

    /// Whether anything was acknowledged.
    fn collect(
        &mut self,
        around: &Surroundings<'_>,
        cx: &mut Context<'_>,
        now: Instant,
    ) -> Result<bool, Failure> {
        let mut acknowledged = 0;
        let mut result = Ok(());
        while let Some(oldest) = self.in_flight.front_mut() {
            match oldest.poll(cx) {
                Poll::Pending => break,
                Poll::Ready(Ok(())) => acknowledged += 1,
                Poll::Ready(Err(failure)) => {
                    around.config.counters.increment(Count::PublishFailed);
                    result = Err(failure);
                    break;
                }
            }
            self.in_flight.pop_front();
        }
        if acknowledged > 0 {
            self.progress = now;
            around.shared.inbox.push(Event::Acknowledged(acknowledged));
        }
        result.map(|()| acknowledged > 0)
    }

    /// Looks at what the broker says to the subscriptions.
    fn subscribe(
        &mut self,
        around: &Surroundings<'_>,
        cx: &mut Context<'_>,
        now: Instant,
    ) -> Result<Instant, Failure> {
        let told = self
            .subscriptions
            .tend(&self.client, around.config, now, cx)?;
        for (topic, failure) in told.refused {
            warn!(around.log, "subscription refused"; "reason" => "subscription refused", "topic" => &topic, "error" => %failure);
            around
                .shared
                .inbox
                .push(Event::SubscriptionRefused { topic, failure });
        }
        for topic in told.weak {
            warn!(around.log, "the broker grants a subscription only at most once"; "topic" => &topic);
        }
        if told.complete {
            around.shared.inbox.push(Event::Listening);
        }
        Ok(told.look_again.min(now + LONGEST_REST))
    }
}

/// The thread looks around at least so often.
pub(super) const LONGEST_REST: Duration = Duration::from_secs(1);
