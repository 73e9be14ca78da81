//! GWF water and gas meters: the manufacturer's data behind DIF 0F.
//!
//! Manufacturer GWF.
//!
//! | offset | length | meaning |
//! |---|---|---|
//! | 0 | 1 | 01; other values are unknown |
//! | 1 | 1 | bit 1: continuous flow, 3: pipe burst, 5: battery low, 6: backflow |
//! | 2 | 1 | bits 7..3: battery, half years; bit 0: saves power |
//!
//! Source of the facts: wmbusmeters, `gwfwater.xmq`.

use super::sheet::{Sheet, battery_years, flags};
use super::{Format, Input, Is, Place};
use crate::error::Error;
use crate::record::Record;

pub(super) const FORMAT: Format = Format {
    versions: Is::Any,
    media: Is::Any,
    place: Place::Block,
    is_encrypted: |_| false,
    read,
};

/// Reads the data behind DIF 0F; nothing of what does not begin with 01.
///
/// # Errors
/// Truncated below three bytes.
fn read(input: &Input<'_>) -> Result<Vec<Record>, Error> {
    let mut fields = input.fields();
    let mut sheet = Sheet::new();
    if fields.u8("kind of block")? == 1 {
        let alarms = fields.u8("alarms")?;
        let power = fields.u8("remaining life of the battery")?;
        sheet.add(flags(alarms.into(), &ALARMS));
        sheet.add(battery_years(i64::from(power >> 3) * 5, -1));
    }
    Ok(sheet.into_records())
}

const ALARMS: [(u32, &str); 4] = [
    (0x02, "continuous flow"),
    (0x08, "pipe burst"),
    (0x20, "battery low"),
    (0x40, "backflow"),
];

#[cfg(test)]
mod tests {
    use super::super::testing::decode;

    // Telegrams and values: wmbusmeters, gwfwater.xmq. 20: battery low; E3: 11100 half years.
    #[test]
    fn water() {
        let records = decode(
            "3144E61E31102220010E8C04F47ABE0420452F2F037410000004133E0000004413FFFFFFFF426CFFFF0F0120012F2F2F2F2F",
        );
        assert_eq!(
            records[5..],
            ["error_flags battery low", "remaining_battery_life 0 y"]
        );
        let telegram = "3944E61E46441510020E8C04427250076819E61E3C07B10020452F2F03748B05000413DC690D004413A4630D00426C213C02FD74B5140F0100E3";
        assert_eq!(
            decode(telegram)[6..],
            ["error_flags none", "remaining_battery_life 14 y"]
        );
        assert_eq!(decode(&telegram.replace("0F0100E3", "0F0200E3")).len(), 6);
    }
}
