//! Diehl PRIOS: IZAR radios on water meters of Sappel, Hydrometer and Diehl.
//!
//! CI A0 to A7, control field 44 or 46. Offsets count from behind the CI.
//!
//! | offset | length | meaning |
//! |---|---|---|
//! | 0 | 1 | bit 7: some alarm; bits 3..0: p, it sends every 2^(p+2) s |
//! | 1 | 1 | bit 7: leak, bit 6: leak before, bit 5: blocked; bits 4..0: battery, half years |
//! | 2 | 1 | bit 7: backflow, 6: underflow, 5: overflow, 4: submerged, 3: sensor fraud, 2: sensor fraud before, 1: mechanical fraud, 0: mechanical fraud before |
//! | 3 | 1 | unknown |
//! | 4 | 1 | encrypted from here on ([`diehl_cipher`]); 4B |
//! | 5 | 4 | volume, litres |
//! | 9 | 4 | volume at the due date, litres |
//! | 13 | 2 | due date, type G; this and the volume may be missing |
//!
//! What follows is unknown. In Sappel's meters the link layer's address holds the serial number that is printed on
//! them.
//!
//! Source of the facts: wmbusmeters, `driver_izar.cc` and `manufacturer_specificities.cc`.

use super::sheet::{
    Sheet, battery_years, date, fabrication_number, flags, transmission_period, volume,
};
use super::{Format, Input, Is, Place, SAP, diehl_cipher};
use crate::error::Error;
use crate::record::{Date, Record};

pub(super) const FORMAT: Format = Format {
    versions: Is::Any,
    media: Is::Any,
    place: Place::Ci(0xA0, 0xA7),
    is_encrypted: |_| true,
    read,
};

/// The first byte that the right key gives.
const CHECK: u8 = 0x4B;

/// Reads the payload behind the CI.
///
/// # Errors
/// Truncated below nine bytes; [`KeyRejected`](crate::ErrorKind::KeyRejected) if no key gives the check byte.
fn read(input: &Input<'_>) -> Result<Vec<Record>, Error> {
    let mut fields = input.fields();
    let &[status, battery, alarms, _] =
        fields.bytes("interval of sending, battery, alarms, unknown")?;
    let body = diehl_cipher::open(input, [status, battery, alarms], fields.left(), |plain| {
        plain.first() == Some(&CHECK)
    })?;
    let mut fields = fields.decrypted(&body);
    fields.skip(1, "mark of the right key")?;
    let mut sheet = Sheet::new();
    sheet.add(volume(fields.u32("volume, l")?, -3));
    if fields.any_left() {
        let at_due_date = fields.u32("volume at the due date, l")?;
        let due = Date::from_type_g(*fields.bytes("due date, type G")?);
        sheet.add(volume(at_due_date, -3).storage(1_u8).at(due));
        sheet.add_some(due.map(|due| date(due).storage(1_u8)));
    }
    sheet.add(battery_years(i64::from(battery & 0x1F) * 5, -1));
    sheet.add(transmission_period(1_i64 << ((status & 0xF) + 2)));
    let alarms = u32::from(battery) << 8 | u32::from(alarms);
    sheet.add(flags(alarms, &ALARMS));
    sheet.add(flags(alarms, &PREVIOUS_ALARMS).storage(1_u8));
    if input.plain.sender.manufacturer == SAP {
        sheet.add(fabrication_number(serial(input.plain.sender.to_link())));
    }
    Ok(sheet.into_records())
}

/// The number printed on a meter of Sappel: supplier, year, type, diameter, number.
///
/// In the six bytes of identification number, version and medium, lowest first: 26 bits of year (two digits) and
/// number (six digits), three unknown, then five bits each of diameter, type and supplier, A is 1.
fn serial([_, _, i0, i1, i2, i3, version, medium]: [u8; 8]) -> String {
    let bits = u64::from_le_bytes([i0, i1, i2, i3, version, medium, 0, 0]);
    let letter = |shift: u32| char::from(b'@' + (bits >> shift & 0x1F) as u8);
    let digits = bits & 0x3FF_FFFF;
    format!(
        "{}{:02}{}{}{:06}",
        letter(39),
        digits / 1_000_000 % 100,
        letter(34),
        letter(29),
        digits % 1_000_000
    )
}

const ALARMS: [(u32, &str); 8] = [
    (0x8000, "leak"),
    (0x2000, "blocked"),
    (0x0080, "backflow"),
    (0x0040, "underflow"),
    (0x0020, "overflow"),
    (0x0010, "submerged"),
    (0x0008, "sensor fraud"),
    (0x0002, "mechanical fraud"),
];

const PREVIOUS_ALARMS: [(u32, &str); 3] = [
    (0x4000, "leak"),
    (0x0004, "sensor fraud"),
    (0x0001, "mechanical fraud"),
];

#[cfg(test)]
mod tests {
    use super::super::testing::{decode, error};
    use crate::error::ErrorKind;

    // Telegram and values: wmbusmeters, driver_izar.cc, IzarWater.
    const SAPPEL: &str = "1944304C72242421D401A2013D4013DD8B46A4999C1293E582CC";

    #[test]
    fn sappel() {
        assert_eq!(
            decode(SAPPEL),
            [
                "volume 3.488 m³",
                "volume[1] 3.486 m³ (2019-09-30)",
                "date[1] 2019-09-30",
                "remaining_battery_life 14.5 y",
                "transmission_period 8 s",
                "error_flags blocked, underflow",
                "error_flags[1] none",
                "fabrication_number C19UA145842",
            ]
        );
    }

    // Telegram and values: wmbusmeters, driver_izar.cc, IzarWater2: the second default key, more bytes than are
    // known.
    #[test]
    fn diehl() {
        let records = decode(
            "2944A511780729662366A20118001378D3B3DB8CEDD77731F25832AAF3DA8CADF9774EA673172E8C61F2",
        );
        assert_eq!(
            records[..4],
            [
                "volume 16.76 m³",
                "volume[1] 11.84 m³ (2019-11-30)",
                "date[1] 2019-11-30",
                "remaining_battery_life 12 y"
            ]
        );
        assert_eq!(records.len(), 7);
    }

    // Telegram and values: wmbusmeters, simulation_izars.txt: CI A0, no due date.
    #[test]
    fn without_due_date() {
        let records = decode("1344304CF3628920BC01A0712F03130CEB627A81");
        assert_eq!(records[0], "volume 1248.146 m³");
        assert_eq!(records[3], "error_flags blocked, mechanical fraud");
        assert_eq!(records[4], "error_flags[1] mechanical fraud");
        assert_eq!(records[5], "fabrication_number C09OA003763");
    }

    #[test]
    fn damaged() {
        assert_eq!(
            error(&SAPPEL.replace("DD8B", "DC8B")).kind,
            ErrorKind::KeyRejected
        );
        assert_eq!(
            error("0E44304C72242421D401A2013D4013").kind,
            ErrorKind::KeyRejected
        );
        assert_eq!(
            error("1044304C72242421D401A2013D4013DD8B").kind,
            ErrorKind::Truncated { missing: 3 }
        );
        assert_eq!(
            error("1944304C72242421D401A2013D").kind,
            ErrorKind::Truncated { missing: 2 }
        );
    }
}
