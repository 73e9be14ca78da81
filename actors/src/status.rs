//! The status object: how the gateway is, for the retained topic `status`.
//!
//! Whoever has something to tell adds a section to the [`StatusBoard`]; the Publisher renders it when it changed and at an interval.
//! No section may hold a secret.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use crate::clock;

/// Where the parts of the status come together. Shared by all.
pub struct StatusBoard {
    sections: Mutex<Vec<(&'static str, Section)>>,
    changes: watch::Sender<u64>,
    started: Timestamp,
    since: Instant,
}

type Section = Box<dyn Fn() -> Value + Send>;

impl StatusBoard {
    /// A board without sections. The program has `started` then, as [`clock::of_reception`] tells it.
    pub fn new(started: Timestamp) -> Self {
        Self {
            sections: Mutex::default(),
            changes: watch::Sender::new(0),
            started,
            since: Instant::now(),
        }
    }

    /// Adds a section. `section` is called for each status, from any thread, and returns at once. A later one of the same name takes an
    /// earlier one's place.
    pub fn add(&self, name: &'static str, section: impl Fn() -> Value + Send + 'static) {
        let mut sections = self.sections();
        sections.retain(|(other, _)| *other != name);
        sections.push((name, Box::new(section)));
    }

    /// Something worth telling before the interval is over has changed.
    pub fn touch(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Tells of [`StatusBoard::touch`].
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The status of a gateway that runs; `now` as [`clock::of_reception`] tells it.
    pub fn online(&self, now: Timestamp) -> String {
        let mut status = self.head("online", now);
        status.insert(
            "started".to_owned(),
            json!(clock::known(self.started).map(|at| at.to_string())),
        );
        status.insert(
            "uptime_seconds".to_owned(),
            json!(self.since.elapsed().as_secs()),
        );
        for (name, section) in self.sections().iter() {
            status.insert((*name).to_owned(), section());
        }
        Value::Object(status).to_string()
    }

    /// The status of a gateway that says goodbye.
    pub fn offline(&self, now: Timestamp) -> String {
        let mut status = self.head("offline", now);
        status.insert("reason".to_owned(), json!("stopped"));
        Value::Object(status).to_string()
    }

    fn head(&self, state: &str, now: Timestamp) -> Map<String, Value> {
        let mut head = Map::new();
        head.insert("state".to_owned(), json!(state));
        head.insert(
            "time".to_owned(),
            json!(clock::known(now).map(|now| now.to_string())),
        );
        head.insert("version".to_owned(), json!(env!("CARGO_PKG_VERSION")));
        head
    }

    fn sections(&self) -> MutexGuard<'_, Vec<(&'static str, Section)>> {
        // A section that panicked has left the list as it was.
        self.sections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The status of a gateway whose connection broke: the last will.
pub fn lost() -> String {
    json!({"state": "offline", "reason": "connection lost", "version": env!("CARGO_PKG_VERSION")})
        .to_string()
}

/// Whether this is the status of a gateway that is away.
pub fn says_offline(payload: &[u8]) -> bool {
    serde_json::from_slice(payload)
        .is_ok_and(|status: Value| status.get("state").and_then(Value::as_str) == Some("offline"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_state_version_and_sections() {
        let board = StatusBoard::new("2026-01-02T03:04:05Z".parse().unwrap());
        board.add("meters", || json!(3));
        board.add("meters", || json!({"monitored": 4}));
        let now = "2026-01-02T04:00:00Z".parse().unwrap();
        let mut status: Value = serde_json::from_str(&board.online(now)).unwrap();
        assert!(status["uptime_seconds"].take().is_u64());
        assert_eq!(
            status,
            json!({
                "state": "online", "time": "2026-01-02T04:00:00Z", "version": env!("CARGO_PKG_VERSION"),
                "started": "2026-01-02T03:04:05Z", "uptime_seconds": null, "meters": {"monitored": 4}
            })
        );
    }

    #[test]
    fn only_offline_is_offline() {
        let board = StatusBoard::new(Timestamp::UNIX_EPOCH);
        assert!(says_offline(
            board.offline(Timestamp::UNIX_EPOCH).as_bytes()
        ));
        assert!(says_offline(lost().as_bytes()));
        for other in [
            board.online(Timestamp::UNIX_EPOCH).as_bytes(),
            b"offline",
            b"",
            b"[]",
            br#"{"state":["offline"]}"#,
        ] {
            assert!(!says_offline(other));
        }
    }
}
