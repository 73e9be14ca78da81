//! The state output: one JSON object for each telegram, kept by the broker, also beside the cloud's messages.

use super::support::broker::Broker;
use super::support::door::Door;
use super::support::gateway::{GATEWAY, Options, wait_for_outbox};
use super::support::subscriber::Subscriber;
use super::support::telegrams::{
    COMPACT_2_06, COMPACT_2_15, COMPACT_LATER, FULL_2_15, set_message,
};

const STATE: &str = "omnigate/kam_32666857/state";

#[test]
fn beside_the_cloud_and_retained_until_the_meter_is_removed() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let mut gateway = Options::stdin(&broker)
        .sections("[state]\nenabled = true")
        .start();
    gateway.wait_for_output("commands are heard");
    let set = format!("v2/{GATEWAY}/sensors/set");
    subscriber.publish(&set, &set_message());
    gateway.feed([COMPACT_2_06]);
    let state = subscriber.wait_on(STATE, 1)[0].json();
    assert_eq!(state["id"], "32666857");
    assert_eq!(state["authentication"], "crc");
    assert_eq!(
        state["fields"]["energy_import"]["value"].to_string(),
        "2060"
    );
    assert_eq!(state["fields"]["energy_import"]["unit"], "Wh");
    let received_at = state["received_at"].as_str().unwrap();
    let data = subscriber.wait_on(&format!("v2/{GATEWAY}/kam-32666857/data"), 4);
    assert_eq!(data[0].json()["timestamp"], received_at);

    // Who comes later is told the last state; when the meter is gone, nothing.
    let later = Subscriber::late(&broker);
    assert_eq!(later.wait_on(STATE, 1)[0].json(), state);
    subscriber.publish(&set, "[]");
    assert_eq!(subscriber.wait_on(STATE, 2)[1].payload, "");
    let latest = Subscriber::late(&broker);
    latest.wait_for_state(GATEWAY, "online");
    assert!(latest.on(STATE).is_empty());
}

#[test]
fn the_newest_is_kept_after_a_backlog() {
    let broker = Broker::start();
    let door = Door::to(&broker);
    let subscriber = Subscriber::connect(&broker);
    let mut gateway = Options::behind(&door)
        .sections(
            "[recalc]\nenabled = false\n[state]\nenabled = true\nbase_topic = \"home/meters\"",
        )
        .start();
    gateway.wait_for_output("commands are heard");
    subscriber.publish(&format!("v2/{GATEWAY}/sensors/set"), &set_message());
    let state = "home/meters/kam_32666857/state";
    gateway.feed([COMPACT_2_06]);
    subscriber.wait_on(state, 1);
    // What is not acknowledged would come once more.
    wait_for_outbox(gateway.folder(), 0);

    door.shut();
    gateway.feed([COMPACT_2_15, FULL_2_15, COMPACT_LATER]);
    door.open();
    let states = subscriber.wait_on(state, 4);
    let times: Vec<_> = states
        .iter()
        .map(|state| state.json()["received_at"].to_string())
        .collect();
    assert!(times.is_sorted(), "{times:?}");
    let later = Subscriber::late(&broker);
    assert_eq!(later.wait_on(state, 1)[0].payload, states[3].payload);
    let for_the_cloud =
        |message: &super::support::subscriber::Received| message.topic.ends_with("/data");
    assert!(!subscriber.all().iter().any(for_the_cloud));
}
