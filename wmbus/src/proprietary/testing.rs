//! Telegrams for the tests of the formats.

use crate::{Decoder, Error, MeterKey, Record};

/// The records of a telegram, each as `quantity[storage] value unit (time)`.
pub(super) fn decode(telegram: &str) -> Vec<String> {
    decode_with(None, telegram)
}

/// The same with the meter's key.
pub(super) fn decode_with(key: Option<&str>, telegram: &str) -> Vec<String> {
    records(key, telegram)
        .unwrap()
        .iter()
        .map(describe)
        .collect()
}

/// Why a telegram is refused.
pub(super) fn error(telegram: &str) -> Error {
    error_with(None, telegram)
}

/// The same with the meter's key.
pub(super) fn error_with(key: Option<&str>, telegram: &str) -> Error {
    records(key, telegram).unwrap_err()
}

/// Sets the L field right; the telegrams in tests are cut short by hand.
fn records(key: Option<&str>, telegram: &str) -> Result<Vec<Record>, Error> {
    let key = key.map(|key| key.parse::<MeterKey>().unwrap());
    let mut bytes = crate::tests::hex(telegram);
    bytes[0] = (bytes.len() - 1) as u8;
    Ok(Decoder::new(key).decode(&bytes)?.records)
}

fn describe(record: &Record) -> String {
    let mut text = record.quantity.to_string();
    for qualifier in record.qualifiers.iter() {
        text += &format!("_{qualifier}");
    }
    if record.function != crate::Function::Instantaneous {
        text += &format!("_{}", record.function);
    }
    if record.storage != 0 {
        text += &format!("[{}]", record.storage);
    }
    text += &format!(" {}", record.value);
    if record.unit != crate::Unit::None {
        text += &format!(" {}", record.unit);
    }
    if let Some(time) = record.time {
        text += &format!(" ({time})");
    }
    text
}

mod properties {
    use proptest::prelude::*;

    use super::super::{Format, Is, Place, of};
    use crate::{Decoder, Manufacturer, MeterKey};

    /// One telegram's beginning for each format: manufacturer, version, medium, CI with its header.
    fn beginnings() -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        for code in 0..=0x7FFF {
            for format in of(Manufacturer(code)) {
                for head in heads(format) {
                    let [m0, m1] = code.to_le_bytes();
                    let first = |is: &Is| match is {
                        Is::Any => 0x07,
                        Is::Of(bytes) => bytes[0],
                    };
                    let (version, medium) = (first(&format.versions), first(&format.media));
                    let link = [0, 0x44, m0, m1, 0x78, 0x56, 0x34, 0x12, version, medium];
                    all.push([&link[..], head].concat());
                }
            }
        }
        all
    }

    fn heads(format: &Format) -> &'static [&'static [u8]] {
        match format.place {
            Place::Ci(0xB6, _) => &[&[0xB6]],
            Place::Ci(..) => &[&[0xA0], &[0xA1], &[0xA2]],
            Place::Body => &[&[0x7A, 0, 0, 0, 0]],
            Place::OwnMode => &[&[0x7A, 0, 0, 0, 0x10]],
            Place::Block => &[
                &[0x78, 0x0F],
                &[0x78, 0x04, 0x6D, 0x28, 0x2A, 0x9E, 0x27, 0x0F],
            ],
            Place::Vife(0x5F) => &[
                &[0x78, 0x0D, 0xFF, 0x5F, 0x35, 0, 0x82, 0, 0, 0],
                &[0x78, 0x0D, 0xFF, 0x5F, 0x35, 0, 0x82, 0, 0, 0x35],
            ],
            Place::Vife(_) => &[&[0x78, 0x04, 0xFF, 0x2C]],
        }
    }

    fn key(kind: u8) -> Option<MeterKey> {
        let key = match kind {
            0 => return None,
            1 => "0000000000000000",
            _ => "00000000000000000000000000000000",
        };
        Some(key.parse().unwrap())
    }

    #[test]
    fn every_format_has_a_beginning() {
        assert!(beginnings().len() > 40);
    }

    proptest! {
        #[test]
        fn no_bytes_panic_or_grow(
            which in any::<prop::sample::Index>(),
            body in prop::collection::vec(any::<u8>(), 0..200),
            kind in 0..3_u8,
        ) {
            let all = beginnings();
            let mut telegram = [which.get(&all).as_slice(), &body].concat();
            telegram[0] = (telegram.len() - 1) as u8;
            if let Ok(reading) = Decoder::new(key(kind)).decode(&telegram) {
                prop_assert!(reading.records.len() <= 32 + body.len());
            }
        }
    }
}
