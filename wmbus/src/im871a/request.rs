//! What the host asks of the dongle.

use super::config::Config;
use super::message::Message;
use super::{DEVICE_MANAGEMENT, id};
use crate::error::{Error, ErrorKind, Layer};
use crate::reader::Reader;

/// A request of device management. The dongle's answers are [`Answer`](super::Answer)s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// Is anybody there?
    Ping,
    /// Take these values.
    SetConfig {
        /// Keep them over a power cut?
        persistent: bool,
        /// The values.
        config: Config,
    },
    /// Tell the whole configuration.
    GetConfig,
    /// Start again. The dongle answers, is deaf for about 0.5 s and takes a link mode after about 2 s.
    Reset,
    /// Take the configuration it was delivered with.
    FactoryReset {
        /// Start again at once? Otherwise it takes effect at the next start.
        restart: bool,
    },
    /// Tell type, firmware and serial number.
    DeviceInfo,
    /// Tell counters.
    SystemStatus,
}

impl Request {
    /// The message that asks this, without a CRC: every firmware takes it.
    #[must_use]
    pub fn to_message(self) -> Message {
        let mut payload = Vec::new();
        let id = match self {
            Self::Ping => id::PING,
            Self::SetConfig { persistent, config } => {
                payload.push(persistent.into());
                config.write(&mut payload);
                id::SET_CONFIG
            }
            Self::GetConfig => id::GET_CONFIG,
            Self::Reset => id::RESET,
            Self::FactoryReset { restart } => {
                payload.push(restart.into());
                id::FACTORY_RESET
            }
            Self::DeviceInfo => id::GET_DEVICE_INFO,
            Self::SystemStatus => id::GET_SYSTEM_STATUS,
        };
        Message::new(DEVICE_MANAGEMENT, id, payload)
    }

    /// What a message asks; `None` if it is no request known here.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] and [`ErrorKind::Reserved`] for a bad payload. What stands behind a complete one is
    /// ignored, as the dongle does.
    pub fn parse(message: &Message) -> Result<Option<Self>, Error> {
        if message.endpoint != DEVICE_MANAGEMENT {
            return Ok(None);
        }
        let mut payload = Reader::in_layer(Layer::Hci, 4, &message.payload);
        Ok(Some(match message.id {
            id::PING => Self::Ping,
            id::SET_CONFIG => {
                let persistent = match payload.byte()? {
                    0 => false,
                    1 => true,
                    other => {
                        return Err(Error {
                            layer: Layer::Hci,
                            offset: 4,
                            kind: ErrorKind::Reserved(other),
                        });
                    }
                };
                Self::SetConfig {
                    persistent,
                    config: Config::read(&mut payload)?,
                }
            }
            id::GET_CONFIG => Self::GetConfig,
            id::RESET => Self::Reset,
            id::FACTORY_RESET => Self::FactoryReset {
                restart: payload.any_left() && payload.byte()? != 0,
            },
            id::GET_DEVICE_INFO => Self::DeviceInfo,
            id::GET_SYSTEM_STATUS => Self::SystemStatus,
            _ => return Ok(None),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::im871a::LinkMode;

    #[test]
    fn there_and_back() {
        let config = Config {
            link_mode: Some(LinkMode::T1),
            ..Config::default()
        };
        for (request, bytes) in [
            (Request::Ping, &[0xA5, 1, 0x01, 0][..]),
            (
                Request::SetConfig {
                    persistent: false,
                    config,
                },
                &[0xA5, 1, 0x03, 4, 0, 2, 3, 0],
            ),
            (Request::GetConfig, &[0xA5, 1, 0x05, 0]),
            (Request::Reset, &[0xA5, 1, 0x07, 0]),
            (
                Request::FactoryReset { restart: true },
                &[0xA5, 1, 0x09, 1, 1],
            ),
            (Request::DeviceInfo, &[0xA5, 1, 0x0F, 0]),
            (Request::SystemStatus, &[0xA5, 1, 0x11, 0]),
        ] {
            assert_eq!(request.to_message().encode(), bytes);
            assert_eq!(Request::parse(&request.to_message()), Ok(Some(request)));
        }
    }

    #[test]
    fn tells_unknown_from_damaged() {
        assert_eq!(Request::parse(&Message::new(2, id::PING, vec![])), Ok(None));
        assert_eq!(Request::parse(&Message::new(1, 0x7F, vec![])), Ok(None));
        let error = Request::parse(&Message::new(1, id::SET_CONFIG, vec![0, 2])).unwrap_err();
        assert_eq!(error.to_string(), "hci, byte 6: 1 byte missing");
        let error = Request::parse(&Message::new(1, id::SET_CONFIG, vec![2, 0, 0])).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Reserved(2));
    }
}
