//! B Meters Hydrodigit water meters: the manufacturer's data behind DIF 0F.
//!
//! Manufacturer BMT, versions 13, 15 and 17, medium 06 or 07. The first byte says which parts follow, in this order:
//!
//! | bit | length | part |
//! |---|---|---|
//! | 01 | 1 | bits 3..0: battery voltage, by a table |
//! | 02 | 4 | tampering: bits 7 magnet, 6 sensor, 5 module removed; date |
//! | 80 | 3 | date of a leak |
//! | 04 | 4 | volume that flowed back, litres |
//! | 10 | 12 · 3 | volumes at the ends of January to December, 0.01 m³; FFFFFF if the meter did not run |
//!
//! Dates are year, month, day, two decimal digits each; 0 if there was none. The months to come are last year's:
//! with the meter's date, which is an ordinary record, each has its own.
//!
//! Source of the facts: wmbusmeters, `hydrodigit.xmq`.

use super::dates::{decimal, month_end};
use super::sheet::{Sheet, battery_voltage, date, flags, volume};
use super::{Fields, Format, Input, Is, Place};
use crate::error::Error;
use crate::record::{Date, Record};

pub(super) const FORMAT: Format = Format {
    versions: Is::Of(&[0x13, 0x15, 0x17]),
    media: Is::Of(&[0x06, 0x07]),
    place: Place::Block,
    is_encrypted: |_| false,
    read,
};

/// Reads the data behind DIF 0F.
///
/// # Errors
/// Truncated if a part is incomplete that the first byte announces.
fn read(input: &Input<'_>) -> Result<Vec<Record>, Error> {
    let mut fields = input.fields();
    let parts = fields.u8("which parts follow")?;
    let mut sheet = Sheet::new();
    if parts & 0x01 != 0 {
        sheet.add(battery_voltage(millivolts(fields.u8("battery")?), -3));
    }
    if parts & 0x02 != 0 {
        let kind = fields.u8("tampering")?;
        sheet.add(flags(kind.into(), &TAMPERING));
        let day = decimal(*fields.bytes("date of the tampering")?);
        sheet.add_some(day.map(|day| date(day).in_error()));
    }
    if parts & 0x80 != 0 {
        let day = decimal(*fields.bytes("date of the leak")?);
        sheet.add_some(day.map(|day| date(day).leakage()));
    }
    if parts & 0x04 != 0 {
        sheet.add(volume(fields.u32("volume that flowed backward, l")?, -3).backward());
    }
    if parts & 0x10 != 0 {
        months(&mut fields, input.date(), &mut sheet)?;
    }
    Ok(sheet.into_records())
}

/// Volumes at the ends of January to December. With the date of today, the storage number counts the months back.
pub(super) fn months(
    fields: &mut Fields<'_>,
    today: Option<Date>,
    sheet: &mut Sheet,
) -> Result<(), Error> {
    for month in 1..=12 {
        let sent = fields.u24("volume at the end of a month, January first, 10 l")?;
        if sent == 0xFF_FFFF {
            continue;
        }
        let line = volume(sent, -2);
        let age = today
            .and_then(Date::month)
            .map(|this| match this.saturating_sub(month) {
                0 => this + 12 - month,
                months => months,
            });
        let end = today
            .zip(age)
            .and_then(|(today, age)| month_end(today, age.into()));
        let any_year = Date::new(None, Some(month), None);
        sheet.add(line.storage(age.unwrap_or(month)).at(end.or(any_year)));
    }
    Ok(())
}

/// The battery's voltage in mV.
const fn millivolts(byte: u8) -> i64 {
    match byte & 0xF {
        0x1 => 1900,
        0x2 => 2100,
        0x3 => 2200,
        0x4 => 2300,
        0x5 => 2400,
        0x6 => 2500,
        0x7 => 2650,
        0x8 => 2800,
        0x9 => 2900,
        0xA => 3050,
        0xB => 3200,
        0xC => 3350,
        0xD => 3500,
        _ => 3700,
    }
}

const TAMPERING: [(u32, &str); 3] = [(0x80, "magnet"), (0x40, "sensor"), (0x20, "module removed")];

#[cfg(test)]
mod tests {
    use super::super::testing::decode;

    // Telegram and values: wmbusmeters, hydrodigit.xmq: sent on 18 June 2024, running since July 2023.
    const TELEGRAM: &str = "4944B4092243658713077A7F0000000C1363020400046D242C12360F950A24042507000000A405006E0700850900CA0B004A0E00FFFFFFFFFFFF020000020000250000B3010095030000";

    #[test]
    fn all_parts() {
        assert_eq!(
            decode(TELEGRAM)[3..],
            [
                "voltage 3.05 V",
                "date_leakage 2024-04-25",
                "volume_backward 0.007 m³",
                "volume[5] 14.44 m³ (2024-01-31)",
                "volume[4] 19.02 m³ (2024-02-29)",
                "volume[3] 24.37 m³ (2024-03-31)",
                "volume[2] 30.18 m³ (2024-04-30)",
                "volume[1] 36.58 m³ (2024-05-31)",
                "volume[10] 0.02 m³ (2023-08-31)",
                "volume[9] 0.02 m³ (2023-09-30)",
                "volume[8] 0.37 m³ (2023-10-31)",
                "volume[7] 4.35 m³ (2023-11-30)",
                "volume[6] 9.17 m³ (2023-12-31)",
            ]
        );
    }

    // Without the meter's date nobody knows which year's January it is.
    #[test]
    fn without_date() {
        let records = decode(&TELEGRAM.replace("046D242C1236", ""));
        assert_eq!(records[5], "volume[1] 14.44 m³ (XXXX-01-XX)");
    }

    // Telegrams and values: wmbusmeters, hydrodigit.xmq; the second with a magnet's date put in.
    #[test]
    fn other_parts() {
        let records =
            decode("2144B4099163742315077A400000000C1399999999046D092A30340F050B01000000");
        assert_eq!(records[3..], ["voltage 3.2 V", "volume_backward 0.001 m³"]);
        let records =
            decode("2444B4090155240317068C00487AC00000000C1335670000046D172EEA280F038080230709");
        assert_eq!(
            records[3..],
            [
                "voltage 3.7 V",
                "error_flags magnet",
                "date_error 2023-07-09"
            ]
        );
    }

    // What is cut off stays bytes.
    #[test]
    fn too_short() {
        let records = decode(&TELEGRAM[..TELEGRAM.len() - 4]);
        assert_eq!(records.len(), 3);
    }
}
