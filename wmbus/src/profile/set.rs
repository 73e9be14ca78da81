//! The set of profiles: the embedded ones, and those that a user adds.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use super::Profile;
use super::embedded::FILES;
use crate::address::{Address, Manufacturer, Medium};

/// What tells types of meters apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MeterType {
    /// Who made the meter.
    pub manufacturer: Manufacturer,
    /// The version in its address.
    pub version: u8,
    /// The medium in its address.
    pub medium: Medium,
}

impl From<Address> for MeterType {
    #[inline]
    fn from(address: Address) -> Self {
        Self {
            manufacturer: address.manufacturer,
            version: address.version,
            medium: address.medium,
        }
    }
}

/// A set of profiles.
///
/// ```
/// use wmbus::{Profiles, profile::MeterType, Medium};
/// let kamstrup = "KAM".parse()?;
/// let meter = MeterType { manufacturer: kamstrup, version: 0x30, medium: Medium(2) };
/// let profiles = Profiles::embedded();
/// assert_eq!(profiles.find(meter).unwrap().model, "OmniPower");
/// assert_eq!(profiles.find_by_key(kamstrup, "OmniPower1").unwrap().model, "OmniPower");
/// # Ok::<(), wmbus::AddressError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Profiles {
    all: Vec<Arc<Profile>>,
    by_meter: HashMap<MeterType, Arc<Profile>>,
}

impl Profiles {
    /// The profiles that come with the crate.
    #[must_use]
    pub fn embedded() -> Arc<Self> {
        static EMBEDDED: LazyLock<Arc<Profiles>> = LazyLock::new(|| {
            let mut profiles = Profiles::default();
            // A test reads each of them: none is broken.
            for profile in FILES
                .iter()
                .filter_map(|(_, text)| Profile::parse(text).ok())
            {
                profiles.add(profile);
            }
            Arc::new(profiles)
        });
        Arc::clone(&EMBEDDED)
    }

    /// The embedded profiles' files, as paths under `profiles` and texts.
    #[must_use]
    pub const fn embedded_files() -> &'static [(&'static str, &'static str)] {
        FILES
    }

    /// Adds a profile. It takes the place of one with the same manufacturer and model, and the meters it names from
    /// those that had them.
    pub fn add(&mut self, profile: impl Into<Arc<Profile>>) {
        let profile = profile.into();
        self.all.retain(|other| {
            (other.manufacturer, &other.model) != (profile.manufacturer, &profile.model)
        });
        self.by_meter.retain(|_, other| {
            (other.manufacturer, &other.model) != (profile.manufacturer, &profile.model)
        });
        for &meter in &profile.meters {
            self.by_meter.insert(meter, Arc::clone(&profile));
        }
        self.all.push(profile);
    }

    /// The profile of a meter.
    #[inline]
    #[must_use]
    pub fn find(&self, meter: impl Into<MeterType>) -> Option<&Arc<Profile>> {
        self.by_meter.get(&meter.into())
    }

    /// The profile of a meter by the name that a set message gives it: one of the profile's device keys, or longer.
    /// Upper and lower case are the same; of several, the one with the longest matching key.
    #[must_use]
    pub fn find_by_key(
        &self,
        manufacturer: Manufacturer,
        device_key: &str,
    ) -> Option<&Arc<Profile>> {
        let matching = |key: &String| {
            device_key
                .get(..key.len())
                .filter(|start| start.eq_ignore_ascii_case(key))
                .map(str::len)
        };
        self.all
            .iter()
            .filter(|profile| {
                profile.manufacturer == manufacturer
                    || profile
                        .meters
                        .iter()
                        .any(|meter| meter.manufacturer == manufacturer)
            })
            .filter_map(|profile| {
                let length = profile.device_keys.iter().filter_map(matching).max()?;
                Some((length, profile))
            })
            .max_by_key(|(length, _)| *length)
            .map(|(_, profile)| profile)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Profile>> {
        self.all.iter()
    }
}
