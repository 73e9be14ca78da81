//! Frame formats A and B: how a telegram is cut into blocks with CRCs on the air.
//!
//! ```text
//! A:  L … A 10 | CRC 2 | 16 | CRC 2 | 16 | CRC 2 | …     L leaves the CRCs out; each CRC covers its block
//! B:  L … A 10 and up to 116 more | CRC 2 | up to 126 | CRC 2     L counts the CRCs; the first covers all before it
//! ```
//!
//! Source: EN 13757-4, frame formats A and B.

use std::borrow::Cow;

use super::Frame;
use crate::crc;
use crate::ell;
use crate::error::{Error, ErrorKind, Layer};
use crate::reader::Reader;
use crate::telegram;
use crate::wired;

/// A frame format with CRCs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Format A: modes S, T, R, C.
    A,
    /// Format B: mode C.
    B,
}

impl Format {
    /// A telegram without CRCs, as [`Repr::emit`](super::Repr::emit) gives it, in this format.
    ///
    /// # Errors
    /// As [`Frame::new_checked`]; [`ErrorKind::Length`] if it is too long for the L field of format B.
    pub fn emit(self, bare: &[u8]) -> Result<Vec<u8>, Error> {
        Frame::new_checked(bare)?;
        match self {
            Self::A => {
                let (first, rest) = bare
                    .split_at_checked(Frame::HEADER_LEN)
                    .unwrap_or((bare, &[]));
                let mut bytes = Vec::with_capacity(format_a_len(bare.len()));
                for block in core::iter::once(first).chain(rest.chunks(BLOCK_A)) {
                    push_block(&mut bytes, block);
                }
                Ok(bytes)
            }
            Self::B => {
                let crcs = if bare.len() > FIRST_B { 2 } else { 1 };
                let declared = usize::from(u8::MAX) - CRC * crcs;
                let found = bare.len() - 1;
                let length = u8::try_from(found + CRC * crcs);
                let kind = ErrorKind::Length { declared, found };
                let length = length.map_err(|_| Error {
                    layer: Layer::Link,
                    offset: 0,
                    kind,
                })?;
                let (first, second) = bare.split_at_checked(FIRST_B).unwrap_or((bare, &[]));
                let mut counted = first.to_vec();
                if let Some(l_field) = counted.first_mut() {
                    *l_field = length;
                }
                let mut bytes = Vec::with_capacity(bare.len() + CRC * crcs);
                push_block(&mut bytes, &counted);
                if !second.is_empty() {
                    push_block(&mut bytes, second);
                }
                Ok(bytes)
            }
        }
    }
}

/// Takes the CRCs of a known format off, and verifies each.
///
/// # Errors
/// [`ErrorKind::Crc`] with the place of the first wrong one; [`ErrorKind::Truncated`] or [`ErrorKind::TrailingData`] if
/// the bytes are not exactly as many as the L field asks for.
pub fn strip(format: Format, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let mut reader = Reader::new(bytes);
    let Some(length) = reader.peek() else {
        return Err(reader.error(ErrorKind::Truncated { missing: 1 }));
    };
    let mut bare = Vec::with_capacity(bytes.len());
    match format {
        Format::A => {
            let mut left = usize::from(length) + 1;
            let mut block = Frame::HEADER_LEN;
            while left > 0 {
                bare.extend(take_block(&mut reader, left.min(block))?);
                left = left.saturating_sub(block);
                block = BLOCK_A;
            }
        }
        Format::B => {
            let whole = usize::from(length) + 1;
            let first = whole.min(FIRST_B + CRC).saturating_sub(CRC);
            bare.extend(take_block(&mut reader, first)?);
            if let Some(second) = whole.checked_sub(FIRST_B + CRC)
                && second > 0
            {
                bare.extend(take_block(&mut reader, second.saturating_sub(CRC))?);
            }
        }
    }
    reader.finish()?;
    let counted = bare.len().saturating_sub(1);
    if let (Some(l_field), Ok(length)) = (bare.first_mut(), u8::try_from(counted)) {
        *l_field = length;
    }
    Ok(bare)
}

