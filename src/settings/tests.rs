//! All settings together: contradictions, secrets, and the documented example.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::de::{DeserializeOwned, Deserializer, Visitor};

use super::*;

const DOCUMENTED: &str = include_str!("../../deploy/omnigate.toml");

fn parse(text: &str) -> Result<Settings, Vec<String>> {
    parse_with(text, &Environment::default())
}

fn parse_with(text: &str, environment: &Environment) -> Result<Settings, Vec<String>> {
    Settings::parse(text, environment)
        .map_err(|mistakes| mistakes.iter().map(Mistake::to_string).collect())
}

fn mistakes(text: &str) -> Vec<String> {
    parse(text).expect_err("mistakes")
}

#[test]
fn little_is_enough() {
    let settings = parse("[gateway]\nid = '706462169'\n").unwrap();
    assert_eq!(
        settings.gateway.id.topics().set(),
        "v2/706462169/sensors/set"
    );
    assert_eq!(settings.mqtt.url.to_string(), "mqtt://localhost:1883");
    assert!(settings.log.syslog);
    assert_eq!(
        settings.mqtt.set_limits(),
        omnigate_actors::set_message::Limits::default()
    );
    assert_eq!(
        settings.mqtt.set_pace(),
        omnigate_actors::commander::Pace::default()
    );
}

#[test]
fn all_mistakes_of_all_sections_are_found_at_once() {
    let text = "
        [gateway]
        id = 'a/b'
        [driver]
        source = 'im871b'
        link_mode = 'c3'
        [mqtt]
        url = 'mqtt://me:s3cret@broker'
        pasword = 's3cret'
        password = 12345
        [log]
        level = 'loud'
    ";
    let found = mistakes(text);
    let keys: Vec<_> = found
        .iter()
        .map(|line| line.split(": ").take(2).collect::<Vec<_>>().join(" "))
        .collect();
    let expected = [
        "3 gateway.id",
        "5 driver.source",
        "6 driver.link_mode",
        "8 mqtt.url",
        "9 mqtt.pasword",
        "10 mqtt.password",
        "12 log.level",
    ];
    assert_eq!(keys, expected, "{found:#?}");
    assert!(
        !found
            .iter()
            .any(|line| line.contains("s3cret") || line.contains("12345")),
        "{found:#?}"
    );
}

#[test]
fn contradictions_are_found() {
    let id = "[gateway]\nid = 'g'\n";
    for (text, expected) in [
        (
            "[driver]\nsource = 'file'",
            "driver.path: source = \"file\" needs the path of the file",
        ),
        (
            "[driver]\nsource = 'fifo'\npath = 'auto'",
            "5: driver.path: source = \"fifo\" needs the path of the FIFO",
        ),
        (
            "[driver]\nsource = 'stdin'\npath = 'x'",
            "5: driver.path: source = \"stdin\" has no path",
        ),
        (
            "[driver]\nsource = 'stdin'\nlink_mode = 't1'",
            "5: driver.link_mode: only source = \"im871a\" has a link mode",
        ),
        (
            "[mqtt]\npassword = 'p'",
            "mqtt.username: is missing: MQTT has no password without one",
        ),
        ("[mqtt]\nusername = ''", "4: mqtt.username: is empty"),
        (
            "[mqtt]\nstop_token = 'a'\nstop_token_file = '/dev/null'",
            "5: mqtt.stop_token_file: stop_token is given too: only one of the two can be",
        ),
        (
            "[mqtt]\nca_file = '/dev/null'",
            "4: mqtt.ca_file: mqtt://localhost:1883 is not encrypted: it needs mqtts://",
        ),
        (
            "[mqtt]\nurl='mqtts://b'\nca_file = '/nowhere'",
            "5: mqtt.ca_file: cannot be read: No such file or directory (os error 2)",
        ),
        (
            "[recalc]\nenabled = false",
            "4: recalc.enabled: nothing would be published: recalc or state must be enabled",
        ),
        (
            "[home_assistant]\nenabled = true",
            "4: home_assistant.enabled: Home Assistant would find no values: state must be enabled too",
        ),
    ] {
        let found = mistakes(&format!("{id}{text}\n"));
        assert!(
            found.iter().any(|mistake| mistake == expected),
            "{text}: {found:?}"
        );
    }
}

#[test]
fn a_refused_key_contradicts_nothing() {
    assert_eq!(
        mistakes("[gateway]\nid = 'g'\n[driver]\nsource = 'file'\npath = 7\n").len(),
        1
    );
    assert_eq!(
        mistakes("[gateway]\nid = 'g'\n[mqtt]\nurl = 'mqts://b'\nca_file = '/dev/null'\n").len(),
        1
    );
}

