//! Why the program ends.

use std::io;

use omnigate_actors::commander::StopRequested;
use omnigate_actors::driver::SourceEnded;
use omnigate_actors::supervision::{GaveUp, Root};
use slog::{Logger, crit, info};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::exit::Exit;

/// Why the program ends.
#[derive(Debug)]
pub enum Reason {
    /// Somebody sent STOP.
    Stop(StopRequested),
    /// A signal came.
    Signal(&'static str),
    /// A file or standard input was read to its end.
    SourceEnded(SourceEnded),
    /// An actor failed again and again.
    GaveUp(GaveUp),
}

impl Reason {
    /// Logs it.
    pub fn report(&self, log: &Logger) {
        match self {
            Self::Stop(StopRequested { topic }) => {
                info!(log, "stopping"; "reason" => "STOP heard", "topic" => topic);
            }
            Self::Signal(name) => info!(log, "stopping"; "reason" => *name),
            Self::SourceEnded(SourceEnded(summary)) => {
                info!(log, "stopping when all readings are delivered";
                    "reason" => "end of the source", "telegrams" => summary.telegrams, "refused" => summary.refused);
            }
            Self::GaveUp(GaveUp { child, reason }) => {
                crit!(log, "giving up"; "actor" => child, "reason" => reason);
            }
        }
    }

    /// What the program's exit code says of it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::GaveUp(_) => Exit::GaveUp,
            Self::Stop(_) | Self::Signal(_) | Self::SourceEnded(_) => Exit::Clean,
        }
    }
}

/// Everything that may end the program.
pub struct Reasons {
    terminate: Signal,
    interrupt: Signal,
    stop: mpsc::Receiver<StopRequested>,
    ended: mpsc::Receiver<SourceEnded>,
}

/// Where actors say that the program should end.
pub struct Ends {
    /// For the Commander.
    pub stop: mpsc::Sender<StopRequested>,
    /// For the Driver.
    pub ended: mpsc::Sender<SourceEnded>,
}

impl Reasons {
    /// Begins to listen.
    ///
    /// # Errors
    /// If the system refuses a signal handler.
    pub fn listen() -> io::Result<(Self, Ends)> {
        let (stop, stops) = mpsc::channel(1);
        let (ended, ends) = mpsc::channel(1);
        let reasons = Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            stop: stops,
            ended: ends,
        };
        Ok((reasons, Ends { stop, ended }))
    }

    /// The first reason, or the next.
    pub async fn next(&mut self, root: &Root) -> Reason {
        tokio::select! {
            gave_up = root.gave_up() => Reason::GaveUp(gave_up),
            Some(stop) = self.stop.recv() => Reason::Stop(stop),
            Some(ended) = self.ended.recv() => Reason::SourceEnded(ended),
            _ = self.terminate.recv() => Reason::Signal("SIGTERM"),
            _ = self.interrupt.recv() => Reason::Signal("SIGINT"),
        }
    }

    /// The next signal that ends programs.
    pub async fn signal(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
