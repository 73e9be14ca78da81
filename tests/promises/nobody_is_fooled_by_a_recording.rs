//! Telegrams that somebody recorded and sends again, and telegrams without the encryption that the meter has, are no readings, and do not
//! keep the meter's own from being any. The rules have a test each in `actors/src/sequence.rs`.

use std::fs::OpenOptions;
use std::io::Write;
use std::process::Command;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use omnigate::simulate::VirtualMeter;
use wmbus::telegram::Draft;

use crate::support::broker::Broker;
use crate::support::gateway::{GATEWAY, Options};
use crate::support::subscriber::Subscriber;
use crate::support::telegrams::{KEY, METER, set_message};

#[test]
fn nor_by_a_telegram_without_encryption() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo");
    assert!(
        Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    let mut air = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    let gateway = Options::fifo(&broker, path.to_str().unwrap()).start();
    gateway.wait_for_output("commands are heard");
    let set = format!("v2/{GATEWAY}/sensors/set");
    subscriber.publish(&set, &set_message());
    subscriber.wait_on(&format!("{set}/result"), 1);

    let interval = Duration::from_secs(16);
    let hour_ago = Timestamp::now() - SignedDuration::from_hours(1);
    let (id, key) = (METER.parse().unwrap(), KEY.parse().unwrap());
    let mut meter = VirtualMeter::new(id, key, interval, hour_ago);
    let recording: Vec<_> = (0..60)
        .map(|number| {
            let then = hour_ago + SignedDuration::from_secs(16 * number);
            meter.telegram(then).unwrap()
        })
        .collect();
    let mut payload = Vec::new();
    for header in [
        &[0x04, 0x04][..],
        &[0x04, 0x84, 0x3C],
        &[0x04, 0x2B],
        &[0x04, 0xAB, 0x3C],
    ] {
        payload.extend(header);
        payload.extend([0xFF, 0xFF, 0xFF, 0x00]);
    }
    let plain = Draft::new(meter.address(), 0x78, &payload)
        .encode(None)
        .unwrap();

    let mut expected = Vec::new();
    let mut send = |telegram: &[u8]| {
        let line: String = telegram.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(air, "{line}").unwrap();
    };
    for _ in 0..4 {
        let live = meter.telegram(Timestamp::now()).unwrap();
        expected.push(f64::from(meter.registers().energy_drawn) / 100.0);
        send(&live);
        for recorded in &recording {
            send(recorded);
        }
        send(&plain);
        send(&live);
    }
    let data = format!("v2/{GATEWAY}/kam-{METER}/data");
    subscriber.wait_on(&data, 4 * expected.len());
    // What comes behind the last attack comes behind all that it could have brought.
    send(&meter.telegram(Timestamp::now()).unwrap());
    expected.push(f64::from(meter.registers().energy_drawn) / 100.0);
    let energies: Vec<_> = subscriber
        .wait_on(&data, 4 * expected.len())
        .iter()
        .map(|message| message.json())
        .filter(|data| data["channelNumber"] == 1)
        .map(|data| data["value"].as_f64().unwrap())
        .collect();
    assert_eq!(energies, expected);
    gateway.wait_for_output("the meter has a key but the telegram is not encrypted: a forgery");
}
