//! Who sent a telegram: manufacturer, identification number, version, medium.

use core::fmt;
use core::str::FromStr;

use crate::error::Error;
use crate::reader::Reader;

/// A meter's address as it stands in the link layer and in the long header of the transport layer.
///
/// Source: EN 13757-4 and EN 13757-7, 7.5.
///
/// ```
/// use wmbus::{Address, Reader};
/// let address = Address::read_link(&mut Reader::new(&[0x2D, 0x2C, 0x57, 0x68, 0x66, 0x32, 0x30, 0x02]))?;
/// assert_eq!(address.to_string(), "KAM-32666857-30-02");
/// # Ok::<(), wmbus::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// Who made the meter.
    pub manufacturer: Manufacturer,
    /// The meter's number, unique with the manufacturer, version and medium.
    pub identification: IdentificationNumber,
    /// The version of the meter's type.
    pub version: u8,
    /// What the meter measures.
    pub medium: Medium,
}

impl Address {
    /// How many bytes an address takes on the air.
    pub const LEN: usize = 8;

    /// Reads the link layer's order: manufacturer, identification number, version, medium.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`](crate::ErrorKind::Truncated) below eight bytes.
    #[inline]
    pub fn read_link(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self::from_link(*reader.take_array()?))
    }

    /// The address with these bytes in the link layer's order.
    #[inline]
    #[must_use]
    pub const fn from_link([m0, m1, i0, i1, i2, i3, version, medium]: [u8; Self::LEN]) -> Self {
        Self::from_parts([m0, m1], [i0, i1, i2, i3], version, medium)
    }

    /// Reads the long header's order: identification number, manufacturer, version, medium.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`](crate::ErrorKind::Truncated) below eight bytes.
    #[inline]
    pub fn read_header(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let &[i0, i1, i2, i3, m0, m1, version, medium] = reader.take_array()?;
        Ok(Self::from_parts(
            [m0, m1],
            [i0, i1, i2, i3],
            version,
            medium,
        ))
    }

    /// The same address without the bit that says where it is unique: as it is written, and as meters are looked up.
    #[inline]
    #[must_use]
    pub const fn with_registered_manufacturer(self) -> Self {
        Self {
            manufacturer: self.manufacturer.letters_only(),
            ..self
        }
    }

    /// The address in the link layer's order, as it enters the initial vectors of all ciphers.
    #[inline]
    #[must_use]
    pub const fn to_link(self) -> [u8; Self::LEN] {
        let [m0, m1] = self.manufacturer.0.to_le_bytes();
        let [i0, i1, i2, i3] = self.identification.0.to_le_bytes();
        [m0, m1, i0, i1, i2, i3, self.version, self.medium.0]
    }

    /// The address in the long header's order.
    #[inline]
    #[must_use]
    pub const fn to_header(self) -> [u8; Self::LEN] {
        let [m0, m1, i0, i1, i2, i3, version, medium] = self.to_link();
        [i0, i1, i2, i3, m0, m1, version, medium]
    }

    #[inline]
    const fn from_parts(
        manufacturer: [u8; 2],
        identification: [u8; 4],
        version: u8,
        medium: u8,
    ) -> Self {
        Self {
            manufacturer: Manufacturer(u16::from_le_bytes(manufacturer)),
            identification: IdentificationNumber(u32::from_le_bytes(identification)),
            version,
            medium: Medium(medium),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}-{}-{:02X}-{:02X}",
            self.manufacturer, self.identification, self.version, self.medium.0
        )
    }
}

/// A manufacturer's three letters, five bits each, as registered with the FLAG association.
///
/// Bit 15 says that the address is unique only within the installation. It is no part of the letters, and is kept because
/// it enters initial vectors.
/// Source: EN 13757-7, 7.5.2.
///
/// ```
/// use wmbus::Manufacturer;
/// let kamstrup: Manufacturer = "kam".parse()?;
/// assert_eq!((kamstrup.0, kamstrup.to_string()), (0x2C2D, "KAM".to_owned()));
/// # Ok::<(), wmbus::AddressError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Manufacturer(pub u16);

impl Manufacturer {
    /// Without bit 15.
    pub(crate) const fn letters_only(self) -> Self {
        Self(self.0 & 0x7FFF)
    }
}

impl FromStr for Manufacturer {
    type Err = AddressError;

    /// Reads three ASCII letters of either case.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let letters: &[u8; 3] = text
            .as_bytes()
            .try_into()
            .map_err(|_| AddressError::Manufacturer)?;
        letters.iter().try_fold(Self(0), |Self(code), letter| {
            match letter.to_ascii_uppercase() {
                letter @ b'A'..=b'Z' => Ok(Self(code << 5 | u16::from(letter - b'A' + 1))),
                _ => Err(AddressError::Manufacturer),
            }
        })
    }
}

impl fmt::Display for Manufacturer {
    /// Three upper-case letters; `?` for five bits that are no letter.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for shift in [10, 5, 0] {
            let letter = match (self.0 >> shift) as u8 & 0x1F {
                number @ 1..=26 => b'A' + number - 1,
                _ => b'?',
            };
            fmt::Write::write_char(f, char::from(letter))?;
        }
        Ok(())
    }
}

