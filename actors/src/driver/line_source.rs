//! The sources `file`, `stdin` and `fifo`: telegrams as lines, none lost.
//!
//! What was read but not handed on yet outlives the Driver's restarts, so that a restart neither repeats nor loses lines.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use slog::{info, warn};
use tokio::sync::{Mutex, mpsc};

use super::fifo;
use super::lines::{Line, LineError, LineSplitter, TelegramLine};
use super::outlet::Outlet;
use super::status::DriverState;
use crate::counters::Count;

/// Which lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    File(PathBuf),
    Stdin,
    Fifo(PathBuf),
}

/// How a source of lines ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Lines that held a telegram.
    pub telegrams: u64,
    /// Lines that were refused.
    pub refused: u64,
    /// Why reading stopped, unless it was the end.
    pub failure: Option<String>,
}

/// Where reading is. Clones share it; it survives the Driver's restarts.
#[derive(Debug, Clone, Default)]
pub(super) struct Position(Arc<Mutex<Option<Reading>>>);

#[derive(Debug)]
struct Reading {
    /// Nothing once the end was reached.
    input: Option<Input>,
    splitter: LineSplitter,
    summary: Summary,
}

#[derive(Debug)]
enum Input {
    Thread(mpsc::Receiver<io::Result<Vec<u8>>>),
    Fifo(fifo::Reader),
}

/// Opens the source, and as soon as it is time reads it to the end, from where the last life stopped.
pub(super) async fn run(
    origin: &Origin,
    position: &Position,
    outlet: &Outlet,
    time: impl Future<Output = ()>,
) -> Summary {
    let mut position = position.0.lock().await;
    let reading = match &mut *position {
        Some(reading) => reading,
        nothing => nothing.insert(Reading::start(origin, outlet).await),
    };
    time.await;
    outlet
        .status
        .update(|status| status.path = Some(origin.name()));
    outlet.enter(DriverState::Listening);
    // The permit comes first: no line is taken before there is room for it.
    while let Some(permit) = outlet.permit().await {
        let Some(telegram) = reading.next_telegram(outlet).await else {
            break;
        };
        reading.summary.telegrams += 1;
        outlet.lossless(telegram, permit).await;
    }
    info!(outlet.log, "source read to its end"; "telegrams" => reading.summary.telegrams, "refused" => reading.summary.refused);
    outlet.enter(DriverState::Ended);
    reading.summary.clone()
}

impl Origin {
    fn name(&self) -> String {
        match self {
            Self::File(path) | Self::Fifo(path) => path.display().to_string(),
            Self::Stdin => "standard input".to_owned(),
        }
    }
}

impl Reading {
    async fn start(origin: &Origin, outlet: &Outlet) -> Self {
        let input = match origin {
            Origin::Fifo(path) => Ok(Input::Fifo(fifo::Reader::open(path, outlet).await)),
            Origin::File(path) => {
                let path = path.clone();
                thread(move |sender| File::open(path).and_then(|file| pump(file, sender)))
            }
            Origin::Stdin => thread(|sender| pump(io::stdin().lock(), sender)),
        };
        let failure = input.as_ref().err().map(io::Error::to_string);
        let summary = Summary {
            failure,
            ..Summary::default()
        };
        Self {
            input: input.ok(),
            splitter: LineSplitter::new(),
            summary,
        }
    }

    /// The next telegram; what is none is reported and passed over.
    async fn next_telegram(&mut self, outlet: &Outlet) -> Option<Vec<u8>> {
        while let Some(line) = self.next_line(outlet).await {
            let parsed = match &line.text {
                None => Err(LineError::TooLong),
                Some(text) => TelegramLine::parse(text),
            };
            match parsed {
                Ok(None) => {}
                Ok(Some(line)) => return Some(line.telegram),
                Err(error) => {
                    self.summary.refused += 1;
                    outlet.counters.increment(Count::SourceLinesRefused);
                    warn!(outlet.log, "line {} skipped", line.number; "reason" => %error);
                }
            }
        }
        None
    }

    async fn next_line(&mut self, outlet: &Outlet) -> Option<Line> {
        loop {
            if let Some(line) = self.splitter.next_line() {
                return Some(line);
            }
            let chunk = match self.input.as_mut()? {
                Input::Thread(chunks) => chunks.recv().await,
                Input::Fifo(fifo) => Some(Ok(fifo.read(outlet).await)),
            };
            match chunk {
                Some(Ok(chunk)) => self.splitter.push(&chunk),
                Some(Err(error)) => {
                    warn!(outlet.log, "the source cannot be read"; "error" => %error);
                    self.summary.failure = Some(error.to_string());
                    self.input = None;
                    return self.splitter.last_line();
                }
                None => {
                    self.input = None;
                    return self.splitter.last_line();
                }
            }
        }
    }
}

/// Files and standard input have no other way of waiting than to block, so they are read in a thread of their own, which is
/// never more than two chunks ahead. A thread that waits for standard input does not keep the program from ending.
fn thread(
    read: impl FnOnce(&mpsc::Sender<io::Result<Vec<u8>>>) -> io::Result<()> + Send + 'static,
) -> io::Result<Input> {
    let (sender, chunks) = mpsc::channel(1);
    std::thread::Builder::new()
        .name("lines".to_owned())
        .spawn(move || {
            if let Err(error) = read(&sender) {
                // Nobody waits for it any more if this fails.
                let _ = sender.blocking_send(Err(error));
            }
        })?;
    Ok(Input::Thread(chunks))
}

/// Passes on what can be read until the end, or until nobody wants it any more.
fn pump(mut input: impl Read, sender: &mpsc::Sender<io::Result<Vec<u8>>>) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                let chunk = buffer.get(..count).unwrap_or_default().to_vec();
                if sender.blocking_send(Ok(chunk)).is_err() {
                    return Ok(());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Bytes read at a time.
const CHUNK: usize = 16 * 1024;
