//! The Commander: set messages are applied and answered, STOP stops, and nothing else does.

use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use actix::prelude::*;
use omnigate_actors::commander::Pace;
use omnigate_actors::counters::Count;
use omnigate_actors::meters::ApplySet;
use omnigate_actors::secrets::Secret;
use omnigate_actors::set_message::Limits;
use serde_json::{Value, json};

use crate::support::broker::Broker;
use crate::support::network::Network;
use crate::support::system::{KEY, System, commander_config, topic, wait};
use crate::support::wait_for;
use crate::support::watcher::{Heard, Watcher};

/// Stands for Meters: keeps what it is given, and answers when it may.
#[derive(Clone, Default)]
struct Probe {
    sets: Arc<Mutex<Vec<Vec<String>>>>,
    /// Every answer waits for a word from here, or for the end of the other side; `None`: none waits.
    gate: Option<Arc<Mutex<mpsc::Receiver<()>>>>,
    panics: bool,
}

impl Probe {
    /// One whose answers wait until the sender is dropped.
    fn gated() -> (Self, mpsc::Sender<()>) {
        let (release, gate) = mpsc::channel();
        let probe = Self {
            gate: Some(Arc::new(Mutex::new(gate))),
            ..Self::default()
        };
        (probe, release)
    }

    fn sets(&self) -> Vec<Vec<String>> {
        self.sets.lock().unwrap().clone()
    }
}

impl Actor for Probe {
    type Context = Context<Self>;
}

impl Handler<ApplySet> for Probe {
    type Result = MessageResult<ApplySet>;

    fn handle(&mut self, ApplySet(set): ApplySet, _: &mut Self::Context) -> Self::Result {
        assert!(!self.panics, "as asked for");
        let (entries, report) = set.into_parts();
        let names = entries.iter().map(|entry| entry.name.to_string()).collect();
        self.sets.lock().unwrap().push(names);
        if let Some(gate) = &self.gate {
            let _ = gate.lock().unwrap().recv();
        }
        MessageResult(report)
    }
}

fn entry(number: usize) -> String {
    format!(
        r#"{{"deviceId": "{number}", "manufacturerKey": "kam", "encryptionKey": "{KEY}", "manufacturerDeviceKey": "OmniPower1"}}"#
    )
}

/// Waits until commands are heard. Returns how many were refused on the way, every one with an answer.
fn listening(watcher: &Watcher) -> u64 {
    let result = topic("sensors/set/result");
    // An unusable message is answered as soon as commands are heard.
    wait_for("commands to be heard", || {
        watcher.say(&topic("sensors/set"), "?");
        std::thread::sleep(Duration::from_millis(50));
        watcher.on(&result).first().map(|_| ())
    });
    // Answers come in order: after this one none is on its way.
    watcher.say(&topic("sensors/set"), "{}");
    watcher.wait_for_last(&result, "not a JSON list");
    let answers = watcher.on(&result).len();
    watcher.forget();
    answers as u64
}

/// So fast that no test meets it.
const FAST: Pace = Pace {
    burst: 10_000,
    interval: Duration::from_millis(1),
};

