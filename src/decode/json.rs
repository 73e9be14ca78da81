//! Answers as JSON. Numbers are exact decimals, never binary fractions.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::io::{self, Write};
use std::sync::Arc;

use omnigate_actors::driver::lines::LineError;
use omnigate_actors::output::fields::{self, ValueJson, symbol};
use serde::ser::{Serialize, SerializeMap, SerializeStruct, Serializer};
use wmbus::explain::{Explanation, Part};
use wmbus::{Error, ErrorKind, KeyError, Profile, Reading, Record, Value};

use super::explain::hex;

/// A telegram that was decoded.
pub struct Success {
    pub reading: Reading,
    pub profile: Option<Arc<Profile>>,
}

/// A telegram that was taken apart.
pub struct Explained {
    pub explanation: Explanation,
    pub profile: Option<Arc<Profile>>,
}

/// A line that was not decoded.
pub struct Failure {
    what: Cow<'static, str>,
    layer: &'static str,
    offset: usize,
    kind: Option<ErrorKind>,
}

impl Failure {
    /// There is nothing on the line, or only a comment.
    pub const NO_TELEGRAM: Self = Self {
        what: Cow::Borrowed("no telegram"),
        layer: LINE,
        offset: 0,
        kind: None,
    };

    /// Is it a part of a message of which others are to come?
    pub fn is_incomplete(&self) -> bool {
        self.kind == Some(ErrorKind::Incomplete)
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.layer, self.what)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let Error {
            layer,
            offset,
            kind,
        } = error;
        Self {
            what: kind.to_string().into(),
            layer: layer.name(),
            offset,
            kind: Some(kind),
        }
    }
}

impl From<LineError> for Failure {
    fn from(error: LineError) -> Self {
        let offset = match error {
            LineError::NotHex(character) => character - 1,
            _ => 0,
        };
        Self {
            what: error.to_string().into(),
            layer: LINE,
            offset,
            kind: None,
        }
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        Self {
            what: error.to_string().into(),
            layer: "key",
            offset: 0,
            kind: None,
        }
    }
}

/// Writes the answer and ends its line.
///
/// # Errors
/// Those of `out`.
pub fn write_line(answer: &impl Serialize, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, answer)?;
    out.write_all(b"\n")
}

impl Serialize for Failure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Failure", 3)?;
        object.serialize_field("error", &self.what)?;
        object.serialize_field("layer", self.layer)?;
        object.serialize_field("offset", &self.offset)?;
        object.end()
    }
}

impl Serialize for Success {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Reading {
            address,
            access_number,
            security,
            records,
            ..
        } = &self.reading;
        let mut object = serializer.serialize_struct("Success", 8)?;
        object.serialize_field("id", &Text(address.identification))?;
        object.serialize_field("manufacturer", &Text(address.manufacturer))?;
        object.serialize_field("version", &address.version)?;
        object.serialize_field("medium", &address.medium.0)?;
        object.serialize_field("access_number", &access_number.map(|number| number.0))?;
        object.serialize_field("security", &Text(security))?;
        object.serialize_field("records", &Records(records))?;
        object.serialize_field("fields", &Fields(self))?;
        object.end()
    }
}

impl Serialize for Explained {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Explanation {
            parts,
            joined,
            outcome,
            failed_at,
            ..
        } = &self.explanation;
        let mut object = serializer.serialize_map(None)?;
        object.serialize_entry("parts", &Parts(parts))?;
        if !joined.is_empty() {
            object.serialize_entry("joined", &Parts(joined))?;
        }
        match outcome {
            Ok(reading) => {
                let success = Success {
                    reading: reading.clone(),
                    profile: self.profile.clone(),
                };
                object.serialize_entry("decoded", &success)?;
            }
            Err(error) => {
                object.serialize_entry("error", &Text(error.kind))?;
                object.serialize_entry("layer", error.layer.name())?;
                object.serialize_entry("offset", failed_at)?;
            }
        }
        object.end()
    }
}

struct Parts<'a>(&'a [Part]);

impl Serialize for Parts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(PartJson))
    }
}

struct PartJson<'a>(&'a Part);

impl Serialize for PartJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let part = self.0;
        let mut object = serializer.serialize_map(None)?;
        object.serialize_entry("offset", &part.offset)?;
        object.serialize_entry("bytes", &hex(&part.bytes))?;
        if let Some(decrypted) = &part.decrypted {
            object.serialize_entry("decrypted", &hex(decrypted))?;
        }
        object.serialize_entry("layer", part.layer.name())?;
        object.serialize_entry("field", part.field)?;
        object.serialize_entry("meaning", &part.meaning)?;
        if !part.value.is_empty() {
            object.serialize_entry("value", &part.value)?;
        }
        object.end()
    }
}

/// What prints as text.
struct Text<T>(T);

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

struct Records<'a>(&'a [Record]);

impl Serialize for Records<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(RecordJson))
    }
}

struct RecordJson<'a>(&'a Record);

impl Serialize for RecordJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let record = self.0;
        let mut object = serializer.serialize_struct("Record", 8)?;
        object.serialize_field("quantity", &Text(record.quantity))?;
        object.serialize_field("value", &ValueJson(&record.value))?;
        object.serialize_field("unit", &record.unit_text.as_deref().or(symbol(record.unit)))?;
        object.serialize_field("storage", &record.storage)?;
        object.serialize_field("tariff", &record.tariff)?;
        object.serialize_field("subunit", &record.subunit)?;
        object.serialize_field("function", record.function.name())?;
        object.serialize_field("qualifiers", &Qualifiers(record))?;
        object.end()
    }
}

struct Qualifiers<'a>(&'a Record);

impl Serialize for Qualifiers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let qualifiers = self.0.qualifiers.iter();
        let qualifiers = qualifiers.map(|qualifier| qualifier.to_string());
        let invalid = matches!(self.0.value, Value::Invalid(_));
        serializer.collect_seq(qualifiers.chain(invalid.then(|| "invalid".to_owned())))
    }
}

/// The values that the meter's profile names; without a profile, all of them under generated names.
struct Fields<'a>(&'a Success);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Success { reading, profile } = self.0;
        let unknown;
        let profile = match profile {
            Some(profile) => profile.as_ref(),
            None => {
                unknown = Profile::unknown(reading.address.manufacturer);
                &unknown
            }
        };
        fields::Fields(&reading.fields(profile)).serialize(serializer)
    }
}

/// The layer of errors that are about the line and not about a telegram.
const LINE: &str = "line";
