//! The status object: every field that `deploy/status.md` documents is published, and every published field is documented.

use std::collections::BTreeSet;

use omnigate::simulate::{Ailment, Cure, VirtualDongle};
use omnigate_actors::counters::Count;
use serde_json::Value;

use crate::support::air::Air;
use crate::support::broker::Broker;
use crate::support::door::Door;
use crate::support::gateway::{GATEWAY, Options};
use crate::support::subscriber::{Received, Subscriber};
use crate::support::telegrams::{COMPACT_2_15, WRONG_KEY, set_message_with_key};
use crate::support::wait_for;

const DOCUMENT: &str = include_str!("../../deploy/status.md");

/// The paths that the documentation's tables name.
fn documented() -> BTreeSet<String> {
    let rows = DOCUMENT.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| row.split('`').next().unwrap().to_owned())
        .collect()
}

/// The paths of a status, with `<actor>` and `<reason>` in the place of names.
fn paths(path: &str, value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let name = match path {
                    "actors" if name != "meter_handlers" => "<actor>",
                    "meters.refused" => "<reason>",
                    _ => name,
                };
                let path = if path.is_empty() {
                    name.to_owned()
                } else {
                    format!("{path}.{name}")
                };
                paths(&path, value, found);
            }
        }
        _ => {
            found.insert(path.to_owned());
        }
    }
}

/// All that a subscriber has seen of the status.
fn seen(subscriber: &Subscriber) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for status in subscriber.on(&topic()) {
        paths("", &status.json(), &mut found);
    }
    found
}

fn topic() -> String {
    format!("v2/{GATEWAY}/status")
}

fn last(subscriber: &Subscriber) -> Option<Value> {
    subscriber.on(&topic()).last().map(Received::json)
}

#[test]
fn exactly_the_documented_fields_are_published() {
    let broker = Broker::start();
    let door = Door::to(&broker);
    let subscriber = Subscriber::connect(&broker);
    let set = set_message_with_key(WRONG_KEY);
    subscriber.publish_retained(&format!("v2/{GATEWAY}/sensors/set"), &set);
    let folder = tempfile::tempdir().unwrap();
    let port = folder.path().join("iM871A");
    let (dongle, _) = VirtualDongle::open(7, 0x13, Some(&port)).unwrap();
    let air = Air::at(dongle, port);
    air.dongle.unplug();
    // A file where the folder should be: the outbox has no disk.
    let no_folder = folder.path().join("file");
    std::fs::write(&no_folder, "").unwrap();
    let mut gateway = Options::dongle_behind(&door, air.port())
        .state_dir(&no_folder)
        .start();
    gateway.wait_for_output("waiting for the source");
    subscriber.wait_on(&topic(), 1);

    air.dongle.plug_in().unwrap();
    subscriber.wait_on(&format!("v2/{GATEWAY}/sensors/set/result"), 1);
    gateway.wait_for_output("listening, actor: driver");
    air.send(COMPACT_2_15);
    gateway.wait_for_output("key rejected");
    air.dongle.fall_ill(Ailment::Babbles, Cure::Nothing);
    wait_for("a trouble in the status", || {
        seen(&subscriber)
            .contains("driver.state.cause")
            .then_some(())
    });
    air.dongle.heal();
    wait_for("a recovery in the status", || {
        seen(&subscriber)
            .contains("driver.last_recovery.cause")
            .then_some(())
    });
    door.shut();
    subscriber.wait_for_state(GATEWAY, "offline");
    door.open();
    subscriber.wait_for_state(GATEWAY, "online");
    // The Commander may be back later than the Publisher, and a STOP is not kept for it.
    wait_for("the gateway to stop", || {
        subscriber.publish("STOP", "");
        std::thread::sleep(std::time::Duration::from_millis(100));
        (!gateway.is_running()).then_some(())
    });
    assert_eq!(gateway.wait().code(), Some(0));
    subscriber.wait_for_state(GATEWAY, "offline");

    let (published, documented) = (seen(&subscriber), documented());
    // What is not known is null, whatever it would hold.
    let unknown = |path: &&String| {
        documented
            .iter()
            .any(|other| other.starts_with(&format!("{path}.")))
    };
    let undocumented: Vec<_> = published
        .difference(&documented)
        .filter(|path| !unknown(path))
        .collect();
    assert!(
        undocumented.is_empty(),
        "not in deploy/status.md: {undocumented:?}"
    );
    let missing: Vec<_> = documented.difference(&published).collect();
    assert!(
        missing.is_empty(),
        "documented and never published: {missing:?}"
    );
}

#[test]
fn counters_are_documented_in_their_own_words() {
    for count in Count::ALL {
        let row = format!("| `counters.{}` | {} |", count.name(), count.meaning());
        assert!(
            DOCUMENT.lines().any(|line| line == row),
            "deploy/status.md lacks this row:\n{row}"
        );
    }
}

#[test]
fn changes_are_told_soon_and_not_too_often() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let folder = tempfile::tempdir().unwrap();
    let port = folder.path().join("iM871A");
    let (dongle, _) = VirtualDongle::open(7, 0x13, Some(&port)).unwrap();
    let air = Air::at(dongle, port);
    air.dongle.unplug();
    let started = std::time::Instant::now();
    let _gateway = Options::dongle(&broker, air.port()).start();
    subscriber.wait_on(&topic(), 1);
    for state in ["listening", "waiting", "listening"] {
        match state {
            "waiting" => air.dongle.unplug(),
            _ => drop(air.dongle.plug_in().unwrap()),
        }
        wait_for(state, || {
            let status = last(&subscriber)?;
            (status["driver"]["state"]["name"] == state).then_some(())
        });
    }
    let elapsed = started.elapsed().as_secs() as usize;
    let statuses = subscriber.on(&topic());
    assert!(
        statuses.len() <= 2 + elapsed / 5,
        "{} in {elapsed} s",
        statuses.len()
    );
    let status = statuses.last().unwrap().json();
    assert_eq!(status["broker"]["state"], "connected");
    assert_eq!(status["broker"]["url"], broker.url());
    assert_eq!(status["driver"]["unplugged"], 1);
    assert!(status["uptime_seconds"].as_u64().unwrap() <= elapsed as u64 + 1);
    assert_eq!(status["actors"]["driver"]["restarts"], 0);
}
