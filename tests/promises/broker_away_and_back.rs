//! A broker that goes away loses nothing: readings wait, and are delivered when it is back; commands are heard again.

use crate::support::broker::Broker;
use crate::support::gateway::{GATEWAY, Options};
use crate::support::subscriber::Subscriber;
use crate::support::telegrams::{COMPACT_2_06, FULL_2_15, set_message};

#[test]
fn readings_made_during_the_outage_arrive_after_it() {
    let mut broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let mut gateway = Options::stdin(&broker).start();
    subscriber.wait_for_state(GATEWAY, "online");
    subscriber.publish(&format!("v2/{GATEWAY}/sensors/set"), &set_message());
    subscriber.wait_on(&format!("v2/{GATEWAY}/kam-32666857/config"), 1);

    broker.kill();
    gateway.feed([COMPACT_2_06, FULL_2_15]);
    std::thread::sleep(std::time::Duration::from_secs(1));
    subscriber.forget();
    broker.resume();

    let data = subscriber.wait_on(&format!("v2/{GATEWAY}/kam-32666857/data"), 8);
    let energies: Vec<_> = data
        .iter()
        .map(|m| m.json())
        .filter(|d| d["channelNumber"] == 1)
        .map(|d| d["value"].to_string())
        .collect();
    assert_eq!(energies, ["2.06", "2.15"]);

    subscriber.publish(&format!("v2/{GATEWAY}/sensors/set"), "[]");
    subscriber.wait_on(&format!("v2/{GATEWAY}/sensors/set/result"), 1);
}

#[test]
fn a_gateway_started_before_its_broker_finds_it() {
    let mut broker = Broker::start();
    broker.kill();
    let _gateway = Options::stdin(&broker).start();
    std::thread::sleep(std::time::Duration::from_secs(1));
    broker.resume();
    Subscriber::connect(&broker).wait_for_state(GATEWAY, "online");
}
