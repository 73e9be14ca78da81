//! Ei Electronics smoke alarms Ei6500: the state of the alarm head, in a record.
//!
//! Manufacturer EIE, version 0C, medium 1A, a record of 32 bits with VIF FF 2C.
//!
//! | bits | meaning |
//! |---|---|
//! | 4..0 | dust, 0 to 31; from 28 on it wants cleaning |
//! | 11..8 | battery: n for 2.25 V + n · 0.05 V |
//! | 5 | sounder faulty |
//! | 6 | tampered with while removed |
//! | 7 | end of life |
//! | 12 | battery low |
//! | 13 | smoke sensor faulty |
//! | 14 | obstacle detector faulty |
//! | 15 | end of life within 12 months |
//! | 17 | surroundings changed since the installation |
//! | 18 | no communication with the head |
//! | 19 | interference with the obstacle detector |
//! | 24 | obstacle detected |
//! | 25 | covered |
//!
//! Source of the facts: wmbusmeters, `ei6500.xmq`.

use super::sheet::{Sheet, battery_voltage, flags, level};
use super::{Format, Input, Is, Place};
use crate::error::Error;
use crate::record::Record;

pub(super) const FORMAT: Format = Format {
    versions: Is::Of(&[0x0C]),
    media: Is::Of(&[0x1A]),
    place: Place::Vife(0x2C),
    is_encrypted: |_| false,
    read,
};

/// Reads the record's four bytes.
///
/// # Errors
/// Truncated below four bytes.
fn read(input: &Input<'_>) -> Result<Vec<Record>, Error> {
    let bits = input.fields().u32("state, as bits")?;
    let mut sheet = Sheet::new();
    sheet.add(level(bits & 0x1F));
    sheet.add(battery_voltage(2250 + i64::from(bits >> 8 & 0xF) * 50, -3));
    sheet.add(flags(bits, &FAULTS));
    Ok(sheet.into_records())
}

const FAULTS: [(u32, &str); 12] = [
    (1 << 5, "sounder"),
    (1 << 6, "tampered with while removed"),
    (1 << 7, "end of life"),
    (1 << 12, "battery low"),
    (1 << 13, "smoke sensor"),
    (1 << 14, "obstacle detector"),
    (1 << 15, "end of life within 12 months"),
    (1 << 17, "surroundings changed"),
    (1 << 18, "no communication with the head"),
    (1 << 19, "obstacle detector disturbed"),
    (1 << 24, "obstacle"),
    (1 << 25, "covered"),
];

#[cfg(test)]
mod tests {
    use super::super::testing::decode;

    // Telegram and values: wmbusmeters, ei6500.xmq, the second with dust and tampering put in.
    #[test]
    fn alarm_head() {
        let telegram = "58442515747209010C1A7A8B0000000BFD0F070101046D2A06D82502FD17000082206CD825426CD0238440FF2C000F11008250FD61000082506C01018260FD6100008360FD3100000082606C01018270FD61000082706C0101";
        let found = |telegram: &str| decode(telegram).split_off(13);
        assert_eq!(
            found(telegram),
            ["dimensionless 0", "voltage 3 V", "error_flags none"]
        );
        assert_eq!(
            found(&telegram.replace("FF2C000F1100", "FF2C5B0F1100")),
            [
                "dimensionless 27",
                "voltage 3 V",
                "error_flags tampered with while removed"
            ]
        );
    }
}
