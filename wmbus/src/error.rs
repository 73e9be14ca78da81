//! What went wrong, in which layer, at which byte.
//!
//! Errors are `Copy`, hold no key and no plain text, and never rename a cause: bad BCD is not "too short".

use core::fmt;

use crate::signature::Signature;

/// Why bytes were refused: the layer that refused them, where, and the cause.
///
/// `offset` counts from the first byte of what was parsed: the L byte of a telegram without link-layer CRCs, the
/// first 68 of a wired long frame, the A5 of a dongle's message.
///
/// ```
/// use wmbus::{Error, ErrorKind, Layer};
/// let error = Error { layer: Layer::Ell, offset: 13, kind: ErrorKind::Truncated { missing: 4 } };
/// assert_eq!(error.to_string(), "ell, byte 13: 4 bytes missing");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Error {
    /// The layer that refused the bytes.
    pub layer: Layer,
    /// Where, counted from the first byte of what was parsed.
    pub offset: usize,
    /// The cause.
    pub kind: ErrorKind,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, byte {}: {}", self.layer, self.offset, self.kind)
    }
}

impl std::error::Error for Error {}

/// The layers, in the standards' words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Layer {
    /// The dongle's host controller interface.
    Hci,
    /// The link layer: EN 13757-4 by radio, EN 13757-2 by wire.
    Link,
    /// The extended link layer, EN 13757-4.
    Ell,
    /// The authentication and fragmentation layer, EN 13757-7.
    Afl,
    /// The transport layer, EN 13757-7.
    Tpl,
    /// The application layer, EN 13757-3: records, compact frames.
    Apl,
    /// A meter's profile, or its own format, applied to what the layers below gave.
    Profile,
}

impl Layer {
    /// The name in messages and in JSON: `hci`, `link`, `ell`, `afl`, `tpl`, `apl`, `profile`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hci => "hci",
            Self::Link => "link",
            Self::Ell => "ell",
            Self::Afl => "afl",
            Self::Tpl => "tpl",
            Self::Apl => "apl",
            Self::Profile => "profile",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The cause of an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The bytes end too early.
    Truncated {
        /// How many more were needed, at least.
        missing: usize,
    },
    /// This many bytes are left over after a complete structure.
    TrailingData(usize),
    /// A length field disagrees with the bytes it counts.
    Length {
        /// What the length field says.
        declared: usize,
        /// What is there.
        found: usize,
    },
    /// A start or stop byte is another one.
    Delimiter(u8),
    /// A CRC-16 is wrong.
    Crc {
        /// The CRC of the bytes received.
        expected: u16,
        /// The CRC received.
        found: u16,
    },
    /// The sum check of a wired frame is wrong.
    Checksum {
        /// The sum of the bytes received.
        expected: u8,
        /// The sum received.
        found: u8,
    },
    /// A byte that is no packed decimal.
    Bcd(u8),
    /// A control information byte that names no layer of a meter's data.
    UnknownCi(u8),
    /// A well-formed telegram that carries no data.
    NoData,
    /// A control field of a frame that carries no meter's data.
    UnknownControl(u8),
    /// A bit pattern that the standard reserves.
    Reserved(u8),
    /// The telegram is encrypted and no key is known.
    KeyMissing,
    /// The key does not fit: what it decrypts to fails its check. Where the telegram has no check of its own outside
    /// the encryption, damage in transit looks the same.
    KeyRejected,
    /// The key has the wrong length for the cipher: 8 bytes for DES, 16 for AES-128.
    KeyLength,
    /// A key is known, yet the body was sent as plain text: a forgery, or a meter that was given a key it does not use.
    NotEncrypted,
    /// The message authentication code is wrong: a wrong key, or a forged or damaged telegram.
    Mac,
    /// The bytes decrypt, with the key they were decrypted with, to something damaged in transit.
    Damaged,
    /// A message counter or session number that does not rise: a telegram heard before.
    Replayed,
    /// A security mode, encryption or key derivation that is not supported.
    UnsupportedMode(u8),
    /// A message authentication of a kind that is not supported (the AT bits of EN 13757-7, 6.3.3).
    UnsupportedAuthentication(u8),
    /// A fragment of a message: the others are still to come.
    Incomplete,
    /// A fragment that does not continue the ones before it.
    Fragment(u8),
    /// The meter answers with an application error (EN 13757-3, CI 6E to 70) instead of data.
    ApplicationError(u8),
    /// A compact frame whose layout is unknown until a full frame was heard.
    UnknownFormat(Signature),
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Truncated { missing: 1 } => write!(f, "1 byte missing"),
            Self::Truncated { missing } => write!(f, "{missing} bytes missing"),
            Self::TrailingData(1) => write!(f, "1 byte left over"),
            Self::TrailingData(count) => write!(f, "{count} bytes left over"),
            Self::Length { declared, found } => {
                write!(f, "length {declared} declared, {found} found")
            }
            Self::Delimiter(byte) => write!(f, "{byte:02X} is no delimiter"),
            Self::Crc { expected, found } => {
                write!(f, "CRC is {found:04X}, should be {expected:04X}")
            }
            Self::Checksum { expected, found } => {
                write!(f, "checksum is {found:02X}, should be {expected:02X}")
            }
            Self::Bcd(byte) => write!(f, "{byte:02X} is not decimal"),
            Self::UnknownCi(ci) => write!(f, "unknown CI {ci:02X}"),
            Self::NoData => write!(f, "carries no data"),
            Self::UnknownControl(control) => {
                write!(f, "control field {control:02X} carries no data of a meter")
            }
            Self::Reserved(bits) => write!(f, "reserved bits {bits:02X}"),
            Self::KeyMissing => write!(f, "encrypted, and no key is known"),
            Self::KeyRejected => write!(f, "wrong key"),
            Self::KeyLength => write!(f, "the key has the wrong length for this cipher"),
            Self::NotEncrypted => write!(f, "not encrypted, although a key is known"),
            Self::Mac => write!(f, "message authentication code is wrong"),
            Self::Damaged => write!(f, "damaged"),
            Self::Replayed => write!(f, "heard before"),
            Self::UnsupportedMode(mode) => write!(f, "security mode {mode} is not supported"),
            Self::UnsupportedAuthentication(kind) => {
                write!(f, "message authentication of type {kind} is not supported")
            }
            Self::Incomplete => write!(f, "a fragment, more are to come"),
            Self::Fragment(number) => {
                write!(f, "fragment {number} does not continue the ones before it")
            }
            Self::ApplicationError(code) => {
                write!(f, "the meter reports application error {code:02X}")
            }
            Self::UnknownFormat(signature) => {
                write!(f, "compact frame of unknown format {signature}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_layer_byte_and_cause() {
        let error = |kind| {
            Error {
                layer: Layer::Link,
                offset: 2,
                kind,
            }
            .to_string()
        };
        assert_eq!(
            error(ErrorKind::Truncated { missing: 1 }),
            "link, byte 2: 1 byte missing"
        );
        assert_eq!(
            error(ErrorKind::Crc {
                expected: 0x12,
                found: 0xABCD
            }),
            "link, byte 2: CRC is ABCD, should be 0012"
        );
        assert_eq!(
            error(ErrorKind::UnknownFormat(Signature(0x8C13))),
            "link, byte 2: compact frame of unknown format 8C13"
        );
    }

    #[test]
    fn is_small_enough_to_pass_around() {
        assert!(size_of::<Error>() <= 40);
    }
}
