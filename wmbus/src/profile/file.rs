//! Profile files: TOML, read strictly.

use serde::Deserialize;
use toml::Spanned;

use super::document::{Document, Mistake, ProfileError, at};
use super::{Channel, Field, Flag, Meaning, MeterType, Profile, Quirk};
use crate::address::{Manufacturer, Medium};
use crate::compact::Layout;
use crate::unit::Unit;

/// A profile as it stands in a file, with the lines that later mistakes may blame.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProfileFile {
    /// The profile.
    pub profile: Profile,
    /// The line of `model`.
    pub model_line: usize,
    /// The line of each meter that it is for.
    pub meter_lines: Vec<usize>,
}

impl ProfileFile {
    /// Reads a profile file; the README of the profiles says what the keys mean.
    ///
    /// # Errors
    /// All mistakes, in the order of their lines; of very many the first hundred.
    pub fn parse(text: &str) -> Result<Self, Vec<ProfileError>> {
        let mut document = Document::new(text);
        match Self::read(&mut document) {
            Some(file) if document.is_right() => match document.mistakes() {
                none if none.is_empty() => Ok(file),
                unknown => Err(unknown),
            },
            _ => Err(document.mistakes()),
        }
    }

    /// `None` if it is not all there; what there is, is read to its end for the mistakes in it.
    fn read(document: &mut Document<'_>) -> Option<Self> {
        let letters_given = document.required::<Spanned<String>>("manufacturer");
        let manufacturer = letters_given.and_then(|text| {
            let letters = letters(text.get_ref());
            document.checked("manufacturer", letters)
        });
        let model = document.required::<String>("model").and_then(|model| {
            let named = match model.get_ref().trim() {
                "" => Err(at(&model, "a model needs a name")),
                _ => Ok(model),
            };
            document.checked("model", named)
        });
        let device_keys = device_keys(document);
        let (meters, meter_lines) = meters(document, manufacturer);
        let mut layouts = layouts(document);
        let fields = fields(document);
        let channels = channels(document, fields.as_deref());
        let quirks = quirks(document);
        let vectors = document.list::<String>("vectors");
        if quirks.iter().any(|quirk| quirk.flag == Flag::Unsigned) {
            layouts.iter_mut().for_each(Layout::take_for_unsigned);
        }
        let model = model?;
        Some(Self {
            model_line: document.line_of(&model),
            meter_lines,
            profile: Profile {
                manufacturer: manufacturer?,
                model: model.into_inner(),
                device_keys,
                meters,
                layouts,
                fields: fields?,
                channels,
                quirks,
                vectors: vectors.into_iter().map(Spanned::into_inner).collect(),
            },
        })
    }
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
    number: Spanned<u32>,
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

fn device_keys(document: &mut Document<'_>) -> Vec<String> {
    let keys = document.list::<String>("device_keys");
    keys.into_iter()
        .filter_map(|key| {
            // An empty one would be the beginning of every name.
            let named = match key.get_ref().trim() {
                "" => Err(at(&key, "a device key needs a name")),
                _ => Ok(key.into_inner()),
            };
            document.checked("device_keys", named)
        })
        .collect()
}

fn meters(
    document: &mut Document<'_>,
    manufacturer: Option<Manufacturer>,
) -> (Vec<MeterType>, Vec<usize>) {
    let mut meters: Vec<MeterType> = Vec::new();
    let mut lines = Vec::new();
    for meter in document.list::<FileMeter>("match") {
        // Without one, the mistake has been told.
        let manufacturer = manufacturer.unwrap_or(Manufacturer(0));
        let read = meter_type(&meter, manufacturer).and_then(|read| match meters.contains(&read) {
            true => Err(at(&meter, "this meter stands here twice")),
            false => Ok(read),
        });
        if let Some(read) = document.checked("match", read) {
            meters.push(read);
            lines.push(document.line_of(&meter));
        }
    }
    if meters.is_empty() && document.is_right() {
        let _: Option<()> = document.checked("match", Err((0, "it is for no meter".to_owned())));
    }
    (meters, lines)
}

fn layouts(document: &mut Document<'_>) -> Vec<Layout> {
    let layouts = document.list::<Spanned<String>>("compact_layouts");
    layouts
        .into_iter()
        .filter_map(|layout| {
            let layout = layout.into_inner();
            let read = hex(&layout).and_then(|headers| {
                Layout::from_headers(&headers).map_err(|error| at(&layout, &error.to_string()))
            });
            document.checked("compact_layouts", read)
        })
        .collect()
}

/// `None` if one of them is wrong.
fn fields(document: &mut Document<'_>) -> Option<Vec<Field>> {
    let right_before = document.is_right();
    let mut fields: Vec<Field> = Vec::new();
    for given in document.list::<FileField>("fields") {
        let given = given.into_inner();
        let unit = given.unit.unwrap_or(Unit::None);
        let mut before = fields.iter();
        let twice = before.any(|field| {
            field.name == *given.name.get_ref() && field.unit.power_to(unit).is_some()
        });
        let read = match twice {
            true => Err(("name", at(&given.name, "two fields have this name"))),
            false => field(&given),
        };
        match read {
            Ok(field) => fields.push(field),
            Err((key, mistake)) => {
                let _: Option<()> = document.checked(&format!("fields.{key}"), Err(mistake));
            }
        }
    }
    (document.is_right() || !right_before).then_some(fields)
}

/// Without fields, because one of them is wrong, nothing can be said of theirs.
fn channels(document: &mut Document<'_>, fields: Option<&[Field]>) -> Vec<Channel> {
    let mut channels: Vec<Channel> = Vec::new();
    for given in document.list::<FileChannel>("channels") {
        let given = given.into_inner();
        let number = *given.number.get_ref();
        let read = match fields {
            _ if number == 0 => Err(("number", at(&given.number, "channels count from 1"))),
            _ if channels.iter().any(|channel| channel.number == number) => {
                Err(("number", at(&given.number, "two channels have this number")))
            }
            None => continue,
            Some(fields) => channel(given, fields).map_err(|mistake| ("field", mistake)),
        };
        match read {
            Ok(channel) => channels.push(channel),
            Err((key, mistake)) => {
                let _: Option<()> = document.checked(&format!("channels.{key}"), Err(mistake));
            }
        }
    }
    channels
}

fn quirks(document: &mut Document<'_>) -> Vec<Quirk> {
    let quirks = document.list::<FileQuirk>("quirks");
    quirks
        .into_iter()
        .filter_map(|given| document.checked("quirks.why", quirk(given.into_inner())))
        .collect()
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

fn field(field: &FileField) -> Result<Field, (&'static str, Mistake)> {
    let name = field.name.get_ref();
    let snake_case = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    if !snake_case {
        return Err(("name", at(&field.name, "a name is snake_case")));
    }
    if field.info.get_ref().trim().is_empty() {
        return Err(("info", at(&field.info, "say what the value means")));
    }
    let wrong = |message: &str| ("dif_vif", at(&field.dif_vif, message));
    let headers = hex(&field.dif_vif).map_err(|mistake| ("dif_vif", mistake))?;
    let layout = Layout::from_headers(&headers).map_err(|error| wrong(&error.to_string()))?;
    let [template] = layout.templates().collect::<Vec<_>>()[..] else {
        return Err(wrong("this is not the header of one record"));
    };
    let unit = field.unit.unwrap_or(Unit::None);
    let sent = field.means.unwrap_or(template.unit);
    if sent.power_to(unit).is_none() {
        let message = format!(
            "no power of ten leads from the record's unit {:?} to {:?}",
            sent.symbol(),
            unit.symbol()
        );
        return Err(wrong(&message));
    }
    let means = (field.means.is_some() || field.exponent.is_some()).then(|| Meaning {
        unit: sent,
        exponent: field.exponent.unwrap_or(0),
    });
    let bits = match &field.bits {
        None => None,
        Some(bits) => match *bits.get_ref() {
            [first, last] if first <= last && last < 63 => Some((first, last - first + 1)),
            _ => {
                return Err(("bits", at(bits, "bits are [lowest, highest], at most 62")));
            }
        },
    };
    let count = match &field.count {
        None => 1,
        Some(count) if *count.get_ref() >= 2 => *count.get_ref(),
        Some(count) => return Err(("count", at(count, "a count is 2 or more"))),
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
        number: *channel.number.get_ref(),
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
