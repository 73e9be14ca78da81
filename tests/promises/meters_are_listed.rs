//! `omnigate meters` lists the meters on the air, monitored or not, and how the monitored ones fare.

use std::process::Command;

use serde_json::Value;
use wmbus::telegram::Draft;
use wmbus::{Address, Medium};

use crate::support::broker::Broker;
use crate::support::gateway::{GATEWAY, Options};
use crate::support::process::Process;
use crate::support::subscriber::Subscriber;
use crate::support::telegrams::{COMPACT_2_06, WRONG_KEY, set_message_with_key};
use crate::support::wait_for;

#[test]
fn heard_and_monitored_meters_are_listed() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let mut gateway = Options::stdin(&broker).start();
    subscriber.wait_for_state(GATEWAY, "online");
    gateway.wait_for_output("commands are heard");
    let set = format!("v2/{GATEWAY}/sensors/set");
    subscriber.publish(&set, &set_message_with_key(WRONG_KEY));
    subscriber.wait_on(&format!("{set}/result"), 1);
    let settings = gateway.folder().join("omnigate.toml");
    let settings = settings.to_str().unwrap();
    let other = plain_water_meter();
    let list = || -> Value {
        let (code, said) = meters(&["--config", settings, "--json"]);
        assert_eq!(code, Some(0), "{said}");
        serde_json::from_str(&said).unwrap()
    };
    assert_eq!(list()[0]["state"], "unheard");

    gateway.feed([COMPACT_2_06, &other]);
    let listed = wait_for("both meters to be heard", || {
        // What became of a telegram is known after it is counted.
        Some(list()).filter(|list| {
            list[0]["telegrams"] == 1 && list[0]["state"] != "unheard" && list[1]["telegrams"] == 1
        })
    });
    let expected = |at: usize, key: &str, value: &str| {
        assert_eq!(listed[at][key], value, "{listed}");
    };
    expected(0, "monitored", "kam-32666857");
    expected(0, "state", "key rejected");
    expected(0, "model", "OmniPower");
    expected(0, "encryption", "ELL AES-128-CTR");
    expected(1, "id", "12345678");
    expected(1, "medium_name", "water");
    expected(1, "encryption", "none");
    let (_, table) = meters(&["--config", settings]);
    assert_eq!(table.lines().count(), 3, "{table}");
    assert!(
        table.contains("not monitored") && !table.contains(WRONG_KEY),
        "{table}"
    );
}

#[test]
fn without_a_gateway_that_is_said_and_a_second_gateway_does_not_start() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let state_dir = tempfile::tempdir().unwrap();
    let mut first = Options::stdin(&broker).state_dir(state_dir.path()).start();
    subscriber.wait_for_state(GATEWAY, "online");
    let settings = first.folder().join("omnigate.toml");
    let settings = settings.to_str().unwrap().to_owned();
    wait_for("the control socket", || {
        (meters(&["--config", &settings]).0 == Some(0)).then_some(())
    });
    let mut command = Command::new(env!("CARGO_BIN_EXE_omnigate"));
    command.args(["run", "--config", &settings]);
    let mut second = Process::start(command);
    assert_eq!(second.wait().code(), Some(1));
    second.wait_for_output("another gateway (process ");
    assert_eq!(meters(&["--config", &settings]).0, Some(0));

    // Killed, it leaves its socket behind; the next one takes its place.
    first.kill();
    let (code, said) = meters(&["--config", &settings]);
    assert_eq!(code, Some(1));
    assert!(said.contains("no gateway runs on"), "{said}");
}

/// A telegram of a meter that nobody monitors.
fn plain_water_meter() -> String {
    let address = Address {
        manufacturer: "ABC".parse().unwrap(),
        identification: "12345678".parse().unwrap(),
        version: 1,
        medium: Medium(7),
    };
    let volume = [0x04, 0x13, 1, 0, 0, 0];
    let telegram = Draft::new(address, 0x78, &volume).encode(None).unwrap();
    telegram.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn meters(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_omnigate"))
        .arg("meters")
        .args(arguments)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}
