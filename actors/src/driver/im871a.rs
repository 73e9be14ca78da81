//! The source `im871a`: the port's bytes to the dongle's state machine and its decisions back to the port.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use slog::{debug, info, warn};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout, timeout_at};
use wmbus::im871a::{Answer, Deframer, Event, Message, Why};

use super::dongle::{Action, Condition, Dongle, Timing, Wanted};
use super::outlet::Outlet;
use super::port::{OpenError, Port, PortPath};
use super::status::DriverState;
use super::watch::Watch;
use crate::counters::Count;

/// Hears telegrams for ever, through all that may happen to the dongle.
pub(super) async fn run(
    path: &PortPath,
    wanted: Wanted,
    timing: Timing,
    resets: &Notify,
    outlet: &Outlet,
) {
    let mut dongle = Dongle::new(wanted, timing, Instant::now());
    let mut pause = SHORT_PAUSE;
    loop {
        let port = open_when_there(path, timing, &mut dongle, outlet).await;
        let opened = Instant::now();
        let end = listen(&port, &mut dongle, resets, outlet).await;
        drop(port);
        let unplugged = match end {
            End::Reopen => false,
            End::Unplugged(error) => {
                let reason =
                    error.map_or_else(|| "end of file".to_owned(), |error| error.to_string());
                warn!(outlet.log, "the dongle is gone"; "reason" => reason);
                outlet.status.update(|status| status.unplugged += 1);
                true
            }
        };
        dongle.closed(unplugged);
        outlet.status.update(|status| {
            status.path = None;
            status.dongle = None;
            status.link_mode = None;
        });
        // A port that ends again and again as soon as it is open must not keep a processor busy.
        pause = if opened.elapsed() < SHORT_SESSION {
            (pause * 2).min(LONG_PAUSE)
        } else {
            SHORT_PAUSE
        };
        sleep(pause).await;
    }
}

/// Why an open port was left.
enum End {
    /// The ladder asked for it.
    Reopen,
    /// The device is gone: end of file, or the error.
    Unplugged(Option<io::Error>),
}

/// Waits until the port is there and ours. Meanwhile nothing runs: the kernel says when its name appears.
async fn open_when_there(
    path: &PortPath,
    timing: Timing,
    dongle: &mut Dongle,
    outlet: &Outlet,
) -> Port {
    let mut pause = timing.first_pause;
    loop {
        let found = path.find();
        let target = found.as_ref().and_then(|path| path.canonicalize().ok());
        let folders = [
            Some(path.folder()),
            target.as_ref().and_then(|target| target.parent()),
        ];
        let watch = Watch::on(folders.into_iter().flatten());
        // Looked for again, now that nothing can be missed.
        let refusal = match path.find() {
            None => None,
            Some(path) => match Port::open(&path) {
                Ok(port) => {
                    info!(outlet.log, "port opened"; "port" => path.display().to_string());
                    outlet
                        .status
                        .update(|status| status.path = Some(path.display().to_string()));
                    return port;
                }
                Err(error) => Some((path, error)),
            },
        };
        dongle.closed(true);
        match refusal {
            None => {
                outlet.waiting(format!("no dongle at {path}"));
                pause = timing.first_pause;
                watch.changed().await;
            }
            Some((path, error)) => {
                if !matches!(error, OpenError::Gone) {
                    outlet.waiting(format!("{}: {error}", path.display()));
                }
                if timeout(pause, watch.changed()).await.is_err() {
                    pause = (pause * 2).min(LONGEST_OPENING_PAUSE.min(timing.longest_pause));
                }
            }
        }
    }
}

