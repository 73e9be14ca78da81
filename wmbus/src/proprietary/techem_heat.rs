//! Techem heat meters compact V and vario.
//!
//! Manufacturer TCH, CI A0 to A2, medium 04, 43 or C3. Offsets count from behind the CI; dates are
//! [`packed`].
//!
//! Versions 22, 29, 39 and 45 (compact V, vario 3):
//!
//! | offset | length | meaning |
//! |---|---|---|
//! | 0 | 1 | unknown |
//! | 1 | 2 | due date |
//! | 3 | 3 | energy at the due date, kWh |
//! | 6 | 1 | unknown |
//! | 7 | 3 | energy since the due date, kWh |
//!
//! Version 27 (vario 451):
//!
//! | offset | length | meaning |
//! |---|---|---|
//! | 0 | 1 | unknown |
//! | 1 | 2 | due date |
//! | 3 | 2 | energy at the due date, MJ |
//! | 5 | 2 | unknown |
//! | 7 | 2 | energy since the due date, MJ |
//!
//! What follows is unknown. The meter's reading is the sum of both energies.
//!
//! Source of the facts: wmbusmeters, `compact5.xmq` and `vario451.xmq`; the due date from a meter of which it is
//! known when its radio began to send (wmbusmeters, issue 499).

use super::dates::packed;
use super::sheet::{Line, Sheet, date, joules, watt_hours};
use super::{Format, Input, Is, Place};
use crate::error::Error;
use crate::record::Record;

pub(super) const COMPACT: Format = Format {
    versions: Is::Of(&[0x22, 0x29, 0x39, 0x45]),
    media: Is::Of(&[0x04, 0x43, 0xC3]),
    place: Place::Ci(0xA0, 0xA2),
    is_encrypted: |_| false,
    read: read_compact,
};

pub(super) const VARIO: Format = Format {
    versions: Is::Of(&[0x27]),
    media: Is::Of(&[0x04, 0xC3]),
    place: Place::Ci(0xA0, 0xA2),
    is_encrypted: |_| false,
    read: read_vario,
};

/// Reads the payload of compact V.
///
/// # Errors
/// Truncated below ten bytes.
fn read_compact(input: &Input<'_>) -> Result<Vec<Record>, Error> {
    let mut fields = input.fields();
    fields.skip(1, "unknown")?;
    let due_date = fields.u16("due date")?;
    let at_due_date = fields.u24("energy at the due date, kWh")?;
    fields.skip(1, "unknown")?;
    let since = fields.u24("energy since the due date, kWh")?;
    Ok(records(due_date, at_due_date, since, |energy| {
        watt_hours(energy, 3)
    }))
}

/// Reads the payload of vario 451.
///
/// # Errors
/// Truncated below nine bytes.
fn read_vario(input: &Input<'_>) -> Result<Vec<Record>, Error> {
    let mut fields = input.fields();
    fields.skip(1, "unknown")?;
    let due_date = fields.u16("due date")?;
    let at_due_date = fields.u16("energy at the due date, MJ")?;
    fields.skip(2, "unknown")?;
    let since = fields.u16("energy since the due date, MJ")?;
    Ok(records(
        due_date,
        at_due_date.into(),
        since.into(),
        |energy| joules(energy, 6),
    ))
}

fn records(due_date: u16, at_due_date: u32, since: u32, energy: fn(u32) -> Line) -> Vec<Record> {
    let due_date = packed(due_date);
    let mut sheet = Sheet::new();
    sheet.add(energy(at_due_date + since));
    sheet.add(energy(at_due_date).storage(1_u8).at(due_date));
    sheet.add_some(due_date.map(|due| date(due).storage(1_u8)));
    sheet.add(energy(since).of_period());
    sheet.into_records()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{decode, error};
    use crate::error::ErrorKind;

    // Telegrams and energies: wmbusmeters, compact5.xmq.
    #[test]
    fn compact() {
        assert_eq!(
            decode(
                "36446850626262624543A1009F2777010060780000000A000000000000000000000000000000000000000000000000A0400000B4010000"
            ),
            [
                "energy 495000 Wh",
                "energy[1] 375000 Wh (2019-12-31)",
                "date[1] 2019-12-31",
                "period_energy 120000 Wh"
            ]
        );
        let vario_3 = "37446850336633663943A210672C866100181C01000480794435D50000000000000000000000000000000000000000000000000000000000";
        assert_eq!(
            decode(vario_3),
            [
                "energy 25250000 Wh",
                "energy[1] 24966000 Wh (2022-03-07)",
                "date[1] 2022-03-07",
                "period_energy 284000 Wh"
            ]
        );
        assert_eq!(
            error("13446850336633663943A210672C866100181C01").kind,
            ErrorKind::Truncated { missing: 1 }
        );
    }

    // Telegram and energies: wmbusmeters, vario451.xmq: 6371.67 kWh are 22938 MJ.
    #[test]
    fn vario() {
        assert_eq!(
            decode(
                "374468506549235827C3A2129F25383300A8622600008200800A2AF862115175552877A36F26C9AB1CB24400000004000000000004908002"
            ),
            [
                "energy 22938000000 J",
                "energy[1] 13112000000 J (2018-12-31)",
                "date[1] 2018-12-31",
                "period_energy 9826000000 J"
            ]
        );
        assert_eq!(
            error("124468506549235827C3A2129F25383300A862").kind,
            ErrorKind::Truncated { missing: 1 }
        );
    }
}
