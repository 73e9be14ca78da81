//! What the dongle sends: answers to requests, and telegrams.

use super::config::Config;
use super::message::{Message, Rssi};
use super::{DEVICE_MANAGEMENT, RADIO_LINK, id};
use crate::error::{Error, ErrorKind, Layer};
use crate::reader::Reader;

/// What the dongle sends, of its own accord or when it was [asked](super::Request).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// Somebody is there.
    Ping,
    /// Values were taken, or not.
    SetConfig {
        /// As the firmware gives it; older ones give none. Ask for the configuration to be sure.
        status: Option<u8>,
    },
    /// The whole configuration.
    Config(Config),
    /// It starts again now.
    Reset,
    /// The configuration is as delivered, or is not.
    FactoryReset {
        /// As the firmware gives it; 0 if it failed.
        status: Option<u8>,
    },
    /// Type, firmware and serial number.
    DeviceInfo(DeviceInfo),
    /// Counters.
    SystemStatus(SystemStatus),
    /// A telegram it heard.
    Telegram(Telegram),
}

impl Answer {
    /// What a message says; `None` if it is nothing known here.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] and [`ErrorKind::Reserved`] for a bad payload. What stands behind a complete one is
    /// ignored: newer firmware appends.
    pub fn parse(message: &Message) -> Result<Option<Self>, Error> {
        let mut payload = Reader::in_layer(Layer::Hci, 4, &message.payload);
        Ok(Some(match (message.endpoint, message.id) {
            (DEVICE_MANAGEMENT, id::PONG) => Self::Ping,
            (DEVICE_MANAGEMENT, id::SET_CONFIG_DONE) => Self::SetConfig {
                status: payload.peek(),
            },
            (DEVICE_MANAGEMENT, id::CONFIG) => Self::Config(Config::read(&mut payload)?),
            (DEVICE_MANAGEMENT, id::RESET_DONE) => Self::Reset,
            (DEVICE_MANAGEMENT, id::FACTORY_RESET_DONE) => Self::FactoryReset {
                status: payload.peek(),
            },
            (DEVICE_MANAGEMENT, id::DEVICE_INFO) => {
                Self::DeviceInfo(DeviceInfo::read(&mut payload)?)
            }
            (DEVICE_MANAGEMENT, id::SYSTEM_STATUS) => {
                Self::SystemStatus(SystemStatus::read(&mut payload)?)
            }
            (RADIO_LINK, id::TELEGRAM) => Self::Telegram(Telegram::read(message)?),
            _ => return Ok(None),
        }))
    }

    /// The message that says this, with a CRC as the dongle sends it.
    #[must_use]
    pub fn to_message(&self) -> Message {
        let mut payload = Vec::new();
        let (mut endpoint, mut time_stamp, mut raw_rssi) = (DEVICE_MANAGEMENT, None, None);
        let id = match self {
            Self::Ping => id::PONG,
            Self::SetConfig { status } => {
                payload.extend(status);
                id::SET_CONFIG_DONE
            }
            Self::Config(config) => {
                config.write(&mut payload);
                id::CONFIG
            }
            Self::Reset => id::RESET_DONE,
            Self::FactoryReset { status } => {
                payload.extend(status);
                id::FACTORY_RESET_DONE
            }
            Self::DeviceInfo(info) => {
                payload.extend(info.to_bytes());
                id::DEVICE_INFO
            }
            Self::SystemStatus(status) => {
                status.write(&mut payload);
                id::SYSTEM_STATUS
            }
            Self::Telegram(telegram) => {
                endpoint = RADIO_LINK;
                payload.extend(telegram.bytes.iter().skip(1));
                time_stamp = telegram.time_stamp;
                raw_rssi = telegram.rssi.map(Rssi::to_raw);
                id::TELEGRAM
            }
        };
        Message {
            endpoint,
            id,
            payload,
            time_stamp,
            raw_rssi,
            has_crc: true,
        }
    }
}

/// What the dongle is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// 0x33 for an iM871A.
    pub module_type: u8,
    /// 0 for the receiving side, 1 for a meter.
    pub device_mode: u8,
    /// The firmware's version: 0x14 is 1.4.
    pub firmware: u8,
    /// The version of its serial protocol.
    pub hci_version: u8,
    /// Its serial number.
    pub serial_number: u32,
}

impl DeviceInfo {
    /// [`module_type`](Self::module_type) of an iM871A.
    pub const IM871A: u8 = 0x33;

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let &[module_type, device_mode, firmware, hci_version] = reader.take_array()?;
        Ok(Self {
            module_type,
            device_mode,
            firmware,
            hci_version,
            serial_number: reader.u32()?,
        })
    }

    const fn to_bytes(self) -> [u8; 8] {
        let [s0, s1, s2, s3] = self.serial_number.to_le_bytes();
        [
            self.module_type,
            self.device_mode,
            self.firmware,
            self.hci_version,
            s0,
            s1,
            s2,
            s3,
        ]
    }
}

