//! Profile files: TOML, read strictly.

use core::fmt;

use serde::Deserialize;
use toml::Spanned;

use super::{Channel, Field, Flag, Meaning, MeterType, Profile, Quirk};
use crate::address::{Manufacturer, Medium};
use crate::compact::Layout;
use crate::unit::Unit;

/// A mistake in a profile file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileError {
    /// The line, from 1; 0 where no line is to blame.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for ProfileError {}

/// The file's keys; the README of the profiles says what they mean.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    manufacturer: Spanned<String>,
    model: Spanned<String>,
    #[serde(default)]
    device_keys: Vec<String>,
    #[serde(rename = "match")]
    meters: Vec<Spanned<FileMeter>>,
    #[serde(default)]
    compact_layouts: Vec<Spanned<String>>,
    #[serde(default)]
    fields: Vec<FileField>,
    #[serde(default)]
    channels: Vec<FileChannel>,
    #[serde(default)]
    quirks: Vec<FileQuirk>,
    #[serde(default)]
    vectors: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileMeter {
    /// Where it is not the file's.
    manufacturer: Option<String>,
    version: u8,
    r#type: u8,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileField {
    name: Spanned<String>,
    dif_vif: Spanned<String>,
    #[serde(default)]
    unit: Option<Unit>,
    info: Spanned<String>,
    #[serde(default)]
    count: Option<Spanned<u64>>,
    #[serde(default)]
    means: Option<Unit>,
    #[serde(default)]
    exponent: Option<i8>,
    #[serde(default)]
    bits: Option<Spanned<[u8; 2]>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileChannel {
    number: u32,
    data_type: String,
    name: String,
    field: Spanned<String>,
    unit: Unit,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileQuirk {
    flag: Flag,
    why: Spanned<String>,
}

/// Reads a profile file.
pub(super) fn parse(text: &str) -> Result<Profile, ProfileError> {
    let file: File = toml::from_str(text).map_err(|error| ProfileError {
        line: error.span().map_or(0, |span| line_of(text, span.start)),
        message: error.message().to_owned(),
    })?;
    // What the types cannot say is checked here; each mistake names the place of the value to blame.
    file.build().map_err(|(offset, message)| ProfileError {
        line: line_of(text, offset),
        message,
    })
}

/// Where a mistake is, in bytes from the start, and what it is.
type Mistake = (usize, String);

impl File {
    fn build(self) -> Result<Profile, Mistake> {
        let manufacturer: Manufacturer = letters(&self.manufacturer)?;
        if self.model.get_ref().trim().is_empty() {
            return Err(at(&self.model, "a model needs a name"));
        }
        let meters = self
            .meters
            .iter()
            .map(|meter| meter_type(meter, manufacturer))
            .collect::<Result<_, _>>()?;
        let mut layouts: Vec<Layout> = self
            .compact_layouts
            .iter()
            .map(|layout| {
                Layout::from_headers(&hex(layout)?).map_err(|error| at(layout, &error.to_string()))
            })
            .collect::<Result<_, _>>()?;
        let fields: Vec<Field> = self
            .fields
            .iter()
            .map(field)
            .collect::<Result<_, Mistake>>()?;
        for (position, this) in self.fields.iter().enumerate() {
            let unit = this.unit.unwrap_or(Unit::None);
            let mut before = fields.iter().take(position);
            if before.any(|field| {
                field.name == *this.name.get_ref() && field.unit.power_to(unit).is_some()
            }) {
                return Err(at(&this.name, "two fields have this name"));
            }
        }
        let channels = self
            .channels
            .into_iter()
            .map(|wanted| channel(wanted, &fields))
            .collect::<Result<_, _>>()?;
        let quirks = self
            .quirks
            .into_iter()
            .map(quirk)
            .collect::<Result<Vec<Quirk>, _>>()?;
        if quirks.iter().any(|quirk| quirk.flag == Flag::Unsigned) {
            layouts.iter_mut().for_each(Layout::take_for_unsigned);
        }
        Ok(Profile {
            manufacturer,
            model: self.model.into_inner(),
            device_keys: self.device_keys,
            meters,
            layouts,
            fields,
            channels,
            quirks,
            vectors: self.vectors,
        })
    }
}

fn letters(text: &Spanned<String>) -> Result<Manufacturer, Mistake> {
    text.get_ref()
        .parse()
        .map_err(|_| at(text, "a manufacturer is three letters"))
}

fn meter_type(
    meter: &Spanned<FileMeter>,
    manufacturer: Manufacturer,
) -> Result<MeterType, Mistake> {
    let FileMeter {
        manufacturer: other,
        version,
        r#type,
    } = meter.get_ref();
    let manufacturer = match other {
        None => manufacturer,
        Some(letters) => letters
            .parse()
            .map_err(|_| at(meter, "a manufacturer is three letters"))?,
    };
    Ok(MeterType {
        manufacturer,
        version: *version,
        medium: Medium(*r#type),
    })
}

fn field(field: &FileField) -> Result<Field, Mistake> {
    let name = field.name.get_ref();
    let snake_case = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    if !snake_case {
        return Err(at(&field.name, "a name is snake_case"));
    }
    if field.info.get_ref().trim().is_empty() {
        return Err(at(&field.info, "say what the value means"));
    }
    let headers = hex(&field.dif_vif)?;
    let layout =
        Layout::from_headers(&headers).map_err(|error| at(&field.dif_vif, &error.to_string()))?;
    let [template] = layout.templates().collect::<Vec<_>>()[..] else {
        return Err(at(&field.dif_vif, "this is not the header of one record"));
    };
    let unit = field.unit.unwrap_or(Unit::None);
    let sent = field.means.unwrap_or(template.unit);
    if sent.power_to(unit).is_none() {
        let message = format!(
            "no power of ten leads from the record's unit {:?} to {:?}",
            sent.symbol(),
            unit.symbol()
        );
        return Err(at(&field.dif_vif, &message));
    }
    let means = (field.means.is_some() || field.exponent.is_some()).then(|| Meaning {
        unit: sent,
        exponent: field.exponent.unwrap_or(0),
    });
    let bits = match &field.bits {
        None => None,
        Some(bits) => match *bits.get_ref() {
            [first, last] if first <= last && last < 63 => Some((first, last - first + 1)),
            _ => return Err(at(bits, "bits are [lowest, highest], at most 62")),
        },
    };
    let count = match &field.count {
        None => 1,
        Some(count) if *count.get_ref() >= 2 => *count.get_ref(),
        Some(count) => return Err(at(count, "a count is 2 or more")),
    };
    Ok(Field {
        name: name.clone(),
        unit,
        info: field.info.get_ref().clone(),
        template: template.clone(),
        count,
        means,
        bits,
    })
}

fn channel(channel: FileChannel, fields: &[Field]) -> Result<Channel, Mistake> {
    let name = channel.field.get_ref();
    let mut named = fields.iter().filter(|field| field.name == *name).peekable();
    if named.peek().is_none() {
        return Err(at(&channel.field, "there is no such field"));
    }
    if !named.any(|field| field.unit.power_to(channel.unit).is_some()) {
        return Err(at(
            &channel.field,
            "no power of ten leads to the channel's unit",
        ));
    }
    Ok(Channel {
        number: channel.number,
        data_type: channel.data_type,
        name: channel.name,
        field: channel.field.into_inner(),
        unit: channel.unit,
    })
}

fn quirk(quirk: FileQuirk) -> Result<Quirk, Mistake> {
    if quirk.why.get_ref().trim().is_empty() {
        return Err(at(&quirk.why, "a quirk needs its reason"));
    }
    Ok(Quirk {
        flag: quirk.flag,
        why: quirk.why.into_inner(),
    })
}

/// Bytes in hexadecimal, spaces anywhere between them.
fn hex(text: &Spanned<String>) -> Result<Vec<u8>, Mistake> {
    let digits: Option<Vec<u8>> = text
        .get_ref()
        .chars()
        .filter(|letter| !letter.is_ascii_whitespace())
        .map(|letter| letter.to_digit(16).map(|digit| digit as u8))
        .collect();
    let digits = digits.unwrap_or_default();
    if digits.is_empty() || !digits.len().is_multiple_of(2) {
        return Err(at(text, "these are no bytes in hexadecimal"));
    }
    Ok(digits
        .chunks_exact(2)
        .filter_map(|pair| Some(pair.first()? << 4 | pair.last()?))
        .collect())
}

fn at<T>(place: &Spanned<T>, message: &str) -> Mistake {
    (place.span().start, message.to_owned())
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.get(..offset).unwrap_or(text);
    1 + before.bytes().filter(|&byte| byte == b'\n').count()
}
