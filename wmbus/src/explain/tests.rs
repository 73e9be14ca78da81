use super::*;
use crate::address::Address;
use crate::link::Format;
use crate::telegram::{Draft, Protection};
use crate::tests::hex;

/// A captured telegram of an electricity meter, and its key.
const OMNIPOWER: &str =
    "27442D2C5768663230028D202E21870320D3A4F149B1B8F5783DF7434B8A66A55786499ABE7BAB59";
const KEY: &str = "9A25139E3244CC2E391A8EF6B915B697";

fn explain(key: Option<&str>, telegram: &str) -> Explanation {
    let key = key.map(|key| key.parse().unwrap());
    let bytes = hex(telegram);
    Decoder::new(key).explain(&bytes)
}

/// One part to a line: layer, field, meaning, value.
fn lines(explanation: &Explanation) -> Vec<String> {
    let parts = explanation.parts.iter();
    let line = |part: &Part| {
        let line = format!(
            "{} {} {} = {}",
            part.layer, part.field, part.meaning, part.value
        );
        line.trim_end_matches(" = ").to_owned()
    };
    parts.map(line).collect()
}

fn has(explanation: &Explanation, line: &str) {
    let lines = lines(explanation);
    assert!(
        lines.iter().any(|found| found == line),
        "{line}\nis not in\n{}",
        lines.join("\n")
    );
}

#[test]
fn an_encrypted_compact_frame() {
    let explanation = explain(Some(KEY), OMNIPOWER);
    assert_eq!(
        lines(&explanation),
        [
            "link L length: bytes that follow, without CRCs = 39",
            "link C control = SND-NR: sends, wants no answer",
            "link M manufacturer = KAM",
            "link A identification number = 32666857",
            "link A version = 30",
            "link A medium = electricity",
            "ell CI extended link layer = II",
            "ell CC communication control = synchronous",
            "ell ACC access number = 46",
            "ell SN session number = AES-128-CTR, minute 14450, session 1",
            "ell CRC of what follows",
            "tpl CI transport layer = no header, values of a compact frame",
            "apl signature CRC of the full frame's headers = 8C13",
            "apl CRC of the full frame",
            "apl data energy = 2060 Wh",
            "apl data energy backward = 0 Wh",
            "apl data power = 3 W",
            "apl data power backward = 0 W",
        ]
    );
    assert!(explanation.outcome.is_ok() && explanation.failed_at.is_none());
    // From the CRC on everything was encrypted: 206 times 10 Wh is CE 00 00 00.
    for part in &explanation.parts {
        assert_eq!(part.decrypted.is_some(), part.offset >= 17, "{part:?}");
    }
    assert_eq!(
        explanation.parts[14].decrypted.as_deref(),
        Some(&[0xCE, 0, 0, 0][..])
    );
}

#[test]
fn what_the_key_does_not_open() {
    for (key, error) in [
        (None, ErrorKind::KeyMissing),
        (
            Some("00112233445566778899AABBCCDDEEFF"),
            ErrorKind::KeyRejected,
        ),
    ] {
        let explanation = explain(key, OMNIPOWER);
        has(&explanation, "ell payload encrypted");
        assert_eq!(explanation.outcome.as_ref().unwrap_err().kind, error);
        assert_eq!(explanation.failed_at, Some(17));
        assert!(
            explanation
                .parts
                .iter()
                .all(|part| part.decrypted.is_none())
        );
    }
}

