//! How much the store writes: what wears out a flash disk.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::support::{Run, Set};
use super::vfs::{Image, Medium};
use crate::store::disk::Limits;
use crate::store::disk::state_dir::StateDir;

/// So many readings of twenty meters, evenly spread in time, each acknowledged 50 ms after it was sent.
fn operate(run: &mut Run, readings: u64, per_second: u32) {
    let pause = Duration::from_secs(1) / per_second;
    let answer = Duration::from_millis(50).min(pause / 2);
    for number in 0..readings {
        run.push((number % 20) as u32, number);
        run.pass(Duration::ZERO);
        let sent: Vec<_> = std::iter::from_fn(|| run.next()).collect();
        run.pass(answer);
        sent.iter().for_each(|row| run.remove(row.id));
        run.pass(pause - answer);
    }
}

fn limits(seconds: u64) -> Limits {
    Limits {
        sync_interval: Duration::from_secs(seconds),
        ..Limits::default()
    }
}

/// Three small pages with each reading, and forcing as often as is needed and no more.
#[test]
fn a_reading_costs_three_pages_and_forcing_is_rare() {
    const READINGS: u64 = 2000;
    for (seconds, most_syncs) in [
        (0, READINGS + 50),
        (5, READINGS / 5 + 50),
        (60, READINGS / 50 + 50),
    ] {
        let medium = Medium::new(Image::default(), 1);
        let mut run = Run::start(&medium, limits(seconds), &Set::of(0..20), Instant::now());
        let before = medium.traffic();
        operate(&mut run, READINGS, 1);
        let after = medium.traffic();
        let written = after.written - before.written;
        assert!(
            written < READINGS * 3400,
            "sync_interval {seconds} s: {written} bytes"
        );
        let syncs = after.syncs - before.syncs;
        assert!(
            syncs < most_syncs,
            "sync_interval {seconds} s: {syncs} syncs"
        );
    }
}

/// Bytes that reach the disk, as the system counts them. The readings come as fast as they can; the store is told the times at which they
/// would.
///
/// `cargo test --release -p omnigate-actors --lib bytes_written -- --ignored --nocapture`, with `OMNIGATE_TEST_DIR` for another disk.
#[test]
#[ignore = "a measurement"]
fn bytes_written_per_ten_thousand_readings() {
    let base =
        std::env::var_os("OMNIGATE_TEST_DIR").map_or_else(|| PathBuf::from("."), PathBuf::from);
    for per_second in [1, 100] {
        for seconds in [0, 5, 60] {
            let folder = tempfile::tempdir_in(&base).unwrap();
            let place = Box::new(StateDir::new(folder.path()));
            let mut run = Run::at(place, limits(seconds), &Set::of(0..20), Instant::now());
            let (before, started) = (written(), Instant::now());
            operate(&mut run, 10_000, per_second);
            let megabytes = (written() - before) as f64 / 1e6;
            let took = started.elapsed().as_secs_f64();
            println!(
                "{per_second:3} readings/s, sync_interval {seconds:2} s: {megabytes:6.1} MB per 10,000 readings ({took:.1} s)"
            );
        }
    }
}

/// What this process has caused to be sent to the disk.
fn written() -> u64 {
    let counts = fs::read_to_string("/proc/self/io").unwrap();
    let line = counts
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes: "));
    line.unwrap().parse().unwrap()
}
