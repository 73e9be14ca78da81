//! Dates and times as meters send them (EN 13757-3, Annex A, types F, G, I and J).
//!
//! Meters know their local time only. Any part may stand for "every", which makes the date a periodic one: every
//! year's first of January, every hour's thirtieth minute. What is marked invalid, or is no date of the calendar, is
//! absent; of a clock that the meter marks as invalid it is told what it shows.

use core::fmt;

/// A date, or a periodic date.
///
/// ```
/// use wmbus::Date;
/// assert_eq!(Date::new(Some(2024), Some(2), Some(29)).unwrap().to_string(), "2024-02-29");
/// assert_eq!(Date::new(None, Some(1), Some(1)).unwrap().to_string(), "XXXX-01-01");
/// assert_eq!(Date::new(Some(2023), Some(2), Some(29)), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Date {
    /// 1900..=2299; 0 stands for every year.
    year: u16,
    /// 1..=12; 0 stands for every month.
    month: u8,
    /// 1..=31; 0 stands for every day.
    day: u8,
}

impl Date {
    /// A date of the calendar; `None` in a place stands for every year, month or day.
    ///
    /// The answer is `None` where the calendar has no such date.
    #[must_use]
    pub const fn new(year: Option<u16>, month: Option<u8>, day: Option<u8>) -> Option<Self> {
        let year = match year {
            Some(year @ 1900..=2299) => year,
            Some(_) => return None,
            None => 0,
        };
        let month = match month {
            Some(month @ 1..=12) => month,
            Some(_) => return None,
            None => 0,
        };
        let day = match day {
            Some(day) if day >= 1 && day <= days_of(year, month) => day,
            Some(_) => return None,
            None => 0,
        };
        Some(Self { year, month, day })
    }

    /// The year; `None` stands for every year.
    #[must_use]
    pub const fn year(self) -> Option<u16> {
        if self.year == 0 {
            None
        } else {
            Some(self.year)
        }
    }

    /// The month, 1..=12; `None` stands for every month.
    #[must_use]
    pub const fn month(self) -> Option<u8> {
        if self.month == 0 {
            None
        } else {
            Some(self.month)
        }
    }

    /// The day of the month, 1..=31; `None` stands for every day.
    #[must_use]
    pub const fn day(self) -> Option<u8> {
        if self.day == 0 { None } else { Some(self.day) }
    }

    /// Type G: two bytes; `None` if marked invalid (FFFF) or no date of the calendar.
    #[must_use]
    pub(crate) const fn from_type_g(bytes: [u8; 2]) -> Option<Self> {
        let [low, high] = bytes;
        if low == 0xFF && high == 0xFF {
            return None;
        }
        Self::packed(low, high, 0)
    }

    /// The day and month bytes that types F, G and I share. `hundreds` are type F's, 0 elsewhere.
    const fn packed(low: u8, high: u8, hundreds: u8) -> Option<Self> {
        let year = (low >> 5 | (high & 0xF0) >> 1) as u16;
        let year = match year {
            EVERY_YEAR => None,
            // Annex A, type F: meters without the hundreds mean 1981 to 2080.
            0..=80 if hundreds == 0 => Some(2000 + year),
            0..=99 => Some(1900 + 100 * hundreds as u16 + year),
            _ => return None,
        };
        let month = match high & 0x0F {
            15 => None,
            month => Some(month),
        };
        let day = match low & 0x1F {
            0 => None,
            day => Some(day),
        };
        Self::new(year, month, day)
    }

    /// Days since 1900-01-01; `None` for a periodic date.
    pub(crate) const fn day_number(self) -> Option<i32> {
        if self.year == 0 || self.month == 0 || self.day == 0 {
            return None;
        }
        let mut days = first_day_of(self.year) + self.day as i32 - 1;
        let mut month = 1;
        while month < self.month {
            days += days_of(self.year, month) as i32;
            month += 1;
        }
        Some(days)
    }

