//! The virtual dongle: the virtual module at the end of a pseudo-terminal, and all that can go wrong with it.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use wmbus::im871a::{Answer, LinkMode, Request, Rssi};

use super::module::Module;
use super::pty::Pty;

/// A dongle that any software made for it can open. Usable from any thread; unplugged when dropped.
#[derive(Debug)]
pub struct VirtualDongle {
    link: Option<PathBuf>,
    shared: Arc<Shared>,
    plugged: Mutex<Option<Plugged>>,
}

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ailment {
    /// It neither answers nor forwards telegrams.
    Deaf,
    /// It answers but forwards no telegrams.
    HearsNothing,
    /// It forwards telegrams but does not answer.
    IgnoresCommands,
    /// It sends nothing but garbage.
    Babbles,
}

/// What helps against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cure {
    /// Setting the configuration.
    SetConfig,
    /// A reset.
    Reset,
    /// Closing the port and opening it again.
    Reopen,
    /// Only [`VirtualDongle::heal`].
    Nothing,
}

impl VirtualDongle {
    /// A dongle with this serial number and firmware (0x14 hears C1 and T1 together), plugged in; with `link`, a link of this name
    /// leads to its port for as long as it is.
    ///
    /// # Errors
    /// If there are no pseudo-terminals or the link cannot be made.
    pub fn open(
        serial_number: u32,
        firmware: u8,
        link: Option<&Path>,
    ) -> io::Result<(Self, PathBuf)> {
        let module = Module::new(serial_number, firmware, Instant::now());
        let state = State {
            module,
            ailment: None,
            chunk: usize::MAX,
            host: Host::Away,
            requests: 0,
        };
        let shared = Arc::new(Shared(Mutex::new(state)));
        let dongle = Self {
            link: link.map(Path::to_owned),
            shared,
            plugged: Mutex::default(),
        };
        let path = dongle.connect()?;
        Ok((dongle, path))
    }

    /// Plugs it in, again, so that it starts, and gives the path of its port.
    ///
    /// # Errors
    /// As for [`VirtualDongle::open`].
    pub fn plug_in(&self) -> io::Result<PathBuf> {
        self.unplug();
        self.reboot();
        self.connect()
    }

    fn connect(&self) -> io::Result<PathBuf> {
        let pty = Arc::new(Pty::open(self.link.as_deref())?);
        let path = pty.path().to_owned();
        self.shared.state().host = Host::Away;
        let (stopped, stop) = io::pipe()?;
        let thread = {
            let (pty, shared) = (Arc::clone(&pty), Arc::clone(&self.shared));
            thread::Builder::new()
                .name("virtual dongle".to_owned())
                .spawn(move || shared.serve(&pty, &stopped))?
        };
        *self.plugged() = Some(Plugged {
            pty,
            stop: Some(stop),
            thread: Some(thread),
        });
        Ok(path)
    }

    /// Unplugs it: the program that has its port open reads the end of it.
    pub fn unplug(&self) {
        drop(self.plugged().take());
    }

    /// A telegram is on the air. Says whether the host got it.
    ///
    /// `bytes` begin with the L field and hold no link-layer CRCs, as the radio chip gives them.
    pub fn telegram(&self, bytes: &[u8], mode: LinkMode, rssi: Rssi) -> bool {
        let message = {
            let mut state = self.shared.state();
            if matches!(
                state.ailment,
                Some((Ailment::Deaf | Ailment::HearsNothing | Ailment::Babbles, _))
            ) {
                return false;
            }
            state.module.hear(bytes, mode, rssi, Instant::now())
        };
        message.is_some_and(|message| self.raw(&message.to_message().encode()))
    }

    /// The same, with a wrong CRC on the way to the host.
    pub fn telegram_with_wrong_crc(&self, bytes: &[u8], mode: LinkMode, rssi: Rssi) -> bool {
        let message = self
            .shared
            .state()
            .module
            .hear(bytes, mode, rssi, Instant::now());
        message.is_some_and(|message| {
            let mut bytes = message.to_message().encode();
            if let Some(last) = bytes.last_mut() {
                *last ^= 0x01;
            }
            self.raw(&bytes)
        })
    }

    /// Sends these bytes to the host. Says whether they all went.
    pub fn raw(&self, bytes: &[u8]) -> bool {
        let plugged = self.plugged();
        plugged
            .as_ref()
            .is_some_and(|plugged| self.shared.send(&plugged.pty, bytes))
    }

    /// From now on it sends at most so many bytes at a time, with a pause after each.
    pub fn split_writes(&self, chunk: usize) {
        self.shared.state().chunk = chunk.max(1);
    }

    /// From now on it takes so long to start instead of the real one's two seconds.
    pub fn start_within(&self, time: Duration) {
        self.shared.state().module.start_within(time);
    }

    /// From now on this is wrong with it, until it is cured.
    pub fn fall_ill(&self, ailment: Ailment, cure: Cure) {
        self.shared.state().ailment = Some((ailment, cure));
        if let Some(stop) = self
            .plugged()
            .as_mut()
            .and_then(|plugged| plugged.stop.as_mut())
        {
            // The thread looks up. If it has ended it need not.
            let _ = stop.write(&[0]);
        }
    }

    /// Nothing is wrong with it any more.
    pub fn heal(&self) {
        self.shared.state().ailment = None;
    }

    /// Whether something is still wrong with it.
    pub fn is_ill(&self) -> bool {
        self.shared.state().ailment.is_some()
    }

    /// It starts again by itself, and says nothing of it.
    pub fn reboot(&self) {
        self.shared.state().module.restart(Instant::now());
    }

    /// It falls back to its stored configuration without starting again.
    pub fn lose_configuration(&self) {
        self.shared.state().module.lose_configuration();
    }

