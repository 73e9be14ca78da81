//! Records: headers byte by byte, and the values.

use super::Page;
use crate::decimal::Decimal;
use crate::error::Layer;
use crate::proprietary::Note;
use crate::record::{
    self, Coding, Correction, Field, Function, Header, Meaning, Qualifier, Record, Value,
};
use crate::unit::Unit;

/// Writes down all records, as far as they can be read; `all` are the same. The notes say what the manufacturer's own
/// bytes among them are.
pub(super) fn explain_all(page: &mut Page<'_>, unsigned: bool, all: &[Record], notes: &[Note]) {
    loop {
        explain_fillers(page);
        let Some(&dif) = page.left().first() else {
            return;
        };
        if dif & 0x0F == 0x0F {
            let more = match dif {
                0x0F => "",
                0x1F => "more records in the next telegram",
                _ => return,
            };
            page.add(1, "DIF", "the rest is the manufacturer's", more);
            explain_own(page, notes, page.end);
            return page.add(usize::MAX, "data", "manufacturer's data", "");
        }
        let Some(mut header) = explain_header(page) else {
            return;
        };
        if unsigned {
            header.take_for_unsigned();
        }
        if explain_value(page, &header, all, notes).is_none() || page.left().is_empty() {
            return;
        }
    }
}

/// Writes down the manufacturer's own bytes that come next, up to `end`, if anything is told of them.
fn explain_own(page: &mut Page<'_>, notes: &[Note], end: usize) {
    let begin = page.at;
    page.enter(Layer::Profile);
    page.add_notes(notes, end);
    if page.at > begin {
        page.add(end.saturating_sub(page.at), "data", "not known", "");
    }
    page.enter(Layer::Apl);
}

/// Writes down headers without values, as far as they can be read.
pub(super) fn explain_headers(page: &mut Page<'_>) {
    while !page.left().is_empty() && explain_header(page).is_some() {}
}

/// Writes down the idle fillers that come next.
pub(super) fn explain_fillers(page: &mut Page<'_>) {
    let fillers = page.left().iter();
    let count = fillers
        .take_while(|&&byte| byte == record::IDLE_FILLER)
        .count();
    page.add(count, "filler", "idle, to be skipped", "");
}

/// Writes down the value that comes next; `None` if it cannot be read. The notes say what is in one that is the
/// manufacturer's own.
pub(super) fn explain_value(
    page: &mut Page<'_>,
    header: &Header,
    all: &[Record],
    notes: &[Note],
) -> Option<()> {
    let mut reader = page.reader();
    let value = header.read_value(&mut reader).ok()?;
    let record = header.template.with(value);
    let mut len = reader.offset() - page.at;
    if header.field == Field::Variable {
        let kind = page.left().first().copied().unwrap_or_default();
        page.add(1, "LVAR", "kind and length of the value", length(kind));
        len -= 1;
    }
    let values = header
        .is_series()
        .then(|| record::series_values(&record, header, all))
        .flatten();
    match values {
        Some(values) if !values.is_empty() => {
            let mut bytes = page.left().iter().copied();
            let (control, interval) = (
                bytes.next().unwrap_or_default(),
                bytes.next().unwrap_or_default(),
            );
            page.add(1, "control", "profile: its elements", elements(control));
            let interval = spacing(control, interval);
            page.add(1, "spacing", "profile: between its elements", interval);
            let size = (len - 2) / values.len();
            for value in values {
                page.add(size, "element", label(&value), told_value(&value));
            }
        }
        _ => {
            let end = page.at + len;
            explain_own(page, notes, end);
            page.add(end - page.at, "data", label(&record), told_value(&record));
        }
    }
    Some(())
}

/// Source: EN 13757-3, table F.6.
fn elements(control: u8) -> String {
    let size = Field::from_dif(control).map_or(String::new(), |field| {
        data_information(control & 0x0F, field)
    });
    let kind = match control >> 6 {
        0 => "values themselves",
        1 => "increments",
        2 => "decrements",
        _ => "signed differences",
    };
    format!("{size}, {kind}")
}

