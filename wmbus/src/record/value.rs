//! What a record says.

use core::fmt;

use super::date::{Date, DateTime, Moment, Time};
use crate::decimal::Decimal;

/// The value of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Value {
    /// The meter has no value: it sent none, or marked it invalid or in error. Never to be read as zero.
    #[default]
    Absent,
    /// An exact number in the record's unit. Real numbers are the shortest decimal that reads back equal.
    Decimal(Decimal),
    /// Text, or the digits of an identification with their leading zeros.
    Text(Box<str>),
    /// A date.
    Date(Date),
    /// A date and time of day.
    DateTime(DateTime),
    /// A date and time that the meter itself marks as invalid, as of a clock that was never set: absent wherever a value is
    /// needed, shown for those who look at the records.
    Invalid(DateTime),
    /// A time of day.
    Time(Time),
    /// Bytes without a standard meaning, as transmitted.
    Bytes(Box<[u8]>),
}

impl Value {
    /// The number, if it is one.
    #[inline]
    #[must_use]
    pub const fn decimal(&self) -> Option<Decimal> {
        match *self {
            Self::Decimal(decimal) => Some(decimal),
            _ => None,
        }
    }

    /// The date, with or without time, if it is one.
    #[must_use]
    pub const fn moment(&self) -> Option<Moment> {
        match *self {
            Self::Date(date) => Some(Moment::Date(date)),
            Self::DateTime(time) => Some(Moment::DateTime(time)),
            _ => None,
        }
    }

    /// Did the meter send no valid value?
    #[inline]
    #[must_use]
    pub const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent | Self::Invalid(_))
    }

    /// The same value, absent if the meter marks it as invalid.
    #[must_use]
    pub(crate) fn valid(&self) -> Self {
        match self {
            Self::Invalid(_) => Self::Absent,
            value => value.clone(),
        }
    }
}

impl From<Decimal> for Value {
    fn from(decimal: Decimal) -> Self {
        Self::Decimal(decimal)
    }
}

impl From<Moment> for Value {
    fn from(moment: Moment) -> Self {
        match moment {
            Moment::Date(date) => Self::Date(date),
            Moment::DateTime(time) => Self::DateTime(time),
        }
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Absent, Into::into)
    }
}

impl From<Date> for Value {
    fn from(date: Date) -> Self {
        Self::Date(date)
    }
}

impl From<DateTime> for Value {
    fn from(time: DateTime) -> Self {
        Self::DateTime(time)
    }
}

impl From<Time> for Value {
    fn from(time: Time) -> Self {
        Self::Time(time)
    }
}

impl fmt::Display for Value {
    /// Numbers in plain notation, dates and times in ISO 8601, bytes in hexadecimal, nothing for an absent value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => Ok(()),
            Self::Decimal(decimal) => decimal.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::Date(date) => date.fmt(f),
            Self::DateTime(time) | Self::Invalid(time) => time.fmt(f),
            Self::Time(time) => time.fmt(f),
            Self::Bytes(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02X}")),
        }
    }
}
