//! The catalogue: what each meter is, and which values it has been heard to send, as the state output learned it from readings.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use wmbus::{Address, Field, Profile, Unit, Value};

use super::register::is_register;
use crate::meter::MeterId;

/// Shared by the state output, which writes it, and the bridge, which reads it. One entry per meter.
#[derive(Default)]
pub struct Catalogue(Mutex<HashMap<MeterId, Arc<Entry>>>);

/// What is known of one meter. Another one takes its place when more becomes known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The version in its address.
    pub version: u8,
    /// What it measures: the device type in its address.
    pub medium: u8,
    /// What the maker calls it; empty if that is not known.
    pub model: String,
    /// Its values, in the order in which they were first heard.
    pub fields: Vec<KnownField>,
}

/// A value that a meter sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownField {
    /// Its name.
    pub name: String,
    /// Its unit.
    pub unit: Unit,
    /// What it is in JSON.
    pub kind: Kind,
    /// It belongs to the past: a stored value.
    pub stored: bool,
}

/// What a value is in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A number with at most so many digits behind the point.
    Number(u8),
    /// A number that only rises, with at most so many digits behind the point.
    Register(u8),
    /// A text, a date or bytes.
    Text,
}

impl Catalogue {
    /// What is known of a meter that was heard.
    pub fn entry(&self, meter: MeterId) -> Option<Arc<Entry>> {
        self.entries().get(&meter).cloned()
    }

    /// What was known of a meter when the program ran before; what was heard since counts more.
    pub fn recall(&self, meter: MeterId, entry: Entry) {
        self.entries()
            .entry(meter)
            .and_modify(|known| {
                if let Some(merged) = known.with_fields_of(&entry) {
                    *known = Arc::new(merged);
                }
            })
            .or_insert_with(|| Arc::new(entry));
    }

    /// The meter is no longer monitored.
    pub(crate) fn forget(&self, meter: MeterId) {
        self.entries().remove(&meter);
    }

    /// A reading with these values was heard.
    pub(super) fn learn(
        &self,
        meter: MeterId,
        address: Address,
        profile: &Profile,
        fields: &[Field<'_>],
    ) {
        let mut entries = self.entries();
        let known = entries.get(&meter);
        let same_type = known.filter(|known| known.is_of(address, profile));
        let mut entry = match same_type {
            Some(known) if fields.iter().all(|field| known.covers(field)) => return,
            Some(known) => Entry::clone(known),
            None => Entry {
                version: address.version,
                medium: address.medium.0,
                model: profile.model.clone(),
                fields: Vec::new(),
            },
        };
        fields.iter().for_each(|field| entry.add(field));
        entries.insert(meter, Arc::new(entry));
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<MeterId, Arc<Entry>>> {
        // Nothing that is done under the lock can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn is_of(&self, address: Address, profile: &Profile) -> bool {
        (self.version, self.medium, &self.model)
            == (address.version, address.medium.0, &profile.model)
    }

    /// The same with the fields that only the other has, if it is of the same type and has some.
    fn with_fields_of(&self, other: &Self) -> Option<Self> {
        let same_type =
            (self.version, self.medium, &self.model) == (other.version, other.medium, &other.model);
        let is_new = |field: &&KnownField| self.fields.iter().all(|known| known.name != field.name);
        let mut new = other.fields.iter().filter(is_new).peekable();
        new.peek().filter(|_| same_type)?;
        let mut merged = self.clone();
        merged.fields.extend(new.cloned());
        Some(merged)
    }

    /// Whether the field would add nothing.
    fn covers(&self, field: &Field<'_>) -> bool {
        let Some(kind) = Kind::of(field) else {
            return true;
        };
        let known = self.fields.iter().find(|known| known.name == field.name);
        known.is_some_and(|known| known.kind.with(kind) == known.kind)
    }

    fn add(&mut self, field: &Field<'_>) {
        let Some(kind) = Kind::of(field) else {
            return;
        };
        match self
            .fields
            .iter_mut()
            .find(|known| known.name == field.name)
        {
            Some(known) => known.kind = known.kind.with(kind),
            None => self.fields.push(KnownField {
                name: field.name.clone(),
                unit: field.unit,
                kind,
                stored: field.record.storage != 0,
            }),
        }
    }
}

impl Kind {
    /// Unknown while the meter has no value.
    fn of(field: &Field<'_>) -> Option<Self> {
        match &field.value {
            Value::Absent | Value::Invalid(_) => None,
            Value::Decimal(number) => {
                let digits = number.exponent().min(0).unsigned_abs();
                Some(match is_register(field) {
                    true => Self::Register(digits),
                    false => Self::Number(digits),
                })
            }
            _ => Some(Self::Text),
        }
    }

    /// The kind of which both are. What was once a number stays one.
    fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => Self::Number(a.max(b)),
            (Self::Register(a), Self::Register(b)) => Self::Register(a.max(b)),
            (kind, _) => kind,
        }
    }
}
