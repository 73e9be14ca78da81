//! Every way to protect a telegram, right and wrong.

use super::*;
use crate::crypto::{self, MeterKey};
use crate::ell::SessionNumber;
use crate::key::{DesKey, Key};
use crate::link::Format;

const PAYLOAD: [u8; 12] = [
    0x0C, 0x14, 0x27, 0x04, 0x85, 0x02, 0x04, 0x6D, 0x32, 0x37, 0x1F, 0x15,
];

/// A telegram's way through all stages, for comparison.
#[derive(Debug, PartialEq)]
struct Opened {
    content: Content,
    security: Security,
    authentication: Authentication,
    counter: Option<u32>,
    bytes: Vec<u8>,
}

fn open(bytes: &[u8], key: Option<&MeterKey>) -> Result<Opened, ErrorKind> {
    open_placed(bytes, key).map_err(|error| error.kind)
}

fn open_placed(bytes: &[u8], key: Option<&MeterKey>) -> Result<Opened, Error> {
    let bytes = link::normalise(bytes)?;
    let telegram = Telegram::parse(&bytes)?;
    let mut buffer = Buffer::new();
    let plain = match key {
        Some(key) => telegram.decrypt(key, &mut buffer),
        None => telegram.published(&mut buffer),
    }?;
    Ok(Opened {
        content: plain.content,
        security: plain.security,
        authentication: plain.authentication,
        counter: plain.message_counter,
        bytes: plain.bytes.to_vec(),
    })
}

fn key() -> MeterKey {
    "000102030405060708090A0B0C0D0E0F".parse().unwrap()
}

fn another_key() -> MeterKey {
    MeterKey::from(&Key::from_bytes([0x55; 16]))
}

fn meter() -> Address {
    Address::from_link([0x93, 0x15, 0x78, 0x56, 0x34, 0x12, 0x33, 0x03])
}

fn adapter() -> Address {
    Address::from_link([0x93, 0x44, 0x11, 0x22, 0x33, 0x44, 0x01, 0x37])
}

/// A telegram of the meter's with these layers above its link layer.
fn framed(above: &[u8]) -> Vec<u8> {
    let control = link::Control::SEND_NO_REPLY;
    let address = meter();
    link::Repr { control, address }.emit(above).unwrap()
}

fn encrypting_link(receiver: Option<Address>) -> Option<ell::Header> {
    let session = SessionNumber::new(14_448, 1);
    Some(ell::Header {
        communication_control: 0x20,
        access_number: AccessNumber(9),
        receiver,
        session,
    })
}

#[test]
fn debug_shows_no_payload() {
    let draft = Draft {
        ell: encrypting_link(None),
        ..Draft::new(meter(), 0x78, &PAYLOAD)
    };
    let bytes = draft.encode(Some(&key())).unwrap();
    let telegram = Telegram::parse(&bytes).unwrap();
    let mut buffer = Buffer::new();
    let shown = format!("{:?}", telegram.decrypt(&key(), &mut buffer).unwrap());
    let shown = format!("{shown}{telegram:?}{buffer:?}");
    assert!(shown.contains("ExtendedLink"), "{shown}");
    assert!(
        !shown.contains("39, 4, 133") && !shown.contains("27, 04, 85"),
        "{shown}"
    );
}

mod extended_link_layer {
    use super::*;

    #[test]
    fn a_right_key_opens_it() {
        for receiver in [None, Some(adapter())] {
            let draft = Draft {
                ell: encrypting_link(receiver),
                ..Draft::new(meter(), 0x78, &PAYLOAD)
            };
            let opened = open(&draft.encode(Some(&key())).unwrap(), Some(&key())).unwrap();
            assert_eq!(
                (opened.security, opened.authentication),
                (Security::ExtendedLink, Authentication::Crc)
            );
            assert_eq!(
                (opened.content, opened.bytes.as_slice()),
                (Content::Full, &PAYLOAD[..])
            );
        }
    }

