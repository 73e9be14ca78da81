//! The transport layer of EN 13757-7: which application a telegram carries, and how it is protected.
//!
//! ```text
//! CI                                                                      no header
//! CI | access number | status | configuration 2 …                         short header
//! CI | identification 4 | M 2 | version | medium | access number | …       long header
//! ```
//!
//! Some security modes extend the configuration field: mode 7 by one byte, mode 10 by two or three and a message
//! counter.

use crate::address::Address;
use crate::error::{Error, ErrorKind};
use crate::reader::Reader;
use crate::telegram::{AccessNumber, Content};

/// The header of the transport layer, with its CI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The control information byte: which header it is, and what follows.
    pub ci: u8,
    /// The meter's address (long header).
    pub address: Option<Address>,
    /// What the short and the long header have in common.
    pub fields: Option<Fields>,
}

/// What the short and the long header have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields {
    /// Counts the meter's telegrams.
    pub access_number: AccessNumber,
    /// The meter's state (EN 13757-7, 7.5.6).
    pub status: u8,
    /// How the application's data are protected.
    pub configuration: Configuration,
}

impl Header {
    /// Reads the header with its CI.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`]; [`ErrorKind::UnknownCi`]; [`ErrorKind::NoData`] if the CI stands for a telegram
    /// without data; those of [`Configuration::read`].
    #[inline]
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<(Self, Application), Error> {
        let before = reader.clone();
        let ci = reader.byte()?;
        let known = classify(ci);
        let kind = if matches!(ci, SHORT_ALONE | LONG_ALONE) {
            ErrorKind::NoData
        } else {
            ErrorKind::UnknownCi(ci)
        };
        let (shape, application) = known.ok_or_else(|| before.error(kind))?;
        let address = match shape {
            Shape::Long => Some(Address::read_header(reader)?),
            Shape::None | Shape::Short => None,
        };
        let fields = match shape {
            Shape::None => None,
            Shape::Short | Shape::Long => Some(Fields::read(reader)?),
        };
        Ok((
            Self {
                ci,
                address,
                fields,
            },
            application,
        ))
    }

    /// Appends the header with its CI.
    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        bytes.push(self.ci);
        bytes.extend(self.address.iter().flat_map(|address| address.to_header()));
        if let Some(fields) = &self.fields {
            bytes.extend([fields.access_number.0, fields.status]);
            fields.configuration.write(bytes);
        }
    }
}

impl Fields {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let &[access_number, status] = reader.take_array()?;
        let configuration = Configuration::read(reader)?;
        Ok(Self {
            access_number: AccessNumber(access_number),
            status,
            configuration,
        })
    }
}

/// How the application's data are protected: the configuration field and its extension.
///
/// Source: EN 13757-7, 7.5.8 and 7.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// The configuration field: the security mode in bits 12..8, the rest depends on it.
    pub field: u16,
    /// What follows the field in some modes.
    pub extension: Extension,
}

/// What follows the configuration field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// Nothing.
    None,
    /// Mode 7: key derivation in bits 5..4, key number in bits 3..0.
    Mode7(u8),
    /// Mode 10.
    Mode10 {
        /// Length of the authentication tag in bits 9..8, key derivation in bits 5..4, key number in bits 3..0; bit 6
        /// says that the key's version follows.
        bits: u16,
        /// The key's version.
        key_version: Option<u8>,
        /// The message counter.
        counter: u32,
    },
}

impl Configuration {
    /// No protection.
    pub const PLAIN: Self = Self {
        field: 0,
        extension: Extension::None,
    };

    /// Mode 5 with so many encrypted blocks of 16 bytes (at most 15).
    #[must_use]
    pub const fn mode_5(blocks: u8) -> Self {
        Self {
            field: 0x0500 | (blocks as u16 & 0x0F) << 4,
            extension: Extension::None,
        }
    }

    /// Mode 7 with so many encrypted blocks of 16 bytes (at most 15), key derivation A, key 0.
    #[must_use]
    pub const fn mode_7(blocks: u8) -> Self {
        Self {
            field: 0x0700 | (blocks as u16 & 0x0F) << 4,
            extension: Extension::Mode7(KEY_DERIVATION_A as u8),
        }
    }

