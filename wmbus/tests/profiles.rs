//! The profiles in the crate: each is read strictly, sits where its content says, shares no meter with another, and
//! names its meters' values as it promises.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use wmbus::compact::Layout;
use wmbus::profile::MeterType;
use wmbus::telegram::Draft;
use wmbus::{Address, Decoder, IdentificationNumber, Profile, Profiles, Value};

fn profiles() -> impl Iterator<Item = (&'static str, Profile)> {
    Profiles::embedded_files().iter().map(|(path, text)| {
        let profile =
            Profile::parse(text).unwrap_or_else(|mistakes| panic!("profiles/{path}: {mistakes:?}"));
        (*path, profile)
    })
}

#[test]
fn every_file_is_embedded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles");
    let mut found = HashSet::new();
    for manufacturer in folders(&folder) {
        for file in folders(&manufacturer) {
            let path = file.strip_prefix(&folder).unwrap();
            found.insert(path.to_str().unwrap().to_owned());
        }
    }
    let embedded: HashSet<_> = Profiles::embedded_files()
        .iter()
        .map(|(path, _)| (*path).to_owned())
        .collect();
    assert_eq!(found, embedded);
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(path) else {
        return Vec::new();
    };
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn paths_say_what_is_inside() {
    for (path, profile) in profiles() {
        let model: String = profile
            .model
            .chars()
            .map(|letter| match letter.to_ascii_lowercase() {
                letter if letter.is_ascii_alphanumeric() => letter,
                _ => '_',
            })
            .collect();
        let folder = profile.manufacturer.to_string().to_ascii_lowercase();
        let model = model.strip_prefix(&format!("{folder}_")).unwrap_or(&model);
        assert_eq!(path, format!("{folder}/{model}.toml"));
    }
}

#[test]
fn no_two_are_for_one_meter() {
    let mut seen = HashMap::new();
    for (path, profile) in profiles() {
        assert!(!profile.meters.is_empty(), "{path}: for no meter");
        assert!(!profile.fields.is_empty(), "{path}: names nothing");
        for meter in profile.meters {
            let other = seen.insert(meter, path);
            assert_eq!(other, None, "{path}: {meter:?} twice");
        }
    }
}

#[test]
fn infos_are_sentences() {
    for (path, profile) in profiles() {
        for field in profile.fields {
            let first = field.info.chars().next().unwrap();
            assert!(
                first.is_uppercase() && field.info.ends_with('.'),
                "{path}: {}",
                field.info
            );
        }
        for quirk in profile.quirks {
            assert!(quirk.why.ends_with('.'), "{path}: {}", quirk.why);
        }
    }
}

#[test]
fn channels_are_numbered_from_one() {
    for (path, profile) in profiles() {
        let numbers: Vec<_> = profile
            .channels
            .iter()
            .map(|channel| channel.number)
            .collect();
        let expected: Vec<_> = (1..=numbers.len() as u32).collect();
        assert_eq!(numbers, expected, "{path}");
    }
}

// The signature stands behind each layout as a comment, for people; here it is checked.
#[test]
fn signatures_are_those_in_the_comments() {
    for (path, text) in Profiles::embedded_files() {
        let profile = Profile::parse(text).unwrap();
        let comments: Vec<_> = text
            .lines()
            .filter(|line| {
                line.contains("\" # ") || line.contains("\", # ") || line.contains("\"] # ")
            })
            .filter_map(|line| line.rsplit(' ').next())
            .map(str::to_owned)
            .collect();
        let signatures: Vec<_> = profile
            .layouts
            .iter()
            .map(|layout| layout.signature().to_string())
            .collect();
        assert_eq!(comments, signatures, "{path}");
    }
}

#[test]
fn every_layout_reads_what_it_writes() {
    for (path, profile) in profiles() {
        for layout in &profile.layouts {
            let values: Vec<_> = values(layout.headers());
            let values: Vec<_> = values.iter().map(|(_, value)| value.as_slice()).collect();
            let meter = profile.meters[0];
            let mut decoder = Decoder::new(None);
            let full = decoder.decode(&telegram(meter, 0x78, &layout.full(&values)));
            let compact = decoder.decode(&telegram(meter, 0x79, &layout.compact(&values)));
            assert_eq!(full.unwrap().records, compact.unwrap().records, "{path}");
        }
    }
}

// A telegram with the record of every field: each must come out under its name.
#[test]
fn every_field_is_found_under_its_name() {
    for (path, text) in Profiles::embedded_files() {
        let profile = Profile::parse(text).unwrap();
        for (field, header) in profile.fields.iter().zip(headers(text)) {
            let layout = Layout::from_headers(&header).unwrap();
            let value = &values(layout.headers())[0];
            for &meter in &profile.meters {
                let mut decoder = Decoder::new(None);
                let payload = layout.full(&[&value.1]);
                let Ok(reading) = decoder.decode(&telegram(meter, 0x78, &payload)) else {
                    panic!("{path}: {} cannot be read", field.name);
                };
                let fields = reading.fields(&profile);
                let found = fields.iter().find(|found| {
                    found.name == field.name || found.name == format!("{}_1", field.name)
                });
                let found = found.unwrap_or_else(|| panic!("{path}: {} is not found", field.name));
                assert_eq!(found.unit, field.unit, "{path}: {}", field.name);
                assert_ne!(found.value, Value::Absent, "{path}: {}", field.name);
            }
        }
    }
}

