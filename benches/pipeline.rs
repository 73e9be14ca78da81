//! How many encrypted telegrams a second go from the Parser's mailbox to the Publisher's door on one core: link layer, routing,
//! decryption, verification, decoding, duplicate and replay checks. The telegrams are made beforehand.
//!
//! `cargo bench --bench pipeline`, or for other numbers `cargo bench --bench pipeline -- --meters 1,100000 --telegrams 300000`
//!
//! All these actors live on one thread, so what is measured is the time for which that thread worked: on a machine with nothing else to
//! do it is the time that passes.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench may be blunt"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use actix::prelude::*;
use clap::Parser as _;
use omnigate_actors::counters::Count;
use omnigate_actors::forward::Forward;
use omnigate_actors::publisher::{Announce, Publish};
use omnigate_actors::supervision::Root;
use omnigate_actors::tree;
use rustix::time::{ClockId, clock_gettime};
use slog::{Discard, Logger, o};

use support::{Air, Line, State};

#[derive(clap::Parser)]
struct Options {
    /// How many meters there are, for each measurement
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100, 10_000, 100_000])]
    meters: Vec<u32>,
    /// How many telegrams a round has; at least one of each meter
    #[arg(long, default_value_t = 100_000)]
    telegrams: usize,
    /// How many rounds; the median is told
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// What cargo adds
    #[arg(long, hide = true)]
    bench: bool,
}

/// Counts what arrives.
struct Door(Arc<AtomicUsize>);

impl Actor for Door {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(tree::PUBLISHER.mailbox);
    }
}

impl Handler<Publish> for Door {
    type Result = ();

    fn handle(&mut self, Publish(readings): Publish, _: &mut Context<Self>) {
        self.0.fetch_add(readings.len(), Relaxed);
    }
}

impl Handler<Announce> for Door {
    type Result = ();

    fn handle(&mut self, _: Announce, _: &mut Context<Self>) {}
}

/// The nanoseconds of work for each telegram, of each round.
async fn measure(meters: u32, options: &Options) -> Vec<f64> {
    let mut air = Air::new(meters);
    let arrived = Arc::new(AtomicUsize::new(0));
    let door = Door(Arc::clone(&arrived)).start();
    let root = Root::new(Logger::root(Discard, o!()), |_| {});
    let state = State::new();
    let (publish, announce) = (Forward::to(door.clone()), Forward::to(door));
    let line = Line::start(&root, &state, publish, announce);
    line.monitor(&air.meters).await;
    let telegrams = options.telegrams.max(meters as usize);
    let mut rounds = Vec::new();
    // The first telegram of a meter is not like the others, so the first round does not count.
    for round in 0..=options.rounds {
        let batch = air.telegrams(if round == 0 {
            meters as usize
        } else {
            telegrams
        });
        let (count, expected) = (batch.len(), arrived.load(Relaxed) + batch.len());
        let began = worked();
        for telegram in batch {
            line.feed(telegram).await;
        }
        while arrived.load(Relaxed) < expected {
            let lost = state.counters.value(Count::HandlerMailboxFull);
            assert_eq!(lost, 0, "{:?}", state.counters);
            tokio::task::yield_now().await;
        }
        if round > 0 {
            rounds.push((worked() - began).as_nanos() as f64 / count as f64);
        }
    }
    rounds
}

/// For how long this thread has worked.
fn worked() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}

fn main() {
    let options = Options::parse();
    println!(" meters   per telegram      telegrams/s and core   (fastest .. slowest round)");
    for &meters in &options.meters {
        let mut rounds = System::new().block_on(measure(meters, &options));
        rounds.sort_by(f64::total_cmp);
        let (median, fastest, slowest) = (
            rounds[rounds.len() / 2],
            rounds[0],
            rounds[rounds.len() - 1],
        );
        println!(
            "{meters:>7} {:>11.0} ns {:>23.0}   ({:.0} .. {:.0})",
            median,
            1e9 / median,
            1e9 / fastest,
            1e9 / slowest
        );
    }
}
