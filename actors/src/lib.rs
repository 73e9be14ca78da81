//! The running system of omnigate: a tree of actors under a supervisor.
//!
//! `Driver → Parser → Dispatcher → MeterHandler (one per meter) → Publisher → MQTT broker`, with `Meters` as the owner of the
//! set of monitored meters, the `Commander` as the cloud's ear and the `Bridge` as home automation's.

pub mod bridge;
pub mod changeable;
pub mod clock;
pub mod commander;
pub mod counters;
pub mod dispatcher;
pub mod driver;
pub mod duplicates;
pub mod faults;
pub mod forward;
pub mod heard;
pub mod latest;
pub mod meter;
pub mod meter_handler;
pub mod meter_list;
pub mod meters;
pub mod mqtt;
pub mod output;
pub mod parser;
pub mod profiles;
pub mod publisher;
pub mod raw_telegram;
pub mod refusal;
pub mod rejects;
pub mod secrets;
pub mod sequence;
pub mod set_message;
pub mod sighting;
pub mod status;
pub mod store;
pub mod supervision;
mod tick;
pub mod tree;
mod uplink;
