//! The authentication and fragmentation layer of EN 13757-7: long messages in fragments, message counter, MAC.
//!
//! ```text
//! 90 | AFLL | FCL 2 | MCL? | KI 2? | MCR 4? | MAC 2..16? | ML 2?      AFLL counts the bytes after itself
//! ```
//!
//! Source: EN 13757-7, clause 6.

mod assembler;

use crate::address::IdentificationNumber;
use crate::crypto::{self, Mac, MeterKey, Purpose};
use crate::error::{Error, ErrorKind};
use crate::reader::Reader;

pub use assembler::Assembler;

/// The header of one telegram's layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which fragment this is, and whether more follow (FCL).
    pub fragment: Fragment,
    /// How the whole message is authenticated (MCL).
    pub control: Option<MessageControl>,
    /// Which key is used (KI).
    pub key_information: Option<u16>,
    /// The message counter (MCR).
    pub counter: Option<u32>,
    /// The message authentication code.
    pub mac: Option<Tag>,
    /// How long the joined message is (ML).
    pub message_len: Option<u16>,
}

/// Which fragment of a message a telegram carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Its number: 1 is the first, one more each; 0 for a message in one piece.
    pub number: u8,
    /// Do more follow?
    pub more: bool,
}

impl Fragment {
    /// A message in one piece.
    pub const WHOLE: Self = Self {
        number: 0,
        more: false,
    };

    /// Is this the whole message?
    #[must_use]
    pub const fn is_whole(self) -> bool {
        self.number <= 1 && !self.more
    }
}

/// The message control field: which fields the message has, and the type of its MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageControl(pub u8);

impl MessageControl {
    /// How long the MAC is in bytes; 0 if there is none.
    ///
    /// # Errors
    /// [`ErrorKind::UnsupportedAuthentication`] for anything but AES-128-CMAC.
    pub const fn tag_len(self) -> Result<usize, ErrorKind> {
        match self.0 & 0x0F {
            0 => Ok(0),
            3 => Ok(2),
            4 => Ok(4),
            5 => Ok(8),
            6 => Ok(12),
            7 => Ok(16),
            other => Err(ErrorKind::UnsupportedAuthentication(other)),
        }
    }

    /// A MAC of 2, 4, 8, 12 or 16 bytes (else the next longer) with a message counter.
    #[must_use]
    pub const fn with_tag_len(tag_len: usize) -> Self {
        let kind = match tag_len {
            0..=2 => 3,
            3..=4 => 4,
            5..=8 => 5,
            9..=12 => 6,
            _ => 7,
        };
        Self(COUNTER_IN_MESSAGE | kind)
    }

    /// The same, with the message's length.
    #[must_use]
    pub const fn with_message_len(self) -> Self {
        Self(self.0 | LENGTH_IN_MESSAGE)
    }
}

/// A message authentication code as received: the first bytes of a CMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    bytes: [u8; 16],
    len: u8,
}

