//! SIGHUP: the settings that can change without touching the radio do, those that cannot are named, and a file with mistakes changes nothing.

use std::process::Command;

use tempfile::TempDir;

use crate::support::air::Air;
use crate::support::broker::Broker;
use crate::support::gateway::{GATEWAY, Gateway, Options};
use crate::support::process::Process;
use crate::support::subscriber::Subscriber;
use crate::support::telegrams::{COMPACT_2_15, FULL_2_15, set_message};
use crate::support::wait_for;

fn data() -> String {
    format!("v2/{GATEWAY}/kam-32666857/data")
}

/// Sends the signal and waits until it has been answered.
fn reload(gateway: &Gateway, answer: &str) {
    let answers = || gateway.output().matches(answer).count();
    let before = answers();
    gateway.signal("HUP");
    wait_for(answer, || (answers() > before).then_some(()));
}

#[test]
fn another_broker_is_used_and_the_dongle_not_touched() {
    let (broker, other) = (Broker::start(), Broker::start());
    let (subscriber, at_other) = (Subscriber::connect(&broker), Subscriber::connect(&other));
    for subscriber in [&subscriber, &at_other] {
        subscriber.publish_retained(&format!("v2/{GATEWAY}/sensors/set"), &set_message());
    }
    let air = Air::open();
    let mut gateway = Options::dongle(&broker, air.port()).start();
    subscriber.wait_on(&format!("v2/{GATEWAY}/kam-32666857/config"), 1);
    air.wait_until_listening();
    air.send(COMPACT_2_15);
    subscriber.wait_on(&data(), 4);
    let opened = gateway.output().matches("port opened").count();
    gateway.wait_for_output("commands are heard");
    let heard = |gateway: &Gateway| gateway.output().matches("commands are heard").count();
    let before = heard(&gateway);

    gateway.edit_settings(&broker.url(), &other.url());
    reload(&gateway, "settings reloaded, changed: mqtt.url");
    subscriber.wait_for_state(GATEWAY, "offline");
    at_other.wait_for_state(GATEWAY, "online");
    air.send(FULL_2_15);
    at_other.wait_on(&data(), 4);
    assert_eq!(gateway.output().matches("port opened").count(), opened);
    // The Commander may come later than the Publisher, and a STOP is not kept for it.
    wait_for("commands to be heard at the other", || {
        (heard(&gateway) > before).then_some(())
    });

    // Nothing has changed since, so nothing is done.
    at_other.forget();
    reload(&gateway, "settings reloaded, changed: nothing");
    at_other.publish("STOP", "");
    assert_eq!(gateway.wait().code(), Some(0));
    at_other.wait_for_state(GATEWAY, "offline");
    let states: Vec<_> = at_other.on(&format!("v2/{GATEWAY}/status"));
    assert_eq!(
        states.last().unwrap().json()["reason"],
        "stopped",
        "{states:?}"
    );
    assert!(
        !states
            .iter()
            .any(|state| state.json()["reason"] == "connection lost"),
        "{states:?}"
    );
}

#[test]
fn the_log_level_and_the_stop_token_change_at_once() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let mut gateway = Options::stdin(&broker)
        .mqtt("stop_token = \"old token\"")
        .start();
    gateway.wait_for_output("commands are heard");

    gateway.edit_settings("old token", "new token");
    gateway.edit_settings("\"debug\"", "\"warning\"");
    // At the old level, for it is logged before the new one is in force.
    reload(
        &gateway,
        "settings reloaded, changed: log.level mqtt.stop_token",
    );
    // The next one is read when they are in force.
    gateway.edit_settings("[mqtt]", "[mqtt]\nnonsense = 1");
    reload(&gateway, "settings not reloaded");
    gateway.edit_settings("nonsense = 1\n", "");
    subscriber.publish("STOP", "old token");
    gateway.wait_for_output("STOP refused");
    gateway.signal("HUP");
    subscriber.publish("STOP", "new token");
    assert_eq!(gateway.wait().code(), Some(0));
    let output = gateway.output();
    assert!(
        !output.contains("STOP heard"),
        "that is less than a warning: {output}"
    );
    assert!(!output.contains("token\""), "{output}");
}

