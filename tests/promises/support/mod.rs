//! What every promise is tested with: the real program, a real broker, and a subscriber that sees all.

pub mod air;
pub mod broker;
pub mod browser;
#[path = "../../../actors/tests/delivery/support/certificates.rs"]
pub mod certificates;
pub mod database;
pub mod door;
pub mod gateway;
pub mod http;
#[path = "../../../actors/tests/delivery/support/network.rs"]
pub mod network;
pub mod process;
pub mod random;
pub mod rsyslog;
pub mod secrets;
pub mod service_manager;
pub mod subscriber;
pub mod telegrams;

use std::net::TcpListener;
use std::time::{Duration, Instant};

/// Long enough for the slowest machine; a test that waits this long has failed.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A port on the loopback address that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// For the end of a program: an actor that fails again and again may do so for most of [`DEADLINE`] before the program gives up.
pub const DEADLINE_OF_AN_END: Duration = DEADLINE.saturating_mul(2);

/// Waits until the closure gives a value, or fails with `what` after [`DEADLINE`].
pub fn wait_for<T>(what: &str, attempt: impl FnMut() -> Option<T>) -> T {
    wait_at_most(DEADLINE, what, attempt)
}

/// The same for what takes longer.
pub fn wait_at_most<T>(limit: Duration, what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(
            Instant::now() < deadline,
            "waited {limit:?} in vain for {what}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A number that a variable of the environment gives: the test is to run longer, or as it did before.
pub fn from_environment(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    let number = value.parse();
    Some(number.unwrap_or_else(|error| panic!("{name}: {error}")))
}
