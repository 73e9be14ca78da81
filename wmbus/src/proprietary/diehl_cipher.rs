//! The stream cipher of Diehl's own formats (Hydrometer, Sappel): a shift register of 32 bits.
//!
//! It hides, it does not protect: the key has 32 bits, two keys are in all meters that nobody gave another, and a
//! forger needs none of them to turn bits. Whatever it opens is not authenticated.
//!
//! | seed | bytes, highest first |
//! |---|---|
//! | key | bytes 0..4 XOR bytes 4..8 of the key of 8 bytes |
//! | XOR | manufacturer and the first two bytes of the address, as the link layer carries them |
//! | XOR | the last four bytes of the address |
//! | XOR | CI and the three bytes behind it |
//!
//! Eight steps give a byte of the key stream, the register's lowest; in each step bits 1, 2, 11 and 31 are added up
//! and pushed in from below.
//!
//! Source of the facts: wmbusmeters, `manufacturer_specificities.cc` (algorithm, default keys).

use super::Input;
use crate::crypto::MeterKey;
use crate::error::{Error, ErrorKind};

/// The keys that all meters have unless they were given another.
const DEFAULT_KEYS: [[u8; 8]; 2] = [
    [0x39, 0xBC, 0x8A, 0x10, 0xE6, 0x6D, 0x83, 0xF8],
    [0x51, 0x72, 0x89, 0x10, 0xE6, 0x6D, 0x83, 0xF8],
];

/// Decrypts `body`, which follows CI and `header`.
///
/// Uses the meter's key, or without one the default keys.
///
/// # Errors
/// [`ErrorKind::KeyLength`] if the meter's key is not one of 8 bytes; [`ErrorKind::KeyRejected`] if what comes out
/// `fits` with no key.
pub(super) fn open(
    input: &Input<'_>,
    header: [u8; 3],
    body: &[u8],
    fits: impl Fn(&[u8]) -> bool,
) -> Result<Vec<u8>, Error> {
    let own = match input.key.map(MeterKey::des).transpose() {
        Ok(own) => own.map(|key| *key.as_bytes()),
        Err(kind) => return Err(input.reader.error(kind)),
    };
    let keys = match &own {
        Some(key) => core::slice::from_ref(key),
        None => &DEFAULT_KEYS,
    };
    keys.iter()
        .map(|&key| decrypt(key, input, header, body))
        .find(|plain| fits(plain))
        .ok_or(input.reader.error(ErrorKind::KeyRejected))
}

fn decrypt(key: [u8; 8], input: &Input<'_>, [a, b, c]: [u8; 3], body: &[u8]) -> Vec<u8> {
    let address = input.plain.sender.to_link();
    let seed = fold(key) ^ fold(address) ^ u32::from_be_bytes([input.plain.ci, a, b, c]);
    let mut register = seed;
    body.iter()
        .map(|byte| {
            for _ in 0..8 {
                let bit = register >> 1 ^ register >> 2 ^ register >> 11 ^ register >> 31;
                register = register << 1 | bit & 1;
            }
            byte ^ register as u8
        })
        .collect()
}

/// The two halves, highest byte first, added up.
const fn fold(bytes: [u8; 8]) -> u32 {
    let both = u64::from_be_bytes(bytes);
    (both >> 32) as u32 ^ both as u32
}
