//! The body of a message as plain text: the transport layer's security modes.

use super::message::Message;
use crate::address::Address;
use crate::crypto::{self, MeterKey, Purpose};
use crate::error::ErrorKind;
use crate::telegram::AccessNumber;
use crate::tpl::{self, Configuration, Extension};

/// Where a decrypted body goes.
pub(super) struct Room<'b> {
    /// `None` where what the extended link layer decrypted is in it.
    pub fixed: Option<&'b mut [u8; 256]>,
    pub spill: &'b mut Vec<u8>,
}

impl<'b> Room<'b> {
    fn copy_of(self, bytes: &[u8]) -> &'b mut [u8] {
        if let Some(room) = self.fixed.and_then(|fixed| fixed.get_mut(..bytes.len())) {
            room.copy_from_slice(bytes);
            return room;
        }
        self.spill.clear();
        self.spill.extend_from_slice(bytes);
        self.spill
    }
}

/// A message's body as plain text.
pub(super) struct Body<'b> {
    pub bytes: &'b [u8],
    /// How many bytes before `bytes` belong to the protection.
    pub skipped: usize,
    pub protected: Protected,
}

/// What the key did for a body.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Protected {
    /// It was plain text.
    No,
    /// It was encrypted.
    Encrypted,
    /// It was encrypted and a MAC was right.
    Authenticated,
}

