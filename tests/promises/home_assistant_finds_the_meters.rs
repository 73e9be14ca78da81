//! Home Assistant: each meter is described, again when Home Assistant starts, and forgotten when the meter is removed, even if that happened
//! while nobody could say so.

use serde_json::{Value, json};

use super::support::broker::Broker;
use super::support::gateway::{GATEWAY, Gateway, Options};
use super::support::subscriber::Subscriber;
use super::support::telegrams::{COMPACT_2_06, set_message};
use super::support::wait_for;

const DESCRIPTION: &str = "homeassistant/device/omnigate_kam_32666857/config";

fn start(broker: &Broker) -> Gateway {
    let gateway = Options::stdin(broker)
        .sections("[state]\nenabled = true\n[home_assistant]\nenabled = true")
        .start();
    gateway.wait_for_output("requests are heard");
    gateway.wait_for_output("commands are heard");
    gateway
}

fn set(subscriber: &Subscriber, message: &str) {
    subscriber.publish(&format!("v2/{GATEWAY}/sensors/set"), message);
}

/// A sensor's value as Home Assistant would get it.
fn value(state: &Value, name: &str) -> Value {
    state["fields"][name]["value"].clone()
}

#[test]
fn described_again_at_its_start_and_forgotten_with_the_meter() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let mut gateway = start(&broker);
    set(&subscriber, &set_message());
    gateway.feed([COMPACT_2_06]);
    let description = subscriber.wait_on(DESCRIPTION, 1)[0].json();
    let energy = &description["components"]["energy_import"];
    assert_eq!(energy["device_class"], "energy");
    assert_eq!(energy["state_class"], "total_increasing");
    assert_eq!(energy["unit_of_measurement"], "Wh");
    let state = subscriber.wait_on(description["state_topic"].as_str().unwrap(), 1)[0].json();
    assert_eq!(value(&state, "energy_import"), json!(2060));
    for at in description["availability"].as_array().unwrap() {
        let topic = at["topic"].as_str().unwrap();
        wait_for(&format!("{topic} to be online"), || {
            subscriber
                .on(topic)
                .last()
                .filter(|last| last.json()["state"] == "online")
                .map(|_| ())
        });
    }

    subscriber.publish("homeassistant/status", "online");
    assert_eq!(subscriber.wait_on(DESCRIPTION, 2)[1].json(), description);

    // The gateway dies and comes back without its memory, and the meter is not among those that it is told to monitor.
    drop(gateway);
    let _gateway = start(&broker);
    set(&subscriber, "[]");
    wait_for("the description to be cleared", || {
        subscriber
            .on(DESCRIPTION)
            .last()
            .filter(|last| last.payload.is_empty())
            .map(|_| ())
    });
    let cleared = "omnigate/kam_32666857/state";
    wait_for("the state to be cleared", || {
        subscriber
            .on(cleared)
            .last()
            .filter(|last| last.payload.is_empty())
            .map(|_| ())
    });
}
