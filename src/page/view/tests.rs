//! What is on the page.

use super::*;
use crate::overview::tests::overview;
use crate::overview::{Condition, Unknown, Value};

fn versions(overview: &Overview) -> Vec<(String, u64)> {
    parts(overview)
        .into_iter()
        .map(|part| (part.id.to_string(), part.version))
        .collect()
}

#[test]
fn every_part_is_on_the_page_as_it_is_sent_later() {
    let mut overview = overview();
    overview.troubles.push(Trouble {
        part: "broker".to_owned(),
        what: "no connection".to_owned(),
        since: Some(overview.time),
    });
    let document = document(&overview).into_string();
    let parts = parts(&overview);
    assert_eq!(parts.len(), 9);
    for part in parts {
        assert!(document.contains(&part.html), "{}", part.id);
        assert!(part.html.contains(&format!("id=\"{}\"", part.id)));
    }
}

#[test]
fn only_what_has_changed_gets_another_version() {
    let before = overview();
    let mut after = overview();
    after.time = "2026-01-02T03:04:59Z".parse().unwrap();
    assert_eq!(versions(&before), versions(&after));
    after.meters[1].values[0].value = "424788.79".to_owned();
    let changed: Vec<_> = versions(&before)
        .into_iter()
        .zip(versions(&after))
        .filter(|(before, after)| before != after)
        .map(|(before, _)| before.0)
        .collect();
    assert_eq!(changed, ["meter-kam-2"]);
}

#[test]
fn a_silent_meter_does_not_look_alive() {
    let mut overview = overview();
    let alive = document(&overview).into_string();
    assert!(alive.contains("2 of 2 give readings") && !alive.contains("silent"));
    assert!(alive.contains("every 16 s"));
    overview.meters[0].silent = true;
    let document = document(&overview).into_string();
    assert!(document.contains("1 of 2 give readings"), "{document}");
    let row = row_of(&document, "meter-kam-1");
    assert!(row.contains("silent") && row.contains("dot bad"), "{row}");
    assert!(row_of(&document, "meter-kam-2").contains("dot good"));
}

fn row_of<'a>(document: &'a str, id: &str) -> &'a str {
    let (_, from) = document.split_once(&format!("id=\"{id}\"")).unwrap();
    from.split_once("</tr>").unwrap().0
}

#[test]
fn nothing_from_outside_becomes_html() {
    let evil = "<script>\"'&".to_owned();
    let mut overview = overview();
    overview.gateway.clone_from(&evil);
    overview.source.state.clone_from(&evil);
    overview.source.detail = Some(evil.clone());
    overview.source.path = Some(evil.clone());
    overview.broker.url.clone_from(&evil);
    let meter = &mut overview.meters[0];
    meter.name.clone_from(&evil);
    meter.model.clone_from(&evil);
    meter.condition = Condition::Refused(evil.clone());
    meter.values[0] = Value {
        channel: 1,
        name: evil.clone(),
        value: evil.clone(),
        unit: evil.clone(),
    };
    overview.unknown.push(Unknown {
        manufacturer: evil.clone(),
        id: evil.clone(),
        version: 1,
        medium: evil.clone(),
        telegrams: 1,
        last_heard: Some(overview.time),
        rssi: None,
    });
    overview.troubles.push(Trouble {
        part: evil.clone(),
        what: evil.clone(),
        since: None,
    });
    overview.actors.push(Actor {
        name: evil.clone(),
        state: evil.clone(),
        alive: false,
        restarts: 1,
        mail: 0,
        lost: 0,
        last_error: Some(evil),
        last_error_at: None,
    });
    let document = document(&overview).into_string();
    assert!(!document.contains("<script>"), "{document}");
    assert!(!document.contains("\"'&"), "{document}");
    assert_eq!(document.matches("&lt;script&gt;").count(), 22, "{document}");
}

#[test]
fn numbers_are_grouped() {
    for (number, shown) in [
        ("0", "0"),
        ("999", "999"),
        ("1000", "1\u{202f}000"),
        ("-1234567.125", "\u{2212}1\u{202f}234\u{202f}567.125"),
    ] {
        assert_eq!(grouped(number), shown);
    }
}
