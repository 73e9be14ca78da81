//! Every entry of a set message is answered; what cannot be used does not disturb the others.

use serde_json::Value;

use crate::support::broker::Broker;
use crate::support::gateway::{GATEWAY, Options};
use crate::support::subscriber::Subscriber;
use crate::support::telegrams::{COMPACT_2_06, COMPACT_2_15, KEY, set_message};

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

fn entry<'a>(result: &'a Value, device: &str) -> &'a Value {
    let entries = result["entries"]
        .as_array()
        .unwrap_or_else(|| panic!("no entries in {result}"));
    entries
        .iter()
        .find(|e| e["deviceId"] == device)
        .unwrap_or_else(|| panic!("no {device} in {result}"))
}
