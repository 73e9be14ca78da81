//! A telegram with what could be decrypted in the place of what was received: for those who look at its bytes.

use core::ops::Range;

use super::body::{CHECK, Protected, Room};
use super::message::Message;
use super::{Telegram, Upper};
use crate::crypto::MeterKey;
use crate::ell;
use crate::error::{ErrorKind, Layer};
use crate::reader::Reader;

/// A telegram's bytes, decrypted as far as the key reaches. No cipher changes a length: every byte stays in its place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clear {
    /// The telegram.
    pub bytes: Vec<u8>,
    /// Which of them were encrypted.
    pub decrypted: Vec<Range<usize>>,
    /// From where on they still are.
    pub sealed_from: Option<usize>,
}

impl Telegram<'_> {
    /// Decrypts as far as the key reaches; nothing is verified but that the key fits.
    pub(crate) fn clear(&self, key: Option<&MeterKey>) -> Clear {
        let mut clear = Clear {
            bytes: self.joined().unwrap_or(self.bytes).to_vec(),
            ..Clear::default()
        };
        match &self.upper {
            Upper::Open(message) => message.clear(self, key, &mut clear),
            Upper::Fragment { .. } => {}
            Upper::Sealed(sealed) => {
                let mut room = [0; 256];
                let Ok(payload) = sealed.unseal(self.sender, key, &mut room) else {
                    clear.sealed_from = Some(sealed.offset);
                    return clear;
                };
                if key.is_some() {
                    // The CRC is right, so it is the payload's.
                    let crc = crate::crc::en13757(payload).to_le_bytes();
                    clear.put(sealed.offset, &[&crc, payload].concat());
                    clear.decrypted.push(sealed.offset..self.bytes.len());
                }
                let offset = sealed.offset + ell::CRC_LEN;
                let reader = Reader::in_layer(Layer::Tpl, offset, payload);
                if let Ok(Upper::Open(message)) = Upper::read(reader, true) {
                    message.clear(self, key, &mut clear);
                }
            }
        }
        clear
    }
}

impl<'a> Telegram<'a> {
    /// The message that was joined from fragments, as it was received; `None` of any other telegram.
    pub(crate) fn joined(&self) -> Option<&'a [u8]> {
        match &self.upper {
            Upper::Open(message) => self.bytes.is_empty().then_some(message.bytes),
            Upper::Sealed(_) | Upper::Fragment { .. } => None,
        }
    }
}

impl Message<'_> {
    fn clear(&self, telegram: &Telegram<'_>, key: Option<&MeterKey>, clear: &mut Clear) {
        let address = self.tpl.address.unwrap_or(telegram.sender);
        let mut spill = Vec::new();
        let room = Room {
            fixed: None,
            spill: &mut spill,
        };
        match self.body(key, address, room) {
            Ok(body) if body.protected == Protected::No => {}
            Ok(body) => {
                let len = self.encrypted_len();
                if body.skipped > 0 {
                    clear.put(self.offset, &CHECK);
                }
                clear.put(self.offset + body.skipped, body.bytes);
                clear.decrypted.push(self.offset..self.offset + len);
            }
            Err(ErrorKind::NotEncrypted) => {}
            Err(_) => clear.sealed_from = Some(self.offset),
        }
    }
}

impl Clear {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        for (old, new) in self.bytes.iter_mut().skip(at).zip(bytes) {
            *old = *new;
        }
    }

    /// Is a part of it still encrypted?
    pub const fn is_sealed(&self) -> bool {
        self.sealed_from.is_some()
    }

    /// Was this byte encrypted?
    pub fn was_encrypted(&self, at: usize) -> bool {
        self.decrypted.iter().any(|range| range.contains(&at))
    }
}
