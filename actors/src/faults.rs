//! Faults for the tests: actors that panic, fail, stop or hang on demand. Only with the feature `fault-injection`; without it [`hit`] is
//! an empty function.
//!
//! The environment variable `OMNIGATE_FAULTS` is a list, separated by commas, of `actor[/instance]:kind[:when]`:
//!
//! * `actor` is the name at the place of the call: a role's name, such as `parser`, or what the author wrote, such as `driver.started`;
//! * `instance` is one of several of that name: a meter's device id, or its whole name `kam-32666857`. Without it, any;
//! * `kind` is `panic`, `error` (the life ends as failed), `stop` (the actor stops by itself) or `hang` (the thread sleeps for ever);
//! * `when` is `3` (the third time only), `x3` (the first three times), `always`, or `1/50` (by chance, once in fifty). Without it, `1`.
//!
//! Example: `OMNIGATE_FAULTS=parser:panic:2,meter_handler/32666857:panic:always,driver:hang:1`. What is not understood is told on standard
//! error, and ends the program: a test whose fault does not happen proves nothing.

use std::fmt;

/// Called by an actor at the start of handling a message; `instance` is `""` for an actor that there is only one of.
#[cfg(not(feature = "fault-injection"))]
#[inline(always)]
pub fn hit(_actor: &'static str, _instance: impl fmt::Display) {}

/// Called by an actor at the start of handling a message; `instance` is `""` for an actor that there is only one of.
#[cfg(feature = "fault-injection")]
pub fn hit(actor: &'static str, instance: impl fmt::Display) {
    on::hit(actor, &instance);
}

#[cfg(feature = "fault-injection")]
pub(crate) use on::{Injected, take_injected};

#[cfg(feature = "fault-injection")]
mod on {
    use std::cell::Cell;
    use std::collections::hash_map::RandomState;
    use std::fmt;
    use std::hash::BuildHasher;
    use std::str::FromStr;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    /// An exit that the supervisor makes, when the actor's code has returned.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Injected {
        Error,
        Stop,
    }

    thread_local! {
        static INJECTED: Cell<Option<Injected>> = const { Cell::new(None) };
    }

    /// What a fault has asked for on this thread since the last call.
    pub(crate) fn take_injected() -> Option<Injected> {
        INJECTED.take()
    }

    static FAULTS: LazyLock<Vec<Fault>> =
        LazyLock::new(|| match std::env::var("OMNIGATE_FAULTS") {
            Ok(list) => parse(&list).unwrap_or_else(|error| {
                eprintln!("OMNIGATE_FAULTS: {error}");
                std::process::exit(2)
            }),
            Err(_) => Vec::new(),
        });

    pub(super) fn hit(actor: &str, instance: &dyn fmt::Display) {
        for fault in FAULTS.iter() {
            if fault.is_for(actor, instance) && fault.is_due() {
                fault.kind.happen();
            }
        }
    }

    struct Fault {
        actor: String,
        instance: Option<String>,
        kind: Kind,
        when: When,
        hits: AtomicU64,
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Kind {
        Panic,
        Error,
        Stop,
        Hang,
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum When {
        Nth(u64),
        First(u64),
        Always,
        OneIn(u64),
    }

    impl Fault {
        fn is_for(&self, actor: &str, instance: &dyn fmt::Display) -> bool {
            self.actor == actor
                && self.instance.as_ref().is_none_or(|wanted| {
                    let instance = instance.to_string();
                    instance == *wanted
                        || instance
                            .strip_suffix(wanted.as_str())
                            .is_some_and(|rest| rest.ends_with('-'))
                })
        }

        fn is_due(&self) -> bool {
            let hit = self.hits.fetch_add(1, Relaxed) + 1;
            match self.when {
                When::Nth(nth) => hit == nth,
                When::First(count) => hit <= count,
                When::Always => true,
                // A hasher with random keys is all the chance that is needed here.
                When::OneIn(range) => RandomState::new().hash_one(hit).is_multiple_of(range),
            }
        }
    }

    impl Kind {
        fn happen(self) {
            match self {
                #[expect(clippy::panic, reason = "a panic is what was asked for")]
                Self::Panic => panic!("injected fault"),
                Self::Error => INJECTED.set(Some(Injected::Error)),
                Self::Stop => INJECTED.set(Some(Injected::Stop)),
                Self::Hang => loop {
                    std::thread::park();
                },
            }
        }
    }

    fn parse(list: &str) -> Result<Vec<Fault>, String> {
        list.split(',')
            .map(str::trim)
            .filter(|fault| !fault.is_empty())
            .map(str::parse)
            .collect()
    }

    impl FromStr for Fault {
        type Err = String;

        fn from_str(text: &str) -> Result<Self, String> {
            let mut parts = text.split(':');
            let (who, kind) = parts
                .next()
                .zip(parts.next())
                .ok_or_else(|| format!("{text}: want actor[/instance]:kind[:when]"))?;
            let kind = match kind {
                "panic" => Kind::Panic,
                "error" => Kind::Error,
                "stop" => Kind::Stop,
                "hang" => Kind::Hang,
                _ => {
                    return Err(format!(
                        "{text}: {kind} is none of panic, error, stop, hang"
                    ));
                }
            };
            let when = parts
                .next()
                .map_or(Ok(When::Nth(1)), str::parse)
                .map_err(|error| format!("{text}: {error}"))?;
            if parts.next().is_some() {
                return Err(format!("{text}: too many colons"));
            }
            let (actor, instance) = who
                .split_once('/')
                .map_or((who, None), |(actor, instance)| {
                    (actor, Some(instance.to_owned()))
                });
            Ok(Self {
                actor: actor.to_owned(),
                instance,
                kind,
                when,
                hits: AtomicU64::new(0),
            })
        }
    }

    impl FromStr for When {
        type Err = String;

        fn from_str(text: &str) -> Result<Self, String> {
            let number = |digits: &str| digits.parse().ok().filter(|number| *number > 0);
            let when = match (text.strip_prefix('x'), text.strip_prefix("1/")) {
                _ if text == "always" => Some(Self::Always),
                (Some(count), _) => number(count).map(Self::First),
                (_, Some(range)) => number(range).map(Self::OneIn),
                _ => number(text).map(Self::Nth),
            };
            when.ok_or_else(|| format!("{text} is none of 3, x3, always, 1/3"))
        }
    }
}
