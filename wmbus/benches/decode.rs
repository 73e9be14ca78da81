//! How many telegrams are decoded per second, from bytes to exact decimals: encrypted ones of OmniPower meters, and the
//! reference telegrams of some 90 types of meters, one after the other, where they are at hand.
//!
//! `cargo bench -p wmbus --bench decode`
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::HashMap;
use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wmbus::{Decimal, Decoder};

/// Captured from meter 32666857 (see its key in the project's documentation).
const KEY: &str = "9A25139E3244CC2E391A8EF6B915B697";
const FULL: &str =
    "2D442D2C5768663230028D206461DD032038931D14B405536E0250592F8B908138D58602ECA676FF79E0CAF0B14D";
const COMPACT: &str =
    "27442D2C5768663230028D202E21870320D3A4F149B1B8F5783DF7434B8A66A55786499ABE7BAB59";

fn omnipower(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("omnipower");
    group.throughput(Throughput::Elements(1));
    for (name, telegram, energy) in [("full", FULL, 215), ("compact", COMPACT, 206)] {
        let telegram = hex(telegram);
        let mut decoder = Decoder::new(Some(KEY.parse().unwrap()));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let reading = decoder.decode(black_box(&telegram)).unwrap();
                let value = reading
                    .records
                    .first()
                    .and_then(|record| record.value.decimal());
                assert_eq!(value, Some(Decimal::new(energy, 1)));
                reading
            });
        });
    }
    group.finish();
}

/// A sample is all of them: each meter has its decoder, which hears its telegrams in order.
fn mixed(criterion: &mut Criterion) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors/telegrams.jsonl");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("not there, so not measured: {}", path.display());
        return;
    };
    let mut decoders: HashMap<String, Decoder> = HashMap::new();
    let mut telegrams = Vec::new();
    for line in text.lines() {
        let reference: serde_json::Value = serde_json::from_str(line).unwrap();
        let telegram = hex(reference["telegram"].as_str().unwrap());
        let key = reference["key"].as_str();
        let meter = format!("{} {key:?}", reference["group"]);
        let key = key.map(|key| key.parse().unwrap());
        let decoder = decoders
            .entry(meter.clone())
            .or_insert_with(|| Decoder::new(key));
        // Those that must be refused are not measured.
        if decoder.decode(&telegram).is_ok() {
            telegrams.push((meter, telegram));
        }
    }
    let mut meters: Vec<(Decoder, Vec<Vec<u8>>)> = Vec::new();
    for (meter, decoder) in decoders {
        let of_meter = telegrams.iter().filter(|(of, _)| *of == meter);
        let of_meter = of_meter.map(|(_, telegram)| telegram.clone()).collect();
        meters.push((decoder, of_meter));
    }
    let mut group = criterion.benchmark_group("mixed");
    group.throughput(Throughput::Elements(telegrams.len() as u64));
    group.bench_function("reference telegrams", |bencher| {
        bencher.iter(|| {
            for (decoder, telegrams) in &mut meters {
                for telegram in telegrams {
                    black_box(decoder.decode(black_box(telegram)).unwrap());
                }
            }
        });
    });
    group.finish();
}

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

criterion_group!(benches, omnipower, mixed);
criterion_main!(benches);
