//! What the bridge shows of the gateway as a whole: its information, its health, and what happens to its parts.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Bridge, Config};
use crate::clock;
use crate::driver::status::DriverState;
use crate::supervision::State;

/// What was seen last, to notice what has changed.
#[derive(Default)]
pub(super) struct Seen {
    restarts: Option<BTreeMap<&'static str, u32>>,
    source: Option<DriverState>,
}

impl Seen {
    /// The events since the last look.
    pub(super) fn look(&mut self, config: &Config) -> Vec<Value> {
        let mut events = Vec::new();
        let mut restarts = BTreeMap::new();
        config.root.for_each_child(|child| {
            if child.instance().is_none() {
                let name = child.role().name;
                restarts.insert(name, child.restarts());
                // One that was not there at the last look had not been restarted yet.
                let before = self.restarts.as_ref().map(|seen| seen.get(name).copied().unwrap_or(0));
                if before.is_some_and(|before| before < child.restarts()) {
                    let reason = child.last_exit().map(|exit| exit.reason);
                    events.push(json!({"type": "actor_restarted", "data": {"actor": name, "restarts": child.restarts(), "reason": reason}}));
                }
            }
        });
        self.restarts = Some(restarts);
        let source = config.driver.borrow().state.clone();
        if self.source.as_ref().is_some_and(|seen| *seen != source) {
            events.push(json!({"type": "source", "data": {"state": source}}));
        }
        self.source = Some(source);
        events
    }
}

impl Bridge {
    /// What does not change while a connection lasts, or only by a request.
    pub(super) fn info(&self) -> Value {
        let Config {
            topics,
            base,
            levers,
            token,
            ..
        } = &self.config;
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "gateway": topics.gateway_id(),
            "log_level": levers.log_level(),
            "config": {
                "base_topic": base.to_string(),
                "home_assistant": self.home_assistant.as_ref().map(|at| at.prefix.to_string()),
                "requests_need_token": token.get().is_some(),
            },
        })
    }

    /// Whether all parts work, and how they are.
    pub(super) fn health(&self) -> Value {
        let mut actors_run = true;
        self.config.root.for_each_child(|child| {
            let state = child.state();
            actors_run &= !matches!(
                state,
                State::BackingOff { .. } | State::Parked { .. } | State::Stopped
            );
        });
        let source_works = match self.config.driver.borrow().state {
            DriverState::Starting
            | DriverState::WaitingForMeters
            | DriverState::Configuring
            | DriverState::Listening
            | DriverState::Ended => true,
            DriverState::Waiting { .. }
            | DriverState::Silent
            | DriverState::Recovering { .. }
            | DriverState::Refused => false,
        };
        let status = self.config.status.online(clock::of_reception());
        json!({
            "healthy": actors_run && source_works,
            "status": serde_json::from_str::<Value>(&status).unwrap_or_default(),
        })
    }
}
