//! Techem smoke detector TSD2.
//!
//! Manufacturer TCH, CI A0, medium F0, version 76. Offsets count from behind the CI.
//!
//! | offset | length | meaning |
//! |---|---|---|
//! | 0 | 1 | state: 00 in order, 01 smoke, 80 defect |
//! | 1 | 2 | due date, [`packed`] |
//!
//! What follows is unknown.
//!
//! Source of the facts: wmbusmeters, `tsd2.xmq`.

use super::dates::packed;
use super::sheet::{Sheet, date, errors};
use super::{Format, Input, Is, Place};
use crate::error::Error;
use crate::record::Record;

pub(super) const FORMAT: Format = Format {
    versions: Is::Of(&[0x76]),
    media: Is::Of(&[0xF0]),
    place: Place::Ci(0xA0, 0xA0),
    is_encrypted: |_| false,
    read,
};

/// Reads the payload behind the CI.
///
/// # Errors
/// Truncated below three bytes.
fn read(input: &Input<'_>) -> Result<Vec<Record>, Error> {
    let mut fields = input.fields();
    let state = fields.u8("state")?;
    let due_date = fields.u16("due date")?;
    let mut sheet = Sheet::new();
    sheet.add(match state {
        0x00 => errors("none"),
        0x01 => errors("smoke"),
        0x80 => errors("defect"),
        other => errors(format!("unknown {other:02X}")),
    });
    sheet.add_some(packed(due_date).map(|due| date(due).storage(1_u8)));
    Ok(sheet.into_records())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{decode, error};
    use crate::error::ErrorKind;

    // Telegrams and values: wmbusmeters, tsd2.xmq.
    #[test]
    fn states() {
        for (byte, state) in [
            ("00", "none"),
            ("01", "smoke"),
            ("80", "defect"),
            ("71", "unknown 71"),
        ] {
            let telegram = format!(
                "294468506935639176F0A0{byte}9F2782290060822900000401D6311AF93E1BF93E008DC3009ED4000FE500"
            );
            assert_eq!(
                decode(&telegram),
                [
                    format!("error_flags {state}"),
                    "date[1] 2019-12-31".to_owned()
                ]
            );
        }
        assert_eq!(
            error("0C4468506935639176F0A0019F").kind,
            ErrorKind::Truncated { missing: 1 }
        );
    }
}
