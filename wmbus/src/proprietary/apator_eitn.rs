//! Apator E-ITN 30 heat cost allocators.
//!
//! Manufacturer APA or APT, version 04, medium 08, CI A0, or CI B6 with more before it: a length byte, that many
//! bytes of unknown meaning, A0. Offsets count from behind the A0; dates are [`packed`].
//!
//! | offset | length | meaning |
//! |---|---|---|
//! | 0 | 2 | the season's first day, each year; the year is 0 |
//! | 2 | 1 | unknown |
//! | 3 | 2 | units of the previous season |
//! | 5 | 2 | date when the electronic seal was broken; 0 if it was not |
//! | 7 | 2 | units of this season |
//! | 9 | 2 | date |
//! | 11 | 2 | average temperature of the room in the previous season, 1/256 °C |
//! | 13 | 2 | average temperature of the room in this season, 1/256 °C |
//!
//! Source of the facts: wmbusmeters, `apatoreitn.xmq`; the season's first day as in `apatoreitn40.xmq`.

use super::dates::{packed, yearly};
use super::sheet::{Sheet, date, flags, heat_cost, room_temperature};
use super::{Fields, Format, Input, Is, Place};
use crate::error::{Error, ErrorKind};
use crate::record::Record;

pub(super) const FORMAT: Format = Format {
    versions: Is::Of(&[0x04]),
    media: Is::Of(&[0x08]),
    place: Place::Ci(0xA0, 0xA0),
    is_encrypted: |_| false,
    read,
};

pub(super) const WRAPPED: Format = Format {
    versions: Is::Of(&[0x04]),
    media: Is::Of(&[0x08]),
    place: Place::Ci(0xB6, 0xB6),
    is_encrypted: |_| false,
    read,
};

/// Reads the payload behind CI A0 or B6.
///
/// # Errors
/// Truncated below 15 bytes; [`UnknownCi`](ErrorKind::UnknownCi) if CI B6 hides another CI.
fn read(input: &Input<'_>) -> Result<Vec<Record>, Error> {
    let mut fields = unwrapped(input)?;
    let season = fields.u16("begin of the season")?;
    fields.skip(1, "unknown")?;
    let previous = fields.u16("units of the season before")?;
    let seal = fields.u16("date on which the seal was broken")?;
    let current = fields.u16("units of this season")?;
    let today = fields.u16("date of sending")?;
    let previous_average = fields.u16("average room temperature before, 1/256 °C")?;
    let average = fields.u16("average room temperature, 1/256 °C")?;
    let mut sheet = Sheet::new();
    sheet.add(heat_cost(current));
    sheet.add(heat_cost(previous).storage(1_u8));
    sheet.add_some(packed(today).map(date));
    sheet.add_some(yearly(season).map(|first| date(first).start()));
    sheet.add_some(packed(seal).map(|broken| date(broken).in_error()));
    sheet.add(flags(seal.into(), &[(0xFFFF, "seal broken")]));
    sheet.add(room_temperature(in_256ths(average), -8).average());
    sheet.add(
        room_temperature(in_256ths(previous_average), -8)
            .average()
            .storage(1_u8),
    );
    Ok(sheet.into_records())
}

/// The payload behind CI A0, out of the wrapping of CI B6 if it is there.
pub(super) fn unwrapped<'a>(input: &Input<'a>) -> Result<Fields<'a>, Error> {
    let mut fields = input.fields();
    if input.plain.ci == 0xB6 {
        let length = fields.u8("length of the wrapping")?;
        fields.skip(length.into(), "wrapping")?;
        if let Some(&ci) = fields.left().first().filter(|&&ci| ci != 0xA0) {
            return Err(fields.error(ErrorKind::UnknownCi(ci)));
        }
        fields.skip(1, "CI of what is wrapped")?;
    }
    Ok(fields)
}

/// 1/256 is 390625 · 10^-8.
fn in_256ths(value: u16) -> i64 {
    i64::from(value) * 390_625
}

#[cfg(test)]
mod tests {
    use super::super::testing::{decode, error};
    use crate::error::ErrorKind;

    // Telegram and values but the season's first day: wmbusmeters, apatoreitn.xmq. 00A1: day 1, month 5.
    #[test]
    fn bare() {
        assert_eq!(
            decode("19440186313737370408A0A1000059001C270100322DE413B415"),
            [
                "heat_cost_allocation 1 HCA",
                "heat_cost_allocation[1] 89 HCA",
                "date 2022-09-18",
                "date_start XXXX-05-01",
                "date_error 2019-08-28",
                "error_flags seal broken",
                "external_temperature_average 21.703125 °C",
                "external_temperature_average[1] 19.890625 °C",
            ]
        );
    }

    // Telegram and values: wmbusmeters, apatoreitn.xmq.
    const WRAPPED: &str =
        "25441486323737370408B60AFFFFF5450186F41B9D58A0A100007809000000001F2D6416C819";

    #[test]
    fn wrapped() {
        let records = decode(WRAPPED);
        assert_eq!(
            records[..4],
            [
                "heat_cost_allocation 0 HCA",
                "heat_cost_allocation[1] 2424 HCA",
                "date 2022-08-31",
                "date_start XXXX-05-01",
            ]
        );
        assert_eq!(records[4], "error_flags none");
        assert_eq!(
            error(&WRAPPED.replace("9D58A0", "9D58A1")).kind,
            ErrorKind::UnknownCi(0xA1)
        );
        assert_eq!(
            error(&WRAPPED[..WRAPPED.len() - 2]).kind,
            ErrorKind::Truncated { missing: 1 }
        );
        assert_eq!(
            error(&WRAPPED[..30]).kind,
            ErrorKind::Truncated { missing: 7 }
        );
    }
}
