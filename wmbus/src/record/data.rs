//! Data fields: how values are stored (EN 13757-3, tables 4 and 5, Annexes A and B).

use super::Record;
use super::date::{Date, DateTime, Time};
use super::header::Header;
use super::plain_text::{is_printable, latin1};
use super::value::Value;
use super::vif::Coding;
use crate::decimal::Decimal;
use crate::error::{Error, ErrorKind};
use crate::reader::Reader;

/// How a value is stored: the low four bits of the DIF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// No bytes.
    None,
    /// A little-endian integer of that many bytes: 1 to 4, 6 or 8.
    Integer(u8),
    /// A real number of 32 bits.
    Real,
    /// Packed decimal digits in that many bytes, two each, lowest first: 1 to 4 or 6.
    Digits(u8),
    /// A length byte that also tells the kind.
    Variable,
}

impl Field {
    /// The field of a DIF; `None` for the special functions (low four bits all set).
    #[inline]
    pub const fn from_dif(dif: u8) -> Option<Self> {
        Some(match dif & 0x0F {
            0x0 | 0x8 => Self::None,
            low @ 0x1..=0x4 => Self::Integer(low),
            0x5 => Self::Real,
            0x6 => Self::Integer(6),
            0x7 => Self::Integer(8),
            low @ 0x9..=0xC => Self::Digits(low - 8),
            0xD => Self::Variable,
            0xE => Self::Digits(6),
            _ => return None,
        })
    }

    /// How many bytes it takes; `None` if its length byte says so.
    #[inline]
    pub const fn len(self) -> Option<usize> {
        Some(match self {
            Self::None => 0,
            Self::Integer(bytes) | Self::Digits(bytes) => bytes as usize,
            Self::Real => 4,
            Self::Variable => return None,
        })
    }
}

/// What is done with a number: a power of ten, and what correction VIFEs add (EN 13757-3, table 15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Correction {
    /// The power of ten that the number counts.
    exponent: i8,
    /// Added afterwards, in thousandths of the VIF's unit.
    offset: u16,
    /// The power of ten of the VIF's unit.
    unit: i8,
}

impl Correction {
    /// The power of ten alone.
    #[inline]
    pub const fn power(exponent: i8) -> Self {
        Self {
            exponent,
            offset: 0,
            unit: exponent,
        }
    }

    /// Takes note of a correcting VIFE; `false` if it is another one.
    #[inline]
    pub const fn apply(&mut self, code: u8) -> bool {
        match code {
            // E111 0nnn: times 10^(nnn − 6).
            0x70..=0x77 => self.exponent += (code & 0x07) as i8 - 6,
            // E111 10nn: plus 10^(nn − 3) units.
            0x78..=0x7B => self.offset += 10_u16.pow((code & 0x03) as u32),
            // Times 1000.
            0x7D => self.exponent += 3,
            _ => return false,
        }
        true
    }

    #[inline]
    fn of(self, number: Decimal) -> Option<Decimal> {
        let number = number.scaled(self.exponent)?;
        if self.offset == 0 {
            return Some(number);
        }
        number.checked_add(Decimal::new(self.offset.into(), self.unit.checked_sub(3)?))
    }
}

impl Header {
    /// Reads the value that follows the header, and adds the record.
    ///
    /// Nearly all values are numbers. They go straight to their place, because a [`Value`] is slow to move: its parts
    /// lie so that a processor has to wait for what it just wrote.
    ///
    /// # Errors
    /// As [`read_value`](Self::read_value).
    #[inline]
    pub fn push_record(
        &self,
        records: &mut Vec<Record>,
        reader: &mut Reader<'_>,
    ) -> Result<(), Error> {
        match self.read_number(reader) {
            Some(number) => {
                records.push(self.template.clone());
                if let Some(record) = records.last_mut() {
                    record.value = Value::Decimal(number);
                }
            }
            None => records.push(self.template.with(self.read_value(reader)?)),
        }
        Ok(())
    }

