//! The state output: `<base>/<meter>/state`, one JSON object for each telegram, with every named value.
//!
//! ```json
//! {"received_at":"2026-11-24T03:39:42Z","id":"32666857","manufacturer":"KAM","model":"OmniPower","rssi_dbm":-71,
//!  "authentication":"crc","fields":{"energy_import":{"value":2060,"unit":"Wh"},"power_import":{"value":3,"unit":"W"}}}
//! ```
//!
//! `fields` are the values that the meter's profile names, and for a meter without profile all of them under generated names, which stay
//! the same as long as the meter sends the same records. A value that the meter did not send is absent, one that it marks as invalid is
//! null. `authentication` says what was verified: `mac`, a code made with the meter's key; `crc`, which tells a wrong key but no forger;
//! `none`. `rssi_dbm` is absent where the source has none.
//!
//! A register that would fall is held back (see `register.rs`): it is absent from `fields` and named in `held_back`.
//!
//! **Retained** by default, so that who subscribes later sees the last state. What is in the outbox is sent oldest first within a meter, and
//! from the oldest again after a lost connection: so an older reading may be seen again, but the last one sent, which the broker keeps, is
//! always the newest. Readings of a meter that was removed meanwhile are sent, but not retained: nobody would ever clear them away.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use slog::{Logger, warn};
use wmbus::{Authentication, Field};

use super::base_topic::BaseTopic;
use super::catalogue::Catalogue;
use super::fields::Fields;
use super::recalc::whole_second;
use super::register::{Register, Verdict, is_register};
use super::{Origin, Output, Tag};
use crate::counters::{Count, Counters};
use crate::meter::{MeterId, MeterName};
use crate::mqtt::{Outgoing, QoS};
use crate::publisher::{MeterReading, News};
use crate::store::meter_table::MeterTable;

/// See the [module documentation](self).
pub struct State {
    config: Config,
    registers: Mutex<HashMap<MeterId, HashMap<String, Register>>>,
}

/// What the state output is made from.
#[derive(Clone)]
pub struct Config {
    /// What its topics begin with.
    pub base: BaseTopic,
    /// Whether the broker keeps the last state of each meter.
    pub retain: bool,
    /// The monitored meters.
    pub meters: Arc<MeterTable>,
    /// Where is noted what meters send.
    pub catalogue: Arc<Catalogue>,
    /// Counts by reason.
    pub counters: Arc<Counters>,
    /// Where to log.
    pub log: Logger,
}

impl State {
    /// Nothing was published yet.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            registers: Mutex::default(),
        }
    }

    /// Takes the registers that would fall out of the fields, and gives their names.
    fn hold_back(
        &self,
        meter: MeterId,
        name: &MeterName,
        fields: &mut Vec<Field<'_>>,
    ) -> Vec<String> {
        let mut registers = self
            .registers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let registers = registers.entry(meter).or_default();
        let Config { log, counters, .. } = &self.config;
        let mut held_back = Vec::new();
        fields.retain(|field| {
            let Some(value) = field.value.decimal().filter(|_| is_register(field)) else {
                return true;
            };
            // Not by `entry`, which would need a copy of the name each time.
            if !registers.contains_key(&field.name) {
                registers.insert(field.name.clone(), Register::default());
            }
            let verdict = match registers.get_mut(&field.name) {
                Some(register) => register.judge(value),
                None => Verdict::Publish,
            };
            match verdict {
                Verdict::Publish => return true,
                Verdict::HoldBack => {
                    counters.increment(Count::RegistersHeldBack);
                    warn!(log, "a register falls: held back until others confirm it";
                        "reason" => "register falls", "meter" => %name, "field" => &field.name);
                }
                Verdict::BeginAnew => {
                    warn!(log, "a register has fallen and stays there: it begins anew";
                        "reason" => "register begins anew", "meter" => %name, "field" => &field.name);
                    return true;
                }
            }
            held_back.push(field.name.clone());
            false
        });
        held_back
    }
}

impl Output for State {
    fn tag(&self) -> Tag {
        Tag(2)
    }

