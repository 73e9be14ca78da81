//! A disk that cannot be written or that has damaged the database is a state, loudly told: readings go on, and what was written before is
//! sent when it can be.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::broker::Broker;
use crate::support::door::Door;
use crate::support::gateway::{GATEWAY, Gateway, Options};
use crate::support::subscriber::Subscriber;
use crate::support::telegrams::{
    COMPACT_2_06, COMPACT_2_15, COMPACT_LATER, FULL_2_15, METER, set_message,
};
use crate::support::wait_for;

#[test]
fn read_only() {
    let broker = Broker::start();
    let door = Door::to(&broker);
    let subscriber = Subscriber::connect(&broker);
    let folder = tempfile::tempdir().unwrap();
    leave_two_readings(&door, &subscriber, folder.path());

    writable(folder.path(), false);
    // Without this, root writes all the same.
    let without_privileges = "if [ \"$(id -u)\" = 0 ]; then set -- --bounding-set=-all --inh-caps=-all \"$0\" \"$@\"; exec setpriv \"$@\"; fi";
    let mut gateway = Options::behind(&door)
        .state_dir(folder.path())
        .in_shell(without_privileges)
        .start();
    gateway.wait_for_output(FAILING);
    // Of meters that only the disk knew.
    gateway.feed([FULL_2_15]);
    assert_eq!(energies(&subscriber, 1), ["2.15"]);
    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(0));
    drop(gateway);

    // What was there is there.
    writable(folder.path(), true);
    let mut gateway = Options::behind(&door).state_dir(folder.path()).start();
    assert_eq!(energies(&subscriber, 3), ["2.15", "2.06", "2.15"]);
    gateway.feed([COMPACT_LATER]);
    subscriber.wait_on(&data(), 4 * 4);
    assert!(!gateway.output().contains(FAILING));
}

#[test]
fn damaged() {
    let broker = Broker::start();
    let door = Door::to(&broker);
    let subscriber = Subscriber::connect(&broker);
    let folder = tempfile::tempdir().unwrap();
    leave_two_readings(&door, &subscriber, folder.path());

    let database = folder.path().join("omnigate.db");
    let mut content = fs::read(&database).unwrap();
    content[..100].fill(0x5A);
    fs::write(&database, &content).unwrap();
    let mut gateway = Options::behind(&door).state_dir(folder.path()).start();
    gateway.wait_for_output("the damaged database was moved aside and a new one begun");
    monitor(&gateway, &subscriber);
    gateway.feed([FULL_2_15]);
    wait_for("the reading", || {
        let all = energies(&subscriber, 1);
        (all.last()? == "2.15").then_some(())
    });
    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(0));
    let aside = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_string_lossy().contains("omnigate.db.damaged-"))
        .unwrap();
    assert_eq!(fs::read(&aside).unwrap(), content);
    // It holds keys.
    let mode = fs::metadata(&aside).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// A gateway that had no broker, and was stopped with two readings in its outbox. The door is open afterwards.
fn leave_two_readings(door: &Door, subscriber: &Subscriber, folder: &Path) {
    let mut gateway = Options::behind(door).state_dir(folder).start();
    monitor(&gateway, subscriber);
    door.shut();
    subscriber.wait_for_state(GATEWAY, "offline");
    gateway.feed([COMPACT_2_06, COMPACT_2_15]);
    gateway.wait_for_output("meter gives readings");
    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(0));
    gateway.wait_for_output("readings are kept for the next start, readings: 2");
    subscriber.forget();
    door.open();
}

/// Sends the set message and waits until the gateway monitors the meter.
fn monitor(gateway: &Gateway, subscriber: &Subscriber) {
    gateway.wait_for_output("commands are heard");
    subscriber.forget();
    let set = format!("v2/{GATEWAY}/sensors/set");
    subscriber.publish(&set, &set_message());
    subscriber.wait_on(&format!("{set}/result"), 1);
}

/// The values of channel 1 of so many readings, in the order in which they came.
fn energies(subscriber: &Subscriber, readings: usize) -> Vec<String> {
    subscriber
        .wait_on(&data(), 4 * readings)
        .iter()
        .map(|message| message.json())
        .filter(|data| data["channelNumber"] == 1)
        .map(|data| data["value"].to_string())
        .collect()
}

fn data() -> String {
    format!("v2/{GATEWAY}/kam-{METER}/data")
}

/// Whether the folder and all files in it can be written.
fn writable(folder: &Path, writable: bool) {
    for entry in fs::read_dir(folder).unwrap() {
        let mode = if writable { 0o600 } else { 0o400 };
        fs::set_permissions(entry.unwrap().path(), Permissions::from_mode(mode)).unwrap();
    }
    let mode = if writable { 0o700 } else { 0o500 };
    fs::set_permissions(folder, Permissions::from_mode(mode)).unwrap();
}

const FAILING: &str = "the database does not work: readings continue from memory";
