//! Overview: all that can be seen of a running gateway, in one value. The page shows it, `omnigate status` prints it.
//!
//! It holds no secret. What comes from the air or the cloud is text like any other: whoever shows it escapes it.

mod collect;
pub mod terminal;
mod words;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::collect::Sources;
pub use self::words::{actor_state, ago};

/// How a gateway is at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Overview {
    /// Its id in topics.
    pub gateway: String,
    /// The program's version.
    pub version: String,
    /// The moment.
    pub time: Timestamp,
    /// When the program started, if the time is known.
    pub started: Option<Timestamp>,
    /// What keeps it from doing its work; empty when it is ready.
    pub troubles: Vec<Trouble>,
    /// Where telegrams come from.
    pub source: Source,
    /// Where readings go.
    pub broker: Broker,
    /// The readings in between.
    pub outbox: Outbox,
    /// The service actors in order of start; meters' handlers only where something has happened to them.
    pub actors: Vec<Actor>,
    /// The monitored meters.
    pub meters: Vec<Meter>,
    /// The others on the air, the most often heard first.
    pub unknown: Vec<Unknown>,
    /// What happened how often since the program started.
    pub counters: Vec<Counter>,
}

impl Overview {
    /// Whether the gateway does its work.
    pub fn is_ready(&self) -> bool {
        self.troubles.is_empty()
    }
}

/// Something that keeps the gateway from doing its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// The part that has it.
    pub part: String,
    /// What is wrong.
    pub what: String,
    /// Since when, if that is known.
    pub since: Option<Timestamp>,
}

/// Where telegrams come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// What it is doing, in a few words.
    pub state: String,
    /// More of that: why it waits, what is being tried.
    pub detail: Option<String>,
    /// Whether telegrams can come.
    pub works: bool,
    /// Since when it is doing that, if the time is known.
    pub since: Option<Timestamp>,
    /// The port or file that is open.
    pub path: Option<String>,
    /// What the dongle says it is.
    pub dongle: Option<String>,
    /// What the dongle hears.
    pub link_mode: Option<String>,
    /// When the last telegram came, if the time is known.
    pub last_telegram: Option<Timestamp>,
    /// How often a step of the recovery ladder was taken.
    pub recovery_steps: u64,
    /// How often the dongle was unplugged.
    pub unplugged: u64,
}

/// Where readings go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broker {
    /// Its address.
    pub url: String,
    /// Whether there is a connection.
    pub connected: bool,
    /// Since when there is none, if the time is known.
    pub away_since: Option<Timestamp>,
    /// Messages that it acknowledged.
    pub published: u64,
    /// Connections that were lost.
    pub lost: u64,
}

/// The readings on their way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outbox {
    /// Readings that wait to be sent.
    pub waiting: u64,
    /// Readings that were sent and are not acknowledged.
    pub sent: u64,
    /// About how much room they take.
    pub bytes: u64,
    /// When the oldest was received.
    pub oldest: Option<Timestamp>,
    /// Readings that had to go because there was no room, or because they were too old.
    pub dropped: u64,
    /// What is wrong with the disk, if something is; readings continue from memory then.
    pub disk: Option<String>,
    /// Since when, if that is known.
    pub failing_since: Option<Timestamp>,
}

/// One actor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Its name; a meter's handler with its meter's.
    pub name: String,
    /// What it is doing.
    pub state: String,
    /// Whether it is alive.
    pub alive: bool,
    /// How often it was started again.
    pub restarts: u32,
    /// Messages that it found in its mailbox in its last turn.
    pub mail: u32,
    /// Messages that were in its hand when it failed.
    pub lost: u32,
    /// Why it last ended.
    pub last_error: Option<String>,
    /// When that was, if the time is known.
    pub last_error_at: Option<Timestamp>,
}

/// One monitored meter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Meter {
    /// Its name in topics.
    pub name: String,
    /// What type it is; empty until that is known.
    pub model: String,
    /// How its last telegram fared.
    pub condition: Condition,
    /// When that came, if the time is known.
    pub last_heard: Option<Timestamp>,
    /// Whether that is longer ago than can be by chance.
    pub silent: bool,
    /// Seconds between its telegrams, if that is known.
    pub interval: Option<f64>,
    /// How loud it was, in dBm.
    pub rssi: Option<i8>,
    /// Readings handed on.
    pub readings: u64,
    /// Telegrams refused.
    pub refused: u64,
    /// When its telegram with the latest values came, if the time is known.
    pub read_at: Option<Timestamp>,
    /// The latest values.
    pub values: Vec<Value>,
}

/// How a meter is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Not heard since it is monitored.
    Unheard,
    /// The last telegram gave a reading.
    Reading,
    /// The last telegram was refused, for this reason.
    Refused(String),
}

impl Meter {
    /// How it is doing, in a few words.
    pub fn state(&self) -> &str {
        match &self.condition {
            Condition::Refused(reason) => reason,
            Condition::Unheard => "not heard yet",
            Condition::Reading if self.silent => "silent",
            Condition::Reading => "reading",
        }
    }

    /// Whether it gives readings now.
    pub fn gives_readings(&self) -> bool {
        self.condition == Condition::Reading && !self.silent
    }
}

/// A meter's value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value {
    /// The number of its channel.
    pub channel: u32,
    /// The channel's name.
    pub name: String,
    /// An exact decimal.
    pub value: String,
    /// Its unit.
    pub unit: String,
}

/// A meter that is on the air and not monitored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unknown {
    /// Three letters.
    pub manufacturer: String,
    /// Its serial number.
    pub id: String,
    /// Its version.
    pub version: u8,
    /// What it measures.
    pub medium: String,
    /// Telegrams heard.
    pub telegrams: u64,
    /// When the last came, if the time is known.
    pub last_heard: Option<Timestamp>,
    /// How loud that was, in dBm.
    pub rssi: Option<i8>,
}

/// What happened how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter {
    /// Its name in the status object.
    pub name: String,
    /// What it counts.
    pub meaning: String,
    /// How often.
    pub count: u64,
}

#[cfg(test)]
pub(crate) mod tests;
