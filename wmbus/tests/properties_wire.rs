//! The invariants of the layers, on random bytes and on bytes that look like telegrams.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)]

#[path = "second_opinion/mod.rs"]
mod second_opinion;

use proptest::collection::vec;
use proptest::prelude::*;
use wmbus::{invariants, link};

proptest! {
    #[test]
    fn link_formats_are_reversible_and_notice_a_flipped_bit(bytes in vec(any::<u8>(), 0..260)) {
        invariants::link_formats(&bytes);
    }

    #[test]
    fn any_bytes_are_a_telegram_or_an_error(bytes in vec(any::<u8>(), 0..300)) {
        invariants::telegram(&bytes);
    }

    #[test]
    fn anything_in_a_link_layer_is_a_telegram_or_an_error(above in above_the_link_layer()) {
        invariants::telegram(&framed(&above));
    }

    #[test]
    fn any_payload_is_records_or_an_error(bytes in vec(record_byte(), 0..240)) {
        invariants::records(&bytes);
    }

    #[test]
    fn explanations_cover_any_bytes(bytes in vec(any::<u8>(), 0..300)) {
        invariants::explanation(&bytes);
    }

    #[test]
    fn explanations_cover_what_looks_like_a_telegram(above in above_the_link_layer()) {
        let bare = framed(&above);
        invariants::explanation(&bare);
        for format in [link::Format::A, link::Format::B] {
            if let Ok(on_air) = format.emit(&bare) {
                invariants::explanation(&on_air);
            }
        }
    }

    #[test]
    fn fragments_stay_bounded(pieces in vec((0..5_u8, any::<bool>(), vec(any::<u8>(), 0..200)), 0..40)) {
        let mut stream = Vec::new();
        for (number, more, piece) in pieces {
            let flags = if more { 0x40 } else { 0 };
            let telegram = framed(&[&[0x90, 2, number, flags][..], &piece].concat());
            stream.extend([telegram.len() as u8]);
            stream.extend(telegram);
        }
        invariants::fragments(&stream);
    }

    #[test]
    fn every_security_mode_is_reversible_and_notices_a_flipped_bit(bytes in vec(any::<u8>(), 10..260)) {
        invariants::security(&bytes);
    }

    #[test]
    fn headers_are_reversible(ci in header_ci(), bytes in vec(any::<u8>(), 0..40)) {
        invariants::headers(&[&[ci][..], &bytes].concat());
    }

    #[test]
    fn any_chunking_gives_the_same_messages(stream in serial_stream()) {
        invariants::serial_stream(&stream);
    }

    #[test]
    fn a_good_message_survives_garbage(bytes in vec(garbage_byte(), 3..300)) {
        invariants::serial_garbage(&bytes);
    }
}

/// Layers as they come on the air, with anything in their fields.
fn above_the_link_layer() -> impl Strategy<Value = Vec<u8>> {
    let ell = prop_oneof![
        Just(vec![]),
        (0x8C..=0x8F_u8, vec(any::<u8>(), 2..20))
            .prop_map(|(ci, fields)| [&[ci][..], &fields].concat()),
        vec(any::<u8>(), 2).prop_map(|fields| [&[0x8C][..], &fields].concat()),
    ];
    let afl = prop_oneof![
        Just(vec![]),
        vec(any::<u8>(), 2..24)
            .prop_map(|fields| [&[0x90, fields.len() as u8][..], &fields].concat()),
    ];
    let mode = prop_oneof![
        Just(0_u8),
        Just(2),
        Just(5),
        Just(7),
        Just(0x2A),
        any::<u8>()
    ];
    let tpl = (header_ci(), vec(any::<u8>(), 3), mode)
        .prop_map(|(ci, fields, mode)| [&[ci][..], &fields, &[mode]].concat());
    let body = prop_oneof![
        vec(any::<u8>(), 0..100),
        vec(any::<u8>(), 0..100).prop_map(|body| [&[0x2F, 0x2F][..], &body].concat()),
    ];
    (ell, afl, tpl, body).prop_map(|(ell, afl, tpl, body)| [ell, afl, tpl, body].concat())
}

fn header_ci() -> impl Strategy<Value = u8> {
    prop_oneof![0x60..=0x90_u8, 0xA0..=0xB7_u8, any::<u8>()]
}

fn framed(above: &[u8]) -> Vec<u8> {
    let above = above.get(..above.len().min(246)).unwrap_or_default();
    let header = [0x44, 0x2D, 0x2C, 0x57, 0x68, 0x66, 0x32, 0x30, 0x02];
    [&[(header.len() + above.len()) as u8][..], &header, above].concat()
}

/// Bytes of which many stand in records' headers.
fn record_byte() -> impl Strategy<Value = u8> {
    let headers = vec![
        0x01, 0x02, 0x04, 0x0C, 0x0D, 0x0F, 0x1F, 0x2F, 0x42, 0x84, 0x13, 0x6C, 0x6D, 0x7C, 0xFC,
        0xFB, 0xFD, 0xFF, 0x93, 0x9E, 0x9F, 0x1E, 0x1F, 0x13, 0x3C,
    ];
    prop_oneof![2 => any::<u8>(), 2 => prop::sample::select(headers), 1 => 0..16_u8]
}

/// Bytes of which many begin something.
fn garbage_byte() -> impl Strategy<Value = u8> {
    prop_oneof![3 => any::<u8>(), 1 => Just(0xA5), 1 => Just(0x82), 1 => 0..16_u8]
}

/// Whole messages, damaged ones and garbage, one after the other.
fn serial_stream() -> impl Strategy<Value = Vec<u8>> {
    let message = (
        1..=2_u8,
        0..20_u8,
        vec(any::<u8>(), 0..50),
        any::<Option<u32>>(),
        any::<Option<u8>>(),
        any::<bool>(),
    )
        .prop_map(|(endpoint, id, payload, time_stamp, raw_rssi, has_crc)| {
            wmbus::im871a::Message {
                endpoint,
                id,
                payload,
                time_stamp,
                raw_rssi,
                has_crc,
            }
            .encode()
        });
    let cut = (message.clone(), any::<prop::sample::Index>())
        .prop_map(|(message, at)| message[..at.index(message.len())].to_vec());
    let part = prop_oneof![3 => message, 1 => cut, 1 => vec(garbage_byte(), 0..20)];
    (any::<u8>(), vec(part, 0..6)).prop_map(|(chunk, parts)| [vec![chunk], parts.concat()].concat())
}