/// A meter's eight-digit number, two digits a byte: 0x32666857 is meter 32666857.
///
/// The standard wants decimal digits; meters with hexadecimal ones exist, so the digits A to F are kept.
/// Source: EN 13757-7, 7.5.1.
///
/// ```
/// use wmbus::IdentificationNumber;
/// let number: IdentificationNumber = "666857".parse()?;
/// assert_eq!((number.0, number.to_string()), (0x0066_6857, "00666857".to_owned()));
/// # Ok::<(), wmbus::AddressError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdentificationNumber(pub u32);

impl FromStr for IdentificationNumber {
    type Err = AddressError;

    /// Reads one to eight decimal digits, or exactly eight hexadecimal ones as some meters carry.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let decimal = text.bytes().all(|digit| digit.is_ascii_digit());
        let hexadecimal = text.len() == 8 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        if !(decimal && (1..=8).contains(&text.len()) || hexadecimal) {
            return Err(AddressError::Identification);
        }
        u32::from_str_radix(text, 16)
            .map(Self)
            .map_err(|_| AddressError::Identification)
    }
}

impl fmt::Display for IdentificationNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08X}", self.0)
    }
}

/// What a meter measures: the device type of EN 13757-7, table 13 (2 electricity, 3 gas, 4 heat, 7 water, …).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Medium(pub u8);

impl Medium {
    /// What it is in words; `None` for a reserved number.
    ///
    /// ```
    /// assert_eq!(wmbus::Medium(7).name(), Some("water"));
    /// ```
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0x00 => "other",
            0x01 => "oil",
            0x02 => "electricity",
            0x03 => "gas",
            0x04 => "heat",
            0x05 => "steam",
            0x06 => "warm water",
            0x07 => "water",
            0x08 => "heat cost allocator",
            0x09 => "compressed air",
            0x0A => "cooling, outlet",
            0x0B => "cooling, inlet",
            0x0C => "heat, inlet",
            0x0D => "heat and cooling",
            0x0E => "bus or system component",
            0x0F => "unknown",
            0x10 => "irrigation water",
            0x11 => "water data logger",
            0x12 => "gas data logger",
            0x13 => "gas converter",
            0x14 => "calorific value",
            0x15 => "hot water",
            0x16 => "cold water",
            0x17 => "hot and cold water",
            0x18 => "pressure",
            0x19 => "A/D converter",
            0x1A => "smoke alarm",
            0x1B => "room sensor",
            0x1C => "gas detector",
            0x1D => "carbon monoxide alarm",
            0x1E => "heat alarm",
            0x1F => "sensor",
            0x20 => "breaker",
            0x21 => "valve",
            0x25 => "customer unit",
            0x28 => "waste water",
            0x29 => "garbage",
            0x2A => "carbon dioxide",
            0x30 => "service tool",
            0x31 => "communication controller",
            0x32 => "unidirectional repeater",
            0x33 => "bidirectional repeater",
            0x36 => "radio converter, system side",
            0x37 => "radio converter, meter side",
            0x38 => "wired adapter",
            _ => return None,
        })
    }
}

/// Text that is not a part of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressError {
    /// A manufacturer is three ASCII letters.
    Manufacturer,
    /// An identification number is one to eight decimal digits.
    Identification,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Manufacturer => "a manufacturer is three ASCII letters",
            Self::Identification => "an identification number is one to eight decimal digits",
        })
    }
}

impl std::error::Error for AddressError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_orders_hold_the_same() {
        let link = [0x2D, 0x2C, 0x57, 0x68, 0x66, 0x32, 0x30, 0x02];
        let header = [0x57, 0x68, 0x66, 0x32, 0x2D, 0x2C, 0x30, 0x02];
        let address = Address::read_link(&mut Reader::new(&link)).unwrap();
        assert_eq!(Address::read_header(&mut Reader::new(&header)), Ok(address));
        assert_eq!((address.to_link(), address.to_header()), (link, header));
    }

    #[test]
    fn manufacturer_needs_three_letters() {
        for bad in ["", "KA", "KAMM", "K1M", "KÄ", "K M", "@AM"] {
            assert_eq!(
                bad.parse::<Manufacturer>(),
                Err(AddressError::Manufacturer),
                "{bad:?}"
            );
        }
        assert_eq!(
            "aZa".parse::<Manufacturer>().map(|m| m.to_string()),
            Ok("AZA".to_owned())
        );
        assert_eq!(Manufacturer(0).to_string(), "???");
        let only_here = Manufacturer(0x2C2D | 0x8000);
        assert_eq!(only_here.to_string(), "KAM");
        assert_eq!(Ok(only_here.letters_only()), "KAM".parse());
    }

    #[test]
    fn identification_needs_digits() {
        for bad in ["", "123456789", "12 4", "-1", "+1", "ABC", "1234567G", "٣"] {
            assert_eq!(
                bad.parse::<IdentificationNumber>(),
                Err(AddressError::Identification),
                "{bad:?}"
            );
        }
        assert_eq!(
            "20e4ffde"
                .parse::<IdentificationNumber>()
                .map(|n| n.to_string()),
            Ok("20E4FFDE".to_owned())
        );
        assert_eq!(
            "7".parse::<IdentificationNumber>(),
            Ok(IdentificationNumber(7))
        );
    }
}
