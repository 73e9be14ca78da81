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
    let mut reader = input.reader();
    let mut sheet = Sheet::new();
    if reader.byte()? == 1 {
        let alarms = reader.byte()?;
        let power = reader.byte()?;
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
