//! The values of the reference telegrams, where they are at hand: each must be among the decoded records or fields,
//! whatever its name, in the right unit. Those that are not in the telegram, or not in this form, are listed below,
//! each with the reason.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value as Json;
use wmbus::{Decoder, MeterKey, Profile, Quantity, Reading, Record, Telegram, Unit, Value, link};

/// Driver, beginning of the value's name, and why the value is not found.
const NOT_IN_THE_TELEGRAM: &[(&str, &str, &str)] = &[
    (
        "apator172",
        "total",
        "the meter counts thirds of a litre: 21533 are 7.1777 m³, not 7177.7",
    ),
    (
        "apatoreitn",
        "season_start_date",
        "1 May of every year; the reference takes the oldest possible one",
    ),
    (
        "aquastream",
        "battery",
        "5595 days; the reference divides them by 365",
    ),
    ("c5isf", "prev_", "80000000 marks an invalid value (type B)"),
    (
        "ebzwmbe",
        "current_power_consumption",
        "the sum of three values",
    ),
    (
        "fhkvdataiv",
        "consumption_at_set_date_1",
        "an increment, and of another month; here the values themselves",
    ),
    (
        "flowiq2200",
        "",
        "a telegram altered by hand: the CRC of its full frame is that of flow 0",
    ),
    ("gwfgas", "target_date", "0000 is no date: month 0, day 0"),
    ("hydrodigit", "J", "FFFFFF marks an invalid value"),
    ("iem3000", "operating_time", "seconds, not years"),
    (
        "istaheat",
        "last_year_date",
        "0000 is no date: month 0, day 0",
    ),
    ("kamheat", "target_date", "0000 is no date: month 0, day 0"),
    (
        "multical21",
        "external_temperature_f",
        "19 °C, converted by the reference",
    ),
    (
        "multical21",
        "flow_temperature_f",
        "127 °C, converted by the reference",
    ),
    (
        "qheat",
        "",
        "the block counts 10^5 J like the records beside it: 3083.1 MJ, not kWh",
    ),
    (
        "qwater",
        "volume_flow",
        "BB 56 is how long the flow was below its limit, in hours",
    ),
    (
        "qwaterv2",
        "volume_flow",
        "BB 56 is how long the flow was below its limit, in hours",
    ),
    (
        "qwaterv2",
        "volume_delta",
        "tens of litres: with them the months add up to the total; 8000 marks an invalid one",
    ),
    ("sontex868", "set_date", "1 July of every year, not of 2127"),
    (
        "topaseskr",
        "battery",
        "days; the reference divides them by 365",
    ),
    (
        "waterstarm",
        "history_",
        "no such dates: the meter keeps readings of months' ends (the ninth equals that of the due date, 31 December), \
         the reference takes the day of sending, 23 December",
    ),
    ("werhlemodwm", "meter_datetime", "day 0 of month 0"),
];