/// Source: EN 13757-3, table F.8.
fn spacing(control: u8, value: u8) -> String {
    match (value, control >> 4 & 0x03) {
        (0, column) => format!("column {column} of a table"),
        (1..=250, unit) => {
            let unit = record::time_unit(unit);
            format!("{value} {unit}")
        }
        (253, 3) => "half a month".to_owned(),
        (254, 1) => "half a year".to_owned(),
        (254, 2) => "a quarter".to_owned(),
        (254, 3) => "a month".to_owned(),
        _ => "reserved".to_owned(),
    }
}

/// Writes down the header that comes next; `None`, and nothing, if it cannot be read.
fn explain_header(page: &mut Page<'_>) -> Option<Header> {
    let mut reader = page.reader();
    let dif = reader.byte().ok()?;
    let header = Header::read(dif, &mut reader).ok()?;
    let end = reader.offset();
    page.add(1, "DIF", data_information(dif, header.field), "");
    let mut more = dif & MORE != 0;
    let mut position = 0;
    while more {
        let dife = next(page)?;
        more = dife & MORE != 0;
        page.add(1, "DIFE", "extends it", extension(dife, position));
        position += 1;
    }
    let vif = next(page)?;
    let mut last = vif;
    match vif {
        0xFB | 0xFD => {
            page.add(1, "VIF", "the code is of another table", "");
            last = next(page)?;
            let table = if vif == 0xFB {
                record::first_extension
            } else if last == 0xFD {
                page.add(1, "VIFE", "the code is of another table", "");
                last = next(page)?;
                record::third_extension
            } else {
                record::second_extension
            };
            page.add(1, "VIFE", "value information", meant(table(last)));
        }
        _ if vif & 0x7F == PLAIN_TEXT => page.add(1, "VIF", "the unit is a text", ""),
        _ => page.add(1, "VIF", "value information", meant(record::primary(vif))),
    }
    if vif & 0x7F == PLAIN_TEXT && record::text_begins(vif, page.left()) {
        explain_text(page, &header);
        last = vif;
    }
    let mut manufacturer = vif & 0x7F == 0x7F;
    let mut more = last & MORE != 0;
    while more && page.at < end {
        let vife = next(page)?;
        more = vife & MORE != 0;
        let code = vife & 0x7F;
        if !manufacturer && code == 0x7C && more {
            page.add(1, "VIFE", "the code is of another table", "");
            let extension = next(page)?;
            more = extension & MORE != 0;
            page.add(1, "VIFE", "narrows it down", further(extension & 0x7F));
            continue;
        }
        let meaning = if manufacturer {
            Qualifier::Manufacturer(code).to_string()
        } else {
            orthogonal(code)
        };
        page.add(1, "VIFE", "narrows it down", meaning);
        manufacturer |= code == 0x7F;
    }
    if page.at < end {
        explain_text(page, &header);
    }
    Some(header)
}

fn explain_text(page: &mut Page<'_>, header: &Header) {
    let length = page.left().first().copied().unwrap_or_default();
    page.add(1, "length", "of the text", length.to_string());
    let template = &header.template;
    let text = template
        .unit_text
        .as_deref()
        .unwrap_or(template.unit.symbol());
    page.add(
        length.into(),
        "text",
        "the unit, last character first",
        text,
    );
}

fn next(page: &Page<'_>) -> Option<u8> {
    page.left().first().copied()
}

fn data_information(dif: u8, field: Field) -> String {
    let mut text = match field {
        Field::None => "no data".to_owned(),
        Field::Integer(bytes) => format!("integer of {} bits", u32::from(bytes) * 8),
        Field::Real => "real number of 32 bits".to_owned(),
        Field::Digits(bytes) => format!("{} decimal digits", u32::from(bytes) * 2),
        Field::Variable => "variable length".to_owned(),
    };
    let function = Function::from_dif(dif);
    if function != Function::Instantaneous {
        text += &format!(", {function}");
    }
    if dif & 0x40 != 0 {
        text += ", storage 1";
    }
    text
}

