//! Heard: the meters on the air that nobody monitors, so that they can be listed.
//!
//! Bounded, whatever is sent: anybody with a transmitter can invent addresses, a hundred a second. So once the list is full
//!
//! * who is heard for the first time has to be heard again before he is listed. A small table of fingerprints remembers that; it is keyed,
//!   so nobody can choose addresses that push a certain one out of it;
//! * a newcomer takes the place of the one with the least standing, and standing is how long a meter has been there: in how many
//!   different spells of ten minutes it was heard. Of several with the least it is one by chance, so that nobody is pushed out again and again;
//! * who was not heard for a day has no standing.
//!
//! So a flood pushes out what came with the flood, never a neighbour of longer standing. An attacker who sends as patiently as hundreds of
//! real meters do cannot be told from them.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use wmbus::Address;

use crate::meter::MeterId;
use crate::parser::CheckedTelegram;
use crate::sighting::Sighting;

/// The list, shared between the Dispatcher that writes it and whoever shows it.
#[derive(Debug)]
pub struct Heard {
    list: Mutex<List>,
}

#[derive(Debug)]
struct List {
    neighbours: HashMap<Address, Neighbour>,
    /// The fingerprints of those who were heard once while the list was full.
    once: Box<[u32]>,
    /// Differs in every run of the program.
    random: RandomState,
    /// Telegrams of meters that are not on the list.
    unlisted: u64,
}

#[derive(Debug, Clone, Copy)]
struct Neighbour {
    sighting: Sighting,
    /// In how many spells it was heard.
    standing: u32,
}

impl Heard {
    /// Counts one telegram of its sender.
    pub fn remember(&self, telegram: &CheckedTelegram) {
        self.lock().remember(telegram);
    }

    /// Every meter on the list, the most often heard first.
    pub fn list(&self) -> Vec<Sighting> {
        let mut list: Vec<_> = self
            .lock()
            .neighbours
            .values()
            .map(|neighbour| neighbour.sighting)
            .collect();
        list.sort_by_key(|sighting| {
            (
                std::cmp::Reverse(sighting.telegrams),
                std::cmp::Reverse(sighting.last_heard),
            )
        });
        list
    }

