//! The system's log: a real rsyslogd understands every message, with level, actor, meter and reason as structured data.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::broker::Broker;
use crate::support::gateway::{GATEWAY, Options};
use crate::support::rsyslog::Rsyslog;
use crate::support::subscriber::Subscriber;
use crate::support::telegrams::{
    COMPACT_2_06, COMPACT_2_15, METER, WRONG_KEY, set_message_with_key,
};
use crate::support::wait_for;

fn data<'a>(message: &'a Value, key: &str) -> &'a str {
    // rsyslog writes names in lower case.
    message["data"]["rfc5424-sd"]["omnigate@32473"][key]
        .as_str()
        .unwrap_or_else(|| panic!("no {key} in {message}"))
}

#[test]
fn a_real_daemon_understands_every_message() {
    let syslog = Rsyslog::start();
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let mut gateway = Options::stdin(&broker)
        .syslog(&syslog.socket())
        .faults("parser:panic:1")
        .start();
    let set = set_message_with_key(WRONG_KEY);
    // The gateway waits for no daemon, so what it says to one that stands still may be lost: until the daemon follows, it has more to say.
    let mut sent = None::<Instant>;
    wait_for("the daemon to follow", || {
        if sent.is_none_or(|at| at.elapsed() > Duration::from_secs(5)) {
            subscriber.publish(&format!("v2/{GATEWAY}/sensors/set"), &set);
            sent = Some(Instant::now());
        }
        let applied = |message: &Value| {
            let text = message["text"].as_str();
            text.is_some_and(|text| text.contains("set message applied"))
        };
        syslog.all().iter().any(applied).then_some(())
    });
    gateway.feed([COMPACT_2_06, COMPACT_2_06, COMPACT_2_15]);

    let refused = syslog.message("key rejected");
    assert_eq!(refused["severity"], "warning", "{refused}");
    assert_eq!(refused["facility"], "daemon");
    assert_eq!(refused["program"], "omnigate");
    assert_eq!(refused["process"], gateway.id().to_string());
    assert!(
        refused["time"].as_str().unwrap().starts_with("20"),
        "{refused}"
    );
    assert_eq!(data(&refused, "actor"), "meter_handler");
    assert_eq!(data(&refused, "meter"), format!("kam-{METER}"));
    assert!(!data(&refused, "reason").is_empty());

    let restarted = syslog.message("restarting");
    assert_eq!(restarted["severity"], "err");
    assert_eq!(data(&restarted, "actor"), "parser");
    assert!(
        data(&restarted, "reason").contains("injected fault"),
        "{restarted}"
    );

    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(0));
    assert_eq!(syslog.message("stopping")["severity"], "info");
    for message in syslog.all() {
        assert_eq!(message["program"], "omnigate", "{message}");
        assert!(!message["text"].as_str().unwrap().contains(WRONG_KEY));
    }
    assert_eq!(
        gateway.output(),
        "",
        "what goes to the system's log need not be printed"
    );
}

#[test]
fn a_log_daemon_that_was_away_learns_how_much_it_missed() {
    let mut syslog = Rsyslog::start();
    let broker = Broker::start();
    syslog.kill();
    let mut gateway = Options::stdin(&broker).syslog(&syslog.socket()).start();
    gateway.wait_for_output("started");
    syslog.resume();
    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(0));
    let missed = syslog.message("did not reach the system's log");
    assert_eq!(missed["severity"], "warning");
}
