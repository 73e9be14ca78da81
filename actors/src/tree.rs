//! The tree: who supervises whom, and by which policy. The only place that says so.
//!
//! ```text
//! Root  one_for_one, starts from the top, stops from the bottom
//! ├ Publisher         permanent  10 in 60 s, then give up    back-off 0.1..30 s  shutdown 5 s, drains
//! ├ Meters            permanent  10 in 60 s, then give up    back-off 0.1..30 s  shutdown 5 s, drains
//! │ └ MeterHandler *  permanent  5 in 60 s, then park 600 s  back-off 0.1..10 s  shutdown 5 s, drains
//! ├ Commander         permanent  10 in 60 s, then give up    back-off 0.1..30 s  shutdown 2 s
//! ├ Bridge            permanent  10 in 60 s, then give up    back-off 0.1..30 s  shutdown 2 s
//! ├ Dispatcher        permanent  10 in 60 s, then give up    back-off 0.1..30 s  shutdown 5 s, drains
//! ├ Parser            permanent  10 in 60 s, then give up    back-off 0.1..30 s  shutdown 5 s, drains
//! └ Driver            permanent  10 in 60 s, then give up    back-off 0.1..30 s  shutdown 2 s
//! ```
//!
//! *10 in 60 s*: the eleventh restart within a minute is not made. Every child has such a budget of its own; every back-off is shortened
//! by chance, by up to half. *Drains*: handles what is in its mailbox before it stops. `*`: one for each monitored meter. The Bridge runs only
//! where the state output is switched on.
//!
//! The driver daemon, `omnigate driver`, has a tree of its own:
//!
//! ```text
//! Root  one_for_one, starts from the top, stops from the bottom
//! ├ FifoWriter  permanent  10 in 60 s, then give up  back-off 0.1..30 s  shutdown 5 s, drains
//! └ Driver      permanent  10 in 60 s, then give up  back-off 0.1..30 s  shutdown 2 s
//! ```

use std::fmt::Write;
use std::time::Duration;

use crate::raw_telegram::LOSSLESS_WINDOW;
use crate::supervision::policy::{Backoff, Beyond, Policy, Restart};
use crate::supervision::{Role, Shutdown};

/// Writes readings to the outbox and the broker. First up, last down: it drains.
pub static PUBLISHER: Role = service("publisher", DRAIN);
/// Hears commands. One that it has not begun when the gateway stops is not carried out.
pub static COMMANDER: Role = service("commander", DROP);
/// Serves home automation. A request that it has not begun when the gateway stops is not carried out.
pub static BRIDGE: Role = service("bridge", DROP);
/// Keeps the set of meters and supervises their handlers.
pub static METERS: Role = service("meters", DRAIN);
/// Decodes one meter's telegrams.
pub static METER_HANDLER: Role = Role {
    policy: policy(
        5,
        Duration::from_secs(10),
        Beyond::Park(Duration::from_secs(600)),
    ),
    ..service("meter_handler", DRAIN)
};
/// Finds each telegram's handler.
pub static DISPATCHER: Role = service("dispatcher", DRAIN);
/// Checks telegrams.
pub static PARSER: Role = service("parser", DRAIN);
/// Reads the source. Last up, first down.
pub static DRIVER: Role = service("driver", DROP);
/// Writes the FIFO, in the Parser's place where the driver runs alone.
pub static FIFO_WRITER: Role = service("fifo_writer", DRAIN);

/// The children of the root, in order of start.
pub static ROOT: [Branch; 7] = [
    Branch::leaf(&PUBLISHER),
    Branch {
        children: &[Branch {
            many: true,
            ..Branch::leaf(&METER_HANDLER)
        }],
        ..Branch::leaf(&METERS)
    },
    Branch::leaf(&COMMANDER),
    Branch::leaf(&BRIDGE),
    Branch::leaf(&DISPATCHER),
    Branch::leaf(&PARSER),
    Branch::leaf(&DRIVER),
];

/// The children of the root of the driver daemon, in order of start.
pub static DAEMON: [Branch; 2] = [Branch::leaf(&FIFO_WRITER), Branch::leaf(&DRIVER)];

/// A child and whom it supervises itself.
pub struct Branch {
    /// Who.
    pub role: &'static Role,
    /// One for each of something, started and stopped while the system runs.
    pub many: bool,
    /// In order of start.
    pub children: &'static [Branch],
}

impl Branch {
    const fn leaf(role: &'static Role) -> Self {
        Self {
            role,
            many: false,
            children: &[],
        }
    }
}

/// The gateway's tree as text, as it stands in this module's documentation and in the README.
pub fn render() -> String {
    text(&ROOT)
}

