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
//! Source of the facts: wmbusmeters, `apator08.xmq`, `apator172.xmq`, issues 81 (a meter's reading beside its telegram) and 316
//! (a tap's flow in telegrams of the 17-2, which fits thirds of a litre and nothing larger).

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
    let thirds = i64::from(input.reader().u32()?);
    let mut sheet = Sheet::new();
    // 1 cm³ is a thousandth of a litre; half a divisor rounds to the nearest.
    sheet.add(volume((thirds * 1000 + 1) / 3, -6));
    Ok(sheet.into_records())
}
