//! A reading: what one telegram of one meter says.

use core::fmt::Write as _;
use std::collections::HashMap;

use crate::address::Address;
use crate::decimal::Decimal;
use crate::ell::SessionNumber;
use crate::profile::{Channel, Profile};
use crate::record::{Function, Moment, Quantity, Record, Value};
use crate::telegram::{AccessNumber, Authentication, Plain, Security};
use crate::unit::Unit;

/// What one telegram says: the meter, how the telegram was protected, and the records.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Reading {
    /// The meter that measured.
    pub address: Address,
    /// Counts the telegrams; the repetition of a telegram keeps it.
    pub access_number: Option<AccessNumber>,
    /// The meter's status byte (EN 13757-7, 7.5.6).
    pub status: Option<u8>,
    /// The session number of the extended link layer: may not go back while a key is in use.
    pub session: Option<SessionNumber>,
    /// The message counter of the authentication layer: must rise while a key is in use.
    pub message_counter: Option<u32>,
    /// How the telegram declares itself protected.
    pub security: Security,
    /// What was verified.
    pub authentication: Authentication,
    /// The records, in the order sent.
    pub records: Vec<Record>,
    /// Does the meter say that more records come in its next telegram?
    pub more_follow: bool,
}

impl Reading {
    /// The reading of a payload with these records.
    #[inline]
    pub(crate) fn new(plain: &Plain<'_>, records: Vec<Record>, more_follow: bool) -> Self {
        Self {
            address: plain.address,
            access_number: plain.access_number,
            status: plain.status,
            session: plain.session,
            message_counter: plain.message_counter,
            security: plain.security,
            authentication: plain.authentication,
            records,
            more_follow,
        }
    }

    /// The values that the profile names, in the profile's order, each in the profile's unit; for a profile that names
    /// none, all values under generated names, which stay the same as long as the meter sends the same records in the
    /// same order. Absent values are among them.
    #[must_use]
    pub fn fields<'a>(&'a self, profile: &'a Profile) -> Vec<Field<'a>> {
        if profile.fields.is_empty() {
            return self.generated_fields();
        }
        let mut fields = Vec::new();
        for wanted in &profile.fields {
            for record in self.records.iter().filter(|record| wanted.takes(record)) {
                let name = wanted.name_of(record);
                fields.extend(Field::of_time(&name, record));
                fields.push(Field {
                    name,
                    value: wanted.value_of(record, wanted.unit),
                    unit: wanted.unit,
                    info: Some(&wanted.info),
                    record,
                });
            }
        }
        fields
    }

    /// The value of one channel of the profile, in the channel's unit; `None` if it was not sent, or is absent.
    #[must_use]
    pub fn channel(&self, profile: &Profile, channel: &Channel) -> Option<Decimal> {
        let mut fields = profile.fields_named(&channel.field);
        fields.find_map(|wanted| {
            let record = self.records.iter().find(|record| wanted.takes(record))?;
            wanted.value_of(record, channel.unit).decimal()
        })
    }

    fn generated_fields(&self) -> Vec<Field<'_>> {
        let mut fields: Vec<Field<'_>> = Vec::with_capacity(self.records.len());
        let mut seen: HashMap<String, u32> = HashMap::with_capacity(self.records.len());
        for record in &self.records {
            if matches!(record.quantity, Quantity::ManufacturerData | Quantity::Rest) {
                continue;
            }
            let mut name = generated_name(record);
            let times = seen.entry(name.clone()).or_insert(0);
            *times += 1;
            if *times > 1 {
                let _ = write!(name, "_{times}");
            }
            fields.extend(Field::of_time(&name, record));
            fields.push(Field {
                name,
                value: record.value.valid(),
                unit: record.unit,
                info: None,
                record,
            });
        }
        fields
    }
}

/// A named value of a reading.
#[derive(Clone, Debug, PartialEq)]
pub struct Field<'a> {
    /// The name, in `snake_case`, without the unit.
    pub name: String,
    /// The value, in `unit`.
    pub value: Value,
    /// The unit.
    pub unit: Unit,
    /// What the value means, in the words of the profile.
    pub info: Option<&'a str>,
    /// The record that has the value, or whose time it is.
    pub record: &'a Record,
}

impl<'a> Field<'a> {
    /// When the value of a field was true, as a field of its own.
    fn of_time(name: &str, record: &'a Record) -> Option<Self> {
        let time: Moment = record.time?;
        Some(Self {
            name: format!("{name}_date"),
            value: time.into(),
            unit: Unit::None,
            info: None,
            record,
        })
    }
}

/// The name of a record without a profile: quantity, qualifiers, function, and the numbers that are not 0.
fn generated_name(record: &Record) -> String {
    let mut name = record.quantity.to_string();
    let mut add = |part: core::fmt::Arguments<'_>| {
        // Writing to a string cannot fail.
        let _ = name.write_fmt(part);
    };
    for qualifier in record.qualifiers.iter() {
        add(format_args!("_{qualifier}"));
    }
    if record.function != Function::Instantaneous {
        add(format_args!("_{}", record.function));
    }
    if record.subunit != 0 {
        add(format_args!("_subunit_{}", record.subunit));
    }
    if record.tariff != 0 {
        add(format_args!("_tariff_{}", record.tariff));
    }
    if record.storage != 0 {
        add(format_args!("_storage_{}", record.storage));
    }
    name
}
