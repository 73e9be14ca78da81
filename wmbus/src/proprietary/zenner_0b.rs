//! Zenner water meters of version 0B: their records are all in the manufacturer's data.
//!
//! Manufacturer ZRI, version 0B, medium 16, behind DIF 0F.
//!
//! | offset | length | meaning |
//! |---|---|---|
//! | 0 | 4 | status; 0 if in order |
//! | 4 | 4 | volume at the beginning of the month, 1/256 litre |
//! | 8 | 4 | volume, 1/256 litre |
//!
//! Source of the facts: wmbusmeters, `zenner0b.xmq`.

use super::sheet::{Sheet, error_bits, volume};
use super::{Format, Input, Is, Place};
use crate::error::Error;
use crate::record::Record;

pub(super) const FORMAT: Format = Format {
    versions: Is::Of(&[0x0B]),
    media: Is::Of(&[0x16]),
    place: Place::Block,
    is_encrypted: |_| false,
    read,
};

/// Reads the data behind DIF 0F.
///
/// # Errors
/// Truncated below 12 bytes.
fn read(input: &Input<'_>) -> Result<Vec<Record>, Error> {
    let mut fields = input.fields();
    let status = fields.u32("state")?;
    let at_due_date = fields.u32("volume at the due date, 1/256 l")?;
    let total = fields.u32("volume, 1/256 l")?;
    let mut sheet = Sheet::new();
    // 1/256 litre is 390625 · 10^-11 m³.
    sheet.add(volume(i64::from(total) * 390_625, -11));
    sheet.add(volume(i64::from(at_due_date) * 390_625, -11).storage(1_u8));
    sheet.add(error_bits(status));
    Ok(sheet.into_records())
}

#[cfg(test)]
mod tests {
    use super::super::testing::decode;

    // Telegrams and values: wmbusmeters, zenner0b.xmq.
    #[test]
    fn both_volumes() {
        let records = decode("1E44496A677308500B167AD80010252F2F0F0000000080BF1B0000A6420000");
        assert_eq!(
            records[1..],
            ["volume 17.062 m³", "volume[1] 7.1035 m³", "error_flags 0"]
        );
        let records = decode("1E44496A677308500B167AD80010252F2F0F80BF1B0080BF1B0000A6420000");
        assert_eq!(records[3], "error_flags 1818496");
    }

    // One byte of the second volume is missing: the block stays bytes.
    #[test]
    fn too_short() {
        let records = decode("1C44496A677308500B167AD80010252F2F0F0000000080BF1B0000A642");
        assert_eq!(records, ["manufacturer_data 0000000080BF1B0000A642"]);
    }
}
