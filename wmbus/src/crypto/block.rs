//! Cipher block chaining.

use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyIvInit};
use aes::{Aes128, Aes128Enc};
use des::Des;

use crate::key::DesKey;

/// Decrypts whole AES-128 blocks; bytes behind the last whole block stay as they are.
pub(crate) fn cbc_decrypt(cipher: &Aes128Enc, initial: [u8; 16], data: &mut [u8]) {
    let mut mode = cbc::Decryptor::inner_iv_init(Aes128::from(cipher), &initial.into());
    mode.decrypt_blocks(whole_blocks(data));
}

/// Encrypts whole AES-128 blocks; bytes behind the last whole block stay as they are.
pub(crate) fn cbc_encrypt(cipher: &Aes128Enc, initial: [u8; 16], data: &mut [u8]) {
    let mut mode = cbc::Encryptor::inner_iv_init(cipher, &initial.into());
    mode.encrypt_blocks(whole_blocks(data));
}

/// Decrypts whole DES blocks; bytes behind the last whole block stay as they are.
pub(crate) fn des_cbc_decrypt(key: &DesKey, initial: [u8; 8], data: &mut [u8]) {
    let mut mode = cbc::Decryptor::<Des>::new(key.as_bytes().into(), &initial.into());
    mode.decrypt_blocks(whole_blocks(data));
}

/// Encrypts whole DES blocks, for test telegrams: nothing should be sent with DES any more.
#[cfg(test)]
pub(crate) fn des_cbc_encrypt(key: &DesKey, initial: [u8; 8], data: &mut [u8]) {
    let mut mode = cbc::Encryptor::<Des>::new(key.as_bytes().into(), &initial.into());
    mode.encrypt_blocks(whole_blocks(data));
}

fn whole_blocks<N: aes::cipher::array::ArraySize>(
    data: &mut [u8],
) -> &mut [aes::cipher::Array<u8, N>] {
    aes::cipher::Array::slice_as_chunks_mut(data).0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::MeterKey;
    use crate::key::Key;

    // NIST SP 800-38A, F.2.1 CBC-AES128.Encrypt, blocks 1 and 2.
    #[test]
    fn aes_of_the_standard() {
        let key = MeterKey::from(&Key::from_bytes(
            0x2b7e151628aed2a6abf7158809cf4f3c_u128.to_be_bytes(),
        ));
        let cipher = key.aes128().unwrap();
        let initial = 0x000102030405060708090a0b0c0d0e0f_u128.to_be_bytes();
        let plain = [
            0x6bc1bee22e409f96e93d7e117393172a_u128.to_be_bytes(),
            0xae2d8a571e03ac9c9eb76fac45af8e51_u128.to_be_bytes(),
        ];
        let mut data = plain.as_flattened().to_vec();
        data.push(0x2F);
        cbc_encrypt(cipher.as_ref(), initial, &mut data);
        assert_eq!(
            data[..16],
            0x7649abac8119b246cee98e9b12e9197d_u128.to_be_bytes()
        );
        assert_eq!(
            data[16..32],
            0x5086cb9b507219ee95db113a917678b2_u128.to_be_bytes()
        );
        assert_eq!(data[32], 0x2F);
        cbc_decrypt(cipher.as_ref(), initial, &mut data);
        assert_eq!(data[..32], *plain.as_flattened());
    }

    // FIPS 81, table C1: CBC with key 0123456789abcdef, initial vector 1234567890abcdef, "Now is the time for all ".
    #[test]
    fn des_of_the_standard() {
        let key = DesKey::from_bytes(0x0123456789abcdef_u64.to_be_bytes());
        let initial = 0x1234567890abcdef_u64.to_be_bytes();
        let mut data = *b"Now is the time for all ";
        des_cbc_encrypt(&key, initial, &mut data);
        let encrypted = [
            0xe5c7cdde872bf27c_u64,
            0x43e934008c389c0f,
            0x683788499a7c05f6,
        ]
        .map(u64::to_be_bytes);
        assert_eq!(data, *encrypted.as_flattened());
        des_cbc_decrypt(&key, initial, &mut data);
        assert_eq!(data, *b"Now is the time for all ");
    }
}
