//! Every entry of a set message is answered; what cannot be used does not disturb the others. Its size, the number of its meters and how
//! often one may come are limited by settings.

use serde_json::Value;

use crate::support::broker::Broker;
use crate::support::gateway::{GATEWAY, Options};
use crate::support::subscriber::Subscriber;
use crate::support::telegrams::{COMPACT_2_06, COMPACT_2_15, KEY, set_message};
use crate::support::wait_for;

#[test]
fn unusable_entries_are_answered_and_the_others_work() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let mut gateway = Options::stdin(&broker).start();
    subscriber.wait_for_state(GATEWAY, "online");
    gateway.wait_for_output("commands are heard");
    let set = format!("v2/{GATEWAY}/sensors/set");
    subscriber.publish(
        &set,
        &format!(
            r#"[{{"deviceId": "12345678", "manufacturerKey": "kam", "encryptionKey": "short", "manufacturerDeviceKey": "OmniPower1"}},
                {{"DeviceId": "32666857", "ManufacturerKey": "KAM", "EncryptionKey": "{KEY}", "ManufacturerDeviceKey": "OmniPower1"}}]"#
        ),
    );
    let result = subscriber.wait_on(&format!("{set}/result"), 1)[0].clone();
    assert!(
        !result.payload.contains(KEY) && !result.payload.contains("short"),
        "{}",
        result.payload
    );
    let accepted = |device: &str| entry(&result.json(), device)["accepted"].as_bool().unwrap();
    assert!(accepted("32666857"));
    assert!(!accepted("12345678"));
    assert!(
        entry(&result.json(), "12345678")["reason"]
            .as_str()
            .unwrap()
            .contains("encryptionKey")
    );

    gateway.feed([COMPACT_2_06]);
    subscriber.wait_on(&format!("v2/{GATEWAY}/KAM-32666857/data"), 4);
}

#[test]
fn json_that_does_not_parse_changes_nothing_and_an_empty_set_removes_all() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let mut gateway = Options::stdin(&broker).start();
    subscriber.wait_for_state(GATEWAY, "online");
    gateway.wait_for_output("commands are heard");
    let set = format!("v2/{GATEWAY}/sensors/set");
    subscriber.publish(&set, &set_message());
    subscriber.wait_on(&format!("{set}/result"), 1);
    subscriber.publish(&set, "[{");
    subscriber.wait_on(&format!("{set}/result"), 2);
    gateway.feed([COMPACT_2_06]);
    subscriber.wait_on(&format!("v2/{GATEWAY}/kam-32666857/data"), 4);

    subscriber.publish(&set, "[]");
    subscriber.wait_on(&format!("{set}/result"), 3);
    gateway.feed([COMPACT_2_15]);
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(
        subscriber
            .on(&format!("v2/{GATEWAY}/kam-32666857/data"))
            .len(),
        4
    );
}

#[test]
fn size_number_of_meters_and_rate_are_limited_by_settings() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let gateway = Options::stdin(&broker)
        .mqtt("set_max_bytes = 1000")
        .mqtt("set_max_meters = 3")
        .mqtt("set_burst = 3")
        .mqtt("set_interval = 3600")
        .start();
    gateway.wait_for_output("commands are heard");
    let set = format!("v2/{GATEWAY}/sensors/set");
    let too_large = format!("[{}]", " ".repeat(999));
    for (number, message) in [&too_large, "[1, 2, 3, 4]", &set_message()]
        .into_iter()
        .enumerate()
    {
        subscriber.publish(&set, message);
        subscriber.wait_on(&format!("{set}/result"), number + 1);
    }
    // From now on it is too soon: the latest waits, and is never applied while this test runs.
    subscriber.publish(&set, "[]");
    subscriber.publish(&set, "[]");
    let results = subscriber.wait_on(&format!("{set}/result"), 4);
    assert_eq!(
        results[0].json()["error"],
        "1001 bytes, and the limit is 1000"
    );
    assert_eq!(results[1].json()["error"], "4 meters, and the limit is 3");
    assert_eq!(results[2].json()["accepted"], 1);
    assert_eq!(
        results[3].json()["error"],
        "superseded by a later set message"
    );
    assert!(!gateway.output().contains("accepted: 0"));
}