    fn encode(&self, reading: &MeterReading) -> Box<[u8]> {
        let MeterReading {
            meter: name,
            rssi,
            profile,
            reading,
            ..
        } = reading;
        let Some(meter) = name.id() else {
            return Box::default();
        };
        let mut fields = reading.fields(profile);
        self.config
            .catalogue
            .learn(meter, reading.address, profile, &fields);
        let held_back = self.hold_back(meter, name, &mut fields);
        let state = Payload {
            id: meter.identification.to_string(),
            manufacturer: meter.manufacturer.to_string(),
            model: Some(profile.model.as_str()).filter(|model| !model.is_empty()),
            rssi_dbm: rssi.map(wmbus::im871a::Rssi::dbm),
            authentication: authentication(reading.authentication),
            held_back,
            fields: Fields(&fields),
        };
        // Texts and numbers under names: there is nothing that could fail.
        serde_json::to_vec(&state).unwrap_or_default().into()
    }

    fn render(&self, kept: &[u8], of: &Origin<'_>, messages: &mut Vec<Outgoing>) {
        let Some((meter, rest)) = of.meter.id().zip(kept.strip_prefix(b"{")) else {
            return;
        };
        let Some(time) = of.received_at.time() else {
            return;
        };
        let mark = if of.received_at.is_estimated() {
            "\"received_at_estimated\":true,"
        } else {
            ""
        };
        let time = format!("{{\"received_at\":\"{}\",{mark}", whole_second(time));
        messages.push(Outgoing {
            topic: self.config.base.meter(meter, STATE).into(),
            payload: [time.as_bytes(), rest].concat(),
            qos: QoS::AtLeastOnce,
            retained: self.config.retain && self.config.meters.may_monitor(meter),
        });
    }

    fn announce(&self, meter: &MeterName, news: &News, messages: &mut Vec<Outgoing>) {
        let (News::Removed, Some(meter)) = (news, meter.id()) else {
            return;
        };
        // It may have come back since.
        if self.config.meters.may_monitor(meter) {
            return;
        }
        self.registers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&meter);
        self.config.catalogue.forget(meter);
        // An empty retained message is how a broker is told to forget one. Also with `retain` off: it may have been on before.
        messages.push(Outgoing {
            topic: self.config.base.meter(meter, STATE).into(),
            payload: Vec::new(),
            qos: QoS::AtLeastOnce,
            retained: true,
        });
    }
}

/// What is kept of a reading: all but the time.
#[derive(Serialize)]
struct Payload<'a> {
    id: String,
    manufacturer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rssi_dbm: Option<i8>,
    authentication: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    held_back: Vec<String>,
    fields: Fields<'a>,
}

/// The last level of the topic.
pub const STATE: &str = "state";

