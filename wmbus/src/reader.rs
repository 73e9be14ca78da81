//! Reading bytes in order, with the place kept for errors.

use crate::error::{Error, ErrorKind, Layer};

/// Reads a slice from front to back; knows its layer and its place in the telegram, so that every error says where.
///
/// ```
/// use wmbus::{ErrorKind, Layer, Reader};
/// let mut reader = Reader::in_layer(Layer::Ell, 10, &[0x8D, 0x20, 0x2E]);
/// assert_eq!(reader.byte()?, 0x8D);
/// let error = reader.take(4).unwrap_err();
/// assert_eq!((error.layer, error.offset, error.kind), (Layer::Ell, 11, ErrorKind::Truncated { missing: 2 }));
/// # Ok::<(), wmbus::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    left: &'a [u8],
    offset: usize,
    layer: Layer,
}

impl<'a> Reader<'a> {
    /// Reads a whole telegram, from the link layer on.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self::in_layer(Layer::Link, 0, bytes)
    }

    /// Reads `bytes`, which belong to `layer` and begin `offset` bytes into the telegram.
    #[must_use]
    pub const fn in_layer(layer: Layer, offset: usize, bytes: &'a [u8]) -> Self {
        Self {
            left: bytes,
            offset,
            layer,
        }
    }

    /// From here on, errors name `layer`.
    #[inline]
    pub const fn enter(&mut self, layer: Layer) {
        self.layer = layer;
    }

    /// Takes the next `N` bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] if fewer are left; then nothing is taken. The same holds for all of `Reader`.
    #[inline]
    pub const fn take_array<const N: usize>(&mut self) -> Result<&'a [u8; N], Error> {
        match self.left.split_first_chunk() {
            Some((array, left)) => {
                self.left = left;
                self.offset += N;
                Ok(array)
            }
            None => Err(self.truncated(N)),
        }
    }

    /// Takes the next `count` bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] if fewer are left.
    #[inline]
    pub const fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        match self.left.split_at_checked(count) {
            Some((taken, left)) => {
                self.left = left;
                self.offset += count;
                Ok(taken)
            }
            None => Err(self.truncated(count)),
        }
    }

    /// Takes the next byte.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] if none is left.
    #[inline]
    pub const fn byte(&mut self) -> Result<u8, Error> {
        match self.take_array::<1>() {
            Ok(&[byte]) => Ok(byte),
            Err(error) => Err(error),
        }
    }

    /// Takes a 16-bit number, lowest byte first.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] if fewer than two bytes are left.
    #[inline]
    pub const fn u16(&mut self) -> Result<u16, Error> {
        match self.take_array() {
            Ok(bytes) => Ok(u16::from_le_bytes(*bytes)),
            Err(error) => Err(error),
        }
    }

    /// Takes a 32-bit number, lowest byte first.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] if fewer than four bytes are left.
    #[inline]
    pub const fn u32(&mut self) -> Result<u32, Error> {
        match self.take_array() {
            Ok(bytes) => Ok(u32::from_le_bytes(*bytes)),
            Err(error) => Err(error),
        }
    }

    /// Takes the next `count` bytes as a reader of their own, in the same layer.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] if fewer are left.
    #[inline]
    pub const fn sub(&mut self, count: usize) -> Result<Self, Error> {
        let (layer, offset) = (self.layer, self.offset);
        match self.take(count) {
            Ok(bytes) => Ok(Self::in_layer(layer, offset, bytes)),
            Err(error) => Err(error),
        }
    }

    /// Takes all that is left, which may be nothing.
    #[inline]
    pub const fn rest(&mut self) -> &'a [u8] {
        let rest = self.left;
        self.offset += rest.len();
        self.left = &[];
        rest
    }

    /// The next byte, which stays; `None` at the end.
    #[inline]
    #[must_use]
    pub const fn peek(&self) -> Option<u8> {
        match self.left.first() {
            Some(&byte) => Some(byte),
            None => None,
        }
    }

    /// All that is left, which stays.
    #[inline]
    #[must_use]
    pub const fn left(&self) -> &'a [u8] {
        self.left
    }

    /// Is there at least one more byte?
    #[inline]
    #[must_use]
    pub const fn any_left(&self) -> bool {
        !self.left.is_empty()
    }

    /// Where the next byte stands, counted from the telegram's first.
    #[inline]
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// The layer that errors name.
    #[inline]
    #[must_use]
    pub const fn layer(&self) -> Layer {
        self.layer
    }

    /// Checks that everything was read.
    ///
    /// # Errors
    /// [`ErrorKind::TrailingData`] if something is left.
    #[inline]
    pub const fn finish(&self) -> Result<(), Error> {
        match self.left.len() {
            0 => Ok(()),
            count => Err(self.error(ErrorKind::TrailingData(count))),
        }
    }

    /// An error of this layer at the next byte.
    #[inline]
    #[must_use]
    pub const fn error(&self, kind: ErrorKind) -> Error {
        Error {
            layer: self.layer,
            offset: self.offset,
            kind,
        }
    }

    #[cold]
    const fn truncated(&self, wanted: usize) -> Error {
        self.error(ErrorKind::Truncated {
            missing: wanted - self.left.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_layer_and_place_across_sub_readers() {
        let mut reader = Reader::new(&[1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(reader.u16(), Ok(0x0201));
        reader.enter(Layer::Tpl);
        let mut sub = reader.sub(2).unwrap();
        assert_eq!(
            (sub.offset(), sub.layer(), sub.left()),
            (2, Layer::Tpl, &[3, 4][..])
        );
        assert_eq!(sub.byte(), Ok(3));
        assert_eq!(sub.finish().unwrap_err().kind, ErrorKind::TrailingData(1));
        assert_eq!((reader.offset(), reader.peek()), (4, Some(5)));
        assert_eq!(reader.rest(), [5, 6, 7]);
        assert!(!reader.any_left());
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn takes_nothing_when_too_little_is_left() {
        let mut reader = Reader::new(&[1, 2, 3]);
        let error = reader.u32().unwrap_err();
        assert_eq!(
            (error.offset, error.kind),
            (0, ErrorKind::Truncated { missing: 1 })
        );
        assert_eq!(reader.take(3).unwrap(), [1, 2, 3]);
        assert_eq!(reader.byte().unwrap_err().offset, 3);
    }
}
