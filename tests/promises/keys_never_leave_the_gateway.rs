//! No key, no password and no token appears in any output, message, status or error, in a process argument, or in a file that others may
//! read, whatever goes wrong.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use omnigate::settings::{Environment, Settings};
use omnigate_actors::mqtt;
use omnigate_actors::set_message::{Limits, SetMessage};
use wmbus::{Decoder, Key, MeterKey};

use crate::support::broker::Broker;
use crate::support::free_port;
use crate::support::gateway::{GATEWAY, Gateway, Options};
use crate::support::http;
use crate::support::secrets::Search;
use crate::support::subscriber::Subscriber;
use crate::support::telegrams::{
    COMPACT_2_06, FULL_2_15, KEY, WRONG_KEY, set_message, set_message_with_key,
};

const PASSWORD: &str = "correct horse";
const TOKEN: &str = "battery staple";
/// What somebody takes for the token.
const GUESS: &str = "battery stable";
/// One digit is missing.
const HALF_A_KEY: &str = "9A25139E3244CC2E391A8EF6B915B69";

fn search() -> Search {
    Search::of(&[PASSWORD, TOKEN, GUESS, HALF_A_KEY], &[KEY, WRONG_KEY])
}

#[test]
fn neither_in_the_log_nor_in_a_message_nor_in_a_file_for_others() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let set = format!("v2/{GATEWAY}/sensors/set");
    // What a set message may have in the wrong place.
    let messages = [
        set_message_with_key(WRONG_KEY),
        set_message_with_key(HALF_A_KEY),
        set_message().replace("encryptionKey", "encryptionkey"),
        set_message().replace("32666857", KEY),
        set_message().replace("kam", KEY),
        set_message().replace("OmniPower1", KEY),
        format!("[\"{KEY}\", {{\"{KEY}\": {{\"{KEY}\": [\"{KEY}\"]}}}}]"),
        format!("\"{KEY}\""),
        set_message()[1..].to_owned(),
        format!("{KEY}{}", set_message()),
        set_message(),
    ];
    let mut gateway = Options::stdin(&broker)
        .mqtt("username = \"gateway\"")
        .mqtt(&format!("password = \"{PASSWORD}\""))
        .mqtt(&format!("stop_token = \"{TOKEN}\""))
        .mqtt("set_burst = 100")
        // Each of them has a secret in its hands when it fails.
        .faults("meters:panic:3,commander:panic:5,meter_handler:panic:2,publisher:panic:2")
        .start();
    subscriber.wait_for_state(GATEWAY, "online");
    gateway.wait_for_output("commands are heard");
    for message in &messages {
        let answers = subscriber.on(&format!("{set}/result")).len();
        // One that meets a failing actor is not answered, so it is sent until it is.
        crate::support::wait_for("an answer", || {
            subscriber.publish(&set, message);
            std::thread::sleep(std::time::Duration::from_millis(100));
            (subscriber.on(&format!("{set}/result")).len() > answers).then_some(())
        });
        // Encrypted, encrypted with what is no key of it, and one that is no telegram.
        gateway.feed([COMPACT_2_06, FULL_2_15, KEY]);
    }
    // The last answer may have been to an earlier message, sent twice: then the right key comes after the telegrams, or was lost.
    crate::support::wait_for("readings with the right key", || {
        let readings = subscriber.on(&format!("v2/{GATEWAY}/kam-32666857/data"));
        if readings.len() >= 4 {
            return Some(());
        }
        subscriber.publish(&set, &set_message());
        std::thread::sleep(std::time::Duration::from_millis(100));
        gateway.feed([COMPACT_2_06, FULL_2_15]);
        None
    });
    subscriber.publish(&format!("v2/{GATEWAY}/STOP"), GUESS);
    gateway.wait_for_output("STOP refused");
    let arguments = fs::read(format!("/proc/{}/cmdline", gateway.id())).unwrap();
    subscriber.publish(&format!("v2/{GATEWAY}/STOP"), TOKEN);
    assert_eq!(gateway.wait().code(), Some(0));

    let mut search = search();
    search.add("the process arguments", String::from_utf8_lossy(&arguments));
    search.add("the output", gateway.output());
    for message in subscriber.all() {
        if message.topic != set && !message.topic.ends_with("/STOP") {
            search.add(format!("topic {}", message.topic), &message.topic);
            search.add(format!("a message on {}", message.topic), &message.payload);
        }
    }
    for file in files(gateway.folder()) {
        let for_others = fs::metadata(&file).unwrap().permissions().mode() & 0o077 != 0;
        // The settings that hold the password are the operator's.
        if for_others && file.extension().is_none_or(|name| name != "toml") {
            let content = fs::read(&file).unwrap();
            search.add(
                file.display().to_string(),
                String::from_utf8_lossy(&content),
            );
        }
    }
    assert_eq!(search.found(), [""; 0]);
}

