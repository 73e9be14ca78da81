//! A panic in any actor is survived: readings go on. A handler that panics for ever is parked and the others go on. A service actor
//! that fails too often ends the program with the documented exit code.

use std::time::{Duration, Instant};

use crate::support::broker::Broker;
use crate::support::gateway::{GATEWAY, Gateway, Options};
use crate::support::subscriber::Subscriber;
use crate::support::telegrams::{COMPACT_2_06, COMPACT_2_15, FULL_2_15, METER, set_message};
use crate::support::wait_for;

#[test]
fn a_panic_in_the_parser() {
    readings_go_on_after("parser:panic:1", "parser");
}

#[test]
fn a_panic_in_the_dispatcher() {
    readings_go_on_after("dispatcher:panic:1", "dispatcher");
}

#[test]
fn a_panic_in_meters() {
    readings_go_on_after("meters:panic:1", "meters");
}

#[test]
fn a_panic_in_the_handler() {
    readings_go_on_after(&format!("meter_handler/{METER}:panic:1"), "meter_handler");
}

#[test]
fn a_panic_in_the_publisher() {
    readings_go_on_after("publisher:panic:1", "publisher");
}

#[test]
fn a_reading_that_fails_the_publisher_twice_is_given_up_and_the_others_go_on() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let mut gateway = Options::stdin(&broker)
        .faults("publisher.row:panic:x2")
        .start();
    gateway.wait_for_output("commands are heard");
    monitor_the_meter(&subscriber);
    gateway.feed([COMPACT_2_06]);
    gateway.wait_for_output("a reading is given up");
    gateway.feed([FULL_2_15]);
    let data = subscriber.wait_on(&format!("v2/{GATEWAY}/kam-32666857/data"), 4);
    assert_eq!(data[0].json()["value"].to_string(), "2.15");
    assert_restarted(&gateway, "publisher");
}

#[test]
fn a_panic_in_the_commander() {
    readings_go_on_after("commander:panic:1", "commander");
}

#[test]
fn a_panic_in_the_driver() {
    readings_go_on_after("driver:panic:1", "driver");
}

#[test]
fn an_actor_that_stops_or_fails_is_restarted_too() {
    readings_go_on_after("parser:stop:1", "parser");
    readings_go_on_after("dispatcher:error:1", "dispatcher");
}

#[test]
fn a_handler_that_panics_for_ever_is_parked_and_the_others_go_on() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let other = "12345678";
    let mut gateway = Options::stdin(&broker)
        .faults(&format!("meter_handler/{other}:panic:always"))
        .start();
    subscriber.wait_for_state(GATEWAY, "online");
    gateway.wait_for_output("commands are heard");
    let set = set_message();
    let both = format!(
        "{}, {}",
        &set[..set.len() - 1],
        &set.replace(METER, other)[1..]
    );
    subscriber.publish(&format!("v2/{GATEWAY}/sensors/set"), &both);
    subscriber.wait_on(&format!("v2/{GATEWAY}/sensors/set/result"), 1);

    let of_the_other = COMPACT_2_06.replace("57686632", "78563412");
    for _ in 0..20 {
        gateway.feed([of_the_other.as_str()]);
    }
    gateway.wait_for_output("parked");
    gateway.feed([of_the_other.as_str(), COMPACT_2_06]);
    subscriber.wait_on(&format!("v2/{GATEWAY}/kam-32666857/data"), 4);
    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn a_service_actor_that_fails_too_often_ends_the_program_with_70() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let mut gateway = Options::stdin(&broker)
        .faults("parser:panic:always")
        .start();
    subscriber.wait_for_state(GATEWAY, "online");
    gateway.wait_for_output("commands are heard");
    monitor_the_meter(&subscriber);
    gateway.feed([COMPACT_2_06; 20]);
    assert_eq!(gateway.wait().code(), Some(70));
    subscriber.wait_for_state(GATEWAY, "offline");
    assert!(gateway.output().contains("giving up"));
}

/// Feeds telegrams until readings come although the actor failed; at most one telegram and one set message may be lost.
fn readings_go_on_after(fault: &str, actor: &str) {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let mut gateway = Options::stdin(&broker).faults(fault).start();
    subscriber.wait_for_state(GATEWAY, "online");
    gateway.wait_for_output("commands are heard");
    monitor_the_meter(&subscriber);

    gateway.feed([COMPACT_2_06, FULL_2_15, COMPACT_2_15]);
    subscriber.wait_on(&format!("v2/{GATEWAY}/kam-32666857/data"), 8);
    assert_restarted(&gateway, actor);
    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(0));
}

/// Sends the set message until it is answered: a command in the hand of a failing actor is lost.
fn monitor_the_meter(subscriber: &Subscriber) {
    let set = format!("v2/{GATEWAY}/sensors/set");
    let mut sent = None::<Instant>;
    wait_for("an answer to the set message", || {
        if sent.is_none_or(|at| at.elapsed() > Duration::from_secs(1)) {
            subscriber.publish(&set, &set_message());
            sent = Some(Instant::now());
        }
        subscriber
            .on(&format!("{set}/result"))
            .iter()
            .any(|answer| answer.payload.contains("true"))
            .then_some(())
    });
}

fn assert_restarted(gateway: &Gateway, actor: &str) {
    wait_for(&format!("the restart of {actor} to be logged"), || {
        let told = |line: &str| line.contains("restarting") && line.contains(actor);
        gateway.output().lines().any(told).then_some(())
    });
}