    #[test]
    fn bits_set_by_a_repeater_change_nothing() {
        let draft = Draft {
            ell: encrypting_link(None),
            ..Draft::new(meter(), 0x78, &PAYLOAD)
        };
        let mut bytes = draft.encode(Some(&key())).unwrap();
        bytes[11] |= 0x12;
        assert!(open(&bytes, Some(&key())).is_ok());
        bytes[11] |= 0x40;
        assert_eq!(open(&bytes, Some(&key())), Err(ErrorKind::KeyRejected));
    }

    #[test]
    fn keys_are_told_apart() {
        let draft = Draft {
            ell: encrypting_link(None),
            ..Draft::new(meter(), 0x78, &PAYLOAD)
        };
        let bytes = draft.encode(Some(&key())).unwrap();
        let error = open_placed(&bytes, Some(&another_key())).unwrap_err();
        assert_eq!(error.to_string(), "ell, byte 17: wrong key");
        assert_eq!(open(&bytes, None), Err(ErrorKind::KeyMissing));
        let des = MeterKey::from(DesKey::from_bytes([1; 8]));
        assert_eq!(open(&bytes, Some(&des)), Err(ErrorKind::KeyLength));
    }

    #[test]
    fn published_after_decryption() {
        let draft = Draft {
            ell: encrypting_link(None),
            ..Draft::new(meter(), 0x78, &PAYLOAD)
        };
        let mut bytes = draft.encode(Some(&key())).unwrap();
        let Upper::Sealed(sealed) = Telegram::parse(&bytes).unwrap().upper else {
            panic!("not sealed")
        };
        let counter = sealed.header.initial_counter(meter(), sealed.session);
        crypto::ctr(key().aes128().unwrap().as_ref(), counter, &mut bytes[17..]);
        assert_eq!(open(&bytes, None).unwrap().bytes, PAYLOAD);
        assert_eq!(open(&bytes, Some(&key())), Err(ErrorKind::NotEncrypted));
        bytes[20] ^= 1;
        assert_eq!(open(&bytes, None), Err(ErrorKind::KeyMissing));
    }

    #[test]
    fn a_session_without_encryption_has_a_crc() {
        let plain = SessionNumber::read(&mut Reader::new(&[0x01, 0x87, 0x03, 0x00])).unwrap();
        let header = ell::Header {
            session: Some(plain),
            ..encrypting_link(None).unwrap()
        };
        let draft = Draft {
            ell: Some(header),
            ..Draft::new(meter(), 0x78, &PAYLOAD)
        };
        let mut bytes = draft.encode(None).unwrap();
        let opened = open(&bytes, None).unwrap();
        assert_eq!(
            (opened.security, opened.authentication),
            (Security::None, Authentication::Crc)
        );
        assert_eq!(open(&bytes, Some(&key())), Err(ErrorKind::NotEncrypted));
        bytes[20] ^= 1;
        assert!(matches!(open(&bytes, None), Err(ErrorKind::Crc { .. })));
    }

    #[test]
    fn with_the_crcs_of_the_air() {
        for length in [0, 12, 97, 98, 99, 120, 200] {
            let payload = vec![0x2F; length];
            let draft = Draft {
                ell: encrypting_link(None),
                ..Draft::new(meter(), 0x78, &payload)
            };
            let bare = draft.encode(Some(&key())).unwrap();
            for format in [Format::A, Format::B] {
                let bytes = format.emit(&bare).unwrap();
                assert_eq!(
                    open(&bytes, Some(&key())).unwrap().bytes,
                    payload,
                    "{length} in {format:?}"
                );
                assert_eq!(
                    open(&bytes, Some(&another_key())),
                    Err(ErrorKind::KeyRejected)
                );
            }
        }
    }

    #[test]
    fn over_a_mode_of_the_transport_layer() {
        let draft = Draft {
            ell: encrypting_link(None),
            protection: Protection::Mode5,
            ..Draft::new(meter(), 0x7A, &PAYLOAD)
        };
        let opened = open(&draft.encode(Some(&key())).unwrap(), Some(&key())).unwrap();
        assert_eq!(
            (opened.security, opened.authentication),
            (Security::Transport(5), Authentication::Crc)
        );
        assert_eq!(opened.bytes[..12], PAYLOAD);
    }
}

mod mode_5 {
    use super::*;

