//! B Meters Hydroclima heat cost allocators: the manufacturer's data behind DIF 0F.
//!
//! Manufacturer BMP. Dates are [`packed`], temperatures 0.01 °C, 8000 if there is none.
//!
//! | frame 10 | length | | frame 11 | length |
//! |---|---|---|---|---|
//! | 10 | 1 | | 11 | 1 |
//! | status | 2 | | status | 2 |
//! | time | 2 | | time | 2 |
//! | date | 2 | | date | 2 |
//! | room, average of this period | 2 | | date when the housing was opened | 2 |
//! | room, maximum | 2 | | radiator, average of this period | 2 |
//! | date of the maximum | 2 | | room, average of this period | 2 |
//! | measurements | 2 | | room, maximum of the previous period | 2 |
//! | room, average of the previous period | 2 | | date of the maximum | 2 |
//! | radiator, average of the previous period | 2 | | radiator, average of the previous period | 2 |
//! | units | 2 | | room, average of the previous period | 2 |
//! | units of all periods | 3 | | units of four earlier periods | 4 · 2 |
//! | | | | room, averages of three earlier periods | 3 · 2 |
//! | | | | counts of temperature ranges | 3 · 3 |
//! | | | | units of all periods | 3 |
//!
//! Frames of other numbers (version 33 of the meter) hide their content in an unknown way.
//!
//! Source of the facts: wmbusmeters, `hydroclimav2.xmq`, `driver_hydroclima.cc`, which have them from B Meters.

use super::dates::packed;
use super::sheet::{
    Line, Sheet, date, error_bits, heat_cost, radiator_temperature, room_temperature,
};
use super::{Fields, Format, Input, Is, Place};
use crate::error::Error;
use crate::record::Record;

pub(super) const FORMAT: Format = Format {
    versions: Is::Any,
    media: Is::Of(&[0x08]),
    place: Place::Block,
    is_encrypted: |_| false,
    read,
};

/// Reads the data behind DIF 0F; nothing from frames of other numbers.
///
/// # Errors
/// Truncated below 24 bytes of frame 10, 49 bytes of frame 11.
fn read(input: &Input<'_>) -> Result<Vec<Record>, Error> {
    let mut fields = input.fields();
    let mut sheet = Sheet::new();
    match fields.u8("kind of frame")? {
        0x10 => frame_10(&mut fields, &mut sheet)?,
        0x11 => frame_11(&mut fields, &mut sheet)?,
        _ => {}
    }
    Ok(sheet.into_records())
}

fn frame_10(fields: &mut Fields<'_>, sheet: &mut Sheet) -> Result<(), Error> {
    sheet.add(error_bits(fields.u16("errors")?));
    fields.skip(2, "unknown")?;
    sheet.add_some(packed(fields.u16("date of sending")?).map(date));
    sheet.add_some(room(fields)?.map(|line| line.average()));
    sheet.add_some(room(fields)?.map(Line::maximum));
    sheet.add_some(
        packed(fields.u16("date of the highest temperature")?).map(|day| date(day).maximum()),
    );
    fields.skip(2, "unknown")?;
    sheet.add_some(room(fields)?.map(|line| line.average().storage(1_u8)));
    sheet.add_some(radiator(fields)?.map(|line| line.average().storage(1_u8)));
    fields.skip(2, "unknown")?;
    sheet.add(total(fields)?);
    Ok(())
}

