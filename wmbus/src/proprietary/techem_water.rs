//! Techem water meters with the radios mk radio 3, 3a and 4.
//!
//! Manufacturer TCH, CI A2, medium 62 (warm) or 72 (cold). Offsets count from behind the CI; dates are
//! [`packed`], volumes count 0.1 m³.
//!
//! Versions 74 (mk radio 3), 70 and 95 (mk radio 4):
//!
//! | offset | length | meaning |
//! |---|---|---|
//! | 0 | 1 | unknown |
//! | 1 | 2 | due date |
//! | 3 | 2 | reading at the due date |
//! | 5 | 2 | date of sending, without year ([`current_date`]) |
//! | 7 | 2 | consumption since the due date |
//!
//! What follows, consumption of earlier half months, is not known well enough. The meter's reading is the sum of
//! both volumes.
//!
//! Version 50 (mk radio 3a):
//!
//! | offset | length | meaning |
//! |---|---|---|
//! | 0 | 2 | unknown |
//! | 2 | 2 | date of sending |
//! | 4 | 3 | reading |
//! | 7 | 1 | unknown |
//! | 8 | 12 · 3 | consumption of two half months, one byte each, and an unknown byte; the latest first |
//!
//! The half months follow each other without gaps, from the current one on: up to the 15th the first byte is alone
//! in its month, then it has its first half behind it.
//!
//! Source of the facts: wmbusmeters, `mkradio3.xmq`, `mkradio3a.xmq`, `mkradio4.xmq`; that the dates of mk radio 4
//! stand where those of mk radio 3 do, from its telegram.

use super::dates::{month_end, packed};
use super::sheet::{Sheet, date, volume};
use super::{Format, Input, Is, Place};
use crate::error::Error;
use crate::record::{Date, Record};

pub(super) const FORMAT: Format = Format {
    versions: Is::Of(&[0x70, 0x74, 0x95]),
    media: Is::Of(&[0x62, 0x72]),
    place: Place::Ci(0xA2, 0xA2),
    is_encrypted: |_| false,
    read,
};

pub(super) const FORMAT_3A: Format = Format {
    versions: Is::Of(&[0x50]),
    media: Is::Of(&[0x62, 0x72]),
    place: Place::Ci(0xA2, 0xA2),
    is_encrypted: |_| false,
    read: read_3a,
};

/// Reads the payload of mk radio 3 and 4.
///
/// # Errors
/// Truncated below nine bytes.
fn read(input: &Input<'_>) -> Result<Vec<Record>, Error> {
    let mut fields = input.fields();
    fields.skip(1, "unknown")?;
    let due_date = packed(fields.u16("due date")?);
    let at_due_date = i64::from(fields.u16("volume at the due date, 0.1 m³")?);
    let now = fields.u16("date of sending")?;
    let since = i64::from(fields.u16("volume since the due date, 0.1 m³")?);
    let mut sheet = Sheet::new();
    sheet.add(volume(at_due_date + since, -1));
    sheet.add(volume(at_due_date, -1).storage(1_u8).at(due_date));
    sheet.add_some(due_date.map(|due| date(due).storage(1_u8)));
    sheet.add(volume(since, -1).of_period());
    sheet.add_some(due_date.and_then(|due| current_date(now, due)).map(date));
    Ok(sheet.into_records())
}

/// Reads the payload of mk radio 3a.
///
/// # Errors
/// Truncated below 44 bytes.
fn read_3a(input: &Input<'_>) -> Result<Vec<Record>, Error> {
    let mut fields = input.fields();
    fields.skip(2, "unknown")?;
    let today = packed(fields.u16("date of sending")?);
    let total = fields.u24("volume, 0.1 m³")?;
    fields.skip(1, "unknown")?;
    let mut sheet = Sheet::new();
    sheet.add(volume(total, -1));
    sheet.add_some(today.map(date));
    let mut halves = Vec::with_capacity(24);
    for _ in 0..12 {
        let &[newer, older, _] =
            fields.bytes("two half months, the later first, 0.1 m³, unknown")?;
        halves.extend([newer, older]);
    }
    let Some(today) = today else {
        return Ok(sheet.into_records());
    };
    // The current month has one half so far, or both.
    let mut halves = halves.into_iter();
    let begun = if today.day().is_some_and(|day| day <= 15) {
        1
    } else {
        2
    };
    let current: i64 = halves.by_ref().take(begun).map(i64::from).sum();
    sheet.add(volume(current, -1).of_period());
    for (age, month) in (1_u8..).zip(halves.as_slice().as_chunks::<2>().0) {
        let consumed: i64 = month.iter().copied().map(i64::from).sum();
        let end = month_end(today, age.into());
        sheet.add(volume(consumed, -1).of_period().storage(age).at(end));
    }
    Ok(sheet.into_records())
}

