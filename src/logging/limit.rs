//! Keeps the log readable when something happens again and again: a rate limit per meter and reason.
//!
//! Of messages from the same place in the program, about the same actor, meter and reason, [`Limits::burst`] are let through within
//! [`Limits::window`]. The others are counted, and when the window is over one message says how many there were. What is pure is
//! [`Limiter`]; the drain around it has a thread that sleeps unless something is being counted.

use std::collections::HashMap;
use std::fmt::{self, Write};
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use slog::{Drain, KV, Key, Never, OwnedKVList, Record, RecordStatic, Serializer, b, o};

use super::entry::Entry;

/// How much is let through.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many messages of one kind within a window.
    pub burst: u32,
    /// How long messages of one kind are counted together.
    pub window: Duration,
    /// How many kinds are told apart at a time; those beyond it count as one kind.
    pub kinds: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            burst: 5,
            window: Duration::from_secs(60),
            kinds: 4096,
        }
    }
}

/// What kind of message it is: the same for messages that only say the same again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Kind(u64);

/// All kinds for which there was no room.
const OTHERS: Kind = Kind(0);

/// What is known of the messages of one kind.
struct Counted {
    since: Instant,
    passed: u32,
    suppressed: u64,
    /// The first that was suppressed.
    example: Option<Entry>,
}

/// The messages of one kind that were not logged.
#[derive(Debug)]
struct Suppressed {
    count: u64,
    example: Entry,
}

/// Decides what is let through. Pure: the time comes in as an argument.
struct Limiter {
    limits: Limits,
    kinds: HashMap<Kind, Counted>,
}

impl Limiter {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            kinds: HashMap::new(),
        }
    }

    /// Whether this message is let through. `entry` is asked for if it is the first that is not.
    fn admit(&mut self, kind: Kind, now: Instant, entry: impl FnOnce() -> Entry) -> bool {
        let full = self.kinds.len() >= self.limits.kinds && !self.kinds.contains_key(&kind);
        if full {
            let window = self.limits.window;
            self.kinds
                .retain(|_, counted| counted.suppressed > 0 || now < counted.since + window);
        }
        let kind = if self.kinds.len() >= self.limits.kinds && !self.kinds.contains_key(&kind) {
            OTHERS
        } else {
            kind
        };
        let fresh = || Counted {
            since: now,
            passed: 0,
            suppressed: 0,
            example: None,
        };
        let counted = self.kinds.entry(kind).or_insert_with(fresh);
        // With suppressed messages the window ends when they were reported.
        if counted.suppressed == 0 && now >= counted.since + self.limits.window {
            *counted = fresh();
        }
        if counted.passed < self.limits.burst {
            counted.passed += 1;
            return true;
        }
        counted.suppressed += 1;
        counted.example.get_or_insert_with(entry);
        false
    }

    /// The kinds whose window is over, with what was suppressed of them; `all`: the others too.
    fn over(&mut self, now: Instant, all: bool) -> Vec<Suppressed> {
        let window = self.limits.window;
        let mut over = Vec::new();
        self.kinds.retain(|_, counted| {
            let due = counted.suppressed > 0 && (all || now >= counted.since + window);
            if due && let Some(example) = counted.example.take() {
                over.push(Suppressed {
                    count: counted.suppressed,
                    example,
                });
            }
            !due
        });
        over
    }

    /// When the next window with suppressed messages is over.
    fn next(&self) -> Option<Instant> {
        let waiting = self.kinds.values().filter(|counted| counted.suppressed > 0);
        waiting
            .map(|counted| counted.since + self.limits.window)
            .min()
    }
}

/// The drain.
pub struct RateLimit<D>(Arc<Shared<D>>);

struct Shared<D> {
    drain: D,
    limiter: Mutex<Limiter>,
    /// Told when a message is suppressed and none was before.
    suppressing: Condvar,
    hashing: RandomState,
}

