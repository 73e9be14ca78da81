//! The FIFO between the driver daemon and the gateway: either may come, go and come back.
//!
//! Its lines are what the prototype's daemon wrote: the telegram in lower-case hexadecimal digits from its L field on, and two bytes
//! more, the CRC of the dongle's message. They carry no time: so nothing is kept for a gateway that is away, or it would take
//! telegrams of last night for new ones.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use slog::{Logger, info, warn};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::time::timeout;
use wmbus::im871a::{Answer, Telegram};

use super::outlet::Outlet;
use super::status::DriverState;
use super::watch::Watch;
use crate::counters::{Count, Counters};
use crate::parser::Parse;

/// The gateway's end.
#[derive(Debug)]
pub(super) struct Reader {
    path: PathBuf,
    pipe: pipe::Receiver,
    identity: Option<(u64, u64)>,
}

impl Reader {
    /// Waits until the FIFO is there.
    pub async fn open(path: &Path, outlet: &Outlet) -> Self {
        loop {
            let watch = Watch::on(path.parent());
            // Opened for writing too, so that it never ends: daemons may come and go.
            match pipe::OpenOptions::new()
                .read_write(true)
                .open_receiver(path)
            {
                Ok(pipe) => {
                    info!(outlet.log, "FIFO opened"; "path" => path.display().to_string());
                    outlet.enter(DriverState::Listening);
                    return Self {
                        path: path.to_owned(),
                        pipe,
                        identity: identity(path),
                    };
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    outlet.waiting(format!("no FIFO at {}", path.display()))
                }
                Err(error) if error.kind() == ErrorKind::InvalidInput => {
                    outlet.waiting(format!("{} is no FIFO", path.display()))
                }
                Err(error) => outlet.waiting(format!("{}: {error}", path.display())),
            }
            // What is wrong may be mended without any sign in the folder.
            let _ = timeout(LOOK_ANYWAY, watch.changed()).await;
        }
    }

