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
