//! B Meters RFM-TX1 modules on water meters: the reading is hidden by a table.
//!
//! Manufacturer BMT, version 05, medium 07, CI 7A, configuration word 1006 (security mode 16). Offsets count from
//! behind the transport layer's header.
//!
//! | offset | length | meaning |
//! |---|---|---|
//! | 0 | 2 | hidden: unknown |
//! | 2 | 4 | hidden: volume, eight decimal digits, litres, lowest byte first |
//! | 6 | 7 | unknown |
//! | 13 | 6 | time: second, minute, hour, day, month, year, two decimal digits each |
//! | 19 | 12 · 3 | volumes at the ends of January to December, 0.01 m³ |
//!
//! A hidden byte is XORed with the access number and with a byte of a table: the access number's low nibble names the
//! row, the byte's place the column.
//!
//! Source of the facts: wmbusmeters, issue 101 and `rfmtx1.xmq`; the months from its telegram: they rise from April
//! 2019 to March 2020, its date, as those of [`bmeters_hydrodigit`](super::bmeters_hydrodigit) do.

use super::bmeters_hydrodigit::months;
use super::dates::{decimal, digits};
use super::sheet::{Sheet, date_time, volume};
use super::{Format, Input, Is, Place};
use crate::error::{Error, ErrorKind};
use crate::record::{DateTime, Record, Time};

pub(super) const FORMAT: Format = Format {
    versions: Is::Of(&[0x05]),
    media: Is::Of(&[0x07]),
    place: Place::OwnMode,
    is_encrypted: |_| false,
    read,
};

/// Reads the body.
///
/// # Errors
/// Truncated below 55 bytes; [`Bcd`](ErrorKind::Bcd) if the table lays no decimal digits open.
fn read(input: &Input<'_>) -> Result<Vec<Record>, Error> {
    let mut fields = input.fields();
    fields.skip(2, "unknown")?;
    let here = fields.clone();
    let hidden = *fields.bytes::<4>("volume, l, hidden by the access number")?;
    let access_number = input.plain.access_number.map_or(0, |number| number.0);
    let mut litres = 0_i64;
    for (byte, mask) in hidden.into_iter().zip(row(access_number)).rev() {
        let open = byte ^ mask ^ access_number;
        let two = digits(open).ok_or(here.error(ErrorKind::Bcd(open)))?;
        litres = litres * 100 + i64::from(two);
    }
    fields.skip(7, "unknown")?;
    let &[second, minute, hour, day, month, year] = fields.bytes("time of the meter")?;
    let today = decimal([year, month, day]);
    let clock = || Time::from_type_j([digits(second)?, digits(minute)?, digits(hour)?]);
    let now = today.zip(clock()).map(|(date, time)| DateTime {
        date,
        time,
        daylight_saving: false,
    });
    let mut sheet = Sheet::new();
    sheet.add(volume(litres, -3));
    sheet.add_some(now.map(date_time));
    months(&mut fields, today, &mut sheet)?;
    Ok(sheet.into_records())
}

/// The table's last four columns; the first two belong to the bytes of unknown meaning.
const fn row(access_number: u8) -> [u8; 4] {
    match access_number & 0xF {
        0x0 => [0x7A, 0x10, 0x1A, 0x0A],
        0x1 => [0x70, 0x13, 0x22, 0x13],
        0x2 => [0xB9, 0x0B, 0x8E, 0x99],
        0x3 => [0x79, 0x07, 0x4A, 0x16],
        0x4 => [0x07, 0x9A, 0xCB, 0x69],
        0x5 => [0x32, 0xA1, 0x39, 0x0E],
        0x6 => [0x9C, 0x7E, 0x60, 0x99],
        0x7 => [0xB4, 0xC4, 0x80, 0xA3],
        0x8 => [0x0A, 0xCE, 0x19, 0x03],
        0x9 => [0xF0, 0x05, 0xA5, 0x86],
        0xA => [0x16, 0x98, 0x11, 0x5E],
        0xB => [0x0C, 0xC9, 0x7D, 0xA2],
        0xC => [0x4A, 0x48, 0xE4, 0x1F],
        0xD => [0x77, 0x2E, 0x8A, 0xE8],
        0xE => [0xBD, 0x78, 0x57, 0x8C],
        _ => [0x39, 0x6F, 0x28, 0x05],
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{decode, error};
    use crate::error::ErrorKind;

    // Telegram, volume and time: wmbusmeters, rfmtx1.xmq. The last month, of 13, is 47 80 in 80 47 00: 18304.
    const TELEGRAM: &str = "4644B4097172737405077AA50006101115F78184AB0F1D1E200000005904103103208047004A4800E73C00193E00453F003E4000E64000E74100F442000144001545005B460000";

    #[test]
    fn reading_and_months() {
        let records = decode(TELEGRAM);
        assert_eq!(
            records[..4],
            [
                "volume 188.56 m³",
                "date_time 2020-03-31T10:04:59",
                "volume[2] 183.04 m³ (2020-01-31)",
                "volume[1] 185.06 m³ (2020-02-29)",
            ]
        );
        assert_eq!(records[4], "volume[12] 155.91 m³ (2019-03-31)");
        assert_eq!(records[13], "volume[3] 180.11 m³ (2019-12-31)");
        assert_eq!(records.len(), 14);
    }

    #[test]
    fn damaged() {
        // F7 hides 60; FD hides 6A.
        assert_eq!(
            error(&TELEGRAM.replace("F78184", "FD8184")).kind,
            ErrorKind::Bcd(0x6A)
        );
        assert_eq!(
            error(&TELEGRAM[..TELEGRAM.len() - 4]).kind,
            ErrorKind::Truncated { missing: 1 }
        );
    }
}
