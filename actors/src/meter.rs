//! A monitored meter: who it is.

use std::fmt;

use wmbus::{Address, IdentificationNumber, Manufacturer};

/// What tells one meter from all others in a set message and in the routing table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MeterId {
    /// Three letters given by the FLAG association.
    pub manufacturer: Manufacturer,
    /// The serial number: eight decimal digits.
    pub identification: IdentificationNumber,
}

impl MeterId {
    /// The meter that sends from this address.
    pub fn of(address: Address) -> Self {
        Self {
            manufacturer: address.manufacturer,
            identification: address.identification,
        }
    }
}

impl fmt::Display for MeterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.manufacturer, self.identification)
    }
}

/// A meter's name in topics, as the cloud wrote it: `<manufacturerKey>-<deviceId>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MeterName {
    /// Three letters in the case in which the set message had them.
    pub manufacturer_key: String,
    /// The serial number as the set message had it.
    pub device_id: String,
}

impl fmt::Display for MeterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.manufacturer_key, self.device_id)
    }
}
