//! A wrong key publishes nothing, is reported once, and does no lasting harm.

use crate::support::broker::Broker;
use crate::support::gateway::{GATEWAY, Options};
use crate::support::subscriber::Subscriber;
use crate::support::telegrams::{
    COMPACT_2_06, COMPACT_2_15, FULL_2_15, WRONG_KEY, set_message, set_message_with_key,
};

#[test]
fn wrong_key_then_right_key() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let mut gateway = Options::stdin(&broker).start();
    subscriber.wait_for_state(GATEWAY, "online");
    gateway.wait_for_output("commands are heard");
    let set = format!("v2/{GATEWAY}/sensors/set");
    subscriber.publish(&set, &set_message_with_key(WRONG_KEY));
    subscriber.wait_on(&format!("{set}/result"), 1);

    gateway.feed([COMPACT_2_06, FULL_2_15]);
    gateway.wait_for_output("key rejected");

    subscriber.publish(&set, &set_message());
    subscriber.wait_on(&format!("{set}/result"), 2);
    gateway.feed([COMPACT_2_15]);
    let data = subscriber.wait_on(&format!("v2/{GATEWAY}/kam-32666857/data"), 4);
    assert_eq!(data[0].json()["value"].to_string(), "2.15");
    assert_eq!(data.len(), 4);
    let reports = gateway
        .output()
        .lines()
        .filter(|line| line.contains("key rejected"))
        .count();
    assert_eq!(
        reports,
        1,
        "two refusals in a row are one change of state:\n{}",
        gateway.output()
    );
}
