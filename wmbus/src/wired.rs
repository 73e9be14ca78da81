//! Long frames of wired M-Bus, for decoding captures.
//!
//! ```text
//! 68 | L | L | 68 | C | A | CI … | checksum | 16        L counts C to the byte before the checksum
//! ```
//!
//! Source: EN 13757-2, frame format FT 1.2.

use crate::error::{Error, ErrorKind, Layer};
use crate::link::Control;
use crate::reader::Reader;

/// A long frame: a view that costs nothing.
///
/// ```
/// use wmbus::wired::LongFrame;
/// let bytes = [0x68, 0x04, 0x04, 0x68, 0x08, 0x05, 0x78, 0x2F, 0xB4, 0x16];
/// let frame = LongFrame::new_checked(&bytes)?;
/// assert_eq!((frame.primary_address(), frame.payload()), (5, &[0x78, 0x2F][..]));
/// # Ok::<(), wmbus::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongFrame<'a> {
    control: Control,
    primary_address: u8,
    payload: &'a [u8],
}

impl<'a> LongFrame<'a> {
    /// How many bytes stand before the payload.
    pub const HEADER_LEN: usize = 6;

    /// Do these bytes begin and end like a long frame of just their length? No radio telegram does: its C field would
    /// stand where the length is repeated.
    #[must_use]
    pub fn begins(bytes: &[u8]) -> bool {
        match bytes {
            &[START, length, again, START, ..] => {
                length == again && bytes.len() == usize::from(length) + AROUND
            }
            _ => false,
        }
    }

    /// Tests lengths, delimiters and checksum, so that nothing else can fail.
    ///
    /// # Errors
    /// [`ErrorKind::Delimiter`], [`ErrorKind::Length`] if the two lengths differ, [`ErrorKind::Truncated`],
    /// [`ErrorKind::TrailingData`], [`ErrorKind::Checksum`], [`ErrorKind::UnknownControl`] for what no meter sends.
    pub fn new_checked(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        delimiter(&mut reader, START)?;
        let at_length = reader.clone();
        let &[length, again] = reader.take_array()?;
        if length != again {
            return Err(at_length.error(ErrorKind::Length {
                declared: length.into(),
                found: again.into(),
            }));
        }
        delimiter(&mut reader, START)?;
        let mut body = reader.sub(length.into())?;
        let at_checksum = reader.clone();
        let found = reader.byte()?;
        let expected = checksum(body.left());
        if found != expected {
            return Err(at_checksum.error(ErrorKind::Checksum { expected, found }));
        }
        delimiter(&mut reader, STOP)?;
        reader.finish()?;
        let &[control, primary_address] = body.take_array()?;
        let control = Control(control);
        if !control.is_from_meter() {
            return Err(Error {
                layer: Layer::Link,
                offset: 4,
                kind: ErrorKind::UnknownControl(control.0),
            });
        }
        Ok(Self {
            control,
            primary_address,
            payload: body.rest(),
        })
    }

    /// Which service the frame belongs to.
    #[must_use]
    pub const fn control(&self) -> Control {
        self.control
    }

    /// The meter's primary address on its bus: 0 unset, 1..=250, 253 selected by secondary address.
    #[must_use]
    pub const fn primary_address(&self) -> u8 {
        self.primary_address
    }

    /// The layers above, from their CI on; may be empty.
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The whole frame.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] if `payload` is longer than 253 bytes.
    pub fn emit(control: Control, primary_address: u8, payload: &[u8]) -> Result<Vec<u8>, Error> {
        let kind = ErrorKind::Length {
            declared: usize::from(u8::MAX) - 2,
            found: payload.len(),
        };
        let length = u8::try_from(payload.len() + 2).map_err(|_| Error {
            layer: Layer::Link,
            offset: 1,
            kind,
        })?;
        let mut bytes = vec![START, length, length, START, control.0, primary_address];
        bytes.extend(payload);
        bytes.extend([checksum(bytes.get(4..).unwrap_or_default()), STOP]);
        Ok(bytes)
    }
}

fn delimiter(reader: &mut Reader<'_>, wanted: u8) -> Result<(), Error> {
    let before = reader.clone();
    match reader.byte()? {
        byte if byte == wanted => Ok(()),
        other => Err(before.error(ErrorKind::Delimiter(other))),
    }
}

fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

const START: u8 = 0x68;
const STOP: u8 = 0x16;
/// The bytes that the length leaves out.
const AROUND: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    // OMS Vol. 2, annex N.2.2: sum of FD-frame bytes 08 FD 72 … 17 00 00 is 0x89.
    const BYTES: [u8; 38] = [
        0x68, 0x20, 0x20, 0x68, 0x08, 0xFD, 0x72, 0x78, 0x56, 0x34, 0x12, 0x93, 0x15, 0x33, 0x03,
        0x2A, 0x00, 0x00, 0x00, 0x0C, 0x14, 0x27, 0x04, 0x85, 0x02, 0x04, 0x6D, 0x32, 0x37, 0x1F,
        0x15, 0x02, 0xFD, 0x17, 0x00, 0x00, 0x89, 0x16,
    ];

    #[test]
    fn there_and_back() {
        assert!(LongFrame::begins(&BYTES));
        let frame = LongFrame::new_checked(&BYTES).unwrap();
        assert_eq!(
            (frame.control(), frame.primary_address()),
            (Control::RESPONSE, 0xFD)
        );
        assert_eq!(frame.payload(), &BYTES[6..36]);
        assert_eq!(
            LongFrame::emit(frame.control(), 0xFD, frame.payload()).as_deref(),
            Ok(&BYTES[..])
        );
    }

    #[test]
    fn says_what_is_wrong() {
        let wrong = |at: usize, byte: u8| {
            let mut bytes = BYTES;
            bytes[at] = byte;
            let error = LongFrame::new_checked(&bytes).unwrap_err();
            (error.offset, error.kind)
        };
        assert_eq!(wrong(0, 0x10), (0, ErrorKind::Delimiter(0x10)));
        assert_eq!(
            wrong(2, 0x21),
            (
                1,
                ErrorKind::Length {
                    declared: 0x20,
                    found: 0x21
                }
            )
        );
        assert_eq!(wrong(3, 0x67), (3, ErrorKind::Delimiter(0x67)));
        assert_eq!(
            wrong(20, 0x15),
            (
                36,
                ErrorKind::Checksum {
                    expected: 0x8A,
                    found: 0x89
                }
            )
        );
        assert_eq!(wrong(37, 0x17), (37, ErrorKind::Delimiter(0x17)));
        let kind = |bytes: &[u8]| LongFrame::new_checked(bytes).unwrap_err().kind;
        assert_eq!(kind(&BYTES[..37]), ErrorKind::Truncated { missing: 1 });
        assert_eq!(
            kind(&[&BYTES[..], &[0]].concat()),
            ErrorKind::TrailingData(1)
        );
        let request = LongFrame::emit(Control(0x53), 1, &[]).unwrap();
        assert_eq!(kind(&request), ErrorKind::UnknownControl(0x53));
    }
}
