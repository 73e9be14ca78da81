//! Apator AT-WMBUS-08 and AT-WMBUS-17-2 modules on water meters: they count thirds of a litre.
//!
//! Manufacturer APT with bit 15 set, CI A0: version 03 medium 03 and version 0F medium 0F (08), version 04 medium 11
//! (17-2). Offsets count from behind the CI.
//!
//! | offset | length | meaning |
//! |---|---|---|
//! | 0 | 4 | volume, ⅓ litre |
//!
//! What follows is not known well enough. A third is no decimal fraction: the volume is rounded to 1 cm³.
//!
//! Source of the facts: wmbusmeters, `apator08.xmq`, `apator172.xmq`, issues 81 (a meter's reading beside its
//! telegram) and 316 (a tap's flow in telegrams of the 17-2, which fits thirds of a litre and nothing larger).

use super::sheet::{Sheet, volume};
use super::{Format, Input, Is, Place};
use crate::error::Error;
use crate::record::Record;

pub(super) const FORMAT_08: Format = Format {
    versions: Is::Of(&[0x03]),
    media: Is::Of(&[0x03]),
    place: Place::Ci(0xA0, 0xA0),
    is_encrypted: |_| false,
    read,
};

pub(super) const FORMAT_08_NEW: Format = Format {
    versions: Is::Of(&[0x0F]),
    media: Is::Of(&[0x0F]),
    place: Place::Ci(0xA0, 0xA0),
    is_encrypted: |_| false,
    read,
};

pub(super) const FORMAT_17: Format = Format {
    versions: Is::Of(&[0x04]),
    media: Is::Of(&[0x11]),
    place: Place::Ci(0xA0, 0xA0),
    is_encrypted: |_| false,
    read,
};

/// Reads the payload behind the CI.
///
/// # Errors
/// Truncated below four bytes.
fn read(input: &Input<'_>) -> Result<Vec<Record>, Error> {
    let thirds = i64::from(input.fields().u32("volume, 1/3 l")?);
    let mut sheet = Sheet::new();
    // 1 cm³ is a thousandth of a litre; half a divisor rounds to the nearest.
    sheet.add(volume((thirds * 1000 + 1) / 3, -6));
    Ok(sheet.into_records())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{decode, error};
    use crate::error::ErrorKind;

    // Telegrams: wmbusmeters, apator08.xmq. 14F242 is 1372738; a third of it is 457579.333 litres.
    // 27E5B9 is 2614713, 871571 litres: henrykmal read 871,850 m³ from the meter a day later (issue 81).
    #[test]
    fn module_08() {
        assert_eq!(
            decode("1C441486069C14000F0FA042F214000040030000000005FF0472BF1400"),
            ["volume 457.579333 m³"]
        );
        assert_eq!(
            decode("1C441486DD4444000303A0B9E527004C4034B31CED0106FF01D0932700"),
            ["volume 871.571 m³"]
        );
    }

    // Telegram: wmbusmeters, apator172.xmq. 541D is 21533; a third of it is 7177.667 litres.
    #[test]
    fn module_17() {
        assert_eq!(
            decode("1C44148607A814000411A01D5400000840030000000005FF05D83D0000"),
            ["volume 7.177667 m³"]
        );
        assert_eq!(
            error("0E44148607A814000411A01D5400").kind,
            ErrorKind::Truncated { missing: 1 }
        );
    }
}
