//! The list of meters: those that are monitored and the others on the air, for `omnigate meters` and the topic `meters`.
//!
//! Pure: what is known goes in, a list that serialises to JSON comes out. No key is near it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;
use wmbus::{Profiles, Security};

use crate::clock;
use crate::meter::{Condition, Meter, MeterId};
use crate::sighting::Sighting;
use crate::store::meter_table::MeterMap;

/// One meter. What was not heard is absent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ListedMeter {
    /// The serial number: eight digits.
    pub id: String,
    /// Three letters.
    pub manufacturer: String,
    /// Its name in topics, `<manufacturerKey>-<deviceId>`, if it is monitored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitored: Option<String>,
    /// How it fares if it is monitored: `unheard`, `reading`, or why its last telegram gave no reading.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'static str>,
    /// What was heard.
    #[serde(flatten)]
    pub heard: Option<Heard>,
}

/// What was heard of a meter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Heard {
    /// What the maker calls the type of meter, if there is a profile for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The version in its address.
    pub version: u8,
    /// The medium in its address.
    pub medium: u8,
    /// The same in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub medium_name: Option<&'static str>,
    /// How it encrypts, `none` if it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption: Option<String>,
    /// Seconds between telegrams.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<f64>,
    /// dBm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rssi: Option<i8>,
    /// How many telegrams were heard.
    pub telegrams: u64,
    /// When the last was, UTC, if the time is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_heard: Option<String>,
}

/// Gives the list as it is now.
pub type MeterListing = Arc<dyn Fn() -> Vec<ListedMeter> + Send + Sync>;

/// All meters: first the monitored ones by their numbers, then the others, those heard most often first.
pub fn list(monitored: &MeterMap, others: &[Sighting], profiles: &Profiles) -> Vec<ListedMeter> {
    let known = monitored;
    let monitored = monitored
        .iter()
        .map(|(id, meter)| ListedMeter::monitored(*id, meter, profiles));
    let others = others
        .iter()
        .filter(|sighting| !known.contains_key(&MeterId::of(sighting.address)))
        .map(|sighting| ListedMeter::other(sighting, profiles));
    monitored.chain(others).collect()
}

/// What of the list is worth publishing it again: who is there and how the monitored ones fare, not when each was heard last.
pub fn gist(list: &[ListedMeter]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for meter in list {
        (
            &meter.manufacturer,
            &meter.id,
            &meter.monitored,
            meter.state,
        )
            .hash(&mut hasher);
        if let Some(heard) = &meter.heard {
            (&heard.model, heard.version, heard.medium, &heard.encryption).hash(&mut hasher);
        }
    }
    hasher.finish()
}

/// The payload of the topic `meters`: the list, and how many were left off because it would be too long. Those stay that somebody has to
/// do something about: monitored meters that give no readings, then those that nobody monitors, then the others.
pub fn payload(mut list: Vec<ListedMeter>) -> String {
    list.sort_by_key(|meter| match meter.state {
        Some("reading") => 2,
        Some(_) => 0,
        None => 1,
    });
    let left_off = list.len().saturating_sub(MOST);
    list.truncate(MOST);
    json!({"meters": list, "left_off": left_off}).to_string()
}

impl ListedMeter {
    fn monitored(id: MeterId, meter: &Meter, profiles: &Profiles) -> Self {
        let memory = meter.memory();
        let (condition, sighting) = (memory.condition, memory.sighting);
        drop(memory);
        Self {
            monitored: Some(meter.name.to_string()),
            state: Some(match condition {
                Condition::Unheard => "unheard",
                Condition::Reading => "reading",
                Condition::Refused(reason) => reason,
            }),
            ..Self::of(id, sighting.as_ref(), profiles)
        }
    }

    fn other(sighting: &Sighting, profiles: &Profiles) -> Self {
        Self::of(MeterId::of(sighting.address), Some(sighting), profiles)
    }

    fn of(id: MeterId, sighting: Option<&Sighting>, profiles: &Profiles) -> Self {
        Self {
            id: id.identification.to_string(),
            manufacturer: id.manufacturer.to_string(),
            monitored: None,
            state: None,
            heard: sighting.map(|sighting| Heard::of(sighting, profiles)),
        }
    }
}

