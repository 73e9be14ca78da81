//! Meters of every type can be monitored; what is heard that does not fit an entry of the set message is told with the result, or later.

use omnigate::control::ask;
use serde_json::Value;
use wmbus::telegram::Draft;
use wmbus::{Address, Medium};

use crate::support::broker::Broker;
use crate::support::gateway::{GATEWAY, Options};
use crate::support::subscriber::Subscriber;
use crate::support::wait_for;

/// Types of meters with a plain telegram of each, and what the first channel then says: manufacturer, version, medium, records, value.
const TYPES: [(&str, u8, u8, &[u8], &str); 3] = [
    // A Kamstrup MULTICAL 21: volume, 1.234 m³.
    ("KAM", 0x1B, 0x16, &[0x04, 0x13, 0xD2, 0x04, 0, 0], "1.234"),
    // An Elster gas meter: volume, 12.345 m³.
    (
        "ELS",
        0x81,
        0x03,
        &[0x0C, 0x13, 0x45, 0x23, 0x01, 0],
        "12.345",
    ),
    // A BMeters Hydrocal: energy, 7 MJ.
    ("BMT", 0x0B, 0x0D, &[0x0C, 0x0E, 0x07, 0, 0, 0], "7"),
];

#[test]
fn meters_of_every_type_are_monitored() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let mut gateway = Options::stdin(&broker).start();
    gateway.wait_for_output("commands are heard");
    let set = format!("v2/{GATEWAY}/sensors/set");
    let entries = TYPES.map(|(manufacturer, ..)| entry(manufacturer, "12345678", ""));
    subscriber.publish(&set, &format!("[{}]", entries.join(",")));
    let result = subscriber.wait_on(&format!("{set}/result"), 1)[0].json();
    assert_eq!(result["accepted"], 3);
    for (manufacturer, version, medium, records, value) in TYPES {
        let telegram = telegram(manufacturer, "12345678", version, medium, records);
        gateway.feed([&*telegram]);
        let meter = format!("v2/{GATEWAY}/{manufacturer}-12345678");
        let data = subscriber.wait_on(&format!("{meter}/data"), 1)[0].clone();
        assert!(
            data.payload.contains(&format!("\"value\":{value},")),
            "{}",
            data.payload
        );
        let channels = subscriber.wait_on(&format!("{meter}/config"), 1)[0].json();
        assert_eq!(channels["Channels"][0]["ChannelNumber"], 1);
    }
}

#[test]
fn another_makers_number_is_told_at_once_or_when_it_is_heard() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let mut gateway = Options::stdin(&broker).start();
    gateway.wait_for_output("commands are heard");
    let set = format!("v2/{GATEWAY}/sensors/set");
    let result = format!("{set}/result");
    subscriber.publish(&set, "[]");
    subscriber.wait_on(&result, 1);
    let of = |number: &str| telegram("ELS", number, 0x81, 0x03, TYPES[1].3);

    // Heard before.
    gateway.feed([&*of("11111111")]);
    wait_for("the meter to be listed", || {
        let listed = ask(gateway.folder(), "meters").ok()?;
        (listed[0]["id"] == "11111111").then_some(())
    });
    let wrong = [
        entry("KAM", "11111111", ""),
        entry("KAM", "22222222", ""),
        entry("ELS", "33333333", "Elster81"),
        entry("KAM", "44444444", "OmniPower1"),
    ];
    subscriber.publish(&set, &format!("[{}]", wrong.join(",")));
    let told = subscriber.wait_on(&result, 2)[1].json();
    assert_eq!(told["accepted"], 4);
    assert!(
        warning(&told, "11111111").contains("is heard from ELS, not from KAM"),
        "{told}"
    );
    assert!(!warning(&told, "22222222").contains("heard"), "{told}");

    // Heard later: once.
    let multical = telegram("KAM", "44444444", 0x1B, 0x16, TYPES[0].3);
    gateway.feed([&*of("22222222"), &of("33333333"), &multical]);
    let later = subscriber.wait_on(&result, 3)[2].json();
    let all = || -> String {
        let messages = subscriber.on(&result);
        messages[2..]
            .iter()
            .map(|message| message.payload.clone())
            .collect()
    };
    wait_for("both doubts", || {
        (all().contains("is heard from ELS, not from KAM")
            && all().contains("MULTICAL 21 is heard"))
        .then_some(())
    });
    assert_eq!(later["refused"], 0);
    assert!(
        !all().contains("33333333") && !all().contains("11111111"),
        "{}",
        all()
    );
}

fn entry(manufacturer: &str, number: &str, model: &str) -> String {
    format!(
        r#"{{"deviceId": "{number}", "manufacturerKey": "{manufacturer}", "manufacturerDeviceKey": "{model}"}}"#
    )
}

fn warning(result: &Value, number: &str) -> String {
    let entries = result["entries"].as_array().unwrap();
    let entry = entries
        .iter()
        .find(|entry| entry["deviceId"] == number)
        .unwrap_or_else(|| panic!("no {number} in {result}"));
    entry["warning"].as_str().unwrap_or_default().to_owned()
}

/// A plain telegram, as hexadecimal text.
fn telegram(manufacturer: &str, number: &str, version: u8, medium: u8, records: &[u8]) -> String {
    let address = Address {
        manufacturer: manufacturer.parse().unwrap(),
        identification: number.parse().unwrap(),
        version,
        medium: Medium(medium),
    };
    let telegram = Draft::new(address, 0x78, records).encode(None).unwrap();
    telegram.iter().map(|byte| format!("{byte:02X}")).collect()
}
