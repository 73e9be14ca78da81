//! The dongle's configuration: sixteen values, each sent or left out.

use core::fmt;
use core::str::FromStr;

use crate::address::{IdentificationNumber, Manufacturer, Medium};
use crate::error::{Error, ErrorKind};
use crate::reader::Reader;

/// Values of the dongle's configuration. What is `None` is not sent, and stays as it is.
///
/// On the wire: a byte of flags and the flagged values of the first eight, then the same for the other eight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// 0 for the receiving side ("other"), 1 for a meter.
    pub device_mode: Option<u8>,
    /// Which radio mode it hears.
    pub link_mode: Option<LinkMode>,
    /// The control field of telegrams it sends.
    pub control: Option<u8>,
    /// The manufacturer it sends as; a USB dongle's cannot be changed. The same holds for the next three.
    pub manufacturer: Option<Manufacturer>,
    /// The identification number it sends as.
    pub identification: Option<IdentificationNumber>,
    /// The version it sends as.
    pub version: Option<u8>,
    /// The medium it sends as.
    pub medium: Option<Medium>,
    /// The radio channel, of mode R2.
    pub channel: Option<u8>,
    /// The transmission power, 0 (-8 dBm) to 7 (14 dBm).
    pub power_level: Option<u8>,
    /// The data rate; no firmware known uses it.
    pub data_rate: Option<u8>,
    /// For how long it hears after it sent, in ms.
    pub receive_window: Option<u8>,
    /// Sleeps whenever it can.
    pub auto_power_saving: Option<bool>,
    /// Attaches the RSSI to every telegram.
    pub attach_rssi: Option<bool>,
    /// Attaches its time stamp to every telegram.
    pub attach_time_stamp: Option<bool>,
    /// What its light-emitting diodes show.
    pub led_control: Option<u8>,
    /// Runs its clock.
    pub clock: Option<bool>,
}

impl Config {
    /// Reads the flags and the values that they announce.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] if an announced value is missing; [`ErrorKind::Reserved`] for an unknown link mode.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let mut config = Self::default();
        let flags = reader.byte()?;
        let next = |reader: &mut Reader<'_>, flag| optional(flags & flag != 0, || reader.byte());
        config.device_mode = next(reader, 0x01)?;
        config.link_mode = optional(flags & 0x02 != 0, || LinkMode::read(reader))?;
        config.control = next(reader, 0x04)?;
        config.manufacturer = optional(flags & 0x08 != 0, || reader.u16())?.map(Manufacturer);
        config.identification =
            optional(flags & 0x10 != 0, || reader.u32())?.map(IdentificationNumber);
        config.version = next(reader, 0x20)?;
        config.medium = next(reader, 0x40)?.map(Medium);
        config.channel = next(reader, 0x80)?;
        // A host that changes nothing behind them may leave them out, and the dongle takes it.
        let flags = if reader.any_left() { reader.byte()? } else { 0 };
        let mut next = |flag| optional(flags & flag != 0, || reader.byte());
        config.power_level = next(0x01)?;
        config.data_rate = next(0x02)?;
        config.receive_window = next(0x04)?;
        config.auto_power_saving = next(0x08)?.map(is_on);
        config.attach_rssi = next(0x10)?.map(is_on);
        config.attach_time_stamp = next(0x20)?.map(is_on);
        config.led_control = next(0x40)?;
        config.clock = next(0x80)?.map(is_on);
        Ok(config)
    }

    /// Appends the flags and the values that are there.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        let mut block = Block::default();
        block.add(self.device_mode.map(|value| [value]));
        block.add(self.link_mode.map(|value| [value as u8]));
        block.add(self.control.map(|value| [value]));
        block.add(self.manufacturer.map(|value| value.0.to_le_bytes()));
        block.add(self.identification.map(|value| value.0.to_le_bytes()));
        block.add(self.version.map(|value| [value]));
        block.add(self.medium.map(|value| [value.0]));
        block.add(self.channel.map(|value| [value]));
        block.finish(bytes);
        let mut block = Block::default();
        block.add(self.power_level.map(|value| [value]));
        block.add(self.data_rate.map(|value| [value]));
        block.add(self.receive_window.map(|value| [value]));
        block.add(self.auto_power_saving.map(|value| [value.into()]));
        block.add(self.attach_rssi.map(|value| [value.into()]));
        block.add(self.attach_time_stamp.map(|value| [value.into()]));
        block.add(self.led_control.map(|value| [value]));
        block.add(self.clock.map(|value| [value.into()]));
        block.finish(bytes);
    }

    /// This configuration with every value that `change` has put in its place.
    #[must_use]
    pub const fn with(self, change: &Self) -> Self {
        macro_rules! newer {
            ($($field:ident),*) => { Self { $($field: match change.$field { None => self.$field, some => some }),* } };
        }
        newer!(
            device_mode,
            link_mode,
            control,
            manufacturer,
            identification,
            version,
            medium,
            channel,
            power_level,
            data_rate,
            receive_window,
            auto_power_saving,
            attach_rssi,
            attach_time_stamp,
            led_control,
            clock
        )
    }
}

/// Which radio mode the dongle hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum LinkMode {
    /// S1.
    S1 = 0,
    /// S1-m.
    S1m = 1,
    /// S2.
    S2 = 2,
    /// T1.
    T1 = 3,
    /// T2.
    T2 = 4,
    /// R2.
    R2 = 5,
    /// C1, frame format A.
    C1a = 6,
    /// C1, frame format B.
    C1b = 7,
    /// C2, frame format A.
    C2a = 8,
    /// C2, frame format B; from firmware 0x14 on C1 and T1 together.
    C2b = 9,
}