fn text(branches: &[Branch]) -> String {
    let mut rows = Vec::new();
    collect(branches, "", &mut rows);
    let widths: [usize; 4] = std::array::from_fn(|column| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    });
    let mut text = "Root  one_for_one, starts from the top, stops from the bottom\n".to_owned();
    for [name, restart, budget, backoff, shutdown] in &rows {
        let [name_width, restart_width, budget_width, backoff_width] = widths;
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{name:name_width$}  {restart:restart_width$}  {budget:budget_width$}  {backoff:backoff_width$}  {shutdown}"
        );
    }
    text
}

fn collect(branches: &[Branch], indent: &str, rows: &mut Vec<[String; 5]>) {
    for (at, branch) in branches.iter().enumerate() {
        let last = at + 1 == branches.len();
        let (fork, below) = if last { ("└", "  ") } else { ("├", "│ ") };
        let name = format!(
            "{indent}{fork} {}{}",
            camel_case(branch.role.name),
            if branch.many { " *" } else { "" }
        );
        rows.push(columns(name, branch.role));
        collect(branch.children, &format!("{indent}{below}"), rows);
    }
}

fn columns(name: String, role: &Role) -> [String; 5] {
    let policy = &role.policy;
    let beyond = match policy.beyond() {
        Beyond::GiveUp => "give up".to_owned(),
        Beyond::Park(parking) => format!("park {} s", parking.as_secs_f64()),
    };
    let backoff = policy.backoff();
    [
        name,
        format!("{:?}", policy.restart()).to_lowercase(),
        format!(
            "{} in {} s, then {beyond}",
            policy.intensity(),
            policy.period().as_secs_f64()
        ),
        format!(
            "back-off {}..{} s",
            backoff.base().as_secs_f64(),
            backoff.max().as_secs_f64()
        ),
        format!(
            "shutdown {} s{}",
            role.shutdown.within.as_secs_f64(),
            if role.shutdown.drain { ", drains" } else { "" }
        ),
    ]
}

/// `meter_handler` is `MeterHandler`.
fn camel_case(name: &str) -> String {
    let mut start = true;
    let letters = name.chars().filter_map(|letter| match letter {
        '_' => {
            start = true;
            None
        }
        _ if std::mem::take(&mut start) => Some(letter.to_ascii_uppercase()),
        _ => Some(letter),
    });
    letters.collect()
}

const DRAIN: Shutdown = Shutdown {
    within: Duration::from_secs(5),
    drain: true,
};
const DROP: Shutdown = Shutdown {
    within: Duration::from_secs(2),
    drain: false,
};

/// A mailbox takes all that the sources that lose nothing let into the system.
const fn service(name: &'static str, shutdown: Shutdown) -> Role {
    Role {
        name,
        policy: policy(10, Duration::from_secs(30), Beyond::GiveUp),
        mailbox: LOSSLESS_WINDOW,
        // Longer than any step of the pipeline takes on a busy machine.
        wait_limit: Duration::from_secs(60),
        shutdown,
    }
}

/// Evaluated by the compiler: a policy that makes no sense does not compile.
#[expect(
    clippy::panic,
    reason = "used in constants only, where it stops the compiler"
)]
const fn policy(intensity: u32, longest: Duration, beyond: Beyond) -> Policy {
    let Ok(backoff) = Backoff::new(Duration::from_millis(100), longest, 50) else {
        panic!("see Backoff::new")
    };
    match Policy::new(
        Restart::Permanent,
        intensity,
        Duration::from_secs(60),
        backoff,
        beyond,
    ) {
        Ok(policy) => policy,
        Err(_) => panic!("see Policy::new"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of the tree that a text holds, from the root to the first line that is not one of its branches.
    fn tree_in(text: &str) -> String {
        let lines = text
            .lines()
            .map(|line| line.trim_start_matches("//! "))
            .skip_while(|line| !line.starts_with("Root  one_for_one"));
        lines
            .enumerate()
            .take_while(|(at, line)| *at == 0 || line.starts_with(['├', '│', '└']))
            .map(|(_, line)| format!("{line}\n"))
            .collect()
    }

    #[test]
    fn the_documentation_shows_the_trees() {
        let documentation = include_str!("tree.rs");
        assert_eq!(tree_in(documentation), render());
        let (_, of_the_daemon) = documentation.split_once("has a tree of its own").unwrap();
        assert_eq!(tree_in(of_the_daemon), text(&DAEMON));
    }

    #[test]
    fn a_readme_that_shows_the_tree_shows_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
        let shown = std::fs::read_to_string(path)
            .map(|readme| tree_in(&readme))
            .unwrap_or_default();
        assert!(shown.is_empty() || shown == render(), "{shown}");
    }

    #[test]
    fn names_are_told_apart() {
        let mut names: Vec<_> = ROOT
            .iter()
            .flat_map(|branch| branch.children.iter().chain([branch]))
            .map(|branch| branch.role.name)
            .chain([FIFO_WRITER.name])
            .collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 9);
    }
}
