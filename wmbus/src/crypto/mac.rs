//! AES-128-CMAC: message authentication codes and the keys derived for one message.

use aes::Aes128Enc;
use aes::cipher::KeyInit;
use cmac::digest::InnerInit;
use cmac::{Cmac, Mac as _};
use zeroize::Zeroizing;

use crate::address::IdentificationNumber;

/// What a derived key is for, and who sends with it.
///
/// Source: EN 13757-7, 9.6.2, the constant D of the key derivation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Encryption by the meter.
    Encryption = 0x00,
    /// Authentication by the meter.
    Authentication = 0x01,
}

/// A message authentication code in the making.
pub(crate) struct Mac(Cmac<Aes128Enc>);

impl Mac {
    pub(crate) fn new(cipher: &Aes128Enc) -> Self {
        Self(Cmac::inner_init(cipher.clone()))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Is `tag` the beginning of the code? Takes the same time for any wrong one.
    pub(crate) fn verify(self, tag: &[u8]) -> bool {
        self.0.verify_truncated_left(tag).is_ok()
    }

    pub(crate) fn finish(self) -> [u8; 16] {
        self.0.finalize().into_bytes().into()
    }
}

/// The key for one message: CMAC with the meter's key over D, message counter, identification number and padding.
///
/// Source: EN 13757-7, 9.6.2 (key derivation function A); OMS Vol. 2, 9.5.
pub(crate) fn derive(
    cipher: &Aes128Enc,
    purpose: Purpose,
    counter: u32,
    meter: IdentificationNumber,
) -> Aes128Enc {
    const PADDING: [u8; 7] = [0x07; 7];
    let mut mac = Mac::new(cipher);
    mac.update(&[purpose as u8]);
    mac.update(&counter.to_le_bytes());
    mac.update(&meter.0.to_le_bytes());
    mac.update(&PADDING);
    let key = Zeroizing::new(mac.finish());
    Aes128Enc::new((&*key).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 4493, section 4, examples 2 and 3.
    #[test]
    fn cmac_of_the_rfc() {
        let cipher = Aes128Enc::new(&0x2b7e151628aed2a6abf7158809cf4f3c_u128.to_be_bytes().into());
        let message = [
            0x6bc1bee22e409f96e93d7e117393172a_u128.to_be_bytes(),
            0xae2d8a571e03ac9c9eb76fac45af8e51_u128.to_be_bytes(),
            0x30c81c46a35ce411e5fbc1191a0a52ef_u128.to_be_bytes(),
        ];
        let of = |message: &[u8]| {
            let mut mac = Mac::new(&cipher);
            mac.update(message);
            mac.finish()
        };
        assert_eq!(
            of(&message[0]),
            0x070a16b46b4d4144f79bdd9dd04a287c_u128.to_be_bytes()
        );
        assert_eq!(
            of(&message.as_flattened()[..40]),
            0xdfa66747de9ae63030ca32611497c827_u128.to_be_bytes()
        );
    }

    #[test]
    fn verifies_a_truncated_code() {
        let cipher = Aes128Enc::new(&[7; 16].into());
        let mut mac = Mac::new(&cipher);
        mac.update(b"message");
        let mut tag = mac.finish()[..8].to_vec();
        let verify = |tag: &[u8]| {
            let mut mac = Mac::new(&cipher);
            mac.update(b"message");
            mac.verify(tag)
        };
        assert!(verify(&tag));
        tag[7] ^= 1;
        assert!(!verify(&tag));
        assert!(!verify(&[]));
    }
}
