//! Driver: the source of telegrams.
//!
//! Receives nothing. Sends [`Parse`] to the Parser: telegrams of the radio with `try_send`, dropped and counted where the Parser
//! has no room; telegrams of a file, standard input or FIFO each with a permit, so that none is lost: the Driver reads no further
//! while the system is busy. Sends [`SourceEnded`] when a file or standard input was read to its end.
//! Owns the port and the recovery ladder ([`dongle`]). Ends only by a bug: a source that is missing, refuses or goes away is a
//! state, shown in [`DriverStatus`], in which it waits.

pub mod dongle;
mod fifo;
mod im871a;
mod line_source;
pub mod lines;
mod outlet;
pub mod port;
pub mod rhythm;
pub mod status;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix::fut::wrap_future;
use actix::prelude::*;
use slog::Logger;
use tokio::sync::{Notify, Semaphore, mpsc, watch as channel};
use tokio::time::timeout;

use self::dongle::{Timing, Wanted};
use self::line_source::{Origin, Position};
use self::outlet::Outlet;
use self::port::PortPath;
use self::status::{DriverState, StatusSender};
use crate::counters::Counters;
use crate::faults;
use crate::parser::Parse;

pub use self::fifo::{FifoConfig, FifoWriter};
pub use self::line_source::Summary;
pub use self::status::DriverStatus;

/// Where telegrams come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// The radio dongle.
    Im871a {
        /// Where it is.
        path: PortPath,
        /// What it is to hear.
        wanted: Wanted,
        /// How long things take.
        timing: Timing,
        /// Rings when somebody wants it reset.
        resets: Arc<Notify>,
    },
    /// A file with a telegram on each line (see [`lines`]).
    File(PathBuf),
    /// The same from standard input.
    Stdin,
    /// The same from the driver daemon, for ever.
    Fifo(PathBuf),
}

impl Source {
    /// What rings for a reset of the dongle, where the source is one.
    pub fn resets(&self) -> Option<&Arc<Notify>> {
        match self {
            Self::Im871a { resets, .. } => Some(resets),
            Self::File(_) | Self::Stdin | Self::Fifo(_) => None,
        }
    }
}

/// What a Driver is made of; a clone makes the next one.
#[derive(Clone)]
pub struct Config {
    source: Source,
    outlet: Outlet,
    meters_present: channel::Receiver<bool>,
    ended: mpsc::Sender<SourceEnded>,
    position: Position,
}

impl Config {
    /// A Driver that reads `source`.
    ///
    /// `parser` gets the telegrams. `permits` are those of the telegrams that must not be lost, in the whole system.
    /// A file or standard input is read only once `meters_present` says so, and `ended` is told when it was read to its end. A FIFO, whose
    /// daemon does not wait, is read after 20 seconds all the same: so it is known what is on the air.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a different wire to the rest of the system"
    )]
    pub fn new(
        source: Source,
        parser: Recipient<Parse>,
        permits: Arc<Semaphore>,
        meters_present: channel::Receiver<bool>,
        ended: mpsc::Sender<SourceEnded>,
        counters: Arc<Counters>,
        status: StatusSender,
        log: Logger,
    ) -> Self {
        let outlet = Outlet {
            parser,
            counters,
            status,
            permits,
            log,
        };
        Self {
            source,
            outlet,
            meters_present,
            ended,
            position: Position::default(),
        }
    }
}

/// A file or standard input was read to its end: all its telegrams are on their way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceEnded(pub Summary);

/// The actor.
pub struct Driver {
    config: Config,
}

impl Driver {
    /// One life of it.
    pub fn new(config: Config) -> Self {
        Self { config }
    }
}

impl Actor for Driver {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        faults::hit("driver.started", "");
        let config = self.config.clone();
        ctx.spawn(wrap_future(async move { config.run().await }));
    }
}

/// Every life begins with nothing but the configuration; [`Actor::started`] does the rest.
impl Supervised for Driver {}

impl Config {
    async fn run(mut self) {
        let origin = match &self.source {
            Source::Im871a {
                path,
                wanted,
                timing,
                resets,
            } => return im871a::run(path, *wanted, *timing, resets, &self.outlet).await,
            Source::File(path) => Origin::File(path.clone()),
            Source::Fifo(path) => {
                // What comes meanwhile waits in it.
                let told = self.meters_present.wait_for(|present| *present);
                let time = async { drop(timeout(TO_KNOW_THE_METERS, told).await) };
                let origin = Origin::Fifo(path.clone());
                line_source::run(&origin, &self.position, &self.outlet, time).await;
                return;
            }
            Source::Stdin => Origin::Stdin,
        };
        self.outlet.enter(DriverState::WaitingForMeters);
        if self
            .meters_present
            .wait_for(|present| *present)
            .await
            .is_err()
        {
            // Nobody will ever say so: the program is ending.
            return;
        }
        let now = std::future::ready(());
        let summary = line_source::run(&origin, &self.position, &self.outlet, now).await;
        // Nobody listens only when the program is ending anyway.
        let _ = self.ended.send(SourceEnded(summary)).await;
    }
}

/// How long what comes through a FIFO waits for the set of meters of an earlier run, which is read from the disk meanwhile.
const TO_KNOW_THE_METERS: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;
    use crate::clock;

    /// Stands in the Parser's place.
    struct Probe(mpsc::UnboundedSender<Vec<u8>>);

    impl Actor for Probe {
        type Context = Context<Self>;
    }

    impl Handler<Parse> for Probe {
        type Result = ();

        fn handle(&mut self, Parse(telegram): Parse, _: &mut Context<Self>) {
            self.0.send(telegram.bytes().to_vec()).unwrap();
        }
    }

    #[actix_rt::test]
    async fn what_comes_through_a_fifo_waits_until_the_meters_are_known() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
        let both = OpenOptions::new().read(true).write(true).open(&path);
        writeln!(both.as_ref().unwrap(), "03442d2c").unwrap();
        let (sender, mut received) = mpsc::unbounded_channel();
        let (known, meters_present) = channel::channel(false);
        let config = Config::new(
            Source::Fifo(path),
            Probe(sender).start().recipient(),
            Arc::new(Semaphore::new(1)),
            meters_present,
            mpsc::channel(1).0,
            Arc::new(Counters::new()),
            StatusSender::new(clock::now()),
            Logger::root(slog::Discard, slog::o!()),
        );
        actix_rt::spawn(config.run());
        let soon = timeout(Duration::from_millis(300), received.recv());
        assert!(soon.await.is_err());
        known.send(true).unwrap();
        assert_eq!(received.recv().await.unwrap(), [3, 0x44, 0x2D, 0x2C]);
    }
}