    /// Mode 10, everything encrypted, a tag of 4, 8, 12 or 16 bytes (rounded down), key derivation A, key 0.
    #[must_use]
    pub const fn mode_10(tag_len: u8, counter: u32) -> Self {
        let steps = (tag_len / 4).saturating_sub(1) as u16 & 3;
        let extension = Extension::Mode10 {
            bits: steps << 8 | KEY_DERIVATION_A,
            key_version: None,
            counter,
        };
        Self {
            field: 0x0A00 | COUNTER_FOLLOWS | ALL_BYTES,
            extension,
        }
    }

    /// Reads the field and its extension.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`]; [`ErrorKind::Reserved`] for a mode 10 without message counter.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let before = reader.clone();
        let field = reader.u16()?;
        let mut read = Self {
            field,
            extension: Extension::None,
        };
        match read.mode() {
            7 => read.extension = Extension::Mode7(reader.byte()?),
            10 if field & COUNTER_FOLLOWS == 0 => {
                return Err(before.error(ErrorKind::Reserved((field >> 8) as u8)));
            }
            10 => {
                let bits = reader.u16()?;
                let key_version = if bits & KEY_VERSION_FOLLOWS == 0 {
                    None
                } else {
                    Some(reader.byte()?)
                };
                read.extension = Extension::Mode10 {
                    bits,
                    key_version,
                    counter: reader.u32()?,
                };
            }
            _ => {}
        }
        Ok(read)
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.field.to_le_bytes());
        match self.extension {
            Extension::None => {}
            Extension::Mode7(bits) => bytes.push(bits),
            Extension::Mode10 {
                bits,
                key_version,
                counter,
            } => {
                bytes.extend(bits.to_le_bytes());
                bytes.extend(key_version);
                bytes.extend(counter.to_le_bytes());
            }
        }
    }

    /// The security mode, 0..=31.
    #[inline]
    #[must_use]
    pub const fn mode(&self) -> u8 {
        (self.field >> 8) as u8 & 0x1F
    }

    /// Modes 5 and 7: how many bytes are encrypted.
    pub(crate) const fn encrypted_blocks_len(&self) -> usize {
        (self.field >> 4 & 0x0F) as usize * 16
    }

    /// Modes 2, 3 and 10: how many bytes are encrypted.
    pub(crate) const fn encrypted_bytes_len(&self) -> u8 {
        self.field as u8
    }
}

impl Extension {
    /// Is the key one that was derived with method A (EN 13757-7, 9.6.2) from the meter's?
    pub(crate) const fn derives_key(&self) -> bool {
        let bits = match *self {
            Self::None => return false,
            Self::Mode7(bits) => bits as u16,
            Self::Mode10 { bits, .. } => bits,
        };
        bits & 0x30 == KEY_DERIVATION_A
    }

    /// How long the authentication tag of mode 10 is.
    pub(crate) const fn tag_len(&self) -> usize {
        match *self {
            Self::Mode10 { bits, .. } => 4 + 4 * (bits >> 8 & 3) as usize,
            Self::None | Self::Mode7(_) => 0,
        }
    }
}

/// Which header a CI announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    None,
    Short,
    Long,
}

/// What stands behind the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Application {
    Content(Content),
    /// The number of an error.
    Error,
}

/// What a control information byte says; `None` if it names no layer of a meter's data.
///
/// Source: EN 13757-7, table 2; OMS Vol. 2, CI fields.
const fn classify(ci: u8) -> Option<(Shape, Application)> {
    use Application::Error;
    use Shape::{Long, None as NoHeader, Short};
    Some(match ci {
        0x78 => (NoHeader, Application::Content(Content::Full)),
        0x7A => (Short, Application::Content(Content::Full)),
        0x72 => (Long, Application::Content(Content::Full)),
        0x79 => (NoHeader, Application::Content(Content::Compact)),
        0x7B => (Short, Application::Content(Content::Compact)),
        0x73 => (Long, Application::Content(Content::Compact)),
        0x69 => (NoHeader, Application::Content(Content::Format)),
        0x6A => (Short, Application::Content(Content::Format)),
        0x6B => (Long, Application::Content(Content::Format)),
        0x71 => (NoHeader, Application::Content(Content::Alarm)),
        0x74 => (Short, Application::Content(Content::Alarm)),
        0x75 => (Long, Application::Content(Content::Alarm)),
        0x70 => (NoHeader, Error),
        0x6E => (Short, Error),
        0x6F => (Long, Error),
        0xA0..=0xB7 => (NoHeader, Application::Content(Content::Manufacturer)),
        _ => return None,
    })
}