// The maximum of the volume at storage number 1 + 2 * 1 and tariff 2: DIFE A1 has storage bits 1 and tariff bits 2.
#[test]
fn headers_byte_by_byte() {
    let explanation = explain(
        None,
        "3044 3A63 78563412 01 07 7A 2A 14 0000  D4 21 93 BB FC 01 07000000  0D 7C 03 48 52 25 01 41 2F2F  02 FD 17 0100  04 6D 80002131 0F AABB",
    );
    let all = lines(&explanation);
    let from = all.iter().position(|line| line.starts_with("tpl")).unwrap();
    assert_eq!(
        all[from..],
        [
            "tpl CI transport layer = short header, records",
            "tpl ACC access number = 42",
            "tpl ST status = no error, power low, temporary error",
            "tpl CF configuration = not encrypted",
            "apl DIF integer of 32 bits, maximum, storage 1",
            "apl DIFE extends it = storage +2, tariff +2",
            "apl VIF value information = volume, in 0.001 m³",
            "apl VIFE narrows it down = forward",
            "apl VIFE the code is of another table",
            "apl VIFE narrows it down = phase_l1",
            "apl data volume forward phase_l1, maximum, storage 3, tariff 2 = 0.007 m³",
            "apl DIF variable length",
            "apl VIF the unit is a text",
            "apl length of the text = 3",
            "apl text the unit, last character first = %",
            "apl LVAR kind and length of the value = text or bytes, 1",
            "apl data relative_humidity = \"A\" %",
            "apl filler idle, to be skipped",
            "apl DIF integer of 16 bits",
            "apl VIF the code is of another table",
            "apl VIFE value information = error_flags",
            "apl data error_flags = 1",
            "apl DIF integer of 32 bits",
            "apl VIF value information = date_time",
            "apl data date_time = 2025-01-01T00:00, marked invalid",
            "apl DIF the rest is the manufacturer's",
            "apl data manufacturer's data",
        ]
    );
}

// Blocks of 10, 16 and 14 bytes, each with its CRC: the session number begins in the second at 12 + 3, the energy's four bytes
// stand at 24 and so behind one CRC.
#[test]
fn crcs_of_a_frame_format_stand_where_they_are() {
    let bare = hex(OMNIPOWER);
    for (format, places) in [(Format::A, &[10, 28, 44][..]), (Format::B, &[40])] {
        let bytes = format.emit(&bare).unwrap();
        let explanation = Decoder::new(Some(KEY.parse().unwrap())).explain(&bytes);
        let parts = explanation.parts.iter();
        let crcs = parts.filter(|part| part.layer == Layer::Link && part.field == "CRC");
        let crcs: Vec<usize> = crcs.map(|part| part.offset).collect();
        assert_eq!(crcs, places, "{format:?}");
        has(&explanation, "apl data energy = 2060 Wh");
        has(&explanation, "apl data power backward = 0 W");
        let is_parted = format == Format::A;
        let mut parts = explanation.parts.iter();
        assert_eq!(parts.any(|part| part.meaning == "continued"), is_parted);
    }
    let with_more = [&bare[..], &[0xAB, 0xCD]].concat();
    let explanation = Decoder::new(Some(KEY.parse().unwrap())).explain(&with_more);
    has(
        &explanation,
        "link receiver left by the receiver, no part of the telegram",
    );
}

#[test]
fn an_error_is_placed_where_it_is_behind_the_crcs() {
    let bytes = Format::A.emit(&hex(OMNIPOWER)).unwrap();
    let explanation = Decoder::new(None).explain(&bytes);
    // Byte 17 of the telegram, behind the CRC of its first block.
    assert_eq!(explanation.failed_at, Some(19));
    let mut damaged = bytes;
    damaged[20] ^= 1;
    let explanation = Decoder::new(None).explain(&damaged);
    assert_eq!(explanation.failed_at, Some(28));
    has(&explanation, "link A identification number = 32666857");
}