    /// The date that many days after 1900-01-01; `None` outside 1900..=2299.
    pub(crate) const fn from_day_number(days: i32) -> Option<Self> {
        if days < 0 {
            return None;
        }
        // Too early by a year at most: 400 years have 97 leap days.
        let mut year = 1900 + days / 366;
        if year > 2299 {
            return None;
        }
        if days >= first_day_of(year as u16 + 1) {
            year += 1;
        }
        if year > 2299 {
            return None;
        }
        let year = year as u16;
        let mut left = days - first_day_of(year);
        let mut month = 1;
        while left >= days_of(year, month) as i32 {
            left -= days_of(year, month) as i32;
            month += 1;
        }
        Self::new(Some(year), Some(month), Some(left as u8 + 1))
    }

    /// The date `steps` times `seconds` later; `None` if these are no whole days.
    pub(crate) fn plus_days(self, seconds: i64, steps: i32) -> Option<Self> {
        let total = seconds * i64::from(steps);
        let days = (total % DAY == 0).then_some(total / DAY)?;
        Self::from_day_number(self.day_number()?.checked_add(i32::try_from(days).ok()?)?)
    }

    /// The date `months` later (or earlier, below zero); the last day of a month stays the last day.
    pub(crate) const fn plus_months(self, months: i32) -> Option<Self> {
        if self.year == 0 || self.month == 0 || self.day == 0 {
            return None;
        }
        let count = self.year as i32 * 12 + self.month as i32 - 1 + months;
        let (year, month) = (count / 12, count % 12 + 1);
        if year < 1900 || year > 2299 {
            return None;
        }
        let (year, month) = (year as u16, month as u8);
        let length = days_of(year, month);
        let day = if self.day == days_of(self.year, self.month) || self.day > length {
            length
        } else {
            self.day
        };
        Self::new(Some(year), Some(month), Some(day))
    }

    /// The date that many half months later, or earlier: 15 days are half a month, the last day belongs to the 15th.
    pub(crate) const fn plus_half_months(self, halves: i32) -> Option<Self> {
        if halves % 2 == 0 || self.day == 0 {
            return self.plus_months(halves / 2);
        }
        let last = self.day == days_of(self.year, self.month);
        let first_half = if last {
            15
        } else if self.day > 15 {
            self.day - 15
        } else {
            self.day
        };
        let months = (halves + (self.day > 15) as i32).div_euclid(2);
        let Some(first) = (Self { day: 1, ..self }).plus_months(months) else {
            return None;
        };
        let day = if self.day > 15 {
            first_half
        } else {
            let length = days_of(first.year, first.month);
            if first_half + 15 > length {
                length
            } else {
                first_half + 15
            }
        };
        Some(Self { day, ..first })
    }
}

impl fmt::Display for Date {
    /// ISO 8601; X for the digits of a part that stands for every one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.year {
            0 => f.write_str("XXXX")?,
            year => write!(f, "{year}")?,
        }
        f.write_str("-")?;
        two_digits(f, self.month())?;
        f.write_str("-")?;
        two_digits(f, self.day())
    }
}

/// A time of day, or a periodic one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Time {
    hour: Option<u8>,
    minute: Option<u8>,
    second: Option<Option<u8>>,
}

impl Time {
    /// The hour, 0..=23; `None` stands for every hour.
    #[must_use]
    pub const fn hour(self) -> Option<u8> {
        self.hour
    }

    /// The minute, 0..=59; `None` stands for every minute.
    #[must_use]
    pub const fn minute(self) -> Option<u8> {
        self.minute
    }

    /// The second, 0..=59; `None` if the meter sent none, `Some(None)` stands for every second.
    #[must_use]
    pub const fn second(self) -> Option<Option<u8>> {
        self.second
    }

    /// Type J: second, minute, hour; `None` if out of range.
    pub(crate) fn from_type_j([second, minute, hour]: [u8; 3]) -> Option<Self> {
        Some(Self {
            hour: part(hour & 0x1F, 31, 23)?,
            minute: part(minute & 0x3F, 63, 59)?,
            second: Some(part(second & 0x3F, 63, 59)?),
        })
    }
}

impl fmt::Display for Time {
    /// ISO 8601, with seconds only where they were sent; X for the digits of a part that stands for every one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        two_digits(f, self.hour)?;
        f.write_str(":")?;
        two_digits(f, self.minute)?;
        match self.second {
            Some(second) => {
                f.write_str(":")?;
                two_digits(f, second)
            }
            None => Ok(()),
        }
    }
}

