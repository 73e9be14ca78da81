//! MeterHandler: one meter's actor. Receives `Decode`; sends `Publish` to the Publisher.
//!
//! Decrypts, verifies and decodes by the meter's profile, drops duplicates and holds what may be a replay. Owns the decoder with the
//! meter's key for the length of one life; what the next life must know is in [`Meter`]. A bad telegram is counted, kept among the
//! rejects, and reported once per change of state; it never makes the meter "ignored for ever". Ends when its meter is removed from
//! the set.

use std::sync::Arc;

use actix::prelude::*;
use slog::{Logger, info};
use wmbus::{Authentication, Decimal, Decoder, MeterKey, Profile, Reading};

use crate::counters::{Count, Counters};
use crate::faults;
use crate::forward::Forward;
use crate::meter::{Condition, Meter};
use crate::parser::CheckedTelegram;
use crate::profiles::InForce;
use crate::publisher::{MeterReading, Publish};
use crate::refusal::Refusal;
use crate::rejects::Rejects;
use crate::sequence::{Admission, Step};
use crate::supervision::{Monitor, catch};

/// What every life of one meter's handler is made from.
#[derive(Clone)]
pub struct Config {
    /// The meter.
    pub meter: Arc<Meter>,
    /// What all handlers have in common.
    pub shared: Arc<Shared>,
    /// The way to the Publisher.
    pub next: Forward<Publish>,
}

/// What all handlers have in common.
pub struct Shared {
    /// What is known about the types of meters; may change at any time.
    pub profiles: Arc<InForce>,
    /// Whether telegrams come as they are sent, so that their numbers must advance with the clock. Those of a recording do not.
    pub live: bool,
    /// Counts by reason.
    pub counters: Arc<Counters>,
    /// Where telegrams go that gave no reading.
    pub rejects: Rejects,
    /// Where to log.
    pub log: Logger,
}

/// See the [module documentation](self).
pub struct MeterHandler {
    config: Config,
    decoder: Decoder,
    key_generation: u32,
    profiles_generation: u32,
    monitor: Arc<Monitor>,
}

/// A telegram of this meter.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Decode(pub CheckedTelegram);

impl MeterHandler {
    /// One life.
    pub fn new(config: &Config, monitor: &Arc<Monitor>) -> Self {
        let (decoder, key_generation, profiles_generation) = config.decoder();
        Self {
            config: config.clone(),
            decoder,
            key_generation,
            profiles_generation,
            monitor: Arc::clone(monitor),
        }
    }

    /// A panic that one telegram causes is a rejection like any other: nobody can stop a gateway by radio.
    fn decode(&mut self, telegram: &CheckedTelegram) -> Result<Reading, Refusal> {
        if self.config.meter.key_generation() != self.key_generation {
            self.begin_again();
        }
        if self.config.shared.profiles.generation() != self.profiles_generation {
            let (profiles, generation) = self.config.shared.profiles.snapshot();
            self.decoder.set_profiles(profiles);
            self.profiles_generation = generation;
        }
        match catch(|| self.decoder.decode(telegram.bytes())) {
            Ok(decoded) => decoded.map_err(Refusal::Invalid),
            Err(panic) => {
                self.begin_again();
                Err(Refusal::Panic(panic))
            }
        }
    }

    /// With a fresh decoder.
    fn begin_again(&mut self) {
        (self.decoder, self.key_generation, self.profiles_generation) = self.config.decoder();
    }

    fn profile(&mut self, reading: &Reading) -> Arc<Profile> {
        match self.decoder.profile(reading.address) {
            Some(profile) => Arc::clone(profile),
            None => Arc::new(Profile::unknown(reading.address.manufacturer)),
        }
    }

