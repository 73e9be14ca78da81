//! Qundis walk-by telegrams of water meters, heat meters and heat cost allocators: a block in a record.
//!
//! Manufacturers QDS and LSE (and others who sell them), CI 78, a record with VIF FF 5F and 53 bytes. Values are
//! four bytes of decimal digits, lowest first, dates type G.
//!
//! | offset | length | meaning |
//! |---|---|---|
//! | 0 | 2 | unknown |
//! | 2 | 1 | access number |
//! | 3 | 1 | unknown |
//! | 4 | 1 | 00, or 35 if the rest is encrypted: AES-128-CBC; initial vector: manufacturer, address, eight times the access number |
//! | 5 | 2 | unknown |
//! | 7 | 1 | 00 or 07 |
//! | 8 | 1 | high nibble B or C; low nibble: e |
//! | 9 | 1 | VIF of the values |
//! | 10 | 2 | date of an error |
//! | 12 | 4 | current value |
//! | 16 | 2 | due date |
//! | 18 | 4 | value at the due date |
//! | 22 | 2 | end of the latest month |
//! | 24 | 4 | value at that date |
//! | 28 | 12 · 2 | by how much the value changed in each of the 12 months up to that date, the latest last; 8000 if unknown; in 10^e of the values' unit |
//! | 52 | 1 | 2F |
//!
//! Heat cost allocators begin at 0 after the due date, so that the change in that month is below zero.
//!
//! Source of the facts: wmbusmeters, `driver_qheat.cc`, `qwaterv2.xmq`, issues 894, 2096 (months) and pull request
//! 2074 (encryption). The order of the months and their unit are what makes the value at the due date plus the
//! months since give the value at the end of the latest one, in telegrams of water meters (e = 1), heat meters and
//! heat cost allocators (e = 0).

use super::dates::month_end;
use super::sheet::of_period;
use super::{Fields, Format, Input, Is, Place, initial_vector};
use crate::crypto::cbc_decrypt;
use crate::error::{Error, ErrorKind};
use crate::reader::Reader;
use crate::record::{Date, Moment, Record, Records, Value};

pub(super) const FORMAT: Format = Format {
    versions: Is::Any,
    media: Is::Any,
    place: Place::Vife(VIFE),
    is_encrypted,
    read,
};

/// Reads the block, decrypting it if it says so; nothing of a block with other marks.
///
/// # Errors
/// Truncated below 53 bytes. If it is encrypted: [`KeyMissing`](ErrorKind::KeyMissing),
/// [`KeyLength`](ErrorKind::KeyLength), [`KeyRejected`](ErrorKind::KeyRejected) if the marks do not come out.
fn read(input: &Input<'_>) -> Result<Vec<Record>, Error> {
    let mut fields = input.fields();
    fields.skip(2, "unknown")?;
    let access_number = fields.u8("access number")?;
    fields.skip(1, "unknown")?;
    let encryption = fields.u8("encrypted, if 35")?;
    let here = fields.clone();
    let mut block = *fields.whole_block::<48>()?;
    if encryption == ENCRYPTED {
        let key = input.key.ok_or_else(|| here.error(ErrorKind::KeyMissing))?;
        let cipher = key.aes128().map_err(|kind| here.error(kind))?;
        cbc_decrypt(
            cipher.as_ref(),
            initial_vector(input.plain.sender, access_number),
            &mut block,
        );
        if !has_marks(&block) {
            return Err(here.error(ErrorKind::KeyRejected));
        }
    }
    if !has_marks(&block) {
        return Ok(Vec::new());
    }
    values(&mut fields.decrypted(&block))
}

const fn has_marks(block: &[u8; 48]) -> bool {
    matches!(block, [_, _, 0x00 | 0x07, 0xB0..=0xCF, .., 0x2F])
}

fn values(fields: &mut Fields<'_>) -> Result<Vec<Record>, Error> {
    fields.skip(3, "unknown")?;
    let power = fields.u8("power of ten of the months")?;
    let vif = fields.u8("VIF of the values")?;
    let error = fields.bytes::<2>("date of the error, type G")?;
    let current = fields.bytes::<4>("value, BCD")?;
    let due = fields.bytes::<2>("due date, type G")?;
    let at_due_date = fields.bytes::<4>("value at the due date, BCD")?;
    let month = fields.bytes::<2>("end of the latest month, type G")?;
    let at_month_end = fields.bytes::<4>("value at the end of the latest month, BCD")?;
    let (due_date, latest) = (Date::from_type_g(*due), Date::from_type_g(*month));

    let mut records = Vec::with_capacity(18);
    records.extend(standard(&[0x0C, vif], current, None));
    records.extend(standard(&[0x4C, vif], at_due_date, due_date));
    records.extend(standard(&[0x42, DATE], due, None));
    records.extend(standard(&[0xCC, 0x08, vif], at_month_end, latest));
    records.extend(standard(&[0xC2, 0x08, DATE], month, None));
    records.extend(standard(&[0x32, DATE], error, None));
    for age in (0..12_u8).rev() {
        let end = latest.and_then(|latest| month_end(latest, age.into()));
        let change = standard(
            &[0x02, vif],
            fields.bytes::<2>("change in a month, the earliest first")?,
            end,
        );
        records.extend(change.and_then(|change| of_month(change, age, (power & 0xF) as i8)));
    }
    Ok(records)
}

/// What a record of the standard with this header and this value says; `None` if the value is absent.
fn standard(header: &[u8], value: &[u8], date: Option<Date>) -> Option<Record> {
    let bytes = [header, value].concat();
    let record = Records::new(Reader::new(&bytes)).next()?.ok()?;
    (!record.value.is_absent()).then(|| Record {
        time: date.map(Moment::Date),
        ..record
    })
}

