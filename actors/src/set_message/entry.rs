//! One entry of a set message.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use wmbus::{IdentificationNumber, Key, KeyError, Manufacturer};
use zeroize::Zeroizing;

use super::report::Answer;
use crate::meter::{MeterId, MeterName};

/// A meter to monitor.
pub struct Entry {
    /// Which meter.
    pub id: MeterId,
    /// Its name in topics, as written.
    pub name: MeterName,
    /// The model, such as `OmniPower1`; empty if the message names none.
    pub device_key: String,
    /// Its key; `None` if it does not encrypt.
    pub key: Option<Key>,
}

/// Why an entry cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("not a JSON object")]
    NotAnObject,
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{0} is not text in quotes")]
    NotText(&'static str),
    #[error("{0} stands there in both spellings")]
    Twice(&'static str),
    #[error("{DEVICE_ID} is not a number of one to eight digits")]
    DeviceId,
    #[error("{MANUFACTURER_KEY} is not three ASCII letters")]
    ManufacturerKey,
    #[error("{ENCRYPTION_KEY}: {0}")]
    EncryptionKey(KeyError),
    #[error("{MANUFACTURER_DEVICE_KEY} is longer than {LONGEST_DEVICE_KEY} characters")]
    DeviceKey,
    #[error("replaced by a later entry for the same meter")]
    Replaced,
}

impl Serialize for Refusal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

const DEVICE_ID: &str = "deviceId";
const MANUFACTURER_KEY: &str = "manufacturerKey";
const ENCRYPTION_KEY: &str = "encryptionKey";
const MANUFACTURER_DEVICE_KEY: &str = "manufacturerDeviceKey";

const LONGEST_DEVICE_KEY: usize = 64;

const NO_KEY: &str = "no encryptionKey: only telegrams that are not encrypted can be read";

/// An entry as far as each of its members can be used alone.
pub(super) struct RawEntry {
    device_id: Result<(String, IdentificationNumber), Refusal>,
    manufacturer_key: Result<(String, Manufacturer), Refusal>,
    key: Result<Option<Key>, Refusal>,
    device_key: Result<String, Refusal>,
}

impl RawEntry {
    pub(super) fn read(value: Value) -> Self {
        let mut members = match value {
            Value::Object(members) => members,
            other => {
                wipe(other);
                return Self {
                    device_id: Err(Refusal::NotAnObject),
                    manufacturer_key: Err(Refusal::NotAnObject),
                    key: Err(Refusal::NotAnObject),
                    device_key: Err(Refusal::NotAnObject),
                };
            }
        };
        let entry = Self {
            device_id: required(&mut members, DEVICE_ID).and_then(|text| {
                let id = text.parse().map_err(|_| Refusal::DeviceId)?;
                Ok(((*text).clone(), id))
            }),
            manufacturer_key: required(&mut members, MANUFACTURER_KEY).and_then(|text| {
                let manufacturer = text.parse().map_err(|_| Refusal::ManufacturerKey)?;
                Ok(((*text).clone(), manufacturer))
            }),
            key: optional(&mut members, ENCRYPTION_KEY).and_then(|text| match text {
                Some(text) if !text.is_empty() => {
                    text.parse().map(Some).map_err(Refusal::EncryptionKey)
                }
                _ => Ok(None),
            }),
            device_key: optional(&mut members, MANUFACTURER_DEVICE_KEY).and_then(|text| {
                let text = text.unwrap_or_default();
                if text.chars().count() > LONGEST_DEVICE_KEY {
                    return Err(Refusal::DeviceKey);
                }
                Ok((*text).clone())
            }),
        };
        wipe(Value::Object(members));
        entry
    }

    pub(super) fn id(&self) -> Option<MeterId> {
        let (_, identification) = self.device_id.as_ref().ok()?;
        let (_, manufacturer) = self.manufacturer_key.as_ref().ok()?;
        Some(MeterId {
            manufacturer: *manufacturer,
            identification: *identification,
        })
    }

    pub(super) fn answer(self, replaced: bool) -> (Answer, Option<Entry>) {
        let mut answer = Answer {
            device_id: self.device_id.as_ref().ok().map(|(text, _)| text.clone()),
            manufacturer_key: self
                .manufacturer_key
                .as_ref()
                .ok()
                .map(|(text, _)| text.clone()),
            accepted: false,
            reason: None,
            warning: None,
        };
        let usable = match replaced {
            true => Err(Refusal::Replaced),
            false => self.into_entry(),
        };
        match usable {
            Ok(entry) => {
                answer.accepted = true;
                answer.warning = entry.key.is_none().then(|| NO_KEY.to_owned());
                (answer, Some(entry))
            }
            Err(reason) => {
                answer.reason = Some(reason);
                (answer, None)
            }
        }
    }

    fn into_entry(self) -> Result<Entry, Refusal> {
        let (device_id, identification) = self.device_id?;
        let (manufacturer_key, manufacturer) = self.manufacturer_key?;
        Ok(Entry {
            id: MeterId {
                manufacturer,
                identification,
            },
            name: MeterName {
                manufacturer_key,
                device_id,
            },
            key: self.key?,
            device_key: self.device_key?,
        })
    }
}

fn required(
    members: &mut Map<String, Value>,
    name: &'static str,
) -> Result<Zeroizing<String>, Refusal> {
    optional(members, name)?.ok_or(Refusal::Missing(name))
}

/// Takes the member of that name out of the object, in either spelling. Null is the same as none.
fn optional(
    members: &mut Map<String, Value>,
    name: &'static str,
) -> Result<Option<Zeroizing<String>>, Refusal> {
    let mut found = None;
    for spelling in [name.to_owned(), capitalised(name)] {
        match members.remove(&spelling) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => {
                if found.replace(Zeroizing::new(text)).is_some() {
                    return Err(Refusal::Twice(name));
                }
            }
            Some(other) => {
                wipe(other);
                return Err(Refusal::NotText(name));
            }
        }
    }
    Ok(found)
}

pub(super) fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    letters
        .next()
        .map(|first| first.to_ascii_uppercase())
        .into_iter()
        .chain(letters)
        .collect()
}

/// Overwrites every text: a key may have been put anywhere.
pub(crate) fn wipe(value: Value) {
    match value {
        Value::String(text) => drop(Zeroizing::new(text)),
        Value::Array(list) => list.into_iter().for_each(wipe),
        Value::Object(members) => members.into_iter().for_each(|(name, value)| {
            drop(Zeroizing::new(name));
            wipe(value);
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
