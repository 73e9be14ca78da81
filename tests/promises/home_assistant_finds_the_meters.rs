//! Home Assistant: each meter is described, again when Home Assistant starts, and forgotten when the meter is removed, even if that happened
//! while nobody could say so. What was told at another prefix, or before it was switched off, is cleared.

use serde_json::{Value, json};

use super::support::broker::Broker;
use super::support::gateway::{GATEWAY, Gateway, Options};
use super::support::subscriber::Subscriber;
use super::support::telegrams::{COMPACT_2_06, set_message};
use super::support::wait_for;

const DESCRIPTION: &str = "homeassistant/device/omnigate_kam_32666857/config";

const SECTIONS: &str = "[state]\nenabled = true\n[home_assistant]\nenabled = true";

fn start(broker: &Broker) -> Gateway {
    start_with(broker, SECTIONS)
}

fn start_with(broker: &Broker, sections: &str) -> Gateway {
    let gateway = Options::stdin(broker).sections(sections).start();
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
    wait_until_cleared(&subscriber, DESCRIPTION);
    wait_until_cleared(&subscriber, "omnigate/kam_32666857/state");
}

fn wait_until_cleared(subscriber: &Subscriber, topic: &str) {
    wait_for(&format!("{topic} to be cleared"), || {
        let messages = subscriber.on(topic);
        messages.last()?.payload.is_empty().then_some(())
    });
}

#[test]
fn another_prefix_and_switching_off_leave_nothing_behind() {
    const GATEWAY_DESCRIPTION: &str = "homeassistant/device/omnigate_gateway_706462169/config";
    const ELSEWHERE: [&str; 2] = [
        "elsewhere/device/omnigate_kam_32666857/config",
        "elsewhere/device/omnigate_gateway_706462169/config",
    ];
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let mut gateway = start(&broker);
    set(&subscriber, &set_message());
    gateway.feed([COMPACT_2_06]);
    for topic in [DESCRIPTION, GATEWAY_DESCRIPTION] {
        assert!(!subscriber.wait_on(topic, 1)[0].payload.is_empty());
    }

    // While it runs.
    gateway.edit_settings(
        "[home_assistant]\nenabled = true",
        "[home_assistant]\nenabled = true\nprefix = \"elsewhere\"",
    );
    gateway.signal("HUP");
    gateway.wait_for_output("settings reloaded, changed: home_assistant.prefix\n");
    for topic in ELSEWHERE {
        assert!(!subscriber.wait_on(topic, 1)[0].payload.is_empty());
    }
    for topic in [DESCRIPTION, GATEWAY_DESCRIPTION] {
        wait_until_cleared(&subscriber, topic);
    }
    let state = subscriber.on("omnigate/kam_32666857/state");
    assert!(
        !state.last().unwrap().payload.is_empty(),
        "only described elsewhere"
    );

    // Or by a start with other settings, by a gateway that has lost its memory.
    drop(gateway);
    let _gateway = start_with(&broker, "[state]\nenabled = true");
    for topic in ELSEWHERE {
        wait_until_cleared(&subscriber, topic);
    }
    wait_for("the information to say so", || {
        let info = subscriber.on("omnigate/bridge/info").last()?.json();
        info["config"]["home_assistant"].is_null().then_some(())
    });
}
