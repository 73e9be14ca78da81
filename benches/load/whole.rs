//! All actors from the Parser to the Publisher with the store on disk, and a broker behind a tap.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use jiff::Timestamp;
use omnigate_actors::counters::Count;
use omnigate_actors::forward::Forward;
use omnigate_actors::mqtt;
use omnigate_actors::output::Outputs;
use omnigate_actors::output::recalc::{ReCalc, Topics};
use omnigate_actors::publisher::{self, Publisher};
use omnigate_actors::rejects::Rejects;
use omnigate_actors::status::StatusBoard;
use omnigate_actors::supervision::{Child, Root, supervise_on};
use omnigate_actors::tree;
use slog::{Discard, Logger, o};

use crate::MESSAGES;
use crate::support::{Air, Line, State};
use crate::tap::{Acknowledged, Tap};

/// The running actors.
pub struct Whole {
    system: SystemRunner,
    line: Line,
    air: Air,
    state: State,
    _publisher: Child<Publisher>,
    broker: Arbiter,
}

impl Whole {
    /// Starts them, and waits until every meter has sent a telegram and all that this gives is acknowledged.
    pub fn start(url: &str, meters: u32) -> Self {
        let system = System::new();
        let log = Logger::root(Discard, o!());
        let root = Root::new(log.clone(), |_| {});
        let state = State::new();
        let topics = Topics::new("load").unwrap();
        let config = publisher::Config::new(
            mqtt::Broker::at(url.parse().unwrap()).into(),
            topics.clone(),
            Outputs::new(
                vec![Box::new(ReCalc::new(topics))],
                Arc::clone(&state.counters),
            ),
            Arc::clone(&state.store),
            Arc::new(StatusBoard::new(Timestamp::now())),
            Arc::clone(&state.counters),
            Rejects::new(10),
            log,
        );
        let (broker, publisher, line, air) = system.block_on(async {
            let broker = Arbiter::new();
            let publisher =
                supervise_on(&broker.handle(), &root, &tree::PUBLISHER, move |monitor| {
                    Publisher::new(config.clone(), monitor)
                });
            let (publish, announce) = (
                Forward::to(publisher.addr.clone()),
                Forward::to(publisher.addr.clone()),
            );
            let line = Line::start(&root, &state, publish, announce);
            let air = Air::new(meters);
            line.monitor(&air.meters).await;
            // The channels of each meter, and our status.
            while published(&state) <= u64::from(meters) {
                actix_rt::time::sleep(Duration::from_millis(1)).await;
            }
            (broker, publisher, line, air)
        });
        let mut whole = Self {
            system,
            line,
            air,
            state,
            _publisher: publisher,
            broker,
        };
        whole.carry(meters as usize);
        whole
    }

    /// Carries so many telegrams as fast as they are acknowledged.
    pub fn carry(&mut self, telegrams: usize) {
        let telegrams = self.air.telegrams(telegrams);
        let Self {
            system,
            line,
            state,
            ..
        } = self;
        system.block_on(async {
            let (published_before, read_before) = (published(state), read(state));
            let left = |fed: usize| {
                fed.saturating_sub((published(state) - published_before) as usize / MESSAGES)
            };
            let all = telegrams.len();
            for (fed, telegram) in telegrams.into_iter().enumerate() {
                while left(fed) >= BACKLOG {
                    actix_rt::time::sleep(Duration::from_millis(1)).await;
                }
                // What a handler has no room for is dropped.
                while fed - (read(state) - read_before) as usize >= tree::METER_HANDLER.mailbox {
                    tokio::task::yield_now().await;
                }
                line.feed(telegram).await;
            }
            while left(all) > 0 || state.store.state().waiting > 0 {
                actix_rt::time::sleep(Duration::from_millis(1)).await;
            }
        });
    }

    /// Carries so many telegrams, so many a second; how long each took to be acknowledged, as the tap sees it.
    pub fn carry_at(&mut self, pace: f64, telegrams: usize, tap: &Tap) -> Vec<Duration> {
        let count = telegrams;
        let telegrams = self.air.telegrams(telegrams);
        while tap.acknowledged().try_recv().is_ok() {}
        let Self {
            system, line, air, ..
        } = self;
        system.block_on(async {
            let began = Instant::now();
            // The telegrams of a meter keep their order; those of several need not.
            let mut waiting = HashMap::<String, VecDeque<(Instant, usize)>>::new();
            let mut latencies = Vec::with_capacity(count);
            let mut telegrams = telegrams.into_iter().enumerate().peekable();
            while latencies.len() < count {
                let late = began.elapsed().as_secs_f64() - count as f64 / pace;
                assert!(late < 60.0, "{} of {count} acknowledged", latencies.len());
                let due = telegrams
                    .next_if(|(number, _)| began.elapsed().as_secs_f64() * pace >= *number as f64);
                if let Some((number, telegram)) = due {
                    let meter = &air.meters[number % air.meters.len()];
                    waiting
                        .entry(format!(
                            "v2/load/kam-{}/data",
                            meter.address().identification
                        ))
                        .or_default()
                        .push_back((Instant::now(), MESSAGES));
                    line.feed(telegram).await;
                } else {
                    actix_rt::time::sleep(Duration::from_millis(1)).await;
                }
                for Acknowledged { topic, at } in tap.acknowledged().try_iter() {
                    let readings = waiting.get_mut(&topic).unwrap();
                    let (fed, left) = readings.front_mut().unwrap();
                    *left -= 1;
                    if *left == 0 {
                        latencies.push(at.duration_since(*fed));
                        readings.pop_front();
                    }
                }
            }
            latencies
        })
    }
}

fn published(state: &State) -> u64 {
    state.counters.value(Count::MessagesPublished)
}

fn read(state: &State) -> u64 {
    state.counters.value(Count::Readings)
}

impl Drop for Whole {
    fn drop(&mut self) {
        self.broker.stop();
    }
}

/// Telegrams that may be on their way at once: enough to keep the broker busy.
const BACKLOG: usize = 2000;