/// The headers of a file's fields, in order.
fn headers(text: &str) -> Vec<Vec<u8>> {
    text.lines()
        .filter_map(|line| line.split("dif_vif = \"").nth(1))
        .filter_map(|line| line.split('"').next())
        .map(|digits| {
            digits
                .split_ascii_whitespace()
                .map(|byte| u8::from_str_radix(byte, 16).unwrap())
                .collect()
        })
        .collect()
}

/// Each record's header with a valid value of the right length.
fn values(headers: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut values = Vec::new();
    let mut rest = headers;
    while !rest.is_empty() {
        let length = (2..=rest.len())
            .find(|&length| Layout::from_headers(&rest[..length]).is_ok())
            .unwrap();
        let (header, next) = rest.split_at(length);
        // 2021-01-01 00:00:00 of types F, G and I, and small numbers.
        let value: &[u8] = match header[0] & 0x0F {
            0x1 | 0x9 => &[0x01],
            0x2 | 0xA => &[0xA1, 0x21],
            0x3 | 0xB => &[0x01, 0x01, 0x01],
            0x4 | 0xC => &[0x00, 0x00, 0xA1, 0x21],
            0x5 => &[0x00, 0x00, 0xC0, 0x3F],
            0x6 | 0xE => &[0x00, 0x00, 0x00, 0x21, 0x11, 0x00],
            0x7 => &[0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00],
            0xD => b"\x02ba",
            other => panic!("data field {other:X}"),
        };
        let digits = matches!(header[0] & 0x0F, 0xA | 0xC);
        let value = if digits {
            vec![0x11; value.len()]
        } else {
            value.to_vec()
        };
        values.push((header.to_vec(), value));
        rest = next;
    }
    values
}

fn telegram(meter: MeterType, ci: u8, payload: &[u8]) -> Vec<u8> {
    let address = Address {
        manufacturer: meter.manufacturer,
        identification: IdentificationNumber(0x1234_5678),
        version: meter.version,
        medium: meter.medium,
    };
    Draft::new(address, ci, payload).encode(None).unwrap()
}

// What contributors are shown is right.
#[test]
fn the_example_in_the_readme_is_a_profile() {
    let readme = include_str!("../profiles/README.md");
    let example = readme.split("```toml\n").nth(1).unwrap();
    let example = example.split("```").next().unwrap();
    let shown = Profile::parse(example).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let profiles = Profiles::embedded();
    let embedded = profiles.find(shown.meters[0]).unwrap();
    assert_eq!(shown.layouts.len(), embedded.layouts.len());
    // Each key has a row in the table.
    for key in [
        "manufacturer",
        "model",
        "device_keys",
        "match",
        "compact_layouts",
        "fields",
        "channels",
        "quirks",
        "vectors",
    ] {
        assert!(readme.contains(&format!("| `{key}` |")), "{key}");
        assert!(example.contains(&format!("{key} = ")), "{key}");
    }
}

/// Profiles of meters without a register that the interface could carry, and why.
const WITHOUT_CHANNELS: [(&str, &str); 8] = [
    (
        "eie/ei6500_oms.toml",
        "a smoke alarm counts events, and measures nothing but its battery",
    ),
    (
        "las/lan_wmbus_g2_dw.toml",
        "a door and window sensor: a state",
    ),
    ("las/lan_wmbus_rp.toml", "a repeater"),
    ("las/lan_wmbus_sm.toml", "a smoke alarm: a state"),
    (
        "lse/whe26.toml",
        "its telegram has the consumption at earlier days only, not the present one",
    ),
    ("tch/tsd2.toml", "a smoke alarm: a state"),
    (
        "tch/vario_4.toml",
        "its telegram has the energy on the due date only, not the present one",
    ),
    (
        "weh/mk_radio_4a.toml",
        "its telegram has the volume on the due date only, not the present one",
    ),
];

#[test]
fn profiles_have_channels_unless_there_is_a_reason() {
    let without: Vec<_> = profiles()
        .filter(|(_, profile)| profile.channels.is_empty())
        .map(|(path, _)| path)
        .collect();
    assert_eq!(without, WITHOUT_CHANNELS.map(|(path, _)| path));
}

/// A profile without mistakes.
const GOOD: &str = r#"manufacturer = "ABC"
model = "One"
match = [{ version = 1, type = 2 }]
fields = [
    { name = "energy", dif_vif = "04 04", unit = "Wh", info = "Energy." },
]
channels = [
    { number = 1, data_type = "accumulated-power", name = "Energy", field = "energy", unit = "kWh" },
]
"#;