/// What the second output, Home Assistant's descriptions, the page, the metrics and the commands show, while requests carry keys and tokens,
/// the settings are read again, and actors fail with a key in hand.
#[test]
fn neither_for_home_automation_nor_on_the_page_nor_for_commands() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let port = free_port();
    let mut gateway = Options::stdin(&broker)
        .mqtt("username = \"gateway\"")
        .mqtt(&format!("password = \"{PASSWORD}\""))
        .mqtt(&format!("stop_token = \"{TOKEN}\""))
        .mqtt("set_burst = 100")
        .sections("[state]\nenabled = true\n[home_assistant]\nenabled = true")
        .page(port)
        .faults("meters:panic:2,meter_handler:panic:1,bridge:panic:3")
        .start();
    gateway.wait_for_output("the page is there");
    gateway.wait_for_output("requests are heard");
    gateway.wait_for_output("commands are heard");
    let requests = requests();
    for (number, request) in requests.iter().enumerate() {
        // Each with every verb would be too many at once.
        let verb = ["log_level", "meters/add", "meters/set"][number % 3];
        let topic = format!("omnigate/bridge/response/{verb}");
        let answers = || subscriber.on(&topic).len();
        let before = answers();
        // One that meets a failing actor is not answered, so it is sent until it is.
        crate::support::wait_for("an answer", || {
            subscriber.publish(&format!("omnigate/bridge/request/{verb}"), request);
            std::thread::sleep(std::time::Duration::from_millis(100));
            (answers() > before).then_some(())
        });
    }
    crate::support::wait_for("the last request to be carried out", || {
        subscriber.publish("omnigate/bridge/request/meters/set", requests.last()?);
        std::thread::sleep(std::time::Duration::from_millis(500));
        let answers = subscriber.on("omnigate/bridge/response/meters/set");
        let last = answers.last()?.json();
        (last["transaction"] == "8" && last["data"]["accepted"] == 1).then_some(())
    });
    // The last request had the right key, and the first telegram makes the handler fail.
    gateway.feed([COMPACT_2_06, FULL_2_15, KEY]);
    subscriber.wait_on("omnigate/kam_32666857/state", 1);
    subscriber.wait_on("homeassistant/device/omnigate_kam_32666857/config", 1);

    let mut search = search();
    look_around(&gateway, port, &mut search);
    gateway.edit_settings(TOKEN, GUESS);
    gateway.signal("HUP");
    gateway.wait_for_output("settings reloaded, changed: mqtt.stop_token");
    gateway.edit_settings("[mqtt]", &format!("[mqtt]\npassword = \"{TOKEN}\"\n"));
    gateway.signal("HUP");
    gateway.wait_for_output("settings not reloaded");
    look_around(&gateway, port, &mut search);
    subscriber.publish(&format!("v2/{GATEWAY}/STOP"), GUESS);
    assert_eq!(gateway.wait().code(), Some(0));

    let output = gateway.output();
    for actor in ["meters", "meter_handler", "bridge"] {
        let failed = |line: &str| line.contains("restarting") && line.contains(actor);
        assert!(output.lines().any(failed), "{actor} did not fail: {output}");
    }
    search.add("the output", output);
    for message in subscriber.all() {
        if !message.topic.contains("/bridge/request/") && !message.topic.ends_with("/STOP") {
            search.add(format!("topic {}", message.topic), &message.topic);
            search.add(format!("a message on {}", message.topic), &message.payload);
        }
    }
    assert_eq!(search.found(), [""; 0]);
}

/// Secrets where they belong and where they do not. The last one is accepted.
fn requests() -> [String; 8] {
    let with = |meters: &str, token: &str, transaction: &str| {
        format!("{{\"meters\":{meters},\"token\":\"{token}\",\"transaction\":\"{transaction}\"}}")
    };
    let right = set_message();
    [
        with(&right, GUESS, "1"),
        with(&set_message_with_key(HALF_A_KEY), TOKEN, "2"),
        with(&right.replace("32666857", KEY), TOKEN, "3"),
        with(&right.replace("kam", KEY), TOKEN, "4"),
        with(&format!("\"{KEY}\""), TOKEN, "5"),
        with(&right, TOKEN, "6").replace("\"meters\"", &format!("\"{KEY}\"")),
        format!("{{\"token\":\"{TOKEN}\",\"level\":\"{KEY}\""),
        with(&right, TOKEN, "8"),
    ]
}

/// All that can be asked of a running gateway from outside.
fn look_around(gateway: &Gateway, port: u16, search: &mut Search) {
    for path in [
        "/",
        "/meters/kam-32666857",
        "/healthz",
        "/metrics",
        &format!("/{KEY}"),
    ] {
        let answer = http::get(port, path);
        search.add(format!("the head of {path}"), answer.head);
        search.add(format!("the page {path}"), answer.body);
    }
    let settings = gateway.settings();
    let settings = ["--config", settings.to_str().unwrap()];
    for command in [&["meters"][..], &["meters", "--json"], &["status"]] {
        let (code, said) = omnigate(&[command, &settings].concat(), "");
        assert_ne!(code, None, "{said}");
        search.add(format!("{command:?}"), said);
    }
}