    fn draft(ci: u8) -> Draft<'static> {
        Draft {
            meter: meter(),
            access_number: AccessNumber(0x2A),
            protection: Protection::Mode5,
            ..Draft::new(adapter(), ci, &PAYLOAD)
        }
    }

    // OMS Vol. 2, annex N.2.1: a gas meter, short header, two blocks.
    #[test]
    fn of_the_standard() {
        let bytes = hex(
            "2E4493157856341233037A2A0020255923C95AAA26D1B2E7493B013EC4A6F6D3529B520EDFF0EA6DEFC99D6D69EBF3",
        );
        let key: MeterKey = "0102030405060708090A0B0C0D0E0F11".parse().unwrap();
        let opened = open(&bytes, Some(&key)).unwrap();
        assert_eq!(
            (opened.security, opened.authentication),
            (Security::Transport(5), Authentication::None)
        );
        assert_eq!(opened.bytes[..12], PAYLOAD);
    }

    #[test]
    fn there_and_back() {
        for ci in [0x7A, 0x72] {
            let bytes = draft(ci).encode(Some(&key())).unwrap();
            assert_eq!(open(&bytes, Some(&key())).unwrap().bytes[..12], PAYLOAD);
            assert_eq!(
                open(&bytes, Some(&another_key())),
                Err(ErrorKind::KeyRejected)
            );
            assert_eq!(open(&bytes, None), Err(ErrorKind::KeyMissing));
            let telegram = Telegram::parse(&bytes).unwrap();
            assert_eq!(
                telegram.address(),
                if ci == 0x72 { meter() } else { adapter() }
            );
            assert_eq!(telegram.access_number(), Some(AccessNumber(0x2A)));
        }
    }

    #[test]
    fn published_after_decryption_only_without_a_key() {
        let mut bytes = draft(0x7A).encode(Some(&key())).unwrap();
        bytes.truncate(15);
        bytes.extend([0x2F, 0x2F]);
        bytes.extend(PAYLOAD);
        bytes.extend([0x2F; 2]);
        bytes[0] = (bytes.len() - 1) as u8;
        assert_eq!(open(&bytes, None).unwrap().bytes[..12], PAYLOAD);
        assert_eq!(open(&bytes, Some(&key())), Err(ErrorKind::NotEncrypted));
    }

    #[test]
    fn fewer_bytes_than_blocks() {
        let mut bytes = draft(0x7A).encode(Some(&key())).unwrap();
        bytes.pop();
        bytes[0] -= 1;
        assert_eq!(
            open(&bytes, Some(&key())),
            Err(ErrorKind::Truncated { missing: 1 })
        );
    }

    #[test]
    fn plain_bytes_behind_the_blocks_stay() {
        let mut bytes = draft(0x7A).encode(Some(&key())).unwrap();
        bytes.extend([0x01, 0xFD, 0x08, 0x07]);
        bytes[0] += 4;
        let opened = open(&bytes, Some(&key())).unwrap().bytes;
        assert_eq!(
            (&opened[..12], &opened[14..]),
            (&PAYLOAD[..], &[0x01, 0xFD, 0x08, 0x07][..])
        );
    }

    #[test]
    fn not_one_block_is_plain_text() {
        let link = link::Repr {
            control: link::Control::SEND_NO_REPLY,
            address: meter(),
        };
        for mode in [5, 7, 2] {
            let extension: &[u8] = if mode == 7 { &[0x10] } else { &[] };
            let authentication: &[u8] = if mode == 7 {
                &[0x90, 6, 0, 8, 1, 0, 0, 0]
            } else {
                &[]
            };
            let header = [0x7A, 1, 0, 0x00, mode];
            let above = [authentication, &header, extension, &[0x2F; 8]].concat();
            let bytes = link.emit(&above).unwrap();
            let des = MeterKey::from(DesKey::from_bytes([1; 8]));
            let key = if mode == 2 { des } else { key() };
            assert_eq!(open(&bytes, Some(&key)), Err(ErrorKind::NotEncrypted));
        }
    }

    #[test]
    fn no_number_of_blocks_is_all_of_them() {
        let mut bytes = draft(0x7A).encode(Some(&key())).unwrap();
        bytes[13] = 0x00;
        assert_eq!(open(&bytes, Some(&key())).unwrap().bytes[..12], PAYLOAD);
    }
}