fn of_month(change: Record, age: u8, power: i8) -> Option<Record> {
    let value = change.value.decimal()?.scaled(power)?;
    Some(Record {
        quantity: of_period(change.quantity),
        value: Value::Decimal(value),
        // The end of the latest month is 17 in the meters' ordinary telegrams.
        storage: 17 + u64::from(age),
        ..change
    })
}

/// Is the rest of the block encrypted?
fn is_encrypted(mut block: Reader<'_>) -> bool {
    matches!(block.take_array(), Ok([_, _, _, _, ENCRYPTED]))
}

const VIFE: u8 = 0x5F;
const ENCRYPTED: u8 = 0x35;
const DATE: u8 = 0x6C;

#[cfg(test)]
mod tests {
    use super::super::testing::{decode, decode_with, error, error_with};
    use crate::crypto::{MeterKey, cbc_encrypt};
    use crate::error::ErrorKind;

    // Telegram and readings: wmbusmeters, qwaterv2.xmq. 12738.2 + 278 + 234 + 295 + 271 = 13816.2 (10 litres): the
    // last four months lead from the reading at the due date to that at the end of April, 138.163 m³, but for what
    // is less than 10 litres.
    const WATER: &str = "49449344123456781606780DFF5F3500824E00007F0007C113FFFF63961300DF2C82731200FE2463811300A400F200D100A900DD00E000E90006011601EA0027010F012F046D0211F225";

    #[test]
    fn water() {
        let records = decode(WATER);
        assert_eq!(
            records[2..8],
            [
                "volume 139.663 m³",
                "volume[1] 127.382 m³ (2022-12-31)",
                "date[1] 2022-12-31",
                "volume[17] 138.163 m³ (2023-04-30)",
                "date[17] 2023-04-30",
                "period_volume[28] 1.64 m³ (2022-05-31)",
            ]
        );
        assert_eq!(records[18..], ["period_volume[17] 2.71 m³ (2023-04-30)"]);
    }

    // Telegram: wmbusmeters, issue 1916: another mark. 251.9 + 177 + 134 + 168 = 730.9 (10 litres).
    #[test]
    fn newer_water() {
        let records = decode(
            "49449344782863521A07780DFF5F350082720000800000C113FFFF029000003F3C192500005F330073000000000000000000000000000000004700B100B1008600A8002F046D00135E34",
        );
        assert_eq!(
            records[2..4],
            ["volume 9.002 m³", "volume[1] 2.519 m³ (2025-12-31)"]
        );
        assert_eq!(records[18..], ["period_volume[17] 1.68 m³ (2026-03-31)"]);
    }

    // Telegram: wmbusmeters, driver_qheat.cc. VIF 0D counts 100 kJ. The months from January on make the difference:
    // 680.3 + 1064.2 + 1028.9 + 309.7 + 0 = 3083.1 MJ.
    #[test]
    fn heat() {
        let records = decode(
            "58449344414620684737780779414620689344470C0DFF5F3500825A00000E0007C00DFFFF310803001F3C036800003E34310803000080008000800080008000800000931A92293128190C00002F02FD170000046D000F3235",
        );
        assert_eq!(
            records[4..9],
            [
                "energy 3083100000 J",
                "energy[1] 680300000 J (2024-12-31)",
                "date[1] 2024-12-31",
                "energy[17] 3083100000 J (2025-04-30)",
                "date[17] 2025-04-30",
            ]
        );
        assert_eq!(
            records[9..],
            [
                "period_energy[22] 0 J (2024-11-30)",
                "period_energy[21] 680300000 J (2024-12-31)",
                "period_energy[20] 1064200000 J (2025-01-31)",
                "period_energy[19] 1028900000 J (2025-02-28)",
                "period_energy[18] 309700000 J (2025-03-31)",
                "period_energy[17] 0 J (2025-04-30)",
            ]
        );
    }

    // Telegram: wmbusmeters, issue 2096. January 2026 began with 777 units; 146 - 777 = -631.
    #[test]
    fn heat_cost_allocator() {
        let records = decode(
            "49449344029022323608780DFF5F350082ED00000F0007B06EFFFF300500003F3C770700005F3830050000030041006E007C0089FD8B008200610012000000000000002F046D20085439",
        );
        assert_eq!(
            records[2..5],
            [
                "heat_cost_allocation 530 HCA",
                "heat_cost_allocation[1] 777 HCA (2025-12-31)",
                "date[1] 2025-12-31",
            ]
        );
        assert!(
            records.contains(&"period_heat_cost_allocation[24] -631 HCA (2026-01-31)".to_owned()),
            "{records:?}"
        );
    }

    #[test]
    fn encrypted() {
        let key = "000102030405060708090A0B0C0D0E0F";
        let mut telegram = crate::tests::hex(WATER);
        // The block's fifth byte, and the 48 bytes behind it.
        telegram[19] = 0x35;
        let number = telegram[17];
        let mut initial = [number; 16];
        initial[..8].copy_from_slice(&telegram[2..10]);
        let cipher = key.parse::<MeterKey>().unwrap();
        cbc_encrypt(
            cipher.aes128().unwrap().as_ref(),
            initial,
            &mut telegram[20..68],
        );
        let sealed: String = telegram.iter().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(decode_with(Some(key), &sealed)[2..], decode(WATER)[2..]);
        assert_eq!(error(&sealed).kind, ErrorKind::KeyMissing);
        let another = "000102030405060708090A0B0C0D0E0E";
        assert_eq!(
            error_with(Some(another), &sealed).kind,
            ErrorKind::KeyRejected
        );
        // A plain block is no telegram of a meter with a key.
        assert_eq!(error_with(Some(key), WATER).kind, ErrorKind::NotEncrypted);
    }
}
