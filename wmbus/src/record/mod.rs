//! Records: the data of the application layer (EN 13757-3, clause 6).
//!
//! A payload is a row of records, each with a header that tells how the value is stored (data information block) and
//! what it means (value information block). [`Records`] reads them one by one; [`Record`] is one of them, understood:
//! its value is an exact number in a plain unit, a date, a text, or absent.

mod data;
mod date;
mod header;
mod interval;
mod plain_text;
mod qualifier;
mod quantity;
mod series;
mod value;
mod vif;

pub use date::{Date, DateTime, Moment, Time};
pub use qualifier::{Qualifier, Qualifiers};
pub use quantity::Quantity;
pub use value::Value;

pub(crate) use data::{Correction, Field};
pub(crate) use header::Header;
pub(crate) use plain_text::is_first as text_begins;
pub(crate) use series::values as series_values;
pub(crate) use vif::{
    Coding, Meaning, first_extension, primary, second_extension, third_extension, time as time_unit,
};

use core::fmt;

use crate::error::{Error, ErrorKind};
use crate::reader::Reader;
use crate::unit::Unit;

/// One value of a meter, and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What is measured or told.
    pub quantity: Quantity,
    /// The value, in `unit`.
    pub value: Value,
    /// The unit; [`Unit::None`] for plain numbers and all that is no number.
    pub unit: Unit,
    /// The unit's name as the meter sends it, if it is none of ours.
    pub unit_text: Option<Box<str>>,
    /// 0 for the current value, above for stored ones.
    pub storage: u64,
    /// 0 for the total, above for tariffs.
    pub tariff: u32,
    /// 0 for the meter itself, above for its parts.
    pub subunit: u16,
    /// Current value, maximum, minimum, or value in an error state.
    pub function: Function,
    /// What else narrows the quantity down.
    pub qualifiers: Qualifiers,
    /// When the value was true, for the values of a profile; the others are dated by another record, if at all.
    pub time: Option<Moment>,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            quantity: Quantity::Dimensionless,
            value: Value::Absent,
            unit: Unit::None,
            unit_text: None,
            storage: 0,
            tariff: 0,
            subunit: 0,
            function: Function::Instantaneous,
            qualifiers: Qualifiers::default(),
            time: None,
        }
    }
}

impl Record {
    /// The same record with this value.
    #[inline]
    pub(crate) fn with(&self, value: Value) -> Self {
        Self {
            value,
            unit_text: self.unit_text.clone(),
            ..*self
        }
    }

    /// The date, with or without time, of the values at this storage number, if that is what the record tells.
    fn time_of_storage(&self) -> Option<Moment> {
        let tells_time = matches!(self.quantity, Quantity::Date | Quantity::DateTime);
        self.value
            .moment()
            .filter(|_| tells_time && self.qualifiers.is_empty())
    }

    /// The manufacturer's bytes, as they are.
    pub(crate) fn manufacturer_data(bytes: &[u8]) -> Self {
        Self {
            quantity: Quantity::ManufacturerData,
            value: Value::Bytes(bytes.into()),
            ..Self::default()
        }
    }
}

/// What a value is of its quantity (EN 13757-3, table 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    /// The current or stored value.
    Instantaneous,
    /// The largest value.
    Maximum,
    /// The smallest value.
    Minimum,
    /// The value during an error state.
    Error,
}

impl Function {
    #[inline]
    pub(crate) const fn from_dif(dif: u8) -> Self {
        match dif >> 4 & 0x03 {
            0 => Self::Instantaneous,
            1 => Self::Maximum,
            2 => Self::Minimum,
            _ => Self::Error,
        }
    }

    /// Its name: `instantaneous`, `maximum`, `minimum`, `error`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Instantaneous => "instantaneous",
            Self::Maximum => "maximum",
            Self::Minimum => "minimum",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Reads a payload's records in order; ends after the last one, or after the first error.
///
/// Idle fillers are skipped. The bytes behind DIF 0F or 1F, the manufacturer's own, are one record; 1F says besides
/// that [more records](Self::more_follow) come in the next telegram.
///
/// ```
/// use wmbus::{Reader, record::{Quantity, Records}};
/// // 32-bit integer, energy in 10 Wh: 206.
/// let mut records = Records::new(Reader::new(&[0x04, 0x04, 0xCE, 0x00, 0x00, 0x00]));
/// let record = records.next().unwrap()?;
/// assert_eq!((record.quantity, record.value.to_string()), (Quantity::Energy, "2060".to_owned()));
/// assert!(records.next().is_none());
/// # Ok::<(), wmbus::Error>(())
/// ```
///
/// Compact profiles come as they are sent, as bytes; a [`Decoder`](crate::Decoder) unfolds them.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    reader: Reader<'a>,
    more_follow: bool,
    unsigned: bool,
}