mod mode_7 {
    use super::*;

    fn draft() -> Draft<'static> {
        Draft {
            meter: meter(),
            protection: Protection::Mode7 {
                counter: 0x0AB3,
                tag_len: 8,
            },
            ..Draft::new(adapter(), 0x72, &PAYLOAD)
        }
    }

    // CEN/TR 17167, F.3: a gas meter behind a radio adapter, CMAC of 8 bytes, message counter 0AB3.
    const STANDARD: &str = "530824484433221103378E80753A63665544330A31900F002C25B30A0000AF5D74DF73A600D972785634129315330375002007109058475F4BC91DF878B80A1B0F98B629024AAC727942BFC549233C0140829B93";

    #[test]
    fn of_the_standard() {
        let opened = open(&hex(STANDARD), Some(&key())).unwrap();
        assert_eq!(
            (opened.security, opened.authentication),
            (Security::Transport(7), Authentication::Mac)
        );
        assert_eq!(
            (opened.counter, &opened.bytes[..12]),
            (Some(0x0AB3), &PAYLOAD[..])
        );
    }

    #[test]
    fn there_and_back_with_every_mac() {
        for tag_len in [2, 4, 8, 12, 16] {
            let draft = Draft {
                protection: Protection::Mode7 {
                    counter: 7,
                    tag_len,
                },
                ..draft()
            };
            let opened = open(&draft.encode(Some(&key())).unwrap(), Some(&key())).unwrap();
            assert_eq!(
                (opened.authentication, opened.counter),
                (Authentication::Mac, Some(7))
            );
            assert_eq!(opened.bytes[..12], PAYLOAD);
        }
    }

    #[test]
    fn a_wrong_key_is_told_from_damage() {
        let payload = [PAYLOAD, PAYLOAD].concat();
        let draft = Draft {
            payload: &payload,
            ..draft()
        };
        let bytes = draft.encode(Some(&key())).unwrap();
        assert_eq!(
            open(&bytes, Some(&another_key())),
            Err(ErrorKind::KeyRejected)
        );
        let mut damaged = bytes.clone();
        *damaged.last_mut().unwrap() ^= 1;
        assert_eq!(open(&damaged, Some(&key())), Err(ErrorKind::Mac));
        let mut forged = bytes;
        forged[19] ^= 1;
        assert_eq!(open(&forged, Some(&key())), Err(ErrorKind::Mac));
    }

    #[test]
    fn published_after_decryption_only_without_a_key() {
        let mut bytes = draft().encode(Some(&key())).unwrap();
        let body = bytes.len() - 16;
        bytes.truncate(body);
        bytes.extend([0x2F, 0x2F]);
        bytes.extend(PAYLOAD);
        bytes.extend([0x2F; 2]);
        let opened = open(&bytes, None).unwrap();
        assert_eq!(
            (opened.authentication, &opened.bytes[..12]),
            (Authentication::None, &PAYLOAD[..])
        );
        assert_eq!(open(&bytes, Some(&key())), Err(ErrorKind::NotEncrypted));
    }

    #[test]
    fn needs_a_counter_and_the_known_derivation() {
        let bytes = draft().encode(Some(&key())).unwrap();
        let configuration = bytes.len() - 17;
        assert_eq!(bytes[configuration], 0x10);
        let mut other_derivation = bytes.clone();
        other_derivation[configuration] = 0x20;
        assert_eq!(
            open(&other_derivation, Some(&key())),
            Err(ErrorKind::UnsupportedMode(7))
        );
        let mut without_counter = bytes[..10].to_vec();
        without_counter.extend(&bytes[27..]);
        without_counter[0] = (without_counter.len() - 1) as u8;
        assert_eq!(
            open(&without_counter, Some(&key())),
            Err(ErrorKind::UnsupportedMode(7))
        );
    }

    #[test]
    fn without_a_mac_anyone_could_have_changed_it() {
        let bytes = draft().encode(Some(&key())).unwrap();
        let message = &bytes[10 + 17..];
        let afl = [0x90, 6, 0x00, 0x08, 0xB3, 0x0A, 0, 0];
        let opened = open(&framed(&[&afl, message].concat()), Some(&key()));
        assert_eq!(opened, Err(ErrorKind::UnsupportedAuthentication(0)));
    }

    #[test]
    fn a_mac_of_four_bytes_makes_a_plain_body_authentic() {
        let header = |tag_len, mac| afl::Header {
            fragment: afl::Fragment::WHOLE,
            control: Some(afl::MessageControl::with_tag_len(tag_len)),
            key_information: None,
            counter: Some(3),
            mac,
            message_len: None,
        };
        let message = [&[0x7A, 1, 0, 0, 0][..], &PAYLOAD].concat();
        let with_mac = |tag_len| {
            let meter = meter().identification;
            let mac = header(tag_len, None).calculate(&key(), meter, &message);
            let mut above = Vec::new();
            header(tag_len, afl::Tag::new(&mac.unwrap()[..tag_len])).write(&mut above);
            above.extend(&message);
            framed(&above)
        };
        let mut bytes = with_mac(4);
        let opened = open(&bytes, Some(&key())).unwrap();
        assert_eq!(opened.security, Security::None);
        assert_eq!(opened.authentication, Authentication::Mac);
        assert_eq!(open(&bytes, Some(&another_key())), Err(ErrorKind::Mac));
        *bytes.last_mut().unwrap() ^= 1;
        assert_eq!(open(&bytes, Some(&key())), Err(ErrorKind::Mac));
        assert_eq!(
            open(&with_mac(2), Some(&key())),
            Err(ErrorKind::NotEncrypted)
        );
    }

    #[test]
    fn joined_from_fragments() {
        let payload: Vec<u8> = PAYLOAD.iter().copied().cycle().take(200).collect();
        let draft = Draft {
            payload: &payload,
            ..draft()
        };
        let fragments = draft.encode_fragments(Some(&key()), 60).unwrap();
        assert_eq!(fragments.len(), 4);
        let mut assembler = Assembler::new();
        let mut joined = Vec::new();
        for fragment in &fragments[..3] {
            let telegram = Telegram::parse(fragment).unwrap();
            assert!(telegram.is_fragment());
            assert_eq!(
                telegram
                    .decrypt(&key(), &mut Buffer::new())
                    .unwrap_err()
                    .kind,
                ErrorKind::Incomplete
            );
            assert_eq!(
                telegram.join(&mut assembler, &mut joined).unwrap_err().kind,
                ErrorKind::Incomplete
            );
        }
        let telegram = Telegram::parse(&fragments[3])
            .unwrap()
            .join(&mut assembler, &mut joined)
            .unwrap();
        assert_eq!(
            (telegram.address(), telegram.sender()),
            (meter(), adapter())
        );
        let mut buffer = Buffer::new();
        let plain = telegram.decrypt(&key(), &mut buffer).unwrap();
        assert_eq!(
            (plain.authentication, &plain.bytes[..200]),
            (Authentication::Mac, &payload[..])
        );
    }
}

