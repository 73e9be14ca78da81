//! What the status says of the connection to the broker. It outlives the Publisher's lives.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::clock;
use crate::mqtt::BrokerUrl;

/// Clones are the same connection.
#[derive(Clone, Default)]
pub struct BrokerState(Arc<Mutex<Content>>);

#[derive(Default)]
struct Content {
    connected_since: Option<Timestamp>,
    last_failure: Option<(Timestamp, String)>,
}

impl BrokerState {
    pub(super) fn connected(&self, now: Timestamp) {
        self.content().connected_since = Some(now);
    }

    pub(super) fn disconnected(&self, failure: impl fmt::Display, now: Timestamp) {
        let mut content = self.content();
        content.connected_since = None;
        content.last_failure = Some((now, failure.to_string()));
    }

    /// The section `broker`.
    pub(super) fn section(&self, url: &BrokerUrl) -> Value {
        let content = self.content();
        let state = match content.connected_since {
            Some(_) => "connected",
            None => "away",
        };
        let failure = content
            .last_failure
            .as_ref()
            .map(|(at, reason)| json!({"at": seconds(*at), "reason": reason}));
        json!({
            "url": url.to_string(), "state": state, "connected_since": content.connected_since.and_then(seconds),
            "last_failure": failure,
        })
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        // Nothing that is done under the lock can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As the time stamps of readings are written; nothing while the time is not known.
fn seconds(at: Timestamp) -> Option<String> {
    clock::known(at).map(|at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_of_the_connection_and_of_the_last_failure() {
        let url = "mqtt://broker.example".parse().unwrap();
        let state = BrokerState::default();
        let of = |state: &BrokerState| state.section(&url);
        assert_eq!(
            of(&state),
            json!({"url": "mqtt://broker.example:1883", "state": "away", "connected_since": null, "last_failure": null})
        );
        let now = "2026-01-02T03:04:05.5Z".parse().unwrap();
        state.disconnected("no answer", now);
        state.connected(now);
        assert_eq!(
            of(&state),
            json!({
                "url": "mqtt://broker.example:1883", "state": "connected", "connected_since": "2026-01-02T03:04:05Z",
                "last_failure": {"at": "2026-01-02T03:04:05Z", "reason": "no answer"},
            })
        );
    }
}
