//! The plain-text VIF (7C and FC): the unit as text (EN 13757-3, Annex C.2).

use super::quantity::Quantity;
use crate::error::Error;
use crate::reader::Reader;
use crate::unit::Unit;

/// Does the text stand before the VIFEs, directly behind its VIF?
pub(crate) fn is_first(vif: u8, behind: &[u8]) -> bool {
    vif & 0x80 == 0 || begins(behind)
}

/// Do these bytes begin with a length and that many printable characters?
fn begins(bytes: &[u8]) -> bool {
    match bytes.split_first() {
        Some((&length @ 1..=32, rest)) => rest
            .get(..length.into())
            .is_some_and(|text| !text.contains(&0) && is_printable(text)),
        _ => false,
    }
}

/// Reads the length and the text, which is sent last character first.
pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Box<str>, Error> {
    let length = reader.byte()?;
    let bytes = reader.take(length.into())?;
    Ok(latin1(bytes))
}

/// Are these characters of ISO 8859-1 that can be printed, or zeros that fill up?
pub(crate) fn is_printable(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .all(|byte| matches!(byte, 0 | 0x20..0x7F | 0xA0..))
}

/// ISO 8859-1, last character first, without the zeros that fill it up.
pub(crate) fn latin1(bytes: &[u8]) -> Box<str> {
    let text: String = bytes.iter().rev().copied().map(char::from).collect();
    text.trim_matches('\0').into()
}

/// What a value with this unit measures, and the unit, if it is one of ours.
pub(crate) fn meaning(text: &str) -> (Quantity, Option<Unit>) {
    let trimmed = text.trim();
    match trimmed {
        "%RH" | "%rH" | "%rh" | "RH%" => (Quantity::RelativeHumidity, Some(Unit::Percent)),
        "m3" => (Quantity::PlainText, Some(Unit::CubicMetre)),
        "m3/h" => (Quantity::PlainText, Some(Unit::CubicMetrePerHour)),
        "C" => (Quantity::PlainText, Some(Unit::DegreeCelsius)),
        _ => (Quantity::PlainText, trimmed.parse().ok()),
    }
}