fn mistakes(text: &str) -> Vec<String> {
    match Profile::parse(text) {
        Ok(_) => Vec::new(),
        Err(mistakes) => mistakes.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn every_mistake_is_told_with_its_line_and_key() {
    assert_eq!(mistakes(GOOD), [""; 0]);
    let text = r#"manufacturer = "ABCD"
model = " "
colour = "red"
device_keys = ["", 7]
match = [{ version = 256, type = 2 }, { version = 1 }]
compact_layouts = ["zz", "04 04 04"]
fields = [
    { name = "Energy", dif_vif = "04 04", unit = "Wh", info = "Energy." },
    { name = "energy", dif_vif = "04 04", unit = "l", info = "Energy." },
    { name = "volume", dif_vif = "04 13 04", unit = "m³", info = "Volume.", size = 3, weight = 4 },
    { name = "flow", dif_vif = "04 3B", unit = "furlong", info = "Flow." },
    { name = "power", dif_vif = "04 2B", unit = "W", info = " ", count = 1 },
]
channels = [
    { number = 0, data_type = "power", name = "P", field = "power", unit = "W" },
]
quirks = [{ flag = "unsigned", why = "" }, { flag = "loud", why = "It is." }]
"#;
    let found = mistakes(text);
    for expected in [
        "1: manufacturer: a manufacturer is three letters",
        "2: model: a model needs a name",
        "3: colour: unknown key",
        "4: device_keys: a device key needs a name",
        "4: device_keys: invalid type",
        "5: match.version: invalid value",
        "5: match: missing field `type`",
        "6: compact_layouts: these are no bytes in hexadecimal",
        "8: fields.name: a name is snake_case",
        "9: fields.dif_vif: no power of ten",
        "10: fields.size: unknown field",
        "10: fields.weight: unknown field",
        "11: fields.unit: unknown variant",
        "12: fields.info: say what the value means",
        "15: channels.number: channels count from 1",
        "17: quirks.why: a quirk needs its reason",
        "17: quirks.flag: unknown variant",
    ] {
        assert!(
            found.iter().any(|mistake| mistake.starts_with(expected)),
            "{expected} is not in {found:#?}"
        );
    }
}

#[test]
fn what_contradicts_itself_is_told() {
    let with = |from: &str, to: &str| mistakes(&GOOD.replace(from, to));
    assert_eq!(
        with("field = \"energy\"", "field = \"volume\""),
        ["8: channels.field: there is no such field"]
    );
    assert_eq!(
        with("unit = \"kWh\"", "unit = \"W\""),
        ["8: channels.field: no power of ten leads to the channel's unit"]
    );
    assert_eq!(
        with(
            "]\nchannels",
            "    { name = \"energy\", dif_vif = \"04 03\", unit = \"kWh\", info = \"Twice.\" },\n]\nchannels"
        ),
        ["6: fields.name: two fields have this name"]
    );
    assert_eq!(
        with("type = 2 }", "type = 2 }, { version = 1, type = 2 }"),
        ["3: match: this meter stands here twice"]
    );
    assert_eq!(
        with("[{ version = 1, type = 2 }]", "[]"),
        ["1: match: it is for no meter"]
    );
    assert_eq!(with("model = \"One\"\n", ""), ["model: is missing"]);
}

// What is not TOML is told line by line; what else is right is not told to be missing.
#[test]
fn broken_toml_is_told_by_its_lines() {
    let found = mistakes(&GOOD.replace("model = \"One\"", "model = "));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("2: "), "{found:?}");
    // The first half of a file that is being written.
    for length in 0..GOOD.len() - 1 {
        if let Ok(profile) = Profile::parse(&GOOD[..length]) {
            // Its end is missing, and nothing tells.
            assert!(profile.fields.is_empty() || profile.channels.is_empty());
        }
    }
}

// However a file is built, reading it takes no longer than a moment and no more memory than a small multiple of it.
#[test]
fn hostile_files_are_refused_in_time() {
    let started = std::time::Instant::now();
    let many = |line: &str| line.repeat(LARGEST / line.len());
    for text in [
        format!("model = {}", "[".repeat(LARGEST)),
        format!("model = {}", "{a=".repeat(LARGEST / 3)),
        "a.".repeat(LARGEST / 2) + "a = 1",
        many("a = \n"),
        many("[a]\n"),
        many("[[fields]]\n"),
        format!("fields = [{}]", many("{},")),
        format!("compact_layouts = [\"{}\"]", many("04 ")),
        GOOD.replace("04 04", &many("84 ")),
        (0..LARGEST / 16).map(|n| format!("k{n} = {n}\n")).collect(),
        format!(
            "{}fields = [{}]",
            GOOD.split("fields").next().unwrap(),
            (0..LARGEST / 64)
                .map(|n| format!("{{name=\"n{n}\",dif_vif=\"0404\",unit=\"Wh\",info=\"I\"}},\n"))
                .collect::<String>()
        ),
    ] {
        if let Err(mistakes) = Profile::parse(&text) {
            assert!(mistakes.len() <= 100);
        }
    }
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}

/// As large as a file may be. Bytes.
const LARGEST: usize = 256 << 10;