#[test]
fn secrets_come_from_the_first_place_that_has_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "from file\n").unwrap();
    let in_file =
        format!("[gateway]\nid = 'g'\n[mqtt]\nusername = 'u'\npassword_file = {file:?}\n");
    let password = |text: &str, environment: &Environment| {
        parse_with(text, environment)
            .unwrap()
            .mqtt
            .password
            .map(|password| password.expose().to_owned())
    };
    let credentials = tempfile::tempdir().unwrap();
    let nothing = Environment::new(
        [("OMNIGATE_MQTT_PASSWORD", "")],
        Some(credentials.path().to_owned()),
    );
    assert_eq!(
        password("[gateway]\nid = 'g'\n[mqtt]\nusername = 'u'", &nothing),
        None
    );
    assert_eq!(password(&in_file, &nothing).as_deref(), Some("from file"));
    std::fs::write(credentials.path().join("mqtt_password"), "from credential").unwrap();
    assert_eq!(
        password(&in_file, &nothing).as_deref(),
        Some("from credential")
    );
    let all = Environment::new(
        [("OMNIGATE_MQTT_PASSWORD", "from environment")],
        Some(credentials.path().to_owned()),
    );
    assert_eq!(
        password(&in_file, &all).as_deref(),
        Some("from environment")
    );
    let inline = "[gateway]\nid = 'g'\n[mqtt]\nusername = 'u'\npassword = 'inline'\n";
    assert_eq!(
        password(inline, &Environment::default()).as_deref(),
        Some("inline")
    );
    let token = Environment::new([("OMNIGATE_MQTT_STOP_TOKEN", "halt")], None);
    assert!(
        parse_with(inline, &token)
            .unwrap()
            .mqtt
            .stop_token
            .unwrap()
            .matches(b"halt")
    );
}

#[test]
fn a_secret_that_cannot_be_read_is_a_mistake() {
    let text = "[gateway]\nid = 'g'\n[mqtt]\nusername = 'u'\npassword_file = '/nowhere'\nstop_token_file = '/dev/null'\n";
    assert_eq!(
        mistakes(text),
        [
            "5: mqtt.password_file: cannot be read: No such file or directory (os error 2)",
            "6: mqtt.stop_token_file: the file is empty",
        ]
    );
}

#[test]
fn settings_print_no_secret() {
    let text = "[gateway]\nid = 'g'\n[mqtt]\nusername = 'u'\npassword = 'hunter2-Ab'\nstop_token = 'token-Xyz'\n";
    let printed = format!("{:?} {:#?}", parse(text).unwrap(), parse(text).unwrap());
    for secret in ["hunter2-Ab", "token-Xyz"] {
        let bytes = secret.as_bytes();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        for form in [
            secret.to_owned(),
            hex.clone(),
            hex.to_uppercase(),
            format!("{bytes:?}"),
            base64(bytes),
        ] {
            assert!(!printed.contains(&form), "{form}");
        }
    }
    assert!(printed.contains("redacted"));
}

#[test]
fn a_file_that_is_not_there_is_said() {
    let error = Settings::load(
        &PathBuf::from("/nowhere/omnigate.toml"),
        &Environment::default(),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "/nowhere/omnigate.toml: cannot be read: No such file or directory (os error 2)"
    );
}

#[test]
fn every_mistake_has_a_line_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("omnigate.toml");
    std::fs::write(&file, "[gateway]\nidd = 'g'\n").unwrap();
    let error = Settings::load(&file, &Environment::default())
        .unwrap_err()
        .to_string();
    let name = file.display();
    assert_eq!(
        error,
        format!(
            "{name}: gateway.id: is missing\n{name}:2: gateway.idd: unknown field `idd`, expected `id` or `state_dir`"
        )
    );
}

/// The documented example as it is installed.
#[test]
fn the_documented_example_is_right() {
    parse(DOCUMENTED).unwrap();
}

/// Every key of the structs is documented, and every documented key exists.
#[test]
fn exactly_the_keys_that_exist_are_documented() {
    let existing: BTreeMap<&str, BTreeSet<&str>> = [
        ("gateway", fields::<Gateway>()),
        ("driver", fields::<Driver>()),
        ("mqtt", fields::<Mqtt>()),
        ("outbox", fields::<Outbox>()),
        ("page", fields::<Page>()),
        ("profiles", fields::<Profiles>()),
        ("recalc", fields::<ReCalc>()),
        ("state", fields::<State>()),
        ("home_assistant", fields::<HomeAssistant>()),
        ("log", fields::<Log>()),
    ]
    .into();
    let mut documented = BTreeMap::<&str, BTreeSet<&str>>::new();
    for key in documented_keys() {
        assert!(
            documented.entry(key.section).or_default().insert(key.name),
            "{} twice",
            key.name
        );
    }
    assert_eq!(documented, existing);
}

