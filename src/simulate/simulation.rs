//! Virtual meters around a virtual dongle, in a thread of their own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use omnigate_actors::set_message::{Limits, SetMessage, Unusable};
use wmbus::im871a::{LinkMode, Rssi};
use wmbus::{Address, IdentificationNumber, MeterKey};

use super::dongle::VirtualDongle;
use super::meter::VirtualMeter;

/// What to simulate.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which meters.
    pub meters: Meters,
    /// How often each sends; a real OmniPower about every 16 s. Below 4 s their clocks run ahead of the wall clock.
    pub interval: Duration,
    /// After so many telegrams the meters fall silent, and [`run`] returns.
    pub telegrams: Option<u64>,
    /// The link mode in which the meters send.
    pub link_mode: LinkMode,
    /// A link that leads to the dongle's port, whatever that is called this time.
    pub link: Option<PathBuf>,
    /// The dongle's serial number.
    pub serial_number: u32,
    /// The dongle's firmware: 0x14 is 1.4.
    pub firmware: u8,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            meters: Meters::Examples(Meters::example_ids(3)),
            interval: Duration::from_secs(16),
            telegrams: None,
            link_mode: LinkMode::C1a,
            link: None,
            serial_number: 0x2026_0001,
            firmware: LinkMode::C1_T1_FIRMWARE,
        }
    }
}

/// Which meters there are.
#[derive(Debug, Clone)]
pub enum Meters {
    /// These, with [`EXAMPLE_KEY`].
    Examples(Vec<IdentificationNumber>),
    /// Those of a file that holds a set message: so the same file can be sent to the gateway.
    File(PathBuf),
}

impl Meters {
    /// So many serial numbers from the documented example, 32666857, on.
    pub fn example_ids(count: usize) -> Vec<IdentificationNumber> {
        (FIRST_EXAMPLE..)
            .take(count)
            .filter_map(|number| format!("{number:08}").parse().ok())
            .collect()
    }
}

/// The key of the meter in the project's documentation. Published, so no secret.
pub const EXAMPLE_KEY: &str = "9A25139E3244CC2E391A8EF6B915B697";
const FIRST_EXAMPLE: u32 = 32_666_857;

/// Why there can be no simulation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The pseudo-terminal or its link cannot be made.
    #[error("the virtual dongle cannot be made: {0}")]
    Dongle(io::Error),
    /// The file of meters cannot be read.
    #[error("{}: {error}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file of meters is no set message.
    #[error("{}: {error}", path.display())]
    NoSetMessage {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: Unusable,
    },
    /// An entry of it cannot be used.
    #[error("{}: an entry cannot be used, or has no key: {report}", path.display())]
    Entry {
        /// Which file.
        path: PathBuf,
        /// The answer to each entry.
        report: String,
    },
    /// The system refuses a thread or the signals.
    #[error("the system refuses: {0}")]
    System(io::Error),
}

/// A running simulation; it ends when this is dropped.
#[derive(Debug)]
pub struct Simulation {
    dongle: Arc<VirtualDongle>,
    path: PathBuf,
    meters: Vec<Address>,
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Simulation {
    /// Starts it.
    ///
    /// # Errors
    /// [`Error`].
    pub fn start(options: &Options) -> Result<Self, Error> {
        let meters = virtual_meters(options)?;
        let (dongle, path) = VirtualDongle::open(
            options.serial_number,
            options.firmware,
            options.link.as_deref(),
        )
        .map_err(Error::Dongle)?;
        let dongle = Arc::new(dongle);
        let addresses = meters.iter().map(VirtualMeter::address).collect();
        let (stop, stopped) = mpsc::channel();
        let air = Air {
            dongle: Arc::clone(&dongle),
            meters,
            mode: options.link_mode,
            left: options.telegrams,
        };
        let thread = thread::Builder::new()
            .name("virtual meters".to_owned())
            .spawn(move || air.send(&stopped))
            .map_err(Error::System)?;
        Ok(Self {
            dongle,
            path,
            meters: addresses,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// What the dongle's port is called.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The dongle, for what happens to dongles.
    pub fn dongle(&self) -> &VirtualDongle {
        &self.dongle
    }

    /// The meters.
    pub fn meters(&self) -> &[Address] {
        &self.meters
    }

    /// Whether the meters have sent as many telegrams as they were to.
    pub fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // If it panicked it has said so.
            let _ = thread.join();
        }
    }
}

/// Simulates until the meters have sent what they were to, or SIGINT or SIGTERM comes. The first line on standard output is the
/// path of the dongle's port.
///
/// # Errors
/// [`Error`].
pub fn run(options: &Options) -> Result<(), Error> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::System)?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::System)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(Error::System)?;
        let simulation = Simulation::start(options)?;
        println!("{}", simulation.path().display());
        for meter in simulation.meters() {
            eprintln!("virtual meter {meter}, every {:?}", options.interval);
        }
        if matches!(options.meters, Meters::Examples(_)) {
            eprintln!("their key is the published example, {EXAMPLE_KEY}");
        }
        while !simulation.is_over() {
            tokio::select! {
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
            }
        }
        Ok(())
    })
}

