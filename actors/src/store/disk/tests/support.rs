//! What the tests of the store have in common.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use slog::{Discard, Logger, o};
use tokio::sync::oneshot;

use super::vfs::Medium;
use crate::clock::Stamp;
use crate::counters::Counters;
use crate::meter::MeterName;
use crate::raw_telegram::RawTelegram;
use crate::store::disk::shared::Shared;
use crate::store::disk::state_dir::Place;
use crate::store::disk::worker::Worker;
use crate::store::disk::{Limits, MetersSource, Restored, StoredMeter};
use crate::store::outbox::{NewRow, Row, RowId};

/// A meter's name, made from a number.
pub(in crate::store::disk) fn meter(number: u32) -> Arc<MeterName> {
    Arc::new(MeterName {
        manufacturer_key: "kam".to_owned(),
        device_id: format!("{number:08}"),
    })
}

/// A reading that can be told from all others, and found damaged.
pub(super) fn reading(of: u32, number: u64) -> NewRow {
    let mut body = number.to_le_bytes().to_vec();
    let length = 40 + number % 100;
    body.extend((0..length).map(|index| (number * 31 + index) as u8));
    let received_at = Timestamp::from_second(1_800_000_000 + number as i64).unwrap();
    let received_at = Stamp::Known(received_at);
    NewRow {
        meter: meter(of),
        received_at,
        body: body.into(),
    }
}

/// The meter and the number of a reading that [`reading`] made.
pub(super) fn identify(row: &NewRow) -> (u32, u64) {
    let number = u64::from_le_bytes(row.body[..8].try_into().unwrap());
    let of = row.meter.device_id.parse().unwrap();
    assert_eq!(*row, reading(of, number), "the reading is damaged");
    (of, number)
}

/// When the system was started.
pub(super) fn boot_time() -> Timestamp {
    Timestamp::from_second(1_799_999_000).unwrap()
}

pub(super) fn radio() -> RawTelegram {
    RawTelegram::radio([], Timestamp::UNIX_EPOCH, None)
}

pub(super) fn silent() -> Logger {
    Logger::root(Discard, o!())
}

/// The set of meters as the rest of the gateway would know it.
#[derive(Default)]
pub(super) struct Set(pub(super) Mutex<Option<Vec<StoredMeter>>>);

impl Set {
    pub(super) fn of(meters: impl IntoIterator<Item = u32>) -> Arc<Self> {
        let meters = meters.into_iter().map(|number| StoredMeter {
            name: MeterName::clone(&meter(number)),
            device_key: "OmniPower1".to_owned(),
            key: Some(wmbus::Key::from_bytes([number as u8; 16])),
            memory: None,
        });
        Arc::new(Self(Mutex::new(Some(meters.collect()))))
    }
}

impl MetersSource for Set {
    fn are_known(&self) -> bool {
        self.0.lock().unwrap().is_some()
    }

    fn stored(&self, with_memory: bool) -> Option<Vec<StoredMeter>> {
        let mut meters = self.0.lock().unwrap().clone()?;
        if !with_memory {
            meters.iter_mut().for_each(|meter| meter.memory = None);
        }
        Some(meters)
    }
}

/// A store in one thread, at a time that the test sets.
pub(super) struct Run {
    pub(super) shared: Arc<Shared>,
    pub(super) worker: Worker,
    pub(super) now: Instant,
    pub(super) restored: Restored,
    /// When the system was started, while the clock is right.
    pub(super) boot_time: Option<Timestamp>,
    wake: Option<Instant>,
    medium: Option<Medium>,
}

impl Run {
    pub(super) fn start(medium: &Medium, limits: Limits, set: &Arc<Set>, now: Instant) -> Self {
        let mut run = Self::at(Box::new(medium.clone()), limits, set, now);
        run.medium = Some(medium.clone());
        run
    }

    pub(super) fn at(place: Box<dyn Place>, limits: Limits, set: &Arc<Set>, now: Instant) -> Self {
        Self::booted("a boot", Some(boot_time()), place, limits, set, now)
    }

    /// After this start of the system, whose clock is right or not.
    pub(super) fn booted(
        boot: &str,
        boot_time: Option<Timestamp>,
        place: Box<dyn Place>,
        limits: Limits,
        set: &Arc<Set>,
        now: Instant,
    ) -> Self {
        let shared = Arc::new(Shared::new(
            limits.memory,
            limits.history.is_some(),
            Arc::new(Counters::new()),
        ));
        let (sender, restored) = oneshot::channel();
        let source = Arc::clone(set) as Arc<dyn MetersSource>;
        let worker = Worker::new(
            Arc::clone(&shared),
            place,
            limits,
            source,
            sender,
            boot.to_owned(),
            silent(),
        );
        let mut run = Self {
            shared,
            worker,
            now,
            restored,
            boot_time,
            wake: Some(now),
            medium: None,
        };
        run.turn();
        run
    }

    /// Lets the worker do what is due now.
    pub(super) fn turn(&mut self) {
        loop {
            self.wake = self.worker.step(self.now, self.boot_time);
            if self.wake != Some(self.now) {
                break;
            }
        }
    }

    /// Lets time pass, and the worker work whenever it wants to; up to a power cut.
    pub(super) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        self.turn();
        while let Some(wake) = self.wake.filter(|&wake| wake <= until)
            && !self.is_cut()
        {
            self.now = wake;
            self.turn();
        }
        if !self.is_cut() {
            self.now = until;
        }
    }

    fn is_cut(&self) -> bool {
        self.medium.as_ref().is_some_and(Medium::is_cut)
    }

    /// Adds a reading, after which the number of the reading is what is remembered of the meter.
    pub(super) fn push(&self, of: u32, number: u64) {
        let memory = number.to_le_bytes().to_vec().into_boxed_slice();
        self.shared
            .push(reading(of, number), Some(memory), radio(), self.now);
    }

    pub(super) fn next(&self) -> Option<Arc<Row>> {
        self.shared.next(self.now)
    }

    pub(super) fn remove(&self, id: RowId) {
        self.shared.remove(id, self.now);
    }

    /// Takes all readings there are, in order.
    pub(super) fn take_all(&mut self) -> Vec<Arc<Row>> {
        let mut rows = Vec::new();
        loop {
            let before = rows.len();
            rows.extend(std::iter::from_fn(|| self.next()));
            self.turn();
            if rows.len() == before {
                return rows;
            }
        }
    }

    /// The numbers of all readings there are, in order.
    pub(super) fn take_numbers(&mut self) -> Vec<u64> {
        self.take_all()
            .iter()
            .map(|row| identify(&row.reading).1)
            .collect()
    }

    /// The numbers that are remembered of the stored meters.
    pub(super) fn restored_memories(&mut self) -> Option<BTreeMap<u32, Option<u64>>> {
        let meters = self.restored.try_recv().ok()??;
        let memories = meters.into_iter().map(|meter| {
            let memory = meter
                .memory
                .map(|memory| u64::from_le_bytes(memory[..].try_into().unwrap()));
            (meter.name.device_id.parse().unwrap(), memory)
        });
        Some(memories.collect())
    }
}

/// Numbers that a seed determines (SplitMix64).
#[derive(Debug, Clone, Default)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(super) fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u64) as usize]
    }
}