    /// How many meters are on the list.
    pub fn len(&self) -> usize {
        self.lock().neighbours.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many telegrams came of meters that found no place on the list.
    pub fn unlisted(&self) -> u64 {
        self.lock().unlisted
    }

    /// Takes a meter off the list, because it is monitored from now on: what was heard of it, the latest last.
    pub fn take(&self, id: MeterId) -> Vec<Sighting> {
        let mut taken = Vec::new();
        self.lock().neighbours.retain(|address, neighbour| {
            let is_it = MeterId::of(*address) == id;
            if is_it {
                taken.push(neighbour.sighting);
            }
            !is_it
        });
        taken.sort_by_key(|sighting| sighting.last_heard);
        taken
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Heard {
    fn default() -> Self {
        Self {
            list: Mutex::new(List {
                neighbours: HashMap::new(),
                once: vec![0; FINGERPRINTS].into(),
                random: RandomState::new(),
                unlisted: 0,
            }),
        }
    }
}

impl List {
    fn remember(&mut self, telegram: &CheckedTelegram) {
        let address = telegram.address();
        if let Some(neighbour) = self.neighbours.get_mut(&address) {
            neighbour.again(telegram);
            return;
        }
        if self.neighbours.len() >= CAPACITY {
            if !self.was_heard_once(address) {
                self.unlisted += 1;
                return;
            }
            self.make_room(telegram.raw().received_at());
        }
        let neighbour = Neighbour {
            sighting: Sighting::of(telegram),
            standing: 1,
        };
        self.neighbours.insert(address, neighbour);
    }

    /// Whether it was, lately; from now on it was.
    fn was_heard_once(&mut self, address: Address) -> bool {
        let hash = self.random.hash_one(address);
        // 0 is nobody's.
        let fingerprint = (hash >> 32) as u32 | 1;
        let place = hash as usize % FINGERPRINTS;
        let Some(known) = self.once.get_mut(place) else {
            return false;
        };
        std::mem::replace(known, fingerprint) == fingerprint
    }

    fn make_room(&mut self, now: Timestamp) {
        // Another order every time.
        let chance = self.unlisted.wrapping_add(now.as_nanosecond() as u64);
        let least = self
            .neighbours
            .iter()
            .min_by_key(|(address, neighbour)| {
                (
                    neighbour.standing_at(now),
                    self.random.hash_one((address, chance)),
                )
            })
            .map(|(address, _)| *address);
        if let Some(address) = least {
            self.neighbours.remove(&address);
        }
    }
}

impl Neighbour {
    fn again(&mut self, telegram: &CheckedTelegram) {
        let before = spell(self.sighting.last_heard);
        self.sighting.again(telegram);
        if spell(self.sighting.last_heard) > before {
            self.standing += 1;
        }
    }

    fn standing_at(&self, now: Timestamp) -> u32 {
        let silent = now.duration_since(self.sighting.last_heard) > GONE_AFTER;
        if silent { 0 } else { self.standing }
    }
}

/// The number of the spell of ten minutes that a time is in.
fn spell(time: Timestamp) -> i64 {
    time.as_second().div_euclid(600)
}

/// Meters that are remembered at once.
const CAPACITY: usize = 512;

/// Several minutes of all that the dongle can deliver. 32 kB.
const FINGERPRINTS: usize = 8192;

const GONE_AFTER: SignedDuration = SignedDuration::from_hours(24);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sighting::tests::telegram;

    /// Numbers of real meters; those of invented ones lie above.
    const REAL: u32 = 40;

    /// Lets the real meters send for some seconds, each every 16 to 900 s, while the attacker sends what it is given for each hundredth of a
    /// second.
    fn air(
        heard: &Heard,
        real: std::ops::Range<u32>,
        seconds: std::ops::Range<i64>,
        mut attack: impl FnMut(u64) -> Option<u32>,
    ) {
        for second in seconds {
            for meter in real.clone() {
                let interval = 16 + i64::from(meter) * 22;
                if (second + i64::from(meter)) % interval == 0 {
                    heard.remember(&telegram(meter, second));
                }
            }
            for shot in 0..100 {
                if let Some(invented) = attack(second as u64 * 100 + shot) {
                    heard.remember(&telegram(invented, second));
                }
            }
        }
    }

    fn listed(heard: &Heard, meters: std::ops::Range<u32>) -> usize {
        let list = heard.list();
        assert!(list.len() <= CAPACITY);
        meters
            .filter(|meter| {
                let number = format!("{meter:08}");
                list.iter()
                    .any(|sighting| sighting.address.identification.to_string() == number)
            })
            .count()
    }

    fn invented(number: u64) -> Option<u32> {
        Some(1_000_000 + (number % 90_000_000) as u32)
    }

    #[test]
    fn a_flood_does_not_push_out_those_who_were_there_before() {
        let attacks: [fn(u64) -> Option<u32>; 4] = [
            // Always another one.
            invented,
            // Each twice at once.
            |shot| invented(shot / 2),
            // Each a hundred times.
            |shot| invented(shot / 100),
            // Five thousand in turns.
            |shot| invented(shot % 5_000),
        ];
        for (number, attack) in attacks.into_iter().enumerate() {
            let heard = Heard::default();
            air(&heard, 0..REAL, 0..3_600, |_| None);
            assert_eq!(listed(&heard, 0..REAL), REAL as usize);
            air(&heard, 0..REAL, 3_600..5_400, attack);
            assert_eq!(listed(&heard, 0..REAL), REAL as usize, "attack {number}");
            assert!(heard.unlisted() > 0);
        }
    }

    #[test]
    fn after_a_flood_newcomers_find_their_places() {
        let heard = Heard::default();
        air(&heard, 0..0, 0..600, |shot| invented(shot / 2));
        assert_eq!(heard.len(), CAPACITY);
        air(&heard, 0..REAL, 600..4_200, |_| None);
        assert_eq!(listed(&heard, 0..REAL), REAL as usize);
    }

    // The first are listed during a flood that began before them, too, if not all of the time.
    #[test]
    fn during_a_flood_of_addresses_heard_once_newcomers_are_listed() {
        let heard = Heard::default();
        air(&heard, 0..0, 0..60, invented);
        air(&heard, 0..4, 60..3_660, invented);
        assert_eq!(listed(&heard, 0..4), 4);
    }

    #[test]
    fn who_is_monitored_is_taken_off_the_list() {
        let heard = Heard::default();
        heard.remember(&telegram(1, 0));
        heard.remember(&telegram(2, 0));
        let id = MeterId::of(telegram(1, 0).address());
        assert_eq!(heard.take(id).len(), 1);
        assert_eq!(heard.take(id), []);
        assert_eq!(heard.len(), 1);
    }
}
