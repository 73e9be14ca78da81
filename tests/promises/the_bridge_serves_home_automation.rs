//! The bridge: topics as zigbee2mqtt users know them, requests answered with the caller's transaction, and no key anywhere.

use serde_json::{Value, json};

use super::support::air::Air;
use super::support::broker::Broker;
use super::support::gateway::{GATEWAY, Gateway, Options};
use super::support::subscriber::Subscriber;
use super::support::telegrams::{COMPACT_2_06, COMPACT_2_15, KEY, METER, set_message};
use super::support::wait_for;

const BASE: &str = "omnigate";
const AVAILABILITY: &str = "omnigate/kam_32666857/availability";

/// A gateway with a bridge that hears requests.
fn start(options: Options) -> Gateway {
    let gateway = options.sections("[state]\nenabled = true").start();
    gateway.wait_for_output("requests are heard");
    gateway.wait_for_output("commands are heard");
    gateway
}

/// Asks and gives the answer.
fn ask(subscriber: &Subscriber, verb: &str, request: &Value) -> Value {
    let topic = format!("{BASE}/bridge/response/{verb}");
    let before = subscriber.on(&topic).len();
    let payload = if request.is_null() {
        String::new()
    } else {
        request.to_string()
    };
    subscriber.publish(&format!("{BASE}/bridge/request/{verb}"), &payload);
    subscriber.wait_on(&topic, before + 1)[before].json()
}

fn wait_for_last(subscriber: &Subscriber, topic: &str, state: &str) {
    wait_for(&format!("{topic} to say {state}"), || {
        subscriber
            .on(topic)
            .last()
            .filter(|last| last.json()["state"] == state)
            .map(|_| ())
    });
}

#[test]
fn meters_are_added_listed_and_removed() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let mut gateway = start(Options::stdin(&broker));
    wait_for_last(&subscriber, "omnigate/bridge/state", "online");
    let info = subscriber.wait_on("omnigate/bridge/info", 1)[0].json();
    assert_eq!(info["gateway"], GATEWAY);
    assert_eq!(info["log_level"], "debug");

    let meters: Value = serde_json::from_str(&set_message()).unwrap();
    let added = ask(
        &subscriber,
        "meters/add",
        &json!({"meters": meters, "transaction": "t-1"}),
    );
    assert_eq!(added["status"], "ok");
    assert_eq!(added["transaction"], "t-1");
    assert_eq!(added["data"]["accepted"], 1);
    gateway.feed([COMPACT_2_06]);
    subscriber.wait_on("omnigate/kam_32666857/state", 1);
    wait_for_last(&subscriber, AVAILABILITY, "online");

    let listed = wait_for("the list to say what the meter is", || {
        let list = subscriber.on("omnigate/bridge/meters").last()?.json();
        Some(list[0].clone()).filter(|meter| !meter["type"].is_null())
    });
    assert_eq!(listed["id"], METER);
    assert_eq!(listed["has_key"], true);
    assert_eq!(listed["type"]["model"], "OmniPower");
    let report = ask(&subscriber, "meters/get", &Value::Null);
    assert_eq!(report["data"]["meters"][0]["readings"], 1);
    assert_eq!(report["data"]["not_monitored"], json!([]));

    let removed = ask(
        &subscriber,
        "meters/remove",
        &json!({"meters": [{"manufacturer": "KAM", "id": METER}]}),
    );
    assert_eq!(removed["data"], json!({"removed": 1}));
    wait_for("the meter's topics to be cleared", || {
        let cleared = |topic: &str| {
            subscriber
                .on(topic)
                .last()
                .is_some_and(|last| last.payload.is_empty())
        };
        (cleared(AVAILABILITY) && cleared("omnigate/kam_32666857/state")).then_some(())
    });
    // From now on it is one of the others on the air.
    gateway.feed([COMPACT_2_15]);
    let other = wait_for("it to be heard without being monitored", || {
        let report = ask(&subscriber, "meters/get", &Value::Null);
        assert_eq!(report["data"]["meters"], json!([]));
        report["data"]["not_monitored"].get(0).cloned()
    });
    assert_eq!(other["id"], METER);
    assert_eq!(other["model"], "OmniPower");
    assert_eq!(other["encryption"], "ELL AES-128-CTR");
    let set = ask(
        &subscriber,
        "meters/set",
        &json!({"meters": [{"deviceId": "1"}]}),
    );
    assert_eq!(set["data"]["refused"], 1);
    assert!(
        subscriber
            .all()
            .iter()
            .all(|message| !message.payload.contains(KEY) || message.topic.contains("/request/"))
    );
}