/// A telegram as a receiver hands it over, without what the receiver left on it.
///
/// The length decides what that is, and the L field is trusted: L + 1 bytes are a bare telegram or frame format B,
/// L + 3 a bare telegram and two bytes of the receiver's, L + 1 and the CRCs of all blocks frame format A. A wired long
/// frame (68 … 68 … 16) stays as it is.
///
/// Bare telegrams and format B have the same length, and the CRCs of format B tell them apart. Those of a bare telegram
/// are right by chance once in 65,536 times, so where a check under the encryption can tell better, the telegram stays as
/// it is until [`Telegram::decrypt`](crate::Telegram::decrypt).
///
/// # Errors
/// [`ErrorKind::Length`] for any other length, with the least that would do; [`ErrorKind::Crc`] if format A has the
/// right length and a wrong CRC.
pub fn normalise(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Error> {
    if wired::LongFrame::begins(bytes) {
        return Ok(Cow::Borrowed(bytes));
    }
    let reader = Reader::new(bytes);
    let Some(length) = reader.peek() else {
        return Err(reader.error(ErrorKind::Truncated { missing: 1 }));
    };
    let bare_len = usize::from(length) + 1;
    let found = bytes.len();
    if found == bare_len {
        let stripped = match bytes.get(Frame::HEADER_LEN..) {
            Some(above) if ell::encrypts(above) => return Ok(Cow::Borrowed(bytes)),
            _ => strip(Format::B, bytes),
        };
        return Ok(match stripped {
            Ok(stripped) if telegram::is_format_b(bytes, &stripped) == Some(true) => {
                Cow::Owned(stripped)
            }
            _ => Cow::Borrowed(bytes),
        });
    }
    if found == bare_len + RECEIVER_BYTES {
        return Ok(Cow::Borrowed(bytes.get(..bare_len).unwrap_or(bytes)));
    }
    if found == format_a_len(bare_len) {
        return strip(Format::A, bytes).map(Cow::Owned);
    }
    Err(reader.error(ErrorKind::Length {
        declared: bare_len,
        found,
    }))
}

/// Where the CRCs stand in a telegram of a known format that has `len` bytes with them.
pub(crate) fn crc_places(format: Format, len: usize) -> Vec<usize> {
    let (first, other) = match format {
        Format::A => (Frame::HEADER_LEN, BLOCK_A),
        Format::B => (FIRST_B, len),
    };
    let mut places = Vec::new();
    let mut start = 0;
    let mut block = first;
    while start + CRC < len {
        places.push((start + block).min(len - CRC));
        start += block + CRC;
        block = other;
    }
    places
}

/// How long a telegram of `bare_len` bytes is in format A.
const fn format_a_len(bare_len: usize) -> usize {
    bare_len + CRC * (1 + bare_len.saturating_sub(Frame::HEADER_LEN).div_ceil(BLOCK_A))
}

fn push_block(bytes: &mut Vec<u8>, block: &[u8]) {
    bytes.extend(block);
    bytes.extend(crc::en13757(block).to_be_bytes());
}

fn take_block<'a>(reader: &mut Reader<'a>, length: usize) -> Result<&'a [u8], Error> {
    let block = reader.take(length)?;
    let at_crc = reader.clone();
    let found = u16::from_be_bytes(*reader.take_array()?);
    let expected = crc::en13757(block);
    if found != expected {
        return Err(at_crc.error(ErrorKind::Crc { expected, found }));
    }
    Ok(block)
}

