use serde_json::Value;
use wmbus::compact::Layout;
use wmbus::telegram::Draft;
use wmbus::{AccessNumber, ell};

use super::*;

/// Telegrams of a real meter: a compact and a full one, captured, and what the meter showed.
const COMPACT: &str =
    "27442D2C5768663230028D202E21870320D3A4F149B1B8F5783DF7434B8A66A55786499ABE7BAB59";
const FULL: &str =
    "2D442D2C5768663230028D206461DD032038931D14B405536E0250592F8B908138D58602ECA676FF79E0CAF0B14D";
const KEY: &str = "9A25139E3244CC2E391A8EF6B915B697";
const OTHER_KEY: &str = "00112233445566778899AABBCCDDEEFF";

fn answers(key: Option<&str>, input: &str) -> (bool, String) {
    styled(Style::Values, key, input)
}

fn styled(style: Style, key: Option<&str>, input: &str) -> (bool, String) {
    let key = key.map(|digits| Key::new(digits).unwrap());
    let mut out = Vec::new();
    let good = decode(key, style, input.as_bytes(), &mut out).unwrap();
    (good, String::from_utf8(out).unwrap())
}

fn parsed(out: &str) -> Vec<Value> {
    out.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_telegram_becomes_one_object_with_exact_values() {
    let (good, out) = answers(None, &format!("{COMPACT} {KEY}\n"));
    assert!(good);
    assert_eq!(
        out,
        concat!(
            r#"{"id":"32666857","manufacturer":"KAM","version":48,"medium":2,"access_number":46,"security":"ELL AES-128-CTR","records":["#,
            r#"{"quantity":"energy","value":2060,"unit":"Wh","storage":0,"tariff":0,"subunit":0,"function":"instantaneous","qualifiers":[]},"#,
            r#"{"quantity":"energy","value":0,"unit":"Wh","storage":0,"tariff":0,"subunit":0,"function":"instantaneous","qualifiers":["backward"]},"#,
            r#"{"quantity":"power","value":3,"unit":"W","storage":0,"tariff":0,"subunit":0,"function":"instantaneous","qualifiers":[]},"#,
            r#"{"quantity":"power","value":0,"unit":"W","storage":0,"tariff":0,"subunit":0,"function":"instantaneous","qualifiers":["backward"]}],"#,
            r#""fields":{"energy_import":{"value":2060,"unit":"Wh"},"energy_export":{"value":0,"unit":"Wh"},"#,
            r#""power_import":{"value":3,"unit":"W"},"power_export":{"value":0,"unit":"W"}}}"#,
            "\n"
        )
    );
}

#[test]
fn every_line_is_answered_in_order_and_one_bad_one_makes_all_bad() {
    let input = format!(
        "{FULL} {KEY}\n\nhello\n{COMPACT}\n{COMPACT} {OTHER_KEY}\n{COMPACT} 12\n{COMPACT} {KEY} x\n{}\n{COMPACT} {KEY}",
        &COMPACT[..40]
    );
    let (good, out) = answers(None, &input);
    assert!(!good);
    let errors: Vec<_> = parsed(&out)
        .iter()
        .map(|answer| {
            format!(
                "{} {} {}",
                answer["layer"], answer["offset"], answer["error"]
            )
            .replace('"', "")
        })
        .collect();
    assert_eq!(
        errors,
        [
            "null null null",
            "line 0 no telegram",
            "line 0 character 1 of the telegram is no hexadecimal digit",
            "ell 17 encrypted, and no key is known",
            "ell 17 wrong key",
            "key 0 a key of 32 hexadecimal digits is needed, 2 characters were given",
            "line 0 more than a telegram and a key",
            "link 0 length 40 declared, 20 found",
            "null null null",
        ]
    );
}

#[test]
fn no_answer_holds_a_key() {
    let wrong = "9A25139E3244CC2E391A8EF6B915B69G";
    let input = format!(
        "{COMPACT} {wrong}\n{COMPACT} {KEY}{KEY}\n{COMPACT} {KEY} {KEY}\n{KEY} {KEY}\n{COMPACT} {OTHER_KEY}\n{COMPACT} {KEY}\n"
    );
    let (_, out) = answers(Some(KEY), &input);
    assert_eq!(out.lines().count(), 6);
    for secret in [KEY, OTHER_KEY, wrong] {
        assert!(
            !out.to_uppercase().contains(&secret.to_uppercase()),
            "{out}"
        );
    }
}

#[test]
fn a_key_for_all_lines_is_used_where_there_is_none() {
    let (good, out) = answers(
        Some(KEY),
        &format!("{COMPACT}\n{COMPACT} {OTHER_KEY}\n{FULL}\n"),
    );
    assert!(!good);
    let values: Vec<_> = parsed(&out)
        .iter()
        .map(|answer| answer["fields"]["energy_import"]["value"].to_string())
        .collect();
    assert_eq!(values, ["2060", "null", "2150"]);
}

#[test]
fn layouts_are_learned_per_meter_and_survive_a_wrong_key() {
    // Volume in litres, current and stored: a layout that no profile knows.
    let layout = Layout::from_headers(&[0x04, 0x13, 0x44, 0x13]).unwrap();
    let values: [&[u8]; 2] = [&[0x39, 0x30, 0, 0], &[1, 0, 0, 0]];
    let (full, compact) = (layout.full(&values), layout.compact(&values));
    let line = |meter: u8, ci: u8, payload: &[u8], key: &str| {
        let sender = Address::from_link([0x2D, 0x2C, meter, 0, 0, 0, 0xEE, 0x07]);
        let session = ell::SessionNumber::new(1000, 0);
        let header = ell::Header {
            communication_control: 0x20,
            access_number: AccessNumber(1),
            receiver: None,
            session,
        };
        let draft = Draft {
            ell: Some(header),
            ..Draft::new(sender, ci, payload)
        };
        let bytes = draft.encode(Some(&KEY.parse().unwrap())).unwrap();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        format!("{hex} {key}\n")
    };
    let input = [
        line(1, 0x79, &compact, KEY),
        line(1, 0x78, &full, KEY),
        line(1, 0x79, &compact, OTHER_KEY),
        line(1, 0x79, &compact, KEY),
        line(2, 0x79, &compact, KEY),
    ];
    let (_, out) = answers(None, &input.concat());
    let seen: Vec<_> = parsed(&out)
        .iter()
        .map(|answer| {
            format!("{} {}", answer["records"][0]["value"], answer["error"]).replace('"', "")
        })
        .collect();
    let unknown = format!(
        "null compact frame of unknown format {}",
        layout.signature()
    );
    assert_eq!(
        seen,
        [
            unknown.as_str(),
            "12.345 null",
            "null wrong key",
            "12.345 null",
            &unknown
        ]
    );
}

#[test]
fn an_endless_line_is_answered_and_the_next_one_too() {
    let (good, out) = answers(Some(KEY), &format!("{}\n{COMPACT}\n", "44".repeat(100_000)));
    assert!(!good);
    let answers = parsed(&out);
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0]["error"], "longer than 2048 bytes");
    assert_eq!(answers[1]["id"], "32666857");
}

