//! The survey: what the broker is told of meters beside their readings, and what it has to be told next. No I/O.
//!
//! The meter table says which meters there are and how they fare, the catalogue what they are. [`Survey::observe`] looks at both;
//! [`Survey::tell`] makes the messages that are due, as many as there is room for. All of them are retained, so what counts is how it is now:
//! on a new connection everything is told again.
//!
//! The retained list of meters is also the gateway's memory, kept by the broker: [`Survey::recall`] reads what an earlier run of the program
//! said last. So a meter that was removed while broker or gateway was away is cleared away too, and what a meter sends is known before it is
//! heard again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use super::config::METERS;
use super::home_assistant::{self, AVAILABILITY, DIAGNOSTICS, HomeAssistant};
use super::retained;
use super::silence::Silence;
use super::watched::{Watched, event};
use crate::meter::{MeterId, MeterName};
use crate::mqtt::Outgoing;
use crate::output::base_topic::{BaseTopic, object_id};
use crate::output::catalogue::{Catalogue, Entry};
use crate::store::meter_table::MeterMap;

/// See the [module documentation](self).
pub(super) struct Survey {
    base: BaseTopic,
    gateway_id: String,
    home_assistant: Option<HomeAssistant>,
    meters: BTreeMap<MeterId, Watched>,
    /// Meters whose topics are to be cleared; told with the message of this number.
    gone: BTreeMap<MeterId, Option<u64>>,
    list: List,
    gateway_described: bool,
}

/// The list of meters.
#[derive(Default)]
struct List {
    /// It has changed since it was told.
    changed: bool,
    told: Option<Instant>,
}

/// What the list says of a meter, as far as it is read again.
#[derive(Deserialize)]
struct Listed {
    manufacturer: String,
    id: String,
    silent_after: Option<u64>,
    r#type: Option<Entry>,
}

/// What an observation found.
#[derive(Default)]
pub(super) struct Found {
    /// For `bridge/event`.
    pub(super) events: Vec<Value>,
    /// Meters of an earlier run that are monitored no longer.
    pub(super) strangers: Vec<MeterName>,
}

impl Survey {
    pub(super) fn new(
        base: BaseTopic,
        gateway_id: &str,
        home_assistant: Option<HomeAssistant>,
    ) -> Self {
        Self {
            base,
            gateway_id: gateway_id.to_owned(),
            home_assistant,
            meters: BTreeMap::new(),
            gone: BTreeMap::new(),
            list: List::default(),
            gateway_described: false,
        }
    }

