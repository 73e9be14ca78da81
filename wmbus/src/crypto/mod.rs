//! The ciphers of the extended link layer and the transport layer, and the keys made ready for them.

mod block;
mod ccm;
mod mac;

use core::fmt;
use core::str::FromStr;

use aes::cipher::{InnerIvInit, KeyInit, StreamCipherCore};
use aes::{Aes128Enc, Block};

use crate::error::ErrorKind;
use crate::key::{DesKey, Key, KeyError};

#[cfg(test)]
pub(crate) use block::des_cbc_encrypt;
pub(crate) use block::{cbc_decrypt, cbc_encrypt, des_cbc_decrypt};
pub(crate) use ccm::{ccm_decrypt, ccm_encrypt};
pub(crate) use mac::{Mac, Purpose, derive};

/// A meter's key, made ready for its cipher: expanded once, used for every telegram.
///
/// Read from 32 hexadecimal digits it is an AES-128 key, from 16 a DES key.
///
/// ```
/// use wmbus::MeterKey;
/// let key: MeterKey = "9A25139E3244CC2E391A8EF6B915B697".parse()?;
/// assert_eq!(format!("{key:?}"), "MeterKey(redacted)");
/// assert!("9A25139E3244CC2E".parse::<MeterKey>().is_ok());
/// assert!("9A25139E".parse::<MeterKey>().is_err());
/// # Ok::<(), wmbus::KeyError>(())
/// ```
#[derive(Clone)]
pub struct MeterKey(Cipher);

#[derive(Clone)]
enum Cipher {
    Ready(Box<Aes128Enc>),
    Small(Key),
    Des(DesKey),
}

impl MeterKey {
    /// An AES-128 key that is expanded anew for each telegram. Of many meters, whose telegrams come in turn, that takes less time than
    /// fetching the 176 bytes of an expanded key from memory; of one, some 60 ns more.
    #[must_use]
    pub const fn small(key: Key) -> Self {
        Self(Cipher::Small(key))
    }

    /// The cipher of all modes but 2 and 3.
    #[inline]
    pub(crate) fn aes128(&self) -> Result<Expanded<'_>, ErrorKind> {
        match &self.0 {
            Cipher::Ready(cipher) => Ok(Expanded::Kept(cipher)),
            Cipher::Small(key) => Ok(Expanded::Made(expand(key))),
            Cipher::Des(_) => Err(ErrorKind::KeyLength),
        }
    }

    /// The key of modes 2 and 3.
    pub(crate) const fn des(&self) -> Result<&DesKey, ErrorKind> {
        match &self.0 {
            Cipher::Ready(_) | Cipher::Small(_) => Err(ErrorKind::KeyLength),
            Cipher::Des(key) => Ok(key),
        }
    }
}

fn expand(key: &Key) -> Aes128Enc {
    Aes128Enc::new(key.as_bytes().into())
}

/// An expanded key.
pub(crate) enum Expanded<'a> {
    Kept(&'a Aes128Enc),
    Made(Aes128Enc),
}

impl AsRef<Aes128Enc> for Expanded<'_> {
    #[inline]
    fn as_ref(&self) -> &Aes128Enc {
        match self {
            Self::Kept(cipher) => cipher,
            Self::Made(cipher) => cipher,
        }
    }
}

impl From<&Key> for MeterKey {
    fn from(key: &Key) -> Self {
        Self(Cipher::Ready(Box::new(expand(key))))
    }
}

impl From<DesKey> for MeterKey {
    fn from(key: DesKey) -> Self {
        Self(Cipher::Des(key))
    }
}

impl FromStr for MeterKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        match text.chars().count() {
            DesKey::DIGITS => Ok(text.parse::<DesKey>()?.into()),
            _ => Ok((&text.parse::<Key>()?).into()),
        }
    }
}

impl fmt::Debug for MeterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MeterKey(redacted)")
    }
}

/// Encrypts or decrypts in counter mode; the counter is the whole block, highest byte first.
#[inline]
pub(crate) fn ctr(cipher: &Aes128Enc, initial: [u8; 16], data: &mut [u8]) {
    let mut counter = Counter::inner_iv_init(cipher, &initial.into());
    // Two blocks at a time: a compact telegram of an electricity meter takes two.
    let mut key_stream = [Block::default(); 2];
    for chunk in data.chunks_mut(size_of_val(&key_stream)) {
        counter.write_keystream_blocks(&mut key_stream);
        // Slices, not an iterator over blocks: the compiler makes one instruction of sixteen bytes.
        let key_stream = Block::slice_as_flattened(&key_stream);
        for (byte, key) in chunk.iter_mut().zip(key_stream) {
            *byte ^= key;
        }
    }
}

type Counter<'a> = ctr::CtrCore<&'a Aes128Enc, ctr::flavors::Ctr128BE>;

#[cfg(test)]
mod tests {
    use super::*;

    // NIST SP 800-38A, F.5.1 CTR-AES128.Encrypt, the first three blocks, the third cut after five bytes.
    #[test]
    fn ctr_of_the_standard() {
        let key = Key::from_bytes(0x2b7e151628aed2a6abf7158809cf4f3c_u128.to_be_bytes());
        let initial = 0xf0f1f2f3f4f5f6f7f8f9fafbfcfdfeff_u128.to_be_bytes();
        let plain = [
            0x6bc1bee22e409f96e93d7e117393172a_u128.to_be_bytes(),
            0xae2d8a571e03ac9c9eb76fac45af8e51_u128.to_be_bytes(),
            0x30c81c46a35ce411e5fbc1191a0a52ef_u128.to_be_bytes(),
        ];
        let encrypted = [
            0x874d6191b620e3261bef6864990db6ce_u128.to_be_bytes(),
            0x9806f66b7970fdff8617187bb9fffdff_u128.to_be_bytes(),
            0x5ae4df3edbd5d35e5b4f09020db03eab_u128.to_be_bytes(),
        ];
        let mut data = plain.as_flattened()[..37].to_vec();
        ctr(
            MeterKey::from(&key).aes128().unwrap().as_ref(),
            initial,
            &mut data,
        );
        assert_eq!(data, encrypted.as_flattened()[..37]);
    }

    #[test]
    fn small_or_ready_the_key_is_the_same() {
        let key = Key::from_bytes([7; 16]);
        let encrypted = |key: MeterKey| {
            let mut data = [0; 16];
            ctr(key.aes128().unwrap().as_ref(), [1; 16], &mut data);
            data
        };
        assert_eq!(
            encrypted(MeterKey::small(key.clone())),
            encrypted((&key).into())
        );
        assert!(size_of::<MeterKey>() <= 24, "{}", size_of::<MeterKey>());
    }

    #[test]
    fn each_cipher_wants_its_own_key() {
        let aes: MeterKey = "000102030405060708090A0B0C0D0E0F".parse().unwrap();
        let des: MeterKey = "0102030405060708".parse().unwrap();
        assert!(aes.aes128().is_ok() && des.des().is_ok());
        assert_eq!(des.aes128().err(), Some(ErrorKind::KeyLength));
        assert_eq!(aes.des().err(), Some(ErrorKind::KeyLength));
        assert_eq!(
            "00".parse::<MeterKey>().err(),
            Some(KeyError::Length {
                expected: 32,
                found: 2
            })
        );
    }
}