    /// What a daemon wrote. Never ends.
    pub async fn read(&mut self, outlet: &Outlet) -> Vec<u8> {
        loop {
            let mut chunk = vec![0; CHUNK];
            match timeout(LOOK_ANYWAY, self.pipe.read(&mut chunk)).await {
                Ok(Ok(count)) if count > 0 => {
                    chunk.truncate(count);
                    return chunk;
                }
                // Removed and made again, it would never be heard of.
                Err(_) if identity(&self.path) == self.identity => {}
                _ => *self = Self::open(&self.path.clone(), outlet).await,
            }
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// FifoWriter: the daemon's end, in place of the Parser.
///
/// Receives [`Parse`]. Sends nothing. Owns the FIFO. Ends only by a bug: without a gateway at the other end, or with one that
/// does not keep up, telegrams are dropped and counted, for the radio cannot wait.
pub struct FifoWriter {
    config: FifoConfig,
    state: State,
}

/// What a [`FifoWriter`] is made of.
#[derive(Debug, Clone)]
pub struct FifoConfig {
    /// Where the FIFO is, or is to be made.
    pub path: PathBuf,
    /// Counts what is dropped.
    pub counters: Arc<Counters>,
    /// Where to log.
    pub log: Logger,
}

#[derive(Debug)]
enum State {
    Connected(File),
    Alone,
    /// The reason has been logged.
    Unusable(ErrorKind),
}

impl FifoWriter {
    /// One life of it.
    pub fn new(config: FifoConfig) -> Self {
        Self {
            config,
            state: State::Alone,
        }
    }

    /// The open FIFO, if somebody reads it.
    fn connect(&mut self) -> Option<&mut File> {
        if !matches!(self.state, State::Connected(_)) {
            match open_for_writing(&self.config.path) {
                Ok(Some(file)) => {
                    info!(self.config.log, "the gateway reads the FIFO");
                    self.state = State::Connected(file);
                }
                Ok(None) => self.state = State::Alone,
                Err(error) => {
                    if !matches!(self.state, State::Unusable(kind) if kind == error.kind()) {
                        warn!(self.config.log, "the FIFO cannot be used"; "error" => %error, "path" => self.config.path.display().to_string());
                    }
                    self.state = State::Unusable(error.kind());
                }
            }
        }
        match &mut self.state {
            State::Connected(file) => Some(file),
            _ => None,
        }
    }

    fn write(&mut self, line: &[u8]) {
        // Short lines are written whole or not at all.
        let result = match self.connect() {
            Some(file) => file.write(line),
            None => return self.config.counters.increment(Count::FifoUnread),
        };
        match result {
            Ok(_) => self.config.counters.increment(Count::FifoWritten),
            Err(error) => {
                self.config.counters.increment(Count::FifoUnread);
                if error.kind() != ErrorKind::WouldBlock {
                    info!(self.config.log, "the gateway has closed the FIFO"; "reason" => %error);
                    self.state = State::Alone;
                }
            }
        }
    }
}

impl Actor for FifoWriter {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Context<Self>) {
        self.connect();
    }
}

/// Every life begins unconnected.
impl Supervised for FifoWriter {
    fn restarting(&mut self, _: &mut Context<Self>) {
        self.state = State::Alone;
    }
}

impl Handler<Parse> for FifoWriter {
    type Result = ();

    fn handle(&mut self, Parse(telegram): Parse, _: &mut Context<Self>) {
        self.write(line(telegram.bytes()).as_bytes());
    }
}

/// Opens the FIFO, and makes it if it is not there; nothing if nobody reads it.
fn open_for_writing(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = match OpenOptions::new()
        .write(true)
        .custom_flags(flags)
        .open(path)
    {
        Ok(file) => file,
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) => {
            return Ok(None);
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            mknodat(
                CWD,
                path,
                FileType::Fifo,
                Mode::RUSR | Mode::WUSR | Mode::RGRP,
                0,
            )?;
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    if file.metadata()?.file_type().is_fifo() {
        Ok(Some(file))
    } else {
        Err(io::Error::new(ErrorKind::InvalidInput, "not a FIFO"))
    }
}

/// The line for a telegram.
fn line(telegram: &[u8]) -> String {
    let bare = Telegram {
        bytes: telegram.to_vec(),
        time_stamp: None,
        rssi: None,
    };
    let message = Answer::Telegram(bare).to_message().encode();
    let mut line = String::with_capacity(2 * message.len());
    for byte in message.iter().skip(BEFORE_THE_LENGTH) {
        line.extend(
            [byte >> 4, byte & 0x0F]
                .into_iter()
                .filter_map(|digit| char::from_digit(digit.into(), 16)),
        );
    }
    line.push('\n');
    line
}

/// A message of the dongle begins with a start byte, control bits and an identifier.
const BEFORE_THE_LENGTH: usize = 3;
const CHUNK: usize = 16 * 1024;
const LOOK_ANYWAY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::lines::TelegramLine;
    use crate::raw_telegram::RawTelegram;
    use jiff::Timestamp;
    use std::io::Read;

    const TELEGRAM: [u8; 4] = [3, 0x44, 0x2D, 0x2C];

    #[test]
    fn a_line_is_what_the_prototype_wrote() {
        // Its daemon cut the captured message a5820327… after the first three bytes.
        let message =
            "27442d2c5768663230028d201a13e00920dddf142f84b1107cae4e84dbcb98210fc275ddc868ce8d2554";
        let mut telegram = TelegramLine::parse(message.as_bytes())
            .unwrap()
            .unwrap()
            .telegram;
        telegram.truncate(40);
        assert_eq!(line(&telegram), format!("{message}\n"));
    }

    #[actix_rt::test]
    async fn the_writer_makes_the_fifo_and_outlives_its_readers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("IM871A_pipe");
        let counters = Arc::new(Counters::new());
        let log = Logger::root(slog::Discard, slog::o!());
        let writer = FifoWriter::new(FifoConfig {
            path: path.clone(),
            counters: Arc::clone(&counters),
            log,
        })
        .start();
        let send = async || {
            writer
                .send(Parse(RawTelegram::radio(
                    TELEGRAM,
                    Timestamp::UNIX_EPOCH,
                    None,
                )))
                .await
                .unwrap()
        };
        send().await;
        assert_eq!(counters.value(Count::FifoUnread), 1);
        for _ in 0..2 {
            let flags = OFlags::NONBLOCK.bits().cast_signed();
            let mut reader = OpenOptions::new()
                .read(true)
                .custom_flags(flags)
                .open(&path)
                .unwrap();
            send().await;
            let mut bytes = [0; 100];
            let count = reader.read(&mut bytes).unwrap();
            assert_eq!(bytes[..count], *line(&TELEGRAM).as_bytes());
            drop(reader);
            send().await;
        }
        assert_eq!(
            (
                counters.value(Count::FifoWritten),
                counters.value(Count::FifoUnread)
            ),
            (2, 3)
        );
    }
}
