//! AES-128-CCM with tags of four lengths.

use aes::Aes128Enc;
use ccm::aead::AeadInOut;
use ccm::aead::array::{Array, ArraySize};
use ccm::consts::{U4, U8, U12, U13, U16};
use ccm::{Ccm, TagSize};

/// Decrypts in place and verifies the tag; `None` if it is wrong, or of a length that the mode does not have.
pub(crate) fn ccm_decrypt(
    cipher: &Aes128Enc,
    nonce: [u8; 13],
    header: &[u8],
    data: &mut [u8],
    tag: &[u8],
) -> Option<()> {
    match tag.len() {
        4 => decrypt::<U4>(cipher, nonce, header, data, tag),
        8 => decrypt::<U8>(cipher, nonce, header, data, tag),
        12 => decrypt::<U12>(cipher, nonce, header, data, tag),
        16 => decrypt::<U16>(cipher, nonce, header, data, tag),
        _ => None,
    }
}

/// Encrypts in place and gives the tag; `None` for a length that the mode does not have.
pub(crate) fn ccm_encrypt(
    cipher: &Aes128Enc,
    nonce: [u8; 13],
    header: &[u8],
    data: &mut [u8],
    tag_len: usize,
) -> Option<Vec<u8>> {
    match tag_len {
        4 => encrypt::<U4>(cipher, nonce, header, data),
        8 => encrypt::<U8>(cipher, nonce, header, data),
        12 => encrypt::<U12>(cipher, nonce, header, data),
        16 => encrypt::<U16>(cipher, nonce, header, data),
        _ => None,
    }
}

fn decrypt<M: ArraySize + TagSize>(
    cipher: &Aes128Enc,
    nonce: [u8; 13],
    header: &[u8],
    data: &mut [u8],
    tag: &[u8],
) -> Option<()> {
    let mode = Ccm::<_, M, U13>::from(cipher);
    let tag = <&Array<u8, M>>::try_from(tag).ok()?;
    mode.decrypt_inout_detached(&nonce.into(), header, data.into(), tag)
        .ok()
}

fn encrypt<M: ArraySize + TagSize>(
    cipher: &Aes128Enc,
    nonce: [u8; 13],
    header: &[u8],
    data: &mut [u8],
) -> Option<Vec<u8>> {
    let mode = Ccm::<_, M, U13>::from(cipher);
    Some(
        mode.encrypt_inout_detached(&nonce.into(), header, data.into())
            .ok()?
            .to_vec(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use aes::cipher::KeyInit;

    // RFC 3610, section 8, packet vector 1: nonce of 13 bytes, 8 bytes of header, 23 of data, tag of 8.
    #[test]
    fn packet_of_the_rfc() {
        let cipher = Aes128Enc::new(&0xC0C1C2C3C4C5C6C7C8C9CACBCCCDCECF_u128.to_be_bytes().into());
        let nonce = [
            0x00, 0x00, 0x00, 0x03, 0x02, 0x01, 0x00, 0xA0, 0xA1, 0xA2, 0xA3, 0xA4, 0xA5,
        ];
        let header = [0, 1, 2, 3, 4, 5, 6, 7];
        let plain: Vec<u8> = (0x08..0x1F).collect();
        let mut data = plain.clone();
        let tag = ccm_encrypt(&cipher, nonce, &header, &mut data, 8).unwrap();
        assert_eq!(data[..4], [0x58, 0x8C, 0x97, 0x9A]);
        assert_eq!(tag, [0x17, 0xE8, 0xD1, 0x2C, 0xFD, 0xF9, 0x26, 0xE0]);
        let encrypted = data.clone();
        assert_eq!(
            ccm_decrypt(&cipher, nonce, &header, &mut data, &tag),
            Some(())
        );
        assert_eq!(data, plain);
        data.copy_from_slice(&encrypted);
        assert_eq!(
            ccm_decrypt(&cipher, nonce, &header[1..], &mut data, &tag),
            None
        );
        assert_eq!(
            ccm_decrypt(&cipher, nonce, &header, &mut data, &tag[..7]),
            None
        );
    }
}
