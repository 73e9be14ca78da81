//! Apator E-ITN 40 heat cost allocators.
//!
//! Manufacturer APA or APT, version 09 or 0D (0A and 0E encrypt in an unknown way), medium 08, CI A0, or CI B6 as
//! with [`apator_eitn`](super::apator_eitn). 27 words of 16 bits; dates are [`packed`].
//!
//! | word | meaning |
//! |---|---|
//! | 0 | unknown |
//! | 1 | the season's first day, each year; the year is 0 |
//! | 2 | temperature of the radiator, 1/16 °C |
//! | 3 | temperature of the room, 1/16 °C |
//! | 4 | units of this month |
//! | 5..20 | units of the 15 months before, the latest first |
//! | 20 | units of this season |
//! | 21..24 | units of the three seasons before, the latest first |
//! | 24 | date |
//! | 25 | day of the week |
//! | 26 | status: FFFF if the seal was broken |
//!
//! Source of the facts: wmbusmeters, `apatoreitn40.xmq`, which has them from the display of the meters.

use super::apator_eitn::unwrapped;
use super::dates::{month_end, packed, yearly};
use super::sheet::{Sheet, date, flags, heat_cost, radiator_temperature, room_temperature};
use super::{Format, Input, Is, Place};
use crate::error::Error;
use crate::record::Record;

pub(super) const FORMAT: Format = Format {
    versions: Is::Of(&[0x09, 0x0D]),
    media: Is::Of(&[0x08]),
    place: Place::Ci(0xA0, 0xA0),
    is_encrypted: |_| false,
    read,
};

pub(super) const WRAPPED: Format = Format {
    versions: Is::Of(&[0x09, 0x0D]),
    media: Is::Of(&[0x08]),
    place: Place::Ci(0xB6, 0xB6),
    is_encrypted: |_| false,
    read,
};

/// Reads the payload behind CI A0 or B6.
///
/// # Errors
/// Truncated below 54 bytes.
fn read(input: &Input<'_>) -> Result<Vec<Record>, Error> {
    let mut fields = unwrapped(input)?;
    fields.skip(2, "unknown")?;
    let season = fields.u16("begin of the season")?;
    let radiator = fields.u16("radiator temperature, 1/16 °C")?.cast_signed();
    let room = fields.u16("room temperature, 1/16 °C")?.cast_signed();
    let mut months = [0; 16];
    for month in &mut months {
        *month = fields.u16("units of a month, the latest first")?;
    }
    let current = fields.u16("units of this season")?;
    let mut seasons = [0; 3];
    for season in &mut seasons {
        *season = fields.u16("units of a season, the latest first")?;
    }
    let today = packed(fields.u16("date of sending")?);
    fields.skip(2, "unknown")?;
    let status = fields.u16("state")?;

    let mut sheet = Sheet::new();
    sheet.add(heat_cost(current));
    for (age, units) in (1_u8..).zip(seasons) {
        sheet.add(heat_cost(units).storage(age));
    }
    sheet.add_some(today.map(date));
    sheet.add_some(yearly(season).map(|first| date(first).start()));
    let [this_month, earlier @ ..] = months;
    sheet.add(heat_cost(this_month).of_period());
    for (age, units) in (1_u8..).zip(earlier) {
        let end = today.and_then(|today| month_end(today, age.into()));
        sheet.add(heat_cost(units).of_period().storage(age).at(end));
    }
    // 1/16 is 625 · 10^-4.
    sheet.add(radiator_temperature(i64::from(radiator) * 625, -4));
    sheet.add(room_temperature(i64::from(room) * 625, -4));
    sheet.add(match status {
        0xFFFF => flags(1, &[(1, "seal broken")]),
        bits => flags(bits.into(), &STATUS),
    });
    Ok(sheet.into_records())
}

const STATUS: [(u32, &str); 7] = [
    (0x01, "radiator sensor open"),
    (0x02, "radiator sensor short-circuited"),
    (0x04, "room sensor open"),
    (0x08, "room sensor short-circuited"),
    (0x10, "battery low"),
    (0x20, "memory error"),
    (0x40, "optical tampering"),
];

#[cfg(test)]
mod tests {
    use super::super::testing::{decode, error};
    use crate::error::ErrorKind;

    // Telegram and values but the season's first day: wmbusmeters, apatoreitn40.xmq.
    const TELEGRAM: &str = "40440106139901000908A00000A10081016B013F00A2004E00000000000000000000000000000018001E0007007800100002002F01C700000000002D3006000000";

    #[test]
    fn all_words() {
        let records = decode(TELEGRAM);
        assert_eq!(
            records[..8],
            [
                "heat_cost_allocation 303 HCA",
                "heat_cost_allocation[1] 199 HCA",
                "heat_cost_allocation[2] 0 HCA",
                "heat_cost_allocation[3] 0 HCA",
                "date 2024-01-13",
                "date_start XXXX-05-01",
                "period_heat_cost_allocation 63 HCA",
                "period_heat_cost_allocation[1] 162 HCA (2023-12-31)",
            ]
        );
        assert_eq!(
            records[20..],
            [
                "period_heat_cost_allocation[14] 16 HCA (2022-11-30)",
                "period_heat_cost_allocation[15] 2 HCA (2022-10-31)",
                "flow_temperature 24.0625 °C",
                "external_temperature 22.6875 °C",
                "error_flags none",
            ]
        );
    }

    #[test]
    fn status_and_length() {
        let status = |word: &str| {
            decode(&TELEGRAM.replace("06000000", &format!("0600{word}")))
                .pop()
                .unwrap()
        };
        assert_eq!(
            status("1100"),
            "error_flags radiator sensor open, battery low"
        );
        assert_eq!(status("FFFF"), "error_flags seal broken");
        assert_eq!(
            error(&TELEGRAM[..TELEGRAM.len() - 2]).kind,
            ErrorKind::Truncated { missing: 1 }
        );
    }
}
