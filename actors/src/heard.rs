//! Heard: the meters on the air that nobody monitors, so that they can be listed.
//!
//! Bounded: a flood of invented addresses pushes out other addresses heard as rarely, not the real neighbours, which are heard again
//! and again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use wmbus::Address;
use wmbus::im871a::Rssi;

use crate::parser::CheckedTelegram;

/// What is known of one meter on the air.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sighting {
    /// Whose telegrams they claim to be.
    pub address: Address,
    /// How many were heard.
    pub telegrams: u64,
    /// When the last was.
    pub last_heard: Timestamp,
    /// How loud the last was.
    pub rssi: Option<Rssi>,
}

/// The list, shared between the Dispatcher that writes it and whoever shows it.
#[derive(Debug, Default)]
pub struct Heard {
    sightings: Mutex<HashMap<Address, Sighting>>,
}

impl Heard {
    /// Counts one telegram of its sender.
    pub fn remember(&self, telegram: &CheckedTelegram) {
        let sighting = Sighting {
            address: telegram.address(),
            telegrams: 1,
            last_heard: telegram.raw().received_at(),
            rssi: telegram.raw().rssi(),
        };
        self.add(sighting);
    }

    fn add(&self, new: Sighting) {
        let mut sightings = self
            .sightings
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = sightings.get_mut(&new.address) {
            *known = Sighting {
                telegrams: known.telegrams + 1,
                ..new
            };
            return;
        }
        if sightings.len() >= CAPACITY {
            let rarest = sightings
                .values()
                .min_by_key(|sighting| (sighting.telegrams, sighting.last_heard))
                .map(|s| s.address);
            if let Some(address) = rarest {
                sightings.remove(&address);
            }
        }
        sightings.insert(new.address, new);
    }

    /// Every meter on the list, the most often heard first.
    pub fn list(&self) -> Vec<Sighting> {
        let mut list: Vec<_> = self
            .sightings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .copied()
            .collect();
        list.sort_by_key(|sighting| {
            (
                std::cmp::Reverse(sighting.telegrams),
                std::cmp::Reverse(sighting.last_heard),
            )
        });
        list
    }
}

/// Meters that are remembered at once.
const CAPACITY: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn sighting(identification: &str, second: i64) -> Sighting {
        Sighting {
            address: Address {
                manufacturer: "KAM".parse().unwrap(),
                identification: identification.parse().unwrap(),
                version: 0x30,
                medium: wmbus::Medium(2),
            },
            telegrams: 1,
            last_heard: Timestamp::from_second(second).unwrap(),
            rssi: None,
        }
    }

    #[test]
    fn a_flood_of_invented_addresses_does_not_push_out_a_real_meter() {
        let heard = Heard::default();
        heard.add(sighting("32666857", 0));
        heard.add(sighting("32666857", 1));
        for (second, invented) in (0..10 * CAPACITY).enumerate() {
            heard.add(sighting(&format!("{invented:08}"), second as i64 + 2));
        }
        let list = heard.list();
        assert_eq!(list.len(), CAPACITY);
        assert_eq!(
            list[0],
            Sighting {
                telegrams: 2,
                ..sighting("32666857", 1)
            }
        );
    }
}
