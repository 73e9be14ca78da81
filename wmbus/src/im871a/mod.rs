//! The serial protocol of the radio dongle IMST iM871A: its host controller interface (HCI).
//!
//! ```text
//! A5 | control:4 endpoint:4 | message id | length | payload | time stamp 4? | RSSI 1? | CRC 2?
//! ```
//!
//! The control bits say which of the trailing fields are there: 0x20 time stamp, 0x40 RSSI, 0x80 CRC (X-25, over all
//! bytes after the A5). Serial bytes arrive in any chunking: [`Deframer`] makes [`Message`]s of them. [`Request`] and
//! [`Answer`] are what the messages mean, in both directions, so that a dongle can be driven as well as imitated.
//! Source: IMST, WM-Bus Host Controller Interface specification 1.6.

mod answer;
mod config;
mod deframer;
mod message;
mod request;

pub use answer::{Answer, DeviceInfo, SystemStatus, Telegram};
pub use config::{Config, LinkMode, LinkModeError};
pub use deframer::{Deframer, Event, Why};
pub use message::{Message, Rssi};
pub use request::Request;

/// Endpoint of device management: requests of the host and the dongle's answers.
pub const DEVICE_MANAGEMENT: u8 = 1;
/// Endpoint of the radio link: telegrams.
pub const RADIO_LINK: u8 = 2;

/// Message identifiers of both endpoints.
mod id {
    pub const PING: u8 = 0x01;
    pub const PONG: u8 = 0x02;
    pub const SET_CONFIG: u8 = 0x03;
    pub const SET_CONFIG_DONE: u8 = 0x04;
    pub const GET_CONFIG: u8 = 0x05;
    pub const CONFIG: u8 = 0x06;
    pub const RESET: u8 = 0x07;
    pub const RESET_DONE: u8 = 0x08;
    pub const FACTORY_RESET: u8 = 0x09;
    pub const FACTORY_RESET_DONE: u8 = 0x0A;
    pub const GET_DEVICE_INFO: u8 = 0x0F;
    pub const DEVICE_INFO: u8 = 0x10;
    pub const GET_SYSTEM_STATUS: u8 = 0x11;
    pub const SYSTEM_STATUS: u8 = 0x12;

    /// On the radio link's endpoint.
    pub const TELEGRAM: u8 = 0x03;
}