/// What stands behind "Default:" and behind the '#' is what a key that is left out has.
#[test]
fn documented_defaults_are_the_defaults() {
    for key in documented_keys() {
        let Some((_, default)) = key.comment.rsplit_once("Default: ") else {
            assert!(
                key.comment.contains("Must be given"),
                "{}: no default",
                key.name
            );
            continue;
        };
        let written = key.value;
        if default == format!("{written}.") {
            let with = format!(
                "{}[{}]\n{} = {written}\n",
                other_sections(key.section),
                key.section,
                key.name
            );
            let without = format!("{}[{}]\n", other_sections(key.section), key.section);
            let id = if key.section == "gateway" {
                "id = 'g'\n"
            } else {
                ""
            };
            // All but which keys were written.
            let shown = |text: &str| {
                let settings = format!("{:?}", parse(&format!("{text}{id}")).unwrap());
                let (values, _) = settings.split_once(", written: ").unwrap();
                values.to_owned()
            };
            assert_eq!(shown(&with), shown(&without), "{}", key.name);
        } else {
            let described = ["none", "those that the system trusts"]
                .iter()
                .any(|words| default.starts_with(words));
            assert!(
                described,
                "{}: default {default:?}, but the example has {written}",
                key.name
            );
        }
    }
}

/// Where a comment says "Seconds, 5 to 3600", exactly the numbers from 5 to 3600 are accepted.
#[test]
fn documented_ranges_are_the_ranges() {
    for key in documented_keys() {
        let Some((low, high)) = key.comment.split(". ").find_map(number_range) else {
            assert!(
                key.value.parse::<u64>().is_err(),
                "{}: a number without a range",
                key.name
            );
            continue;
        };
        let accepts = |number: u64| {
            let id = if key.section == "gateway" {
                "id = 'g'\n"
            } else {
                ""
            };
            parse(&format!(
                "{}[{}]\n{id}{} = {number}\n",
                other_sections(key.section),
                key.section,
                key.name
            ))
            .is_ok()
        };
        assert!(
            accepts(low) && accepts(high),
            "{}: {low} or {high} is refused",
            key.name
        );
        assert!(
            low == 0 || !accepts(low - 1),
            "{}: {} is accepted",
            key.name,
            low - 1
        );
        assert!(!accepts(high + 1), "{}: {} is accepted", key.name, high + 1);
    }
}

struct DocumentedKey {
    section: &'static str,
    name: &'static str,
    value: &'static str,
    /// The comment above it, in one line.
    comment: String,
}

/// Every `key = value` of the documented example, behind a '#' or not, with its comment.
fn documented_keys() -> Vec<DocumentedKey> {
    let (mut section, mut comment, mut keys) = ("", Vec::new(), Vec::new());
    for line in DOCUMENTED.lines() {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            section = name;
        } else if let Some(text) = line.strip_prefix("# ") {
            comment.push(text);
        } else if let Some((name, value)) = line.trim_start_matches('#').split_once(" = ") {
            assert!(!comment.is_empty(), "{name} is not documented");
            keys.push(DocumentedKey {
                section,
                name,
                value,
                comment: comment.join(" "),
            });
            comment.clear();
        } else {
            comment.clear();
        }
    }
    keys
}

fn other_sections(section: &str) -> &'static str {
    if section == "gateway" {
        ""
    } else {
        "[gateway]\nid = 'g'\n"
    }
}

/// `Seconds, 5 to 3600` and the like: a unit, a comma, and a range that ends the sentence.
fn number_range(sentence: &str) -> Option<(u64, u64)> {
    let (_, range) = sentence.trim_end_matches('.').rsplit_once(", ")?;
    let (low, high) = range.split_once(" to ")?;
    Some((low.parse().ok()?, high.parse().ok()?))
}

/// The names of a struct's fields, as its `Deserialize` asks for them.
fn fields<T: DeserializeOwned>() -> BTreeSet<&'static str> {
    struct Asked<'a>(&'a mut BTreeSet<&'static str>);

    impl<'de> Deserializer<'de> for Asked<'_> {
        type Error = serde::de::value::Error;

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
            Err(serde::de::Error::custom("not a struct"))
        }

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, Self::Error> {
            self.0.extend(fields);
            Err(serde::de::Error::custom("that was all"))
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct seq tuple
            tuple_struct map enum identifier ignored_any
        }
    }

    let mut names = BTreeSet::new();
    assert!(T::deserialize(Asked(&mut names)).is_err());
    names
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |bits: u32| char::from(DIGITS[bits as usize & 63]);
    // Whole groups only: enough to recognise a secret by.
    bytes
        .chunks_exact(3)
        .flat_map(|group| {
            let bits = u32::from(group[0]) << 16 | u32::from(group[1]) << 8 | u32::from(group[2]);
            [
                digit(bits >> 18),
                digit(bits >> 12),
                digit(bits >> 6),
                digit(bits),
            ]
        })
        .collect()
}