impl<'a> Message<'a> {
    /// The body as plain text, decrypted if a key is known.
    #[inline]
    pub(super) fn body<'b>(
        &self,
        key: Option<&MeterKey>,
        address: Address,
        room: Room<'b>,
    ) -> Result<Body<'b>, ErrorKind>
    where
        'a: 'b,
    {
        let Some(fields) = &self.tpl.fields else {
            return Ok(self.as_it_is(0));
        };
        let configuration = &fields.configuration;
        match (configuration.mode(), key) {
            (0 | 1 | 16.., _) => Ok(self.as_it_is(0)),
            (2..=7, None) if self.body.starts_with(&CHECK) => Ok(self.as_it_is(CHECK.len())),
            (2 | 5 | 7 | 10, None) => Err(ErrorKind::KeyMissing),
            (2, Some(key)) => self.decrypt_des(configuration, key, room),
            (5, Some(key)) => {
                let initial = cbc_initial(address, fields.access_number);
                self.decrypt_blocks(key.aes128()?.as_ref(), initial, room)
            }
            (7, Some(key)) => {
                let counter = self
                    .counter()
                    .filter(|_| configuration.extension.derives_key());
                let counter = counter.ok_or(ErrorKind::UnsupportedMode(7))?;
                let key = crypto::derive(
                    key.aes128()?.as_ref(),
                    Purpose::Encryption,
                    counter,
                    address.identification,
                );
                self.decrypt_blocks(&key, [0; 16], room)
            }
            (10, Some(key)) => self.decrypt_ccm(configuration, key, address, room),
            (mode, _) => Err(ErrorKind::UnsupportedMode(mode)),
        }
    }

    /// How many bytes of the body the transport layer encrypts, from its first on.
    pub(super) fn encrypted_len(&self) -> usize {
        let Some(fields) = &self.tpl.fields else {
            return 0;
        };
        let configuration = &fields.configuration;
        match configuration.mode() {
            2 | 3 => configuration.encrypted_bytes_len().into(),
            // Some meters leave the number of blocks at 0 and encrypt all that are whole.
            5 | 7 => match configuration.encrypted_blocks_len() {
                0 => self.body.len() - self.body.len() % 16,
                length => length,
            },
            10 => {
                let tag_len = configuration.extension.tag_len();
                self.body.len().saturating_sub(tag_len)
            }
            _ => 0,
        }
    }

    /// Modes 5 and 7: the first blocks are encrypted, and begin with two filler bytes that tell whether the key fits.
    fn decrypt_blocks<'b>(
        &self,
        cipher: &aes::Aes128Enc,
        initial: [u8; 16],
        room: Room<'b>,
    ) -> Result<Body<'b>, ErrorKind> {
        let encrypted = self.encrypted_len();
        if encrypted == 0 {
            return Err(ErrorKind::NotEncrypted);
        }
        let decrypted = room.copy_of(self.body);
        let missing = encrypted.saturating_sub(decrypted.len());
        let blocks = decrypted
            .get_mut(..encrypted)
            .ok_or(ErrorKind::Truncated { missing })?;
        crypto::cbc_decrypt(cipher, initial, blocks);
        self.checked(decrypted)
    }

    /// Mode 2: DES in blocks of 8 bytes, the initial vector is 0.
    fn decrypt_des<'b>(
        &self,
        configuration: &Configuration,
        key: &MeterKey,
        room: Room<'b>,
    ) -> Result<Body<'b>, ErrorKind> {
        let encrypted = configuration.encrypted_bytes_len();
        if !encrypted.is_multiple_of(8) {
            return Err(ErrorKind::Reserved(encrypted));
        }
        if encrypted == 0 {
            return Err(ErrorKind::NotEncrypted);
        }
        let decrypted = room.copy_of(self.body);
        let missing = usize::from(encrypted).saturating_sub(decrypted.len());
        let blocks = decrypted
            .get_mut(..encrypted.into())
            .ok_or(ErrorKind::Truncated { missing })?;
        crypto::des_cbc_decrypt(key.des()?, [0; 8], blocks);
        self.checked(decrypted)
    }

    /// The two filler bytes that a right key gives are taken off.
    fn checked<'b>(&self, decrypted: &'b [u8]) -> Result<Body<'b>, ErrorKind> {
        match decrypted.strip_prefix(&CHECK) {
            Some(bytes) => Ok(Body {
                bytes,
                skipped: CHECK.len(),
                protected: Protected::Encrypted,
            }),
            None if self.body.starts_with(&CHECK) => Err(ErrorKind::NotEncrypted),
            None => Err(ErrorKind::KeyRejected),
        }
    }

    /// Mode 10: all is encrypted, and a tag follows that authenticates it together with the header up to the counter.
    fn decrypt_ccm<'b>(
        &self,
        configuration: &Configuration,
        key: &MeterKey,
        address: Address,
        room: Room<'b>,
    ) -> Result<Body<'b>, ErrorKind> {
        let Extension::Mode10 { counter, .. } = configuration.extension else {
            return Err(ErrorKind::UnsupportedMode(10));
        };
        let tag_len = configuration.extension.tag_len();
        let missing = tag_len.saturating_sub(self.body.len());
        let (encrypted, tag) = self
            .body
            .len()
            .checked_sub(tag_len)
            .and_then(|at| self.body.split_at_checked(at))
            .ok_or(ErrorKind::Truncated { missing })?;
        let declared = configuration.encrypted_bytes_len();
        if !configuration.extension.derives_key()
            || (u16::from(declared) != tpl::ALL_BYTES && usize::from(declared) != encrypted.len())
        {
            return Err(ErrorKind::UnsupportedMode(10));
        }
        let key = crypto::derive(
            key.aes128()?.as_ref(),
            Purpose::Encryption,
            counter,
            address.identification,
        );
        let header_len = self.bytes.len() - self.body.len() - size_of_val(&counter);
        let header = self.bytes.get(..header_len).unwrap_or_default();
        let bytes = room.copy_of(encrypted);
        crypto::ccm_decrypt(&key, ccm_nonce(address, counter), header, bytes, tag)
            .ok_or(ErrorKind::KeyRejected)?;
        Ok(Body {
            bytes,
            skipped: 0,
            protected: Protected::Authenticated,
        })
    }

    pub(super) fn as_it_is<'b>(&self, skipped: usize) -> Body<'b>
    where
        'a: 'b,
    {
        Body {
            bytes: self.body.get(skipped..).unwrap_or_default(),
            skipped,
            protected: Protected::No,
        }
    }
}

/// Mode 5: manufacturer, identification, version, medium, and eight times the access number.
pub(super) const fn cbc_initial(address: Address, AccessNumber(n): AccessNumber) -> [u8; 16] {
    let [m0, m1, a0, a1, a2, a3, a4, a5] = address.to_link();
    [m0, m1, a0, a1, a2, a3, a4, a5, n, n, n, n, n, n, n, n]
}

/// Mode 10: manufacturer, identification, version, medium, a zero, and the counter, highest byte first.
pub(super) const fn ccm_nonce(address: Address, counter: u32) -> [u8; 13] {
    let [m0, m1, a0, a1, a2, a3, a4, a5] = address.to_link();
    let [c3, c2, c1, c0] = counter.to_be_bytes();
    [m0, m1, a0, a1, a2, a3, a4, a5, 0, c3, c2, c1, c0]
}

/// What the encrypted part of modes 2, 5 and 7 begins with: two filler bytes.
///
/// Source: EN 13757-7, 7.6 (decryption verification).
pub(super) const CHECK: [u8; 2] = [0x2F; 2];