#[test]
fn a_set_message_is_applied_and_every_entry_answered() {
    let broker = Broker::start();
    let watcher = Watcher::at(&broker.url());
    let system = System::new();
    let probe = Probe::default();
    let (mut config, _stops) =
        commander_config(&broker.url(), system.start(probe.clone()).recipient());
    config.pace = FAST;
    let counters = Arc::clone(&config.counters);
    let _commander = system.commander(config);
    listening(&watcher);

    let refused = counters.value(Count::CommandsRefused);
    watcher.say(
        &topic("sensors/set"),
        &format!(r#"[{}, {{"deviceId": "2"}}]"#, entry(1)),
    );
    let result = watcher.wait_on(&topic("sensors/set/result"), 1)[0].clone();
    assert_eq!(
        result.json(),
        json!({"accepted": 1, "refused": 1, "entries": [
            {"deviceId": "1", "manufacturerKey": "kam", "accepted": true},
            {"deviceId": "2", "accepted": false, "reason": "manufacturerKey is missing"},
        ]})
    );
    assert!(!result.retained && !result.payload.contains(KEY));
    assert_eq!(probe.sets(), [["kam-1"]]);
    assert_eq!(counters.value(Count::CommandsAccepted), 1);
    assert_eq!(counters.value(Count::CommandsRefused), refused);

    watcher.say(&topic("sensors/set"), "[]");
    watcher.wait_on(&topic("sensors/set/result"), 2);
    assert_eq!(probe.sets()[1], [""; 0]);
}

#[test]
fn an_unusable_message_changes_nothing_and_is_answered() {
    let broker = Broker::start();
    let watcher = Watcher::at(&broker.url());
    let system = System::new();
    let probe = Probe::default();
    let (mut config, _stops) =
        commander_config(&broker.url(), system.start(probe.clone()).recipient());
    config.pace = FAST;
    config.limits = Limits {
        bytes: 1000,
        meters: 3,
    };
    let _commander = system.commander(config);
    listening(&watcher);

    let too_many = format!("[{}]", ["1"; 4].join(","));
    let too_large = format!("[{}]", " ".repeat(999));
    for (number, (message, error)) in [
        ("[{", "not JSON: mistake in line 1, column 2"),
        ("{}", "not a JSON list"),
        (too_many.as_str(), "4 meters, and the limit is 3"),
        (too_large.as_str(), "1001 bytes, and the limit is 1000"),
    ]
    .into_iter()
    .enumerate()
    {
        watcher.say(&topic("sensors/set"), message);
        let results = watcher.wait_on(&topic("sensors/set/result"), number + 1);
        assert_eq!(results[number].json()["error"], error);
    }
    assert_eq!(probe.sets(), [[""; 0]; 0]);
}

#[test]
fn of_many_set_messages_the_last_is_applied_and_the_others_are_answered() {
    let broker = Broker::start();
    let watcher = Watcher::at(&broker.url());
    let system = System::new();
    let probe = Probe::default();
    let (mut config, _stops) =
        commander_config(&broker.url(), system.start(probe.clone()).recipient());
    config.pace = Pace {
        burst: 3,
        interval: Duration::from_millis(500),
    };
    let (pace, counters) = (config.pace, Arc::clone(&config.counters));
    let counted =
        || counters.value(Count::CommandsAccepted) + counters.value(Count::CommandsRefused);
    let _commander = system.commander(config);
    listening(&watcher);

    let (before, began) = (counted(), Instant::now());
    for number in 1..=1000 {
        watcher.say(&topic("sensors/set"), &format!("[{}]", entry(number)));
        // Of more than 64 for a Commander that does not get on, the oldest are dropped and not answered.
        wait_for("the Commander to get on", || {
            (before + number as u64 - counted() <= 50).then_some(())
        });
    }
    let last = vec!["kam-1000".to_owned()];
    wait_for("the last set", || {
        (probe.sets().last() == Some(&last)).then_some(())
    });
    let took = began.elapsed();
    let results = watcher.wait_on(&topic("sensors/set/result"), 1000);
    assert_eq!((counted() - before, results.len()), (1000, 1000));
    let superseded = |result: &Value| result["error"] == "superseded by a later set message";
    let results: Vec<_> = results.iter().map(Heard::json).collect();
    let applied = results
        .iter()
        .filter(|result| result["accepted"] == 1)
        .count();
    assert_eq!(
        applied + results.iter().filter(|result| superseded(result)).count(),
        1000
    );
    assert_eq!(probe.sets().len(), applied);
    let allowed = u128::from(pace.burst) + took.as_millis() / pace.interval.as_millis();
    assert!(
        applied as u128 <= allowed,
        "{applied} were applied in {took:?}"
    );
}

#[test]
fn one_set_at_a_time_and_stop_is_heard_meanwhile() {
    let broker = Broker::start();
    let watcher = Watcher::at(&broker.url());
    let system = System::new();
    let aside = System::new();
    let (probe, release) = Probe::gated();
    let (mut config, mut stops) =
        commander_config(&broker.url(), aside.start(probe.clone()).recipient());
    config.pace = FAST;
    let _commander = system.commander(config);
    listening(&watcher);
    for number in 1..=3 {
        watcher.say(&topic("sensors/set"), &format!("[{}]", entry(number)));
    }
    watcher.say("STOP", "");
    assert!(wait(stops.recv()).is_some());
    wait_for("the first set to be in hand", || {
        (probe.sets().len() == 1).then_some(())
    });
    drop(release);
    watcher.wait_on(&topic("sensors/set/result"), 3);
    assert_eq!(probe.sets(), [["kam-1"], ["kam-3"]]);
}

#[test]
fn meters_that_fail_are_answered_for() {
    let broker = Broker::start();
    let watcher = Watcher::at(&broker.url());
    let system = System::new();
    let aside = System::new();
    let probe = Probe {
        panics: true,
        ..Probe::default()
    };
    let (config, _stops) = commander_config(&broker.url(), aside.start(probe).recipient());
    let _commander = system.commander(config);
    listening(&watcher);
    watcher.say(&topic("sensors/set"), "[]");
    let result = watcher.wait_on(&topic("sensors/set/result"), 1)[0].json();
    assert!(
        result["error"].as_str().unwrap().contains("internal error"),
        "{result}"
    );
}

#[test]
fn stop_is_heard_on_both_topics() {
    let broker = Broker::start();
    let watcher = Watcher::at(&broker.url());
    let system = System::new();
    let (config, mut stops) =
        commander_config(&broker.url(), system.start(Probe::default()).recipient());
    let _commander = system.commander(config);
    listening(&watcher);
    for topic in ["STOP".to_owned(), topic("STOP")] {
        watcher.say(&topic, "anything");
        assert_eq!(wait(stops.recv()).unwrap().topic, topic);
    }
    watcher.say("v2/another/STOP", "");
    std::thread::sleep(Duration::from_millis(300));
    assert!(stops.try_recv().is_err());
}

#[test]
fn a_retained_stop_and_one_sent_while_away_are_not_obeyed() {
    let broker = Broker::start();
    let network = Network::to(broker.port());
    let watcher = Watcher::at(&broker.url());
    watcher.say_for_ever("STOP", "for ever");
    watcher.say_for_ever(&topic("STOP"), "for ever");
    let system = System::new();
    let (config, mut stops) =
        commander_config(&network.url(), system.start(Probe::default()).recipient());
    let counters = Arc::clone(&config.counters);
    let _commander = system.commander(config);
    let refused = listening(&watcher);
    wait_for("both retained ones to be refused", || {
        (counters.value(Count::CommandsRefused) == refused + 2).then_some(())
    });

    network.refuse(true);
    network.cut();
    wait_for("the connection to be lost", || {
        (counters.value(Count::BrokerLost) == 1).then_some(())
    });
    watcher.say("STOP", "while away");
    network.refuse(false);
    listening(&watcher);
    assert!(stops.try_recv().is_err());
    watcher.say("STOP", "now");
    assert!(wait(stops.recv()).is_some());
}

#[test]
fn with_a_token_only_the_token_stops() {
    let broker = Broker::start();
    let watcher = Watcher::at(&broker.url());
    let system = System::new();
    let (mut config, mut stops) =
        commander_config(&broker.url(), system.start(Probe::default()).recipient());
    config.stop_token = Some(Secret::new("open sesame".to_owned())).into();
    let _commander = system.commander(config);
    listening(&watcher);
    for wrong in ["", "open", "open sesame ", "OPEN SESAME"] {
        watcher.say("STOP", wrong);
    }
    watcher.say(&topic("STOP"), "open sesame");
    assert_eq!(wait(stops.recv()).unwrap().topic, topic("STOP"));
    assert!(stops.try_recv().is_err());
}

#[test]
fn a_retained_set_is_accepted_and_again_after_every_connect() {
    let broker = Broker::start();
    let network = Network::to(broker.port());
    let watcher = Watcher::at(&broker.url());
    watcher.say_for_ever(&topic("sensors/set"), &format!("[{}]", entry(7)));
    let system = System::new();
    let probe = Probe::default();
    let (config, _stops) =
        commander_config(&network.url(), system.start(probe.clone()).recipient());
    let _commander = system.commander(config);
    watcher.wait_on(&topic("sensors/set/result"), 1);
    network.cut();
    // Not its answer: the one before may come twice.
    wait_for("the second set", || (probe.sets().len() == 2).then_some(()));
    watcher.wait_on(&topic("sensors/set/result"), 2);
    assert_eq!(probe.sets(), [["kam-7"], ["kam-7"]]);
}

#[test]
fn an_answer_that_did_not_arrive_is_sent_again() {
    let broker = Broker::start();
    let network = Network::to(broker.port());
    let watcher = Watcher::at(&broker.url());
    let system = System::new();
    let aside = System::new();
    let (probe, release) = Probe::gated();
    let (config, _stops) = commander_config(&network.url(), aside.start(probe.clone()).recipient());
    let counters = Arc::clone(&config.counters);
    let _commander = system.commander(config);
    listening(&watcher);
    watcher.say(&topic("sensors/set"), "[]");
    wait_for("the set to be in hand", || {
        (!probe.sets().is_empty()).then_some(())
    });
    network.refuse(true);
    network.cut();
    wait_for("the connection to be lost", || {
        (counters.value(Count::BrokerLost) == 1).then_some(())
    });
    drop(release);
    wait_for("the set to be applied", || {
        (counters.value(Count::CommandsAccepted) == 1).then_some(())
    });
    assert!(watcher.on(&topic("sensors/set/result")).is_empty());
    network.refuse(false);
    let answer = watcher.wait_for_last(&topic("sensors/set/result"), "accepted");
    assert_eq!(answer.json()["accepted"], 0);
}
