//! Telegrams and what the layers below the application must make of them: `vectors/layers/`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;
use wmbus::afl::Assembler;
use wmbus::{Buffer, Content, Error, MeterKey, Plain, Telegram, link};

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
    #[serde(default)]
    before: Vec<String>,
    telegram: String,
    key: Option<String>,
    expect: Option<Expected>,
    error: Option<String>,
}

/// What is not given is not compared.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    ci: Option<u8>,
    content: Option<String>,
    security: Option<String>,
    authentication: Option<String>,
    counter: Option<u32>,
    meter: Option<String>,
    payload: Option<String>,
}

#[test]
fn every_vector_gives_what_it_says() {
    let mut failures = Vec::new();
    let mut count = 0;
    for path in files() {
        let text = std::fs::read_to_string(&path).unwrap();
        let file: File =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for vector in &file.vector {
            count += 1;
            if let Err(failure) = check(vector.get_ref()) {
                let line = text[..vector.span().start].lines().count();
                let name = &vector.get_ref().name;
                failures.push(format!("{}:{line}: {name}: {failure}", path.display()));
            }
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    assert!(count > 60, "only {count} vectors were found");
}

fn check(vector: &Vector) -> Result<(), String> {
    let key = vector
        .key
        .as_ref()
        .map(|key| key.parse::<MeterKey>().unwrap());
    let mut assembler = Assembler::new();
    for telegram in &vector.before {
        let _ = open(&hex(telegram), key.as_ref(), &mut assembler, |_| ());
    }
    let mut differences = Vec::new();
    let compare = |plain: &Plain<'_>| {
        if let Some(expected) = &vector.expect {
            differences = expected.differences(plain);
        }
    };
    match (
        open(
            &hex(&vector.telegram),
            key.as_ref(),
            &mut assembler,
            compare,
        ),
        &vector.error,
    ) {
        (Ok(()), None) if differences.is_empty() => Ok(()),
        (Ok(()), None) => Err(differences.join(", ")),
        (Ok(()), Some(_)) => Err("it is accepted".to_owned()),
        (Err(error), Some(expected)) if error.to_string() == *expected => Ok(()),
        (Err(error), _) => Err(error.to_string()),
    }
}

fn open(
    bytes: &[u8],
    key: Option<&MeterKey>,
    assembler: &mut Assembler,
    compare: impl FnOnce(&Plain<'_>),
) -> Result<(), Error> {
    let (mut joined, mut buffer) = (Vec::new(), Buffer::new());
    let bytes = link::normalise(bytes)?;
    let telegram = Telegram::parse(&bytes)?.join(assembler, &mut joined)?;
    let plain = match key {
        Some(key) => telegram.decrypt(key, &mut buffer),
        None => telegram.published(&mut buffer),
    }?;
    compare(&plain);
    Ok(())
}

impl Expected {
    fn differences(&self, plain: &Plain<'_>) -> Vec<String> {
        let content = match plain.content {
            Content::Full => "full",
            Content::Compact => "compact",
            Content::Format => "format",
            Content::Alarm => "alarm",
            Content::Manufacturer => "manufacturer",
            _ => "unknown",
        };
        let payload: String = plain
            .bytes
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect();
        let counter = plain
            .message_counter
            .map(|counter| counter.to_string())
            .unwrap_or_default();
        let pairs = [
            (self.ci.map(|ci| ci.to_string()), plain.ci.to_string()),
            (self.content.clone(), content.to_owned()),
            (self.security.clone(), plain.security.to_string()),
            (
                self.authentication.clone(),
                plain.authentication.to_string(),
            ),
            (self.counter.map(|counter| counter.to_string()), counter),
            (self.meter.clone(), plain.address.to_string()),
            (self.payload.as_deref().map(without_spaces), payload),
        ];
        let differs = |(expected, found): &(Option<String>, String)| {
            expected.as_ref().is_some_and(|expected| expected != found)
        };
        pairs
            .iter()
            .filter(|pair| differs(pair))
            .map(|(expected, found)| format!("{found} instead of {expected:?}"))
            .collect()
    }
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/layers");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

fn hex(text: &str) -> Vec<u8> {
    let digits = without_spaces(text);
    let byte = |pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.as_bytes().chunks(2).map(byte).collect()
}

fn without_spaces(text: &str) -> String {
    text.split_whitespace().collect()
}
