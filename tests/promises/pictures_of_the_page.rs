//! Pictures of the page for the README and for whoever wants to see it: `deploy/screenshots.sh`. They are made as a user would see it, in a
//! real browser; what they show is asserted by the other tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use omnigate::simulate::VirtualMeter;
use omnigate_actors::counters::Counters;
use omnigate_actors::meter::MeterName;
use omnigate_actors::output::recalc::Values;
use omnigate_actors::store::disk::{DiskStore, HistoryLimits, Limits};
use omnigate_actors::store::meter_table::MeterTable;
use serde_json::json;
use slog::{Discard, Logger, o};
use wmbus::MeterKey;

use crate::support::broker::Broker;
use crate::support::browser::Browser;
use crate::support::free_port;
use crate::support::gateway::{GATEWAY, Options};
use crate::support::process::Process;
use crate::support::subscriber::Subscriber;
use crate::support::telegrams::KEY;

/// `OMNIGATE_SCREENSHOTS=FOLDER cargo test --features fault-injection --test promises pictures -- --ignored`
#[test]
#[ignore = "makes pictures; run it with deploy/screenshots.sh"]
fn pictures() {
    let to = PathBuf::from(std::env::var_os("OMNIGATE_SCREENSHOTS").expect("OMNIGATE_SCREENSHOTS"));
    let mut broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let dongle = simulate();
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("usb-IMST_GmbH_iM871A-USB-if00");
    std::os::unix::fs::symlink(path_of(&dongle), &link).unwrap();
    let port = free_port();
    live_for_a_month(folder.path());
    let gateway = Options::dongle(&broker, link.to_str().unwrap())
        .state_dir(folder.path())
        .page(port)
        .start();
    subscriber.wait_for_state(GATEWAY, "online");
    gateway.wait_for_output("commands are heard");
    subscriber.publish(&format!("v2/{GATEWAY}/sensors/set"), &set_message());

    let mut browser = Browser::open(&format!("http://127.0.0.1:{port}/"));
    browser.wait_for("document.querySelectorAll('#meters .dot.good').length === 4");
    browser.wait_for("document.querySelectorAll('#unknown tbody tr').length === 2");
    let picture = |browser: &mut Browser, name: &str| {
        for (kind, width, dark) in [
            ("desktop", 1280, false),
            ("desktop-dark", 1280, true),
            ("phone", 390, false),
        ] {
            browser.picture(width, dark, &to.join(format!("{name}-{kind}.png")));
        }
    };
    picture(&mut browser, "healthy");
    browser.go(&format!("http://127.0.0.1:{port}/meters/kam-32666857"));
    browser.wait_for("document.querySelectorAll('#plots .wide svg').length === 3");
    picture(&mut browser, "meter");
    browser.go(&format!("http://127.0.0.1:{port}/"));

    fs::remove_file(&link).unwrap();
    drop(dongle);
    browser.wait_for("document.getElementById('troubles').textContent.includes('source')");
    picture(&mut browser, "dongle-missing");

    let dongle = simulate();
    std::os::unix::fs::symlink(path_of(&dongle), &link).unwrap();
    browser.wait_for("document.getElementById('state').textContent === 'ready'");
    broker.kill();
    browser.wait_for("document.getElementById('troubles').textContent.includes('broker')");
    browser.wait_for("/\\d readings/.test(document.getElementById('stations').textContent)");
    picture(&mut browser, "broker-away");
}

/// A dongle with six meters around it.
fn simulate() -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_omnigate"));
    command.args(["simulate", "--meters", "6", "--interval", "16"]);
    let process = Process::start(command);
    process.wait_for_output("/dev/pts/");
    process
}

fn path_of(dongle: &Process) -> PathBuf {
    let output = dongle.output();
    let path = output
        .split_whitespace()
        .find(|word| word.starts_with("/dev/pts/"));
    path.unwrap().into()
}

/// What the four meters would have said in the last month, in the homes of people who get up, cook and sleep.
fn live_for_a_month(state_dir: &Path) {
    let limits = Limits {
        history: Some(HistoryLimits::days(31)),
        ..Limits::default()
    };
    let log = Logger::root(Discard, o!());
    let known = Arc::new(MeterTable::new());
    let counters = Arc::new(Counters::new());
    let (store, _) = DiskStore::open(state_dir, limits, known, counters, log).unwrap();
    let now = Timestamp::now();
    for number in MONITORED {
        let mut meter = VirtualMeter::new(
            number.to_string().parse().unwrap(),
            MeterKey::from(&KEY.parse().unwrap()),
            Duration::from_secs(16),
            now,
        );
        meter.telegram(now).unwrap();
        let name = Arc::new(MeterName {
            manufacturer_key: "kam".to_owned(),
            device_id: number.to_string(),
        });
        let mut energy = f64::from(meter.registers().energy_drawn) / 100.0;
        let mut second = now.as_second();
        let mut readings = Vec::new();
        while second > now.as_second() - 31 * 86_400 {
            let step = if second > now.as_second() - 90_000 {
                100
            } else {
                1200
            };
            let power = load(number, second);
            let values =
                format!("1\t\"accumulated-power\"\t{energy:.2}\n3\t\"power\"\t{power:.0}\n");
            readings.push((second, Values::stored(values.as_bytes())));
            energy -= power * step as f64 / 3.6e6;
            second -= step;
        }
        for (second, values) in readings.into_iter().rev() {
            store.record(&name, Timestamp::from_second(second).unwrap(), &values);
        }
    }
}

/// A home's load in watts.
fn load(home: u32, second: i64) -> f64 {
    let hour = (second % 86_400) as f64 / 3600.0;
    let weekend = if second / 86_400 % 7 < 2 { 1.4 } else { 1.0 };
    let around = |at: f64, width: f64| (-((hour - at) / width).powi(2)).exp();
    let habits = 1100.0 * around(7.0, 0.9) + 700.0 * around(12.5, 0.7) + 1900.0 * around(18.5, 1.6);
    // Machines switch on and off, differently in each home and on each day.
    let noise =
        (f64::from(home) * 0.7 + second as f64 / 911.0).sin() * (second as f64 / 5407.0).cos();
    let machines = if noise > 0.55 { 900.0 } else { 0.0 };
    (160.0 + 40.0 * noise + weekend * habits + machines * around(14.0, 6.0)).max(60.0)
}

/// Four of the six.
const MONITORED: [u32; 4] = [32_666_857, 32_666_858, 32_666_859, 32_666_860];

fn set_message() -> String {
    let entry = |number: u32| {
        json!({
            "deviceId": number.to_string(),
            "manufacturerKey": "kam",
            "encryptionKey": KEY,
            "manufacturerDeviceKey": "OmniPower1",
        })
    };
    json!(MONITORED.map(entry)).to_string()
}