    /// Decides what of a verified reading, and of those held before it, may be published now.
    fn admit(
        &mut self,
        reading: Reading,
        telegram: &CheckedTelegram,
    ) -> Result<Vec<MeterReading>, Refusal> {
        let profile = self.profile(&reading);
        let Config { meter, shared, .. } = &self.config;
        let raw = telegram.raw();
        let numbered = reading.session.filter(|_| shared.live).map(|number| Step {
            number,
            at: raw.received_at(),
            register: register(&profile, &reading),
        });
        let counter = reading.message_counter.filter(|_| {
            // What no MAC vouches for a forger could move ahead.
            shared.live && reading.authentication == Authentication::Mac
        });
        let reading = MeterReading {
            meter: Arc::clone(&meter.name),
            received_at: raw.received_at(),
            rssi: raw.rssi(),
            profile,
            introduces: false,
            memory: None,
            reading,
            raw: raw.clone(),
        };
        let mut memory = meter.memory();
        if let Some(counter) = counter {
            memory.count(counter)?;
        }
        let admission = match numbered {
            Some(step) => memory.sequence.admit(step, reading),
            None if counter.is_some() || memory.recent.admit(&reading.reading, telegram) => {
                Admission::Publish {
                    reading,
                    disproved: 0,
                }
            }
            None => Admission::Duplicate,
        };
        drop(memory);
        match admission {
            Admission::Publish { reading, disproved } => {
                shared.counters.add(Count::Replays, disproved as u64);
                Ok(vec![reading])
            }
            Admission::PublishHeld(readings) => Ok(readings),
            Admission::Held => Err(Refusal::Held),
            Admission::Duplicate => Err(Refusal::Duplicate),
        }
    }

    fn accept(&self, readings: &mut [MeterReading]) {
        let Config { meter, shared, .. } = &self.config;
        let count = readings.len() as u64;
        shared.counters.add(Count::Readings, count);
        let mut memory = meter.memory();
        for reading in readings.iter_mut() {
            reading.introduces = memory.introduce(&reading.profile);
        }
        memory.readings += count;
        if let Some(learned) = self.decoder.learned()
            && memory.learned.as_ref() != Some(learned)
        {
            memory.learned = Some(learned.clone());
        }
        if memory.note(Condition::Reading) {
            info!(shared.log, "meter gives readings"; "meter" => %meter.name);
        }
        if let Some(last) = readings.last_mut().filter(|_| shared.live) {
            last.memory = memory.to_keep();
        }
    }

    fn refuse(&self, refusal: &Refusal, telegram: &CheckedTelegram) {
        let Config { meter, shared, .. } = &self.config;
        shared.counters.increment(refusal.count());
        let mut memory = meter.memory();
        memory.refused += 1;
        if !refusal.is_fault() {
            return;
        }
        let changed = memory.note(Condition::Refused(refusal.reason()));
        drop(memory);
        shared.rejects.push(ACTOR, telegram.raw(), refusal.reason());
        if changed {
            refusal.report(&shared.log, &meter.name);
        }
    }
}

impl Config {
    /// A decoder, with the generations of its key and of its profiles.
    fn decoder(&self) -> (Decoder, u32, u32) {
        let (key, key_generation) = self.meter.key();
        let key = key.map(MeterKey::small);
        let (profiles, generation) = self.shared.profiles.snapshot();
        let mut decoder = Decoder::with_profiles(key, profiles);
        decoder.set_learned(self.meter.memory().learned.clone());
        (decoder, key_generation, generation)
    }
}

impl Actor for MeterHandler {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.config.next.resume(&self.monitor, ctx);
    }
}

impl Supervised for MeterHandler {}

impl Handler<Decode> for MeterHandler {
    type Result = ();

    fn handle(&mut self, Decode(telegram): Decode, ctx: &mut Self::Context) {
        let shared = Arc::clone(&self.config.shared);
        let _hand = shared.rejects.hold(ACTOR, telegram.raw());
        faults::hit(ACTOR, &self.config.meter.name);
        self.config.meter.memory().hear(&telegram);
        let admitted = self
            .decode(&telegram)
            .and_then(|reading| self.admit(reading, &telegram));
        match admitted {
            Ok(mut readings) => {
                self.accept(&mut readings);
                self.config.next.send(Publish(readings), &self.monitor, ctx);
            }
            Err(refusal) => self.refuse(&refusal, &telegram),
        }
    }
}

/// The first of the meter's registers that only rise.
fn register(profile: &Profile, reading: &Reading) -> Option<Decimal> {
    let register = profile
        .channels
        .iter()
        .find(|channel| channel.data_type.starts_with("accumulated"))?;
    reading.channel(profile, register)
}

/// The name in rejects and faults.
const ACTOR: &str = "meter_handler";