/// What the dongle counted since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SystemStatus {
    /// The state of its memory: bit 0 configuration there, 1 production data there, 2 and 7 something is corrupt.
    pub memory: u8,
    /// Time since its start, in units of 10 ms.
    pub ticks: u32,
    /// Telegrams sent.
    pub sent: u32,
    /// Telegrams that could not be sent.
    pub send_errors: u32,
    /// Telegrams received.
    pub received: u32,
    /// Telegrams dropped for a wrong CRC on the air.
    pub crc_errors: u32,
    /// Telegrams dropped for a wrong line code on the air.
    pub decoding_errors: u32,
}

impl SystemStatus {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let memory = reader.byte()?;
        let ticks = reader.u32()?;
        reader.take(RESERVED.len())?;
        let mut next = || reader.u32();
        Ok(Self {
            memory,
            ticks,
            sent: next()?,
            send_errors: next()?,
            received: next()?,
            crc_errors: next()?,
            decoding_errors: next()?,
        })
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.push(self.memory);
        bytes.extend(self.ticks.to_le_bytes());
        bytes.extend(RESERVED);
        for counter in [
            self.sent,
            self.send_errors,
            self.received,
            self.crc_errors,
            self.decoding_errors,
        ] {
            bytes.extend(counter.to_le_bytes());
        }
        bytes.extend([0; 4]);
    }
}

/// A telegram as the dongle heard it, its link-layer CRCs checked and taken off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telegram {
    /// From the L byte on.
    pub bytes: Vec<u8>,
    /// When, by the dongle's clock.
    pub time_stamp: Option<u32>,
    /// How strongly.
    pub rssi: Option<Rssi>,
}

impl Telegram {
    fn read(message: &Message) -> Result<Self, Error> {
        // The message's length is the telegram's L field: both count the bytes from the C field on.
        let length = u8::try_from(message.payload.len());
        let too_long = ErrorKind::Length {
            declared: usize::from(u8::MAX),
            found: message.payload.len(),
        };
        let length = length.map_err(|_| Error {
            layer: Layer::Hci,
            offset: 3,
            kind: too_long,
        })?;
        let mut bytes = Vec::with_capacity(message.payload.len() + 1);
        bytes.push(length);
        bytes.extend(&message.payload);
        Ok(Self {
            bytes,
            time_stamp: message.time_stamp,
            rssi: message.rssi(),
        })
    }
}

/// Two numbers of the system status that mean nothing.
const RESERVED: [u8; 8] = [0; 8];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn telegram_gets_its_length_back() {
        let message = Message {
            time_stamp: Some(7),
            raw_rssi: Some(165),
            has_crc: true,
            ..Message::new(RADIO_LINK, id::TELEGRAM, vec![0x44, 0x2D, 0x2C])
        };
        let answer = Answer::parse(&message).unwrap().unwrap();
        let telegram = Telegram {
            bytes: vec![3, 0x44, 0x2D, 0x2C],
            time_stamp: Some(7),
            rssi: Some(Rssi::from_dbm(-40)),
        };
        assert_eq!(answer, Answer::Telegram(telegram));
        assert_eq!(answer.to_message(), message);
    }

    // Module 33, mode 0, firmware 1.4, protocol 1, serial number 0x12345678, lowest byte first.
    #[test]
    fn device_info_by_hand() {
        let payload = vec![0x33, 0, 0x14, 1, 0x78, 0x56, 0x34, 0x12];
        let answer = Answer::parse(&Message::new(
            DEVICE_MANAGEMENT,
            id::DEVICE_INFO,
            payload.clone(),
        ))
        .unwrap();
        let info = DeviceInfo {
            module_type: DeviceInfo::IM871A,
            device_mode: 0,
            firmware: 0x14,
            hci_version: 1,
            serial_number: 0x1234_5678,
        };
        assert_eq!(answer, Some(Answer::DeviceInfo(info)));
        assert_eq!(Answer::DeviceInfo(info).to_message().payload, payload);
    }

    #[test]
    fn there_and_back() {
        let status = SystemStatus {
            memory: 3,
            ticks: 100,
            received: 42,
            crc_errors: 1,
            ..SystemStatus::default()
        };
        for answer in [
            Answer::Ping,
            Answer::SetConfig { status: Some(1) },
            Answer::SetConfig { status: None },
            Answer::Config(Config {
                attach_rssi: Some(true),
                ..Config::default()
            }),
            Answer::Reset,
            Answer::FactoryReset { status: Some(1) },
            Answer::SystemStatus(status),
        ] {
            let message = answer.to_message();
            assert_eq!(Message::parse(&message.encode()).as_ref(), Ok(&message));
            assert_eq!(Answer::parse(&message), Ok(Some(answer)));
        }
        assert_eq!(Answer::SystemStatus(status).to_message().payload.len(), 37);
    }

    #[test]
    fn tells_unknown_from_damaged() {
        assert_eq!(
            Answer::parse(&Message::new(DEVICE_MANAGEMENT, 0x7F, vec![])),
            Ok(None)
        );
        assert_eq!(
            Answer::parse(&Message::new(RADIO_LINK, 0x02, vec![])),
            Ok(None)
        );
        let error = Answer::parse(&Message::new(
            DEVICE_MANAGEMENT,
            id::DEVICE_INFO,
            vec![0x33],
        ))
        .unwrap_err();
        assert_eq!(error.to_string(), "hci, byte 4: 3 bytes missing");
        assert!(Answer::parse(&Message::new(RADIO_LINK, id::TELEGRAM, vec![0; 256])).is_err());
    }
}
