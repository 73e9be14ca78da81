//! Doubts: what in the set of meters does not fit what is heard.
//!
//! Nothing of what is heard is verified here, and two makers may use one number: so a doubt is a warning, never a refusal.

use std::fmt;

use wmbus::{Address, Manufacturer, Profile, Profiles};

use crate::meter::MeterId;

/// What does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// Nobody hears this meter, but its number comes from another maker.
    Manufacturer {
        /// The one in the set message.
        wanted: Manufacturer,
        /// Whose telegrams come.
        heard: Address,
    },
    /// The set message names a model that the telegrams are not of.
    Model {
        /// The one in the set message.
        wanted: String,
        /// What comes.
        heard: Address,
        /// The model that it is, if that is known.
        model: Option<String>,
    },
    /// Telegrams of two types of meters come from one maker with one number.
    Types(Address, Address),
}

impl Doubt {
    /// About a meter that is not heard, while these are.
    pub fn about_manufacturer(id: MeterId, heard: &[Address]) -> Option<Self> {
        let other = heard.iter().find(|address| {
            address.identification == id.identification && address.manufacturer != id.manufacturer
        })?;
        Some(Self::Manufacturer {
            wanted: id.manufacturer,
            heard: *other,
        })
    }

    /// About a meter whose telegrams come, and whose model the set message names.
    pub fn about_model(wanted: &Profile, heard: Address, profiles: &Profiles) -> Option<Self> {
        let found = profiles.find(heard);
        let fits = wanted.meters.contains(&heard.into())
            || found.is_some_and(|found| found.model == wanted.model);
        (!fits).then(|| Self::Model {
            wanted: wanted.model.clone(),
            heard,
            model: found.map(|found| found.model.clone()),
        })
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manufacturer { wanted, heard } => write!(
                f,
                "manufacturerKey: this number is heard from {}, not from {wanted}: {}",
                heard.manufacturer,
                Type(*heard)
            ),
            Self::Model {
                wanted,
                heard,
                model,
            } => {
                write!(f, "manufacturerDeviceKey: {wanted} is expected, and ")?;
                match model {
                    Some(model) => write!(f, "{model} is heard: ")?,
                    None => f.write_str("another type of meter is heard: ")?,
                }
                Type(*heard).fmt(f)
            }
            Self::Types(one, other) => write!(
                f,
                "two types of meters are heard with this number: {}; and {}",
                Type(*one),
                Type(*other)
            ),
        }
    }
}

struct Type(Address);

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Address {
            version, medium, ..
        } = self.0;
        write!(
            f,
            "version {version}, medium {} ({})",
            medium.0,
            medium.name().unwrap_or("reserved")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wmbus::Medium;

    fn address(manufacturer: &str, number: &str, version: u8, medium: u8) -> Address {
        Address {
            manufacturer: manufacturer.parse().unwrap(),
            identification: number.parse().unwrap(),
            version,
            medium: Medium(medium),
        }
    }

    #[test]
    fn another_makers_number_is_doubted() {
        let wanted = MeterId::of(address("KAM", "1", 0, 0));
        let about = |heard: &[Address]| {
            Doubt::about_manufacturer(wanted, heard).map(|doubt| doubt.to_string())
        };
        assert_eq!(about(&[]), None);
        assert_eq!(about(&[address("ABC", "2", 1, 7)]), None);
        assert_eq!(about(&[address("KAM", "1", 1, 7)]), None);
        assert_eq!(
            about(&[address("ABC", "2", 1, 7), address("ABC", "1", 1, 7)]).unwrap(),
            "manufacturerKey: this number is heard from ABC, not from KAM: version 1, medium 7 (water)"
        );
    }

    #[test]
    fn another_model_is_doubted() {
        let profiles = Profiles::embedded();
        let kamstrup = "KAM".parse().unwrap();
        let omnipower = profiles.find_by_key(kamstrup, "OmniPower1").unwrap();
        let about =
            |heard| Doubt::about_model(omnipower, heard, &profiles).map(|doubt| doubt.to_string());
        assert_eq!(about(address("KAM", "1", 0x30, 2)), None);
        assert_eq!(
            about(address("KAM", "1", 0xFE, 7)).unwrap(),
            "manufacturerDeviceKey: OmniPower is expected, and another type of meter is heard: version 254, medium 7 (water)"
        );
    }
}