    /// Reads the list that the broker kept. One that cannot be read is as good as none.
    pub(super) fn recall(&mut self, list: &[u8], catalogue: &Catalogue, now: Instant) {
        let listed: Vec<Listed> = serde_json::from_slice(list).unwrap_or_default();
        for Listed {
            manufacturer,
            id,
            silent_after,
            r#type,
        } in listed
        {
            let (Ok(manufacturer), Ok(identification)) = (manufacturer.parse(), id.parse()) else {
                continue;
            };
            let id = MeterId {
                manufacturer,
                identification,
            };
            if let Some(entry) = r#type {
                catalogue.recall(id, entry);
            }
            let silence = Silence::with_limit(silent_after.map(Duration::from_secs));
            self.meters
                .entry(id)
                .or_insert_with(|| Watched::new(silence, now));
        }
        self.list.changed = true;
    }

    /// Looks at the meters as they are now.
    pub(super) fn observe(
        &mut self,
        meters: &MeterMap,
        catalogue: &Catalogue,
        now: Instant,
    ) -> Found {
        let mut found = Found::default();
        let gone: BTreeSet<_> = self
            .meters
            .keys()
            .filter(|id| !meters.contains_key(id))
            .copied()
            .collect();
        for id in gone {
            self.list.changed = true;
            self.gone.insert(id, None);
            if self
                .meters
                .remove(&id)
                .is_some_and(|watched| watched.meter.is_none())
            {
                catalogue.forget(id);
                found.strangers.push(MeterName {
                    manufacturer_key: id.manufacturer.to_string(),
                    device_id: id.identification.to_string(),
                });
            } else {
                found.events.push(event("meter_removed", id, json!({})));
            }
        }
        for (id, meter) in meters {
            self.gone.remove(id);
            let watched = self.meters.entry(*id).or_insert_with(|| {
                found.events.push(event("meter_added", *id, json!({})));
                Watched::new(Silence::default(), now)
            });
            self.list.changed |= watched.attach(meter);
            self.list.changed |=
                watched.look(*id, meter, catalogue.entry(*id), now, &mut found.events);
        }
        found
    }

    /// All meters that the broker may know: also those of an earlier run, and those that are to be cleared.
    pub(super) fn ids(&self) -> impl Iterator<Item = MeterId> {
        self.meters.keys().chain(self.gone.keys()).copied()
    }

    /// Adds the messages that are due, at most about so many. `sent` were sent before them. Says whether that was all.
    pub(super) fn tell(
        &mut self,
        room: usize,
        sent: u64,
        now: Instant,
        messages: &mut Vec<Outgoing>,
    ) -> bool {
        let before = messages.len();
        if let Some(home_assistant) = &self.home_assistant
            && !std::mem::replace(&mut self.gateway_described, true)
        {
            let description = home_assistant::of_gateway(&self.base, &self.gateway_id);
            let topic = home_assistant.topic_of_gateway(&self.gateway_id);
            messages.push(retained(topic, description.to_string()));
        }
        for (id, told) in self.gone.iter_mut().filter(|(_, told)| told.is_none()) {
            for topic in [AVAILABILITY, DIAGNOSTICS] {
                messages.push(retained(self.base.meter(*id, topic), String::new()));
            }
            if let Some(home_assistant) = &self.home_assistant {
                messages.push(retained(home_assistant.topic_of_meter(*id), String::new()));
            }
            *told = Some(sent + (messages.len() - before) as u64);
            if messages.len() - before >= room {
                return false;
            }
        }
        for (id, watched) in &mut self.meters {
            if messages.len() - before >= room {
                return false;
            }
            watched.tell_fares(&self.base, *id, now, messages);
            if let Some(home_assistant) = &self.home_assistant
                && let Some(description) = watched.description(&self.base, &self.gateway_id, *id)
            {
                messages.push(retained(
                    home_assistant.topic_of_meter(*id),
                    description.to_string(),
                ));
            }
        }
        let List { changed, told } = &mut self.list;
        if *changed && told.is_none_or(|told| now.saturating_duration_since(told) >= LIST_GAP) {
            (*changed, *told) = (false, Some(now));
            messages.push(retained(self.base.bridge(METERS), self.list().to_string()));
        }
        true
    }

    /// So many messages were acknowledged, since there is this connection.
    pub(super) fn acknowledged(&mut self, total: u64) {
        self.gone
            .retain(|_, told| told.is_none_or(|number| number > total));
    }

    /// On a new connection nothing was told yet.
    pub(super) fn forget_told(&mut self) {
        self.gone.values_mut().for_each(|told| *told = None);
        self.meters.values_mut().for_each(Watched::forget_told);
        self.gateway_described = false;
        self.list = List {
            changed: true,
            told: None,
        };
    }

    /// Home Assistant has started and wants to hear again what there is.
    pub(super) fn describe_again(&mut self) {
        self.gateway_described = false;
        self.meters.values_mut().for_each(Watched::describe_again);
    }

    /// The meters that are monitored, without their keys.
    pub(super) fn list(&self) -> Value {
        let monitored = self
            .meters
            .iter()
            .filter_map(|(id, watched)| Some((id, watched, watched.meter.as_ref()?)));
        monitored
            .map(|(id, watched, meter)| {
                json!({
                    "manufacturer": id.manufacturer.to_string(),
                    "id": id.identification.to_string(),
                    "topic": format!("{}/{}", self.base, object_id(*id)),
                    "name": meter.name.to_string(),
                    "device_key": meter.device_key,
                    "has_key": meter.key().0.is_some(),
                    "silent_after": watched.silence.limit().map(|limit| limit.as_secs()),
                    "type": watched.entry.as_deref(),
                })
            })
            .collect()
    }

    /// The same with how each of them fares.
    pub(super) fn report(&self) -> Value {
        let mut list = self.list();
        let monitored = self
            .meters
            .values()
            .filter(|watched| watched.meter.is_some());
        for (entry, watched) in list.as_array_mut().into_iter().flatten().zip(monitored) {
            if let (Value::Object(entry), Value::Object(more)) = (entry, watched.diagnostics()) {
                entry.extend(more);
            }
        }
        list
    }
}

