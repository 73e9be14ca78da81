//! Techem heat cost allocators FHKV data II and III.
//!
//! Manufacturer TCH, CI A0 to A2, medium 80, version 61 or 64 (II), 69 or 94 (III). Offsets count from behind the CI; the due date is
//! [`packed`], the date of sending has no year.
//!
//! | offset | length | meaning |
//! |---|---|---|
//! | 0 | 1 | unknown: 01, 11 or, with version 94, 0F |
//! | 1 | 2 | due date |
//! | 3 | 2 | units at the due date |
//! | 5 | 2 | date of sending: day in bits 8..4, month in bits 12..9 |
//! | 7 | 2 | units since the due date |
//! | 9 | 2 | temperature of the room, 0.01 °C |
//! | 11 | 2 | temperature of the radiator, 0.01 °C |
//!
//! Version 94 has an unknown byte before the temperatures, versions 61 and 64 have no temperatures. What follows, earlier half months, is not known well
//! enough.
//!
//! Source of the facts: wmbusmeters, `fhkvdataiii.xmq`; versions 61 and 64: lvogt/wireless-mbus-parser,
//! `techemApplicationLayer.ts`.

use super::dates::packed;
use super::sheet::{Sheet, date, heat_cost, radiator_temperature, room_temperature};
use super::techem_water::current_date;
use super::{Format, Input, Is, Place};
use crate::error::Error;
use crate::record::Record;

pub(super) const FORMAT: Format = Format {
    versions: Is::Of(&[0x61, 0x64, 0x69, 0x94]),
    media: Is::Of(&[0x80]),
    place: Place::Ci(0xA0, 0xA2),
    is_encrypted: |_| false,
    read,
};

/// Reads the payload behind the CI.
///
/// # Errors
/// Truncated below 9 bytes with versions 61 and 64, 13 with version 69, 14 with version 94.
fn read(input: &Input<'_>) -> Result<Vec<Record>, Error> {
    let mut fields = input.fields();
    fields.skip(1, "unknown")?;
    let due_date = packed(fields.u16("due date")?);
    let at_due_date = fields.u16("units at the due date")?;
    let now = fields.u16("date of sending")?;
    let since = fields.u16("units since the due date")?;
    let mut sheet = Sheet::new();
    sheet.add(heat_cost(since));
    sheet.add(heat_cost(at_due_date).storage(1_u8).at(due_date));
    sheet.add_some(due_date.map(|due| date(due).storage(1_u8)));
    sheet.add_some(due_date.and_then(|due| current_date(now, due)).map(date));
    if matches!(input.plain.address.version, 0x61 | 0x64) {
        return Ok(sheet.into_records());
    }
    if input.plain.address.version == 0x94 {
        fields.skip(1, "unknown")?;
    }
    let room = fields.u16("room temperature, 0.01 °C")?.cast_signed();
    let radiator = fields.u16("radiator temperature, 0.01 °C")?.cast_signed();
    sheet.add(room_temperature(room, -2));
    sheet.add(radiator_temperature(radiator, -2));
    Ok(sheet.into_records())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{decode, error};
    use crate::error::ErrorKind;

    // Telegrams and values: wmbusmeters, fhkvdataiii.xmq.
    #[test]
    fn both_versions() {
        assert_eq!(
            decode(
                "34446850226677116980A0119F27020480048300C408F709143C003D341A2B0B2A0707000000000000062D114457563D71A1850000"
            ),
            [
                "heat_cost_allocation 131 HCA",
                "heat_cost_allocation[1] 1026 HCA (2019-12-31)",
                "date[1] 2019-12-31",
                "date 2020-02-08",
                "external_temperature 22.44 °C",
                "flow_temperature 25.51 °C"
            ]
        );
        assert_eq!(
            decode(
                "33446850341211119480A20F9F292D005024040011BD08380904000000070000000000000000000000000001000000000003140E"
            ),
            [
                "heat_cost_allocation 4 HCA",
                "heat_cost_allocation[1] 45 HCA (2020-12-31)",
                "date[1] 2020-12-31",
                "date 2021-02-05",
                "external_temperature 22.37 °C",
                "flow_temperature 23.6 °C"
            ]
        );
        assert_eq!(
            decode(
                "32446850059605416980A0019F334805400CFE029808B1080000000000060F4F3467AEA9A88D7B8D503E000000000000000000"
            )[3],
            "date 2026-06-04"
        );
    }

    // Made by hand: the payload of version 69 above, up to the units since the due date.
    #[test]
    fn older_versions_have_no_temperatures() {
        for version in ["61", "64"] {
            assert_eq!(
                decode(&format!("1444685022667711{version}80A0119F27020480048300")),
                [
                    "heat_cost_allocation 131 HCA",
                    "heat_cost_allocation[1] 1026 HCA (2019-12-31)",
                    "date[1] 2019-12-31",
                    "date 2020-02-08",
                ]
            );
        }
    }

    #[test]
    fn too_short() {
        assert_eq!(
            error("16446850226677116980A0119F27020480048300C408F7").kind,
            ErrorKind::Truncated { missing: 1 }
        );
        assert_eq!(
            error("17446850341211119480A20F9F292D005024040011BD0838").kind,
            ErrorKind::Truncated { missing: 1 }
        );
    }
}
