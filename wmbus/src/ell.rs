//! The extended link layer of EN 13757-4: communication control, access number, receiver, session number, encryption.
//!
//! ```text
//! 8C | CC | ACC                                            I
//! 8D | CC | ACC | SN 4 | CRC 2 | payload                   II    encrypted from the CRC on
//! 8E | CC | ACC | M2 2 | A2 6                              III
//! 8F | CC | ACC | M2 2 | A2 6 | SN 4 | CRC 2 | payload     IV    encrypted from the CRC on
//! ```

use crate::address::Address;
use crate::crc;
use crate::crypto::{self, MeterKey};
use crate::error::{Error, ErrorKind};
use crate::reader::Reader;
use crate::telegram::AccessNumber;

/// The header of any of the four extended link layers; which one it is, follows from what is there.
///
/// Source: EN 13757-4, extended link layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Communication control (CC): bits of the radio protocol.
    pub communication_control: u8,
    /// Counts the meter's telegrams.
    pub access_number: AccessNumber,
    /// Whom the telegram is for (layers III and IV).
    pub receiver: Option<Address>,
    /// The session number (layers II and IV); a CRC and the payload follow, both encrypted if it says so.
    pub session: Option<SessionNumber>,
}

impl Header {
    /// The control information byte of this layer.
    #[inline]
    #[must_use]
    pub const fn ci(&self) -> u8 {
        match (self.receiver, self.session) {
            (None, None) => I,
            (None, Some(_)) => II,
            (Some(_), None) => III,
            (Some(_), Some(_)) => IV,
        }
    }

    /// Reads the header with its CI, up to the CRC or the next layer; `None`, and nothing read, if another CI stands
    /// there.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`]; those of [`SessionNumber::read`].
    #[inline]
    pub fn read(reader: &mut Reader<'_>) -> Result<Option<Self>, Error> {
        let (has_receiver, has_session) = match reader.peek() {
            Some(I) => (false, false),
            Some(II) => (false, true),
            Some(III) => (true, false),
            Some(IV) => (true, true),
            _ => return Ok(None),
        };
        let &[_, communication_control, access_number] = reader.take_array()?;
        Ok(Some(Self {
            communication_control,
            access_number: AccessNumber(access_number),
            receiver: if has_receiver {
                Some(Address::read_link(reader)?)
            } else {
                None
            },
            session: if has_session {
                Some(SessionNumber::read(reader)?)
            } else {
                None
            },
        }))
    }

    /// Appends the layer: header, and where it has a session number the CRC of `payload`, then `payload`, encrypted if
    /// the session number says so.
    ///
    /// # Errors
    /// [`ErrorKind::KeyMissing`] or [`ErrorKind::KeyLength`] if there is no AES-128 key to encrypt with.
    pub fn write(
        &self,
        sender: Address,
        key: Option<&MeterKey>,
        payload: &[u8],
        bytes: &mut Vec<u8>,
    ) -> Result<(), ErrorKind> {
        bytes.extend([self.ci(), self.communication_control, self.access_number.0]);
        bytes.extend(self.receiver.iter().flat_map(|receiver| receiver.to_link()));
        let Some(session) = self.session else {
            bytes.extend(payload);
            return Ok(());
        };
        bytes.extend(session.to_bytes());
        let start = bytes.len();
        bytes.extend(crc::en13757(payload).to_le_bytes());
        bytes.extend(payload);
        if session.is_encrypted() {
            let cipher = key.ok_or(ErrorKind::KeyMissing)?.aes128()?;
            crypto::ctr(
                cipher.as_ref(),
                self.initial_counter(sender, session),
                bytes.get_mut(start..).unwrap_or_default(),
            );
        }
        Ok(())
    }

    /// The first counter block: M, A, CC without the bits a repeater may set, SN, frame number 0, block counter 0.
    ///
    /// Source: EN 13757-4, encryption of the extended link layer.
    #[inline]
    pub(crate) const fn initial_counter(
        &self,
        sender: Address,
        session: SessionNumber,
    ) -> [u8; 16] {
        let [m0, m1, a0, a1, a2, a3, a4, a5] = sender.to_link();
        let [s0, s1, s2, s3] = session.to_bytes();
        let control = self.communication_control & !SET_BY_REPEATERS;
        [
            m0, m1, a0, a1, a2, a3, a4, a5, control, s0, s1, s2, s3, 0, 0, 0,
        ]
    }
}

