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

#[cfg(feature = "fault-injection")]
pub use on::hit;
#[cfg(feature = "fault-injection")]
pub(crate) use on::{happen, pending};

#[cfg(not(feature = "fault-injection"))]
pub use off::hit;
#[cfg(not(feature = "fault-injection"))]
pub(crate) use off::{happen, pending};

/// Nothing, for every build that ships.
#[cfg(not(feature = "fault-injection"))]
mod off {
    use std::fmt::Display;

    use actix::{Actor, Context};

    use crate::supervision::Monitor;

    /// Does nothing.
    #[inline(always)]
    pub fn hit(_actor: &'static str, _instance: impl Display) {}

    #[inline(always)]
    pub(crate) const fn pending() -> bool {
        false
    }

    #[inline(always)]
    pub(crate) const fn happen<A: Actor<Context = Context<A>>>(
        _ctx: &mut Context<A>,
        _monitor: &Monitor,
    ) -> bool {
        false
    }
}

#[cfg(feature = "fault-injection")]
mod on {
    use std::cell::Cell;
    use std::collections::hash_map::RandomState;
    use std::fmt::Display;
    use std::hash::BuildHasher;
    use std::str::FromStr;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use actix::{Actor, ActorContext, Context};

    use crate::supervision::Monitor;

    thread_local! {
        /// An exit that the supervisor is to make when the actor's handler has returned.
        static PENDING: Cell<Option<Kind>> = const { Cell::new(None) };
    }

    /// Call this at the start of handling a message; `instance` is `""` for an actor that there is only one of.
    pub fn hit(actor: &'static str, instance: impl Display) {
        for fault in FAULTS.iter() {
            if fault.is_for(actor, &instance) && fault.is_due() {
                fault.kind.happen();
            }
        }
    }

    /// Whether the actor that runs on this thread is to end.
    pub(crate) fn pending() -> bool {
        PENDING.get().is_some()
    }

    /// Ends the actor if it is to end.
    pub(crate) fn happen<A: Actor<Context = Context<A>>>(
        ctx: &mut Context<A>,
        monitor: &Monitor,
    ) -> bool {
        match PENDING.take() {
            Some(Kind::Error) => monitor.fail(ctx, "injected fault"),
            Some(Kind::Stop) => ctx.stop(),
            _ => return false,
        }
        true
    }

    static FAULTS: LazyLock<Vec<Fault>> =
        LazyLock::new(|| match std::env::var("OMNIGATE_FAULTS") {
            Ok(list) => parse(&list).unwrap_or_else(|error| {
                eprintln!("OMNIGATE_FAULTS: {error}");
                std::process::exit(2)
            }),
            Err(_) => Vec::new(),
        });

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
        fn is_for(&self, actor: &str, instance: &dyn Display) -> bool {
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
                Self::Error | Self::Stop => PENDING.set(Some(self)),
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

    #[cfg(test)]
    mod tests {
        use super::*;

        fn due(when: &str, hits: usize) -> Vec<bool> {
            let fault: Fault = format!("parser:panic:{when}").parse().unwrap();
            (0..hits).map(|_| fault.is_due()).collect()
        }

        #[test]
        fn a_fault_is_due_when_it_says() {
            assert_eq!(due("2", 4), [false, true, false, false]);
            assert_eq!(due("x2", 4), [true, true, false, false]);
            assert_eq!(due("always", 2), [true, true]);
            let by_chance = due("1/4", 4000).into_iter().filter(|due| *due).count();
            // 27 is one standard deviation.
            assert!((800..1200).contains(&by_chance), "{by_chance}");
        }
    }
}
