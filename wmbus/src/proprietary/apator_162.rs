//! Apator AT-WMBUS-16-2 and OP-041b modules on water meters: registers behind each other, each with a number of its
//! own.
//!
//! Manufacturer APA, version 05, medium 06 or 07, CI 7A, security mode 5. Offsets count from behind the filler bytes
//! 2F 2F.
//!
//! | offset | length | meaning |
//! |---|---|---|
//! | 0 | 1 | 0F, or 80 from older meters |
//! | 1 | 4 | time of the meter, format not known well enough |
//! | 5 | 3 | faults |
//! | 8 | | registers: one byte which, then its content |
//! | last 2 | 2 | checksum of unknown kind, after filler bytes FF |
//!
//! | register | length | content |
//! |---|---|---|
//! | 01 | 3 | faults |
//! | 10 | 4 | volume, litres |
//! | 11 | 2 | flow, unit unknown |
//! | 43 | 2 | days since the meter's first start |
//! | 70 to 7F | 1 + 4 · n | n = low nibble + 1 readings at the ends of months, litres, the latest first |
//!
//! The other registers' lengths are known, not their meaning; the first register without a known length ends the
//! reading.
//!
//! Source of the facts: wmbusmeters, `driver_apator162.cc`, `apator162.xmq`, issues 710 (readings at ends of months)
//! and 441 (lengths).

use super::sheet::{Sheet, error_bits, operating_days, volume};
use super::{Fields, Format, Input, Is, Place};
use crate::error::Error;
use crate::record::Record;

pub(super) const FORMAT: Format = Format {
    versions: Is::Of(&[0x05]),
    media: Is::Of(&[0x06, 0x07]),
    place: Place::Body,
    is_encrypted: |_| false,
    read,
};

/// Reads the decrypted body.
///
/// # Errors
/// Truncated if the header is incomplete or a register's content is; what was read before is lost with it, as the end
/// of a body that does not add up may have begun anywhere.
fn read(input: &Input<'_>) -> Result<Vec<Record>, Error> {
    let mut fields = input.fields();
    fields.skip_fillers(FILLER);
    fields.skip(1, "unknown")?;
    fields.skip(4, "time of the meter, format not known")?;
    let mut sheet = Sheet::new();
    sheet.add(error_bits(fields.u24("faults")?));
    // The last two bytes are the checksum, after any number of bytes FF.
    while fields.left().len() > CHECKSUM {
        let register = fields.u8("register")?;
        let Some(length) = length(register) else {
            break;
        };
        let mut content = fields.sub(length)?;
        match register {
            0x10 => sheet.add(volume(content.u32("volume, l")?, -3)),
            0x43 => sheet.add(operating_days(content.u16("days since the first start")?)),
            0x70..=0x7F => months(&mut content, &mut sheet)?,
            0x01 => content.skip(length, "faults")?,
            _ => content.skip(length, "content, not known")?,
        }
    }
    Ok(sheet.into_records())
}

fn months(content: &mut Fields<'_>, sheet: &mut Sheet) -> Result<(), Error> {
    content.skip(1, "unknown")?;
    let mut age = 1_u8;
    while content.any_left() {
        sheet.add(volume(content.u32("volume at the end of a month, l")?, -3).storage(age));
        age += 1;
    }
    Ok(())
}

/// How long a register's content is.
const fn length(register: u8) -> Option<usize> {
    Some(match register {
        0xA2 | 0xA5 | 0xA9 | 0xAF => 1,
        0x11 | 0x41 | 0x43 | 0xA7 | 0xA8 | 0xAA..=0xAD | 0xB4 => 2,
        0x01 | 0x44 | 0xA6 | 0xB6..=0xC7 | 0xD0 | 0xD3 => 3,
        0x00 | 0x10 | 0x42 | 0xA0 | 0xA1 | 0xA4 | 0xF0 => 4,
        0xB0 => 5,
        0x40 | 0x8B | 0x8C => 6,
        0x8E | 0xA3 => 7,
        0xB1 | 0xB3 => 8,
        0x8A => 9,
        0x80..=0x84 | 0x86 | 0x87 => 10,
        0x85 | 0x88 | 0x8F => 11,
        0xB2 | 0xB5 => 16,
        0x70..=0x7F => 1 + 4 * ((register & 0xF) as usize + 1),
        _ => return None,
    })
}

const FILLER: u8 = 0x2F;
const CHECKSUM: usize = 2;

#[cfg(test)]
mod tests {
    use super::super::testing::{decode, error};
    use crate::error::ErrorKind;

    // Telegram and volume: wmbusmeters, apator162.xmq.
    const TELEGRAM: &str = "6E4401062020202005077A9A0060852F2F0F0A734393CC0000435B0183001A54E06F630291342510030F00007B013E0B00003E0B00003E0B00003E0B00003E0B00003E0B00003E0B0000650000003D0000003D0000003D00000000000000A0910CB003FFFFFFFFFFFFFFFFFFFFA62B";

    #[test]
    fn registers() {
        let records = decode(TELEGRAM);
        assert_eq!(
            records[..4],
            [
                "error_flags 204",
                "operating_time 347 d",
                "volume 3.843 m³",
                "volume[1] 2.878 m³"
            ]
        );
        assert_eq!(
            records[10..],
            [
                "volume[8] 0.101 m³",
                "volume[9] 0.061 m³",
                "volume[10] 0.061 m³",
                "volume[11] 0.061 m³",
                "volume[12] 0 m³"
            ]
        );
    }

    // Telegram and volume: wmbusmeters, apator162.xmq: no filler before the checksum, two months.
    #[test]
    fn without_filler() {
        assert_eq!(
            decode(
                "2E4401064052030205077A2D0020852F2F0F334DA39A00000071011ABF0D00039A0D00A01053850310CECC0D008943"
            ),
            [
                "error_flags 0",
                "volume[1] 900.89 m³",
                "volume[2] 891.395 m³",
                "volume 904.398 m³"
            ]
        );
    }

    #[test]
    fn unknown_register() {
        // Register 09 has no known length: what was read before it stays.
        let records = decode(&TELEGRAM.replace("10030F00007B", "10030F000009"));
        assert_eq!(
            records,
            ["error_flags 204", "operating_time 347 d", "volume 3.843 m³"]
        );
    }

    #[test]
    fn too_short() {
        assert_eq!(
            error("154401062020202005077A9A0060852F2F0F0A734393CC").kind,
            ErrorKind::Truncated { missing: 2 }
        );
        assert_eq!(
            error("1A4401062020202005077A9A0060852F2F0F0A734393CC000010030F00").kind,
            ErrorKind::Truncated { missing: 1 }
        );
    }
}
