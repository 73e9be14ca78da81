//! The Publisher: what it is given arrives, whatever happens to the broker, the network and itself.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use omnigate_actors::clock::Stamp;
use omnigate_actors::counters::Count;
use omnigate_actors::meter_list::ListedMeter;
use omnigate_actors::mqtt::Broker as Address;
use omnigate_actors::publisher::{Announce, Announcement, FlushReport, MeterReading, News};
use omnigate_actors::raw_telegram::RawTelegram;
use omnigate_actors::store::outbox::NewRow;
use serde_json::{Value, json};

use crate::support::broker::Broker;
use crate::support::network::Network;
use crate::support::system::{
    FIRST_SECOND, Readings, RunningPublisher, System, meter, publisher_config, topic, wait,
    without_disk,
};
use crate::support::watcher::{Heard, Watcher};
use crate::support::{PATIENCE, address, wait_for, wait_for_long};

/// The times of the messages of channel 1, in the order in which they came, repeats left out.
fn seconds(heard: &[Heard]) -> Vec<i64> {
    let mut seen = Vec::new();
    for message in heard
        .iter()
        .map(Heard::json)
        .filter(|m| m["channelNumber"] == 1)
    {
        let time: jiff::Timestamp = message["timestamp"].as_str().unwrap().parse().unwrap();
        let second = time.as_second() - FIRST_SECOND;
        if !seen.contains(&second) {
            seen.push(second);
        }
    }
    seen
}

fn wait_until_empty(publisher: &RunningPublisher) {
    wait_for("the outbox to be empty", || {
        let state = publisher.outbox.state();
        (state.waiting + state.sent == 0).then_some(())
    });
}

