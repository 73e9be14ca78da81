//! The documented set message and captured telegrams give the config message and the four data messages of each telegram.

use serde_json::json;

use crate::support::broker::Broker;
use crate::support::gateway::{GATEWAY, Options};
use crate::support::subscriber::Subscriber;
use crate::support::telegrams::{COMPACT_2_06, FULL_2_15, set_message};

#[test]
fn captured_telegrams_become_data_messages() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let mut gateway = Options::stdin(&broker).start();
    subscriber.wait_for_state(GATEWAY, "online");
    gateway.wait_for_output("commands are heard");

    subscriber.publish(&format!("v2/{GATEWAY}/sensors/set"), &set_message());
    let config = subscriber.wait_on(&format!("v2/{GATEWAY}/kam-32666857/config"), 1);
    assert_eq!(
        config[0].json(),
        json!({"Channels": [
            {"ChannelNumber": 1, "DataType": "accumulated-power", "ChannelName": "A+ / Active positive energy"},
            {"ChannelNumber": 2, "DataType": "accumulated-power", "ChannelName": "A- / Active negative energy"},
            {"ChannelNumber": 3, "DataType": "power", "ChannelName": "P+ / Active positive power"},
            {"ChannelNumber": 4, "DataType": "power", "ChannelName": "P- / Active negative power"},
        ]})
    );

    let before = whole_seconds_now();
    gateway.feed([COMPACT_2_06, FULL_2_15]);
    let data = subscriber.wait_on(&format!("v2/{GATEWAY}/kam-32666857/data"), 8);
    let after = whole_seconds_now();

    let expected = [
        (1, "accumulated-power", "2.06"),
        (2, "accumulated-power", "0"),
        (3, "power", "3"),
        (4, "power", "0"),
        (1, "accumulated-power", "2.15"),
        (2, "accumulated-power", "0"),
        (3, "power", "3"),
        (4, "power", "0"),
    ];
    assert_eq!(data.len(), expected.len());
    for (message, (channel, data_type, value)) in data.iter().zip(expected) {
        let json = message.json();
        let timestamp = json["timestamp"].as_str().unwrap();
        let at: jiff::Timestamp = timestamp.parse().unwrap();
        assert!(
            timestamp.len() == "2020-10-25T10:08:00Z".len() && timestamp.ends_with('Z'),
            "{timestamp}"
        );
        assert!(before <= at && at <= after, "{before} <= {at} <= {after}");
        let value: serde_json::Number = value.parse().unwrap();
        assert_eq!(
            json,
            json!({"channelNumber": channel, "aggregateType": "Raw", "dataType": data_type, "value": value, "timestamp": timestamp})
        );
    }
}

#[test]
fn a_meter_of_another_address_is_not_published() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let mut gateway = Options::stdin(&broker).start();
    subscriber.wait_for_state(GATEWAY, "online");
    gateway.wait_for_output("commands are heard");
    subscriber.publish(&format!("v2/{GATEWAY}/sensors/set"), &set_message());

    let of_a_neighbour = COMPACT_2_06.replace("57686632", "58686632");
    gateway.feed([of_a_neighbour.as_str(), COMPACT_2_06]);
    subscriber.wait_on(&format!("v2/{GATEWAY}/kam-32666857/data"), 4);
    let others: Vec<_> = subscriber
        .all()
        .into_iter()
        .filter(|m| m.topic.ends_with("/data") && !m.topic.contains("kam-32666857"))
        .collect();
    assert!(others.is_empty(), "{others:?}");
}

fn whole_seconds_now() -> jiff::Timestamp {
    jiff::Timestamp::from_second(jiff::Timestamp::now().as_second()).unwrap()
}
