//! Compact profiles: many values of one quantity in one record, unfolded into dated records (EN 13757-3, Annex F).
//!
//! The record holds a control byte (size of the elements, unit of the spacing, increment mode), the spacing, and the
//! elements. The base value and the base time are records of their own with the same storage number. The first
//! element lies one spacing after the base, the next ones follow; in an inverse profile one before it, and so on
//! into the past. Every element gets the next higher storage number.

use super::data::Field;
use super::date::Moment;
use super::header::Header;
use super::qualifier::{Qualifier, Qualifiers};
use super::vif::Coding;
use super::{Record, Value};
use crate::decimal::Decimal;
use crate::error::Layer;
use crate::reader::Reader;

/// Which of the orthogonal VIFEs makes a record a profile; `None` if none does.
#[inline]
pub(crate) fn kind(qualifiers: &Qualifiers) -> Option<u8> {
    qualifiers.iter().find_map(|qualifier| match qualifier {
        Qualifier::Standard(code @ (INVERSE | WITH_REGISTERS | WITHOUT_REGISTERS)) => Some(code),
        _ => None,
    })
}

/// Replaces each profile by its values; the headers belong to the records at these places. What the standard does
/// not define stays as it is.
pub(crate) fn unfold(records: Vec<Record>, headers: &[(usize, Header)]) -> Vec<Record> {
    let mut unfolded = Vec::with_capacity(records.len());
    let mut headers = headers.iter().peekable();
    for (place, record) in records.iter().enumerate() {
        let header = headers.next_if(|(at, _)| *at == place);
        let values = header.and_then(|(_, header)| values(record, header, &records));
        match values {
            Some(values) => unfolded.extend(values),
            None => unfolded.push(record.clone()),
        }
    }
    unfolded
}

/// The values of a profile; `None` if the standard does not define it. `all` are the records it stands among.
pub(crate) fn values(profile: &Record, header: &Header, all: &[Record]) -> Option<Vec<Record>> {
    let kind = kind(&profile.qualifiers)?;
    let Value::Bytes(bytes) = &profile.value else {
        return None;
    };
    let (&[control, spacing], elements) = bytes.split_first_chunk()?;
    let field = Field::from_dif(control)?;
    let size = field
        .len()
        .filter(|&size| size > 0 && elements.len() % size == 0)?;
    let spacing = Spacing::new(control >> 4 & 0x03, spacing)?;
    let mode = Mode::new(control >> 6);
    let element = Header {
        field,
        coding: mode.coding(),
        template: Record::default(),
        ..header.clone()
    };
    let template = Record {
        qualifiers: profile.qualifiers.without(kind),
        value: Value::Absent,
        subunit: profile.subunit + spacing.column(),
        ..profile.clone()
    };
    let base_time = all
        .iter()
        .filter(|record| record.storage == profile.storage)
        .find_map(Record::time_of_storage);
    let base = all.iter().find(|record| {
        record.storage == template.storage
            && record.tariff == template.tariff
            && record.subunit == profile.subunit
            && record.function == template.function
            && record.quantity == template.quantity
            && record.unit == template.unit
            && record.qualifiers == template.qualifiers
            && !matches!(record.value, Value::Bytes(_))
    });
    let mut last = match base {
        Some(record) => Last::Value(record.value.decimal()),
        None => Last::Missing,
    };
    let inverse = kind == INVERSE;
    let mut values = Vec::with_capacity(elements.len() / size);
    for (bytes, number) in elements.chunks_exact(size).zip(1_u16..) {
        let mut reader = Reader::in_layer(Layer::Apl, 0, bytes);
        let sent = element.read_value(&mut reader).ok()?.decimal();
        let value = mode.next(last, sent, inverse);
        last = Last::Value(value);
        let steps = i32::from(number);
        values.push(Record {
            value: value.into(),
            storage: profile.storage + u64::from(number),
            time: base_time
                .and_then(|time| spacing.shift(time, if inverse { -steps } else { steps })),
            ..template.clone()
        });
    }
    Some(values)
}

/// The value before an element.
#[derive(Clone, Copy)]
enum Last {
    /// There is no base value: the first element stands for itself.
    Missing,
    /// `None` if it is absent, which leaves all that counts from it absent, too.
    Value(Option<Decimal>),
}

/// How an element tells its value (table F.6, bits 6 and 7).
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Absolute,
    Increment,
    Decrement,
    Difference,
}

impl Mode {
    const fn new(bits: u8) -> Self {
        match bits {
            0 => Self::Absolute,
            1 => Self::Increment,
            2 => Self::Decrement,
            _ => Self::Difference,
        }
    }

    /// Increments and decrements are unsigned integers, the other two are signed.
    const fn coding(self) -> Coding {
        match self {
            Self::Absolute | Self::Difference => Coding::Number,
            Self::Increment | Self::Decrement => Coding::Unsigned,
        }
    }

    /// The value of an element. A difference is always the younger value less the older one.
    fn next(self, last: Last, sent: Option<Decimal>, inverse: bool) -> Option<Decimal> {
        let last = match (self, last) {
            (Self::Absolute, _) | (_, Last::Missing) => return sent,
            (_, Last::Value(last)) => last?,
        };
        if inverse == (self == Self::Decrement) {
            last.checked_add(sent?)
        } else {
            last.checked_sub(sent?)
        }
    }
}

/// The time between two elements (table F.8).
#[derive(Clone, Copy)]
enum Spacing {
    Seconds(i64),
    HalfMonths,
    Months(i32),
    /// Not spaced in time: a column of a table.
    Column(u16),
}

impl Spacing {
    /// `None` for what the standard reserves.
    const fn new(unit: u8, value: u8) -> Option<Self> {
        Some(match (value, unit) {
            (0, column) => Self::Column(column as u16),
            (1..=250, 0) => Self::Seconds(value as i64),
            (1..=250, 1) => Self::Seconds(value as i64 * 60),
            (1..=250, 2) => Self::Seconds(value as i64 * 3_600),
            (1..=250, _) => Self::Seconds(value as i64 * DAY),
            (253, 3) => Self::HalfMonths,
            (254, 1) => Self::Months(6),
            (254, 2) => Self::Months(3),
            (254, 3) => Self::Months(1),
            _ => return None,
        })
    }

    /// The columns of a table are told apart as subunits.
    const fn column(self) -> u16 {
        match self {
            Self::Column(column) => column,
            _ => 0,
        }
    }

    /// The time that many spacings later; `None` where there is none.
    fn shift(self, time: Moment, steps: i32) -> Option<Moment> {
        match self {
            Self::Column(_) => None,
            Self::Months(months) => time.plus_months(months * steps),
            Self::HalfMonths => time.plus_half_months(steps),
            Self::Seconds(seconds) => time.plus_seconds(seconds, steps),
        }
    }
}

const INVERSE: u8 = 0x13;
const WITH_REGISTERS: u8 = 0x1E;
const WITHOUT_REGISTERS: u8 = 0x1F;
const DAY: i64 = 86_400;