const CRC: usize = 2;
/// The blocks of format A behind the first.
const BLOCK_A: usize = 16;
/// The most bytes before the first CRC of format B.
const FIRST_B: usize = 126;
/// What the prototype's FIFO lines carry behind the telegram: the dongle's CRC, which covers more than the telegram.
const RECEIVER_BYTES: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Address;
    use crate::link::{Control, Repr};

    // L = 10 bytes, then one of 16 + 1: blocks of 10, 16 and 1 bytes.
    #[test]
    fn format_a_by_hand() {
        let bare = telegram(17);
        let bytes = Format::A.emit(&bare).unwrap();
        assert_eq!(bytes.len(), 10 + 2 + 16 + 2 + 1 + 2);
        assert_eq!(bytes[..10], bare[..10]);
        assert_eq!(bytes[10..12], crc::en13757(&bare[..10]).to_be_bytes());
        assert_eq!(bytes[12..28], bare[10..26]);
        assert_eq!(bytes[30], bare[26]);
        assert_eq!(strip(Format::A, &bytes).as_deref(), Ok(&bare[..]));
        assert_eq!(normalise(&bytes).as_deref(), Ok(&bare[..]));
    }

    // EN 13757-4, annex with an example of a water meter's telegram in mode S: the CRCs are 4447 and 1E6D.
    #[test]
    fn format_a_of_the_standard() {
        let bytes = [
            0x0F, 0x44, 0xAE, 0x0C, 0x78, 0x56, 0x34, 0x12, 0x01, 0x07, 0x44, 0x47, 0x78, 0x0B,
            0x13, 0x43, 0x65, 0x87, 0x1E, 0x6D,
        ];
        let bare = normalise(&bytes).unwrap();
        assert_eq!(bare.len(), 16);
        assert_eq!(Format::A.emit(&bare).as_deref(), Ok(&bytes[..]));
    }

    #[test]
    fn format_b_by_hand() {
        // One block: L grows by the two bytes of the CRC, which covers all before it.
        let bare = telegram(17);
        let bytes = Format::B.emit(&bare).unwrap();
        assert_eq!((bytes.len(), bytes[0]), (29, 28));
        assert_eq!(bytes[27..], crc::en13757(&bytes[..27]).to_be_bytes());
        assert_eq!(normalise(&bytes).as_deref(), Ok(&bare[..]));
        // Two blocks: 126 bytes and the rest.
        let bare = telegram(120);
        let bytes = Format::B.emit(&bare).unwrap();
        assert_eq!((bytes.len(), bytes[0]), (134, 133));
        assert_eq!(bytes[126..128], crc::en13757(&bytes[..126]).to_be_bytes());
        assert_eq!(bytes[132..], crc::en13757(&bytes[128..132]).to_be_bytes());
        assert_eq!(normalise(&bytes).as_deref(), Ok(&bare[..]));
    }

    #[test]
    fn every_length_there_and_back() {
        for payload in 0..=Repr::MAX_PAYLOAD {
            let bare = telegram(payload);
            assert_eq!(normalise(&bare).as_deref(), Ok(&bare[..]), "{payload} bare");
            let a = Format::A.emit(&bare).unwrap();
            assert_eq!(
                strip(Format::A, &a).as_deref(),
                Ok(&bare[..]),
                "{payload} in format A"
            );
            match Format::B.emit(&bare) {
                Ok(b) => assert_eq!(
                    strip(Format::B, &b).as_deref(),
                    Ok(&bare[..]),
                    "{payload} in format B"
                ),
                Err(error) => {
                    assert!(payload > 242 && matches!(error.kind, ErrorKind::Length { .. }))
                }
            }
        }
    }

    #[test]
    fn takes_the_receivers_two_bytes_off() {
        let bare = telegram(20);
        assert_eq!(
            normalise(&[&bare[..], &[0xAB, 0xCD]].concat()).as_deref(),
            Ok(&bare[..])
        );
    }

    #[test]
    fn refuses_any_other_length() {
        let bare = telegram(40);
        let lengths = [bare.len(), bare.len() + 2, format_a_len(bare.len())];
        for length in 1..bare.len() + 20 {
            let bytes: Vec<u8> = bare
                .iter()
                .copied()
                .chain(core::iter::repeat(0))
                .take(length)
                .collect();
            match normalise(&bytes) {
                Ok(_) => assert!(lengths.contains(&length), "{length}"),
                Err(Error {
                    kind: ErrorKind::Crc { .. },
                    ..
                }) => assert_eq!(length, format_a_len(bare.len())),
                Err(error) => assert_eq!(
                    error.kind,
                    ErrorKind::Length {
                        declared: bare.len(),
                        found: length
                    }
                ),
            }
        }
        assert_eq!(
            normalise(&[]).unwrap_err().kind,
            ErrorKind::Truncated { missing: 1 }
        );
    }

    #[test]
    fn a_wrong_crc_of_format_a_says_which() {
        let mut bytes = Format::A.emit(&telegram(40)).unwrap();
        bytes[20] ^= 0x80;
        let error = normalise(&bytes).unwrap_err();
        assert_eq!((error.layer, error.offset), (Layer::Link, 28));
        assert!(matches!(error.kind, ErrorKind::Crc { .. }));
    }

    #[test]
    fn an_encrypted_telegram_of_length_l_plus_1_waits_for_decryption() {
        let mut bare = telegram(30);
        bare[10] = 0x8D;
        let b = Format::B.emit(&bare).unwrap();
        assert_eq!(normalise(&b).as_deref(), Ok(&b[..]));
        assert_eq!(strip(Format::B, &b).as_deref(), Ok(&bare[..]));
    }

    // The last two bytes of the volume happen to be the CRC of all before them.
    #[test]
    fn records_that_end_with_a_crc_by_chance_are_not_cut() {
        let mut bare = telegram(0);
        bare.extend([0x78, 0x04, 0x13, 0x07, 0x00]);
        bare[0] = (bare.len() + 1) as u8;
        let crc = crc::en13757(&bare).to_be_bytes();
        bare.extend(crc);
        assert!(strip(Format::B, &bare).is_ok());
        assert_eq!(normalise(&bare).as_deref(), Ok(&bare[..]));
    }

    fn telegram(payload: usize) -> Vec<u8> {
        let link = [0x2D, 0x2C, 0x57, 0x68, 0x66, 0x32, 0x30, 0x02];
        let repr = Repr {
            control: Control::SEND_NO_REPLY,
            address: Address::from_link(link),
        };
        let payload: Vec<u8> = (0..payload).map(|i| (0x78 + i * 7) as u8).collect();
        repr.emit(&payload).unwrap()
    }
}