#[test]
fn the_gateway_is_asked_after_changed_and_stopped() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    // One that the broker keeps is not obeyed.
    subscriber.publish_retained("omnigate/bridge/request/stop", r#"{"token":"let me in"}"#);
    let mut gateway = start(Options::stdin(&broker).mqtt("stop_token = \"let me in\""));
    gateway.wait_for_output("retained request ignored");
    let refused = ask(&subscriber, "stop", &json!({"transaction": 7}));
    assert_eq!(
        (&refused["status"], &refused["transaction"]),
        (&json!("error"), &json!(7))
    );
    assert_eq!(refused["error"], "the token is missing or wrong");
    let token = json!("let me in");

    let health = ask(&subscriber, "health_check", &json!({"token": token}));
    assert_eq!(health["data"]["healthy"], true, "{health}");
    let level = ask(
        &subscriber,
        "log_level",
        &json!({"token": token, "level": "info"}),
    );
    assert_eq!(level["data"], json!({"level": "info"}));
    wait_for("the information to follow", || {
        let last = subscriber.on("omnigate/bridge/info").pop()?.json();
        (last["log_level"] == "info").then_some(())
    });
    let no_dongle = ask(&subscriber, "dongle/reset", &json!({"token": token}));
    assert_eq!(no_dongle["status"], "error");
    let unknown = ask(
        &subscriber,
        "actor/restart",
        &json!({"token": token, "actor": "teapot"}),
    );
    assert_eq!(unknown["error"], "there is no such actor");
    let restarted = ask(
        &subscriber,
        "actor/restart",
        &json!({"token": token, "actor": "parser"}),
    );
    assert_eq!(restarted["status"], "ok");
    let event = wait_for("the event of the restart", || {
        let events = subscriber.on("omnigate/bridge/event");
        let mut events = events.iter().map(|event| event.json());
        events.find(|event| event["type"] == "actor_restarted")
    });
    assert_eq!(event["data"]["actor"], "parser");
    assert_eq!(event["data"]["reason"], "a restart was asked for");
    wait_for("the log's lines", || {
        let lines = subscriber.on("omnigate/bridge/logging");
        lines
            .iter()
            .any(|line| {
                line.json()["message"]
                    .as_str()
                    .is_some_and(|text| text.contains("restarting"))
            })
            .then_some(())
    });
    assert!(!gateway.output().contains("let me in"));

    assert_eq!(
        ask(&subscriber, "stop", &json!({"token": token}))["status"],
        "ok"
    );
    assert!(gateway.wait().success());
    wait_for_last(&subscriber, "omnigate/bridge/state", "offline");
}

#[test]
fn the_dongle_is_reset_on_request() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let air = Air::open();
    let gateway = start(Options::dongle(&broker, air.port()));
    gateway.wait_for_output("listening, actor: driver");
    let reset = ask(&subscriber, "dongle/reset", &json!({"transaction": 1}));
    assert_eq!(
        (&reset["status"], &reset["transaction"]),
        (&json!("ok"), &json!(1))
    );
    gateway.wait_for_output(
        "recovered: resetting the module helped, actor: driver, reason: somebody asked for it",
    );
}

#[test]
fn a_gateway_that_dies_is_offline_by_its_last_will() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let gateway = start(Options::stdin(&broker));
    wait_for_last(&subscriber, "omnigate/bridge/state", "online");
    gateway.signal("KILL");
    wait_for_last(&subscriber, "omnigate/bridge/state", "offline");
}