/// What the dongle hears.
struct Air {
    dongle: Arc<VirtualDongle>,
    meters: Vec<VirtualMeter>,
    mode: LinkMode,
    left: Option<u64>,
}

impl Air {
    /// Lets each meter send at its times until nobody listens for the end any more.
    fn send(mut self, stopped: &mpsc::Receiver<()>) {
        let start = Instant::now();
        let count = u32::try_from(self.meters.len()).unwrap_or(u32::MAX).max(1);
        // Spread over the interval.
        let mut due: Vec<Instant> = (0..count)
            .zip(&self.meters)
            .map(|(index, meter)| start + meter.interval() * index / count)
            .collect();
        while self.left != Some(0) {
            let Some(next) = due.iter().min().copied() else {
                return;
            };
            match stopped.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
            }
            let now = Instant::now();
            for (index, (meter, due)) in self.meters.iter_mut().zip(&mut due).enumerate() {
                if *due > now || self.left == Some(0) {
                    continue;
                }
                // After a sleep of the system the rhythm goes on from now.
                *due = if now - *due > meter.interval() {
                    now
                } else {
                    *due
                } + meter.interval();
                self.left = self.left.map(|left| left - 1);
                match meter.telegram(Timestamp::now()) {
                    Ok(telegram) => {
                        self.dongle.telegram(&telegram, self.mode, strength(index));
                    }
                    Err(error) => eprintln!("virtual meter {}: {error}", meter.address()),
                }
            }
        }
    }
}

/// Each meter is a little further away than the last.
fn strength(index: usize) -> Rssi {
    Rssi::from_dbm(-45 - (7 * (index % 8)) as i8)
}

fn virtual_meters(options: &Options) -> Result<Vec<VirtualMeter>, Error> {
    let now = Timestamp::now();
    match &options.meters {
        Meters::Examples(ids) => Ok(ids
            .iter()
            .filter_map(|&id| {
                Some(VirtualMeter::new(
                    id,
                    EXAMPLE_KEY.parse().ok()?,
                    options.interval,
                    now,
                ))
            })
            .collect()),
        Meters::File(path) => {
            let bytes = fs::read(path).map_err(|error| Error::File {
                path: path.clone(),
                error,
            })?;
            let message = SetMessage::parse(&bytes, &Limits::default()).map_err(|error| {
                Error::NoSetMessage {
                    path: path.clone(),
                    error,
                }
            })?;
            let (entries, report) = message.into_parts();
            let mut meters = Vec::with_capacity(entries.len());
            for entry in entries {
                if let Some(key) = entry.key {
                    let (manufacturer, id) = (entry.id.manufacturer, entry.id.identification);
                    meters.push(VirtualMeter::of(
                        manufacturer,
                        id,
                        MeterKey::from(&key),
                        options.interval,
                        now,
                    ));
                }
            }
            if report.refused() > 0 || meters.len() < report.accepted() {
                return Err(Error::Entry {
                    path: path.clone(),
                    report: report.to_json(),
                });
            }
            Ok(meters)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn example_meters_count_up_from_the_documented_one() {
        let ids: Vec<String> = Meters::example_ids(3)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(ids, ["32666857", "32666858", "32666859"]);
    }

    #[test]
    fn a_set_message_names_the_meters_and_their_keys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("meters.json");
        let start = |json: &str| {
            fs::write(&path, json).unwrap();
            let options = Options {
                meters: Meters::File(path.clone()),
                ..Options::default()
            };
            Simulation::start(&options).map(|simulation| simulation.meters().to_vec())
        };
        let entry = r#"{"deviceId": "12345678", "manufacturerKey": "kam", "encryptionKey": "000102030405060708090A0B0C0D0E0F"}"#;
        let meters = start(&format!("[{entry}]")).unwrap();
        assert_eq!(meters[0].to_string(), "KAM-12345678-30-02");

        let keyless = entry.replace("000102030405060708090A0B0C0D0E0F", "");
        for unusable in ["{", "[{}]", &format!("[{keyless}]")] {
            let error = start(unusable).unwrap_err().to_string();
            assert!(error.contains("meters.json"), "{error}");
        }
        fs::remove_file(&path).unwrap();
        let options = Options {
            meters: Meters::File(path.clone()),
            ..Options::default()
        };
        assert!(matches!(
            Simulation::start(&options),
            Err(Error::File { .. })
        ));
    }

    #[test]
    fn the_link_is_there_as_long_as_the_simulation_and_replaces_a_dead_one() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("dongle");
        std::os::unix::fs::symlink("/nonexistent", &link).unwrap();
        let options = Options {
            link: Some(link.clone()),
            telegrams: Some(0),
            ..Options::default()
        };
        let simulation = Simulation::start(&options).unwrap();
        assert_eq!(simulation.path(), link);
        assert!(link.exists());
        drop(simulation);
        assert!(!link.is_symlink());

        fs::write(&link, "somebody's file").unwrap();
        assert!(matches!(Simulation::start(&options), Err(Error::Dongle(_))));
        assert_eq!(fs::read_to_string(&link).unwrap(), "somebody's file");
    }
}