/// A date and time of day in the meter's local time, or a periodic one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DateTime {
    /// The date.
    pub date: Date,
    /// The time of day.
    pub time: Time,
    /// Does the meter say that daylight saving time is in force?
    pub daylight_saving: bool,
}

impl DateTime {
    /// Type F: four bytes, minutes; `None` if marked invalid, out of range or no date of the calendar.
    pub(crate) fn from_type_f([minute, hour, day, month]: [u8; 4]) -> Option<Self> {
        if minute & INVALID != 0 {
            return None;
        }
        Some(Self {
            date: Date::packed(day, month, hour >> 5 & 0x03)?,
            time: Time {
                hour: part(hour & 0x1F, 31, 23)?,
                minute: part(minute & 0x3F, 63, 59)?,
                second: None,
            },
            daylight_saving: hour & 0x80 != 0,
        })
    }

    /// Type I: six bytes, seconds; `None` if marked invalid, out of range or no date of the calendar.
    pub(crate) fn from_type_i([second, minute, hour, day, month, _week]: [u8; 6]) -> Option<Self> {
        if minute & INVALID != 0 {
            return None;
        }
        Some(Self {
            date: Date::packed(day, month, 0)?,
            time: Time {
                hour: part(hour & 0x1F, 31, 23)?,
                minute: part(minute & 0x3F, 63, 59)?,
                second: Some(part(second & 0x3F, 63, 59)?),
            },
            daylight_saving: second & 0x40 != 0,
        })
    }

    /// What types F and I say although they mark it invalid; `None` if they do not, or if it is no certain time.
    pub(crate) fn marked_invalid(bytes: &[u8]) -> Option<Self> {
        let time = match *bytes {
            [minute @ INVALID..=0xFF, a, b, c] => Self::from_type_f([minute & !INVALID, a, b, c]),
            [second, minute @ INVALID..=0xFF, a, b, c, d] => {
                Self::from_type_i([second, minute & !INVALID, a, b, c, d])
            }
            _ => None,
        };
        time.filter(|time| time.plus_seconds(0).is_some())
    }

    /// The time that many seconds later, or earlier; `None` for a periodic time.
    pub(crate) fn plus_seconds(self, seconds: i64) -> Option<Self> {
        let Time {
            hour,
            minute,
            second,
        } = self.time;
        let past = (i64::from(hour?) * 60 + i64::from(minute?)) * 60
            + i64::from(second.unwrap_or(Some(0))?);
        let total = i64::from(self.date.day_number()?) * DAY + past + seconds;
        let (day, left) = (total.div_euclid(DAY), total.rem_euclid(DAY));
        let second = (left % 60) as u8;
        Some(Self {
            date: Date::from_day_number(i32::try_from(day).ok()?)?,
            time: Time {
                hour: Some((left / 3600) as u8),
                minute: Some((left / 60 % 60) as u8),
                second: (self.time.second.is_some() || second != 0).then_some(Some(second)),
            },
            daylight_saving: self.daylight_saving,
        })
    }
}

impl fmt::Display for DateTime {
    /// ISO 8601 without a zone: meters do not send theirs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}T{}", self.date, self.time)
    }
}

/// When something was, by day or by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Moment {
    /// On a day.
    Date(Date),
    /// At a time.
    DateTime(DateTime),
}

impl Moment {
    /// So many months later, or earlier.
    pub(crate) fn plus_months(self, months: i32) -> Option<Self> {
        Some(self.on(self.date().plus_months(months)?))
    }

    /// So many half months later, or earlier.
    pub(crate) fn plus_half_months(self, halves: i32) -> Option<Self> {
        Some(self.on(self.date().plus_half_months(halves)?))
    }

    /// `steps` times `seconds` later, or earlier; for a date, whole days only.
    pub(crate) fn plus_seconds(self, seconds: i64, steps: i32) -> Option<Self> {
        Some(match self {
            Self::Date(date) => Self::Date(date.plus_days(seconds, steps)?),
            Self::DateTime(time) => Self::DateTime(time.plus_seconds(seconds * i64::from(steps))?),
        })
    }

    /// The date, without the time.
    #[must_use]
    pub const fn date(self) -> Date {
        match self {
            Self::Date(date) => date,
            Self::DateTime(time) => time.date,
        }
    }

