//! Apator APT-WMBUS-NA-1 modules on water meters: a body of 16 bytes, encrypted like security mode 5 but without its
//! header.
//!
//! Manufacturer APA, version 14, medium 07, CI A0 or A1. Offsets count from behind the CI.
//!
//! | offset | length | meaning |
//! |---|---|---|
//! | 0 | 1 | access number |
//! | 1 | 1 | flags of the frame, in plain; bits 0 and 1, daylight saving time and history, are no alarms |
//! | 2 | 16 | AES-128-CBC; initial vector: manufacturer, address, eight times the access number |
//!
//! | decrypted | length | meaning |
//! |---|---|---|
//! | 0 | 1 | 2F |
//! | 1 | 4 | bits 31..8 and 3..0: volume; bits 5..4: e; it counts 10^e litres |
//! | 5 | 4 | time of the meter: seconds since 2000 |
//! | 9 | 5 | bits 9..0 (of the number, lowest byte first) hours since an earlier reading, coded: bits 7..0 low, bits 15..10 high; bits 9..8 low and bits 39..16 high: by how much the volume was smaller then |
//! | 14 | 1 | alarms |
//! | 15 | 1 | alarms before |
//!
//! Source of the facts: wmbusmeters, `apatorna1.xmq`, which has them from issue 1215.

use super::dates::seconds_since_2000;
use super::sheet::{Sheet, date_time, flags, hours_since_stored, volume};
use super::{Format, Input, Is, Place};
use crate::crypto::cbc_decrypt;
use crate::error::{Error, ErrorKind};
use crate::record::Record;

pub(super) const FORMAT: Format = Format {
    versions: Is::Of(&[0x14]),
    media: Is::Of(&[0x07]),
    place: Place::Ci(0xA0, 0xA1),
    is_encrypted: |_| true,
    read,
};

/// Decrypts and reads the payload behind the CI.
///
/// # Errors
/// Truncated below 18 bytes; [`KeyMissing`](ErrorKind::KeyMissing), [`KeyLength`](ErrorKind::KeyLength);
/// [`KeyRejected`](ErrorKind::KeyRejected) if the first byte decrypts to something else than 2F.
fn read(input: &Input<'_>) -> Result<Vec<Record>, Error> {
    let mut fields = input.fields();
    let access_number = fields.u8("access number")?;
    let frame = fields.u8("frame")?;
    let refused = fields.clone();
    let mut body = *fields.whole_block::<16>()?;
    let key = input
        .key
        .ok_or_else(|| refused.error(ErrorKind::KeyMissing))?;
    let cipher = key.aes128().map_err(|kind| refused.error(kind))?;
    cbc_decrypt(
        cipher.as_ref(),
        initial_vector(input.plain.sender.to_link(), access_number),
        &mut body,
    );
    let mut fields = fields.decrypted(&body);
    if fields.u8("mark of the right key")? != 0x2F {
        return Err(refused.error(ErrorKind::KeyRejected));
    }
    let low = fields.u8("volume, lowest bits, and its power of ten")?;
    let high = fields.u24("volume, higher bits")?;
    let seconds = fields.u32("seconds since 2000")?;
    let age = fields.u8("hours since the stored volume, low byte")?;
    let mixed = fields.u8("the same, high bits, and lowest of the difference")?;
    let difference = fields.u24("volume less the stored one, higher bits")?;
    let alarms = fields.u8("alarms")?;
    let alarms_before = fields.u8("alarms before")?;
    let power = (low >> 4 & 3) as i8;
    let total = i64::from(high) << 4 | i64::from(low & 0xF);
    let difference = i64::from(difference) << 2 | i64::from(mixed & 3);
    let hours = i64::from(mixed >> 2) << 8 | i64::from(age);

    let mut sheet = Sheet::new();
    sheet.add(volume(total, power - 3));
    sheet.add_some(seconds_since_2000(seconds).map(date_time));
    sheet.add(volume(total - difference, power - 3).storage(1_u8));
    let then = seconds.checked_sub(hours as u32 * 3600);
    sheet.add_some(
        then.and_then(seconds_since_2000)
            .map(|then| date_time(then).storage(1_u8)),
    );
    sheet.add(hours_since_stored(hours));
    sheet.add(flags(u32::from(frame) << 8 | u32::from(alarms), &ALARMS));
    sheet.add(flags(alarms_before.into(), &ALARMS).storage(1_u8));
    Ok(sheet.into_records())
}

fn initial_vector([m0, m1, i0, i1, i2, i3, version, medium]: [u8; 8], n: u8) -> [u8; 16] {
    [
        m0, m1, i0, i1, i2, i3, version, medium, n, n, n, n, n, n, n, n,
    ]
}

/// The alarms, and above them those flags of the frame that are some.
const ALARMS: [(u32, &str); 14] = [
    (0x01, "battery low"),
    (0x02, "magnetic field"),
    (0x04, "disconnected"),
    (0x08, "leak"),
    (0x10, "no consumption"),
    (0x20, "backflow"),
    (0x40, "maximum flow"),
    (0x80, "minimum flow"),
    (0x0400, "speed exceeded"),
    (0x0800, "access error"),
    (0x1000, "two-way communication blocked"),
    (0x2000, "installation"),
    (0x4000, "wrong temperature"),
    (0x8000, "service event"),
];

#[cfg(test)]
mod tests {
    use super::super::testing::{decode_with, error, error_with};
    use crate::error::ErrorKind;

    const KEY: Option<&str> = Some("00000000000000000000000000000000");

    // Telegrams and values: wmbusmeters, apatorna1.xmq.
    const TELEGRAM: &str = "1C440106813591041407A0B000266A705474DDB80D9A0EB9AE2EF29D96";

    #[test]
    fn decrypts() {
        assert_eq!(
            decode_with(KEY, TELEGRAM),
            [
                "volume 345.312 m³",
                "date_time 2024-03-23T15:22:20",
                "volume[1] 300.619 m³",
                "date_time[1] 2024-02-29T22:22:20",
                "duration_since_cumulation 545 h",
                "error_flags none",
                "error_flags[1] minimum flow",
            ]
        );
        let records = decode_with(
            KEY,
            "1C440106813591041407A17D01416562108AB98A0FE92FC06AA8122176",
        );
        assert_eq!(records[0], "volume 687.104 m³");
        assert_eq!(records[2], "volume[1] 662.325 m³");
    }

    #[test]
    fn needs_its_key() {
        let another = Some("00000000000000000000000000000001");
        assert_eq!(error(TELEGRAM).kind, ErrorKind::KeyMissing);
        assert_eq!(error_with(another, TELEGRAM).kind, ErrorKind::KeyRejected);
        assert_eq!(
            error_with(Some("0000000000000000"), TELEGRAM).kind,
            ErrorKind::KeyLength
        );
        let short = &TELEGRAM[..TELEGRAM.len() - 2];
        assert_eq!(
            error_with(KEY, short).kind,
            ErrorKind::Truncated { missing: 1 }
        );
    }
}