impl Tag {
    /// The code with these bytes; `None` above 16.
    #[must_use]
    pub fn new(code: &[u8]) -> Option<Self> {
        let mut bytes = [0; 16];
        bytes.get_mut(..code.len())?.copy_from_slice(code);
        Some(Self {
            bytes,
            len: u8::try_from(code.len()).ok()?,
        })
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl Header {
    /// Reads the header with its CI; `None`, and nothing read, if another CI stands there.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`]; [`ErrorKind::TrailingData`] if the header is shorter than it says;
    /// [`ErrorKind::UnsupportedAuthentication`].
    pub fn read(reader: &mut Reader<'_>) -> Result<Option<Self>, Error> {
        if reader.peek() != Some(CI) {
            return Ok(None);
        }
        let &[_, length] = reader.take_array()?;
        let mut header = reader.sub(length.into())?;
        let flags = header.u16()?;
        let mut read = Self {
            fragment: Fragment {
                number: flags as u8,
                more: flags & MORE != 0,
            },
            control: None,
            key_information: None,
            counter: None,
            mac: None,
            message_len: None,
        };
        if flags & CONTROL != 0 {
            read.control = Some(MessageControl(header.byte()?));
        }
        if flags & KEY_INFORMATION != 0 {
            read.key_information = Some(header.u16()?);
        }
        if flags & COUNTER != 0 {
            read.counter = Some(header.u32()?);
        }
        let behind_mac = if flags & LENGTH != 0 { 2 } else { 0 };
        if flags & MAC != 0 {
            let at_mac = header.clone();
            // Only the first fragment says how long the MAC is, and it may stand in the last: it fills what is left.
            let tag_len = match read.control {
                Some(control) => control.tag_len().map_err(|kind| at_mac.error(kind))?,
                None => header.left().len().saturating_sub(behind_mac),
            };
            let code = header.take(tag_len)?;
            read.mac = Some(
                Tag::new(code)
                    .ok_or_else(|| at_mac.error(ErrorKind::TrailingData(tag_len - 16)))?,
            );
        }
        if flags & LENGTH != 0 {
            read.message_len = Some(header.u16()?);
        }
        header.finish()?;
        Ok(Some(read))
    }

    /// Appends the header with its CI.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        let mut flags = u16::from(self.fragment.number);
        for (bit, is_there) in [
            (MORE, self.fragment.more),
            (CONTROL, self.control.is_some()),
            (KEY_INFORMATION, self.key_information.is_some()),
            (COUNTER, self.counter.is_some()),
            (MAC, self.mac.is_some()),
            (LENGTH, self.message_len.is_some()),
        ] {
            flags |= if is_there { bit } else { 0 };
        }
        let mut header = flags.to_le_bytes().to_vec();
        header.extend(self.control.map(|control| control.0));
        header.extend(
            self.key_information
                .iter()
                .flat_map(|key| key.to_le_bytes()),
        );
        header.extend(
            self.counter
                .iter()
                .flat_map(|counter| counter.to_le_bytes()),
        );
        header.extend(self.mac.iter().flat_map(|mac| mac.as_bytes()));
        header.extend(
            self.message_len
                .iter()
                .flat_map(|length| length.to_le_bytes()),
        );
        // At most 2 + 1 + 2 + 4 + 16 + 2 bytes.
        bytes.extend([CI, header.len() as u8]);
        bytes.extend(header);
    }

    /// How long the message's MAC is, which is right; 0 if it has none.
    ///
    /// # Errors
    /// [`ErrorKind::Mac`] if it is wrong; [`ErrorKind::UnsupportedAuthentication`] without a message counter, since
    /// then no key can be derived; [`ErrorKind::KeyLength`].
    pub(crate) fn verify(
        &self,
        key: &MeterKey,
        meter: IdentificationNumber,
        message: &[u8],
    ) -> Result<usize, ErrorKind> {
        let (Some(control), Some(mac)) = (self.control, self.mac) else {
            return Ok(0);
        };
        let tag_len = control.tag_len()?;
        if tag_len == 0 {
            return Ok(0);
        }
        let is_complete = mac.as_bytes().len() == tag_len;
        let calculated = self.authenticate(key, meter, message)?;
        if is_complete && calculated.verify(mac.as_bytes()) {
            Ok(tag_len)
        } else {
            Err(ErrorKind::Mac)
        }
    }

    /// The MAC that the message should have.
    pub(crate) fn calculate(
        &self,
        key: &MeterKey,
        meter: IdentificationNumber,
        message: &[u8],
    ) -> Result<[u8; 16], ErrorKind> {
        Ok(self.authenticate(key, meter, message)?.finish())
    }

    /// Source: EN 13757-7, 6.3.6; OMS Vol. 2, 9.3: over MCL, MCR, ML if there is one, and the message from its CI on.
    fn authenticate(
        &self,
        key: &MeterKey,
        meter: IdentificationNumber,
        message: &[u8],
    ) -> Result<Mac, ErrorKind> {
        let control = self.control.unwrap_or(MessageControl(0));
        let counter = self
            .counter
            .ok_or(ErrorKind::UnsupportedAuthentication(control.0 & 0x0F))?;
        let key = crypto::derive(
            key.aes128()?.as_ref(),
            Purpose::Authentication,
            counter,
            meter,
        );
        let mut mac = Mac::new(&key);
        mac.update(&[control.0]);
        mac.update(&counter.to_le_bytes());
        if let Some(length) = self.message_len {
            mac.update(&length.to_le_bytes());
        }
        mac.update(message);
        Ok(mac)
    }
}

const CI: u8 = 0x90;

// FCL
const MORE: u16 = 0x4000;
const CONTROL: u16 = 0x2000;
const LENGTH: u16 = 0x1000;
const COUNTER: u16 = 0x0800;
const MAC: u16 = 0x0400;
const KEY_INFORMATION: u16 = 0x0200;

// MCL
const LENGTH_IN_MESSAGE: u8 = 0x40;
const COUNTER_IN_MESSAGE: u8 = 0x20;

#[cfg(test)]
mod tests {
    use super::*;

    // CEN/TR 17167, F.3: AFLL 0F, FCL 2C00 (MCL, MCR, MAC; fragment 0), MCL 25 (counter, CMAC of 8 bytes), MCR B30A.
    const BYTES: [u8; 17] = [
        0x90, 0x0F, 0x00, 0x2C, 0x25, 0xB3, 0x0A, 0x00, 0x00, 0xAF, 0x5D, 0x74, 0xDF, 0x73, 0xA6,
        0x00, 0xD9,
    ];

    #[test]
    fn header_of_the_standard() {
        let mut reader = Reader::new(&BYTES);
        let header = Header::read(&mut reader).unwrap().unwrap();
        assert_eq!(reader.finish(), Ok(()));
        assert_eq!(header.fragment, Fragment::WHOLE);
        assert_eq!(header.control, Some(MessageControl::with_tag_len(8)));
        assert_eq!((header.counter, header.message_len), (Some(0x0AB3), None));
        assert_eq!(header.mac.unwrap().as_bytes(), &BYTES[9..]);
        let mut written = Vec::new();
        header.write(&mut written);
        assert_eq!(written, BYTES);
    }

    #[test]
    fn refuses_what_does_not_fit() {
        for length in 1..BYTES.len() {
            let error = Header::read(&mut Reader::new(&BYTES[..length])).unwrap_err();
            assert!(
                matches!(error.kind, ErrorKind::Truncated { .. }),
                "{length}"
            );
        }
        let kind = |bytes: &[u8]| Header::read(&mut Reader::new(bytes)).unwrap_err().kind;
        assert_eq!(
            kind(&[0x90, 3, 0x00, 0x00, 0xAA]),
            ErrorKind::TrailingData(1)
        );
        assert_eq!(
            kind(&[0x90, 3, 0x00, 0x24, 0x28]),
            ErrorKind::UnsupportedAuthentication(8)
        );
        assert_eq!(Header::read(&mut Reader::new(&[0x7A])), Ok(None));
    }
}