    const fn on(self, date: Date) -> Self {
        match self {
            Self::Date(_) => Self::Date(date),
            Self::DateTime(time) => Self::DateTime(DateTime { date, ..time }),
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Date(date) => date.fmt(f),
            Self::DateTime(time) => time.fmt(f),
        }
    }
}

/// A part of a time: `Some(None)` if it stands for every one, `None` if out of range.
const fn part(value: u8, every: u8, last: u8) -> Option<Option<u8>> {
    if value == every {
        Some(None)
    } else if value <= last {
        Some(Some(value))
    } else {
        None
    }
}

fn two_digits(f: &mut fmt::Formatter<'_>, part: Option<u8>) -> fmt::Result {
    match part {
        Some(part) => write!(f, "{part:02}"),
        None => f.write_str("XX"),
    }
}

/// How many days after 1900-01-01 a year of 1900..=2300 begins.
const fn first_day_of(year: u16) -> i32 {
    let past = year as i32 - 1900;
    // 1900, 2100 and 2200 are no leap years.
    let leap = if past == 0 { 0 } else { (past - 1) / 4 };
    let skipped = (year > 2100) as i32 + (year > 2200) as i32;
    past * 365 + leap - skipped
}

/// How long a month may be; a periodic one, as long as some month is.
const fn days_of(year: u16, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year == 0 => 29,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        _ => 31,
    }
}