#[test]
fn every_security_mode_shows_what_was_decrypted() {
    let meter = Address::from_link([0x2D, 0x2C, 0x57, 0x68, 0x66, 0x32, 0x30, 0x02]);
    let payload = [0x04, 0x2B, 3, 0, 0, 0];
    for (protection, line) in [
        (
            Protection::Mode5,
            "tpl CF configuration = security mode 5, 1 block of 16 bytes encrypted",
        ),
        (
            Protection::Mode7 {
                counter: 7,
                tag_len: 8,
            },
            "afl MCL message control = AES-128-CMAC of 8 bytes",
        ),
        (
            Protection::Mode10 {
                counter: 7,
                tag_len: 8,
            },
            "tpl MCR message counter = 7",
        ),
    ] {
        let draft = Draft {
            protection,
            ..Draft::new(meter, 0x7A, &payload)
        };
        let bytes = draft.encode(Some(&KEY.parse().unwrap())).unwrap();
        let explanation = Decoder::new(Some(KEY.parse().unwrap())).explain(&bytes);
        has(&explanation, line);
        has(&explanation, "apl data power = 3 W");
        let mut parts = explanation.parts.iter();
        let power = parts.find(|part| part.field == "data").unwrap();
        assert_eq!(power.decrypted.as_deref(), Some(&[3, 0, 0, 0][..]));
        let explanation = Decoder::new(None).explain(&bytes);
        has(&explanation, "tpl payload encrypted");
    }
}

#[test]
fn a_wired_long_frame_to_its_stop() {
    let explanation = explain(
        None,
        "68 20 20 68 08 FD 72 78563412 9315 33 03 2A 00 0000 0C 14 27048502 04 6D 32371F15 02 FD 17 0000 89 16",
    );
    has(
        &explanation,
        "link A primary address on the bus = 253, by secondary address",
    );
    has(&explanation, "apl data volume = 28504.27 m³");
    has(&explanation, "link stop end of the frame");
}

/// The bytes of a manufacturer's own format, each as `offset length layer meaning = value`.
fn own_parts(explanation: &Explanation) -> Vec<String> {
    let parts = explanation.parts.iter();
    let parts = parts.filter(|part| part.layer == Layer::Profile);
    let line = |part: &Part| {
        let (at, len) = (part.offset, part.bytes.len());
        let line = format!("{at} {len} {} = {}", part.meaning, part.value);
        line.trim_end_matches(" = ").to_owned()
    };
    parts.map(line).collect()
}

// The telegram: wmbusmeters, fhkvdataiii.xmq, cut off behind its eighth unknown byte. Behind the CI, which is byte 10:
// 0F | 9F29 = 10,655 | 2D00 = 45 | 5024 = 9,296 | 0400 = 4 | 11 | BD08 = 2,237 | 3809 = 2,360 | 8 bytes.
#[test]
fn a_format_of_a_manufacturer() {
    let explanation = explain(
        None,
        "20446850341211119480A20F9F292D005024040011BD0838090400000007000000",
    );
    assert_eq!(
        own_parts(&explanation),
        [
            "11 1 unknown",
            "12 2 due date = 10655",
            "14 2 units at the due date = 45",
            "16 2 date of sending = 9296",
            "18 2 units since the due date = 4",
            "20 1 unknown",
            "21 2 room temperature, 0.01 °C = 2237",
            "23 2 radiator temperature, 0.01 °C = 2360",
            "25 8 not known",
        ]
    );
}

// The same, cut off in the last temperature: what was read before is told, and where it ended.
#[test]
fn a_format_of_a_manufacturer_that_is_cut_off() {
    let explanation = explain(None, "17446850341211119480A20F9F292D005024040011BD0838");
    assert_eq!(
        own_parts(&explanation)[6..],
        [
            "21 2 room temperature, 0.01 °C = 2237",
            "23 1 not understood = 1 byte missing"
        ]
    );
    assert_eq!(explanation.failed_at, Some(23));
}

// The telegram: wmbusmeters, zenner0b.xmq. Behind the header of 15 bytes and 2F 2F stands DIF 0F, byte 17: then
// 00000000 | 80BF1B00 = 1BBF80 = 1,818,496 | A6420000 = 42A6 = 17,062.
#[test]
fn a_block_of_a_manufacturer_among_records() {
    let explanation = explain(
        None,
        "1E44496A677308500B167AD80010252F2F0F0000000080BF1B0000A6420000",
    );
    let own = own_parts(&explanation);
    assert_eq!(own.len(), 4, "{own:?}");
    assert_eq!(own[0], "18 4 state = 0");
}

