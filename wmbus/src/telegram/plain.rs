//! What decryption and verification give.

use core::fmt;

use crate::address::Address;
use crate::ell::SessionNumber;

/// The application payload of a telegram: decrypted and verified as far as its security mode allows.
///
/// Its `Debug` shows no payload.
#[derive(Clone)]
#[non_exhaustive]
pub struct Plain<'a> {
    /// The meter the data belongs to: from the transport layer's long header if there is one, else the sender, put
    /// right where its manufacturer has an order of its own.
    pub address: Address,
    /// Who sent the radio telegram; another one than `address` where a radio adapter sends for the meter.
    /// As it is on the air. Equal to `address` by wire.
    pub sender: Address,
    /// The control information byte before `bytes`.
    pub ci: u8,
    /// What `bytes` hold.
    pub content: Content,
    /// The application's payload, behind the CI and the transport layer's header.
    pub bytes: &'a [u8],
    /// Where `bytes` begin in the telegram.
    pub offset: usize,
    /// The transport layer's access number, else the extended link layer's.
    pub access_number: Option<AccessNumber>,
    /// The transport layer's status byte (EN 13757-7, 7.5.6).
    pub status: Option<u8>,
    /// The transport layer's configuration field: the security mode and what goes with it.
    pub configuration: Option<u16>,
    /// The session number of the extended link layer, if it has one.
    pub session: Option<SessionNumber>,
    /// The message counter of the authentication layer: may never repeat or go back (mode 7 and others).
    pub message_counter: Option<u32>,
    /// How the telegram declares itself protected.
    pub security: Security,
    /// What was verified.
    pub authentication: Authentication,
}

impl fmt::Debug for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plain")
            .field("address", &self.address)
            .field("ci", &self.ci)
            .field("content", &self.content)
            .field("security", &self.security)
            .field("authentication", &self.authentication)
            .finish_non_exhaustive()
    }
}

/// What the application's payload holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Content {
    /// Records with their headers (CI 72, 78, 7A).
    Full,
    /// Format signature, full-frame CRC, values without headers (CI 73, 79, 7B).
    Compact,
    /// The headers of compact frames, without values (CI 69, 6A, 6B).
    Format,
    /// An alarm's state (CI 71, 74, 75).
    Alarm,
    /// The manufacturer's own format (CI A0 to B7, or a security mode of its own), maybe encrypted in its own way.
    Manufacturer,
}

/// How a telegram declares itself protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Security {
    /// Not at all.
    None,
    /// By the extended link layer: AES-128-CTR and a CRC.
    ExtendedLink,
    /// By the transport layer, in this security mode of EN 13757-7 (1 to 15).
    Transport(u8),
    /// In the manufacturer's own way, if at all.
    Manufacturer,
}

impl fmt::Display for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cipher = match *self {
            Self::None => return f.write_str("none"),
            Self::ExtendedLink => return f.write_str("ELL AES-128-CTR"),
            Self::Manufacturer => return f.write_str("manufacturer"),
            Self::Transport(2 | 3) => " DES-CBC",
            Self::Transport(4..=7) => " AES-128-CBC",
            Self::Transport(8) => " AES-128-CTR",
            Self::Transport(9) => " AES-128-GCM",
            Self::Transport(10) => " AES-128-CCM",
            Self::Transport(_) => "",
        };
        match *self {
            Self::Transport(mode) => write!(f, "mode {mode}{cipher}"),
            _ => Ok(()),
        }
    }
}

/// What was verified of a telegram, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Authentication {
    /// Nothing, or only that decryption gave the two filler bytes that a right key gives.
    None,
    /// A CRC under the encryption. It tells a wrong key, not a forger: the cipher is malleable and a CRC is linear.
    Crc,
    /// A message authentication code made with the meter's key.
    Mac,
}

impl fmt::Display for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Crc => "CRC",
            Self::Mac => "MAC",
        })
    }
}

/// Counts a meter's telegrams, one more each, 255 is followed by 0; a repeated telegram keeps its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AccessNumber(pub u8);