    /// The link mode that it hears now.
    pub fn link_mode(&self) -> Option<LinkMode> {
        self.shared.state().module.link_mode()
    }

    /// How many requests it has had.
    pub fn requests(&self) -> u64 {
        self.shared.state().requests
    }

    /// Waits until the host has set this link mode; false if it has not within `limit`.
    pub fn wait_for_link_mode(&self, mode: LinkMode, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        while self.link_mode() != Some(mode) {
            if Instant::now() > end {
                return false;
            }
            thread::sleep(Duration::from_millis(5));
        }
        true
    }

    fn plugged(&self) -> MutexGuard<'_, Option<Plugged>> {
        self.plugged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A port and the thread that serves it.
#[derive(Debug)]
struct Plugged {
    pty: Arc<Pty>,
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Plugged {
    fn drop(&mut self) {
        // The thread sees the end of the pipe.
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // If it panicked it has said so.
            let _ = thread.join();
        }
    }
}

#[derive(Debug)]
struct Shared(Mutex<State>);

#[derive(Debug)]
struct State {
    module: Module,
    ailment: Option<(Ailment, Cure)>,
    chunk: usize,
    host: Host,
    requests: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Host {
    Away,
    There,
}

impl Shared {
    /// Answers the host until the pipe ends.
    fn serve(&self, pty: &Pty, stopped: &PipeReader) {
        loop {
            let Some(ready) = self.wait(pty, stopped) else {
                return;
            };
            if ready.contains(PollFlags::HUP) {
                self.host_closed();
            } else {
                self.state().host = Host::There;
            }
            if self.serve_once(pty).is_err() {
                return;
            }
        }
    }

    /// Waits for something to do; nothing when it is time to go.
    fn wait(&self, pty: &Pty, stopped: &PipeReader) -> Option<PollFlags> {
        let away = self.state().host == Host::Away;
        let pause = match (away, self.babbles()) {
            (true, _) => HOST_AWAY,
            (false, true) => BABBLE,
            (false, false) => IDLE,
        };
        let mut descriptors = [
            PollFd::new(stopped, PollFlags::IN),
            PollFd::new(pty, PollFlags::IN),
        ];
        // While nobody has the port open the kernel says so all the time.
        let watched = if away { 1 } else { 2 };
        let pause = Timespec::try_from(pause).ok()?;
        poll(descriptors.get_mut(..watched)?, Some(&pause)).ok()?;
        if away {
            poll(&mut descriptors, Some(&Timespec::default())).ok()?;
        }
        let [stop, port] = descriptors.map(|descriptor| descriptor.revents());
        if stop.contains(PollFlags::IN) {
            (&*stopped).read_exact(&mut [0]).ok()?;
        }
        (!stop.contains(PollFlags::HUP)).then_some(port)
    }

    fn serve_once(&self, pty: &Pty) -> io::Result<()> {
        let mut buffer = [0; 1024];
        loop {
            let count = pty.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            for request in self.requests(buffer.get(..count).unwrap_or_default()) {
                if let Some(answer) = self.answer(request) {
                    self.send(pty, &answer.to_message().encode());
                }
            }
        }
        if self.babbles() {
            self.send(pty, GARBAGE);
        }
        Ok(())
    }

    fn requests(&self, bytes: &[u8]) -> Vec<Request> {
        self.state().module.read(bytes, Instant::now())
    }

    /// What it answers, if what is wrong with it lets it.
    fn answer(&self, request: Request) -> Option<Answer> {
        let mut state = self.state();
        state.requests += 1;
        match (state.ailment, request) {
            (Some((_, Cure::Reset)), Request::Reset)
            | (Some((_, Cure::SetConfig)), Request::SetConfig { .. }) => {
                state.ailment = None;
            }
            (Some((Ailment::Deaf | Ailment::IgnoresCommands | Ailment::Babbles, _)), _) => {
                return None;
            }
            _ => {}
        }
        Some(state.module.answer(request, Instant::now()))
    }

    fn host_closed(&self) {
        let mut state = self.state();
        if state.host == Host::There && matches!(state.ailment, Some((_, Cure::Reopen))) {
            state.ailment = None;
        }
        state.host = Host::Away;
    }

    /// Sends to the host in pieces of the size that was asked for. Says whether all of it went.
    fn send(&self, pty: &Pty, bytes: &[u8]) -> bool {
        let (chunk, host) = {
            let state = self.state();
            (state.chunk, state.host)
        };
        host == Host::There
            && bytes.chunks(chunk).all(|piece| {
                let all = pty.write(piece).is_ok_and(|count| count == piece.len());
                if chunk < bytes.len() {
                    thread::sleep(BETWEEN_PIECES);
                }
                all
            })
    }

    fn babbles(&self) -> bool {
        matches!(self.state().ailment, Some((Ailment::Babbles, _)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often to look whether somebody has opened the port.
const HOST_AWAY: Duration = Duration::from_millis(10);
/// How long to wait for the host when there is nothing else to do.
const IDLE: Duration = Duration::from_secs(3600);
/// Between two pieces of a message.
const BETWEEN_PIECES: Duration = Duration::from_millis(2);
/// Between two bursts of garbage.
const BABBLE: Duration = Duration::from_millis(20);
/// With beginnings of messages in it, so that it is not too easy.
const GARBAGE: &[u8] = &[
    0x00, 0xFF, 0xA5, 0x82, 0x03, 0x27, 0x44, 0x2D, 0x5A, 0xA5, 0xA5, 0x81, 0x02, 0x00, 0x13, 0x37,
    0xA5, 0x01, 0xE3, 0x80, 0x7E, 0x42, 0x0D, 0x0A, 0xA5, 0x22, 0x03, 0x10, 0x99, 0x18, 0xC3, 0x3C,
];