/// Does a layer of this kind begin here, and encrypt what follows?
#[inline]
pub(crate) fn encrypts(bytes: &[u8]) -> bool {
    let session = match bytes {
        [II, _, _, session @ ..] => session,
        [IV, _, _, _, _, _, _, _, _, _, _, session @ ..] => session,
        _ => return false,
    };
    SessionNumber::read(&mut Reader::new(session)).is_ok_and(SessionNumber::is_encrypted)
}

/// Is the CRC before a decrypted payload right?
#[inline]
pub(crate) fn is_right(decrypted: &[u8]) -> bool {
    match decrypted.split_first_chunk() {
        Some((crc, payload)) => u16::from_le_bytes(*crc) == crc::en13757(payload),
        None => false,
    }
}

/// Takes the CRC off a payload that was sent as plain text.
///
/// # Errors
/// [`ErrorKind::Truncated`]; [`ErrorKind::Crc`].
pub(crate) fn read_checked(mut reader: Reader<'_>) -> Result<Reader<'_>, Error> {
    let before = reader.clone();
    let found = reader.u16()?;
    let expected = crc::en13757(reader.left());
    if found == expected {
        Ok(reader)
    } else {
        Err(before.error(ErrorKind::Crc { expected, found }))
    }
}

/// The session number of the encrypting extended link layers (CI 8D and 8F).
///
/// It may neither repeat nor go back while a key is in use, for it is the larger part of the initial counter block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionNumber(u32);

impl SessionNumber {
    /// The largest value of [`minutes`](Self::minutes).
    pub const MAX_MINUTES: u32 = 0x01FF_FFFF;

    /// The session number of an encrypted telegram; `None` above [`MAX_MINUTES`](Self::MAX_MINUTES) or session 15.
    #[must_use]
    pub const fn new(minutes: u32, session: u8) -> Option<Self> {
        if minutes > Self::MAX_MINUTES || session > 15 {
            return None;
        }
        Some(Self(AES_128_CTR << 29 | minutes << 4 | session as u32))
    }

    /// Reads the ELL session number: encryption (bits 31..29), minutes (28..4), session (3..0), lowest byte first.
    ///
    /// Minutes: 0..=33_554_431, wraps; counted by the meter, so never use it as wall-clock time.
    /// Source: EN 13757-4, extended link layer, session number field (CI 0x8D).
    /// # Errors
    /// [`ErrorKind::Truncated`] below four bytes; [`ErrorKind::UnsupportedMode`] if encryption is above 1.
    /// # Example
    /// ```
    /// # use wmbus::{ell::SessionNumber, Reader};
    /// let number = SessionNumber::read(&mut Reader::new(&[0x01, 0x87, 0x03, 0x20]))?;
    /// assert_eq!(number.minutes(), 14_448);
    /// # Ok::<(), wmbus::Error>(())
    /// ```
    #[inline]
    pub const fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let here = reader.error(ErrorKind::UnsupportedMode(0));
        match reader.u32() {
            Ok(bits) if bits >> 29 <= AES_128_CTR => Ok(Self(bits)),
            Ok(bits) => Err(Error {
                kind: ErrorKind::UnsupportedMode((bits >> 29) as u8),
                ..here
            }),
            Err(error) => Err(error),
        }
    }

    /// The four bytes as transmitted.
    #[inline]
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 4] {
        self.0.to_le_bytes()
    }

    /// Is the payload encrypted (AES-128-CTR), or sent as plain text?
    #[inline]
    #[must_use]
    pub const fn is_encrypted(self) -> bool {
        self.0 >> 29 == AES_128_CTR
    }

    /// Minutes by the meter's clock, or since its power-up.
    #[inline]
    #[must_use]
    pub const fn minutes(self) -> u32 {
        self.0 >> 4 & Self::MAX_MINUTES
    }

    /// Tells sessions within one minute apart, 0..=15.
    #[inline]
    #[must_use]
    pub const fn session(self) -> u8 {
        self.0 as u8 & 0x0F
    }
}

/// The CRC before the payload of layers II and IV.
pub(crate) const CRC_LEN: usize = 2;

const AES_128_CTR: u32 = 1;

const I: u8 = 0x8C;
const II: u8 = 0x8D;
const III: u8 = 0x8E;
const IV: u8 = 0x8F;

