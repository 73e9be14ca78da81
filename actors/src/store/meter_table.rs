//! The meter table: the set of monitored meters. Outlives every life of `Meters`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::disk::{MetersSource, StoredMeter};
use crate::meter::{Meter, MeterId, MeterName};

/// The monitored meters by who they are.
pub type MeterMap = BTreeMap<MeterId, Arc<Meter>>;

/// Shared by `Meters`, which writes it, by the status, which shows it, and by the store, which keeps it on disk.
pub struct MeterTable {
    meters: Mutex<MeterMap>,
    known: watch::Sender<bool>,
    /// What is remembered of the meters is kept on disk.
    keeps_memory: bool,
}

impl MeterTable {
    /// A table of a gateway that was never told which meters to monitor.
    pub fn new() -> Self {
        Self {
            meters: Mutex::default(),
            known: watch::Sender::new(false),
            keeps_memory: true,
        }
    }

    /// The same where telegrams come from a recording, which must not change what is remembered of the living meters.
    pub fn of_recording() -> Self {
        Self {
            keeps_memory: false,
            ..Self::new()
        }
    }

    /// The meters as they are now.
    pub fn snapshot(&self) -> MeterMap {
        self.lock().clone()
    }

    /// Whether the meter is monitored, as far as is known: before anybody said which meters are, all may be.
    pub fn may_monitor(&self, meter: MeterId) -> bool {
        !*self.known.borrow() || self.lock().contains_key(&meter)
    }

    /// How many meters there are.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether no meter is monitored.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Puts another set in the place of the present one.
    pub fn replace(&self, meters: MeterMap) {
        *self.lock() = meters;
        self.known.send_replace(true);
    }

    /// Becomes true when the gateway was told which meters to monitor. Sources that lose nothing begin then.
    pub fn known(&self) -> watch::Receiver<bool> {
        self.known.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, MeterMap> {
        self.meters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MetersSource for MeterTable {
    fn are_known(&self) -> bool {
        *self.known.borrow()
    }

    fn stored(&self, with_memory: bool) -> Option<Vec<StoredMeter>> {
        let stored = |meter: &Arc<Meter>| StoredMeter {
            name: MeterName::clone(&meter.name),
            device_key: meter.device_key.clone(),
            key: meter.key().0,
            memory: meter
                .memory()
                .to_keep()
                .filter(|_| with_memory && self.keeps_memory),
        };
        self.are_known()
            .then(|| self.lock().values().map(stored).collect())
    }
}

impl Default for MeterTable {
    fn default() -> Self {
        Self::new()
    }
}
