//! What the Driver is doing, for the status object and whoever else wants to know.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use tokio::sync::watch;

use wmbus::im871a::DeviceInfo;

use super::dongle::{Cause, Rung};
use crate::clock;

/// The Driver's state and what led to it. Published through a watch channel that outlives the Driver's restarts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DriverStatus {
    /// What it is doing.
    pub state: DriverState,
    /// Since when, as [`clock::of_reception`] tells it; in JSON `null` while the time is not known. So are all times here.
    #[serde(serialize_with = "whole_seconds")]
    pub since: Timestamp,
    /// The port or file that is open.
    pub path: Option<String>,
    /// What the dongle says it is, while one is open.
    pub dongle: Option<Identity>,
    /// The link mode that is heard.
    pub link_mode: Option<String>,
    /// When the last telegram came. Changes without waking those who watch.
    #[serde(serialize_with = "optional_whole_seconds")]
    pub last_telegram: Option<Timestamp>,
    /// How often each rung of the recovery ladder was taken since the program started.
    pub steps: Steps,
    /// How often the dongle was unplugged.
    pub unplugged: u64,
    /// The last trouble that was overcome.
    pub last_recovery: Option<Recovery>,
}

/// What the dongle says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// Kind of module: 0x33 is an iM871A.
    pub module_type: u8,
    /// Version of its firmware: 0x14 is 1.4.
    pub firmware: u8,
    /// Its serial number.
    pub serial_number: u32,
}

impl From<DeviceInfo> for Identity {
    fn from(info: DeviceInfo) -> Self {
        Self {
            module_type: info.module_type,
            firmware: info.firmware,
            serial_number: info.serial_number,
        }
    }
}

/// What the Driver is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "name")]
pub enum DriverState {
    /// It has not begun yet.
    Starting,
    /// The source is not there or cannot be opened; it is waited for.
    Waiting {
        /// Why.
        reason: String,
    },
    /// The source may begin when meters are monitored.
    WaitingForMeters,
    /// The dongle is being configured.
    Configuring,
    /// Telegrams are heard or read.
    Listening,
    /// The dongle answers, but no telegram has come for suspiciously long and the ladder did not help.
    Silent,
    /// The recovery ladder is being climbed.
    Recovering {
        /// Why.
        cause: Cause,
        /// How far.
        rung: Rung,
    },
    /// What is at the port is no iM871A.
    Refused,
    /// The file or standard input was read to its end.
    Ended,
}

/// How often each rung was taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Steps {
    /// Extra pings.
    pub ping: u64,
    /// Link mode set again.
    pub set_link_mode: u64,
    /// Module reset.
    pub reset: u64,
    /// Port reopened.
    pub reopen: u64,
}

impl Steps {
    /// Counts one.
    pub(super) fn count(&mut self, rung: Rung) {
        let counter = match rung {
            Rung::Ping => &mut self.ping,
            Rung::SetLinkMode => &mut self.set_link_mode,
            Rung::Reset => &mut self.reset,
            Rung::Reopen => &mut self.reopen,
        };
        *counter += 1;
    }
}

/// A trouble that was overcome.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recovery {
    /// When.
    #[serde(serialize_with = "whole_seconds")]
    pub at: Timestamp,
    /// What was wrong.
    pub cause: Cause,
    /// What helped.
    pub rung: Rung,
    /// How long it took from the first rung on, in seconds.
    pub seconds: f64,
}

/// The Driver's end of the channel.
#[derive(Debug, Clone)]
pub struct StatusSender(Arc<watch::Sender<DriverStatus>>);

impl StatusSender {
    /// The channel, at `now`, as [`clock::of_reception`] tells it.
    pub fn new(now: Timestamp) -> Self {
        Self(Arc::new(watch::Sender::new(DriverStatus {
            state: DriverState::Starting,
            since: now,
            path: None,
            dongle: None,
            link_mode: None,
            last_telegram: None,
            steps: Steps::default(),
            unplugged: 0,
            last_recovery: None,
        })))
    }

    /// Somebody's view of it.
    pub fn subscribe(&self) -> watch::Receiver<DriverStatus> {
        self.0.subscribe()
    }

    /// Enters a state; repeating the one it is in changes nothing.
    pub(super) fn enter(&self, state: DriverState, now: Timestamp) {
        self.0.send_if_modified(|status| {
            let changed = status.state != state;
            if changed {
                status.state = state;
                status.since = now;
            }
            changed
        });
    }

    /// Whether that is the state it is in.
    pub(super) fn is(&self, state: &DriverState) -> bool {
        self.0.borrow().state == *state
    }

    /// Changes something else.
    pub(super) fn update(&self, change: impl FnOnce(&mut DriverStatus)) {
        self.0.send_modify(change);
    }

    /// A telegram came.
    pub(super) fn telegram(&self, at: Timestamp) {
        self.0.send_if_modified(|status| {
            status.last_telegram = Some(at);
            false
        });
    }
}

/// As the time stamps of readings are written.
fn whole_seconds<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    match clock::known(*time) {
        Some(time) => serializer.collect_str(&time.strftime("%Y-%m-%dT%H:%M:%SZ")),
        None => serializer.serialize_none(),
    }
}

fn optional_whole_seconds<S: Serializer>(
    time: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => whole_seconds(time, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_as_json() {
        let now = "2020-10-25T10:08:00.75Z".parse().unwrap();
        let sender = StatusSender::new(now);
        sender.enter(
            DriverState::Recovering {
                cause: Cause::NoAnswer,
                rung: Rung::Reset,
            },
            now,
        );
        sender.telegram(now);
        let json = serde_json::to_value(&*sender.subscribe().borrow()).unwrap();
        assert_eq!(
            json["state"],
            serde_json::json!({"name": "recovering", "cause": "no_answer", "rung": "reset"})
        );
        assert_eq!(json["since"], "2020-10-25T10:08:00Z");
        assert_eq!(json["last_telegram"], "2020-10-25T10:08:00Z");
        assert_eq!(json["dongle"], serde_json::Value::Null);
    }

    #[test]
    fn only_changes_wake_those_who_watch() {
        let now = Timestamp::UNIX_EPOCH;
        let sender = StatusSender::new(now);
        let receiver = sender.subscribe();
        sender.enter(DriverState::Starting, now);
        sender.telegram(now);
        assert!(!receiver.has_changed().unwrap());
        sender.enter(DriverState::Listening, now);
        assert!(receiver.has_changed().unwrap());
    }
}
