//! The load generator: virtual meters, the real actors, the outbox on disk, a real mosquitto.
//!
//! For each number of meters:
//!
//! * how many messages a second go from encrypted telegrams at the Parser to acknowledgements of the broker, beside what the MQTT library
//!   alone reaches with the same messages at the same broker, in turn, so that whatever else the machine does hits both;
//! * how long a telegram takes from the Parser to its acknowledgement, at half of that rate.
//!
//! And how long it takes from the last byte on the serial line to its acknowledgement, through the real program with a pseudo-terminal as
//! the dongle: at ten telegrams a second that come by chance, and as fast as a serial line carries them.
//!
//! `cargo bench --bench load`, with other numbers `cargo bench --bench load -- --meters 10000 --telegrams 50000`
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench may be blunt"
)]

mod alone;
#[allow(dead_code, reason = "the promises use the rest")]
#[path = "../../tests/promises/support/mod.rs"]
mod promises;
mod serial;
#[path = "../support/mod.rs"]
mod support;
mod tap;
mod whole;

use std::time::Duration;

use clap::Parser;
use rustix::time::{ClockId, clock_gettime};

use promises::broker::Broker;
use tap::Tap;
use whole::Whole;

#[derive(Parser)]
struct Options {
    /// How many meters there are, for each measurement
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100, 10_000, 100_000])]
    meters: Vec<u32>,
    /// How many telegrams a round has
    #[arg(long, default_value_t = 20_000)]
    telegrams: usize,
    /// How many rounds; medians are told
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How many telegrams go over the serial line, at each pace
    #[arg(long, default_value_t = 1000)]
    serial: usize,
    /// What cargo adds
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let options = Options::parse();
    let broker = Broker::start();
    for &meters in &options.meters {
        measure(meters, &options, &broker);
    }
    println!("Last serial byte to acknowledgement");
    for (pace, between) in [
        ("ten a second, by chance", Duration::from_millis(100)),
        ("as fast as the line", serial::LINE),
    ] {
        let latencies = serial::latencies(&broker, options.serial, between);
        println!("  {pace:<26} {}", percentiles(latencies));
    }
}

fn measure(meters: u32, options: &Options, broker: &Broker) {
    let mut whole = Whole::start(&broker.url(), meters);
    let mut rounds = Vec::new();
    for _ in 0..options.rounds {
        let alone = Round::of(|| alone::publish(&broker.url(), MESSAGES * options.telegrams));
        let gateway = Round::of(|| whole.carry(options.telegrams));
        rounds.push((alone, gateway));
    }
    drop(whole);
    let messages = (MESSAGES * options.telegrams) as f64;
    let rate = |round: &Round| messages / round.took.as_secs_f64();
    let work = |round: &Round| round.worked.as_secs_f64() / messages * 1e6;
    let alone = median(rounds.iter().map(|(alone, _)| rate(alone)));
    let gateway = median(rounds.iter().map(|(_, gateway)| rate(gateway)));
    let share = median(
        rounds
            .iter()
            .map(|(alone, gateway)| rate(gateway) / rate(alone)),
    );
    println!(
        "{meters} meters, {} telegrams of {MESSAGES} messages a round, {} rounds",
        options.telegrams, options.rounds
    );
    println!(
        "  paho-mqtt alone            {alone:.0} messages/s, {:.1} µs of work for each",
        median(rounds.iter().map(|(alone, _)| work(alone)))
    );
    println!(
        "  from Parser to broker      {gateway:.0} messages/s, {:.0} telegrams/s, {:.1} µs of work for each message",
        gateway / MESSAGES as f64,
        median(rounds.iter().map(|(_, gateway)| work(gateway)))
    );
    println!("  share, median of rounds    {:.0} %", 100.0 * share);

    let pace = gateway / MESSAGES as f64 / 2.0;
    let tap = Tap::before(broker.port());
    let telegrams = options.telegrams.min(10 * pace as usize);
    let latencies = Whole::start(&tap.url(), meters).carry_at(pace, telegrams, &tap);
    println!("  at {pace:.0} telegrams/s      {}", percentiles(latencies));
}

/// How long something took, and how long the threads of this process worked for it.
struct Round {
    took: Duration,
    worked: Duration,
}

impl Round {
    fn of(work: impl FnOnce()) -> Self {
        let now = || -> [Duration; 2] {
            [ClockId::Monotonic, ClockId::ProcessCPUTime]
                .map(|clock| clock_gettime(clock).try_into().unwrap())
        };
        let began = now();
        work();
        let ended = now();
        Self {
            took: ended[0] - began[0],
            worked: ended[1] - began[1],
        }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn percentiles(mut latencies: Vec<Duration>) -> String {
    latencies.sort();
    let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    format!(
        "50 % within {:.2} ms, 90 % {:.2} ms, 99 % {:.2} ms, all {:.2} ms",
        at(50),
        at(90),
        at(99),
        at(100)
    )
}

/// What an OmniPower's telegram gives.
const MESSAGES: usize = 4;