mod mode_10 {
    use super::*;

    fn draft() -> Draft<'static> {
        Draft {
            protection: Protection::Mode10 {
                counter: 939_916,
                tag_len: 8,
            },
            ..Draft::new(meter(), 0x7A, &PAYLOAD)
        }
    }

    // A water meter's telegram with its key, published at github.com/wmbusmeters/wmbusmeters/issues/1667; the second
    // still has the CRCs of frame format A.
    const CAPTURED: [&str; 2] = [
        "4544372C060382533C168C20307A3010FF2A10018C570E006DA7632471F42B0A3CECCD461353573ED02B87118BC5FFE982F7F00A0274543BC51938F8B9C8BB8928114D60788A",
        "4544372c060382533c16B8a68c20807a8010ff2a1001dc2e0d00cf1a763885672e138d6c0af61338403fdeB528aB5e52264e2c61e41B06073550aa296ae9815c1a868a7a9868ec6c624cfBBcecB37210",
    ];

    #[test]
    fn of_a_real_meter() {
        let key: MeterKey = "BF902DD6DFADAFE83E4AE6832B5FA14C".parse().unwrap();
        for captured in CAPTURED {
            let opened = open(&hex(captured), Some(&key)).unwrap();
            assert_eq!(
                (opened.security, opened.authentication),
                (Security::Transport(10), Authentication::Mac)
            );
            // The meter's date and time, then its volume.
            assert_eq!(
                (opened.bytes.len(), &opened.bytes[..2], &opened.bytes[6..8]),
                (38, &[0x04, 0x6D][..], &[0x04, 0x15][..])
            );
        }
    }

    #[test]
    fn there_and_back_with_every_tag() {
        for tag_len in [4, 8, 12, 16] {
            let draft = Draft {
                protection: Protection::Mode10 {
                    counter: 5,
                    tag_len,
                },
                ..draft()
            };
            let opened = open(&draft.encode(Some(&key())).unwrap(), Some(&key())).unwrap();
            assert_eq!(
                (opened.authentication, opened.counter),
                (Authentication::Mac, Some(5))
            );
            assert_eq!(opened.bytes, PAYLOAD);
        }
    }

    #[test]
    fn any_flipped_bit_is_refused() {
        let bytes = draft().encode(Some(&key())).unwrap();
        assert_eq!(
            open(&bytes, Some(&another_key())),
            Err(ErrorKind::KeyRejected)
        );
        assert_eq!(open(&bytes, None), Err(ErrorKind::KeyMissing));
        for bit in 2 * 8..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&damaged, Some(&key())).is_err(), "bit {bit}");
        }
    }
}