#[test]
fn a_set_of_ten_thousand_meters_is_applied() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let mut gateway = Options::stdin(&broker).start();
    gateway.wait_for_output("commands are heard");
    let set = format!("v2/{GATEWAY}/sensors/set");
    let mut entries: Vec<_> = (0..9_999)
        .map(|number| set_message()[1..].replace("32666857", &format!("{number:08}")))
        .collect();
    entries.push(set_message()[1..].to_owned());
    let message = format!("[{}", entries.join("").replace("}]", "},"));
    subscriber.publish(&set, &format!("{}]", message.trim_end_matches(',')));
    let result = subscriber.wait_on(&format!("{set}/result"), 1)[0].json();
    assert_eq!(
        (&result["accepted"], &result["refused"]),
        (&10_000.into(), &0.into())
    );
    gateway.feed([COMPACT_2_06]);
    subscriber.wait_on(&format!("v2/{GATEWAY}/kam-32666857/data"), 4);
    // Every meter is announced.
    subscriber.wait_on(&format!("v2/{GATEWAY}/kam-00009998/config"), 1);
    subscriber.wait_on(&format!("v2/{GATEWAY}/kam-00000000/config"), 1);
    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(0));
    let configurations = subscriber
        .all()
        .into_iter()
        .filter(|message| message.topic.ends_with("/config"));
    assert_eq!(configurations.count(), 10_000);
}

#[test]
fn of_a_thousand_set_messages_in_a_row_the_last_is_in_force() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let mut gateway = Options::stdin(&broker).start();
    gateway.wait_for_output("commands are heard");
    let set = format!("v2/{GATEWAY}/sensors/set");
    for number in 1..1000 {
        let other = format!("{number:08}");
        subscriber.publish(&set, &set_message().replace("32666857", &other));
    }
    subscriber.publish(&set, &set_message());
    let results = wait_for("the answer to the last", || {
        let results = subscriber.on(&format!("{set}/result"));
        let last = results.last()?.json();
        (last["entries"][0]["deviceId"] == "32666857").then_some(results)
    });
    let superseded = results
        .iter()
        .filter(|result| result.json()["error"] == "superseded by a later set message");
    let applied = results
        .iter()
        .filter(|result| result.json()["accepted"] == 1);
    let answered = superseded.count() + applied.count();
    assert_eq!(answered, results.len());
    // On a busy machine more may come in a moment than may wait for the Commander.
    wait_for("those without an answer to be logged as dropped", || {
        let output = gateway.output();
        let dropped: Vec<usize> = output.lines().filter_map(dropped).collect();
        let all = answered + dropped.iter().sum::<usize>() == 1000;
        // The log has five lines of a kind in a minute.
        (all || dropped.len() >= 5).then_some(())
    });
    gateway.feed([COMPACT_2_06]);
    subscriber.wait_on(&format!("v2/{GATEWAY}/kam-32666857/data"), 4);
    assert!(gateway.is_running());
}

/// How many messages a line of the log says were dropped.
fn dropped(line: &str) -> Option<usize> {
    let (_, rest) = line.split_once("messages dropped: too many at once")?;
    let (_, count) = rest.split_once("count: ")?;
    count.trim().parse().ok()
}

fn entry<'a>(result: &'a Value, device: &str) -> &'a Value {
    let entries = result["entries"]
        .as_array()
        .unwrap_or_else(|| panic!("no entries in {result}"));
    entries
        .iter()
        .find(|e| e["deviceId"] == device)
        .unwrap_or_else(|| panic!("no {device} in {result}"))
}
