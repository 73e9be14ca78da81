//! The reference telegrams, as far as decryption and verification go, where they are at hand.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;

use serde_json::Value;
use wmbus::{Authentication, Buffer, Content, Error, ErrorKind, Key, MeterKey, Telegram, link};

/// One line of a reference file.
struct Reference {
    place: String,
    telegram: Vec<u8>,
    key: Option<MeterKey>,
    must_be_rejected: bool,
}

#[test]
fn open_with_their_keys_or_as_published() {
    for reference in references() {
        let is_rejected = match open(&reference.telegram, reference.key.as_ref()) {
            Ok(_) => false,
            // Some have a key that only their manufacturer's own format uses.
            Err(ErrorKind::NotEncrypted) => !is_proprietary(&reference.telegram),
            Err(ErrorKind::KeyRejected) => true,
            Err(other) => panic!("{}: {other}", reference.place),
        };
        assert_eq!(
            is_rejected, reference.must_be_rejected,
            "{}",
            reference.place
        );
    }
}

#[test]
fn refuse_a_key_that_is_not_theirs() {
    let another = MeterKey::from(&Key::from_bytes(*b"a key of nobody!"));
    for reference in references() {
        match open(&reference.telegram, Some(&another)) {
            Err(ErrorKind::NotEncrypted | ErrorKind::KeyRejected | ErrorKind::KeyLength) => {}
            outcome => panic!("{}: {outcome:?}", reference.place),
        }
    }
}

#[test]
fn need_a_key_where_they_are_encrypted() {
    for reference in references().filter(|reference| reference.key.is_some()) {
        match open(&reference.telegram, None) {
            Ok((Content::Manufacturer, Authentication::None)) | Err(ErrorKind::KeyMissing) => {}
            outcome => panic!("{}: {outcome:?}", reference.place),
        }
    }
}

fn open(bytes: &[u8], key: Option<&MeterKey>) -> Result<(Content, Authentication), ErrorKind> {
    let open = || -> Result<_, Error> {
        let bytes = link::normalise(bytes)?;
        let telegram = Telegram::parse(&bytes)?;
        let mut buffer = Buffer::new();
        let plain = match key {
            Some(key) => telegram.decrypt(key, &mut buffer),
            None => telegram.published(&mut buffer),
        }?;
        Ok((plain.content, plain.authentication))
    };
    open().map_err(|error| error.kind)
}

fn is_proprietary(bytes: &[u8]) -> bool {
    Telegram::parse(bytes).unwrap().proprietary().is_some()
}

fn references() -> impl Iterator<Item = Reference> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors");
    if !folder.is_dir() {
        eprintln!("not there, so not tested: {}", folder.display());
    }
    ["official.jsonl", "omnipower.jsonl", "telegrams.jsonl"]
        .into_iter()
        .flat_map(move |file| {
            let text = std::fs::read_to_string(folder.join(file)).unwrap_or_default();
            let read = |(index, line)| reference(format!("{file}:{}", index + 1), line);
            text.lines().enumerate().map(read).collect::<Vec<_>>()
        })
}

fn reference(place: String, line: &str) -> Reference {
    let line: Value = serde_json::from_str(line).unwrap();
    Reference {
        place,
        telegram: hex(line["telegram"].as_str().unwrap()),
        key: line["key"].as_str().map(|key| key.parse().unwrap()),
        // Without a key, nothing expected means that nobody knows its values.
        must_be_rejected: line["expected"].is_null() && line["key"].is_string(),
    }
}

fn hex(text: &str) -> Vec<u8> {
    let byte = |pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    text.as_bytes().chunks(2).map(byte).collect()
}