impl<D: Drain<Ok = (), Err = Never> + Send + Sync + 'static> RateLimit<D> {
    /// Passes on to `drain` what is within the limits.
    pub fn new(drain: D, limits: Limits) -> Self {
        let shared = Arc::new(Shared {
            drain,
            limiter: Mutex::new(Limiter::new(limits)),
            suppressing: Condvar::new(),
            hashing: RandomState::new(),
        });
        let weak = Arc::downgrade(&shared);
        // Without the thread, what was suppressed is reported at the end only.
        let _ = thread::Builder::new()
            .name("log-limit".to_owned())
            .spawn(move || report_in_time(&weak));
        Self(shared)
    }

    /// Reports what was suppressed and not yet reported.
    pub fn report_all(&self) {
        let over = self.0.limiter().over(Instant::now(), true);
        self.0.report(over);
    }
}

impl<D> Clone for RateLimit<D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<D: Drain<Ok = (), Err = Never>> Drain for RateLimit<D> {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), Never> {
        let kind = self.0.kind(record, values);
        let mut limiter = self.0.limiter();
        let was_idle = limiter.next().is_none();
        let admitted = limiter.admit(kind, Instant::now(), || Entry::of(record, values));
        drop(limiter);
        if admitted {
            return self.0.drain.log(record, values);
        }
        if was_idle {
            self.0.suppressing.notify_one();
        }
        Ok(())
    }
}

impl<D> Shared<D> {
    fn limiter(&self) -> MutexGuard<'_, Limiter> {
        self.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kind(&self, record: &Record<'_>, values: &OwnedKVList) -> Kind {
        let mut kind = KindOf(self.hashing.build_hasher());
        record.location().file.hash(&mut kind.0);
        record.location().line.hash(&mut kind.0);
        // The serializer does not fail.
        let _ = record.kv().serialize(record, &mut kind);
        let _ = values.serialize(record, &mut kind);
        Kind(kind.0.finish().max(1))
    }
}

impl<D: Drain<Ok = (), Err = Never>> Shared<D> {
    fn report(&self, over: Vec<Suppressed>) {
        for Suppressed { count, example } in over {
            let place = slog::RecordLocation {
                file: file!(),
                line: line!(),
                column: 0,
                function: "",
                module: module_path!(),
            };
            let record = RecordStatic {
                location: &place,
                tag: "",
                level: example.level,
            };
            let _ = self.drain.log(
                &Record::new(
                    &record,
                    &format_args!("{} ({count} more like this)", example.message),
                    b!(),
                ),
                &o!(SendPairs(example.pairs)).into(),
            );
        }
    }
}

/// A suppressed message's keys and values.
struct SendPairs(Vec<(Key, String)>);

impl KV for SendPairs {
    fn serialize(&self, _: &Record<'_>, serializer: &mut dyn Serializer) -> slog::Result {
        self.0
            .iter()
            .try_for_each(|(key, value)| serializer.emit_str(key, value))
    }
}

/// Hashes the keys that tell kinds apart.
struct KindOf<H>(H);

impl<H: Hasher> Serializer for KindOf<H> {
    fn emit_arguments(&mut self, key: Key, value: &fmt::Arguments<'_>) -> slog::Result {
        if ["actor", "meter", "reason"].contains(&key) {
            key.hash(&mut self.0);
            let _ = write!(Hashing(&mut self.0), "{value}");
        }
        Ok(())
    }
}

struct Hashing<'a, H>(&'a mut H);

impl<H: Hasher> Write for Hashing<'_, H> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

/// Reports suppressed messages when their window is over, for as long as the drain lives.
fn report_in_time<D: Drain<Ok = (), Err = Never>>(drain: &Weak<Shared<D>>) {
    while let Some(shared) = drain.upgrade() {
        let now = Instant::now();
        let mut limiter = shared.limiter();
        let over = limiter.over(now, false);
        let next = limiter.next();
        drop(limiter);
        shared.report(over);
        // Looks up now and then whether the drain still lives; that costs nothing worth measuring.
        let pause = next.map_or(LONGEST_SLEEP, |next| {
            next.saturating_duration_since(now).min(LONGEST_SLEEP)
        });
        let limiter = shared.limiter();
        if limiter.next() == next {
            let _ = shared.suppressing.wait_timeout(limiter, pause);
        }
    }
}

