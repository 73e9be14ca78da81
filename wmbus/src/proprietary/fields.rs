//! Reads the fields of a manufacturer's own format, each by its name.
//!
//! The names are for whoever explains the telegram: the decoder itself tells which bytes it took for what, so nothing
//! else has to know the format. Whoever only decodes does not ask for them, and pays nothing.

use core::cell::RefCell;
use core::ops::Range;

use crate::error::{Error, ErrorKind};
use crate::reader::Reader;
use crate::record::{Record, Records};

/// Which bytes of the telegram were read as what, in the order in which they were read.
#[derive(Debug, Default)]
pub(crate) struct Notes(RefCell<Vec<Note>>);

/// What some bytes of the telegram were read as.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Note {
    /// Where they stand, counted from the telegram's first byte.
    pub at: Range<usize>,
    /// The field's name in the format's description.
    pub name: &'static str,
    /// The number in it, not scaled; `None` for fields that are no number.
    pub number: Option<u32>,
}

impl Notes {
    /// All notes, in the order of the bytes.
    pub fn into_sorted(self) -> Vec<Note> {
        let mut notes = self.0.into_inner();
        notes.sort_by_key(|note| note.at.start);
        notes
    }
}

/// A [`Reader`] of named fields, lowest byte first.
///
/// Each method takes the next bytes, and fails with [`ErrorKind::Truncated`] if there are too few; then it takes none.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a> {
    reader: Reader<'a>,
    notes: Option<&'a Notes>,
}

impl<'a> Fields<'a> {
    pub(super) const fn new(reader: Reader<'a>, notes: Option<&'a Notes>) -> Self {
        Self { reader, notes }
    }

    /// The same fields after decryption: what is left, replaced byte by byte.
    pub(super) const fn decrypted<'b>(&self, bytes: &'b [u8]) -> Fields<'b>
    where
        'a: 'b,
    {
        let Self { reader, notes } = self;
        Fields::new(
            Reader::in_layer(reader.layer(), reader.offset(), bytes),
            *notes,
        )
    }

    pub(super) fn u8(&mut self, name: &'static str) -> Result<u8, Error> {
        let &[byte] = self.bytes(name)?;
        self.tell_number(byte.into());
        Ok(byte)
    }

    pub(super) fn u16(&mut self, name: &'static str) -> Result<u16, Error> {
        let number = u16::from_le_bytes(*self.bytes(name)?);
        self.tell_number(number.into());
        Ok(number)
    }

    /// Three bytes.
    pub(super) fn u24(&mut self, name: &'static str) -> Result<u32, Error> {
        let &[b0, b1, b2] = self.bytes(name)?;
        let number = u32::from_le_bytes([b0, b1, b2, 0]);
        self.tell_number(number);
        Ok(number)
    }

    pub(super) fn u32(&mut self, name: &'static str) -> Result<u32, Error> {
        let number = u32::from_le_bytes(*self.bytes(name)?);
        self.tell_number(number);
        Ok(number)
    }

    /// Bytes that are no such number.
    pub(super) fn bytes<const N: usize>(
        &mut self,
        name: &'static str,
    ) -> Result<&'a [u8; N], Error> {
        let start = self.reader.offset();
        let bytes = self.reader.take_array()?;
        self.tell(start, name);
        Ok(bytes)
    }

    /// Passes over what has no meaning, or none that is known well enough.
    pub(super) fn skip(&mut self, count: usize, name: &'static str) -> Result<(), Error> {
        let start = self.reader.offset();
        self.reader.take(count)?;
        self.tell(start, name);
        Ok(())
    }

    /// Passes over the bytes of this value that come next.
    pub(super) fn skip_fillers(&mut self, filler: u8) {
        let start = self.reader.offset();
        while self.reader.peek() == Some(filler) && self.reader.byte().is_ok() {}
        self.tell(start, "filler");
    }

    /// The next `count` bytes, to be read by themselves.
    pub(super) fn sub(&mut self, count: usize) -> Result<Self, Error> {
        Ok(Self {
            reader: self.reader.sub(count)?,
            ..*self
        })
    }

    /// What is left.
    pub(super) const fn left(&self) -> &'a [u8] {
        self.reader.left()
    }

    /// Is anything left?
    pub(super) const fn any_left(&self) -> bool {
        self.reader.any_left()
    }

    /// An error at the next byte.
    pub(super) const fn error(&self, kind: ErrorKind) -> Error {
        self.reader.error(kind)
    }

    /// The next `N` bytes, which are encrypted: they are to be told one by one when they are
    /// [`decrypted`](Self::decrypted).
    pub(super) fn whole_block<const N: usize>(&self) -> Result<&'a [u8; N], Error> {
        self.reader.clone().take_array()
    }

    /// Records of the standard, up to the end.
    pub(super) fn records(self) -> Result<Vec<Record>, Error> {
        let mut records = Records::new(self.reader);
        let mut all = Vec::new();
        let mut start = records.offset();
        while let Some(record) = records.next().transpose()? {
            all.push(record);
            note(self.notes, start..records.offset(), "record");
            start = records.offset();
        }
        Ok(all)
    }

    fn tell(&self, start: usize, name: &'static str) {
        note(self.notes, start..self.reader.offset(), name);
    }

    /// Adds its number to the latest note.
    fn tell_number(&self, number: u32) {
        if let Some(Notes(notes)) = self.notes
            && let Some(note) = notes.borrow_mut().last_mut()
        {
            note.number = Some(number);
        }
    }
}

