//! How many encrypted telegrams of OmniPower meters are decoded per second: from bytes to exact decimals.
//!
//! `cargo bench -p wmbus --bench decode`
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

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

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

criterion_group!(benches, omnipower);
criterion_main!(benches);
