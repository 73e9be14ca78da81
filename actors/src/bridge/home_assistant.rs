//! Home Assistant's device discovery: one retained message that describes a meter with all its values. Pure.
//!
//! `<prefix>/device/<object id>/config`, as the schemas of Home Assistant 2026.2 want it (`deploy/home_assistant/` checks it with them). Ids are made of the meter's address, not of the gateway's id: a gateway that is exchanged keeps the history.
//! So a meter belongs to one gateway at a time.

use std::time::Duration;

use serde_json::{Map, Value, json};
use wmbus::Unit;

use crate::meter::MeterId;
use crate::output::base_topic::{BaseTopic, object_id};
use crate::output::catalogue::{Entry, Kind, KnownField};
use crate::output::state::STATE;

/// Where Home Assistant looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomeAssistant {
    /// What its topics begin with, `homeassistant` unless changed there.
    pub prefix: BaseTopic,
}

impl HomeAssistant {
    /// Where it says that it has started.
    pub(super) fn status(&self) -> String {
        format!("{}/status", self.prefix)
    }

    /// Where a meter is described.
    pub(super) fn topic_of_meter(&self, meter: MeterId) -> String {
        self.topic(&id(meter))
    }

    /// Where the gateway is described.
    pub(super) fn topic_of_gateway(&self, gateway_id: &str) -> String {
        self.topic(&gateway(gateway_id))
    }

    fn topic(&self, id: &str) -> String {
        format!("{}/device/{id}/config", self.prefix)
    }
}

/// The description of a meter. `limit` is how long its values are good for.
pub(super) fn meter(
    base: &BaseTopic,
    gateway_id: &str,
    meter: MeterId,
    entry: &Entry,
    limit: Option<Duration>,
) -> Value {
    let mut components = Map::new();
    for field in &entry.fields {
        let mut component = sensor(meter, field, entry.medium);
        if let Some(limit) = limit {
            insert(&mut component, "expire_after", json!(limit.as_secs()));
        }
        components.insert(field.name.clone(), component);
    }
    for (name, mut component) in diagnostics(base, meter) {
        // They are what tells why a meter is away, so they do not go away with it.
        insert(
            &mut component,
            "availability",
            json!([bridge_is_online(base)]),
        );
        components.insert(format!("diagnostic_{name}"), component);
    }
    let model = match entry.model.as_str() {
        "" => meter.manufacturer.to_string(),
        model => model.to_owned(),
    };
    json!({
        "device": {
            "identifiers": [id(meter)],
            "name": format!("{model} {}", meter.identification),
            "manufacturer": meter.manufacturer.to_string(),
            "model": model,
            "serial_number": meter.identification.to_string(),
            "hw_version": format!("{:02X}", entry.version),
            "via_device": gateway(gateway_id),
        },
        "origin": origin(),
        "availability": [bridge_is_online(base), is_online(base.meter(meter, AVAILABILITY))],
        "availability_mode": "all",
        "state_topic": base.meter(meter, STATE),
        "components": components,
    })
}

/// The description of the gateway itself.
pub(super) fn of_gateway(base: &BaseTopic, gateway_id: &str) -> Value {
    let id = gateway(gateway_id);
    json!({
        "device": {
            "identifiers": [id],
            "name": format!("omnigate {gateway_id}"),
            "manufacturer": "omnigate",
            "model": "omnigate",
            "sw_version": env!("CARGO_PKG_VERSION"),
        },
        "origin": origin(),
        "components": {
            "connection": {
                "platform": "binary_sensor",
                "unique_id": format!("{id}_connection"),
                "name": "Connection",
                "device_class": "connectivity",
                "entity_category": "diagnostic",
                "state_topic": base.bridge(STATE),
                "value_template": "{{ value_json.state }}",
                "payload_on": "online",
                "payload_off": "offline",
            },
        },
    })
}

/// The last level of a meter's topic that says whether it is heard.
pub(super) const AVAILABILITY: &str = "availability";
/// The last level of a meter's topic with what is counted of it.
pub(super) const DIAGNOSTICS: &str = "diagnostics";

fn id(meter: MeterId) -> String {
    format!("omnigate_{}", object_id(meter))
}

