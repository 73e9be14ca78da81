//! `STOP` ends the gateway cleanly; a retained one, one sent while it was away, and one without the token do not.

use paho_mqtt as mqtt;

use crate::support::broker::Broker;
use crate::support::gateway::{GATEWAY, Options};
use crate::support::subscriber::Subscriber;

#[test]
fn stop_on_either_topic_ends_it_with_exit_code_0_and_offline() {
    for topic in ["STOP".to_owned(), format!("v2/{GATEWAY}/STOP")] {
        let broker = Broker::start();
        let subscriber = Subscriber::connect(&broker);
        let mut gateway = Options::stdin(&broker).start();
        subscriber.wait_for_state(GATEWAY, "online");
        gateway.wait_for_output("commands are heard");

        subscriber.publish(&topic, "anything");
        assert_eq!(gateway.wait().code(), Some(0), "{topic}");
        subscriber.wait_for_state(GATEWAY, "offline");
    }
}

#[test]
fn a_retained_stop_is_ignored_and_logged() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    subscriber.publish_retained("STOP", "stop");
    let mut gateway = Options::stdin(&broker).start();
    gateway.wait_for_output("retained STOP ignored");
    subscriber.wait_for_state(GATEWAY, "online");
    gateway.wait_for_output("commands are heard");
    assert!(gateway.is_running());
}

#[test]
fn a_stop_sent_while_the_gateway_was_away_is_not_obeyed_later() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let mut gateway = Options::stdin(&broker).start();
    gateway.wait_for_output("commands are heard");
    subscriber.wait_for_state(GATEWAY, "online");
    drop(gateway);
    subscriber.wait_for_state(GATEWAY, "offline");
    subscriber.publish("STOP", "while it was away");

    gateway = Options::stdin(&broker).start();
    gateway.wait_for_output("commands are heard");
    subscriber.wait_for_state(GATEWAY, "online");
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert!(gateway.is_running());
}

/// Whoever had the gateway's client id before may have left the broker with a session that keeps commands.
#[test]
fn a_stop_that_the_broker_kept_for_a_predecessor_is_not_obeyed() {
    let broker = Broker::start();
    let predecessor = mqtt::CreateOptionsBuilder::new()
        .server_uri(broker.url().replace("mqtt:", "tcp:"))
        .client_id(format!("omnigate-{GATEWAY}-commander"))
        .persistence(None)
        .create_client()
        .unwrap();
    let keeping = mqtt::ConnectOptionsBuilder::new()
        .clean_session(false)
        .finalize();
    predecessor.connect(keeping).wait().unwrap();
    predecessor.subscribe("STOP", 1).wait().unwrap();
    predecessor.disconnect(None).wait().unwrap();
    let subscriber = Subscriber::connect(&broker);
    subscriber.publish("STOP", "queued at QoS 1");

    let mut gateway = Options::stdin(&broker).start();
    gateway.wait_for_output("commands are heard");
    // Commands that are sent now come behind what was kept.
    let set = format!("v2/{GATEWAY}/sensors/set");
    subscriber.publish(&set, "[]");
    subscriber.wait_on(&format!("{set}/result"), 1);
    assert!(gateway.is_running());
    assert!(!gateway.output().contains("STOP heard"));
    subscriber.publish("STOP", "now");
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn with_a_token_only_the_token_stops_it() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let mut gateway = Options::stdin(&broker)
        .mqtt("stop_token = \"open sesame\"")
        .start();
    gateway.wait_for_output("commands are heard");
    subscriber.publish("STOP", "please");
    gateway.wait_for_output("STOP refused");
    assert!(gateway.is_running());
    subscriber.publish("STOP", "open sesame");
    assert_eq!(gateway.wait().code(), Some(0));
    assert!(!gateway.output().contains("open sesame"));
}