impl<'a> Records<'a> {
    /// Reads what is left in `reader`.
    #[must_use]
    pub const fn new(reader: Reader<'a>) -> Self {
        Self {
            reader,
            more_follow: false,
            unsigned: false,
        }
    }

    /// Takes integers for unsigned where the standard's default is signed.
    #[must_use]
    pub(crate) const fn unsigned(mut self, unsigned: bool) -> Self {
        self.unsigned = unsigned;
        self
    }

    /// Where the next record begins, counted as the reader counts.
    pub(crate) const fn offset(&self) -> usize {
        self.reader.offset()
    }

    /// Does the meter say that more records come in its next telegram? Known after the last record.
    #[must_use]
    pub const fn more_follow(&self) -> bool {
        self.more_follow
    }

    /// All records, with compact profiles unfolded; `see` is shown every header's bytes.
    ///
    /// If `forgiving`, what is behind a record and is none itself becomes one of its own, of [`Quantity::Rest`].
    pub(crate) fn read_all(
        &mut self,
        forgiving: bool,
        mut see: impl FnMut(&[u8]),
    ) -> Result<Vec<Record>, Error> {
        let mut records = Vec::with_capacity(self.reader.left().len() / 6 + 1);
        let mut series = Vec::new();
        loop {
            let rest = self.reader.left();
            let part = match self.read() {
                Ok(Some(part)) => part,
                Ok(None) => break,
                Err(_) if forgiving && !records.is_empty() => {
                    records.push(Record {
                        quantity: Quantity::Rest,
                        value: Value::Bytes(rest.into()),
                        ..Record::default()
                    });
                    break;
                }
                Err(error) => return Err(error),
            };
            see(part.header_bytes);
            if let Some(header) = part.series {
                series.push((records.len(), *header));
            }
            records.push(part.record);
        }
        Ok(complete(records, &series))
    }

    /// The next record; `None` at the end.
    #[inline]
    fn read(&mut self) -> Result<Option<Part<'a>>, Error> {
        let dif = loop {
            match self.reader.peek() {
                None => return Ok(None),
                Some(IDLE_FILLER) => _ = self.reader.byte()?,
                Some(dif) => break dif,
            }
        };
        let start = self.reader.clone();
        self.reader.byte()?;
        if dif & !0x10 == MANUFACTURER_DATA {
            self.more_follow = dif != MANUFACTURER_DATA;
            let bytes = self.reader.rest();
            return Ok((!bytes.is_empty()).then(|| Part {
                record: Record::manufacturer_data(bytes),
                series: None,
                header_bytes: start.left().get(..1).unwrap_or_default(),
            }));
        }
        if dif & 0x0F == 0x0F {
            return Err(start.error(ErrorKind::Reserved(dif)));
        }
        let mut header = Header::read(dif, &mut self.reader)?;
        if self.unsigned {
            header.take_for_unsigned();
        }
        let length = self.reader.offset() - start.offset();
        let value = header.read_value(&mut self.reader)?;
        let (record, series) = if header.is_series() {
            (header.template.with(value), Some(header.into()))
        } else {
            let template = header.template;
            (Record { value, ..template }, None)
        };
        Ok(Some(Part {
            record,
            series,
            header_bytes: start.left().get(..length).unwrap_or_default(),
        }))
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let next = self.read();
        if next.is_err() {
            self.reader.rest();
        }
        next.map(|part| part.map(|part| part.record)).transpose()
    }
}

/// Makes the records of a whole payload complete: profiles unfolded, stored values dated. The headers are those of the
/// compact profiles, with their places.
#[inline]
pub(crate) fn complete(mut records: Vec<Record>, profiles: &[(usize, Header)]) -> Vec<Record> {
    if !profiles.is_empty() {
        records = series::unfold(records, profiles);
    }
    interval::date(&mut records);
    records
}

/// A record as it stands in a payload.
struct Part<'a> {
    record: Record,
    /// The header of a compact profile.
    series: Option<Box<Header>>,
    header_bytes: &'a [u8],
}

/// DIF of bytes to skip.
pub(crate) const IDLE_FILLER: u8 = 0x2F;
/// DIF of the manufacturer's bytes, up to the end; with bit 0x10, more records follow in the next telegram.
const MANUFACTURER_DATA: u8 = 0x0F;

#[cfg(test)]
mod tests;