fn note(notes: Option<&Notes>, at: Range<usize>, name: &'static str) {
    if let Some(Notes(notes)) = notes
        && !at.is_empty()
    {
        notes.borrow_mut().push(Note {
            at,
            name,
            number: None,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Layer;

    fn told(notes: Notes) -> Vec<(Range<usize>, &'static str, Option<u32>)> {
        let notes = notes.into_sorted().into_iter();
        notes
            .map(|note| (note.at, note.name, note.number))
            .collect()
    }

    // 01 | 02 03 = 0302 = 770 | 04 05 06 = 060504 = 394,500 | 07 08 09 0A = 0A090807 = 168,364,039 | 0B 0C | 0D.
    #[test]
    fn tells_what_it_reads() {
        let notes = Notes::default();
        let bytes: Vec<u8> = (1..=13).collect();
        let reader = Reader::in_layer(Layer::Profile, 10, &bytes);
        let mut fields = Fields::new(reader, Some(&notes));
        assert_eq!(fields.u8("a"), Ok(1));
        assert_eq!(fields.u16("b"), Ok(770));
        assert_eq!(fields.u24("c"), Ok(394_500));
        assert_eq!(fields.u32("d"), Ok(168_364_039));
        assert_eq!(fields.skip(2, "e"), Ok(()));
        assert_eq!(fields.bytes("f"), Ok(&[13]));
        let end = fields.u8("g").unwrap_err();
        assert_eq!(
            (end.offset, end.kind),
            (23, ErrorKind::Truncated { missing: 1 })
        );
        assert_eq!(
            told(notes),
            [
                (10..11, "a", Some(1)),
                (11..13, "b", Some(770)),
                (13..16, "c", Some(394_500)),
                (16..20, "d", Some(168_364_039)),
                (20..22, "e", None),
                (22..23, "f", None),
            ]
        );
    }

    #[test]
    fn tells_what_was_decrypted_at_its_place_in_the_telegram() {
        let notes = Notes::default();
        let reader = Reader::in_layer(Layer::Profile, 10, &[1, 2, 3]);
        let mut fields = Fields::new(reader, Some(&notes));
        assert_eq!(fields.u8("head"), Ok(1));
        assert_eq!(fields.whole_block(), Ok(&[2, 3]));
        let mut fields = fields.decrypted(&[8, 9]);
        assert_eq!(fields.u16("body"), Ok(0x0908));
        assert_eq!(
            told(notes),
            [(10..11, "head", Some(1)), (11..13, "body", Some(0x0908))]
        );
    }

    #[test]
    fn tells_nobody_who_does_not_ask() {
        let mut fields = Fields::new(Reader::new(&[1]), None);
        assert_eq!(fields.u8("a"), Ok(1));
    }
}
