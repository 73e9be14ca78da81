//! What the gateway has on disk outlives it: readings that the broker has not acknowledged, and the meters that it monitors. A disk that
//! cannot be written is told loudly, and readings go on.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::support::air::Air;
use crate::support::broker::Broker;
use crate::support::database::Copy;
use crate::support::door::Door;
use crate::support::gateway::{GATEWAY, Gateway, Options, wait_for_outbox};
use crate::support::subscriber::Subscriber;
use crate::support::telegrams::{
    COMPACT_2_06, COMPACT_2_15, COMPACT_LATER, FULL_2_15, set_message,
};
use crate::support::wait_for;

#[test]
fn readings_of_an_outage_outlive_the_gateway() {
    for kill in [true, false] {
        let broker = Broker::start();
        let door = Door::to(&broker);
        let subscriber = Subscriber::connect(&broker);
        let folder = tempfile::tempdir().unwrap();
        let mut gateway = Options::behind(&door)
            .state_dir(folder.path())
            // Only a power cut needs more.
            .outbox("sync_interval = 3600")
            .start();
        monitor(&gateway, &subscriber);
        door.shut();
        subscriber.wait_for_state(GATEWAY, "offline");
        gateway.feed([COMPACT_2_06, FULL_2_15, COMPACT_LATER]);
        wait_for_outbox(folder.path(), 3);
        if kill {
            // How long that may take is another test's subject: `chaos_loses_nothing`.
            wait_for_database(folder.path(), "SELECT count(*) FROM reading", 3);
            gateway.kill();
        } else {
            gateway.signal("TERM");
            assert_eq!(gateway.wait().code(), Some(0));
            gateway.wait_for_output("readings are kept for the next start, readings: 3");
        }
        drop(gateway);
        door.open();

        let mut gateway = Options::behind(&door).state_dir(folder.path()).start();
        assert_eq!(energies(&subscriber, 3), ["2.06", "2.15", "2.15"]);
        wait_for_outbox(folder.path(), 0);
        gateway.signal("TERM");
        assert_eq!(gateway.wait().code(), Some(0));
        assert!(gateway.output().contains("all readings are delivered"));
    }
}

#[test]
fn telegrams_wait_in_the_fifo_until_the_meters_are_known() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fifo");
    mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
    // For reading too, so that it can be opened before the gateway does.
    let both = OpenOptions::new().read(true).write(true).open(&path);
    let mut fifo = both.unwrap();
    let start = || {
        Options::fifo(&broker, path.to_str().unwrap())
            .state_dir(folder.path())
            .start()
    };
    let mut gateway = start();
    monitor(&gateway, &subscriber);
    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(0));

    writeln!(fifo, "{COMPACT_2_15}\n{FULL_2_15}").unwrap();
    let mut gateway = start();
    assert_eq!(energies(&subscriber, 2), ["2.15", "2.15"]);
    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn meters_are_monitored_after_a_restart_before_the_cloud_says_anything() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let folder = tempfile::tempdir().unwrap();
    let mut gateway = Options::stdin(&broker).state_dir(folder.path()).start();
    monitor(&gateway, &subscriber);
    wait_for_database(folder.path(), METERS, 1);
    gateway.kill();
    drop(gateway);
    subscriber.wait_for_state(GATEWAY, "offline");
    subscriber.forget();

    let mut gateway = Options::stdin(&broker).state_dir(folder.path()).start();
    gateway.feed([COMPACT_2_06, COMPACT_2_15]);
    assert_eq!(energies(&subscriber, 2), ["2.06", "2.15"]);
    let config = subscriber.wait_on(&format!("v2/{GATEWAY}/kam-32666857/config"), 1);
    assert_eq!(config[0].json()["Channels"][0]["ChannelNumber"], 1);
    gateway.wait_for_output("the meters of the last run are monitored, actor: meters, meters: 1");

    // A set message is the whole set, also of what was remembered.
    gateway.wait_for_output("commands are heard");
    subscriber.publish(&format!("v2/{GATEWAY}/sensors/set"), "[]");
    subscriber.wait_on(&format!("v2/{GATEWAY}/sensors/set/result"), 1);
    wait_for_database(folder.path(), METERS, 0);
    gateway.kill();
    drop(gateway);
    let gateway = Options::stdin(&broker).state_dir(folder.path()).start();
    gateway.wait_for_output("the meters of the last run are monitored, actor: meters, meters: 0");
}

#[test]
fn a_disk_that_cannot_be_written_is_told_and_readings_go_on() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let mut gateway = Options::stdin(&broker)
        .state_dir(Path::new("/proc/nothing-can-be-made-here"))
        .start();
    gateway.wait_for_output("the database does not work: readings continue from memory");
    monitor(&gateway, &subscriber);
    gateway.feed([COMPACT_2_06, FULL_2_15]);
    assert_eq!(energies(&subscriber, 2), ["2.06", "2.15"]);
    let status = format!("v2/{GATEWAY}/status");
    wait_for("a status that tells of the disk", || {
        let last = subscriber.on(&status).last()?.json();
        let disk = &last["outbox"]["disk"];
        (disk["state"] == "failing" && disk["reason"].is_string()).then_some(())
    });
    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn a_replay_is_refused_after_a_restart() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let folder = tempfile::tempdir().unwrap();
    let air = Air::open();
    let mut gateway = Options::dongle(&broker, air.port())
        .state_dir(folder.path())
        .start();
    monitor(&gateway, &subscriber);
    air.wait_until_listening();
    air.send(COMPACT_2_15);
    air.send(FULL_2_15);
    energies(&subscriber, 2);
    // Not killed, for then it might deliver the last readings once more.
    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(0));
    drop(gateway);
    subscriber.wait_for_state(GATEWAY, "offline");
    subscriber.forget();

    let air = Air::open();
    let gateway = Options::dongle(&broker, air.port())
        .state_dir(folder.path())
        .start();
    gateway.wait_for_output("the meters of the last run are monitored");
    air.wait_until_listening();
    air.send(COMPACT_2_15);
    air.send(FULL_2_15);
    air.send(COMPACT_LATER);
    energies(&subscriber, 1);
    gateway.signal("TERM");
    subscriber.wait_for_state(GATEWAY, "offline");
    let data = subscriber.on(&format!("v2/{GATEWAY}/kam-32666857/data"));
    assert_eq!(data.len(), 4, "{data:?}");
}

/// How many meters the next start monitors, if it was told.
const METERS: &str = "SELECT (SELECT count(*) FROM meter) FROM gateway WHERE meters_known";

/// Waits until this question to the gateway's database has this answer.
fn wait_for_database(state_dir: &Path, question: &str, answer: i64) {
    wait_for(&format!("{answer} to be the answer to {question}"), || {
        (Copy::of(state_dir)?.number(question)? == answer).then_some(())
    });
}

/// Sends the set message and waits until the gateway monitors the meter.
fn monitor(gateway: &Gateway, subscriber: &Subscriber) {
    gateway.wait_for_output("commands are heard");
    subscriber.publish(&format!("v2/{GATEWAY}/sensors/set"), &set_message());
    subscriber.wait_on(&format!("v2/{GATEWAY}/sensors/set/result"), 1);
}

/// The values of channel 1 of so many readings, in the order in which they came.
fn energies(subscriber: &Subscriber, readings: usize) -> Vec<String> {
    subscriber
        .wait_on(&format!("v2/{GATEWAY}/kam-32666857/data"), 4 * readings)
        .iter()
        .map(|message| message.json())
        .filter(|data| data["channelNumber"] == 1)
        .map(|data| data["value"].to_string())
        .collect()
}