/// The hop count bit and the repeated access bit of CC: set after encryption.
const SET_BY_REPEATERS: u8 = 0x10 | 0x02;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;

    #[test]
    fn all_four_there_and_back() {
        let receiver = Some(sender());
        let session = SessionNumber::new(14_448, 1);
        for (ci, receiver, session, length) in [
            (0x8C, None, None, 3),
            (0x8D, None, session, 7),
            (0x8E, receiver, None, 11),
            (0x8F, receiver, session, 15),
        ] {
            let header = Header {
                communication_control: 0x20,
                access_number: AccessNumber(9),
                receiver,
                session,
            };
            let mut bytes = Vec::new();
            header
                .write(sender(), Some(&key()), b"payload", &mut bytes)
                .unwrap();
            assert_eq!(bytes[0], ci);
            let mut reader = Reader::new(&bytes);
            assert_eq!(Header::read(&mut reader), Ok(Some(header)));
            assert_eq!(reader.offset(), length);
            for missing in 1..=length {
                assert!(matches!(
                    Header::read(&mut Reader::new(&bytes[..length - missing])),
                    Ok(None)
                        | Err(Error {
                            kind: ErrorKind::Truncated { .. },
                            ..
                        })
                ));
            }
        }
        assert_eq!(Header::read(&mut Reader::new(&[0x7A, 1, 2])), Ok(None));
    }

    // M 2D2C, A 57686632 30 02, CC 36 without 0x12 = 24, SN 01870320, FN 0000, BC 00.
    #[test]
    fn initial_counter_by_hand() {
        let session = SessionNumber::new(14_448, 1).unwrap();
        let header = Header {
            communication_control: 0x36,
            access_number: AccessNumber(0),
            receiver: None,
            session: Some(session),
        };
        let expected = [
            0x2D, 0x2C, 0x57, 0x68, 0x66, 0x32, 0x30, 0x02, 0x24, 0x01, 0x87, 0x03, 0x20, 0, 0, 0,
        ];
        assert_eq!(header.initial_counter(sender(), session), expected);
    }

    #[test]
    fn encrypts_only_with_a_key() {
        let header = Header {
            communication_control: 0x20,
            access_number: AccessNumber(0),
            receiver: None,
            session: SessionNumber::new(1, 1),
        };
        let des = "0102030405060708".parse().unwrap();
        let write = |key| header.write(sender(), key, &[], &mut Vec::new());
        assert_eq!(write(None), Err(ErrorKind::KeyMissing));
        assert_eq!(write(Some(&des)), Err(ErrorKind::KeyLength));
        assert_eq!(write(Some(&key())), Ok(()));
    }

    fn sender() -> Address {
        Address::from_link([0x2D, 0x2C, 0x57, 0x68, 0x66, 0x32, 0x30, 0x02])
    }

    fn key() -> MeterKey {
        MeterKey::from(&Key::from_bytes([7; 16]))
    }

    // 20 03 87 01: 001 0'0000'0000'0011'1000'0111'0000 0001 = encryption 1, minutes 0x3870 = 14,448, session 1.
    #[test]
    fn session_number_by_hand() {
        let number = SessionNumber::read(&mut Reader::new(&[0x01, 0x87, 0x03, 0x20])).unwrap();
        assert_eq!(
            (number.is_encrypted(), number.minutes(), number.session()),
            (true, 0x3870, 1)
        );
        assert_eq!(SessionNumber::new(14_448, 1), Some(number));
        assert_eq!(number.to_bytes(), [0x01, 0x87, 0x03, 0x20]);
    }

    #[test]
    fn session_number_limits() {
        let largest = SessionNumber::new(SessionNumber::MAX_MINUTES, 15).unwrap();
        assert_eq!(largest.to_bytes(), [0xFF, 0xFF, 0xFF, 0x3F]);
        assert_eq!(SessionNumber::new(SessionNumber::MAX_MINUTES + 1, 0), None);
        assert_eq!(SessionNumber::new(0, 16), None);
        assert!(
            !SessionNumber::read(&mut Reader::new(&[0xFF, 0xFF, 0xFF, 0x1F]))
                .unwrap()
                .is_encrypted()
        );
        let error = SessionNumber::read(&mut Reader::new(&[0, 0, 0, 0x40])).unwrap_err();
        assert_eq!(
            (error.offset, error.kind),
            (0, ErrorKind::UnsupportedMode(2))
        );
    }
}