fn authentication(authentication: Authentication) -> &'static str {
    match authentication {
        Authentication::None => "none",
        Authentication::Crc => "crc",
        Authentication::Mac => "mac",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Stamp;
    use crate::meter::Meter;
    use crate::raw_telegram::RawTelegram;
    use jiff::Timestamp;
    use serde_json::{Value, json};
    use wmbus::im871a::Rssi;
    use wmbus::{Decoder, Profile};

    const COMPACT_2_06: &str =
        "27442D2C5768663230028D202E21870320D3A4F149B1B8F5783DF7434B8A66A55786499ABE7BAB59";
    const FULL_2_15: &str = "2D442D2C5768663230028D206461DD032038931D14B405536E0250592F8B908138D58602ECA676FF79E0CAF0B14D";

    fn name() -> Arc<MeterName> {
        Arc::new(MeterName {
            manufacturer_key: "kam".to_owned(),
            device_id: "32666857".to_owned(),
        })
    }

    fn reading(telegram: &str) -> MeterReading {
        let bytes: Vec<_> = (0..telegram.len() / 2)
            .map(|at| u8::from_str_radix(&telegram[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        let key = "9A25139E3244CC2E391A8EF6B915B697".parse().unwrap();
        let mut decoder = Decoder::new(Some(key));
        let reading = decoder.decode(&bytes).unwrap();
        MeterReading {
            meter: name(),
            received_at: Timestamp::UNIX_EPOCH,
            rssi: Some(Rssi::from_dbm(-71)),
            profile: Arc::clone(decoder.profile(reading.address).unwrap()),
            introduces: false,
            reading,
            memory: None,
            raw: RawTelegram::radio(bytes, Timestamp::UNIX_EPOCH, None),
        }
    }

    fn state() -> State {
        State::new(Config {
            base: BaseTopic::default(),
            retain: true,
            meters: Arc::default(),
            catalogue: Arc::default(),
            counters: Arc::default(),
            log: Logger::root(slog::Discard, slog::o!()),
        })
    }

    fn render(state: &State, reading: &MeterReading) -> Outgoing {
        let origin = Origin {
            meter: &reading.meter,
            received_at: Stamp::Known("2026-11-24T03:39:42.9Z".parse().unwrap()),
        };
        let mut messages = Vec::new();
        state.render(&state.encode(reading), &origin, &mut messages);
        messages.pop().unwrap()
    }

    fn json_of(state: &State, reading: &MeterReading) -> Value {
        serde_json::from_slice(&render(state, reading).payload).unwrap()
    }

    #[test]
    fn a_telegram_is_one_object_with_all_its_values() {
        let message = render(&state(), &reading(COMPACT_2_06));
        assert_eq!(&*message.topic, "omnigate/kam_32666857/state");
        assert!(message.retained);
        assert_eq!(
            String::from_utf8(message.payload).unwrap(),
            concat!(
                r#"{"received_at":"2026-11-24T03:39:42Z","id":"32666857","manufacturer":"KAM","model":"OmniPower","rssi_dbm":-71,"#,
                r#""authentication":"crc","fields":{"energy_import":{"value":2060,"unit":"Wh"},"energy_export":{"value":0,"unit":"Wh"},"#,
                r#""power_import":{"value":3,"unit":"W"},"power_export":{"value":0,"unit":"W"}}}"#
            )
        );
    }

    #[test]
    fn without_a_profile_names_are_generated() {
        let mut reading = reading(FULL_2_15);
        reading.profile = Arc::new(Profile::unknown(reading.reading.address.manufacturer));
        let json = json_of(&state(), &reading);
        assert_eq!(
            json["fields"]["energy"],
            json!({"value": 2150, "unit": "Wh"})
        );
        assert_eq!(json.get("model"), None);
    }

    #[test]
    fn a_register_that_falls_is_held_back_until_it_is_believed() {
        let state = state();
        let (high, low) = (reading(FULL_2_15), reading(COMPACT_2_06));
        let energy = |reading| {
            let json = json_of(&state, reading);
            assert_eq!(json["fields"]["power_import"]["value"], 3);
            let held_back = json
                .get("held_back")
                .is_some_and(|names| *names == json!(["energy_import"]));
            let value = json["fields"]["energy_import"]["value"].as_i64();
            assert_eq!(value.is_none(), held_back);
            value
        };
        assert_eq!(energy(&high), Some(2150));
        assert_eq!(energy(&low), None);
        assert_eq!(energy(&high), Some(2150));
        assert_eq!([0; 3].map(|_| energy(&low)), [None, None, Some(2060)]);
        assert_eq!(state.config.counters.value(Count::RegistersHeldBack), 3);
    }

    #[test]
    fn nothing_is_retained_of_a_meter_that_was_removed() {
        let state = state();
        let id = name().id().unwrap();
        let reading = reading(COMPACT_2_06);
        let meter = Arc::new(Meter::new((*name()).clone(), String::new(), None));
        state.config.meters.replace([(id, meter)].into());
        assert!(render(&state, &reading).retained);
        let mut messages = Vec::new();
        state.announce(&name(), &News::Removed, &mut messages);
        assert_eq!(messages, [], "it has come back since");

        state.config.meters.replace([].into());
        state.announce(&name(), &News::Removed, &mut messages);
        let cleared = messages.pop().unwrap();
        assert_eq!(
            (&*cleared.topic, cleared.retained),
            ("omnigate/kam_32666857/state", true)
        );
        assert!(cleared.payload.is_empty());
        assert!(!render(&state, &reading).retained);
    }
}