#[test]
fn not_when_the_broker_refuses_them() {
    let broker = Broker::with_settings("allow_anonymous false\n");
    let mut gateway = Options::stdin(&broker)
        .mqtt("username = \"gateway\"")
        .environment("OMNIGATE_MQTT_PASSWORD", PASSWORD)
        .environment("OMNIGATE_MQTT_STOP_TOKEN", TOKEN)
        .start();
    gateway.wait_for_output("return code 5");
    gateway.signal("TERM");
    assert_eq!(gateway.wait().code(), Some(0));
    let mut search = search();
    search.add("the output", gateway.output());
    assert_eq!(search.found(), [""; 0]);
}

#[test]
fn not_in_what_is_said_of_mistakes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("omnigate.toml");
    let mut search = search();
    let id = "[gateway]\nid = \"g\"\n";
    for text in [
        format!("{id}[mqtt]\npassword = {PASSWORD}\n"),
        format!("{id}[mqtt]\npassword = [\"{PASSWORD}\"]\n"),
        format!("{id}[mqtt]\npassword = \"{PASSWORD}\n"),
        format!("{id}[mqtt]\npassword = \"{PASSWORD}\"\n"),
        format!("{id}[mqtt]\nusername = \"u\"\npassword = \"{PASSWORD}\"\nstop_token = {TOKEN}\n"),
        format!("{id}[mqtt]\npasword = \"{PASSWORD}\"\nstop_tokn = \"{TOKEN}\"\n"),
        format!("{id}[mqtt]\nurl = \"mqtt://gateway:{PASSWORD}@broker.example\"\n"),
        format!("{id}[mqtt]\nkeep_alive = \"{PASSWORD}\"\n"),
        format!("{id}[log]\nlevel = \"{PASSWORD}\"\n"),
        format!("{id}[{PASSWORD}]\n"),
        format!("[gateway]\nid = \"{PASSWORD}/{KEY}\"\n"),
    ] {
        fs::write(&file, &text).unwrap();
        for command in ["check-config", "run"] {
            let (code, said) = omnigate(&[command, "--config", file.to_str().unwrap()], "");
            assert!(matches!(code, Some(1 | 78)), "{code:?}: {said}");
            search.add(format!("{command} of {text:?}"), said);
        }
    }
    assert_eq!(search.found(), [""; 0]);
}

#[test]
fn not_in_what_other_commands_print() {
    let mut search = search();
    for arguments in [
        &["--help"][..],
        &["run", "--help"],
        &["decode", "--help"],
        &["simulate", "--help"],
        &["demo", "--help"],
        &["check-config", "--help"],
        &["check-config", "--config", "deploy/omnigate.toml"],
        &["decode"],
        &["decode", "--key", KEY],
        &["decode", "--key", HALF_A_KEY],
        &["decode", KEY, WRONG_KEY],
    ] {
        let lines = format!(
            "{COMPACT_2_06} {KEY}\n{COMPACT_2_06} {WRONG_KEY}\n{COMPACT_2_06} {HALF_A_KEY}\n{KEY} {KEY}\n{KEY}\n{HALF_A_KEY}\n"
        );
        let (_, said) = omnigate(arguments, &lines);
        search.add(format!("{arguments:?}"), said);
    }
    assert_eq!(search.found(), [""; 0]);
}

#[test]
fn not_in_debug_prints() {
    let text = format!(
        "[gateway]\nid = \"g\"\n[mqtt]\nusername = \"u\"\npassword = \"{PASSWORD}\"\nstop_token = \"{TOKEN}\"\n"
    );
    let settings = Settings::parse(&text, &Environment::default()).unwrap();
    let key: Key = KEY.parse().unwrap();
    let meter_key = MeterKey::from(&key);
    let decoder = Decoder::new(Some(meter_key.clone()));
    let set = SetMessage::parse(set_message().as_bytes(), &Limits::default()).unwrap();
    let broker: mqtt::Broker = settings.mqtt.broker();
    let mut search = search();
    search.add(
        "debug prints",
        format!("{settings:?} {settings:#?} {key:?} {meter_key:?} {decoder:?} {set:?} {broker:?} {broker:#?}"),
    );
    search.add("the error", format!("{:?}", HALF_A_KEY.parse::<Key>()));
    assert_eq!(search.found(), [""; 0]);
}

/// What the program says with secrets in its environment, and its exit code.
fn omnigate(arguments: &[&str], input: &str) -> (Option<i32>, String) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_omnigate"))
        .args(arguments)
        .env("OMNIGATE_MQTT_STOP_TOKEN", TOKEN)
        .env("OMNIGATE_KEY", WRONG_KEY)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may have ended without reading.
    let mut to = process.stdin.take().unwrap();
    to.write_all(input.as_bytes()).ok();
    drop(to);
    let output = process.wait_with_output().unwrap();
    let said = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy);
    (output.status.code(), said.concat())
}

/// All files below the folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .flat_map(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}