    /// The number in an integer field; `None`, and nothing read, for whatever else there is.
    #[inline]
    fn read_number(&self, reader: &mut Reader<'_>) -> Option<Decimal> {
        let Field::Integer(length) = self.field else {
            return None;
        };
        let bytes = reader.left().get(..length.into())?;
        let number = match self.coding {
            _ if self.error => return None,
            Coding::Number => signed(bytes)??,
            Coding::Unsigned if bytes.iter().any(|&byte| byte != 0xFF) => {
                i64::try_from(unsigned(bytes)?).ok()?
            }
            _ => return None,
        };
        let number = self.correction.of(number.into())?;
        reader.take(length.into()).ok()?;
        Some(number)
    }

    /// Reads the value that follows the header.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] if it is cut off; [`ErrorKind::Reserved`] for a length byte that the standard
    /// reserves.
    #[inline]
    pub fn read_value(&self, reader: &mut Reader<'_>) -> Result<Value, Error> {
        match self.field {
            _ if self.error => self.skip_value(reader),
            Field::Integer(length) => Ok(self.integer(reader.take(length.into())?)),
            Field::None => Ok(Value::Absent),
            Field::Real => {
                let real = f32::from_le_bytes(*reader.take_array()?);
                Ok(self.number(Decimal::from_f32(real)))
            }
            Field::Digits(length) => Ok(self.digits(reader.take(length.into())?, false)),
            Field::Variable => self.variable(reader),
        }
    }

    /// A record with an error has no value, whatever stands in its place.
    #[cold]
    fn skip_value(&self, reader: &mut Reader<'_>) -> Result<Value, Error> {
        match self.field.len() {
            Some(length) => _ = reader.take(length)?,
            None => _ = self.variable(reader)?,
        }
        Ok(Value::Absent)
    }

    fn variable(&self, reader: &mut Reader<'_>) -> Result<Value, Error> {
        let here = reader.error(ErrorKind::Reserved(0));
        let length = reader.byte()?;
        let count = |base| usize::from(length - base);
        Ok(match length {
            0x00..=0xBF => {
                let bytes = reader.take(length.into())?;
                match self.coding {
                    Coding::Bytes => Value::Bytes(bytes.into()),
                    _ if bytes.is_empty() => Value::Absent,
                    _ if is_printable(bytes) => Value::Text(latin1(bytes)),
                    // Manufacturers put structures of their own where texts stand.
                    _ => Value::Bytes(bytes.into()),
                }
            }
            0xC0..=0xC9 => self.digits(reader.take(count(0xC0))?, false),
            0xD0..=0xD9 => self.digits(reader.take(count(0xD0))?, true),
            0xE0..=0xEF => self.integer(reader.take(count(0xE0))?),
            0xF0..=0xF4 => self.integer(reader.take(4 * count(0xEC))?),
            0xF5 => self.integer(reader.take(48)?),
            0xF6 => self.integer(reader.take(64)?),
            _ => {
                let kind = ErrorKind::Reserved(length);
                return Err(Error { kind, ..here });
            }
        })
    }

    /// Types B, C, D: integers; types F, G, I and J: dates. Longer than 64 bits, the bytes themselves.
    #[inline]
    pub(super) fn integer(&self, bytes: &[u8]) -> Value {
        match self.coding {
            Coding::Number | Coding::Fraction => match signed(bytes) {
                Some(number) => self.number(number.map(Decimal::from)),
                None => Value::Bytes(bytes.into()),
            },
            Coding::Unsigned => match unsigned(bytes) {
                // All ones mark an invalid value of type C.
                Some(_) if bytes.iter().all(|&byte| byte == 0xFF) => Value::Absent,
                Some(number) => self.unsigned(number, bytes),
                None => Value::Bytes(bytes.into()),
            },
            Coding::Bits | Coding::Digits => match unsigned(bytes) {
                Some(number) => self.unsigned(number, bytes),
                None => Value::Bytes(bytes.into()),
            },
            Coding::Moment => moment(bytes),
            Coding::Bytes => Value::Bytes(bytes.into()),
        }
    }