#[test]
fn what_needs_a_start_is_named_each_time_and_only_that() {
    let broker = Broker::start();
    let gateway = Options::stdin(&broker).start();
    gateway.wait_for_output("commands are heard");
    gateway.edit_settings(
        "source = \"stdin\"",
        "source = \"im871a\"\nlink_mode = \"t1\"",
    );
    gateway.edit_settings("\"debug\"", "\"info\"");
    for changed in ["log.level", "nothing"] {
        reload(
            &gateway,
            &format!("settings reloaded, changed: {changed}\n"),
        );
        let named = "changed settings that wait for the next start, reason: driver.link_mode driver.source\n";
        wait_for("what waits", || {
            gateway.output().ends_with(named).then_some(())
        });
    }
}

#[test]
fn a_file_with_mistakes_changes_nothing_and_every_mistake_is_logged() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let mut gateway = Options::stdin(&broker).start();
    gateway.wait_for_output("commands are heard");
    let good = std::fs::read_to_string(gateway.settings()).unwrap();
    let mistakes: String = (0..8).map(|number| format!("bad_{number} = 1\n")).collect();
    gateway.edit_settings("[mqtt]", &format!("[mqtt]\nstop_token = \"x\"\n{mistakes}"));
    gateway.signal("HUP");
    for number in 0..8 {
        gateway.wait_for_output(&format!("mqtt.bad_{number}: unknown field"));
    }
    assert!(!gateway.output().contains("settings reloaded"));

    std::fs::remove_file(gateway.settings()).unwrap();
    reload(&gateway, "cannot be read");
    std::fs::write(gateway.settings(), good).unwrap();
    reload(&gateway, "settings reloaded, changed: nothing");
    subscriber.publish("STOP", "without the token of the file with mistakes");
    assert_eq!(gateway.wait().code(), Some(0));
}

#[test]
fn the_driver_daemon_reloads_too() {
    let folder = TempDir::new().unwrap();
    let settings = folder.path().join("driver.toml");
    let write = |text: &str| std::fs::write(&settings, text).unwrap();
    write("[driver]\npath = '/nowhere/dongle'\n[log]\nsyslog = false\n");
    let mut command = Command::new(env!("CARGO_BIN_EXE_omnigate"));
    command
        .arg("driver")
        .arg("--fifo")
        .arg(folder.path().join("fifo"));
    command.arg("--config").arg(&settings);
    let mut daemon = Process::start(command);
    daemon.wait_for_output("waiting for the source");

    write("[driver]\npath = '/elsewhere/dongle'\n[log]\nsyslog = false\nlevel = 'debug'\n");
    daemon.signal("HUP");
    daemon.wait_for_output("settings reloaded, changed: log.level");
    daemon.wait_for_output("wait for the next start, reason: driver.path");
    daemon.signal("TERM");
    assert_eq!(daemon.wait().code(), Some(0));
}

/// Nobody watches it any more, and whoever started it there expects it to end.
#[test]
fn a_gateway_whose_terminal_is_closed_ends() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let folder = TempDir::new().unwrap();
    let settings = folder.path().join("omnigate.toml");
    let text = format!(
        "[gateway]\nid = \"{GATEWAY}\"\nstate_dir = {:?}\n[driver]\npath = \"/nowhere/dongle\"\n[page]\nenabled = false\n[mqtt]\nurl = \"{}\"\n",
        folder.path(),
        broker.url()
    );
    std::fs::write(&settings, text).unwrap();
    // It runs the command in a terminal of its own, which is closed with it.
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--command"]).arg(format!(
        "{} run --config {}",
        env!("CARGO_BIN_EXE_omnigate"),
        settings.display()
    ));
    terminal.arg("/dev/null");
    let mut terminal = Process::start(terminal);
    subscriber.wait_for_state(GATEWAY, "online");
    terminal.kill();
    subscriber.wait_for_state(GATEWAY, "offline");
    let last = subscriber
        .on(&format!("v2/{GATEWAY}/status"))
        .pop()
        .unwrap();
    assert_eq!(last.json()["reason"], "stopped");
}