impl Heard {
    fn of(sighting: &Sighting, profiles: &Profiles) -> Self {
        let address = sighting.address;
        Self {
            model: profiles.find(address).map(|profile| profile.model.clone()),
            version: address.version,
            medium: address.medium.0,
            medium_name: address.medium.name(),
            encryption: sighting.security.as_ref().map(Security::to_string),
            interval: sighting
                .interval()
                .map(|interval| interval.as_millis() as f64 / 1000.0),
            rssi: sighting.rssi.map(|rssi| rssi.dbm()),
            telegrams: sighting.telegrams,
            last_heard: clock::known(sighting.last_heard).map(|at| at.to_string()),
        }
    }
}

/// Meters in one message: about 100 kB.
const MOST: usize = 500;

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::meter::MeterName;
    use crate::sighting::tests::telegram;

    const SECOND: i64 = 1_800_000_000;

    fn meter(device_id: &str) -> (MeterId, Arc<Meter>) {
        let id = MeterId {
            manufacturer: "KAM".parse().unwrap(),
            identification: device_id.parse().unwrap(),
        };
        let name = MeterName {
            manufacturer_key: "kam".to_owned(),
            device_id: device_id.to_owned(),
        };
        (id, Arc::new(Meter::new(name, String::new(), None)))
    }

    fn json_of(monitored: &[(MeterId, Arc<Meter>)], others: &[Sighting]) -> Value {
        let monitored = monitored.iter().cloned().collect();
        json!(list(&monitored, others, &Profiles::embedded()))
    }

    #[test]
    fn says_how_monitored_meters_fare() {
        let (silent, wrong) = (meter("1"), meter("32666857"));
        let mut memory = wrong.1.memory();
        memory.hear(&telegram(32_666_857, SECOND));
        memory.hear(&telegram(32_666_857, SECOND + 16));
        memory.note(Condition::Refused("key rejected"));
        drop(memory);
        assert_eq!(
            json_of(&[silent, wrong], &[]),
            json!([
                {"id": "00000001", "manufacturer": "KAM", "monitored": "kam-1", "state": "unheard"},
                {"id": "32666857", "manufacturer": "KAM", "monitored": "kam-32666857", "state": "key rejected",
                    "model": "OmniPower", "version": 48, "medium": 2, "medium_name": "electricity", "encryption": "none",
                    "interval": 16.0, "rssi": -71, "telegrams": 2, "last_heard": "2027-01-15T08:00:16Z"},
            ])
        );
    }

    #[test]
    fn the_message_is_bounded_and_keeps_what_needs_somebody() {
        let meters: Vec<_> = (0..600).map(|number| meter(&number.to_string())).collect();
        for (_, meter) in &meters[..599] {
            meter.memory().note(Condition::Reading);
        }
        let others = [Sighting::of(&telegram(77_777_777, 0))];
        let listed = list(
            &meters.into_iter().collect(),
            &others,
            &Profiles::embedded(),
        );
        let message: Value = serde_json::from_str(&payload(listed)).unwrap();
        assert_eq!(message["left_off"], 101);
        assert_eq!(message["meters"].as_array().unwrap().len(), MOST);
        assert_eq!(message["meters"][0]["id"], "00000599");
        assert_eq!(message["meters"][1]["id"], "77777777");
    }

    #[test]
    fn only_who_is_there_and_how_he_fares_is_news() {
        let (id, meter) = meter("32666857");
        let gist = || {
            let meters = [(id, Arc::clone(&meter))].into_iter().collect();
            gist(&list(&meters, &[], &Profiles::embedded()))
        };
        meter.memory().hear(&telegram(32_666_857, 0));
        let before = gist();
        meter.memory().hear(&telegram(32_666_857, 16));
        assert_eq!(gist(), before);
        meter.memory().note(Condition::Reading);
        assert_ne!(gist(), before);
    }

    #[test]
    fn others_have_no_state() {
        let listed = json_of(&[], &[Sighting::of(&telegram(5, 0))]);
        assert_eq!(listed[0]["id"], "00000005");
        for absent in ["monitored", "state", "interval"] {
            assert_eq!(listed[0].get(absent), None, "{absent}");
        }
    }
}