    fn unsigned(&self, number: u64, bytes: &[u8]) -> Value {
        match i64::try_from(number) {
            Ok(number) => self.number(Some(number.into())),
            // Only bits use the 64th one.
            Err(_) => Value::Bytes(bytes.into()),
        }
    }

    /// Type A: packed decimal digits. F in the highest digit is a minus; any other A to F says that the meter has no
    /// value to show (Annex B).
    pub(super) fn digits(&self, bytes: &[u8], negative: bool) -> Value {
        if self.coding == Coding::Digits && !negative {
            return identification(bytes);
        }
        let Some((&highest, lower)) = bytes.split_last() else {
            return Value::Absent;
        };
        let (minus, highest) = match highest >> 4 {
            0xF => (true, highest & 0x0F),
            _ => (false, highest),
        };
        let mut number = Some(0_i64);
        for byte in core::iter::once(highest).chain(lower.iter().rev().copied()) {
            let (tens, ones) = (byte >> 4, byte & 0x0F);
            if tens > 9 || ones > 9 {
                return Value::Absent;
            }
            number = number
                .and_then(|number| number.checked_mul(100))
                .and_then(|number| number.checked_add((tens * 10 + ones).into()));
        }
        // Eighteen digits, the most that a length byte allows, always fit.
        let number = number.map(|number| if minus != negative { -number } else { number });
        self.number(number.map(Decimal::from))
    }

    /// The number in the record's unit; absent if invalid or beyond what a [`Decimal`] holds.
    #[inline]
    pub(super) fn number(&self, number: Option<Decimal>) -> Value {
        let number = match self.coding {
            // 2^-12 = 244140625 · 10^-12.
            Coding::Fraction => number
                .and_then(|number| number.checked_mul(244_140_625))
                .and_then(|number| number.scaled(-12)),
            _ => number,
        };
        number.and_then(|number| self.correction.of(number)).into()
    }
}

/// Type B: two's complement; `Some(None)` for the smallest one, which marks an invalid value; `None` above 64 bits.
#[inline]
fn signed(bytes: &[u8]) -> Option<Option<i64>> {
    let number = unsigned(bytes)?;
    let unused = 64 - 8 * bytes.len() as u32;
    if unused == 64 {
        return Some(None);
    }
    let number = (number << unused) as i64;
    Some((number != i64::MIN).then_some(number >> unused))
}

#[inline]
fn unsigned(bytes: &[u8]) -> Option<u64> {
    Some(match *bytes {
        [a] => a.into(),
        [a, b] => u16::from_le_bytes([a, b]).into(),
        [a, b, c, d] => u32::from_le_bytes([a, b, c, d]).into(),
        _ => {
            let mut padded = [0; 8];
            padded.get_mut(..bytes.len())?.copy_from_slice(bytes);
            u64::from_le_bytes(padded)
        }
    })
}

/// Types F, G, I and J tell themselves apart by their sizes; longer ones (type M) stay bytes.
fn moment(bytes: &[u8]) -> Value {
    match *bytes {
        [a, b] => Date::from_type_g([a, b]).into(),
        [a, b, c] => Time::from_type_j([a, b, c]).into(),
        [a, b, c, d] => date_time(DateTime::from_type_f([a, b, c, d]), bytes),
        [a, b, c, d, e, f] => date_time(DateTime::from_type_i([a, b, c, d, e, f]), bytes),
        _ => Value::Bytes(bytes.into()),
    }
}

fn date_time(time: Option<DateTime>, bytes: &[u8]) -> Value {
    match time {
        Some(time) => time.into(),
        None => DateTime::marked_invalid(bytes).map_or(Value::Absent, Value::Invalid),
    }
}

/// The digits of an identification, highest first, with their zeros; absent if all are F.
fn identification(bytes: &[u8]) -> Value {
    if bytes.iter().all(|&byte| byte == 0xFF) {
        return Value::Absent;
    }
    let text: String = bytes
        .iter()
        .rev()
        .flat_map(|&byte| [byte >> 4, byte & 0x0F])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect();
    Value::Text(text.to_ascii_uppercase().into())
}