/// The date of sending: day in bits 8..4, month in bits 12..9, in the twelve months after the due date.
pub(super) fn current_date(bits: u16, due: Date) -> Option<Date> {
    let (month, day) = ((bits >> 9 & 0xF) as u8, (bits >> 4 & 0x1F) as u8);
    let later = (Some(month), Some(day)) > (due.month(), due.day());
    Date::new(
        Some(due.year()? + u16::from(!later)),
        Some(month),
        Some(day),
    )
}

#[cfg(test)]
mod tests {
    use super::super::testing::{decode, error};
    use crate::error::ErrorKind;

    // Telegrams and values: wmbusmeters, mkradio3.xmq.
    const RADIO_3: &str = "2F446850313233347462A2069F255900B029310000000306060906030609070606050509050505050407040605070500";

    #[test]
    fn mk_radio_3() {
        assert_eq!(
            decode(RADIO_3),
            [
                "volume 13.8 m³",
                "volume[1] 8.9 m³ (2018-12-31)",
                "date[1] 2018-12-31",
                "period_volume 4.9 m³",
                "date 2019-04-27"
            ]
        );
        // Due on 31 March 2018, sent on 27 April, on 31 March a year later, on 1 April.
        for (now, date) in [
            ("B029", "2018-04-27"),
            ("F007", "2019-03-31"),
            ("1008", "2018-04-01"),
        ] {
            let telegram = RADIO_3.replace("9F255900B029", &format!("7F245900{now}"));
            assert_eq!(decode(&telegram)[4], format!("date {date}"));
        }
    }

    // Telegram and volumes: wmbusmeters, mkradio4.xmq.
    #[test]
    fn mk_radio_4() {
        assert_eq!(
            decode(
                "2F446850200141029562A206702901006017030004000300000000000000000000000000000000000000000000000000"
            ),
            [
                "volume 0.4 m³",
                "volume[1] 0.1 m³ (2020-11-16)",
                "date[1] 2020-11-16",
                "period_volume 0.3 m³",
                "date 2020-11-22"
            ]
        );
    }

    // Telegram and values: wmbusmeters, mkradio3a.xmq.
    const RADIO_3A: &str = "36446850420656625072A20C007C3110250000293400373A002E38000E15002F37003A39003835002F24003930001D2500312500162900";

    #[test]
    fn mk_radio_3a() {
        let records = decode(RADIO_3A);
        assert_eq!(
            records[..4],
            [
                "volume 948.8 m³",
                "date 2024-11-28",
                "period_volume 9.3 m³",
                "period_volume[1] 11.3 m³ (2024-10-31)"
            ]
        );
        assert_eq!(records[13..], ["period_volume[11] 6.3 m³ (2023-12-31)"]);
    }

    // Without a telegram of a first half of a month: the same one, sent on the 15th.
    #[test]
    fn mk_radio_3a_in_the_first_half() {
        let records = decode(&RADIO_3A.replace("7C31", "6F31"));
        // 0x29 = 41; 0x34 + 0x37 = 107.
        assert_eq!(
            records[1..4],
            [
                "date 2024-11-15",
                "period_volume 4.1 m³",
                "period_volume[1] 10.7 m³ (2024-10-31)"
            ]
        );
        assert_eq!(records.len(), 14);
    }

    #[test]
    fn too_short() {
        assert_eq!(
            error("12446850313233347462A2069F255900B029").kind,
            ErrorKind::Truncated { missing: 2 }
        );
        assert_eq!(
            error(&RADIO_3A[..RADIO_3A.len() - 4]).kind,
            ErrorKind::Truncated { missing: 2 }
        );
    }

    // Month 15 does not exist: the date is absent, the volumes are not.
    #[test]
    fn no_date() {
        assert_eq!(decode(&RADIO_3.replace("9F25", "FFFF")).len(), 3);
        assert_eq!(
            decode(&RADIO_3A.replace("7C31", "FFFF")),
            ["volume 948.8 m³"]
        );
    }
}
