//! One meter as the bridge watches it: how it fares, and what of that the broker was told on this connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wmbus::im871a::Rssi;

use super::home_assistant::{self, AVAILABILITY, DIAGNOSTICS};
use super::retained;
use super::silence::Silence;
use crate::clock;
use crate::meter::{Condition, Meter, MeterId};
use crate::mqtt::Outgoing;
use crate::output::base_topic::BaseTopic;
use crate::output::catalogue::Entry;
use crate::output::recalc::whole_second;

/// One meter, as it is and as the broker knows it on this connection.
pub(super) struct Watched {
    pub(super) meter: Option<Arc<Meter>>,
    pub(super) silence: Silence,
    since: Instant,
    readings: u64,
    refused: u64,
    condition: Condition,
    pub(super) entry: Option<Arc<Entry>>,
    told: Told,
}

#[derive(Default)]
struct Told {
    available: Option<bool>,
    diagnostics: Option<(Instant, u64, u64, Condition)>,
    description: Option<(Arc<Entry>, Option<Duration>)>,
}

impl Watched {
    pub(super) fn new(silence: Silence, now: Instant) -> Self {
        Self {
            meter: None,
            silence,
            since: now,
            readings: 0,
            refused: 0,
            condition: Condition::Unheard,
            entry: None,
            told: Told::default(),
        }
    }

    /// It is monitored; says whether that is new, or another has taken its place.
    pub(super) fn attach(&mut self, meter: &Arc<Meter>) -> bool {
        let is_new = self
            .meter
            .as_ref()
            .is_none_or(|known| !Arc::ptr_eq(known, meter));
        if is_new {
            self.meter = Some(Arc::clone(meter));
            (self.readings, self.refused) = (0, 0);
        }
        is_new
    }

    /// On a new connection nothing was told yet.
    pub(super) fn forget_told(&mut self) {
        self.told = Told::default();
    }

    /// It is to be described once more.
    pub(super) fn describe_again(&mut self) {
        self.told.description = None;
    }

    /// Says whether something of what the list says has changed.
    pub(super) fn look(
        &mut self,
        id: MeterId,
        meter: &Meter,
        entry: Option<Arc<Entry>>,
        now: Instant,
        events: &mut Vec<Value>,
    ) -> bool {
        let memory = meter.memory();
        let (readings, refused, condition) = (memory.readings, memory.refused, memory.condition);
        // Since the program started: the counters may be older.
        let heard = memory
            .sighting
            .map(|sighting| (sighting.telegrams, sighting.interval()));
        drop(memory);
        let limit = self.silence.limit();
        if let Some((telegrams, interval)) = heard
            && readings > self.readings
        {
            self.silence.heard(now, telegrams, interval);
        }
        (self.readings, self.refused) = (readings, refused);
        if self.condition != condition {
            self.condition = condition;
            events.push(event(
                "meter_condition",
                id,
                json!({"condition": words(condition)}),
            ));
        }
        let changed = match (&self.entry, &entry) {
            (Some(known), Some(entry)) => !Arc::ptr_eq(known, entry),
            (None, None) => false,
            _ => true,
        };
        self.entry = entry;
        changed || limit != self.silence.limit()
    }

    /// Whether readings come as they should. `None` after the start, while they still may.
    fn available(&self, now: Instant) -> Option<bool> {
        let limit = self.silence.limit().unwrap_or(UNKNOWN_INTERVAL);
        match self.silence.last() {
            Some(last) => Some(now.saturating_duration_since(last) <= limit),
            // One that is known from an earlier run may have been heard just before the start.
            None if self.silence.limit().is_some()
                && now.saturating_duration_since(self.since) <= limit =>
            {
                None
            }
            None => Some(false),
        }
    }

    pub(super) fn tell_fares(
        &mut self,
        base: &BaseTopic,
        id: MeterId,
        now: Instant,
        messages: &mut Vec<Outgoing>,
    ) {
        if self.meter.is_none() {
            return;
        }
        let available = self.available(now);
        if available.is_some() && available != self.told.available {
            self.told.available = available;
            let state = if available == Some(true) {
                "online"
            } else {
                "offline"
            };
            messages.push(retained(
                base.meter(id, AVAILABILITY),
                json!({"state": state}).to_string(),
            ));
        }
        let due = self
            .told
            .diagnostics
            .is_none_or(|(told, readings, refused, condition)| {
                let changed = (readings, refused) != (self.readings, self.refused);
                condition != self.condition
                    || changed && now.saturating_duration_since(told) >= DIAGNOSTICS_GAP
            });
        if due {
            self.told.diagnostics = Some((now, self.readings, self.refused, self.condition));
            messages.push(retained(
                base.meter(id, DIAGNOSTICS),
                self.diagnostics().to_string(),
            ));
        }
    }

    pub(super) fn diagnostics(&self) -> Value {
        let Some(meter) = &self.meter else {
            return Value::Null;
        };
        let memory = meter.memory();
        let last_heard = memory
            .sighting
            .and_then(|heard| clock::known(heard.last_heard));
        json!({
            "condition": words(self.condition),
            "last_heard": last_heard.map(|at| whole_second(at).to_string()),
            "rssi_dbm": memory.sighting.and_then(|heard| heard.rssi).map(Rssi::dbm),
            "readings": self.readings,
            "refused": self.refused,
        })
    }

    /// The meter's description, if it was not told as it is now.
    pub(super) fn description(
        &mut self,
        base: &BaseTopic,
        gateway_id: &str,
        id: MeterId,
    ) -> Option<Value> {
        self.meter.as_ref()?;
        let entry = Arc::clone(self.entry.as_ref()?);
        let limit = self.silence.limit();
        let is_told = self
            .told
            .description
            .as_ref()
            .is_some_and(|(told, of)| Arc::ptr_eq(told, &entry) && *of == limit);
        if is_told {
            return None;
        }
        let description = home_assistant::meter(base, gateway_id, id, &entry, limit);
        self.told.description = Some((entry, limit));
        Some(description)
    }
}

/// An event of a meter, for `bridge/event`.
pub(super) fn event(kind: &str, meter: MeterId, mut data: Value) -> Value {
    if let Value::Object(members) = &mut data {
        members.insert(
            "manufacturer".to_owned(),
            json!(meter.manufacturer.to_string()),
        );
        members.insert("id".to_owned(), json!(meter.identification.to_string()));
    }
    json!({"type": kind, "data": data})
}

fn words(condition: Condition) -> &'static str {
    match condition {
        Condition::Unheard => "unheard",
        Condition::Reading => "reading",
        Condition::Refused(reason) => reason,
    }
}

/// What is counted of a meter is told at most so often, unless its condition changes.
const DIAGNOSTICS_GAP: Duration = Duration::from_secs(60);

/// A meter of which it is not known how often it sends counts as away after so much silence.
const UNKNOWN_INTERVAL: Duration = Duration::from_hours(48);
