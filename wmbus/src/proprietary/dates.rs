//! Dates as the manufacturers' own formats write them. What is no date is absent.

use crate::record::{Date, DateTime, Time};

/// Day in bits 4..0, month in bits 8..5, years after 2000 in bits 15..9: Techem, Apator, B Meters.
pub(super) const fn packed(bits: u16) -> Option<Date> {
    Date::new(
        Some(2000 + (bits >> 9)),
        Some((bits >> 5 & 0xF) as u8),
        Some((bits & 0x1F) as u8),
    )
}

/// The same without a year: each year's.
pub(super) const fn yearly(bits: u16) -> Option<Date> {
    Date::new(
        None,
        Some((bits >> 5 & 0xF) as u8),
        Some((bits & 0x1F) as u8),
    )
}

/// Years after 2000, month, day, two decimal digits each.
pub(super) fn decimal([year, month, day]: [u8; 3]) -> Option<Date> {
    Date::new(
        Some(2000 + u16::from(digits(year)?)),
        Some(digits(month)?),
        Some(digits(day)?),
    )
}

/// The number that a byte's two decimal digits mean.
pub(super) const fn digits(byte: u8) -> Option<u8> {
    match (byte >> 4, byte & 0xF) {
        (tens @ 0..=9, ones @ 0..=9) => Some(tens * 10 + ones),
        _ => None,
    }
}

/// The last day of the month so many months before the month of `date`.
pub(super) fn month_end(date: Date, months: i32) -> Option<Date> {
    let first = Date::new(date.year(), date.month(), Some(1))?;
    Date::from_day_number(first.plus_months(1 - months)?.day_number()? - 1)
}

/// So many seconds after the beginning of 2000.
pub(super) fn seconds_since_2000(seconds: u32) -> Option<DateTime> {
    let beginning = DateTime {
        date: Date::new(Some(2000), Some(1), Some(1))?,
        time: Time::from_type_j([0, 0, 0])?,
        daylight_saving: false,
    };
    beginning.plus_seconds(seconds.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(year: u16, month: u8, day: u8) -> Option<Date> {
        Some(Date::new(Some(year), Some(month), Some(day)).unwrap())
    }

    #[test]
    fn reads_each_format() {
        // 259F is 0010010 1100 11111: year 18, month 12, day 31. 00A1 is 0000000 0101 00001.
        assert_eq!(packed(0x259F), on(2018, 12, 31));
        assert_eq!(packed(0), None);
        assert_eq!(yearly(0x00A1).unwrap().to_string(), "XXXX-05-01");
        assert_eq!(decimal([0x24, 0x04, 0x25]), on(2024, 4, 25));
        assert_eq!(decimal([0x24, 0x0A, 0x25]), None);
        assert_eq!(decimal([0, 0, 0]), None);
    }

    #[test]
    fn months_end() {
        let date = on(2024, 3, 31).unwrap();
        assert_eq!(month_end(date, 0), on(2024, 3, 31));
        assert_eq!(month_end(date, 1), on(2024, 2, 29));
        assert_eq!(month_end(date, 3), on(2023, 12, 31));
        assert_eq!(month_end(date, 100_000), None);
    }

    // 59 days after 1 January 2000 is 29 February, the day's last second; 4294967295 s are 49710 days and 23295 s.
    #[test]
    fn counts_seconds() {
        let text = |seconds| seconds_since_2000(seconds).unwrap().to_string();
        assert_eq!(text(59 * 86_400 + 86_399), "2000-02-29T23:59:59");
        assert_eq!(text(u32::MAX), "2136-02-07T06:28:15");
    }
}
