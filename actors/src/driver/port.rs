//! The dongle's serial port: where it is, and how to have it for oneself.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock, fstat, major};
use rustix::io::Errno;
use rustix::termios::{ioctl_tiocexcl, ioctl_tiocnxcl};
use serial2_tokio::{CharSize, FlowControl, Parity, SerialPort, Settings, StopBits};

/// Where the dongle is looked for. No other port is ever opened: it may belong to somebody else's machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortPath {
    /// The first name in this folder, in alphabetical order, that contains `iM871A`.
    Auto(PathBuf),
    /// This device file or a link to it.
    Fixed(PathBuf),
}

impl PortPath {
    /// Reads the setting: `auto`, or a path.
    pub fn from_setting(setting: &str) -> Self {
        match setting {
            "auto" => Self::Auto(PathBuf::from(BY_ID)),
            path => Self::Fixed(PathBuf::from(path)),
        }
    }

    /// The port, if it is there.
    pub fn find(&self) -> Option<PathBuf> {
        match self {
            Self::Fixed(path) => path.exists().then(|| path.clone()),
            Self::Auto(folder) => std::fs::read_dir(folder)
                .ok()?
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| {
                    path.file_name()
                        .is_some_and(|name| name.to_string_lossy().contains(DONGLE_NAME))
                })
                .filter(|path| path.exists())
                .min(),
        }
    }

    /// The folder in which the port's name appears.
    pub fn folder(&self) -> &Path {
        match self {
            Self::Auto(folder) => folder,
            Self::Fixed(path) => path
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty())
                .unwrap_or(Path::new(".")),
        }
    }
}

impl fmt::Display for PortPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto(folder) => write!(f, "{}/*{DONGLE_NAME}*", folder.display()),
            Self::Fixed(path) => path.display().fmt(f),
        }
    }
}

/// Where udev names serial devices by what they are: the name stays when the tty's changes on replugging.
pub const BY_ID: &str = "/dev/serial/by-id";
/// What the dongle's name there contains.
const DONGLE_NAME: &str = "iM871A";

/// The open port. Nobody else can open it meanwhile; what was received before it was opened is discarded.
#[derive(Debug)]
pub struct Port {
    serial: SerialPort,
    _claim: Claim,
}

impl Port {
    /// Opens the port with the dongle's settings: 57,600 baud, 8 data bits, no parity, 1 stop bit.
    ///
    /// # Errors
    /// [`OpenError`], by what an operator can do about it.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let mut claim = Claim::lock(path)?;
        let serial = SerialPort::open(path, configured).map_err(OpenError::from_io)?;
        claim.exclude_others()?;
        serial.discard_buffers().map_err(OpenError::Other)?;
        Ok(Self {
            serial,
            _claim: claim,
        })
    }

    /// Reads what is there, at least one byte. Nothing, or an error, means that the device is gone.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.serial.read(buffer).await
    }

    /// Writes all of it.
    pub async fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        self.serial.write_all(bytes).await
    }
}

/// The right to use the port, on a descriptor of its own.
#[derive(Debug)]
struct Claim {
    file: File,
    exclusive: bool,
}

impl Claim {
    /// Locks the device for programs that ask for the lock, even those of root, before its settings are touched.
    fn lock(path: &Path) -> Result<Self, OpenError> {
        // Without these flags opening could wait for a modem, and hanging up could end the program.
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(flags.bits().cast_signed())
            .open(path);
        let file = file.map_err(OpenError::from_io)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self {
                file,
                exclusive: false,
            }),
            Err(Errno::WOULDBLOCK) => Err(OpenError::Held),
            Err(error) => Err(OpenError::Other(error.into())),
        }
    }

    /// Has the kernel refuse everybody else, except root.
    ///
    /// Not for a virtual dongle's pseudo-terminal: it would go on refusing after a gateway that was killed, for as long as its
    /// other side is open.
    fn exclude_others(&mut self) -> Result<(), OpenError> {
        let status = fstat(&self.file).map_err(|error| OpenError::Other(error.into()))?;
        if !PSEUDO_TERMINALS.contains(&major(status.st_rdev)) {
            ioctl_tiocexcl(&self.file).map_err(|error| OpenError::Other(error.into()))?;
            self.exclusive = true;
        }
        Ok(())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.exclusive {
            // Fails only when the device is gone, and the mode with it.
            let _ = ioctl_tiocnxcl(&self.file);
        }
    }
}

/// The major device numbers that Linux gives to pseudo-terminals (Documentation/admin-guide/devices.txt).
const PSEUDO_TERMINALS: std::ops::RangeInclusive<u32> = 136..=143;

/// Why the port cannot be opened now.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It vanished between looking and opening.
    #[error("not there")]
    Gone,
    /// The gateway's user may not open it; belonging to the group of the device file (`dialout` on Debian) helps.
    #[error("permission denied")]
    Denied,
    /// Another program has it.
    #[error("held by another program")]
    Held,
    /// Anything else.
    #[error("{0}")]
    Other(io::Error),
}

impl OpenError {
    fn from_io(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Gone,
            io::ErrorKind::PermissionDenied => Self::Denied,
            io::ErrorKind::ResourceBusy => Self::Held,
            _ if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => Self::Gone,
            _ if error.raw_os_error() == Some(Errno::NODEV.raw_os_error()) => Self::Gone,
            _ => Self::Other(error),
        }
    }
}

fn configured(mut settings: Settings) -> io::Result<Settings> {
    settings.set_raw();
    settings.set_baud_rate(BAUD_RATE)?;
    settings.set_char_size(CharSize::Bits8);
    settings.set_stop_bits(StopBits::One);
    settings.set_parity(Parity::None);
    settings.set_flow_control(FlowControl::None);
    Ok(settings)
}

/// Bits per second on the dongle's serial line.
const BAUD_RATE: u32 = 57_600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_finds_the_dongle_among_other_ports_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let auto = PortPath::Auto(folder.path().to_owned());
        std::fs::write(
            folder
                .path()
                .join("usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0"),
            "",
        )
        .unwrap();
        assert_eq!(auto.find(), None);
        let dongle = folder
            .path()
            .join("usb-Silicon_Labs_IMST_iM871A-USB_1234-if00-port0");
        std::os::unix::fs::symlink("/nonexistent", &dongle).unwrap();
        assert_eq!(
            auto.find(),
            None,
            "a name left over from an unplugged dongle"
        );
        std::fs::remove_file(&dongle).unwrap();
        std::fs::write(&dongle, "").unwrap();
        assert_eq!(auto.find(), Some(dongle));
    }

    #[test]
    fn the_setting_is_auto_or_a_path() {
        assert_eq!(
            PortPath::from_setting("auto"),
            PortPath::Auto(PathBuf::from("/dev/serial/by-id"))
        );
        assert_eq!(
            PortPath::from_setting("/dev/ttyUSB0"),
            PortPath::Fixed(PathBuf::from("/dev/ttyUSB0"))
        );
        assert_eq!(PortPath::from_setting("dongle").folder(), Path::new("."));
    }

    #[test]
    fn a_missing_port_is_gone() {
        assert!(matches!(
            Port::open(Path::new("/nonexistent")),
            Err(OpenError::Gone)
        ));
    }
}
