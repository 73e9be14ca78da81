//! A connection's subscriptions: asked for, granted, or refused and asked for again.

use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::supervision::policy::Jitter;

use super::client::{Client, Granted, SubscribeToken};
use super::config::Config;
use super::failure::Failure;

/// In the order of the configuration.
pub(super) struct Subscriptions {
    wanted: Vec<Wanted>,
    told_complete: bool,
}

/// How it stands with one.
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

/// What there is to tell.
pub(super) struct Told {
    /// Topics, with the broker's answer in words.
    pub(super) refused: Vec<(String, Failure)>,
    /// Topics that are granted at a lower quality of service.
    pub(super) weak: Vec<String>,
    /// For the first time all are granted.
    pub(super) complete: bool,
    /// When there is something to do, if no answer comes before.
    pub(super) look_again: Instant,
}

impl Subscriptions {
    /// Asks for all.
    pub(super) fn ask(client: &Client, config: &Config, now: Instant) -> Self {
        let wanted = config
            .subscriptions
            .iter()
            .map(|subscription| Wanted::Asked {
                token: client.subscribe(subscription),
                since: now,
                refusals: 0,
            });
        Self {
            wanted: wanted.collect(),
            told_complete: false,
        }
    }

    /// Looks at the answers, and asks again where it is time. An answer that comes later wakes `cx`.
    pub(super) fn tend(
        &mut self,
        client: &Client,
        config: &Config,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> Result<Told, Failure> {
        let broker = client.broker();
        let mut told = Told {
            refused: Vec::new(),
            weak: Vec::new(),
            complete: false,
            look_again: now + FAR,
        };
        for (wanted, subscription) in self.wanted.iter_mut().zip(&config.subscriptions) {
            if let Wanted::Refused { refusals, again } = wanted
                && now >= *again
            {
                *wanted = Wanted::Asked {
                    token: client.subscribe(subscription),
                    since: now,
                    refusals: *refusals,
                };
            }
            if let Wanted::Asked {
                token,
                since,
                refusals,
            } = wanted
            {
                match token.poll(cx) {
                    Poll::Ready(answer) => match answer? {
                        Granted::Nothing => {
                            let refusals = refusals.saturating_add(1);
                            let wait = broker.backoff.delay(refusals, Jitter::NONE);
                            *wanted = Wanted::Refused {
                                refusals,
                                again: now + wait,
                            };
                            let failure = Failure::subscription_refused();
                            told.refused.push((subscription.topic.clone(), failure));
                        }
                        granted => {
                            *wanted = Wanted::Granted;
                            if !granted.is_at_least(subscription.qos) {
                                told.weak.push(subscription.topic.clone());
                            }
                        }
                    },
                    Poll::Pending if now >= *since + broker.ack_timeout => {
                        return Err(Failure::new("stalled: no answer to a subscription"));
                    }
                    Poll::Pending => {}
                }
            }
            told.look_again = told.look_again.min(match wanted {
                Wanted::Asked { since, .. } => *since + broker.ack_timeout,
                Wanted::Refused { again, .. } => *again,
                Wanted::Granted => now + FAR,
            });
        }
        let all = self
            .wanted
            .iter()
            .all(|wanted| matches!(wanted, Wanted::Granted));
        told.complete = all && !std::mem::replace(&mut self.told_complete, all);
        Ok(told)
    }
}

/// Nothing to do for long.
const FAR: Duration = Duration::from_secs(3600);
