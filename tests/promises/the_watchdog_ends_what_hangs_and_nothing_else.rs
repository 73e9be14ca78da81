//! Under a service manager: the program says when it is ready, feeds the watchdog while it is well, and is started again when it hangs or
//! gives up. Waiting is well, however long it lasts. With settings that cannot be used it is not started again.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use crate::support::air::Air;
use crate::support::broker::Broker;
use crate::support::door::Door;
use crate::support::gateway::{GATEWAY, Options};
use crate::support::service_manager::ServiceManager;
use crate::support::subscriber::{Received, Subscriber};
use crate::support::telegrams::{COMPACT_2_06, COMPACT_2_15, FULL_2_15, METER, set_message};
use crate::support::wait_for;

/// Long enough not to bite on a busy machine.
const WATCHDOG: Duration = Duration::from_secs(15);

/// How long the healthy states are watched: longer than a hanging thread is left alone. What waits beyond its limit is complained of after
/// a minute; to see that this does not happen either:
/// `OMNIGATE_HEALTHY_SECONDS=90 cargo test --features fault-injection --test promises the_watchdog`.
fn watched() -> Duration {
    let seconds = std::env::var("OMNIGATE_HEALTHY_SECONDS");
    Duration::from_secs(seconds.map_or(15, |seconds| seconds.parse().unwrap()))
}

fn data() -> String {
    format!("v2/{GATEWAY}/kam-{METER}/data")
}

/// A subscriber at a broker that keeps the set message.
fn subscriber(broker: &Broker) -> Subscriber {
    let subscriber = Subscriber::connect(broker);
    subscriber.publish_retained(&format!("v2/{GATEWAY}/sensors/set"), &set_message());
    subscriber
}

#[test]
fn a_handler_that_hangs_is_ended_and_readings_flow_again() {
    let broker = Broker::start();
    let subscriber = subscriber(&broker);
    let air = Air::open();
    let options = Options::dongle(&broker, air.port());
    let manager = ServiceManager::start(options, "meter_handler:hang:1", WATCHDOG);
    manager.message(0, "READY=1");
    manager.message(0, "WATCHDOG=1");
    subscriber.wait_on(&format!("v2/{GATEWAY}/kam-{METER}/config"), 1);
    manager.wait_for_output(0, "listening, actor: driver");
    air.send(COMPACT_2_06);

    manager.wait_for_output(0, "the watchdog is not fed");
    assert!(
        manager
            .output(0)
            .contains(&format!("meter_handler/kam-{METER}")),
        "{}",
        manager.output(0)
    );
    assert_eq!(manager.end_of(0).signal(), Some(6), "SIGABRT");
    // It may be online again already.
    wait_for("the gateway to be offline", || {
        let states = subscriber.on(&format!("v2/{GATEWAY}/status"));
        let offline = |status: &Received| status.json()["state"] == "offline";
        states.iter().any(offline).then_some(())
    });

    manager.message(1, "READY=1");
    subscriber.wait_for_state(GATEWAY, "online");
    assert!(subscriber.on(&data()).is_empty());
    wait_for("a reading after the restart", || {
        air.try_send(COMPACT_2_15);
        std::thread::sleep(Duration::from_millis(300));
        (subscriber.on(&data()).len() >= 4).then_some(())
    });
    manager.signal("TERM");
    manager.message(1, "STOPPING=1");
    assert_eq!(manager.end_of(1).code(), Some(0));
    assert_eq!(manager.count(), 2);
}

#[test]
fn a_missing_dongle_and_a_broker_that_is_away_are_well() {
    let mut broker = Broker::start();
    broker.kill();
    let options = Options::dongle(&broker, "/nowhere/dongle");
    let manager = ServiceManager::start(options, "", WATCHDOG);
    manager.wait_for_output(0, "waiting for the source");
    manager.wait_for_output(0, "no connection to the broker");
    std::thread::sleep(watched());
    stays_well(&manager);
}

#[test]
fn parking_backing_off_and_back_pressure_are_well() {
    let broker = Broker::start();
    let door = Door::to(&broker);
    let subscriber = Subscriber::connect(&broker);
    let other = "12345678";
    let faults = format!("meter_handler/{other}:panic:always,driver.started:panic:x8");
    let manager = ServiceManager::start(Options::behind(&door), &faults, WATCHDOG);
    manager.wait_for_output(0, "commands are heard");
    let set = set_message();
    let both = format!(
        "{}, {}",
        &set[..set.len() - 1],
        &set.replace(METER, other)[1..]
    );
    subscriber.publish(&format!("v2/{GATEWAY}/sensors/set"), &both);
    subscriber.wait_on(&format!("v2/{GATEWAY}/sensors/set/result"), 1);

    let of_the_other = COMPACT_2_06.replace("57686632", "78563412");
    manager.feed(0, &[of_the_other.as_str(); 20]);
    manager.wait_for_output(0, "parked");
    door.shut();
    manager.wait_for_output(0, "connection to the broker lost");
    // Less than fits into the pipe: this is not to wait.
    manager.feed(0, &[COMPACT_2_06, FULL_2_15, COMPACT_2_15].repeat(200));
    std::thread::sleep(watched());
    stays_well(&manager);
}

fn stays_well(manager: &ServiceManager) {
    let fast = manager.longest_fast(0);
    assert!(fast < WATCHDOG, "not fed for {fast:?}");
    assert!(
        !manager.output(0).contains("the watchdog is not fed"),
        "{}",
        manager.output(0)
    );
    assert_eq!(manager.count(), 1);
    manager.signal("TERM");
    assert_eq!(manager.end_of(0).code(), Some(0));
}

#[test]
fn a_gateway_that_gave_up_is_started_again() {
    let broker = Broker::start();
    let subscriber = subscriber(&broker);
    let manager = ServiceManager::start(Options::stdin(&broker), "parser:panic:always", WATCHDOG);
    manager.wait_for_output(0, "set message applied");
    manager.feed(0, &[COMPACT_2_06; 20]);
    assert_eq!(manager.end_of(0).code(), Some(70));
    manager.wait_for_output(1, "set message applied");
    manager.feed(1, &[COMPACT_2_15]);
    subscriber.wait_on(&data(), 4);
}

#[test]
fn settings_that_cannot_be_used_end_it_for_good() {
    let broker = Broker::start();
    let options = Options::stdin(&broker).mqtt("keep_alive = 1");
    let manager = ServiceManager::start(options, "", WATCHDOG);
    assert_eq!(manager.end_of(0).code(), Some(78));
    // Ten times as long as it takes to start one again.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(manager.count(), 1);
}

#[test]
fn a_reload_is_told_from_its_beginning_to_its_end() {
    let broker = Broker::start();
    let manager = ServiceManager::start(Options::stdin(&broker), "", WATCHDOG);
    manager.message(0, "READY=1");
    manager.wait_for_output(0, "commands are heard");
    manager.signal("HUP");
    let reloading = manager.message(0, "RELOADING=1");
    let time = reloading
        .lines()
        .find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
    assert!(time.unwrap().parse::<u64>().unwrap() > 0, "{reloading}");
    manager.wait_for_output(0, "settings reloaded");
    wait_for("the end of the reload", || {
        manager.is_ready_again(0).then_some(())
    });
}
