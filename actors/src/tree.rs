//! The tree: who supervises whom, and by which policy. The only place that says so.
//!
//! ```text
//! Root  one_for_one  starts from the top, stops from the bottom
//! ├ Publisher        permanent   10 in 60 s, then give up     back-off 0.1 s..30 s    shutdown 5 s
//! ├ Commander        permanent   10 in 60 s, then give up     back-off 0.1 s..30 s    shutdown 2 s
//! ├ Meters           permanent   10 in 60 s, then give up     back-off 0.1 s..30 s    shutdown 5 s
//! │ └ MeterHandler*  permanent    5 in 60 s, then park 600 s  back-off 0.1 s..10 s    shutdown 5 s
//! ├ Dispatcher       permanent   10 in 60 s, then give up     back-off 0.1 s..30 s    shutdown 5 s
//! ├ Parser           permanent   10 in 60 s, then give up     back-off 0.1 s..30 s    shutdown 5 s
//! └ Driver           permanent   10 in 60 s, then give up     back-off 0.1 s..30 s    shutdown 2 s
//! ```
//!
//! Every child has a budget of its own ("10 in 60 s": its eleventh restart within a minute is not made). Back-offs are shortened by chance,
//! by up to half. `*`: one for each monitored meter.

use std::time::Duration;

use crate::supervision::policy::{Backoff, Beyond, Policy, Restart};
use crate::supervision::{Role, Shutdown};

/// Writes readings to the outbox and the broker. First up, last down: it drains.
pub static PUBLISHER: Role = service(
    "publisher",
    64,
    Shutdown {
        within: Duration::from_secs(5),
        drain: true,
    },
);
/// Hears commands. What it has not begun when the gateway stops stays undone.
pub static COMMANDER: Role = service(
    "commander",
    16,
    Shutdown {
        within: Duration::from_secs(2),
        drain: false,
    },
);
/// The set of meters; supervises the handlers.
pub static METERS: Role = service(
    "meters",
    16,
    Shutdown {
        within: Duration::from_secs(5),
        drain: true,
    },
);
/// One meter's telegrams. Its mailbox holds as many as the sources that lose nothing let into the system.
pub static METER_HANDLER: Role = Role {
    name: "meter_handler",
    policy: policy(
        5,
        Duration::from_secs(10),
        Beyond::Park(Duration::from_secs(600)),
    ),
    mailbox: 64,
    wait_limit: WAIT_LIMIT,
    shutdown: Shutdown {
        within: Duration::from_secs(5),
        drain: true,
    },
};
/// Finds each telegram's handler.
pub static DISPATCHER: Role = service(
    "dispatcher",
    64,
    Shutdown {
        within: Duration::from_secs(5),
        drain: true,
    },
);
/// Checks telegrams.
pub static PARSER: Role = service(
    "parser",
    64,
    Shutdown {
        within: Duration::from_secs(5),
        drain: true,
    },
);
/// The source. Last up, first down.
pub static DRIVER: Role = service(
    "driver",
    16,
    Shutdown {
        within: Duration::from_secs(2),
        drain: false,
    },
);

/// Longer than any step of the pipeline takes on a busy machine.
const WAIT_LIMIT: Duration = Duration::from_secs(60);

const fn service(name: &'static str, mailbox: usize, shutdown: Shutdown) -> Role {
    Role {
        name,
        policy: policy(10, Duration::from_secs(30), Beyond::GiveUp),
        mailbox,
        wait_limit: WAIT_LIMIT,
        shutdown,
    }
}

/// Evaluated by the compiler: a policy that is not valid does not compile.
#[expect(
    clippy::panic,
    reason = "in a constant, so it stops the compiler and not the program"
)]
const fn policy(intensity: u32, longest: Duration, beyond: Beyond) -> Policy {
    let Ok(backoff) = Backoff::new(Duration::from_millis(100), longest, 50) else {
        panic!("back-off")
    };
    match Policy::new(
        Restart::Permanent,
        intensity,
        Duration::from_secs(60),
        backoff,
        beyond,
    ) {
        Ok(policy) => policy,
        Err(_) => panic!("policy"),
    }
}
