//! BFW 240 radio heat cost allocators.
//!
//! Manufacturer BFW, version 02, medium 08, CI 7A without encryption; the body looks like records and holds none.
//! Numbers are highest byte first. Offsets count from behind the transport layer's header.
//!
//! | offset | length | meaning |
//! |---|---|---|
//! | 0 | 2 | 2F 2F |
//! | 2 | 2 | unknown |
//! | 4 | 2 | units of the previous period |
//! | 6 | 2 | units of this period |
//! | 8 | 2 | unknown |
//! | 10 | 9 · 3 | units at the ends of 18 months, the oldest first, two in three bytes: 8 low bits of the older, 4 high bits of the older, 4 high and 8 low bits of the younger |
//! | 37 | 3 | date: day, month, year, two decimal digits each |
//!
//! Source of the facts: wmbusmeters, `bfw240radio.xmq` and issue 266.

use super::dates::{decimal, month_end};
use super::sheet::{Sheet, date, heat_cost};
use super::{Format, Input, Is, Place};
use crate::error::Error;
use crate::record::Record;

pub(super) const FORMAT: Format = Format {
    versions: Is::Of(&[0x02]),
    media: Is::Of(&[0x08]),
    place: Place::Body,
    is_encrypted: |_| false,
    read,
};

/// Reads the body.
///
/// # Errors
/// Truncated below 40 bytes.
fn read(input: &Input<'_>) -> Result<Vec<Record>, Error> {
    let mut fields = input.fields();
    fields.skip_fillers(FILLER);
    fields.skip(2, "unknown")?;
    let previous = u16::from_be_bytes(*fields.bytes("units of the period before")?);
    let current = u16::from_be_bytes(*fields.bytes("units of this period")?);
    fields.skip(2, "unknown")?;
    let mut months = [0_u16; 18];
    for pair in months.as_chunks_mut().0 {
        let &[older, both, younger] = fields.bytes("units at the ends of two months")?;
        *pair = [
            u16::from(both >> 4) << 8 | u16::from(older),
            u16::from(both & 0xF) << 8 | u16::from(younger),
        ];
    }
    let &[day, month, year] = fields.bytes("date of sending")?;
    let today = decimal([year, month, day]);

    let mut sheet = Sheet::new();
    sheet.add(heat_cost(current));
    sheet.add(heat_cost(previous).storage(1_u8));
    sheet.add_some(today.map(date));
    for (age, units) in (1_u8..).zip(months.into_iter().rev()) {
        let end = today.and_then(|today| month_end(today, age.into()));
        sheet.add(heat_cost(units).storage(age).at(end));
    }
    Ok(sheet.into_records())
}

const FILLER: u8 = 0x2F;

#[cfg(test)]
mod tests {
    use super::super::testing::{decode, error};
    use crate::error::ErrorKind;

    // Telegram and values: wmbusmeters, bfw240radio.xmq.
    const TELEGRAM: &str = "3644D7088877700002087ADBC000002F2F9E1F03C10388152A00000000000000000000000000000204000404000EE2020AC1321D280221";

    #[test]
    fn all_months() {
        let records = decode(TELEGRAM);
        assert_eq!(
            records[..3],
            [
                "heat_cost_allocation 904 HCA",
                "heat_cost_allocation[1] 961 HCA",
                "date 2021-02-28"
            ]
        );
        let months: Vec<_> = records[3..]
            .iter()
            .map(|record| record.split(' ').nth(1).unwrap())
            .collect();
        assert_eq!(
            months,
            [
                "541", "961", "522", "226", "14", "4", "4", "4", "2", "0", "0", "0", "0", "0", "0",
                "0", "0", "0"
            ]
        );
        assert_eq!(
            error(&TELEGRAM[..TELEGRAM.len() - 2]).kind,
            ErrorKind::Truncated { missing: 1 }
        );
    }
}