const EVERY_YEAR: u16 = 127;
const INVALID: u8 = 0x80;
const DAY: i64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn date(year: u16, month: u8, day: u8) -> Date {
        Date::new(Some(year), Some(month), Some(day)).unwrap()
    }

    // FE 04: day 11110 = 30, year 0000'111 = 7, month 4 (the example of the KNX RF metering specification, Annex C).
    // 7F C2: day 31, year 1100'011 = 99, month 2. E1 F1: day 1, year 1111'111 = every, month 1.
    // 81 2F: day 1, year 0010'100 = 20, month 15 = every. A1 A1: day 1, year 1010'101 = 85, month 1.
    #[test]
    fn type_g() {
        let text = |low, high| Date::from_type_g([low, high]).map(|date| date.to_string());
        assert_eq!(text(0xFE, 0x04).as_deref(), Some("2007-04-30"));
        assert_eq!(text(0xE1, 0xF1).as_deref(), Some("XXXX-01-01"));
        assert_eq!(text(0x81, 0x2F).as_deref(), Some("2020-XX-01"));
        assert_eq!(text(0xA1, 0xA1).as_deref(), Some("1985-01-01"));
        assert_eq!(text(0xFF, 0xFF), None, "marked invalid");
        assert_eq!(text(0x00, 0x00), None, "month 0");
        assert_eq!(text(0x7F, 0xC2), None, "31 February 1999");
    }

    // 32: minute 50. 37: hour 23, hundreds 01. 1F: day 31, 15: month 5, year 0001'000 = 8 (OMS, Annex N).
    // 3F BF E0 FF: every minute, every hour, hundreds 01, daylight saving, every day, month and year.
    #[test]
    fn type_f() {
        let text = |bytes| DateTime::from_type_f(bytes).map(|time| time.to_string());
        assert_eq!(
            text([0x32, 0x37, 0x1F, 0x15]).as_deref(),
            Some("2008-05-31T23:50")
        );
        assert_eq!(
            text([0x3F, 0xBF, 0xE0, 0xFF]).as_deref(),
            Some("XXXX-XX-XXTXX:XX")
        );
        assert!(
            DateTime::from_type_f([0x3F, 0xBF, 0xE0, 0xFF])
                .unwrap()
                .daylight_saving
        );
        assert_eq!(text([0xB2, 0x37, 0x1F, 0x15]), None, "marked invalid");
        let invalid =
            |bytes: [u8; 4]| DateTime::marked_invalid(&bytes).map(|time| time.to_string());
        assert_eq!(
            invalid([0xB2, 0x37, 0x1F, 0x15]).as_deref(),
            Some("2008-05-31T23:50")
        );
        assert_eq!(invalid([0x32, 0x37, 0x1F, 0x15]), None, "valid");
        assert_eq!(invalid([0xFF; 4]), None, "no certain time");
        assert_eq!(text([0x3C, 0x37, 0x1F, 0x15]), None, "minute 60");
        assert_eq!(text([0x32, 0x38, 0x1F, 0x15]), None, "hour 24");
    }

    // 00 00 A0 41 11 35: second 0, minute 0, hour 0 on a Friday, day 1, year 0001'010 = 10, month 1, week 53
    // (the example of the KNX RF metering specification, Annex B).
    #[test]
    fn type_i_and_j() {
        let text = |bytes| DateTime::from_type_i(bytes).map(|time| time.to_string());
        assert_eq!(
            text([0x00, 0x00, 0xA0, 0x41, 0x11, 0x35]).as_deref(),
            Some("2010-01-01T00:00:00")
        );
        let invalid = [0x00, 0x80, 0xA0, 0x41, 0x11, 0x35];
        assert_eq!(text(invalid), None);
        assert_eq!(
            DateTime::marked_invalid(&invalid)
                .map(|time| time.to_string())
                .as_deref(),
            Some("2010-01-01T00:00:00")
        );
        let text = |bytes| Time::from_type_j(bytes).map(|time| time.to_string());
        assert_eq!(text([59, 30, 7]).as_deref(), Some("07:30:59"));
        assert_eq!(text([0, 63, 31]).as_deref(), Some("XX:XX:00"));
        assert_eq!(text([60, 0, 0]), None);
    }

    #[test]
    fn counts_days_and_months() {
        assert_eq!(date(1900, 1, 1).day_number(), Some(0));
        assert_eq!(date(1970, 1, 1).day_number(), Some(25_567));
        assert_eq!(date(2000, 3, 1).day_number(), Some(36_584));
        assert_eq!(date(2008, 5, 31).plus_months(-3), Some(date(2008, 2, 29)));
        assert_eq!(date(2007, 2, 28).plus_months(1), Some(date(2007, 3, 31)));
        assert_eq!(date(2007, 1, 30).plus_months(1), Some(date(2007, 2, 28)));
        assert_eq!(date(2007, 12, 15).plus_months(1), Some(date(2008, 1, 15)));
        assert_eq!(date(2299, 12, 1).plus_months(1), None);
        let halves = |count| date(2024, 1, 16).plus_half_months(count);
        assert_eq!(halves(-1), Some(date(2024, 1, 1)));
        assert_eq!(halves(-2), Some(date(2023, 12, 16)));
        assert_eq!(halves(-3), Some(date(2023, 12, 1)));
        assert_eq!(halves(1), Some(date(2024, 2, 1)));
        assert_eq!(halves(3), Some(date(2024, 3, 1)));
        assert_eq!(
            date(2024, 3, 1).plus_half_months(1),
            Some(date(2024, 3, 16))
        );
        assert_eq!(
            date(2024, 3, 1).plus_half_months(-1),
            Some(date(2024, 2, 16))
        );
    }

    #[test]
    fn counts_seconds_across_midnight() {
        let time = DateTime::from_type_f([0x32, 0x37, 0x1F, 0x15]).unwrap();
        let text = |seconds| time.plus_seconds(seconds).unwrap().to_string();
        assert_eq!(text(600), "2008-06-01T00:00");
        assert_eq!(text(601), "2008-06-01T00:00:01");
        assert_eq!(text(-DAY), "2008-05-30T23:50");
    }

    proptest! {
        #[test]
        fn day_numbers_read_back(days in 0_i32..146_097) {
            let date = Date::from_day_number(days).unwrap();
            prop_assert_eq!(date.day_number(), Some(days));
            prop_assert_eq!(date.plus_months(0), Some(date));
        }

        #[test]
        fn any_bytes_give_a_date_or_none(bytes: [u8; 6]) {
            let [a, b, c, d, ..] = bytes;
            for date in [
                Date::from_type_g([a, b]),
                DateTime::from_type_f([a, b, c, d]).map(|time| time.date),
                DateTime::from_type_i(bytes).map(|time| time.date),
            ].into_iter().flatten() {
                let again = Date::new(date.year(), date.month(), date.day());
                prop_assert_eq!(again, Some(date));
                let _ = (date.plus_months(-1), date.plus_half_months(3), date.to_string());
            }
        }
    }
}