mod other_modes {
    use super::*;

    #[test]
    fn mode_2_with_des() {
        let key = DesKey::from_bytes([1, 2, 3, 4, 5, 6, 7, 8]);
        let mut body = [&[0x2F, 0x2F][..], &PAYLOAD, &[0x2F; 2]].concat();
        crypto::des_cbc_encrypt(&key, [0; 8], &mut body);
        let link = link::Repr {
            control: link::Control::SEND_NO_REPLY,
            address: meter(),
        };
        let bytes = link
            .emit(&[&[0x7A, 1, 0, 16, 0x02][..], &body].concat())
            .unwrap();
        let opened = open(&bytes, Some(&key.into())).unwrap();
        assert_eq!(
            (opened.security, opened.authentication),
            (Security::Transport(2), Authentication::None)
        );
        assert_eq!(opened.bytes[..12], PAYLOAD);
        assert_eq!(
            open(&bytes, Some(&DesKey::from_bytes([9; 8]).into())),
            Err(ErrorKind::KeyRejected)
        );
        assert_eq!(open(&bytes, Some(&super::key())), Err(ErrorKind::KeyLength));
        assert_eq!(open(&bytes, None), Err(ErrorKind::KeyMissing));
        let published = [
            &[0x7A, 1, 0, 16, 0x02, 0x2F, 0x2F][..],
            &PAYLOAD,
            &[0x2F; 2],
        ]
        .concat();
        assert_eq!(
            open(&framed(&published), None).unwrap().bytes[..12],
            PAYLOAD
        );
        let key = DesKey::from_bytes([1, 2, 3, 4, 5, 6, 7, 8]);
        let refused = open(&framed(&published), Some(&key.into()));
        assert_eq!(refused, Err(ErrorKind::NotEncrypted));
    }

    #[test]
    fn those_not_known() {
        for mode in [3, 4, 6, 8, 9, 11, 15] {
            let link = link::Repr {
                control: link::Control::SEND_NO_REPLY,
                address: meter(),
            };
            let bytes = link
                .emit(&[&[0x7A, 1, 0, 0, mode][..], &PAYLOAD].concat())
                .unwrap();
            assert_eq!(
                open(&bytes, Some(&key())),
                Err(ErrorKind::UnsupportedMode(mode))
            );
            assert_eq!(open(&bytes, None), Err(ErrorKind::UnsupportedMode(mode)));
        }
    }

