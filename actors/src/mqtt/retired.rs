//! Clients whose connection is over: let go in steps, so that the library never stumbles.

use std::thread;
use std::time::{Duration, Instant};

use super::client::Client;

/// First the connection to the broker is cut, and what the library still writes is swallowed; then the library closes its side; then,
/// when it has certainly left its callbacks, the client is dropped.
#[derive(Default)]
pub(super) struct Retired(Vec<Pensioner>);

struct Pensioner {
    client: Client,
    since: Instant,
    closed: bool,
}

/// In this time the library writes what it has begun to write.
const SWALLOW: Duration = Duration::from_millis(100);

/// After so long the library's threads have certainly left the client's callbacks.
const DROP: Duration = Duration::from_millis(1500);

impl Retired {
    pub(super) fn add(&mut self, client: Client) {
        client.cut();
        self.0.push(Pensioner {
            client,
            since: Instant::now(),
            closed: false,
        });
    }

    /// Takes the steps that are due. Returns when the next one is.
    pub(super) fn tend(&mut self, now: Instant) -> Instant {
        for pensioner in &mut self.0 {
            if !pensioner.closed && now >= pensioner.since + SWALLOW {
                pensioner.closed = true;
                drop(pensioner.client.disconnect());
            }
        }
        self.0.retain(|pensioner| now < pensioner.since + DROP);
        let due = self
            .0
            .iter()
            .map(|pensioner| pensioner.since + if pensioner.closed { DROP } else { SWALLOW });
        due.min().unwrap_or(now + DROP)
    }

    /// Takes all steps.
    pub(super) fn wait_for_all(mut self) {
        while !self.0.is_empty() {
            let due = self.tend(Instant::now());
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }
}
