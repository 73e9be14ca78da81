//! A broker that refuses a subscription, as its operator may have told it: the gateway says so, delivers all the same, and is heard again as
//! soon as the broker permits it.

use std::env::consts::ARCH;
use std::path::Path;

use serde_json::json;

use crate::support::broker::Broker;
use crate::support::gateway::{GATEWAY, Options, wait_for_outbox};
use crate::support::subscriber::Subscriber;
use crate::support::telegrams::{COMPACT_2_06, COMPACT_2_15, set_message};
use crate::support::wait_for;

#[test]
fn it_delivers_all_the_same_and_hears_commands_when_it_may() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules.json");
    let set = format!("v2/{GATEWAY}/sensors/set");
    permit(&rules, &set, true);
    let mut broker = Broker::with_settings(&format!(
        "allow_anonymous true\nplugin {}\nplugin_opt_config_file {}\n",
        plugin(),
        rules.display()
    ));
    let subscriber = Subscriber::connect(&broker);
    let mut gateway = Options::stdin(&broker).start();
    gateway.wait_for_output("commands are heard");
    subscriber.publish(&set, &set_message());
    subscriber.wait_on(&format!("{set}/result"), 1);

    broker.kill();
    permit(&rules, &set, false);
    broker.resume();
    gateway.wait_for_output(&format!(
        "subscription refused, actor: commander, reason: subscription refused, topic: {set}"
    ));
    subscriber.catch_up();
    gateway.feed([COMPACT_2_06]);
    subscriber.wait_on(&data(), 4);
    // What is not acknowledged would come once more.
    wait_for_outbox(gateway.folder(), 0);

    broker.kill();
    permit(&rules, &set, true);
    let heard = || gateway.output().matches("commands are heard").count();
    let before = heard();
    broker.resume();
    wait_for("commands to be heard", || (heard() > before).then_some(()));
    subscriber.catch_up();
    subscriber.publish(&set, "[]");
    // The first answer may come again before it, for the broker may have been killed before it acknowledged it.
    wait_for("the answer to the empty set", || {
        let answers = subscriber.on(&format!("{set}/result"));
        let empty = json!({"accepted": 0, "refused": 0, "entries": []});
        answers
            .iter()
            .any(|answer| answer.json() == empty)
            .then_some(())
    });
    gateway.feed([COMPACT_2_15]);
    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(0));
    assert_eq!(subscriber.on(&data()).len(), 4);
}

/// Whether everybody may subscribe to this topic; to all others everybody may.
fn permit(rules: &Path, topic: &str, allow: bool) {
    let all = json!({
        "defaultACLAccess": {
            "publishClientSend": true, "publishClientReceive": true, "subscribe": true, "unsubscribe": true
        },
        "clients": [],
        "groups": [{"groupname": "everybody", "roles": [{"rolename": "everybody"}], "clients": []}],
        "roles": [{"rolename": "everybody", "acls": [
            {"acltype": "subscribeLiteral", "topic": topic, "priority": 1, "allow": allow}
        ]}],
        "anonymousGroup": "everybody"
    });
    std::fs::write(rules, all.to_string()).unwrap();
}

fn data() -> String {
    format!("v2/{GATEWAY}/kam-32666857/data")
}

/// mosquitto itself grants every subscription; this part of it does not.
fn plugin() -> String {
    format!("/usr/lib/{ARCH}-linux-gnu/mosquitto_dynamic_security.so")
}
