//! The values of a reading as JSON: `{"energy_import":{"value":2060,"unit":"Wh"},…}`. Numbers are exact decimals, never binary fractions.

use std::collections::HashSet;

use serde::ser::{Serialize, SerializeMap, SerializeStruct, Serializer};
use serde_json::Number;
use wmbus::{Field, Unit, Value};

/// Named values, each name once: of a meter that sends a value twice, the first counts.
pub struct Fields<'a>(pub &'a [Field<'a>]);

/// A number, a text, or nothing where the meter has no value.
pub struct ValueJson<'a>(pub &'a Value);

/// How the unit is written; plain numbers have none.
pub fn symbol(unit: Unit) -> Option<&'static str> {
    (unit != Unit::None).then_some(unit.symbol())
}

impl<'a> Fields<'a> {
    /// The fields, each name once.
    pub fn iter(&self) -> impl Iterator<Item = &'a Field<'a>> + use<'a> {
        let mut names = HashSet::with_capacity(self.0.len());
        self.0
            .iter()
            .filter(move |field| names.insert(field.name.as_str()))
    }
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        for field in self.iter() {
            object.serialize_entry(&field.name, &FieldJson(&field.value, field.unit))?;
        }
        object.end()
    }
}

/// One value with its unit.
pub struct FieldJson<'a>(pub &'a Value, pub Unit);

impl Serialize for FieldJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Field", 2)?;
        object.serialize_field("value", &ValueJson(self.0))?;
        object.serialize_field("unit", &symbol(self.1))?;
        object.end()
    }
}

impl Serialize for ValueJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Absent => serializer.serialize_none(),
            // Plain notation of a decimal is a JSON number.
            Value::Decimal(decimal) => {
                Number::from_string_unchecked(decimal.to_string()).serialize(serializer)
            }
            Value::Text(text) => serializer.serialize_str(text),
            other => serializer.collect_str(other),
        }
    }
}