/// The list, which is long, is told at most so often.
const LIST_GAP: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::Meter;
    use std::sync::Arc;

    fn id(number: u32) -> MeterId {
        MeterId {
            manufacturer: "KAM".parse().unwrap(),
            identification: number.to_string().parse().unwrap(),
        }
    }

    fn meters(numbers: &[u32]) -> MeterMap {
        let meter = |&number: &u32| {
            let name = MeterName {
                manufacturer_key: "kam".to_owned(),
                device_id: number.to_string(),
            };
            (id(number), Arc::new(Meter::new(name, String::new(), None)))
        };
        numbers.iter().map(meter).collect()
    }

    fn survey() -> Survey {
        let home_assistant = HomeAssistant {
            prefix: BaseTopic::homeassistant(),
        };
        Survey::new(BaseTopic::default(), "g", Some(home_assistant))
    }

    fn tell(survey: &mut Survey, room: usize) -> (bool, Vec<Outgoing>) {
        let mut messages = Vec::new();
        let done = survey.tell(room, 0, Instant::now(), &mut messages);
        (done, messages)
    }

    /// The topics that are cleared.
    fn cleared(messages: &[Outgoing]) -> Vec<&str> {
        let empty = messages.iter().filter(|message| message.payload.is_empty());
        empty.map(|message| &*message.topic).collect()
    }

    const TOPICS_OF_1: [&str; 3] = [
        "omnigate/kam_00000001/availability",
        "omnigate/kam_00000001/diagnostics",
        "homeassistant/device/omnigate_kam_00000001/config",
    ];

    #[test]
    fn a_removal_is_told_on_every_connection_until_the_broker_has_it() {
        let (mut survey, catalogue, now) = (survey(), Catalogue::default(), Instant::now());
        survey.observe(&meters(&[1, 2]), &catalogue, now);
        let found = survey.observe(&meters(&[2]), &catalogue, now);
        assert_eq!(found.events[0]["type"], "meter_removed");
        assert_eq!(cleared(&tell(&mut survey, 100).1), TOPICS_OF_1);
        assert!(cleared(&tell(&mut survey, 100).1).is_empty());

        survey.forget_told();
        let (_, messages) = tell(&mut survey, 100);
        assert_eq!(cleared(&messages), TOPICS_OF_1);
        survey.acknowledged(messages.len() as u64);
        survey.forget_told();
        assert!(cleared(&tell(&mut survey, 100).1).is_empty());
    }

    #[test]
    fn a_meter_that_comes_back_before_that_is_not_cleared() {
        let (mut survey, catalogue, now) = (survey(), Catalogue::default(), Instant::now());
        for numbers in [&[1][..], &[], &[1]] {
            survey.observe(&meters(numbers), &catalogue, now);
        }
        assert!(cleared(&tell(&mut survey, 100).1).is_empty());
    }

    #[test]
    fn what_the_broker_kept_is_known_again() {
        let (mut before, catalogue, now) = (survey(), Catalogue::default(), Instant::now());
        let entry = Entry {
            version: 0x30,
            medium: 2,
            model: "OmniPower".to_owned(),
            fields: Vec::new(),
        };
        catalogue.recall(id(2), entry.clone());
        before.observe(&meters(&[1, 2]), &catalogue, now);
        let list = before.list().to_string();

        let (mut after, catalogue) = (survey(), Catalogue::default());
        after.recall(list.as_bytes(), &catalogue, now);
        assert_eq!(catalogue.entry(id(2)).as_deref(), Some(&entry));
        let found = after.observe(&meters(&[2]), &catalogue, now);
        let strangers: Vec<_> = found.strangers.iter().map(ToString::to_string).collect();
        assert_eq!(strangers, ["KAM-00000001"]);
        assert!(found.events.is_empty());
        let (_, messages) = tell(&mut after, 100);
        assert_eq!(cleared(&messages), TOPICS_OF_1);
        let described = "homeassistant/device/omnigate_kam_00000002/config";
        assert!(messages.iter().any(|message| &*message.topic == described));
        after.recall(b"what is this?", &catalogue, now);
    }

    #[test]
    fn no_more_is_told_than_there_is_room_for() {
        let (mut survey, catalogue) = (survey(), Catalogue::default());
        let numbers: Vec<_> = (0..100).collect();
        survey.observe(&meters(&numbers), &catalogue, Instant::now());
        let mut told = 0;
        loop {
            let (done, messages) = tell(&mut survey, 10);
            assert!(messages.len() <= 12, "{}", messages.len());
            told += messages.len();
            if done {
                break;
            }
        }
        // The gateway, two for each meter, and the list.
        assert_eq!(told, 1 + 200 + 1);
    }
}
