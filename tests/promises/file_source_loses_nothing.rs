//! A file of telegrams is read no faster than the system takes it, and every telegram is delivered, in order; then the program ends.

use std::time::Duration;

use jiff::Timestamp;
use omnigate::simulate::VirtualMeter;

use crate::support::broker::Broker;
use crate::support::gateway::{GATEWAY, Options};
use crate::support::subscriber::Subscriber;
use crate::support::telegrams::{KEY, METER, set_message};

#[test]
fn every_telegram_of_a_file_is_delivered_once_and_in_order() {
    let now = Timestamp::now();
    let interval = Duration::from_secs(16);
    let mut meter = VirtualMeter::new(METER.parse().unwrap(), KEY.parse().unwrap(), interval, now);
    let mut lines = String::new();
    let mut expected = Vec::new();
    for _ in 0..TELEGRAMS {
        for byte in meter.telegram(now).unwrap() {
            lines += &format!("{byte:02X}");
        }
        lines.push('\n');
        expected.push(f64::from(meter.registers().energy_drawn) / 100.0);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("telegrams.txt");
    std::fs::write(&path, lines).unwrap();

    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    subscriber.publish_retained(&format!("v2/{GATEWAY}/sensors/set"), &set_message());
    let mut gateway = Options::file(&broker, path.to_str().unwrap()).start();
    assert_eq!(gateway.wait().code(), Some(0));

    let data = subscriber.wait_on(&format!("v2/{GATEWAY}/kam-32666857/data"), 4 * TELEGRAMS);
    let energies: Vec<f64> = data
        .iter()
        .map(|message| message.json())
        .filter(|data| data["channelNumber"] == 1)
        .map(|data| data["value"].as_f64().unwrap())
        .collect();
    assert_eq!(energies, expected);
    assert_eq!(data.len(), 4 * TELEGRAMS);
}

/// Many times what the whole system lets in at once.
const TELEGRAMS: usize = 2_000;
