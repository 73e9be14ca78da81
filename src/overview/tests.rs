//! A gateway that does its work, for the tests of those who show it.

use super::*;

/// Two meters, and an actor that has failed once.
pub(crate) fn overview() -> Overview {
    let time = "2026-01-02T03:04:05.678Z".parse().unwrap();
    Overview {
        gateway: "706462169".to_owned(),
        version: "0.1.0".to_owned(),
        time,
        started: Some("2026-01-02T00:04:06Z".parse().unwrap()),
        troubles: Vec::new(),
        source: Source {
            state: "listening".to_owned(),
            detail: None,
            works: true,
            since: Some(time),
            path: Some("/dev/serial/by-id/usb-IMST_iM871A-if00".to_owned()),
            dongle: None,
            link_mode: Some("C1a".to_owned()),
            last_telegram: Some(time),
            recovery_steps: 0,
            unplugged: 0,
        },
        broker: Broker {
            url: "mqtt://localhost:1883".to_owned(),
            connected: true,
            away_since: None,
            published: 1234,
            lost: 0,
        },
        outbox: Outbox {
            waiting: 0,
            sent: 0,
            bytes: 0,
            oldest: None,
            dropped: 0,
            disk: None,
            failing_since: None,
        },
        actors: vec![Actor {
            name: "driver".to_owned(),
            state: "running".to_owned(),
            alive: true,
            restarts: 1,
            mail: 0,
            lost: 0,
            last_error: Some("panic: ouch".to_owned()),
            last_error_at: Some("2026-01-02T03:04:00Z".parse().unwrap()),
        }],
        meters: vec![meter("kam-1"), meter("kam-2")],
        unknown: Vec::new(),
        counters: Vec::new(),
    }
}

fn meter(name: &str) -> Meter {
    Meter {
        name: name.to_owned(),
        model: "OmniPower".to_owned(),
        condition: Condition::Reading,
        last_heard: Some("2026-01-02T03:04:05Z".parse().unwrap()),
        silent: false,
        interval: Some(16.0),
        rssi: Some(-71),
        readings: 1,
        refused: 0,
        read_at: None,
        values: vec![Value {
            channel: 1,
            name: "A+ / Active positive energy".to_owned(),
            value: "424788.78".to_owned(),
            unit: "kWh".to_owned(),
        }],
    }
}
