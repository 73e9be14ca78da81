//! The two CRC-16 algorithms of the protocol, from the `crc` crate's catalogue.

use crc::{CRC_16_EN_13757, CRC_16_IBM_SDLC, Crc, Digest, Table};

/// The CRC of EN 13757: link-layer blocks, the payload of the extended link layer, format signatures, full frames.
///
/// ```
/// // The header bytes of an OmniPower's full frame, and the format signature of its compact frames.
/// let headers = [0x04, 0x04, 0x04, 0x84, 0x3C, 0x04, 0x2B, 0x04, 0xAB, 0x3C];
/// assert_eq!(wmbus::crc::en13757(&headers), 0x8C13);
/// ```
#[inline]
#[must_use]
pub fn en13757(bytes: &[u8]) -> u16 {
    EN_13757.checksum(bytes)
}

/// The CRC of the dongle's serial interface (X-25).
#[inline]
#[must_use]
pub fn x25(bytes: &[u8]) -> u16 {
    X25.checksum(bytes)
}

/// [`en13757`] over bytes that do not stand together, such as the headers and values of a compact frame.
///
/// ```
/// use wmbus::crc::{En13757, en13757};
/// let mut crc = En13757::new();
/// crc.update(b"1234");
/// crc.update(b"56789");
/// assert_eq!(crc.finish(), en13757(b"123456789"));
/// ```
#[derive(Clone)]
pub struct En13757(Digest<'static, u16, Table<16>>);

impl En13757 {
    /// The CRC of nothing yet.
    #[inline]
    #[must_use]
    pub fn new() -> Self {
        Self(EN_13757.digest())
    }

    /// Continues over `bytes`.
    #[inline]
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The CRC of all bytes so far.
    #[inline]
    #[must_use]
    pub fn finish(self) -> u16 {
        self.0.finalize()
    }
}

impl Default for En13757 {
    fn default() -> Self {
        Self::new()
    }
}

/// Sixteen tables instead of one: this CRC runs twice over every telegram.
static EN_13757: Crc<u16, Table<16>> = Crc::<u16, Table<16>>::new(&CRC_16_EN_13757);
static X25: Crc<u16> = Crc::<u16>::new(&CRC_16_IBM_SDLC);

#[cfg(test)]
mod tests {
    use super::*;

    // The check values of the catalogue of parametrised CRC algorithms (reveng).
    #[test]
    fn check_values() {
        assert_eq!(en13757(b"123456789"), 0xC2B7);
        assert_eq!(x25(b"123456789"), 0x906E);
    }

    #[test]
    fn nothing_has_the_final_xor() {
        assert_eq!(en13757(&[]), 0xFFFF);
        assert_eq!(En13757::new().finish(), 0xFFFF);
    }
}
