//! Device knowledge as data: which meters there are, and what their records are called.
//!
//! A profile is a TOML file, `profiles/<manufacturer>/<model>.toml`; its README says how to write one. The ones in the
//! crate are embedded in it; others can add to them or take their places.

mod document;
mod embedded;
mod file;
mod set;

pub use document::ProfileError;
pub use file::ProfileFile;
pub use set::{MeterType, Profiles};

use crate::address::Manufacturer;
use crate::compact::Layout;
use crate::decimal::Decimal;
use crate::record::{Record, Value};
use crate::unit::Unit;

/// A type of meter: how to recognise it, and what its records are called.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Profile {
    /// Who makes it.
    pub manufacturer: Manufacturer,
    /// What the maker calls it.
    pub model: String,
    /// Names that a set message may give it, or that its names begin with.
    pub device_keys: Vec<String>,
    /// The addresses that belong to it.
    pub meters: Vec<MeterType>,
    /// The layouts of its compact frames.
    pub layouts: Vec<Layout>,
    /// Its values; if there are none, names are generated.
    pub fields: Vec<Field>,
    /// What is published of it on the ReCalc interface.
    pub channels: Vec<Channel>,
    /// Where it does not follow the standard.
    pub quirks: Vec<Quirk>,
    /// The test vectors that show it.
    pub vectors: Vec<String>,
}

impl Profile {
    /// The profile of a meter of which nothing is known: names are generated.
    #[must_use]
    pub const fn unknown(manufacturer: Manufacturer) -> Self {
        Self {
            manufacturer,
            model: String::new(),
            device_keys: Vec::new(),
            meters: Vec::new(),
            layouts: Vec::new(),
            fields: Vec::new(),
            channels: Vec::new(),
            quirks: Vec::new(),
            vectors: Vec::new(),
        }
    }

    /// Reads a profile file.
    ///
    /// # Errors
    /// All mistakes, in the order of their lines; of very many the first hundred.
    pub fn parse(text: &str) -> Result<Self, Vec<ProfileError>> {
        ProfileFile::parse(text).map(|file| file.profile)
    }

    /// The fields with this name: more than one only where meters of the type send different units that no power of
    /// ten connects.
    pub fn fields_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Field> {
        self.fields.iter().filter(move |field| field.name == name)
    }

    /// Does it have this quirk?
    #[inline]
    #[must_use]
    pub fn has(&self, flag: Flag) -> bool {
        self.quirks.iter().any(|quirk| quirk.flag == flag)
    }
}

/// A named value of a type of meter.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// The name, in `snake_case`, without the unit.
    pub name: String,
    /// The unit in which it is published.
    pub unit: Unit,
    /// What the value means to its reader.
    pub info: String,
    /// The record: what it means and where it belongs; its size and scale do not matter.
    pub(crate) template: Record,
    /// How many storage numbers in a row have this field, from the template's on. Above 1, names are numbered from 1.
    pub(crate) count: u64,
    /// What the meter means by its number, where the VIF does not tell, or tells another unit.
    pub(crate) means: Option<Meaning>,
    /// The bits of an integer that are this field: the lowest, and how many.
    pub(crate) bits: Option<(u8, u8)>,
}

/// What a number means, whatever its VIF says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meaning {
    pub unit: Unit,
    /// The power of ten by which the number is to be multiplied.
    pub exponent: i8,
}

impl Field {
    /// Is this the field of that record?
    #[inline]
    pub(crate) fn takes(&self, record: &Record) -> bool {
        let template = &self.template;
        template.quantity == record.quantity
            && record.storage >= template.storage
            && record.storage - template.storage < self.count
            && template.tariff == record.tariff
            && template.subunit == record.subunit
            && template.function == record.function
            && template.qualifiers == record.qualifiers
            && (record.value.decimal().is_none()
                || self.unit_of(record).power_to(self.unit).is_some())
    }

    const fn unit_of(&self, record: &Record) -> Unit {
        match self.means {
            Some(Meaning { unit, .. }) => unit,
            None => record.unit,
        }
    }

    /// The record's value in `unit`; absent if no power of ten leads there.
    pub(crate) fn value_of(&self, record: &Record, unit: Unit) -> Value {
        let Value::Decimal(mut number) = record.value else {
            return record.value.valid();
        };
        if let Some((lowest, count)) = self.bits {
            let bits = number.mantissa() >> lowest & !(-1 << count);
            number = Decimal::from(bits);
        }
        let exponent = self.means.map_or(0, |meaning| meaning.exponent);
        self.unit_of(record)
            .power_to(unit)
            .and_then(|power| number.scaled(power.checked_add(exponent)?))
            .into()
    }

    /// The name, with the number that the record has among several.
    pub(crate) fn name_of(&self, record: &Record) -> String {
        match self.count {
            1 => self.name.clone(),
            _ => format!(
                "{}_{}",
                self.name,
                record.storage - self.template.storage + 1
            ),
        }
    }
}

/// A channel of the ReCalc interface: one of the numbers that are published for every telegram.
#[derive(Clone, Debug, PartialEq)]
pub struct Channel {
    /// Its number, from 1.
    pub number: u32,
    /// What kind of number it is, in the interface's words.
    pub data_type: String,
    /// What people call it.
    pub name: String,
    /// The field that it publishes.
    pub field: String,
    /// The unit in which it is published.
    pub unit: Unit,
}

/// Where a meter does not follow the standard.
#[derive(Clone, Debug, PartialEq)]
pub struct Quirk {
    /// What is different.
    pub flag: Flag,
    /// How we know.
    pub why: String,
}

/// What can be different.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Flag {
    /// Integers are unsigned (type C), where the standard's default is signed (type B).
    Unsigned,
}