/// A gateway's id may hold points, which Home Assistant does not allow in a topic.
fn gateway(gateway_id: &str) -> String {
    format!("omnigate_gateway_{}", gateway_id.replace('.', "_"))
}

fn origin() -> Value {
    json!({"name": "omnigate", "sw_version": env!("CARGO_PKG_VERSION")})
}

fn bridge_is_online(base: &BaseTopic) -> Value {
    is_online(base.bridge(STATE))
}

fn is_online(topic: String) -> Value {
    json!({"topic": topic, "value_template": "{{ value_json.state }}"})
}

fn sensor(meter: MeterId, field: &KnownField, medium: u8) -> Value {
    let name = &field.name;
    let mut component = json!({
        "platform": "sensor",
        "unique_id": format!("{}_{name}", id(meter)),
        "name": title(name),
        // Nothing where the value was not sent: it stays as it was. What the meter marks as invalid is null, and unknown.
        "value_template": format!("{{{{ value_json.fields['{name}'].value if '{name}' in value_json.fields }}}}"),
    });
    let unit = unit_of_measurement(field.unit);
    if let Some(unit) = unit.filter(|_| field.kind != Kind::Text) {
        insert(&mut component, "unit_of_measurement", json!(unit));
    }
    if let Some(class) = device_class(field, medium) {
        insert(&mut component, "device_class", json!(class));
    }
    if let Some(class) = state_class(field) {
        insert(&mut component, "state_class", json!(class));
    }
    if let Kind::Number(digits) | Kind::Register(digits) = field.kind {
        insert(&mut component, "suggested_display_precision", json!(digits));
    }
    if field.stored {
        insert(&mut component, "enabled_by_default", json!(false));
    }
    component
}

fn diagnostics(base: &BaseTopic, meter: MeterId) -> impl Iterator<Item = (&'static str, Value)> {
    let topic = base.meter(meter, DIAGNOSTICS);
    [
        ("rssi_dbm", "Signal strength", json!({"device_class": "signal_strength", "state_class": "measurement", "unit_of_measurement": "dBm"})),
        ("last_heard", "Last heard", json!({"device_class": "timestamp"})),
        ("readings", "Readings", json!({"state_class": "total_increasing"})),
        ("refused", "Refused telegrams", json!({"state_class": "total_increasing"})),
        ("condition", "Condition", json!({})),
    ]
    .into_iter()
    .map(move |(name, title, mut component)| {
        for (key, value) in [
            ("platform", json!("sensor")),
            ("unique_id", json!(format!("{}_diagnostic_{name}", id(meter)))),
            ("name", json!(title)),
            ("entity_category", json!("diagnostic")),
            ("state_topic", json!(topic)),
            ("value_template", json!(format!("{{{{ value_json.{name} }}}}"))),
        ] {
            insert(&mut component, key, value);
        }
        (name, component)
    })
}

fn insert(object: &mut Value, key: &str, value: Value) {
    if let Value::Object(members) = object {
        members.insert(key.to_owned(), value);
    }
}

/// `energy_import` is `Energy import`.
fn title(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first
        .into_iter()
        .chain(letters.map(|letter| if letter == '_' { ' ' } else { letter }))
        .collect()
}

/// The unit as Home Assistant writes it.
fn unit_of_measurement(unit: Unit) -> Option<&'static str> {
    match unit {
        Unit::None => None,
        Unit::Litre => Some("L"),
        Unit::LitrePerHour => Some("L/h"),
        other => Some(other.symbol()),
    }
}

/// The device class, where Home Assistant has one that allows the unit since it knows device discovery (2024.12).
fn device_class(field: &KnownField, medium: u8) -> Option<&'static str> {
    let (Kind::Number(_) | Kind::Register(_)) = field.kind else {
        return None;
    };
    Some(match field.unit {
        unit if is_energy(unit) => "energy",
        Unit::Watt | Unit::Kilowatt => "power",
        Unit::Var => "reactive_power",
        Unit::VoltAmpere => "apparent_power",
        Unit::Volt => "voltage",
        Unit::Ampere => "current",
        Unit::Hertz => "frequency",
        unit if is_volume(unit) => match medium {
            GAS => "gas",
            _ if WATER.contains(&medium) => "water",
            _ => "volume",
        },
        Unit::CubicMetrePerHour | Unit::LitrePerHour => "volume_flow_rate",
        Unit::Kilogram => "weight",
        Unit::DegreeCelsius | Unit::DegreeFahrenheit => "temperature",
        Unit::Bar => "pressure",
        Unit::Percent if field.name.contains("humidity") => "humidity",
        Unit::DecibelMilliwatt => "signal_strength",
        Unit::Second | Unit::Minute | Unit::Hour | Unit::Day => "duration",
        _ => return None,
    })
}