const LONGEST_SLEEP: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use slog::{Level, Logger, error, info, warn};

    use super::super::entry::tests::Memory;
    use super::*;

    const LIMITS: Limits = Limits {
        burst: 2,
        window: Duration::from_secs(60),
        kinds: 3,
    };

    fn entry() -> Entry {
        Entry {
            level: Level::Warning,
            message: "bad".to_owned(),
            pairs: Vec::new(),
        }
    }

    #[test]
    fn a_burst_is_let_through_in_every_window_and_the_rest_is_counted() {
        let mut limiter = Limiter::new(LIMITS);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut admit = |kind, seconds| limiter.admit(Kind(kind), at(seconds), entry);
        assert_eq!(
            [admit(1, 0), admit(1, 1), admit(1, 2), admit(1, 59)],
            [true, true, false, false]
        );
        assert!(admit(2, 3), "another kind has a window of its own");
        assert!(limiter.over(at(59), false).is_empty());
        assert_eq!(limiter.next(), Some(at(60)));
        let over = limiter.over(at(60), false);
        assert_eq!(over.iter().map(|kind| kind.count).collect::<Vec<_>>(), [2]);
        assert_eq!(limiter.next(), None);
        assert!(limiter.admit(Kind(1), at(61), entry));
    }

    #[test]
    fn a_window_without_suppressed_messages_ends_by_itself() {
        let mut limiter = Limiter::new(LIMITS);
        let start = Instant::now();
        for minute in 0..5 {
            let now = start + Duration::from_secs(60 * minute);
            assert!(limiter.admit(Kind(1), now, entry) && limiter.admit(Kind(1), now, entry));
        }
    }

    #[test]
    fn memory_is_bounded_and_kinds_beyond_it_share_one_limit() {
        let mut limiter = Limiter::new(LIMITS);
        let now = Instant::now();
        let admitted = (1..=1000)
            .filter(|kind| limiter.admit(Kind(*kind), now, entry))
            .count();
        assert_eq!(admitted, 3 + 2);
        assert!(limiter.kinds.len() <= 4);
        assert_eq!(
            limiter
                .over(now, true)
                .iter()
                .map(|kind| kind.count)
                .sum::<u64>(),
            1000 - 5
        );
        let later = now + LIMITS.window;
        assert!(
            limiter.admit(Kind(5000), later, entry) && limiter.admit(Kind(5001), later, entry),
            "old kinds are forgotten"
        );
    }

    #[test]
    fn the_log_says_how_many_were_left_out() {
        let memory = Memory::default();
        let limits = Limits {
            // Long enough to log everything in it, even on a busy machine.
            window: Duration::from_secs(5),
            ..LIMITS
        };
        let drain = RateLimit::new(memory.clone(), limits);
        let log = Logger::root(drain.clone(), o!("actor" => "handler"));
        for number in 0..10 {
            for meter in ["A", "B"] {
                warn!(log, "refused {}", number; "meter" => meter, "reason" => "wrong key");
            }
        }
        info!(log, "something else");
        let deadline = Instant::now() + Duration::from_secs(60);
        while memory.lines().len() < 7 && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
        let lines = memory.lines();
        assert_eq!(lines.len(), 7, "{lines:#?}");
        let told: Vec<_> = lines
            .iter()
            .filter(|line| line.starts_with("W refused 2 (8 more like this), "))
            .collect();
        assert_eq!(told.len(), 2, "{lines:#?}");
        assert!(
            told.iter()
                .all(|line| line.contains("reason: wrong key") && line.contains("actor: handler")),
            "{told:?}"
        );
        assert!(
            told.iter().any(|line| line.contains("meter: A"))
                && told.iter().any(|line| line.contains("meter: B"))
        );
    }

    #[test]
    fn nothing_is_left_unsaid_at_the_end() {
        let memory = Memory::default();
        let drain = RateLimit::new(memory.clone(), LIMITS);
        let log = Logger::root(drain.clone(), o!());
        for _ in 0..5 {
            error!(log, "bad");
        }
        drain.report_all();
        assert_eq!(
            memory.lines(),
            ["E bad", "E bad", "E bad (3 more like this)"]
        );
    }
}
