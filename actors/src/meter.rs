//! A monitored meter: who it is, its key, and what is remembered of it from one life of its handler to the next.

mod memory;

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wmbus::{Address, Decimal, IdentificationNumber, Key, Learned, Manufacturer, Profile};

use crate::duplicates::Recent;
use crate::parser::CheckedTelegram;
use crate::publisher::MeterReading;
use crate::refusal::Refusal;
use crate::sequence::Sequence;
use crate::set_message::Doubt;
use crate::sighting::Sighting;

pub use memory::Unreadable;

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

impl MeterName {
    /// The meter that has this name; `None` if no meter can have it.
    pub fn id(&self) -> Option<MeterId> {
        Some(MeterId {
            manufacturer: self.manufacturer_key.parse().ok()?,
            identification: self.device_id.parse().ok()?,
        })
    }
}

impl fmt::Display for MeterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.manufacturer_key, self.device_id)
    }
}

/// One monitored meter. Outlives every life of its handler; changed by `Meters` (key) and by its handler (memory).
pub struct Meter {
    /// Its name in topics.
    pub name: Arc<MeterName>,
    /// The model that the set message names, such as `OmniPower1`.
    pub device_key: String,
    key: Mutex<Option<Key>>,
    key_generation: AtomicU32,
    memory: Mutex<Memory>,
}

/// What the next life of a meter's handler must know of the last one's work.
#[derive(Clone, Default)]
pub struct Memory {
    /// The numbers of its telegrams, against duplicates and replays, with the readings that are held.
    pub sequence: Sequence<MeterReading, Decimal>,
    /// The telegrams heard lately, against duplicates of those without a number.
    pub recent: Recent,
    /// Tells the key in use from others, if there is one.
    pub key_check: Option<u16>,
    /// The highest message counter of those that the meter's MAC vouches for. It rises as long as a key is in use.
    pub message_counter: Option<u32>,
    /// The layouts of its compact telegrams, learned with the key in use.
    pub learned: Option<Learned>,
    /// Readings handed on.
    pub readings: u64,
    /// Telegrams refused, for whatever reason.
    pub refused: u64,
    /// The address of telegrams of another version or medium, if such came.
    pub other_type: Option<Address>,
    /// The address that the set of meters was compared with last.
    pub judged: Option<Address>,
    /// What was told to be doubtful about the meter. Each kind of doubt is told once.
    pub doubts: Vec<Doubt>,
    /// The profile whose channels were announced last.
    pub announced: Option<Arc<Profile>>,
    /// How the last telegram fared.
    pub condition: Condition,
    /// What was heard of it, whatever became of that.
    pub sighting: Option<Sighting>,
}

/// How a meter is doing, judged by its last telegram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Condition {
    /// No telegram since it is monitored.
    #[default]
    Unheard,
    /// The last telegram gave a reading.
    Reading,
    /// The last telegram was refused, for this reason.
    Refused(&'static str),
}

impl Memory {
    /// Whether the channels of this profile, by which the meter is read now, are to be announced: they are not the ones announced last.
    pub fn introduce(&mut self, profile: &Arc<Profile>) -> bool {
        let changed = match &self.announced {
            Some(known) => !Arc::ptr_eq(known, profile) && known.channels != profile.channels,
            None => true,
        };
        self.announced = Some(Arc::clone(profile));
        changed
    }

    /// Notes that a telegram came.
    pub fn hear(&mut self, telegram: &CheckedTelegram) {
        match &mut self.sighting {
            Some(sighting) => {
                if sighting.address != telegram.address() {
                    self.other_type = Some(sighting.address);
                }
                sighting.again(telegram);
            }
            none => *none = Some(Sighting::of(telegram)),
        }
    }

    /// Takes the message counter of a telegram that is verified. It must rise.
    ///
    /// # Errors
    /// [`Refusal::Duplicate`] for the last one again, [`Refusal::Replayed`] for a lower one.
    pub fn count(&mut self, counter: u32) -> Result<(), Refusal> {
        match self.message_counter {
            Some(last) if counter == last => Err(Refusal::Duplicate),
            Some(last) if counter < last => Err(Refusal::Replayed),
            _ => {
                self.message_counter = Some(counter);
                Ok(())
            }
        }
    }

    /// Whether this doubt is to be told now: none of its kind was.
    pub fn doubt(&mut self, doubt: &Doubt) -> bool {
        let kind = std::mem::discriminant(doubt);
        let new = !self
            .doubts
            .iter()
            .any(|known| std::mem::discriminant(known) == kind);
        if new {
            self.doubts.push(doubt.clone());
        }
        new
    }

    /// Notes how a telegram fared; says whether that is a change.
    pub fn note(&mut self, condition: Condition) -> bool {
        std::mem::replace(&mut self.condition, condition) != condition
    }
}

impl Meter {
    /// A meter of which nothing was heard yet.
    pub fn new(name: MeterName, device_key: String, key: Option<Key>) -> Self {
        let memory = Memory {
            key_check: key.as_ref().map(memory::check),
            ..Memory::default()
        };
        Self {
            name: Arc::new(name),
            device_key,
            key: Mutex::new(key),
            key_generation: AtomicU32::new(0),
            memory: Mutex::new(memory),
        }
    }

    /// Its key, and the generation of that key.
    pub fn key(&self) -> (Option<Key>, u32) {
        let key = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        (key.clone(), self.key_generation())
    }

    /// Rises with every change of the key, so that a handler sees a change without asking for the key.
    pub fn key_generation(&self) -> u32 {
        self.key_generation.load(Ordering::Acquire)
    }

    /// Gives the meter another key. The handler uses it from the next telegram on.
    pub fn set_key(&self, key: Option<Key>) {
        let mut current = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        if *current != key {
            let key_check = key.as_ref().map(memory::check);
            *current = key;
            self.key_generation.fetch_add(1, Ordering::Release);
            let mut memory = self.memory();
            memory.key_check = key_check;
            memory.message_counter = None;
            memory.learned = None;
        }
    }

    /// Takes up what an earlier run of the program kept of it, unless something was heard meanwhile.
    ///
    /// # Errors
    /// [`Unreadable`]; then nothing is changed.
    pub fn remember(&self, bytes: &[u8]) -> Result<(), Unreadable> {
        let mut memory = self.memory();
        let kept = Memory::from_bytes(bytes, memory.key_check)?;
        if memory.readings == 0 {
            *memory = Memory {
                recent: memory.recent.clone(),
                condition: memory.condition,
                sighting: memory.sighting.take(),
                announced: memory.announced.take(),
                other_type: memory.other_type,
                judged: memory.judged,
                doubts: std::mem::take(&mut memory.doubts),
                refused: kept.refused + memory.refused,
                ..kept
            };
        }
        Ok(())
    }

    /// What is remembered of it.
    pub fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Meter({})", self.name)
    }
}