#[test]
fn damaged_addresses_do_not_fill_the_memory() {
    let mut meters = Meters::default();
    for number in 0..1000 {
        let telegram = format!(
            "27442D2C{number:08}30028D202E21870320D3A4F149B1B8F5783DF7434B8A66A55786499ABE7BAB59 {KEY}"
        );
        let line = Line {
            number: 1,
            text: Some(telegram.into_bytes()),
        };
        assert!(meters.decode(&line).is_err());
    }
    assert!(meters.known.is_empty());
}

#[test]
fn an_explanation_has_every_byte_as_text_and_as_json() {
    let (good, out) = styled(Style::ExplainJson, Some(KEY), COMPACT);
    assert!(good);
    let explanation = &parsed(&out)[0];
    let parts = explanation["parts"].as_array().unwrap();
    let bytes: String = parts
        .iter()
        .map(|part| part["bytes"].as_str().unwrap())
        .collect();
    assert_eq!(bytes, COMPACT);
    let energy = parts.iter().find(|part| part["offset"] == 24).unwrap();
    assert_eq!(
        energy.to_string(),
        r#"{"bytes":"783DF743","decrypted":"CE000000","field":"data","layer":"apl","meaning":"energy","offset":24,"value":"2060 Wh"}"#
    );
    assert_eq!(explanation["decoded"]["fields"]["power_import"]["value"], 3);
    let (good, out) = styled(Style::ExplainText(Paint::Plain), Some(KEY), COMPACT);
    assert!(good && !out.contains('\x1b'));
    for line in [
        "  24  783DF743          CE000000          apl      data       energy: 2060 Wh",
        "      energy_import = 2060 Wh  Active energy drawn from the grid (A+).",
    ] {
        assert!(out.lines().any(|found| found == line), "{line} in\n{out}");
    }
}

#[test]
fn an_explanation_shows_how_far_a_bad_telegram_goes() {
    let damaged = &COMPACT[..40];
    let input = format!("{COMPACT} {OTHER_KEY}\n{damaged}\nhello\n");
    let (good, out) = styled(Style::ExplainJson, None, &input);
    assert!(!good);
    let ends: Vec<_> = parsed(&out)
        .iter()
        .map(|answer| {
            format!(
                "{} {} {}",
                answer["layer"], answer["offset"], answer["error"]
            )
            .replace('"', "")
        })
        .collect();
    assert_eq!(
        ends,
        [
            "ell 17 wrong key",
            "link 0 length 40 declared, 20 found",
            "line 0 character 1 of the telegram is no hexadecimal digit",
        ]
    );
    let (_, out) = styled(Style::ExplainText(Paint::Plain), None, &input);
    assert!(out.contains(
        "  17  D3A4F149B1B8F578  ell      payload    encrypted\n      3DF7434B8A66A557\n"
    ));
    assert!(out.contains("\nell, byte 17: wrong key\n\n"));
    assert!(
        out.contains(
            "   4  57686632          link     A          identification number: 32666857\n"
        )
    );
    assert!(out.contains("\nlink, byte 0: length 40 declared, 20 found\n\n"));
    assert!(!out.contains(OTHER_KEY));
    let (_, coloured) = styled(Style::ExplainText(Paint::Colours), Some(KEY), COMPACT);
    assert!(coloured.contains("\x1b[32mapl      data     \x1b[0m  energy: \x1b[1m2060 Wh\x1b[0m"));
}
