//! Logging: to the terminal when there is one, to the system's log for the service; errors reach the system's log always.
//!
//! A message passes the level's filter and the rate limit on the thread that logs it, then waits, bounded, for a thread of its own that
//! writes it: no actor ever waits for a terminal or a log daemon. What does not fit there is counted and the count is logged.
//! Messages carry the keys `actor`, `meter`, `reason` and `error` where they apply. Nothing secret is ever given to a logger.

mod entry;
mod limit;
mod syslog;

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use omnigate_actors::bridge::{Feed, Line, LogLevel};
use slog::{Drain, IgnoreResult, Logger, Never, OwnedKVList, Record, RecordStatic, b, o};
use slog_async::{Async, AsyncGuard, OverflowStrategy};
use slog_term::{FullFormat, PlainSyncDecorator, TermDecorator};

use self::entry::Entry;
use self::limit::{Limits, RateLimit};
use self::syslog::Syslog;
pub use self::syslog::Target;
use crate::settings::sections::{Level, Log};

/// The program's log. Dropping it writes what is waiting.
pub struct Logging {
    logger: Logger,
    level: Arc<LevelFilter>,
    feed: Arc<Feed>,
    limit: RateLimit<IgnoreResult<Async>>,
    guard: Option<AsyncGuard>,
}

impl Logging {
    /// For the service: to the terminal if there is one; to the system's log all of it if they say so, otherwise errors only. What would
    /// have nowhere to go is written to standard error.
    pub fn for_service(settings: &Log) -> Self {
        let target = match &settings.syslog_socket {
            Some(socket) => Target::Rfc5424(socket.clone()),
            None => Target::of_machine(),
        };
        Self::to(settings.level, Some((target, settings.syslog)))
    }

    /// For commands that somebody types: to standard error only.
    pub fn for_terminal(level: Level) -> Self {
        Self::to(level, None)
    }

    fn to(level: Level, syslog: Option<(Target, bool)>) -> Self {
        let terminal = match &syslog {
            _ if io::stderr().is_terminal() => Some(Terminal::Colourful(Box::new(coloured()))),
            Some((target, true)) if target.path().exists() => None,
            _ => Some(Terminal::Plain(Box::new(plain()))),
        };
        let syslog = syslog.and_then(|(target, all)| {
            let least = if all {
                slog::Level::Trace
            } else {
                slog::Level::Error
            };
            Some((Mutex::new(Syslog::new(target).ok()?), least))
        });
        let feed: Arc<Feed> = Arc::default();
        let outputs = Outputs {
            terminal,
            syslog,
            feed: Arc::clone(&feed),
        };
        let mut logging = Self::with(outputs, level, Limits::default());
        logging.feed = feed;
        logging
    }

    fn with(
        outputs: impl Drain<Ok = (), Err = Never> + Send + 'static,
        level: Level,
        limits: Limits,
    ) -> Self {
        let (queue, guard) = Async::new(outputs)
            .chan_size(QUEUE)
            .overflow_strategy(OverflowStrategy::DropAndReport)
            .thread_name("log".to_owned())
            .build_with_guard();
        let limit = RateLimit::new(queue.ignore_res(), limits);
        let level = Arc::new(LevelFilter(AtomicUsize::new(level.to_slog().as_usize())));
        let logger = Logger::root(
            Filtered {
                level: Arc::clone(&level),
                drain: limit.clone(),
            },
            o!(),
        );
        Self {
            logger,
            level,
            feed: Arc::default(),
            limit,
            guard: Some(guard),
        }
    }

    /// What everything is logged with.
    pub fn logger(&self) -> &Logger {
        &self.logger
    }

    /// From now on, messages less important than this are not logged.
    pub fn change_level(&self, level: Level) {
        self.level_switch().change(level);
    }

    /// The same for somebody else.
    pub fn level_switch(&self) -> LevelSwitch {
        LevelSwitch(Arc::clone(&self.level))
    }

    /// Where the bridge gets what is logged.
    pub fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }
}

/// Changes the level of the log while the program runs.
#[derive(Clone)]
pub struct LevelSwitch(Arc<LevelFilter>);

impl LevelSwitch {
    /// From now on, messages less important than this are not logged.
    pub fn change(&self, level: Level) {
        self.0
            .0
            .store(level.to_slog().as_usize(), Ordering::Relaxed);
    }

    /// The least important messages that are logged.
    pub fn level(&self) -> Level {
        let level = slog::Level::from_usize(self.0.0.load(Ordering::Relaxed));
        level.map_or(Level::Debug, Level::from_slog)
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        self.limit.report_all();
        // A terminal that is held, or a pipe that nobody reads, must not keep the program from ending.
        let (done, is_done) = mpsc::channel();
        let guard = self.guard.take();
        let flushing = thread::Builder::new().spawn(move || {
            drop(guard);
            let _ = done.send(());
        });
        if flushing.is_ok() {
            let _ = is_done.recv_timeout(LONGEST_FLUSH);
        }
    }
}

impl From<Level> for LogLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::Error => Self::Error,
            Level::Warning => Self::Warning,
            Level::Info => Self::Info,
            Level::Debug => Self::Debug,
        }
    }
}

impl From<LogLevel> for Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::Error,
            LogLevel::Warning => Self::Warning,
            LogLevel::Info => Self::Info,
            LogLevel::Debug => Self::Debug,
        }
    }
}

impl Level {
    /// The level of a message; there are more kinds than we have.
    fn from_slog(level: slog::Level) -> Self {
        [Self::Error, Self::Warning, Self::Info]
            .into_iter()
            .find(|known| level.is_at_least(known.to_slog()))
            .unwrap_or(Self::Debug)
    }