/// Serves the open port until it ends.
async fn listen(port: &Port, dongle: &mut Dongle, resets: &Notify, outlet: &Outlet) -> End {
    let mut deframer = Deframer::new();
    let mut buffer = [0; 1024];
    let mut receiver = Receiver {
        dongle,
        outlet,
        sends_crcs: false,
    };
    receiver.dongle.opened(Instant::now());
    loop {
        while let Some(action) = receiver.dongle.next_action() {
            match action {
                Action::Send(request) => {
                    debug!(outlet.log, "to the dongle"; "request" => ?request);
                    match timeout(WRITE_LIMIT, port.write_all(&request.to_message().encode())).await
                    {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => return End::Unplugged(Some(error)),
                        // A port that takes no bytes gives no answer either; the ladder deals with that.
                        Err(_) => {}
                    }
                }
                Action::Reopen => return End::Reopen,
                Action::Tell(note) => outlet.tell(note),
            }
        }
        outlet.enter(state(receiver.dongle.condition()));
        let Some(deadline) = receiver.dongle.deadline() else {
            return End::Reopen;
        };
        let wake = if deframer.is_waiting() {
            deadline.min(Instant::now() + BREAK)
        } else {
            deadline
        };
        let read = async {
            tokio::select! {
                read = port.read(&mut buffer) => Some(read),
                () = resets.notified() => None,
            }
        };
        let read = match timeout_at(wake.into(), read).await {
            Ok(Some(read)) => Ok(read),
            Ok(None) => {
                receiver.dongle.reset(Instant::now());
                continue;
            }
            Err(elapsed) => Err(elapsed),
        };
        match read {
            Ok(Ok(0)) => return End::Unplugged(None),
            Ok(Ok(count)) => deframer.push(buffer.get(..count).unwrap_or_default()),
            Ok(Err(error)) => return End::Unplugged(Some(error)),
            Err(_) => {
                deframer.pause();
                if Instant::now() >= deadline {
                    receiver.dongle.tick(Instant::now());
                }
            }
        }
        while let Some(event) = deframer.next() {
            receiver.receive(event);
        }
    }
}

/// What comes from the open port.
struct Receiver<'a> {
    dongle: &'a mut Dongle,
    outlet: &'a Outlet,
    /// It has sent a message with a CRC, so one without is garbage that looks like a message.
    sends_crcs: bool,
}

impl Receiver<'_> {
    /// One message, or bytes that were none.
    fn receive(&mut self, event: Event) {
        match event {
            Event::Message(message) if self.sends_crcs && !message.has_crc => {
                self.skip(message.encode().len(), "without CRC");
            }
            Event::Message(message) => self.understand(&message),
            Event::Discarded {
                count,
                why: Why::Crc,
            } => {
                self.outlet.counters.increment(Count::DongleCrcWrong);
                self.dongle.garbage(count, Instant::now());
            }
            Event::Discarded { count, why } => self.skip(count, why),
        }
    }

    fn understand(&mut self, message: &Message) {
        let now = Instant::now();
        match Answer::parse(message) {
            Ok(Some(answer)) => {
                self.sends_crcs |= message.has_crc;
                if let Answer::Telegram(telegram) = answer {
                    self.dongle.heard(now);
                    self.outlet.radio(telegram.bytes, telegram.rssi);
                } else {
                    debug!(self.outlet.log, "from the dongle"; "answer" => ?answer);
                    self.dongle.answered(&answer, now);
                }
            }
            Ok(None) => self.skip(message.encode().len(), "unknown message"),
            Err(error) => {
                warn!(self.outlet.log, "message of the dongle not understood"; "reason" => %error);
                self.skip(message.encode().len(), error);
            }
        }
    }

    fn skip(&mut self, count: usize, why: impl fmt::Debug) {
        debug!(self.outlet.log, "bytes skipped"; "count" => count, "reason" => ?why);
        self.outlet
            .counters
            .add(Count::SourceBytesSkipped, count as u64);
        self.dongle.garbage(count, Instant::now());
    }
}

/// The dongle's condition as the status shows it.
fn state(condition: Condition) -> DriverState {
    match condition {
        Condition::Closed | Condition::Configuring => DriverState::Configuring,
        Condition::Listening => DriverState::Listening,
        Condition::Silent => DriverState::Silent,
        Condition::Recovering { cause, rung } => DriverState::Recovering { cause, rung },
        Condition::Refused => DriverState::Refused,
    }
}

/// How long the port may take the few bytes of a request.
const WRITE_LIMIT: Duration = Duration::from_secs(1);
/// A pause in the stream after which no message goes on: twice what the longest takes at 57,600 baud.
const BREAK: Duration = Duration::from_millis(100);
/// Between two attempts to open a port that refuses. An attempt costs next to nothing.
const LONGEST_OPENING_PAUSE: Duration = Duration::from_secs(10);
/// A session shorter than this was a failed attempt.
const SHORT_SESSION: Duration = Duration::from_secs(1);
/// Between closing the port and looking for it again: the system needs a moment to remove the name of what was unplugged.
const SHORT_PAUSE: Duration = Duration::from_millis(100);
/// The same after many failed attempts.
const LONG_PAUSE: Duration = Duration::from_secs(5);
