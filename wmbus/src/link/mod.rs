//! The link layer of EN 13757-4: length, control field, the sender's address, and the frame formats on the air.
//!
//! ```text
//! L | C | M 2 | identification 4 | version | medium | CI …        L counts the bytes after itself
//! ```

mod format;

use crate::address::Address;
use crate::error::{Error, ErrorKind, Layer};
use crate::reader::Reader;

pub(crate) use format::crc_places;
pub use format::{Format, normalise, strip};

/// A telegram's link layer, its CRCs taken off: a view that costs nothing.
///
/// ```
/// use wmbus::link::{Control, Frame};
/// let bytes = [0x0B, 0x44, 0x2D, 0x2C, 0x57, 0x68, 0x66, 0x32, 0x30, 0x02, 0x78, 0x2F];
/// let frame = Frame::new_checked(&bytes)?;
/// assert_eq!(frame.control(), Control::SEND_NO_REPLY);
/// assert_eq!(frame.address().to_string(), "KAM-32666857-30-02");
/// assert_eq!(frame.payload(), [0x78, 0x2F]);
/// # Ok::<(), wmbus::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    control: Control,
    address: &'a [u8; Address::LEN],
    payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// How many bytes stand before the payload.
    pub const HEADER_LEN: usize = 2 + Address::LEN;

    /// Tests all lengths, so that nothing else can fail.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] or [`ErrorKind::TrailingData`] if the bytes are not exactly as many as the L field
    /// says; [`ErrorKind::UnknownControl`] for what no meter sends.
    #[inline]
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        let length = reader.byte()?;
        let mut body = reader.sub(length.into())?;
        reader.finish()?;
        let before_control = body.error(ErrorKind::NoData);
        let control = Control(body.byte()?);
        if !control.is_from_meter() {
            return Err(Error {
                kind: ErrorKind::UnknownControl(control.0),
                ..before_control
            });
        }
        Ok(Self {
            control,
            address: body.take_array()?,
            payload: body.rest(),
        })
    }

    /// Which service the telegram belongs to.
    #[inline]
    #[must_use]
    pub const fn control(&self) -> Control {
        self.control
    }

    /// Who sent it.
    #[inline]
    #[must_use]
    pub const fn address(&self) -> Address {
        Address::from_link(*self.address)
    }

    /// The layers above, from their CI on; may be empty.
    #[inline]
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// What [`Frame`] says, for sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repr {
    /// Which service the telegram belongs to.
    pub control: Control,
    /// Who sends it.
    pub address: Address,
}

impl Repr {
    /// The most bytes that fit behind the address.
    pub const MAX_PAYLOAD: usize = u8::MAX as usize - (Frame::HEADER_LEN - 1);

    /// What a frame says.
    #[must_use]
    pub const fn parse(frame: &Frame<'_>) -> Self {
        Self {
            control: frame.control(),
            address: frame.address(),
        }
    }

    /// The whole telegram, without link-layer CRCs.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] if `payload` is longer than [`MAX_PAYLOAD`](Self::MAX_PAYLOAD).
    pub fn emit(&self, payload: &[u8]) -> Result<Vec<u8>, Error> {
        let too_long = ErrorKind::Length {
            declared: Self::MAX_PAYLOAD,
            found: payload.len(),
        };
        let length = u8::try_from(Frame::HEADER_LEN - 1 + payload.len());
        let length = length.map_err(|_| Error {
            layer: Layer::Link,
            offset: 0,
            kind: too_long,
        })?;
        let mut bytes = Vec::with_capacity(Frame::HEADER_LEN + payload.len());
        bytes.push(length);
        bytes.push(self.control.0);
        bytes.extend(self.address.to_link());
        bytes.extend(payload);
        Ok(bytes)
    }
}

/// The control field (C): which service the telegram belongs to.
///
/// Source: EN 13757-4, link layer, C field; EN 13757-2 for the answers by wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Control(pub u8);

impl Control {
    /// SND-NR: a meter sends unasked and wants no answer.
    pub const SEND_NO_REPLY: Self = Self(0x44);
    /// SND-IR: a meter asks to be installed.
    pub const INSTALLATION_REQUEST: Self = Self(0x46);
    /// ACC-NR: a meter says that it listens.
    pub const ACCESS_NO_REPLY: Self = Self(0x47);
    /// ACC-DMD: a meter asks to be spoken to.
    pub const ACCESS_DEMAND: Self = Self(0x48);
    /// RSP-UD: a meter answers with data.
    pub const RESPONSE: Self = Self(0x08);

    /// Does a meter send this, and can it carry data?
    ///
    /// An answer's access demand bit (0x20) and data flow control bit (0x10) change nothing.
    #[inline]
    #[must_use]
    pub const fn is_from_meter(self) -> bool {
        matches!(self.0, 0x44 | 0x46..=0x48 | 0x08 | 0x18 | 0x28 | 0x38)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: [u8; 11] = [
        0x0A, 0x44, 0x2D, 0x2C, 0x57, 0x68, 0x66, 0x32, 0x30, 0x02, 0x78,
    ];

    #[test]
    fn there_and_back() {
        let frame = Frame::new_checked(&BYTES).unwrap();
        assert_eq!(
            Repr::parse(&frame).emit(frame.payload()).as_deref(),
            Ok(&BYTES[..])
        );
    }

    #[test]
    fn takes_exactly_what_the_length_says() {
        let kind = |bytes: &[u8]| Frame::new_checked(bytes).unwrap_err().kind;
        assert_eq!(kind(&[]), ErrorKind::Truncated { missing: 1 });
        assert_eq!(kind(&BYTES[..9]), ErrorKind::Truncated { missing: 2 });
        assert_eq!(
            kind(&[&BYTES[..], &[0]].concat()),
            ErrorKind::TrailingData(1)
        );
        assert_eq!(
            kind(&[0x05, 0x44, 1, 2, 3, 4]),
            ErrorKind::Truncated { missing: 4 }
        );
        assert_eq!(kind(&[0x00]), ErrorKind::Truncated { missing: 1 });
        let from_gateway = Frame::new_checked(&[0x01, 0x5B]).unwrap_err();
        assert_eq!(
            (from_gateway.offset, from_gateway.kind),
            (1, ErrorKind::UnknownControl(0x5B))
        );
    }

    #[test]
    fn emits_at_most_what_a_length_can_count() {
        let repr = Repr::parse(&Frame::new_checked(&BYTES).unwrap());
        let longest = repr.emit(&[0; Repr::MAX_PAYLOAD]).unwrap();
        assert_eq!((longest[0], longest.len()), (255, 256));
        assert!(matches!(
            repr.emit(&[0; Repr::MAX_PAYLOAD + 1]).unwrap_err().kind,
            ErrorKind::Length { .. }
        ));
    }
}