    fn to_slog(self) -> slog::Level {
        match self {
            Self::Error => slog::Level::Error,
            Self::Warning => slog::Level::Warning,
            Self::Info => slog::Level::Info,
            Self::Debug => slog::Level::Debug,
        }
    }
}

/// The least important level that is logged, as slog counts them. It can be changed while the program runs.
struct LevelFilter(AtomicUsize);

impl LevelFilter {
    fn admits(&self, level: slog::Level) -> bool {
        level.as_usize() <= self.0.load(Ordering::Relaxed)
    }
}

struct Filtered<D> {
    level: Arc<LevelFilter>,
    drain: D,
}

impl<D: Drain<Ok = (), Err = Never>> Drain for Filtered<D> {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), Never> {
        if self.level.admits(record.level()) {
            self.drain.log(record, values)
        } else {
            Ok(())
        }
    }

    fn is_enabled(&self, level: slog::Level) -> bool {
        self.level.admits(level)
    }
}

/// Where messages end.
struct Outputs {
    terminal: Option<Terminal>,
    syslog: Option<(Mutex<Syslog>, slog::Level)>,
    feed: Arc<Feed>,
}

enum Terminal {
    Colourful(Box<FullFormat<TermDecorator>>),
    Plain(Box<FullFormat<PlainSyncDecorator<io::Stderr>>>),
}

impl Drain for Outputs {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), Never> {
        let entry = Entry::of(record, values);
        if let Some((syslog, least)) = &self.syslog
            && record.level().is_at_least(*least)
        {
            syslog
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .send(&entry, Timestamp::now());
        }
        self.feed.push(|| Line {
            level: Level::from_slog(entry.level).into(),
            message: entry.to_string(),
        });
        if let Some(terminal) = &self.terminal {
            let place = record.location();
            let record = RecordStatic {
                location: place,
                tag: "",
                level: entry.level,
            };
            let message = format_args!("{}", entry.message);
            let (pairs, none) = (b!(), OwnedKVList::from(o!(entry.clone())));
            let record = Record::new(&record, &message, pairs);
            // There is nobody to tell that the terminal is gone.
            let _ = match terminal {
                Terminal::Colourful(format) => format.log(&record, &none),
                Terminal::Plain(format) => format.log(&record, &none),
            };
        }
        Ok(())
    }
}

fn coloured() -> FullFormat<TermDecorator> {
    let format = FullFormat::new(TermDecorator::new().stderr().build());
    format
        .use_custom_timestamp(time)
        .use_original_order()
        .build()
}

fn plain() -> FullFormat<PlainSyncDecorator<io::Stderr>> {
    let format = FullFormat::new(PlainSyncDecorator::new(io::stderr()));
    format
        .use_custom_timestamp(time)
        .use_original_order()
        .build()
}

/// As in the data messages: UTC, ISO 8601.
fn time(out: &mut dyn io::Write) -> io::Result<()> {
    write!(out, "{:.3}", Timestamp::now())
}

/// Messages waiting to be written. With the rate limit in front of it, only a terminal that is held fills it.
const QUEUE: usize = 1024;
const LONGEST_FLUSH: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::path::PathBuf;
    use std::time::Instant;

    use slog::{debug, error, info};

    use super::entry::tests::Memory;
    use super::*;

    /// Longer than anything takes on a busy machine.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn the_level_can_be_changed_while_running() {
        let memory = Memory::default();
        let logging = Logging::with(memory.clone(), Level::Info, Limits::default());
        info!(logging.logger(), "one");
        debug!(logging.logger(), "two");
        logging.change_level(Level::Debug);
        debug!(logging.logger(), "three");
        logging.change_level(Level::Error);
        info!(logging.logger(), "four");
        error!(logging.logger(), "five");
        drop(logging);
        // On a busy machine the log is written a moment later.
        let deadline = Instant::now() + PATIENCE;
        while memory.lines().len() < 3 && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(memory.lines(), ["I one", "D three", "E five"]);
    }

    #[test]
    fn errors_reach_the_systems_log_always_and_the_rest_if_wanted() {
        for (all, expected) in [(true, vec!["small", "large"]), (false, vec!["large"])] {
            let folder = tempfile::tempdir().unwrap();
            let path: PathBuf = folder.path().join("log");
            let daemon = UnixDatagram::bind(&path).unwrap();
            let logging = Logging::to(Level::Info, Some((Target::Rfc5424(path), all)));
            info!(logging.logger(), "small");
            error!(logging.logger(), "large");
            drop(logging);
            // On a busy machine the log is written a moment later.
            daemon.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut heard = Vec::new();
            let mut buffer = [0; 4096];
            while let Ok(length) = daemon.recv(&mut buffer) {
                heard.push(
                    String::from_utf8_lossy(&buffer[..length])
                        .rsplit(' ')
                        .next()
                        .unwrap()
                        .to_owned(),
                );
                if heard.len() == expected.len() {
                    daemon.set_nonblocking(true).unwrap();
                }
            }
            assert_eq!(heard, expected);
        }
    }

    #[test]
    fn an_output_that_hangs_does_not_keep_the_program_from_ending() {
        struct Hanging;
        impl Drain for Hanging {
            type Ok = ();
            type Err = Never;
            fn log(&self, _: &Record<'_>, _: &OwnedKVList) -> Result<(), Never> {
                loop {
                    thread::park();
                }
            }
        }
        let logging = Logging::with(Hanging, Level::Info, Limits::default());
        let start = Instant::now();
        for number in 0..2 * QUEUE {
            info!(logging.logger(), "more"; "reason" => number);
        }
        drop(logging);
        assert!(start.elapsed() < LONGEST_FLUSH + PATIENCE);
    }
}
