//! A file in the directory of profiles takes effect while the gateway runs, a broken one is told and changes nothing, a removed one gives
//! the embedded profile back; `omnigate profiles` and `check-config` say what is wrong.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::broker::Broker;
use crate::support::gateway::{GATEWAY, Options};
use crate::support::subscriber::Subscriber;
use crate::support::telegrams::{
    COMPACT_2_06, COMPACT_2_15, COMPACT_LATER, FULL_2_15, set_message,
};
use crate::support::wait_for;

/// OmniPower with one channel of another name.
const MINE: &str = r#"manufacturer = "KAM"
model = "OmniPower"
device_keys = ["OmniPower"]
match = [{ version = 0x30, type = 0x02 }]
compact_layouts = ["04 04  04 84 3C  04 2B  04 AB 3C"]
fields = [{ name = "energy", dif_vif = "04 04", unit = "Wh", info = "Energy." }]
channels = [{ number = 7, data_type = "accumulated-power", name = "Mine", field = "energy", unit = "Wh" }]
"#;

#[test]
fn a_changed_file_takes_effect_with_the_next_telegram() {
    let broker = Broker::start();
    let subscriber = Subscriber::connect(&broker);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("kam/omnipower.toml");
    std::fs::create_dir(file.parent().unwrap()).unwrap();
    let mut gateway = Options::stdin(&broker).profiles(directory.path()).start();
    subscriber.wait_for_state(GATEWAY, "online");
    gateway.wait_for_output("commands are heard");
    let [config, data] = ["config", "data"].map(|kind| format!("v2/{GATEWAY}/kam-32666857/{kind}"));
    let set = format!("v2/{GATEWAY}/sensors/set");
    subscriber.publish(&set, &set_message());
    assert_eq!(channels(&subscriber, &config, 1), 4);
    gateway.feed([COMPACT_2_06]);
    subscriber.wait_on(&data, 4);

    std::fs::write(&file, MINE).unwrap();
    gateway.wait_for_output("from_files: 1");
    gateway.feed([COMPACT_2_15]);
    assert_eq!(channels(&subscriber, &config, 2), 1);
    let last = subscriber.wait_on(&data, 5)[4].json();
    assert_eq!(last["channelNumber"], 7);
    assert_eq!(last["value"], 2150);

    // Broken: told with file, line and key; the one before stays.
    let broken = MINE.replace("name = \"Mine\"", "nom = \"Mine\"");
    std::fs::write(&file, &broken).unwrap();
    gateway.wait_for_output(&format!(
        "{}:7: channels.nom: unknown field",
        file.display()
    ));
    gateway.feed([FULL_2_15]);
    assert_eq!(subscriber.wait_on(&data, 6)[5].json()["channelNumber"], 7);
    for command in ["profiles", "check-config"] {
        let (code, said) = omnigate(&[command, "--config", &settings(gateway.folder())]);
        assert_eq!(code, Some(1), "{command}: {said}");
        assert!(
            said.contains(&format!("{}:7: channels.nom: ", file.display())),
            "{command}: {said}"
        );
    }

    std::fs::remove_file(&file).unwrap();
    gateway.wait_for_output("from_files: 0");
    gateway.feed([COMPACT_LATER]);
    assert_eq!(channels(&subscriber, &config, 3), 4);
    subscriber.wait_on(&data, 10);
    // Nothing was forgotten: what was heard before is known as a repetition.
    gateway.feed([COMPACT_2_06, COMPACT_2_15]);
    wait_for("all telegrams to be heard", || {
        let (_, said) = omnigate(&["meters", "--json", "--config", &settings(gateway.folder())]);
        said.contains("\"telegrams\": 6").then_some(())
    });
    assert_eq!(subscriber.on(&data).len(), 10);
    assert_eq!(subscriber.on(&config).len(), 3);
}

#[test]
fn all_profiles_are_listed_and_without_mistakes() {
    let (code, said) = omnigate(&["profiles", "wmbus/profiles", "--json"]);
    assert_eq!(code, Some(0), "{said}");
    let all: Value = serde_json::from_str(&said).unwrap();
    let replaced = |profile: &&Value| !profile["replaced_by"].is_null();
    let profiles = all["profiles"].as_array().unwrap();
    assert_eq!(profiles.iter().filter(replaced).count() * 2, profiles.len());
}

/// How many channels the `count`th message names.
fn channels(subscriber: &Subscriber, topic: &str, count: usize) -> usize {
    let message = subscriber.wait_on(topic, count)[count - 1].json();
    message["Channels"].as_array().unwrap().len()
}

fn settings(folder: &Path) -> String {
    folder.join("omnigate.toml").display().to_string()
}

fn omnigate(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_omnigate"))
        .args(arguments)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}