#[test]
fn are_found_or_known_not_to_be_sent() {
    let Some(folder) = folder() else {
        return;
    };
    let mut unused: Vec<_> = NOT_IN_THE_TELEGRAM.iter().collect();
    let (mut found, mut wrong) = (0, Vec::new());
    for file in ["omnipower.jsonl", "official.jsonl", "telegrams.jsonl"] {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        let mut decoders = HashMap::new();
        for (line, json) in text.lines().enumerate() {
            let reference: Json = serde_json::from_str(json).unwrap();
            let values = decode(&reference, &mut decoders);
            let place = format!("{file}:{}", line + 1);
            let Some(expected) = reference["expected"].as_object() else {
                let is_rejected = values.is_none() || reference["key"].is_null();
                assert!(is_rejected, "{place}: should have been rejected");
                continue;
            };
            let driver = reference["driver"].as_str().unwrap_or_default();
            let values = values.unwrap_or_default();
            for (name, value) in expected.iter().filter(|(name, value)| counts(name, value)) {
                if is_among(name, value, &values) {
                    found += 1;
                    continue;
                }
                let is_known =
                    |known: &(&str, &str, &str)| known.0 == driver && name.starts_with(known.1);
                unused.retain(|known| !is_known(known));
                if !NOT_IN_THE_TELEGRAM.iter().any(is_known) {
                    wrong.push(format!("{place}: {driver}: {name} {value}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "not found:\n{}", wrong.join("\n"));
    assert!(unused.is_empty(), "found after all: {unused:?}");
    assert!(found > 2000, "only {found} values");
}

/// Where a profile has channels, its meter's telegrams give a value for at least one.
#[test]
fn channels_have_values() {
    let mut with_values = HashMap::new();
    for (place, reading, profile) in readings() {
        let Some(profile) = profile.filter(|profile| !profile.channels.is_empty()) else {
            continue;
        };
        let has_value = profile
            .channels
            .iter()
            .any(|channel| reading.channel(&profile, channel).is_some());
        let model = format!("{} {}", profile.manufacturer, profile.model);
        with_values.entry(model).or_insert((place, false)).1 |= has_value;
    }
    let without: Vec<_> = with_values
        .iter()
        .filter(|(_, (_, has_value))| !has_value)
        .collect();
    assert!(without.is_empty(), "{without:?}");
    assert!(folder().is_none() || with_values.len() > 50);
}

/// Without a profile every record has a name that no other of its telegram has, and that depends on nothing but the record.
#[test]
fn generated_names_are_unique_and_stable() {
    for (place, reading, _) in readings() {
        let unknown = Profile::unknown(reading.address.manufacturer);
        let names: Vec<_> = reading
            .fields(&unknown)
            .into_iter()
            .map(|field| field.name)
            .collect();
        let different: HashSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len(), "{place}: {names:?}");
        for record in &reading.records {
            let mut alone = reading.clone();
            alone.records = vec![record.clone()];
            for field in alone.fields(&unknown) {
                assert!(
                    names.contains(&field.name),
                    "{place}: {} alone has another name than among {names:?}",
                    field.name
                );
                let letters =
                    |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
                assert!(field.name.bytes().all(letters), "{place}: {}", field.name);
            }
        }
    }
}

/// What the reference telegrams say, with the profiles of their meters.
fn readings() -> Vec<(String, Reading, Option<Arc<Profile>>)> {
    let mut readings = Vec::new();
    let Some(folder) = folder() else {
        return readings;
    };
    for file in ["omnipower.jsonl", "official.jsonl", "telegrams.jsonl"] {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        let mut decoders = HashMap::new();
        for (line, json) in text.lines().enumerate() {
            let reference: Json = serde_json::from_str(json).unwrap();
            if let Some((reading, decoder)) = read(&reference, &mut decoders) {
                let profile = decoder.profile(reading.address).cloned();
                readings.push((format!("{file}:{}", line + 1), reading, profile));
            }
        }
    }
    readings
}

/// `decode --explain` shows every byte once, and comes to the same end.
#[test]
fn are_explained_byte_by_byte() {
    let Some(folder) = folder() else {
        return;
    };
    for file in ["omnipower.jsonl", "official.jsonl", "telegrams.jsonl"] {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        for (line, json) in text.lines().enumerate() {
            let reference: Json = serde_json::from_str(json).unwrap();
            let bytes = hex(reference["telegram"].as_str().unwrap());
            let key = reference["key"].as_str().map(|key| key.parse().unwrap());
            let explanation = Decoder::new(key.clone()).explain(&bytes);
            let place = format!("{file}:{}", line + 1);
            let shown: Vec<u8> = explanation
                .parts
                .iter()
                .flat_map(|part| part.bytes.clone())
                .collect();
            assert_eq!(shown, bytes, "{place}");
            let mut offset = 0;
            for part in &explanation.parts {
                assert_eq!(part.offset, offset, "{place}");
                offset += part.bytes.len();
            }
            let outcome = Decoder::new(key).decode(&bytes);
            assert_eq!(explanation.outcome, outcome, "{place}");
            let Ok(reading) = &explanation.outcome else {
                let last = explanation.parts.last().unwrap();
                assert!(
                    explanation.failed_at.is_some() || last.field == "fragment",
                    "{place}"
                );
                continue;
            };
            // What could be decoded is understood to the last byte, but for what no record is.
            let rest = |record: &Record| record.quantity == Quantity::Rest;
            let has_rest = reading.records.iter().any(rest);
            let mut parts = explanation.parts.iter();
            let unknown =
                parts.find(|part| matches!(&*part.meaning, "left over" | "not understood"));
            assert!(has_rest || unknown.is_none(), "{place}: {unknown:?}");
        }
    }
}

fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors");
    if !folder.is_dir() {
        eprintln!("not there, so not tested: {}", folder.display());
        return None;
    }
    Some(folder)
}

/// All numbers and texts of the records and fields, with their units; `None` if the telegram is refused.
/// The decoders of all meters so far, by the meter and the key.
type Decoders = HashMap<(String, Option<String>), Decoder>;

fn read<'a>(reference: &Json, decoders: &'a mut Decoders) -> Option<(Reading, &'a mut Decoder)> {
    let bytes = hex(reference["telegram"].as_str().unwrap());
    let key = reference["key"].as_str().map(str::to_owned);
    let meter = link::normalise(&bytes)
        .and_then(|bytes| Telegram::parse(&bytes).map(|telegram| telegram.address().to_string()))
        .ok()?;
    let decoder = decoders
        .entry((meter, key.clone()))
        .or_insert_with(|| Decoder::new(key.map(|key| key.parse::<MeterKey>().unwrap())));
    let reading = decoder.decode(&bytes).ok()?;
    assert!(
        reading.records.len() <= bytes.len() / 2,
        "more records than bytes can hold"
    );
    Some((reading, decoder))
}

fn decode(reference: &Json, decoders: &mut Decoders) -> Option<Vec<(Value, Unit)>> {
    let (reading, decoder) = read(reference, decoders)?;
    let unknown = Profile::unknown(reading.address.manufacturer);
    let profile = decoder
        .profile(reading.address)
        .map_or(&unknown, |profile| profile);
    let fields = reading.fields(profile).into_iter();
    let fields = fields.map(|field| (field.value, field.unit));
    let records = reading.records.iter();
    let records = records.map(|record| (record.value.clone(), record.unit));
    Some(records.chain(fields).collect())
}

/// Is it a number or a date that the meter could have sent?
fn counts(name: &str, value: &Json) -> bool {
    const ABOUT_THE_REFERENCE: [&str; 9] = [
        "_",
        "media",
        "meter",
        "name",
        "id",
        "timestamp",
        "device",
        "rssi_dbm",
        "device_date_time",
    ];
    let is_date = |text: &str| {
        text.len() >= 10
            && text.as_bytes()[4] == b'-'
            && text.as_bytes()[7] == b'-'
            && !text.starts_with("1111")
    };
    !ABOUT_THE_REFERENCE.contains(&name)
        && (value.is_number() || value.as_str().is_some_and(is_date))
}

fn is_among(name: &str, expected: &Json, values: &[(Value, Unit)]) -> bool {
    if let Some(date) = expected.as_str() {
        return values
            .iter()
            .any(|(value, _)| value.to_string().get(..10) == date.get(..10));
    }
    let printed = expected.to_string();
    let expected: f64 = printed.parse().unwrap();
    let wanted = suffix(name);
    values.iter().any(|(value, unit)| {
        let number = match value {
            Value::Decimal(number) => number.to_string().parse::<f64>().ok(),
            Value::Text(text) => text.parse().ok(),
            _ => None,
        };
        let Some(number) = number else { return false };
        let numbers = [Unit::None, Unit::HeatCostAllocation];
        let factor = match numbers.contains(&wanted) && numbers.contains(unit) {
            true => Some(1.0),
            false => factor(*unit, wanted),
        };
        factor.is_some_and(|factor| is_same(number * factor, expected, &printed))
    })
}

/// The unit that a name ends with.
fn suffix(name: &str) -> Unit {
    match name.rsplit('_').next().unwrap_or_default() {
        "m3" => Unit::CubicMetre,
        "l" => Unit::Litre,
        "m3h" => Unit::CubicMetrePerHour,
        "lh" => Unit::LitrePerHour,
        "kwh" => Unit::KilowattHour,
        "mj" => Unit::Megajoule,
        "gj" => Unit::Gigajoule,
        "kw" => Unit::Kilowatt,
        "w" => Unit::Watt,
        "c" => Unit::DegreeCelsius,
        "f" => Unit::DegreeFahrenheit,
        "v" => Unit::Volt,
        "a" => Unit::Ampere,
        "hz" => Unit::Hertz,
        "bar" => Unit::Bar,
        "rh" | "pct" => Unit::Percent,
        "ppm" => Unit::PartsPerMillion,
        "dbm" => Unit::DecibelMilliwatt,
        "kvarh" => Unit::KilovarHour,
        "kvah" => Unit::KilovoltAmpereHour,
        "kvar" => Unit::Kilovar,
        "kva" => Unit::KilovoltAmpere,
        "m3c" => Unit::CubicMetreDegreeCelsius,
        "s" => Unit::Second,
        "min" => Unit::Minute,
        "h" => Unit::Hour,
        "d" => Unit::Day,
        "month" => Unit::Month,
        "y" => Unit::Year,
        "hca" => Unit::HeatCostAllocation,
        _ => Unit::None,
    }
}

/// From one unit to another of the same dimension.
fn factor(from: Unit, to: Unit) -> Option<f64> {
    if let Some(power) = from.power_to(to) {
        return Some(10_f64.powi(power.into()));
    }
    let seconds = |unit| match unit {
        Unit::Second => Some(1.0),
        Unit::Minute => Some(60.0),
        Unit::Hour => Some(3600.0),
        Unit::Day => Some(86_400.0),
        _ => None,
    };
    if let (Some(from), Some(to)) = (seconds(from), seconds(to)) {
        return Some(from / to);
    }
    // Joules and watt-hours.
    let power = |unit: Unit, base| unit.power_to(base).map(|power| 10_f64.powi(power.into()));
    match (power(from, Unit::Joule), power(to, Unit::WattHour)) {
        (Some(joules), Some(hours)) => Some(joules / 3600.0 / hours),
        _ => match (power(from, Unit::JoulePerHour), power(to, Unit::Watt)) {
            (Some(joules), Some(watts)) => Some(joules / 3600.0 / watts),
            _ => None,
        },
    }
}

/// The reference rounds some quotients to the digits it prints.
fn is_same(found: f64, expected: f64, printed: &str) -> bool {
    let digits = printed
        .split_once('.')
        .map_or(0, |(_, digits)| digits.len());
    (found - expected).abs() <= 1e-6 * found.abs().max(expected.abs())
        || digits >= 3 && (found - expected).abs() <= 0.500_000_1 * 10_f64.powi(-(digits as i32))
}

fn hex(text: &str) -> Vec<u8> {
    let byte = |pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    text.as_bytes().chunks(2).map(byte).collect()
}