/// Does this CI announce a long header?
pub(crate) const fn has_long_header(ci: u8) -> bool {
    matches!(classify(ci), Some((Shape::Long, _)))
}

/// Does this CI announce any header?
pub(crate) const fn has_header(ci: u8) -> bool {
    matches!(classify(ci), Some((Shape::Short | Shape::Long, _)))
}

// Transport layers with nothing above.
const SHORT_ALONE: u8 = 0x8A;
const LONG_ALONE: u8 = 0x8B;

/// Mode 10: no part is left unencrypted.
pub(crate) const ALL_BYTES: u16 = 0xFF;
const COUNTER_FOLLOWS: u16 = 0x2000;
const KEY_VERSION_FOLLOWS: u16 = 0x40;
const KEY_DERIVATION_A: u16 = 0x10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Layer;

    #[test]
    fn three_shapes() {
        let address = Address::from_link([0x93, 0x15, 0x78, 0x56, 0x34, 0x12, 0x33, 0x03]);
        let fields = Fields {
            access_number: AccessNumber(0x2A),
            status: 0,
            configuration: Configuration::mode_5(2),
        };
        for (ci, address, fields, bytes) in [
            (0x78, None, None, &[0x78][..]),
            (0x7A, None, Some(fields), &[0x7A, 0x2A, 0x00, 0x20, 0x05]),
            (
                0x72,
                Some(address),
                Some(fields),
                &[
                    0x72, 0x78, 0x56, 0x34, 0x12, 0x93, 0x15, 0x33, 0x03, 0x2A, 0x00, 0x20, 0x05,
                ],
            ),
        ] {
            let header = Header {
                ci,
                address,
                fields,
            };
            let mut reader = Reader::new(bytes);
            assert_eq!(
                Header::read(&mut reader),
                Ok((header, Application::Content(Content::Full)))
            );
            assert_eq!(reader.finish(), Ok(()));
            let mut written = Vec::new();
            header.write(&mut written);
            assert_eq!(written, bytes);
            for length in 0..bytes.len() {
                let error = Header::read(&mut Reader::new(&bytes[..length])).unwrap_err();
                assert!(
                    matches!(error.kind, ErrorKind::Truncated { .. }),
                    "{length}"
                );
            }
        }
    }

    // Mode 7: 20 07 10 is N = 2 blocks, mode 7, key derivation 1, key 0.
    // Mode 10: FF 2A 10 01 8C570E00 is N = FF, counter there, mode 10, tag 4 + 1 * 4 bytes, derivation 1, 939,916.
    #[test]
    fn configurations_by_hand() {
        for (configuration, mode, bytes) in [
            (Configuration::PLAIN, 0, &[0, 0][..]),
            (Configuration::mode_5(2), 5, &[0x20, 0x05]),
            (Configuration::mode_7(2), 7, &[0x20, 0x07, 0x10]),
            (
                Configuration::mode_10(8, 939_916),
                10,
                &[0xFF, 0x2A, 0x10, 0x01, 0x8C, 0x57, 0x0E, 0x00],
            ),
        ] {
            assert_eq!(
                Configuration::read(&mut Reader::new(bytes)),
                Ok(configuration)
            );
            let mut written = Vec::new();
            configuration.write(&mut written);
            assert_eq!((written.as_slice(), configuration.mode()), (bytes, mode));
        }
        assert_eq!(Configuration::mode_7(2).encrypted_blocks_len(), 32);
        let with_version = Configuration::read(&mut Reader::new(&[
            0xFF, 0x2A, 0x50, 0x01, 0x07, 1, 0, 0, 0,
        ]))
        .unwrap();
        assert_eq!(
            with_version.extension,
            Extension::Mode10 {
                bits: 0x0150,
                key_version: Some(7),
                counter: 1
            }
        );
        assert!(with_version.extension.derives_key());
        assert!(!Extension::Mode7(0x00).derives_key());
    }

    #[test]
    fn says_what_carries_no_data() {
        let kind = |bytes: &[u8]| {
            Header::read(&mut Reader::in_layer(Layer::Tpl, 10, bytes))
                .unwrap_err()
                .kind
        };
        assert_eq!(kind(&[0x8A, 1, 0, 0, 0]), ErrorKind::NoData);
        assert_eq!(kind(&[0x5B]), ErrorKind::UnknownCi(0x5B));
    }
}
