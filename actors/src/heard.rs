//! Heard: the meters on the air that nobody monitors, so that they can be listed.
//!
//! Bounded: a flood of invented addresses pushes out other addresses heard as rarely, not the real neighbours, which are heard again
//! and again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use wmbus::Address;

use crate::parser::CheckedTelegram;
use crate::sighting::Sighting;

/// The list, shared between the Dispatcher that writes it and whoever shows it.
#[derive(Debug, Default)]
pub struct Heard {
    sightings: Mutex<HashMap<Address, Sighting>>,
}

impl Heard {
    /// Counts one telegram of its sender.
    pub fn remember(&self, telegram: &CheckedTelegram) {
        let mut sightings = self
            .sightings
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = sightings.get_mut(&telegram.address()) {
            known.again(telegram);
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
        sightings.insert(telegram.address(), Sighting::of(telegram));
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
    use crate::sighting::tests::telegram;

    #[test]
    fn a_flood_of_invented_addresses_does_not_push_out_a_real_meter() {
        let heard = Heard::default();
        heard.remember(&telegram(32_666_857, 0));
        heard.remember(&telegram(32_666_857, 1));
        for (second, invented) in (0..10 * CAPACITY as u32).enumerate() {
            heard.remember(&telegram(invented, second as i64 + 2));
        }
        let list = heard.list();
        assert_eq!(list.len(), CAPACITY);
        assert_eq!(list[0].address.identification.to_string(), "32666857");
        assert_eq!(list[0].telegrams, 2);
    }
}
