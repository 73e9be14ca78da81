//! `omnigate meters`: the meters that the running gateway hears, monitored or not, as a table or as JSON.

use std::io::{self, Write};

use jiff::Timestamp;
use serde_json::Value;

use crate::overview::ago;
use crate::table::Table;

/// Writes the gateway's answer as it is: a JSON list.
///
/// # Errors
/// Those of `out`.
pub fn write_json(meters: &Value, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, meters)?;
    writeln!(out)
}

/// Writes the gateway's answer as a table.
///
/// # Errors
/// Those of `out`.
pub fn write_table(meters: &Value, now: Timestamp, out: &mut impl Write) -> io::Result<()> {
    let mut table = Table::new([
        "meter",
        "model",
        " version",
        "medium",
        "encryption",
        " interval",
        " RSSI",
        " telegrams",
        "last heard",
        "state",
    ]);
    for meter in meters.as_array().into_iter().flatten() {
        table.add(row(meter, now));
    }
    if table.is_empty() {
        return writeln!(out, "no meter is monitored, and none was heard");
    }
    table.write(out)
}

fn row(meter: &Value, now: Timestamp) -> [String; 10] {
    let text = |key: &str| {
        meter
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or("-")
            .to_owned()
    };
    let number = |key: &str, unit: &str| match meter.get(key) {
        Some(Value::Number(number)) => format!("{number}{unit}"),
        _ => "-".to_owned(),
    };
    let last_heard = meter
        .get("last_heard")
        .and_then(Value::as_str)
        .and_then(|time| time.parse::<Timestamp>().ok());
    [
        format!("{}-{}", text("manufacturer"), text("id")),
        text("model"),
        number("version", ""),
        match meter.get("medium_name") {
            Some(_) => text("medium_name"),
            None => number("medium", ""),
        },
        text("encryption"),
        meter
            .get("interval")
            .and_then(Value::as_f64)
            .map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.0} s")),
        number("rssi", " dBm"),
        number("telegrams", ""),
        last_heard.map_or_else(|| "-".to_owned(), |time| ago(now.duration_since(time))),
        match meter.get("state") {
            Some(_) => text("state"),
            None => "not monitored".to_owned(),
        },
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn table(meters: &Value) -> String {
        let mut out = Vec::new();
        write_table(meters, "2026-01-02T03:04:05Z".parse().unwrap(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn shows_what_is_known_of_each() {
        let meters = json!([
            {"id": "00000001", "manufacturer": "KAM", "monitored": "kam-1", "state": "unheard"},
            {"id": "12345678", "manufacturer": "ABC", "version": 5, "medium": 99, "encryption": "none", "telegrams": 1,
                "last_heard": "2026-01-02T03:00:00Z"},
            {"id": "32666857", "manufacturer": "KAM", "monitored": "kam-32666857", "state": "key rejected", "model": "OmniPower",
                "version": 48, "medium": 2, "medium_name": "electricity", "encryption": "ELL AES-128-CTR", "interval": 16.02,
                "rssi": -71, "telegrams": 2, "last_heard": "2026-01-02T03:04:04Z"},
        ]);
        assert_eq!(
            table(&meters),
            "\
meter         model      version  medium       encryption       interval     RSSI  telegrams  last heard  state
KAM-00000001  -                -  -            -                       -        -          -  -           unheard
ABC-12345678  -                5  99           none                    -        -          1  4 min ago   not monitored
KAM-32666857  OmniPower       48  electricity  ELL AES-128-CTR      16 s  -71 dBm          2  1 s ago     key rejected
"
        );
    }

    #[test]
    fn says_that_there_is_none() {
        assert_eq!(
            table(&json!([])),
            "no meter is monitored, and none was heard\n"
        );
    }
}