// The telegram: wmbusmeters, qwaterv2.xmq (a Qundis meter, walk-by). The block's last byte, 67, ends it and says
// nothing; byte 68 is the next record's.
#[test]
fn what_a_format_leaves_over_is_not_taken_for_the_record() {
    let explanation = explain(
        None,
        "49449344123456781606780DFF5F3500824E00007F0007C113FFFF63961300DF2C82731200FE2463811300A400F200D100A900DD00E000E90006011601EA0027010F012F046D0211F225",
    );
    let own = own_parts(&explanation);
    assert_eq!(own.first().unwrap(), "15 2 unknown");
    assert_eq!(own.last().unwrap(), "67 1 not known");
    has(&explanation, "apl DIF integer of 32 bits");
}

// The telegram: wmbusmeters, izar.xmq, with its default key. Once decrypted, its body is told at its place.
#[test]
fn a_format_that_is_encrypted_in_a_way_of_its_own() {
    let explanation = explain(None, "1944304C72242421D401A2013D4013DD8B46A4999C1293E582CC");
    assert_eq!(
        own_parts(&explanation),
        [
            "11 4 interval of sending, battery, alarms, unknown",
            "15 1 mark of the right key",
            "16 4 volume, l = 3488",
            "20 4 volume at the due date, l = 3486",
            "24 2 due date, type G",
        ]
    );
}

// Two fragments of a message in mode 7. The message: CI 7A, access number 1, status 0, configuration 2007 and 10 (two
// blocks), 32 bytes of which two are the check, 30 payload: 5 records of 6 bytes. Byte 0 is the CI, 6 and 7 are 2F 2F, so
// the first record's DIF is byte 8, its value bytes 10 to 13.
#[test]
fn a_message_in_fragments() {
    let meter = Address::from_link([0x2D, 0x2C, 0x57, 0x68, 0x66, 0x32, 0x30, 0x02]);
    let payload = [0x04, 0x03, 0x01, 0x00, 0x00, 0x00].repeat(5);
    let draft = Draft {
        protection: Protection::Mode7 {
            counter: 1,
            tag_len: 8,
        },
        ..Draft::new(meter, 0x7A, &payload)
    };
    let key = KEY.parse().unwrap();
    let fragments = draft.encode_fragments(Some(&key), 30).unwrap();
    let mut decoder = Decoder::new(Some(key));
    let (last, first) = fragments.split_last().unwrap();
    for fragment in first {
        let explanation = decoder.explain(fragment);
        assert!(explanation.joined.is_empty());
        assert!(explanation.outcome.is_err());
    }
    let mut broken = decoder.clone();
    let explanation = decoder.explain(last);
    assert_eq!(explanation.outcome.as_ref().unwrap().records.len(), 5);
    assert_eq!(explanation.failed_at, None);
    let bytes =
        |parts: &[Part]| -> Vec<u8> { parts.iter().flat_map(|part| part.bytes.clone()).collect() };
    assert_eq!(bytes(&explanation.parts), *last);
    assert_eq!(bytes(&explanation.joined).len(), 6 + 32);
    assert_eq!(explanation.joined[0].field, "CI");
    let energies: Vec<_> = explanation
        .joined
        .iter()
        .filter(|part| part.field == "data")
        .map(|part| (part.offset, &*part.meaning, &*part.value))
        .collect();
    assert_eq!(energies[0], (10, "energy", "1 Wh"));
    assert_eq!(energies.len(), 5);

    // With another last byte the MAC is wrong: it covers the message from its CI on.
    let mut damaged = last.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let explanation = broken.explain(&damaged);
    assert_eq!(explanation.outcome.unwrap_err().kind, ErrorKind::Mac);
    assert_eq!(bytes(&explanation.joined).len(), 6 + 32);
    assert!(explanation.failed_at.is_some_and(|at| at < 6 + 32));
}
