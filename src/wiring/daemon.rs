//! The driver daemon: the Driver alone, with the FIFO's writer in the Parser's place.

use std::io;
use std::path::Path;
use std::sync::Arc;

use actix::prelude::*;
use omnigate_actors::clock;
use omnigate_actors::counters::{Count, Counters};
use omnigate_actors::driver::status::StatusSender;
use omnigate_actors::driver::{self, Driver, FifoConfig, FifoWriter};
use omnigate_actors::raw_telegram::LOSSLESS_WINDOW;
use omnigate_actors::supervision::heartbeat::{Heartbeat, Limits};
use omnigate_actors::supervision::{Child, Event, Root, supervise_on};
use omnigate_actors::tree;
use slog::{Logger, info, o};
use tokio::sync::{Semaphore, watch};

use super::reasons::Ends;
use super::watchdog;
use crate::settings::DaemonSettings;

/// Its actors, in the order in which they were started. They are stopped the other way round.
pub struct Daemon {
    root: Arc<Root>,
    log: Logger,
    counters: Arc<Counters>,
    writer: Child<FifoWriter>,
    driver: Child<Driver>,
    heartbeat: Heartbeat,
    radio: Arbiter,
}

impl Daemon {
    /// The keys that can change while it runs.
    pub const CHANGEABLE: [&str; 1] = ["log.level"];

    /// Starts everything.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn start(
        settings: &DaemonSettings,
        fifo: &Path,
        log: &Logger,
        ends: Ends,
    ) -> io::Result<Self> {
        let radio = Arbiter::new();
        let counters = Arc::new(Counters::new());
        let root = {
            let counters = Arc::clone(&counters);
            Root::new(log.clone(), move |report| {
                if matches!(report.event, Event::Exited { lost: true, .. }) {
                    counters.increment(Count::InHandLost);
                }
            })
        };
        let of_actor = |name: &'static str| log.new(o!("actor" => name));

        let config = FifoConfig {
            path: fifo.to_owned(),
            counters: Arc::clone(&counters),
            log: of_actor("fifo_writer"),
        };
        let writer = supervise_on(&radio.handle(), &root, &tree::FIFO_WRITER, move |_| {
            FifoWriter::new(config.clone())
        });

        let config = driver::Config::new(
            settings.source.clone(),
            writer.addr.clone().recipient(),
            Arc::new(Semaphore::new(LOSSLESS_WINDOW)),
            // Only recordings wait for meters.
            watch::channel(true).1,
            ends.ended,
            Arc::clone(&counters),
            StatusSender::new(clock::of_reception()),
            of_actor("driver"),
        );
        let driver = supervise_on(&radio.handle(), &root, &tree::DRIVER, move |_| {
            Driver::new(config.clone())
        });

        let heartbeat = {
            let log = log.clone();
            Heartbeat::start(
                Arc::clone(&root),
                &[("radio", radio.handle())],
                Limits::default(),
                move |complaints| watchdog::judge(&log, complaints),
            )?
        };
        info!(log, "driver daemon started"; "fifo" => fifo.display().to_string());
        Ok(Self {
            root,
            log: log.clone(),
            counters,
            writer,
            driver,
            heartbeat,
            radio,
        })
    }

    /// The root of the supervision tree.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Stops the source, then the writer after it has written what waits for it.
    pub async fn stop(self) {
        self.driver.stop().await;
        self.writer.stop().await;
        drop(self.heartbeat);
        self.radio.stop();
        info!(self.log, "stopped";
            "written" => self.counters.value(Count::FifoWritten), "unread" => self.counters.value(Count::FifoUnread));
    }
}
