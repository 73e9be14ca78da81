//! The extended link layer of EN 13757-4: communication control, access number, session number.

use crate::error::{Error, ErrorKind};
use crate::reader::Reader;

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

const AES_128_CTR: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

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
