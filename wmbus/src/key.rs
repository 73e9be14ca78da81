//! Meter keys: kept from view, wiped when dropped.

use core::fmt;
use core::str::FromStr;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// An AES-128 key of a meter.
///
/// It is written as 32 hexadecimal digits and read from them with [`FromStr`]. There is no way to print it.
///
/// ```
/// use wmbus::Key;
/// let key: Key = "000102030405060708090A0B0C0D0E0F".parse()?;
/// assert_eq!(format!("{key:?}"), "Key(redacted)");
/// assert!("000102030405060708090A0B0C0D0E".parse::<Key>().is_err());
/// # Ok::<(), wmbus::KeyError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Key([u8; 16]);

impl Key {
    /// The key with these bytes, in the order in which they are written.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The key's bytes: for ciphers and for the table on disk that keeps it, nothing else.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut key = Self([0; 16]);
        read_hex(text, &mut key.0)?;
        Ok(key)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(redacted)")
    }
}

/// A DES key of a meter with security mode 2 or 3: 16 hexadecimal digits.
///
/// DES protects nothing any more; such telegrams are decoded, and count as not authenticated.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct DesKey([u8; 8]);

impl DesKey {
    /// How many digits such a key is written with.
    pub(crate) const DIGITS: usize = 16;

    /// The key with these bytes, in the order in which they are written.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// The key's bytes: for the cipher, nothing else.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl FromStr for DesKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut key = Self([0; 8]);
        read_hex(text, &mut key.0)?;
        Ok(key)
    }
}

impl fmt::Debug for DesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DesKey(redacted)")
    }
}

/// Text that is not a key. It says why, never what the text was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// The number of digits is wrong.
    Length {
        /// How many digits such a key has.
        expected: usize,
        /// How many characters were given.
        found: usize,
    },
    /// A character is not a hexadecimal digit.
    Digit {
        /// Which one, from 0.
        position: usize,
    },
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Length { expected, found } => write!(
                f,
                "a key of {expected} hexadecimal digits is needed, {found} characters were given"
            ),
            Self::Digit { position } => write!(
                f,
                "character {} of the key is not a hexadecimal digit",
                position + 1
            ),
        }
    }
}

impl std::error::Error for KeyError {}

fn read_hex(text: &str, key: &mut [u8]) -> Result<(), KeyError> {
    let found = text.chars().count();
    if found != 2 * key.len() {
        return Err(KeyError::Length {
            expected: 2 * key.len(),
            found,
        });
    }
    for (position, digit) in text.chars().enumerate() {
        let value = digit.to_digit(16).ok_or(KeyError::Digit { position })?;
        if let Some(byte) = key.get_mut(position / 2) {
            // Four bits at a time; the upper half moves up when the lower one comes.
            *byte = *byte << 4 | value as u8;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_either_case_in_writing_order() {
        let key: Key = "9A25139E3244CC2E391A8EF6B915b697".parse().unwrap();
        assert_eq!(key.as_bytes()[..4], [0x9A, 0x25, 0x13, 0x9E]);
        assert_eq!(key.as_bytes()[14..], [0xB6, 0x97]);
        let key: DesKey = "0102030405060708".parse().unwrap();
        assert_eq!(key.as_bytes(), &[1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn errors_do_not_echo() {
        let secret = "9A25139E3244CC2E391A8EF6B915B69G";
        let error = secret.parse::<Key>().unwrap_err();
        assert_eq!(error, KeyError::Digit { position: 31 });
        assert_eq!(
            error.to_string(),
            "character 32 of the key is not a hexadecimal digit"
        );
        assert_eq!(
            "9A2".parse::<Key>().unwrap_err(),
            KeyError::Length {
                expected: 32,
                found: 3
            }
        );
        assert_eq!(
            "ÄÖ".repeat(8).parse::<Key>().unwrap_err(),
            KeyError::Length {
                expected: 32,
                found: 16
            }
        );
        assert_eq!(
            "Ä".repeat(32).parse::<Key>().unwrap_err(),
            KeyError::Digit { position: 0 }
        );
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(
            format!("{:?}", Key::from_bytes([0xAB; 16])),
            "Key(redacted)"
        );
        assert_eq!(
            format!("{:?}", DesKey::from_bytes([0xAB; 8])),
            "DesKey(redacted)"
        );
    }
}
