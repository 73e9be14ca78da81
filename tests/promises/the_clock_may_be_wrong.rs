//! A gateway whose clock stands in 1970 after a start holds its readings until the clock is right, and gives them the right time then. Until
//! then it says nowhere that it is 1970.

use std::fs;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::support::broker::Broker;
use crate::support::gateway::{GATEWAY, Options};
use crate::support::http::get;
use crate::support::subscriber::Subscriber;
use crate::support::telegrams::{COMPACT_2_06, FULL_2_15, set_message};
use crate::support::{free_port, wait_for};

#[test]
fn readings_wait_for_the_clock_and_have_the_right_time_then() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let folder = tempfile::tempdir().unwrap();
    let clock = folder.path().join("clock");
    let began = Timestamp::now();
    let port = free_port();
    let in_1970 = 1000 - began.as_second();
    fs::write(&clock, in_1970.to_string()).unwrap();
    let mut gateway = Options::stdin(&broker)
        .environment("OMNIGATE_CLOCK", clock.to_str().unwrap())
        .sections("[state]\nenabled = true\n[home_assistant]\nenabled = true")
        .page(port)
        .start();
    gateway.wait_for_output("commands are heard");
    gateway.wait_for_output("the page is there");
    subscriber.publish(&format!("v2/{GATEWAY}/sensors/set"), &set_message());
    subscriber.wait_on(&format!("v2/{GATEWAY}/sensors/set/result"), 1);
    gateway.feed([COMPACT_2_06, FULL_2_15]);
    gateway.wait_for_output("meter gives readings");
    let fed = Timestamp::now();
    // Two looks at the clock later.
    std::thread::sleep(std::time::Duration::from_secs(2));
    let data = format!("v2/{GATEWAY}/kam-32666857/data");
    assert!(subscriber.on(&data).is_empty());
    let diagnostics = wait_for("the meter's diagnostics", || {
        let told = subscriber
            .on("omnigate/kam_32666857/diagnostics")
            .pop()?
            .json();
        (told["condition"] == "reading").then_some(told)
    });
    assert_eq!(diagnostics["last_heard"], Value::Null);
    let page = get(port, "/").body;
    assert!(
        page.contains("time unknown") && !page.contains("1970"),
        "{page}"
    );
    let in_1970: Vec<_> = subscriber
        .take()
        .into_iter()
        .filter(|message| message.payload.contains("1970-"))
        .collect();
    assert!(in_1970.is_empty(), "{in_1970:?}");

    fs::write(&clock, "0 synchronised").unwrap();
    let received = subscriber.wait_on(&data, 8);
    for (message, energy) in received.iter().step_by(4).zip(["2.06", "2.15"]) {
        let message = message.json();
        assert_eq!(message["value"].to_string(), energy);
        assert!(message.get("timestampEstimated").is_none());
    }
    // Of the first it is known when it was received: not when it was sent.
    let first = received[0].json();
    let time: Timestamp = first["timestamp"].as_str().unwrap().parse().unwrap();
    let within = SignedDuration::from_secs(1);
    assert!(began - within <= time && time <= fed + within, "{time}");
    let page = get(port, "/").body;
    let year = began.strftime("%Y-").to_string();
    assert!(
        page.contains(&year) && !page.contains("time unknown"),
        "{page}"
    );
    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(0));
}
