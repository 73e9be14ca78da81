//! One message of the dongle's serial interface.

use core::fmt;

use crate::crc;
use crate::error::{Error, ErrorKind, Layer};
use crate::reader::Reader;

/// One whole message, in either direction.
///
/// ```
/// use wmbus::im871a::Message;
/// let ping = Message::new(1, 0x01, vec![]);
/// assert_eq!(ping.encode(), [0xA5, 0x01, 0x01, 0x00]);
/// assert_eq!(Message::parse(&ping.encode())?, ping);
/// # Ok::<(), wmbus::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The endpoint, 0..=15: 1 device management, 2 radio link.
    pub endpoint: u8,
    /// What the message is, within its endpoint.
    pub id: u8,
    /// At most 255 bytes.
    pub payload: Vec<u8>,
    /// When the dongle received the telegram, by its own clock, which begins anew at each start.
    pub time_stamp: Option<u32>,
    /// How strongly it was received, as the dongle writes it; [`rssi`](Self::rssi) gives dBm.
    pub raw_rssi: Option<u8>,
    /// Does the message carry a CRC?
    pub has_crc: bool,
}

impl Message {
    /// A message without time stamp, RSSI and CRC.
    #[must_use]
    pub const fn new(endpoint: u8, id: u8, payload: Vec<u8>) -> Self {
        Self {
            endpoint,
            id,
            payload,
            time_stamp: None,
            raw_rssi: None,
            has_crc: false,
        }
    }

    /// Reads exactly one message.
    ///
    /// # Errors
    /// [`ErrorKind::Delimiter`] if it does not begin with A5, [`ErrorKind::Truncated`], [`ErrorKind::TrailingData`],
    /// [`ErrorKind::Crc`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::in_layer(Layer::Hci, 0, bytes);
        let header = Header::read(&mut reader)?;
        let payload = reader.take(header.length.into())?.to_vec();
        let time_stamp = if header.has(TIME_STAMP) {
            Some(reader.u32()?)
        } else {
            None
        };
        let raw_rssi = if header.has(RSSI) {
            Some(reader.byte()?)
        } else {
            None
        };
        if header.has(CRC) {
            let at_crc = reader.error(ErrorKind::NoData);
            let found = reader.u16()?;
            let expected = crc::x25(bytes.get(1..at_crc.offset).unwrap_or_default());
            if found != expected {
                return Err(Error {
                    kind: ErrorKind::Crc { expected, found },
                    ..at_crc
                });
            }
        }
        reader.finish()?;
        Ok(Self {
            endpoint: header.endpoint,
            id: header.id,
            payload,
            time_stamp,
            raw_rssi,
            has_crc: header.has(CRC),
        })
    }

    /// The message's bytes, from the A5 to the CRC. Of a payload above 255 bytes the first 255 are taken.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let length = u8::try_from(self.payload.len()).unwrap_or(u8::MAX);
        let mut control = 0;
        for (bit, is_there) in [
            (TIME_STAMP, self.time_stamp.is_some()),
            (RSSI, self.raw_rssi.is_some()),
            (CRC, self.has_crc),
        ] {
            control |= if is_there { bit } else { 0 };
        }
        let mut bytes = vec![START, control | self.endpoint & ENDPOINT, self.id, length];
        bytes.extend(self.payload.iter().take(length.into()));
        bytes.extend(self.time_stamp.iter().flat_map(|ticks| ticks.to_le_bytes()));
        bytes.extend(self.raw_rssi);
        if self.has_crc {
            let crc = crc::x25(bytes.get(1..).unwrap_or_default());
            bytes.extend(crc.to_le_bytes());
        }
        bytes
    }

    /// How strongly the telegram was received.
    #[must_use]
    pub fn rssi(&self) -> Option<Rssi> {
        self.raw_rssi.map(Rssi::from_raw)
    }
}

/// A received signal strength.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rssi(i8);

impl Rssi {
    /// A strength in dBm.
    #[must_use]
    pub const fn from_dbm(dbm: i8) -> Self {
        Self(dbm)
    }

    /// The strength in dBm, approximately; a dongle's lies between -123 and 0.
    #[must_use]
    pub const fn dbm(self) -> i8 {
        self.0
    }

    /// The strength that the dongle writes as `raw`: about -100 + (raw - 45) / 2 dBm, at most 0.
    #[must_use]
    pub const fn from_raw(raw: u8) -> Self {
        let dbm = -100 + (raw as i16 - 45).div_euclid(2);
        Self(if dbm > 0 { 0 } else { dbm as i8 })
    }

