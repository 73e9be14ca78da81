//! Compact frames: values without headers, whose layout a signature names (EN 13757-7, CI 79, 7B and 73).
//!
//! A compact frame is the format signature, the CRC of the full frame, and the values one after the other. The layout
//! comes from a full frame of the same meter, from a format frame, or from the meter's profile. Both checks are made:
//! the signature chooses the layout, and the full frame, put together from the layout's headers and these values,
//! must have the CRC that was sent.

use crate::crc;
use crate::error::{Error, ErrorKind};
use crate::reader::Reader;
use crate::record::{self, Header, Record};
use crate::signature::Signature;

/// The headers of a full frame, in order: what a compact frame leaves out.
///
/// ```
/// use wmbus::{Signature, compact::Layout};
/// let layout = Layout::from_headers(&[0x04, 0x04, 0x04, 0x84, 0x3C, 0x04, 0x2B, 0x04, 0xAB, 0x3C])?;
/// assert_eq!((layout.signature(), layout.len()), (Signature(0x8C13), 4));
/// # Ok::<(), wmbus::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    signature: Signature,
    /// All headers' bytes, one after the other.
    bytes: Box<[u8]>,
    parts: Box<[Part]>,
}

/// What a layout is made of.
pub(crate) enum LayoutPart<'a> {
    Record(&'a Header),
    /// The rest is the manufacturer's.
    Manufacturer,
}

/// One header: its bytes end at `end`, where the next one's begin.
#[derive(Clone, Debug, PartialEq)]
struct Part {
    end: u16,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Record(Box<Header>),
    /// DIF 0F or 1F: the rest is the manufacturer's.
    Manufacturer,
}

impl Layout {
    /// The layout with these headers, as a format frame or a profile lists them.
    ///
    /// # Errors
    /// Of the first header that is none; [`ErrorKind::NoData`] for no headers, [`ErrorKind::Length`] for more than
    /// 65,535 bytes.
    pub fn from_headers(headers: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::in_layer(crate::Layer::Apl, 0, headers);
        let mut parts = Vec::new();
        while let Some(dif) = reader.peek() {
            reader.byte()?;
            let kind = match dif {
                0x0F | 0x1F => Kind::Manufacturer,
                dif => Kind::Record(Header::read(dif, &mut reader)?.into()),
            };
            let end = u16::try_from(reader.offset()).map_err(|_| {
                reader.error(ErrorKind::Length {
                    declared: u16::MAX.into(),
                    found: headers.len(),
                })
            })?;
            parts.push(Part { end, kind });
        }
        if parts.is_empty() {
            return Err(reader.error(ErrorKind::NoData));
        }
        Ok(Self {
            signature: Signature(crc::en13757(headers)),
            bytes: headers.into(),
            parts: parts.into(),
        })
    }

    /// The signature that compact frames name the layout by.
    #[must_use]
    pub const fn signature(&self) -> Signature {
        self.signature
    }

    /// The headers, one after the other.
    #[must_use]
    pub fn headers(&self) -> &[u8] {
        &self.bytes
    }

    /// The records without their values; the manufacturer's data is not among them.
    pub(crate) fn templates(&self) -> impl Iterator<Item = &Record> {
        self.parts.iter().filter_map(|part| match &part.kind {
            Kind::Record(header) => Some(&header.template),
            Kind::Manufacturer => None,
        })
    }

    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// Are there no records? Never so.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The records of a compact frame; the reader stands behind the signature and reads to the end.
    ///
    /// If `padded`, idle fillers may follow: ciphers of whole blocks need them.
    ///
    /// # Errors
    /// [`ErrorKind::Crc`] if the full frame has another CRC than the one sent, [`ErrorKind::Truncated`] and
    /// [`ErrorKind::TrailingData`] if the values have another length.
    pub fn read(&self, reader: &mut Reader<'_>, padded: bool) -> Result<Vec<Record>, Error> {
        let here = reader.error(ErrorKind::NoData);
        let found = reader.u16()?;
        let mut records = Vec::with_capacity(self.parts.len());
        let mut series = Vec::new();
        let mut full = crc::En13757::new();
        for (part, header) in self.parts_with_bytes() {
            let before = reader.left();
            full.update(header);
            match &part.kind {
                Kind::Record(header) => {
                    if header.is_series() {
                        series.push((records.len(), header.as_ref().clone()));
                    }
                    header.push_record(&mut records, reader)?;
                }
                Kind::Manufacturer => records.push(Record::manufacturer_data(reader.rest())),
            }
            let read = before.len() - reader.left().len();
            full.update(before.get(..read).unwrap_or_default());
        }
        if padded {
            while reader.peek() == Some(record::IDLE_FILLER) {
                reader.byte()?;
            }
        }
        reader.finish()?;
        let expected = full.finish();
        if expected != found {
            let kind = ErrorKind::Crc { expected, found };
            return Err(Error { kind, ..here });
        }
        Ok(record::complete(records, &series))
    }

    /// The records of a full frame, if its headers are exactly this layout's and nothing else is in it.
    pub(crate) fn read_full(&self, mut reader: Reader<'_>) -> Option<Vec<Record>> {
        let mut records = Vec::with_capacity(self.parts.len());
        for (part, header) in self.parts_with_bytes() {
            let Kind::Record(kind) = &part.kind else {
                return None;
            };
            if reader.take(header.len()).ok()? != header || kind.is_series() {
                return None;
            }
            kind.push_record(&mut records, &mut reader).ok()?;
        }
        (!reader.any_left()).then(|| record::complete(records, &[]))
    }

    /// Takes integers for unsigned where the standard's default is signed.
    pub(crate) fn take_for_unsigned(&mut self) {
        for part in &mut self.parts {
            if let Kind::Record(header) = &mut part.kind {
                header.take_for_unsigned();
            }
        }
    }

    /// The full frame of these values, each as it stands in the frame.
    #[must_use]
    pub fn full(&self, values: &[&[u8]]) -> Vec<u8> {
        let parts = self.parts_with_bytes().zip(values);
        parts
            .flat_map(|((_, header), value)| [header, value])
            .flatten()
            .copied()
            .collect()
    }

    /// The compact frame of these values: signature, CRC of the full frame, values.
    #[must_use]
    pub fn compact(&self, values: &[&[u8]]) -> Vec<u8> {
        let full = crc::en13757(&self.full(values));
        let mut frame = Vec::new();
        frame.extend(self.signature.0.to_le_bytes());
        frame.extend(full.to_le_bytes());
        frame.extend(values.iter().copied().flatten());
        frame
    }

    /// What the values are, in order.
    pub(crate) fn parts(&self) -> impl Iterator<Item = LayoutPart<'_>> {
        self.parts.iter().map(|part| match &part.kind {
            Kind::Record(header) => LayoutPart::Record(header),
            Kind::Manufacturer => LayoutPart::Manufacturer,
        })
    }

    /// Each part with its header's bytes.
    fn parts_with_bytes(&self) -> impl Iterator<Item = (&Part, &[u8])> {
        let mut start = 0;
        self.parts.iter().map(move |part| {
            let end = usize::from(part.end);
            let header = self.bytes.get(start..end).unwrap_or_default();
            start = end;
            (part, header)
        })
    }
}
