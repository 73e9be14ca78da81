//! A broker that goes away loses nothing: readings wait, and are delivered when it is back; commands are heard again.

use std::time::Duration;

use crate::support::broker::Broker;
use crate::support::door::Door;
use crate::support::gateway::{GATEWAY, Options};
use crate::support::subscriber::Subscriber;
use crate::support::telegrams::{COMPACT_2_06, FULL_2_15, set_message};
use crate::support::wait_for;

#[test]
fn readings_made_during_the_outage_arrive_after_it() {
    let broker = Broker::start();
    let door = Door::to(&broker);
    let subscriber = Subscriber::connect(&broker);
    let mut gateway = Options::behind(&door).start();
    subscriber.wait_for_state(GATEWAY, "online");
    gateway.wait_for_output("commands are heard");
    subscriber.publish(&format!("v2/{GATEWAY}/sensors/set"), &set_message());
    subscriber.wait_on(&format!("v2/{GATEWAY}/kam-32666857/config"), 1);

    door.shut();
    // The broker says so for the gateway: its last will.
    subscriber.wait_for_state(GATEWAY, "offline");
    gateway.feed([COMPACT_2_06, FULL_2_15]);
    gateway.wait_for_output("meter gives readings");
    assert!(
        subscriber
            .on(&format!("v2/{GATEWAY}/kam-32666857/data"))
            .is_empty()
    );
    door.open();

    let data = subscriber.wait_on(&format!("v2/{GATEWAY}/kam-32666857/data"), 8);
    let energies: Vec<_> = data
        .iter()
        .map(|m| m.json())
        .filter(|d| d["channelNumber"] == 1)
        .map(|d| d["value"].to_string())
        .collect();
    assert_eq!(energies, ["2.06", "2.15"]);
    subscriber.wait_for_state(GATEWAY, "online");
    gateway.wait_for_output("commands are heard");
}

#[test]
fn commands_are_heard_again_after_the_broker_itself_was_away() {
    let mut broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let gateway = Options::stdin(&broker).start();
    gateway.wait_for_output("commands are heard");

    broker.kill();
    gateway.wait_for_output("connection to the broker lost, actor: commander");
    broker.resume();

    // Who subscribes first after the outage is open, so the cloud asks until it is answered.
    wait_for("an answer", || {
        subscriber.try_publish(&format!("v2/{GATEWAY}/sensors/set"), "[]");
        std::thread::sleep(Duration::from_millis(200));
        subscriber
            .on(&format!("v2/{GATEWAY}/sensors/set/result"))
            .first()
            .map(|_| ())
    });
}

#[test]
fn a_gateway_started_before_its_broker_finds_it() {
    let mut broker = Broker::start();
    broker.kill();
    let _gateway = Options::stdin(&broker).start();
    std::thread::sleep(std::time::Duration::from_secs(1));
    broker.resume();
    // The gateway may be there before the observer.
    Subscriber::late(&broker).wait_for_state(GATEWAY, "online");
}