fn frame_11(fields: &mut Fields<'_>, sheet: &mut Sheet) -> Result<(), Error> {
    sheet.add(error_bits(fields.u16("errors")?));
    fields.skip(2, "unknown")?;
    sheet.add_some(packed(fields.u16("date of sending")?).map(date));
    sheet.add_some(packed(fields.u16("date of the error")?).map(|day| date(day).in_error()));
    sheet.add_some(radiator(fields)?.map(|line| line.average()));
    sheet.add_some(room(fields)?.map(|line| line.average()));
    sheet.add_some(room(fields)?.map(|line| line.maximum().storage(1_u8)));
    sheet.add_some(
        packed(fields.u16("date of the highest temperature")?)
            .map(|day| date(day).maximum().storage(1_u8)),
    );
    sheet.add_some(radiator(fields)?.map(|line| line.average().storage(1_u8)));
    sheet.add_some(room(fields)?.map(|line| line.average().storage(1_u8)));
    for age in 1..=4_u8 {
        sheet.add(heat_cost(fields.u16("units at a due date, the latest first")?).storage(age));
    }
    for age in 1..=3_u8 {
        sheet.add_some(room(fields)?.map(|line| line.average().storage(age + 1)));
    }
    fields.skip(9, "unknown")?;
    sheet.add(total(fields)?);
    Ok(())
}

fn total(fields: &mut Fields<'_>) -> Result<Line, Error> {
    Ok(heat_cost(fields.u24("units of all periods")?).of_all_periods())
}

fn room(fields: &mut Fields<'_>) -> Result<Option<Line>, Error> {
    Ok(temperature(fields, "room temperature, 0.01 °C")?.map(|value| room_temperature(value, -2)))
}

fn radiator(fields: &mut Fields<'_>) -> Result<Option<Line>, Error> {
    Ok(temperature(fields, "radiator temperature, 0.01 °C")?
        .map(|value| radiator_temperature(value, -2)))
}

fn temperature(fields: &mut Fields<'_>, name: &'static str) -> Result<Option<i16>, Error> {
    let value = fields.u16(name)?.cast_signed();
    Ok((value != i16::MIN).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::super::testing::decode;

    // Telegram and values: wmbusmeters, driver_hydroclima.cc. Dates: 2C7D is 22, 3, 29.
    #[test]
    fn of_frame_10() {
        let records = decode(
            "2E44B0099861036853087A000020002F2F036E0000000F100043106A7D2C4A078F12202CB1242A06D3062100210000",
        );
        assert_eq!(
            records[2..],
            [
                "error_flags 17152",
                "date 2022-03-29",
                "external_temperature_average 18.66 °C",
                "external_temperature_maximum 47.51 °C",
                "external_temperature_average[1] 15.78 °C",
                "flow_temperature_average[1] 17.47 °C",
                "total_heat_cost_allocation 33 HCA",
            ]
        );
    }

    // Telegram and values: wmbusmeters, hydroclimav2.xmq. 3429 is 26, 1, 9; 3336 is 25, 9, 22.
    #[test]
    fn of_frame_11() {
        let records = decode(
            "5144B0095209009385088C20807A800040252F2F036E540200436ED90800426C3F3C0F1100009924293400003713DF08BC163633960E8208D401D90879076006DA080809DA08E537000A3500DF1201830900",
        );
        assert_eq!(
            records[4..],
            [
                "error_flags 0",
                "date 2026-01-09",
                "flow_temperature_average 49.19 °C",
                "external_temperature_average 22.71 °C",
                "external_temperature_maximum[1] 58.2 °C",
                "date_maximum[1] 2025-09-22",
                "flow_temperature_average[1] 37.34 °C",
                "external_temperature_average[1] 21.78 °C",
                "heat_cost_allocation[1] 468 HCA",
                "heat_cost_allocation[2] 2265 HCA",
                "heat_cost_allocation[3] 1913 HCA",
                "heat_cost_allocation[4] 1632 HCA",
                "external_temperature_average[2] 22.66 °C",
                "external_temperature_average[3] 23.12 °C",
                "external_temperature_average[4] 22.66 °C",
                "total_heat_cost_allocation 2435 HCA",
            ]
        );
    }

    // Telegram: wmbusmeters, driver_hydroclima.cc; frame 9D is not known.
    #[test]
    fn of_another_frame() {
        let records = decode(
            "2D44B009233739743308780F9D1300023ED97AEC7BC5908A32C15D8A32C126915AC15AC126912691269187912689",
        );
        assert_eq!(records.len(), 1);
    }
}