/// Stored values have none: they are no course of time. Nor have totals of which it is not known that they only rise: Home Assistant takes no
/// measurements of energy and volume.
fn state_class(field: &KnownField) -> Option<&'static str> {
    match field.kind {
        Kind::Register(_) => Some("total_increasing"),
        Kind::Number(_) if field.stored || is_amount(field.unit) => None,
        Kind::Number(_) => Some("measurement"),
        Kind::Text => None,
    }
}

const fn is_amount(unit: Unit) -> bool {
    is_energy(unit) || is_volume(unit)
}

const fn is_volume(unit: Unit) -> bool {
    matches!(unit, Unit::CubicMetre | Unit::Litre | Unit::CubicFoot)
}

const fn is_energy(unit: Unit) -> bool {
    matches!(
        unit,
        Unit::WattHour
            | Unit::KilowattHour
            | Unit::MegawattHour
            | Unit::Joule
            | Unit::Kilojoule
            | Unit::Megajoule
            | Unit::Gigajoule
            | Unit::Calorie
    )
}

/// Device types of EN 13757-7, table 13.
const GAS: u8 = 0x03;
const WATER: [u8; 5] = [0x06, 0x07, 0x15, 0x16, 0x17];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::fmt::Write;

    /// What Home Assistant allows, in its own words: `deploy/home_assistant/check.py --classes`.
    const CLASSES: &str = include_str!("../../../deploy/home_assistant/classes.json");

    fn base() -> BaseTopic {
        BaseTopic::default()
    }

    fn kam() -> MeterId {
        MeterId {
            manufacturer: "KAM".parse().unwrap(),
            identification: "32666857".parse().unwrap(),
        }
    }

    fn field(name: &str, unit: Unit, kind: Kind, stored: bool) -> KnownField {
        KnownField {
            name: name.to_owned(),
            unit,
            kind,
            stored,
        }
    }

    /// Registers are what `is_register` takes for one.
    fn can_be_a_register(unit: Unit) -> bool {
        is_amount(unit)
            || [
                Unit::VarHour,
                Unit::KilovarHour,
                Unit::VoltAmpereHour,
                Unit::KilovoltAmpereHour,
                Unit::Gallon,
                Unit::Kilogram,
                Unit::Tonne,
                Unit::HeatCostAllocation,
            ]
            .contains(&unit)
    }

    /// A meter of this medium that has a value of every unit, of every kind.
    fn entry_with_everything(medium: u8) -> Entry {
        let mut fields = Vec::new();
        for (number, &unit) in Unit::ALL.iter().enumerate() {
            for (kind, name) in [
                (Kind::Number(3), "number"),
                (Kind::Register(2), "register"),
                (Kind::Text, "text"),
            ] {
                if matches!(kind, Kind::Register(_)) && !can_be_a_register(unit) {
                    continue;
                }
                for stored in [false, true] {
                    let humidity = if unit == Unit::Percent {
                        "relative_humidity"
                    } else {
                        "value"
                    };
                    fields.push(field(
                        &format!("{humidity}_{number}_{name}_{stored}"),
                        unit,
                        kind,
                        stored,
                    ));
                }
            }
        }
        Entry {
            version: 0x30,
            medium,
            model: "Everything".to_owned(),
            fields,
        }
    }

    fn descriptions() -> Vec<(String, Value)> {
        let at = HomeAssistant {
            prefix: BaseTopic::homeassistant(),
        };
        let media = [0x02, GAS, 0x04, 0x06, 0x07, 0x16];
        let mut descriptions: Vec<_> = media
            .map(|medium| {
                let limit = (medium != 0x04).then_some(Duration::from_secs(120));
                let entry = entry_with_everything(medium);
                (
                    at.topic_of_meter(kam()),
                    meter(&base(), "706.1", kam(), &entry, limit),
                )
            })
            .into();
        descriptions.push((at.topic_of_gateway("706.1"), of_gateway(&base(), "706.1")));
        descriptions
    }

    fn texts<'a>(allowed: &'a Value, list: &str, of: &str) -> HashSet<&'a str> {
        let list = allowed[list][of].as_array();
        list.into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    }

    fn keys(object: &Value) -> impl Iterator<Item = &str> {
        object.as_object().unwrap().keys().map(String::as_str)
    }

    /// With what was taken from its own schemas. With `OMNIGATE_DESCRIPTIONS=FILE` the descriptions are written there, for
    /// `deploy/home_assistant/check.sh`, which has Home Assistant itself read them.
    #[test]
    fn home_assistant_takes_every_unit_of_every_kind() {
        let allowed: Value = serde_json::from_str(CLASSES).unwrap();
        let mut lines = String::new();
        for (topic, payload) in descriptions() {
            writeln!(lines, "{}", json!({"topic": topic, "payload": payload})).unwrap();
            for (list, object) in [
                ("discovery", &payload),
                ("device", &payload["device"]),
                ("origin", &payload["origin"]),
            ] {
                let known = texts(&allowed, "keys", list);
                assert!(
                    keys(object).all(|key| known.contains(key)),
                    "{list}: {object}"
                );
            }
            let mut unique = HashSet::new();
            for (name, component) in payload["components"].as_object().unwrap() {
                let platform = component["platform"].as_str().unwrap();
                let known = texts(&allowed, "keys", platform);
                assert!(
                    keys(component).all(|key| key == "platform" || known.contains(key)),
                    "{component}"
                );
                assert!(
                    unique.insert(component["unique_id"].as_str().unwrap()),
                    "{name}"
                );
                let Some(class) = component["device_class"]
                    .as_str()
                    .filter(|_| platform == "sensor")
                else {
                    continue;
                };
                let units = texts(&allowed, "units", class);
                let unit = component["unit_of_measurement"].as_str();
                assert!(
                    units.is_empty() || unit.is_some_and(|unit| units.contains(unit)),
                    "{name}: {component}"
                );
                if let Some(state_class) = component["state_class"].as_str() {
                    let states = texts(&allowed, "state_classes", class);
                    assert!(states.contains(state_class), "{name}: {component}");
                }
            }
        }
        if let Some(file) = std::env::var_os("OMNIGATE_DESCRIPTIONS") {
            std::fs::write(file, lines).unwrap();
        }
    }

    #[test]
    fn a_meter_by_hand() {
        let entry = Entry {
            version: 0x30,
            medium: 0x02,
            model: "OmniPower".to_owned(),
            fields: vec![field(
                "energy_import",
                Unit::WattHour,
                Kind::Register(0),
                false,
            )],
        };
        let description = meter(
            &base(),
            "706462169",
            kam(),
            &entry,
            Some(Duration::from_secs(120)),
        );
        assert_eq!(
            description["components"]["energy_import"],
            json!({
                "platform": "sensor",
                "unique_id": "omnigate_kam_32666857_energy_import",
                "name": "Energy import",
                "value_template": "{{ value_json.fields['energy_import'].value if 'energy_import' in value_json.fields }}",
                "unit_of_measurement": "Wh",
                "device_class": "energy",
                "state_class": "total_increasing",
                "suggested_display_precision": 0,
                "expire_after": 120,
            })
        );
        assert_eq!(description["state_topic"], "omnigate/kam_32666857/state");
        assert_eq!(description["availability_mode"], "all");
        assert_eq!(
            description["availability"],
            json!([
                {"topic": "omnigate/bridge/state", "value_template": "{{ value_json.state }}"},
                {"topic": "omnigate/kam_32666857/availability", "value_template": "{{ value_json.state }}"},
            ])
        );
        assert_eq!(
            description["components"]["diagnostic_rssi_dbm"]["entity_category"],
            "diagnostic"
        );
    }
}
