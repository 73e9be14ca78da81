//! The session: connects, comes back, subscribes again, notices what went wrong.

use std::sync::Arc;
use std::time::{Duration, Instant};

use omnigate_actors::counters::Count;
use omnigate_actors::mqtt::{Event, Outgoing, QoS, Turn};
use omnigate_actors::secrets::Secret;

use crate::support::broker::Broker;
use crate::support::network::Network;
use crate::support::watcher::Watcher;
use crate::support::{Observed, PATIENCE, address, config, impatient, wait_for, wanted};

fn message(topic: &str, payload: &str) -> Outgoing {
    Outgoing {
        topic: topic.into(),
        payload: payload.into(),
        qos: QoS::AtLeastOnce,
        retained: false,
    }
}

fn messages(count: usize) -> Vec<Outgoing> {
    (0..count)
        .map(|number| message("data", &number.to_string()))
        .collect()
}

#[test]
fn messages_arrive_in_order_and_are_acknowledged() {
    let broker = Broker::start();
    let watcher = Watcher::at(&broker.url());
    let mut observed = Observed::start(config(address(&broker.url()), "a"));
    let connection = observed.connected();
    observed.session.send(connection, &mut messages(500));
    observed.acknowledged(500);
    let heard: Vec<_> = watcher
        .wait_on("data", 500)
        .into_iter()
        .map(|m| m.payload)
        .collect();
    assert_eq!(heard, (0..500).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn it_hears_what_it_subscribed_and_says_what_was_retained() {
    let broker = Broker::start();
    let watcher = Watcher::at(&broker.url());
    watcher.say_for_ever("command", "old");
    let mut config = config(address(&broker.url()), "a");
    config.subscriptions = vec![wanted("command"), wanted("other")];
    let mut observed = Observed::start(config);
    observed.listening();
    watcher.say("command", "new");
    watcher.say("unwanted", "x");
    watcher.say("other", &"x".repeat(1001));
    let mut heard = Vec::new();
    observed.until(|event| {
        if let Event::Message(message) = event {
            heard.push((
                message.topic,
                message.payload.len(),
                message.size,
                message.retained,
            ));
        }
        (heard.len() == 2).then_some(())
    });
    assert_eq!(
        heard,
        [
            ("command".to_owned(), 3, 3, false),
            ("other".to_owned(), 0, 1001, false)
        ]
    );
    // The retained one came with the subscription, before `listening`.
    let mut again = Observed::start(crate::support::config(address(&broker.url()), "b"));
    again.connected();
    let mut config = crate::support::config(address(&broker.url()), "c");
    config.subscriptions = vec![wanted("command")];
    let mut third = Observed::start(config);
    let old = third.until(|event| match event {
        Event::Message(message) => Some(message),
        _ => None,
    });
    assert!(old.retained);
    assert_eq!(old.payload.as_slice(), b"old");
}

#[test]
fn it_finds_a_broker_that_comes_later_and_one_that_was_killed() {
    let mut broker = Broker::start();
    broker.kill();
    let mut config = config(address(&broker.url()), "a");
    config.subscriptions = vec![wanted("command")];
    let counters = Arc::clone(&config.counters);
    let mut observed = Observed::start(config);
    observed.disconnected();
    observed.disconnected();
    for round in 1..=3 {
        broker.resume();
        observed.listening();
        Watcher::at(&broker.url()).say("command", "hello");
        observed.until(|event| matches!(event, Event::Message(_)).then_some(()));
        broker.kill();
        observed.disconnected();
        assert_eq!(counters.value(Count::BrokerLost), round);
        assert_eq!(counters.value(Count::BrokerConnects), round);
    }
}

#[test]
fn a_connection_that_breaks_is_made_anew_and_old_messages_are_not_sent_on_it() {
    let broker = Broker::start();
    let network = Network::to(broker.port());
    let watcher = Watcher::at(&broker.url());
    let mut config = config(address(&network.url()), "a");
    config.subscriptions = vec![wanted("command")];
    let mut observed = Observed::start(config);
    let first = observed.connected();
    for _ in 0..5 {
        network.cut();
        observed.disconnected();
        let connection = observed.connected();
        assert_ne!(connection, first);
        observed
            .session
            .send(first, &mut vec![message("data", "late")]);
        observed
            .session
            .send(connection, &mut vec![message("data", "in time")]);
        observed.acknowledged(1);
    }
    let heard = watcher.wait_on("data", 5);
    assert!(
        heard.iter().all(|message| message.payload == "in time"),
        "{heard:?}"
    );
}

#[test]
fn a_refusal_is_told_with_its_return_code() {
    let broker = Broker::with_settings(|_| "allow_anonymous false\n".to_owned());
    let mut address = address(&broker.url());
    address.username = Some("gateway".to_owned());
    address.password = Some(Secret::new("wrong".to_owned()));
    let mut observed = Observed::start(config(address, "a"));
    for _ in 0..3 {
        assert_eq!(
            observed.disconnected(),
            "the broker refuses the connection: Not Authorized (return code 5)"
        );
    }
}

#[test]
fn user_name_and_password_are_sent() {
    let broker = Broker::with_settings(|folder| {
        let file = folder.join("passwords");
        let done = std::process::Command::new("mosquitto_passwd")
            .args(["-b", "-c"])
            .arg(&file)
            .args(["gateway", "correct horse"])
            .status()
            .unwrap();
        assert!(done.success());
        format!("allow_anonymous false\npassword_file {}\n", file.display())
    });
    let mut address = address(&broker.url());
    address.username = Some("gateway".to_owned());
    address.password = Some(Secret::new("correct horse".to_owned()));
    Observed::start(config(address, "a")).connected();
}

#[test]
fn a_host_that_does_not_exist_is_told() {
    let mut address = address("mqtt://does-not-exist.invalid");
    address.connect_timeout = PATIENCE;
    let mut observed = Observed::start(config(address, "a"));
    let why = observed.disconnected();
    assert!(
        why.starts_with("does-not-exist.invalid is not found"),
        "{why}"
    );
}

#[test]
fn a_broker_that_accepts_and_says_nothing_is_given_up() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("mqtt://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let mut observed = Observed::start(config(impatient(&url), "a"));
    assert_eq!(
        observed.disconnected(),
        "the broker does not answer in time (return code -1)"
    );
    assert_eq!(
        observed.disconnected(),
        "the broker does not answer in time (return code -1)"
    );
}

#[test]
fn a_broker_that_stops_acknowledging_is_replaced() {
    let broker = Broker::start();
    let network = Network::to(broker.port());
    let address = impatient(&network.url());
    let ack_timeout = address.ack_timeout;
    let mut observed = Observed::start(config(address, "a"));
    for mute in [true, false] {
        let connection = observed.connected();
        observed.session.send(connection, &mut messages(10));
        observed.acknowledged(10);
        match mute {
            true => network.mute(true),
            false => network.stall(true),
        }
        let began = Instant::now();
        observed.session.send(connection, &mut messages(50));
        assert_eq!(
            observed.disconnected(),
            "stalled: 20 messages wait for their acknowledgement"
        );
        assert!(began.elapsed() >= ack_timeout);
        network.mute(false);
        network.stall(false);
    }
    let connection = observed.connected();
    observed.session.send(connection, &mut messages(50));
    observed.acknowledged(50);
}

#[test]
fn no_more_messages_are_on_their_way_than_the_window_allows() {
    let broker = Broker::start();
    let network = Network::to(broker.port());
    let watcher = Watcher::at(&broker.url());
    let mut observed = Observed::start(config(impatient(&network.url()), "a"));
    let connection = observed.connected();
    network.mute(true);
    observed.session.send(connection, &mut messages(100));
    watcher.wait_on("data", 20);
    observed.disconnected();
    assert_eq!(watcher.on("data").len(), 20);
}

#[test]
fn a_refused_subscription_is_told_and_asked_for_again() {
    let fake = crate::support::broker::Picky::start();
    let mut config = config(address(&fake.url()), "a");
    config.subscriptions = vec![wanted("granted"), wanted("forbidden")];
    let mut observed = Observed::start(config);
    for _ in 0..3 {
        let (topic, why) = observed.until(|event| match event {
            Event::SubscriptionRefused { topic, failure } => Some((topic, failure.to_string())),
            Event::Listening => panic!("it may not hear everything"),
            _ => None,
        });
        assert_eq!(topic, "forbidden");
        assert!(why.ends_with("(return code 128)"), "{why}");
    }
    fake.permit();
    observed.listening();
}

#[test]
fn the_last_will_is_published_only_when_the_connection_breaks() {
    let broker = Broker::start();
    let network = Network::to(broker.port());
    let watcher = Watcher::at(&broker.url());
    let mut config = config(address(&network.url()), "a");
    config.will = Some(message("will", "gone"));
    let turn = Turn::default();
    let mut observed = Observed::start_in_turn(config.clone(), &turn);
    observed.connected();
    observed.session.close();
    observed.until(|event| matches!(event, Event::Closed).then_some(()));
    assert!(observed.next().is_none());

    let mut observed = Observed::start_in_turn(config.clone(), &turn);
    observed.connected();
    assert_eq!(watcher.on("will"), []);

    network.cut();
    watcher.wait_on("will", 1);
    observed.disconnected();
    observed.connected();

    // Whoever drops a session without closing it has failed.
    drop(observed);
    watcher.wait_on("will", 2);
    let mut observed = Observed::start_in_turn(config, &turn);
    observed.connected();
    assert_eq!(watcher.on("will").len(), 2);
}

#[test]
fn a_goodbye_arrives_every_time() {
    let broker = Broker::start();
    let watcher = Watcher::at(&broker.url());
    let mut config = config(address(&broker.url()), "a");
    config.will = Some(message("will", "gone"));
    let turn = Turn::default();
    for _ in 0..30 {
        let mut observed = Observed::start_in_turn(config.clone(), &turn);
        observed.connected();
        observed.session.close();
        observed.until(|event| matches!(event, Event::Closed).then_some(()));
    }
    // The next one takes the same id, after which the broker has nothing left to say of the others.
    let mut observed = Observed::start_in_turn(config, &turn);
    observed.connected();
    watcher.say("end", "");
    watcher.wait_on("end", 1);
    assert_eq!(watcher.on("will"), []);
}

#[test]
fn sessions_with_one_turn_never_run_at_once() {
    let broker = Broker::start();
    let turn = Turn::default();
    let mut first = Observed::start_in_turn(config(address(&broker.url()), "a"), &turn);
    first.connected();
    let mut second = Observed::start_in_turn(config(address(&broker.url()), "a"), &turn);
    assert!(second.next_within(Duration::from_millis(500)).is_none());
    drop(first);
    second.listening();
    // Nobody takes the connection from it.
    assert!(second.next_within(Duration::from_millis(500)).is_none());
}

#[test]
fn a_session_ends_while_it_waits_and_while_it_connects() {
    let mut broker = Broker::start();
    broker.kill();
    let mut waiting = Observed::start(config(address(&broker.url()), "a"));
    waiting.disconnected();
    waiting.session.close();
    waiting.until(|event| matches!(event, Event::Closed).then_some(()));

    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("mqtt://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let mut address = address(&url);
    address.connect_timeout = Duration::from_secs(3600);
    let mut connecting = Observed::start(config(address, "a"));
    assert!(connecting.next_within(Duration::from_millis(200)).is_none());
    connecting.session.close();
    connecting.until(|event| matches!(event, Event::Closed).then_some(()));
}

#[test]
fn a_thread_that_does_not_get_on_is_seen() {
    let broker = Broker::start();
    let turn = Turn::default();
    let mut first = Observed::start_in_turn(config(address(&broker.url()), "a"), &turn);
    first.listening();
    // Its turn does not come, as it would not if the library hung.
    let second = Observed::start_in_turn(config(address(&broker.url()), "a"), &turn);
    let long = Duration::from_secs(3);
    wait_for("the silence of the second", || {
        (second.session.silent_for() >= long).then_some(())
    });
    wait_for("a sign of life of the first", || {
        (first.session.silent_for() < long).then_some(())
    });
}

#[test]
fn threads_and_descriptors_do_not_grow_with_reconnects() {
    let broker = Broker::start();
    let network = Network::to(broker.port());
    let mut observed = Observed::start(config(address(&network.url()), "a"));
    observed.connected();
    let count = |folder: &str| std::fs::read_dir(folder).unwrap().count();
    let before = count("/proc/self/fd");
    for _ in 0..20 {
        network.cut();
        observed.disconnected();
        observed.connected();
    }
    // Other tests run meanwhile, and clients are kept for a moment.
    wait_for("descriptors to be closed", || {
        (count("/proc/self/fd") < before + 40).then_some(())
    });
}