    /// What the dongle writes for this strength; the nearest end where it has no number for it.
    #[must_use]
    pub const fn to_raw(self) -> u8 {
        let raw = 45 + (self.0 as i16 + 100) * 2;
        match raw {
            ..0 => 0,
            0..=255 => raw as u8,
            _ => u8::MAX,
        }
    }
}

impl fmt::Display for Rssi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} dBm", self.0)
    }
}

/// The first four bytes of a message.
#[derive(Clone, Copy)]
pub(super) struct Header {
    control: u8,
    pub endpoint: u8,
    pub id: u8,
    pub length: u8,
}

impl Header {
    pub const LEN: usize = 4;

    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let before = reader.clone();
        let &[start, control, id, length] = reader.take_array()?;
        if start != START {
            return Err(before.error(ErrorKind::Delimiter(start)));
        }
        Ok(Self {
            control: control & !ENDPOINT,
            endpoint: control & ENDPOINT,
            id,
            length,
        })
    }

    /// How long the whole message is.
    pub fn message_len(self) -> usize {
        let time_stamp = if self.has(TIME_STAMP) { 4 } else { 0 };
        let rssi = if self.has(RSSI) { 1 } else { 0 };
        let crc = if self.has(CRC) { 2 } else { 0 };
        Self::LEN + usize::from(self.length) + time_stamp + rssi + crc
    }

    pub const fn has_crc(self) -> bool {
        self.has(CRC)
    }

    /// Is a bit set that no firmware sets?
    pub const fn has_unknown_bits(self) -> bool {
        self.control & !(TIME_STAMP | RSSI | CRC) != 0
    }

    const fn has(self, bit: u8) -> bool {
        self.control & bit != 0
    }
}

/// Begins every message.
pub(super) const START: u8 = 0xA5;

const TIME_STAMP: u8 = 0x20;
const RSSI: u8 = 0x40;
const CRC: u8 = 0x80;
const ENDPOINT: u8 = 0x0F;

#[cfg(test)]
mod tests {
    use super::*;

    // Captured from a dongle's serial port.
    const CAPTURED: &str = "a5820327442d2c5768663230028d201a13e00920dddf142f84b1107cae4e84dbcb98210fc275ddc868ce8d2554";

    #[test]
    fn captured_message_there_and_back() {
        let bytes = hex(CAPTURED);
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(
            (message.endpoint, message.id, message.payload.len()),
            (2, 3, 0x27)
        );
        assert_eq!(
            (message.time_stamp, message.raw_rssi, message.has_crc),
            (None, None, true)
        );
        assert_eq!(message.encode(), bytes);
    }

    #[test]
    fn trailing_fields_stand_in_order() {
        let message = Message {
            endpoint: 2,
            id: 3,
            payload: vec![0x44, 0x2D],
            time_stamp: Some(0x0403_0201),
            raw_rssi: Some(0x99),
            has_crc: false,
        };
        assert_eq!(
            message.encode(),
            [0xA5, 0x62, 3, 2, 0x44, 0x2D, 1, 2, 3, 4, 0x99]
        );
        assert_eq!(Message::parse(&message.encode()), Ok(message));
    }

    #[test]
    fn refuses_what_is_not_one_message() {
        let bytes = hex(CAPTURED);
        let kind = |bytes: &[u8]| Message::parse(bytes).unwrap_err().kind;
        assert_eq!(kind(&bytes[1..]), ErrorKind::Delimiter(0x82));
        assert_eq!(
            kind(&bytes[..bytes.len() - 1]),
            ErrorKind::Truncated { missing: 1 }
        );
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(kind(&longer), ErrorKind::TrailingData(1));
        let mut damaged = bytes;
        damaged[10] ^= 0x01;
        assert!(matches!(kind(&damaged), ErrorKind::Crc { .. }));
    }

    // -100 + (45 - 45) / 2 = -100;  -100 + (165 - 45) / 2 = -40;  raw 245 is 0 dBm and nothing is above.
    #[test]
    fn rssi_by_hand() {
        for (raw, dbm) in [
            (45, -100),
            (165, -40),
            (245, 0),
            (255, 0),
            (0, -123),
            (46, -100),
        ] {
            assert_eq!(Rssi::from_raw(raw).dbm(), dbm, "{raw}");
        }
        for dbm in -122..=0 {
            assert_eq!(Rssi::from_raw(Rssi::from_dbm(dbm).to_raw()).dbm(), dbm);
        }
    }

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len() / 2)
            .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
            .collect()
    }
}