#[test]
fn a_reading_becomes_the_documented_messages() {
    let broker = Broker::start();
    let watcher = Watcher::at(&broker.url());
    let system = System::new();
    let publisher = system.publisher(publisher_config(&broker.url()));
    let mut readings = Readings::new();
    let mut reading = readings.next_of(32_666_857);
    reading.received_at = "2020-10-25T10:08:00.7Z".parse().unwrap();
    publisher.publish(reading);

    let heard = watcher.wait_on(&topic("kam-32666857/data"), 4);
    let power_import = json!({
        "channelNumber": 3, "aggregateType": "Raw", "dataType": "power", "value": 3, "timestamp": "2020-10-25T10:08:00Z"
    });
    assert!(
        heard.iter().any(|message| message.json() == power_import),
        "{heard:?}"
    );
    assert!(heard[0].payload.contains(r#""value":2.06,"#));
    assert!(heard.iter().all(|message| !message.retained));
    wait_until_empty(&publisher);
    assert_eq!(publisher.counters.value(Count::OutboxAccepted), 1);
}

// The list of meters is retained, comes at once on every connection, and again only when it says something new.
#[test]
fn the_list_of_meters_is_published_when_it_changes() {
    let mut broker = Broker::start();
    let watcher = Watcher::at(&broker.url());
    let system = System::new();
    let listed = Arc::new(Mutex::new(Vec::new()));
    let mut config = publisher_config(&broker.url());
    config.meters_gap = Duration::from_millis(10);
    let list = Arc::clone(&listed);
    config.meters = Some(Arc::new(move || list.lock().unwrap().clone()));
    let _publisher = system.publisher(config);
    let topic = topic("meters");
    let first = watcher.wait_on(&topic, 1)[0].json();
    assert_eq!(first, json!({"meters": [], "left_off": 0}));

    let meter = |state| ListedMeter {
        id: "32666857".to_owned(),
        manufacturer: "KAM".to_owned(),
        monitored: Some("kam-32666857".to_owned()),
        state: Some(state),
        heard: None,
    };
    *listed.lock().unwrap() = vec![meter("unheard")];
    let second = watcher.wait_on(&topic, 2)[1].json();
    assert_eq!(second["meters"][0]["state"], "unheard");
    *listed.lock().unwrap() = vec![meter("reading")];
    watcher.wait_on(&topic, 3);

    // A broker that remembers nothing is told again.
    broker.kill();
    broker.resume();
    let watcher = Watcher::at(&broker.url());
    let again = watcher.wait_on(&topic, 1)[0].json();
    assert_eq!(again["meters"][0]["state"], "reading");
}

#[test]
fn announcements_come_before_readings_even_of_a_backlog() {
    let mut broker = Broker::start();
    broker.kill();
    let system = System::new();
    let publisher = system.publisher(publisher_config(&broker.url()));
    let mut readings = Readings::new();
    publisher.publish(readings.next_of(1));
    let mut introducing = readings.next_of(2);
    introducing.introduces = true;
    let profile = Arc::clone(&introducing.profile);
    publisher.publish(introducing);
    let announcements = [1, 3].map(|number| Announcement {
        meter: meter(number),
        news: News::Introduced(Arc::clone(&profile)),
    });
    wait(publisher.child.addr.send(Announce(announcements.into()))).unwrap();

    broker.resume();
    let watcher = Watcher::at(&broker.url());
    // The watcher may have come too late for the first messages.
    publisher.publish(readings.next_of(1));
    wait_until_empty(&publisher);
    watcher.wait_on(&topic("kam-1/data"), 4);
    let mut introducing = readings.next_of(4);
    introducing.introduces = true;
    publisher.publish(introducing);
    watcher.wait_on(&topic("kam-4/data"), 4);
    let order: Vec<_> = watcher
        .heard()
        .into_iter()
        .map(|message| message.topic)
        .collect();
    let position = |wanted: &str| order.iter().position(|topic| topic.ends_with(wanted));
    assert!(
        position("kam-4/config") < position("kam-4/data"),
        "{order:?}"
    );
    for number in 1..=3 {
        let (config, data) = (
            position(&format!("kam-{number}/config")),
            position(&format!("kam-{number}/data")),
        );
        assert!(
            config.is_none() || data.is_none() || config < data,
            "{order:?}"
        );
    }
    let config = watcher.wait_on(&topic("kam-4/config"), 1)[0].json();
    assert_eq!(config["Channels"].as_array().map(Vec::len), Some(4));
}

#[test]
fn nothing_is_lost_while_the_network_breaks_again_and_again() {
    let broker = Broker::start();
    let network = Network::to(broker.port());
    let watcher = Watcher::at(&broker.url());
    let system = System::new();
    let publisher = system.publisher(publisher_config(&network.url()));
    let mut readings = Readings::new();
    for round in 0..8 {
        let losses = publisher.counters.value(Count::BrokerLost);
        wait_for("a connection", || {
            (publisher.counters.value(Count::BrokerConnects) > losses).then_some(())
        });
        for _ in 0..50 {
            publisher.publish(readings.next_of(0));
            publisher.publish(readings.next_of(1));
        }
        match round % 4 {
            // In the middle of many messages, and of one.
            0 => network.cut(),
            2 => network.cut_after(5000 + round),
            1 => {
                network.refuse(true);
                network.cut();
                std::thread::sleep(Duration::from_millis(300));
                network.refuse(false);
            }
            _ => {
                network.delay(Duration::from_millis(20));
                wait_until_empty(&publisher);
                network.delay(Duration::ZERO);
                continue;
            }
        }
        wait_for("the loss to be noticed", || {
            (publisher.counters.value(Count::BrokerLost) > losses).then_some(())
        });
    }
    wait_until_empty(&publisher);
    for number in 0..2 {
        let topic = topic(&format!("kam-{number}/data"));
        let expected: Vec<_> = (0..400).map(|step| 2 * step + 1 + number).collect();
        wait_for("all readings", || {
            (seconds(&watcher.on(&topic)).len() == expected.len()).then_some(())
        });
        assert_eq!(seconds(&watcher.on(&topic)), expected, "meter {number}");
    }
    assert_eq!(publisher.counters.value(Count::BrokerLost), 6);
}

#[test]
fn nothing_is_lost_while_the_broker_is_killed_again_and_again() {
    let mut broker = Broker::start();
    let network = Network::to(broker.port());
    let system = System::new();
    let publisher = system.publisher(publisher_config(&network.url()));
    let mut readings = Readings::new();
    let mut heard = Vec::new();
    for _ in 0..5 {
        // Only who listens hears; the gateway is let in when the watcher is there.
        network.refuse(true);
        network.cut();
        let watcher = Watcher::at(&broker.url());
        for _ in 0..200 {
            publisher.publish(readings.next_of(7));
        }
        network.refuse(false);
        watcher.wait_on(&topic("kam-7/data"), 100);
        broker.kill();
        heard.extend(watcher.on(&topic("kam-7/data")));
        broker.resume();
    }
    network.refuse(true);
    network.cut();
    let watcher = Watcher::at(&broker.url());
    network.refuse(false);
    wait_until_empty(&publisher);
    watcher.say("end", "");
    watcher.wait_on("end", 1);
    heard.extend(watcher.on(&topic("kam-7/data")));
    // What the broker has acknowledged and not yet passed on when it is killed, nobody can save: its subscribers are its business. So
    // what was heard is in order, and what was not is less than what can be on its way.
    let seconds = seconds(&heard);
    assert!(seconds.is_sorted(), "{seconds:?}");
    assert!(seconds.len() >= 1000 - 5 * 50, "{}", seconds.len());
}

#[test]
fn a_stalled_broker_is_replaced_and_gets_everything() {
    let broker = Broker::start();
    let network = Network::to(broker.port());
    let watcher = Watcher::at(&broker.url());
    let system = System::new();
    let mut config = publisher_config(&network.url());
    let impatient = Address {
        ack_timeout: Duration::from_secs(12),
        ..address(&network.url())
    };
    config.broker = impatient.into();
    let publisher = system.publisher(config);
    // Its acknowledgement too, lest the status has a place in the window.
    wait_for("the status to be acknowledged", || {
        (publisher.counters.value(Count::MessagesPublished) >= 1).then_some(())
    });
    let mut readings = Readings::new();
    network.mute(true);
    for _ in 0..200 {
        publisher.publish(readings.next_of(1));
    }
    // The window is 200 messages, which are 50 readings.
    watcher.wait_on(&topic("kam-1/data"), 200);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(watcher.on(&topic("kam-1/data")).len(), 200);
    assert_eq!(publisher.outbox.state().sent, 50);
    network.mute(false);
    network.stall(true);
    wait_for("the stall to be noticed", || {
        (publisher.outbox.state().sent == 0).then_some(())
    });
    network.stall(false);
    wait_until_empty(&publisher);
    assert_eq!(
        seconds(&watcher.wait_on(&topic("kam-1/data"), 1000)),
        (1..=200).collect::<Vec<_>>()
    );
}

#[test]
fn online_is_said_after_every_connect_and_whenever_somebody_says_offline() {
    let broker = Broker::start();
    let network = Network::to(broker.port());
    let watcher = Watcher::at(&broker.url());
    let system = System::new();
    let publisher = system.publisher(publisher_config(&network.url()));
    let status = topic("status");
    let online = watcher.wait_for_last(&status, r#""state":"online""#);
    let online = online.json();
    assert_eq!(online["counters"]["broker_connects"], 1);
    assert_eq!(online["outbox"]["waiting"], 0);
    assert_eq!(online["version"], env!("CARGO_PKG_VERSION"));
    let late = Watcher::at(&broker.url());
    assert!(late.wait_for_last(&status, "online").retained);

    watcher.forget();
    network.cut();
    wait_for("offline, then online", || {
        let said: Vec<_> = watcher
            .on(&status)
            .iter()
            .map(|m| m.json()["state"].clone())
            .collect();
        (said == ["offline", "online"]).then_some(())
    });

    // What a broker does with the will of an old connection that it finds dead only now.
    std::thread::sleep(Duration::from_secs(1));
    watcher.forget();
    watcher.say_for_ever(
        &status,
        r#"{"state": "offline", "reason": "connection lost"}"#,
    );
    watcher.wait_on(&status, 2);
    watcher.wait_for_last(&status, "online");

    // On change, but not more often than every five seconds.
    watcher.forget();
    publisher.status.add("news", || json!("something"));
    publisher.status.touch();
    publisher.status.touch();
    let news = watcher.wait_for_last(&status, "news");
    assert_eq!(news.json()["news"], "something");
    assert_eq!(watcher.on(&status).len(), 1);
}

#[test]
fn a_clean_stop_sends_everything_then_says_offline() {
    let broker = Broker::start();
    let watcher = Watcher::at(&broker.url());
    let system = System::new();
    let publisher = system.publisher(publisher_config(&broker.url()));
    watcher.wait_for_last(&topic("status"), "online");
    let mut readings = Readings::new();
    for _ in 0..300 {
        publisher.publish(readings.next_of(1));
    }
    let report = publisher.flush(PATIENCE / 2);
    assert_eq!(
        report,
        FlushReport {
            left: 0,
            said_offline: true
        }
    );
    let offline = watcher.wait_for_last(&topic("status"), "offline").json();
    assert_eq!(offline["reason"], "stopped");
    assert_eq!(watcher.on(&topic("kam-1/data")).len(), 1200);
    assert_eq!(watcher.heard().last().unwrap().topic, topic("status"));
    wait(publisher.child.stop());
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(
        watcher.on(&topic("status")).len(),
        2,
        "no last will after a goodbye"
    );
}

#[test]
fn a_stop_without_broker_ends_in_time_and_tells_what_is_left() {
    let mut broker = Broker::start();
    broker.kill();
    let system = System::new();
    let publisher = system.publisher(publisher_config(&broker.url()));
    let mut readings = Readings::new();
    publisher.publish(readings.next_of(1));
    publisher.publish(readings.next_of(1));
    let began = std::time::Instant::now();
    let report = publisher.flush(Duration::from_secs(2));
    assert_eq!(
        report,
        FlushReport {
            left: 2,
            said_offline: false
        }
    );
    assert!(began.elapsed() < PATIENCE / 2);
    // With nothing to send there is nothing to wait for.
    let publisher = system.publisher(publisher_config(&broker.url()));
    let report = publisher.flush(Duration::from_secs(3600));
    assert_eq!(
        report,
        FlushReport {
            left: 0,
            said_offline: false
        }
    );
}

#[test]
fn a_stop_at_a_stalled_broker_ends_in_time() {
    let broker = Broker::start();
    let network = Network::to(broker.port());
    let watcher = Watcher::at(&broker.url());
    let system = System::new();
    let mut config = publisher_config(&network.url());
    let patient = Address {
        ack_timeout: Duration::from_secs(3600),
        ..address(&network.url())
    };
    config.broker = patient.into();
    let publisher = system.publisher(config);
    watcher.wait_for_last(&topic("status"), "online");
    network.stall(true);
    publisher.publish(Readings::new().next_of(1));
    let report = publisher.flush(Duration::from_secs(2));
    assert_eq!(
        report,
        FlushReport {
            left: 1,
            said_offline: false
        }
    );
    network.cut();
    watcher.wait_for_last(&topic("status"), "offline");
}

#[test]
fn a_publisher_that_panics_loses_nothing_and_is_never_falsely_online() {
    let broker = Broker::start();
    let watcher = Watcher::at(&broker.url());
    let system = System::new();
    let config = publisher_config(&broker.url());
    let bomb = Arc::new(AtomicBool::new(false));
    let armed = Arc::clone(&bomb);
    config.status.add("bomb", move || {
        assert!(!armed.swap(false, SeqCst), "as asked for");
        Value::Null
    });
    let publisher = system.publisher(config);
    watcher.wait_for_last(&topic("status"), "online");
    let mut readings = Readings::new();
    for life in 1..=3 {
        for _ in 0..100 {
            publisher.publish(readings.next_of(1));
        }
        watcher.forget();
        bomb.store(true, SeqCst);
        // Somebody says that we are offline, so the status is made anew.
        watcher.say(&topic("status"), r#"{"state": "offline"}"#);
        for _ in 0..100 {
            publisher.publish(readings.next_of(1));
        }
        wait_for("the next life", || {
            (publisher.child.handle.monitor.restarts() == life).then_some(())
        });
        let states = || {
            watcher
                .on(&topic("status"))
                .iter()
                .map(|m| m.json()["reason"].clone())
                .collect::<Vec<_>>()
        };
        // What we said, the last will, and the next life's online.
        wait_for("online", || {
            (states() == [Value::Null, json!("connection lost"), Value::Null]).then_some(())
        });
    }
    wait_until_empty(&publisher);
    assert_eq!(publisher.counters.value(Count::OutboxAccepted), 600);
    let report = publisher.flush(PATIENCE / 2);
    assert_eq!(
        report,
        FlushReport {
            left: 0,
            said_offline: true
        }
    );
}

#[test]
fn a_full_outbox_drops_the_oldest_and_says_so() {
    let mut broker = Broker::start();
    broker.kill();
    let system = System::new();
    let publisher = system.publisher(without_disk(&broker.url(), 3500));
    let mut readings = Readings::new();
    for _ in 0..30 {
        publisher.publish(readings.next_of(1));
    }
    let state = publisher.outbox.state();
    assert!(state.waiting < 15, "{state:?}");
    assert_eq!(state.waiting as u64 + state.dropped, 30);
    assert_eq!(
        publisher.counters.value(Count::OutboxDropped),
        state.dropped
    );
    broker.resume();
    let watcher = Watcher::at(&broker.url());
    wait_until_empty(&publisher);
    let heard = seconds(&watcher.on(&topic("kam-1/data")));
    assert!(
        heard.iter().all(|second| *second > state.dropped as i64),
        "{heard:?}"
    );
}

#[test]
fn meters_take_turns_in_a_backlog() {
    let broker = Broker::start();
    let network = Network::to(broker.port());
    network.refuse(true);
    let watcher = Watcher::at(&broker.url());
    let system = System::new();
    let publisher = system.publisher(publisher_config(&network.url()));
    fill(&publisher, (0..3000).map(|_| 1).chain([2; 10]));
    network.refuse(false);
    wait_until_empty(&publisher);
    let (chatty, quiet) = (topic("kam-1/data"), topic("kam-2/data"));
    assert_eq!(
        seconds(&watcher.wait_on(&chatty, 4 * 3000)),
        (1..=3000).collect::<Vec<_>>()
    );
    assert_eq!(
        seconds(&watcher.wait_on(&quiet, 4 * 10)),
        (3001..=3010).collect::<Vec<_>>()
    );
    let heard = watcher.heard();
    let before_the_last_of_the_quiet_one = heard
        .iter()
        .rposition(|message| message.topic == quiet)
        .unwrap();
    // Ten of each, and the status.
    assert!(
        before_the_last_of_the_quiet_one < 2 * 10 * 4 + 10,
        "{before_the_last_of_the_quiet_one}"
    );
}

/// `cargo test -p omnigate-actors --features fault-injection --test delivery a_million -- --ignored --nocapture`
#[test]
#[ignore = "takes minutes, and needs the process for itself to measure its memory"]
fn a_million_readings_go_out_in_constant_memory() {
    const READINGS: usize = 1_000_000;
    let mut broker = Broker::start();
    broker.kill();
    let system = System::new();
    let publisher = system.publisher(publisher_config(&broker.url()));
    let began = Instant::now();
    fill(&publisher, (0..READINGS).map(|number| number % 100));
    let filled = began.elapsed();
    let (before, began) = (resident(), Instant::now());
    broker.resume();
    let mut peak = before;
    wait_for_long("the outbox to be empty", || {
        peak = peak.max(resident());
        let state = publisher.outbox.state();
        (state.waiting + state.sent == 0).then_some(())
    });
    let took = began.elapsed();
    println!(
        "{READINGS} readings were taken in {filled:.0?} and sent in {took:.0?}, {:.0} readings/s; resident {} MiB before, at most {} MiB",
        READINGS as f64 / took.as_secs_f64(),
        before >> 20,
        peak >> 20
    );
    assert_eq!(publisher.outbox.state().dropped, 0);
    assert!(publisher.counters.value(Count::MessagesPublished) >= 4 * READINGS as u64);
    assert!(peak < before + (16 << 20), "{before} became {peak}");
}

/// Puts a reading of each of these meters into the outbox, one after the other, and waits until they are on disk.
fn fill(publisher: &RunningPublisher, meters: impl IntoIterator<Item = usize>) {
    let mut readings = Readings::new();
    for (number, of) in meters.into_iter().enumerate() {
        let reading = readings.next_of(of);
        let row = NewRow {
            body: publisher.outputs.encode(&reading).unwrap(),
            meter: reading.meter,
            received_at: Stamp::of(reading.received_at),
        };
        publisher.outbox.push(row, None, reading.raw);
        if number % 5000 == 0 {
            wait_until_on_disk(publisher);
        }
    }
    wait_until_on_disk(publisher);
}

fn wait_until_on_disk(publisher: &RunningPublisher) {
    wait_for("the readings to be on disk", || {
        (publisher.outbox.unwritten() == 0).then_some(())
    });
}

/// Bytes of memory that this process takes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    let kilobytes: usize = line.trim().trim_end_matches(" kB").parse().unwrap();
    kilobytes << 10
}

#[test]
fn a_reading_without_channels_is_counted_and_not_sent() {
    let broker = Broker::start();
    let system = System::new();
    let publisher = system.publisher(publisher_config(&broker.url()));
    // From then on nothing but the reading lets the Publisher look for something to send.
    wait_for("the status to be acknowledged", || {
        (publisher.counters.value(Count::MessagesPublished) >= 1).then_some(())
    });
    let mut reading = Readings::new().next_of(1);
    reading.profile = Arc::new(wmbus::Profile::unknown(reading.profile.manufacturer));
    reading.introduces = true;
    publisher.publish(reading);
    assert_eq!(publisher.flush(PATIENCE / 2).left, 0);
    assert_eq!(publisher.counters.value(Count::NothingToPublish), 1);
    assert_eq!(publisher.counters.value(Count::OutboxAccepted), 0);
}

#[test]
fn a_source_that_loses_nothing_waits_for_the_disk() {
    let mut broker = Broker::start();
    broker.kill();
    let permits = Arc::new(tokio::sync::Semaphore::new(1));
    let system = System::new();
    let publisher = system.publisher(publisher_config(&broker.url()));
    publisher.publish(lossless(&permits));
    wait_for("the reading to be on disk", || {
        (publisher.outbox.unwritten() == 0).then_some(())
    });
    assert_eq!(permits.available_permits(), 1);
    assert_eq!(publisher.outbox.state().waiting, 1);
}

#[test]
fn a_source_that_loses_nothing_waits_for_the_acknowledgement_while_the_disk_does_not_work() {
    let mut broker = Broker::start();
    broker.kill();
    let permits = Arc::new(tokio::sync::Semaphore::new(1));
    let system = System::new();
    let publisher = system.publisher(without_disk(&broker.url(), 1 << 20));
    publisher.publish(lossless(&permits));
    assert_eq!(permits.available_permits(), 0);
    broker.resume();
    wait_until_empty(&publisher);
    assert_eq!(permits.available_permits(), 1);
}

/// A reading of a source that waits for a permit.
fn lossless(permits: &Arc<tokio::sync::Semaphore>) -> MeterReading {
    let mut reading = Readings::new().next_of(1);
    let permit = Arc::clone(permits).try_acquire_owned().unwrap();
    reading.raw = RawTelegram::lossless(reading.raw.bytes(), reading.received_at, permit);
    reading
}

#[test]
fn the_status_is_valid_json_with_every_section() {
    let broker = Broker::start();
    let watcher = Watcher::at(&broker.url());
    let system = System::new();
    let config = publisher_config(&broker.url());
    config
        .status
        .add("strange", || json!({"quote": "\"", "nothing": Value::Null}));
    let _publisher = system.publisher(config);
    let status = watcher.wait_for_last(&topic("status"), "online").json();
    assert_eq!(status["strange"]["quote"], "\"");
    assert!(status["started"].as_str().unwrap().ends_with('Z'));
}
