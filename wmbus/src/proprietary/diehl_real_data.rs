//! Diehl "real data": SHARKY heat meters and HYDRUS water meters in a mode of their own: ordinary records, hidden by
//! [Diehl's own cipher](super::diehl_cipher).
//!
//! Manufacturers as with [PRIOS](super::diehl_prios), CI 7A with bit 12 of the configuration field set (security
//! modes 16 to 31). Offsets count from behind the CI.
//!
//! | offset | length | meaning |
//! |---|---|---|
//! | 0 | 1 | access number |
//! | 1 | 1 | status |
//! | 2 | 2 | configuration field; its high byte but for bit 4 is the sum of all decrypted bytes, modulo 256 |
//! | 4 | | records, encrypted |
//!
//! Source of the facts: wmbusmeters, `manufacturer_specificities.cc`.

use super::{Format, Input, Is, Place, diehl_cipher};
use crate::error::{Error, ErrorKind};
use crate::record::Record;

pub(super) const FORMAT: Format = Format {
    versions: Is::Any,
    media: Is::Any,
    place: Place::OwnMode,
    is_encrypted: |_| true,
    read,
};

/// Decrypts and reads the body behind the transport layer's header.
///
/// # Errors
/// [`KeyRejected`](ErrorKind::KeyRejected) if the sum is wrong with all keys; those of the records.
fn read(input: &Input<'_>) -> Result<Vec<Record>, Error> {
    let fields = input.fields();
    let plain = input.plain;
    let header = plain
        .access_number
        .zip(plain.status)
        .zip(plain.configuration);
    let ((access_number, status), configuration) = header.ok_or(fields.error(ErrorKind::NoData))?;
    let [low, high] = configuration.to_le_bytes();
    let body = diehl_cipher::open(
        input,
        [access_number.0, status, low],
        fields.left(),
        |plain| {
            let sum = plain.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte));
            !plain.is_empty() && (sum ^ high) & !REAL_DATA == 0
        },
    )?;
    fields.decrypted(&body).records()
}

/// Bit 12 of the configuration field, in its high byte.
const REAL_DATA: u8 = 0x10;

#[cfg(test)]
mod tests {
    use super::super::testing::{decode, error};
    use crate::error::ErrorKind;

    // Telegram: wmbusmeters, issue 127. It decrypts to 04 13 05440000 (17413 litres), 42 6C 9F25, 44 13 043E0000
    // (15876).
    const TELEGRAM: &str = "1E4424238B07337614637AD000107B07C652851A0553B020E2AE631865B454";

    #[test]
    fn hydrus() {
        assert_eq!(
            decode(TELEGRAM),
            [
                "volume 17.413 m³",
                "date[1] 2020-05-31",
                "volume[1] 15.876 m³"
            ]
        );
    }

    // Telegram and values: wmbusmeters, sharky.xmq.
    #[test]
    fn sharky() {
        let records = decode(
            "534424232004256092687A370045752235854DEEEA5939FAD81C25FEEF5A23C38FB9168493C563F08DB10BAF87F660FBA91296BA2397E8F4220B86D3A192FB51E0BFCF24DCE72118E0C75A9E89F43BDFE370824B",
        );
        for value in [
            "energy 2651000 Wh",
            "volume 150.347 m³",
            "volume_flow 0 m³/h",
            "power 0 W",
            "flow_temperature 42.3 °C",
            "return_temperature 28.1 °C",
            "temperature_difference 14.1 K",
        ] {
            assert!(
                records.iter().any(|record| record == value),
                "{value}: {records:?}"
            );
        }
    }

    #[test]
    fn damaged() {
        assert_eq!(
            error(&TELEGRAM.replace("B454", "B455")).kind,
            ErrorKind::KeyRejected
        );
        assert_eq!(
            error("0E4424238B07337614637AD000107B").kind,
            ErrorKind::KeyRejected
        );
    }
}