impl LinkMode {
    /// All of them with their names in settings.
    pub const ALL: [(Self, &str); 10] = [
        (Self::S1, "s1"),
        (Self::S1m, "s1m"),
        (Self::S2, "s2"),
        (Self::T1, "t1"),
        (Self::T2, "t2"),
        (Self::R2, "r2"),
        (Self::C1a, "c1a"),
        (Self::C1b, "c1b"),
        (Self::C2a, "c2a"),
        (Self::C2b, "c2b"),
    ];

    /// The first firmware whose [`LinkMode::C2b`] hears C1 and T1 together.
    pub const C1_T1_FIRMWARE: u8 = 0x14;

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let before = reader.clone();
        let number = reader.byte()?;
        let known = Self::ALL
            .into_iter()
            .find(|(mode, _)| *mode as u8 == number);
        known
            .map(|(mode, _)| mode)
            .ok_or_else(|| before.error(ErrorKind::Reserved(number)))
    }
}

impl FromStr for LinkMode {
    type Err = LinkModeError;

    fn from_str(text: &str) -> Result<Self, LinkModeError> {
        let known = Self::ALL
            .into_iter()
            .find(|(_, name)| name.eq_ignore_ascii_case(text));
        known.map(|(mode, _)| mode).ok_or(LinkModeError)
    }
}

impl fmt::Display for LinkMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Self::ALL.into_iter().find(|(mode, _)| mode == self);
        f.write_str(known.map_or("", |(_, name)| name))
    }
}

/// Text that is not a link mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkModeError;

impl fmt::Display for LinkModeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a link mode is one of s1, s1m, s2, t1, t2, r2, c1a, c1b, c2a, c2b")
    }
}

impl std::error::Error for LinkModeError {}

/// Eight values and the byte of flags before them; the first value's flag is the lowest bit.
#[derive(Default)]
struct Block {
    flags: u8,
    next_flag: u32,
    values: Vec<u8>,
}

impl Block {
    fn add<const N: usize>(&mut self, value: Option<[u8; N]>) {
        if let Some(value) = value {
            self.flags |= 1 << self.next_flag;
            self.values.extend(value);
        }
        self.next_flag += 1;
    }

    fn finish(self, bytes: &mut Vec<u8>) {
        bytes.push(self.flags);
        bytes.extend(self.values);
    }
}

fn optional<T>(
    is_there: bool,
    read: impl FnOnce() -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    if is_there { read().map(Some) } else { Ok(None) }
}

const fn is_on(value: u8) -> bool {
    value != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Layer;

    // Flag 0x02: the link mode follows. Flags 0x30: RSSI and time-stamp attachment follow.
    #[test]
    fn what_a_driver_sends() {
        let config = Config {
            link_mode: Some(LinkMode::C1a),
            attach_rssi: Some(true),
            attach_time_stamp: Some(false),
            ..Config::default()
        };
        assert_eq!(written(&config), [0x02, 6, 0x30, 1, 0]);
        assert_eq!(
            Config::read(&mut Reader::new(&[0x02, 6, 0x30, 1, 0])),
            Ok(config)
        );
    }

    // A host was seen to set nothing but the link mode, without the second flags.
    #[test]
    fn second_flags_may_be_left_out() {
        let config = Config::read(&mut Reader::new(&[0x02, 6])).unwrap();
        assert_eq!(
            config,
            Config {
                link_mode: Some(LinkMode::C1a),
                ..Config::default()
            }
        );
        assert_eq!(
            Config::read(&mut Reader::new(&[0x02])).unwrap_err().kind,
            ErrorKind::Truncated { missing: 1 }
        );
    }

    #[test]
    fn all_sixteen_values() {
        let bytes = [
            0xFF, 0, 8, 0x44, 0x2D, 0x2C, 0x57, 0x68, 0x66, 0x32, 0x30, 0x02, 1, 0xFF, 7, 0, 50, 0,
            1, 1, 0x0A, 1,
        ];
        let config = Config::read(&mut Reader::new(&bytes)).unwrap();
        assert_eq!(config.link_mode, Some(LinkMode::C2a));
        assert_eq!(
            config.identification,
            Some(IdentificationNumber(0x3266_6857))
        );
        assert_eq!(
            (config.power_level, config.receive_window, config.clock),
            (Some(7), Some(50), Some(true))
        );
        assert_eq!(written(&config), bytes);
        assert_eq!(Config::default().with(&config), config);
        assert_eq!(config.with(&Config::default()), config);
    }

    #[test]
    fn refuses_unknown_modes_and_missing_values() {
        let error = Config::read(&mut Reader::in_layer(Layer::Hci, 4, &[0x02, 10, 0])).unwrap_err();
        assert_eq!(
            (error.layer, error.offset, error.kind),
            (Layer::Hci, 5, ErrorKind::Reserved(10))
        );
        let error = Config::read(&mut Reader::new(&[0x10, 1, 2, 3])).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Truncated { missing: 1 });
    }

    #[test]
    fn names_of_link_modes() {
        for (number, (mode, name)) in LinkMode::ALL.into_iter().enumerate() {
            assert_eq!(mode as usize, number);
            assert_eq!((name.parse(), mode.to_string().as_str()), (Ok(mode), name));
        }
        assert_eq!("C1A".parse(), Ok(LinkMode::C1a));
        assert_eq!("c1".parse::<LinkMode>(), Err(LinkModeError));
    }

    fn written(config: &Config) -> Vec<u8> {
        let mut bytes = Vec::new();
        config.write(&mut bytes);
        bytes
    }
}
