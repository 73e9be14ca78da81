//! Telegrams and the readings that the decoder must make of them: `vectors/readings/`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;

use serde::Deserialize;
use toml::Spanned;
use wmbus::{Decoder, Function, Profile, Reading, Record, Unit, Value};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    vector: Vec<Spanned<Vector>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    name: String,
    #[serde(rename = "source")]
    _source: String,
    telegram: String,
    key: Option<String>,
    #[serde(default)]
    before: Vec<String>,
    expect: Option<Expect>,
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    security: Option<String>,
    authentication: Option<String>,
    more_follow: Option<bool>,
    records: Option<Vec<String>>,
    fields: Option<Vec<String>>,
}

#[test]
fn are_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/readings");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let file: File =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for vector in file.vector {
            let line = text[..vector.span().start].lines().count();
            let place = format!("{}:{line}: {}", path.display(), vector.get_ref().name);
            check(&place, vector.get_ref());
            count += 1;
        }
    }
    assert!(count >= 15, "only {count} vectors");
}

fn check(place: &str, vector: &Vector) {
    let key = vector.key.as_ref().map(|key| key.parse().unwrap());
    let mut decoder = Decoder::new(key);
    for telegram in &vector.before {
        let before = decoder.decode(&hex(telegram));
        assert!(before.is_ok(), "{place}: before it: {before:?}");
    }
    let outcome = decoder.decode(&hex(&vector.telegram));
    let reading = match (&outcome, &vector.error) {
        (Ok(reading), None) => reading,
        (Err(error), Some(expected)) => return assert_eq!(error.to_string(), *expected, "{place}"),
        other => panic!("{place}: {other:?}"),
    };
    let Expect {
        security,
        authentication,
        more_follow,
        records,
        fields,
    } = vector
        .expect
        .as_ref()
        .unwrap_or_else(|| panic!("{place}: expects nothing"));
    if let Some(security) = security {
        assert_eq!(reading.security.to_string(), *security, "{place}");
    }
    if let Some(authentication) = authentication {
        assert_eq!(
            reading.authentication.to_string(),
            *authentication,
            "{place}"
        );
    }
    if let Some(more_follow) = more_follow {
        assert_eq!(reading.more_follow, *more_follow, "{place}");
    }
    if let Some(records) = records {
        let found: Vec<_> = reading.records.iter().map(record).collect();
        assert_eq!(found, *records, "{place}");
    }
    if let Some(fields) = fields {
        let unknown = Profile::unknown(reading.address.manufacturer);
        let profile = decoder
            .profile(reading.address)
            .map_or(&unknown, |profile| profile);
        assert_eq!(named(reading, profile), *fields, "{place}");
    }
}

fn record(record: &Record) -> String {
    let mut text = record.quantity.to_string();
    for qualifier in record.qualifiers.iter() {
        text += &format!(" {qualifier}");
    }
    if record.function != Function::Instantaneous {
        text += &format!(": {}", record.function);
    }
    for (name, number) in [
        ("storage", record.storage),
        ("tariff", record.tariff.into()),
        ("subunit", record.subunit.into()),
    ] {
        if number != 0 {
            text += &format!(": {name} {number}");
        }
    }
    text += &format!(": {}", with_unit(&record.value, record.unit));
    if let Some(time) = record.time {
        text += &format!(" @ {time}");
    }
    text.trim_end().to_owned()
}

fn named(reading: &Reading, profile: &Profile) -> Vec<String> {
    let fields = reading.fields(profile).into_iter();
    fields
        .map(|field| format!("{}: {}", field.name, with_unit(&field.value, field.unit)))
        .map(|field| field.trim_end().to_owned())
        .collect()
}

fn with_unit(value: &Value, unit: Unit) -> String {
    let mark = match value {
        Value::Invalid(_) => "(invalid)",
        _ => unit.symbol(),
    };
    format!("{value} {mark}").trim().to_owned()
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text
        .chars()
        .filter(|letter| !letter.is_whitespace())
        .map(|digit| digit.to_digit(16).unwrap())
        .collect();
    digits
        .chunks(2)
        .map(|pair| (pair[0] << 4 | pair[1]) as u8)
        .collect()
}
