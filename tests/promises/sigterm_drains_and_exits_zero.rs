//! SIGTERM and SIGINT stop the gateway in stages: what was read is delivered, `offline` is said, the exit code is 0.

use crate::support::broker::Broker;
use crate::support::door::Door;
use crate::support::gateway::{GATEWAY, Options};
use crate::support::subscriber::Subscriber;
use crate::support::telegrams::{COMPACT_2_06, FULL_2_15, set_message};
use crate::support::wait_for;

#[test]
fn what_was_read_before_the_signal_is_delivered() {
    for signal in ["TERM", "INT"] {
        let broker = Broker::start();
        let subscriber = Subscriber::connect(&broker);
        let mut gateway = Options::stdin(&broker).start();
        subscriber.wait_for_state(GATEWAY, "online");
        gateway.wait_for_output("commands are heard");
        subscriber.publish(&format!("v2/{GATEWAY}/sensors/set"), &set_message());
        subscriber.wait_on(&format!("v2/{GATEWAY}/kam-32666857/config"), 1);
        gateway.feed([COMPACT_2_06, FULL_2_15]);
        subscriber.wait_on(&format!("v2/{GATEWAY}/kam-32666857/data"), 1);

        gateway.signal(signal);
        assert_eq!(gateway.wait().code(), Some(0), "SIG{signal}");
        subscriber.wait_for_state(GATEWAY, "offline");
        let data = subscriber.on(&format!("v2/{GATEWAY}/kam-32666857/data"));
        assert!(data.len().is_multiple_of(4), "half a reading: {data:?}");
    }
}

#[test]
fn a_broker_that_is_away_does_not_hold_up_the_end() {
    let mut broker = Broker::start();
    broker.kill();
    let mut gateway = Options::stdin(&broker).start();
    gateway.wait_for_output("broker");
    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    wait_for("a second signal before the end", || {
        ends_at_a_second_signal().then_some(())
    });
}

/// It waits some seconds for the broker, so there is time for a second signal. False: the machine stood still for as long.
fn ends_at_a_second_signal() -> bool {
    let broker = Broker::start();
    let door = Door::to(&broker);
    let subscriber = Subscriber::connect(&broker);
    let mut gateway = Options::behind(&door).start();
    subscriber.wait_for_state(GATEWAY, "online");
    gateway.wait_for_output("commands are heard");
    subscriber.publish(&format!("v2/{GATEWAY}/sensors/set"), &set_message());
    subscriber.wait_on(&format!("v2/{GATEWAY}/kam-32666857/config"), 1);
    door.shut();
    subscriber.wait_for_state(GATEWAY, "offline");
    gateway.feed([COMPACT_2_06]);
    gateway.wait_for_output("meter gives readings");

    gateway.signal("TERM");
    gateway.wait_for_output("stopped, actor: meters");
    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(0));
    let output = gateway.output();
    let too_late = output.contains("the broker did not take everything in time");
    assert!(too_late || output.contains("second signal"));
    !too_late
}