/// What a DIFE adds to storage number, tariff and subunit.
fn extension(dife: u8, position: u32) -> String {
    let storage = u64::from(dife & 0x0F) << (1 + 4 * position).min(60);
    let tariff = u64::from(dife >> 4 & 0x03) << (2 * position);
    let subunit = u64::from(dife >> 6 & 0x01) << position;
    let parts = [
        ("storage", storage),
        ("tariff", tariff),
        ("subunit", subunit),
    ];
    let parts = parts.iter().filter(|(_, number)| *number != 0);
    let parts: Vec<_> = parts
        .map(|(name, number)| format!("{name} +{number}"))
        .collect();
    parts.join(", ")
}

fn meant(meaning: Meaning) -> String {
    let Meaning {
        quantity,
        unit,
        exponent,
        coding,
    } = meaning;
    match (unit, coding) {
        (_, Coding::Fraction) => format!("{quantity}, in 2^-12"),
        (Unit::None, _) => quantity.to_string(),
        _ if exponent == 0 => format!("{quantity}, in {unit}"),
        _ => format!("{quantity}, in {} {unit}", Decimal::new(1, exponent)),
    }
}

fn orthogonal(code: u8) -> String {
    let mut correction = Correction::power(0);
    if correction.apply(code) {
        return match code {
            0x78..=0x7B => format!("plus {} units", Decimal::new(1, (code & 0x03) as i8 - 3)),
            0x7D => "times 1000".to_owned(),
            _ => format!("times {}", Decimal::new(1, (code & 0x07) as i8 - 6)),
        };
    }
    match code {
        0x00 => "no error".to_owned(),
        0x7F => "the codes that follow are the manufacturer's".to_owned(),
        code => Qualifier::Standard(code).to_string(),
    }
}

fn further(code: u8) -> String {
    match code {
        0x11 => "the integer is unsigned".to_owned(),
        0x12 => "the integer is bits".to_owned(),
        code => Qualifier::Extension(code).to_string(),
    }
}

fn length(kind: u8) -> String {
    match kind {
        0x00..=0xBF => format!("text or bytes, {kind}"),
        0xC0..=0xC9 => format!("{} decimal digits", (kind - 0xC0) * 2),
        0xD0..=0xD9 => format!("{} decimal digits, negative", (kind - 0xD0) * 2),
        0xE0..=0xEF => format!("integer of {} bytes", kind - 0xE0),
        0xF0..=0xF4 => format!("integer of {} bytes", 4 * (kind - 0xEC)),
        0xF5 => "integer of 48 bytes".to_owned(),
        0xF6 => "integer of 64 bytes".to_owned(),
        _ => "reserved".to_owned(),
    }
}

/// What a record is about.
fn label(record: &Record) -> String {
    let mut text = record.quantity.to_string();
    for qualifier in record.qualifiers.iter() {
        text += &format!(" {qualifier}");
    }
    if record.function != Function::Instantaneous {
        text += &format!(", {}", record.function);
    }
    for (name, number) in [
        ("storage", record.storage),
        ("tariff", record.tariff.into()),
        ("subunit", record.subunit.into()),
    ] {
        if number != 0 {
            text += &format!(", {name} {number}");
        }
    }
    text
}

fn told_value(record: &Record) -> String {
    let unit = record.unit_text.as_deref().unwrap_or(record.unit.symbol());
    let mut text = match &record.value {
        Value::Absent => "no value".to_owned(),
        Value::Invalid(time) => format!("{time}, marked invalid"),
        Value::Text(text) => format!("\"{text}\" {unit}"),
        value => format!("{value} {unit}"),
    };
    if let Some(time) = record.time {
        text += &format!(" at {time}");
    }
    text.trim_end().to_owned()
}

const MORE: u8 = 0x80;
const PLAIN_TEXT: u8 = 0x7C;
