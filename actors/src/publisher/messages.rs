//! What the Publisher is told.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use jiff::Timestamp;
use wmbus::im871a::Rssi;
use wmbus::{Profile, Reading};

use crate::meter::MeterName;
use crate::raw_telegram::RawTelegram;

/// Readings of one meter, oldest first; nearly always one.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Publish(pub Vec<MeterReading>);

/// What one telegram of one meter says, with all that its messages need.
#[derive(Debug, Clone)]
pub struct MeterReading {
    /// Whose it is.
    pub meter: Arc<MeterName>,
    /// When the telegram was received, UTC.
    pub received_at: Timestamp,
    /// How loud it was.
    pub rssi: Option<Rssi>,
    /// What is known about the type of meter.
    pub profile: Arc<Profile>,
    /// The meter's channels are to be announced before this reading: only it tells what type of meter that is.
    pub introduces: bool,
    /// The values.
    pub reading: Reading,
    /// What is remembered of the meter after this reading, if that is to be kept.
    pub memory: Option<Box<[u8]>>,
    /// The telegram. A source that loses nothing waits until it is dropped.
    pub raw: RawTelegram,
}

/// What is to be told of meters, after a set message.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Announce(pub Vec<Announcement>);

/// Something new of a meter, apart from its readings.
#[derive(Debug, Clone)]
pub struct Announcement {
    /// Which.
    pub meter: Arc<MeterName>,
    /// What.
    pub news: News,
}

/// What may be new of a meter.
#[derive(Debug, Clone)]
pub enum News {
    /// It is monitored, and its type is known.
    Introduced(Arc<Profile>),
    /// It is no longer monitored.
    Removed,
}

/// The gateway stops: send what is left, say `offline`, and end the connection, as far as that is possible within the time. Afterwards
/// nothing is sent any more.
#[derive(Message)]
#[rtype(result = "FlushReport")]
pub struct Flush {
    /// At most so long.
    pub within: Duration,
}

/// How a flush ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FlushReport {
    /// Readings and announcements that are still in the gateway.
    pub left: usize,
    /// The broker has our `offline`.
    pub said_offline: bool,
}