    #[test]
    fn a_manufacturers_own() {
        let link = link::Repr {
            control: link::Control::SEND_NO_REPLY,
            address: meter(),
        };
        for above in [&[0x7A, 1, 0, 0, 0x10, 7, 7][..], &[0xA2, 7, 7]] {
            let bytes = link.emit(above).unwrap();
            let opened = open(&bytes, None).unwrap();
            assert_eq!(
                (opened.content, opened.security, opened.authentication),
                (
                    Content::Manufacturer,
                    Security::Manufacturer,
                    Authentication::None
                )
            );
            assert_eq!(opened.bytes, [7, 7]);
            assert_eq!(open(&bytes, Some(&key())), Err(ErrorKind::NotEncrypted));
            let telegram = Telegram::parse(&bytes).unwrap();
            let plain = telegram.proprietary().unwrap();
            assert_eq!((plain.content, plain.ci), (Content::Manufacturer, above[0]));
            assert_eq!((plain.bytes, plain.offset), (&[7, 7][..], bytes.len() - 2));
        }
    }
}

mod plain {
    use super::*;

    #[test]
    fn is_taken_only_without_a_key() {
        for ci in [0x78, 0x7A, 0x72] {
            let bytes = Draft::new(meter(), ci, &PAYLOAD).encode(None).unwrap();
            let opened = open(&bytes, None).unwrap();
            assert_eq!(
                (opened.security, opened.authentication),
                (Security::None, Authentication::None)
            );
            assert_eq!(opened.bytes, PAYLOAD);
            assert_eq!(open(&bytes, Some(&key())), Err(ErrorKind::NotEncrypted));
        }
    }

    #[test]
    fn an_address_unique_only_here_names_the_same_meter() {
        let mut sender = meter();
        sender.manufacturer.0 |= 0x8000;
        let draft = Draft {
            protection: Protection::Mode5,
            ..Draft::new(sender, 0x7A, &PAYLOAD)
        };
        let bytes = draft.encode(Some(&key())).unwrap();
        let telegram = Telegram::parse(&bytes).unwrap();
        let mut buffer = Buffer::new();
        let plain = telegram.decrypt(&key(), &mut buffer).unwrap();
        assert_eq!((telegram.address(), plain.address), (meter(), meter()));
        assert_eq!((telegram.sender(), plain.sender), (sender, sender));
    }

    #[test]
    fn contents_by_ci() {
        for (ci, content) in [
            (0x79, Content::Compact),
            (0x7B, Content::Compact),
            (0x73, Content::Compact),
        ] {
            let bytes = Draft::new(meter(), ci, &PAYLOAD).encode(None).unwrap();
            assert_eq!(open(&bytes, None).unwrap().content, content);
        }
        let format = Draft::new(meter(), 0x69, &PAYLOAD).encode(None).unwrap();
        assert_eq!(open(&format, None).unwrap().content, Content::Format);
        let alarm = Draft::new(meter(), 0x74, &PAYLOAD).encode(None).unwrap();
        assert_eq!(open(&alarm, None).unwrap().content, Content::Alarm);
    }

    #[test]
    fn application_errors_are_reported() {
        for ci in [0x6E, 0x6F, 0x70] {
            let bytes = Draft::new(meter(), ci, &[0x08]).encode(None).unwrap();
            assert_eq!(open(&bytes, None), Err(ErrorKind::ApplicationError(8)));
            assert_eq!(open(&bytes, Some(&key())), Err(ErrorKind::NotEncrypted));
        }
    }

    #[test]
    fn by_wire() {
        let bytes =
            hex("6820206808FD7278563412931533032A0000000C1427048502046D32371F1502FD1700008916");
        let telegram = Telegram::parse(&bytes).unwrap();
        assert_eq!((telegram.address(), telegram.sender()), (meter(), meter()));
        assert_eq!(open(&bytes, None).unwrap().bytes[..12], PAYLOAD);
        assert_eq!(open(&bytes, Some(&key())), Err(ErrorKind::NotEncrypted));
        let nobody = LongFrame::emit(link::Control::RESPONSE, 1, &[0x78, 0x2F]).unwrap();
        assert_eq!(
            Telegram::parse(&nobody).unwrap().address(),
            Address::from_link([0; 8])
        );
    }

    #[test]
    fn without_data() {
        let link = link::Repr {
            control: link::Control::ACCESS_NO_REPLY,
            address: meter(),
        };
        for above in [&[][..], &[0x8C, 0x20, 1], &[0x8A, 1, 0, 0, 0]] {
            assert_eq!(
                open(&link.emit(above).unwrap(), None),
                Err(ErrorKind::NoData)
            );
        }
    }
}

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}
