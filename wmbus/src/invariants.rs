//! What must hold for any bytes: called by the property tests and by the fuzz targets, which are one line each.
//!
//! Unlike the rest of the library these functions panic: that is how they report.
#![expect(clippy::indexing_slicing, reason = "a panic is how an invariant fails")]

use std::collections::HashSet;

use crate::address::Address;
use crate::afl::{self, Assembler};
use crate::crypto::MeterKey;
use crate::decoder::Decoder;
use crate::ell::{self, SessionNumber};
use crate::error::{Error, Layer};
use crate::im871a::{Answer, Deframer, Event, Message, Request};
use crate::key::Key;
use crate::link::{self, Format};
use crate::profile::Profile;
use crate::reader::Reader;
use crate::record::{Records, Value};
use crate::telegram::{AccessNumber, Authentication, Buffer, Draft, Plain, Protection, Telegram};
use crate::tpl;
use crate::wired::LongFrame;

/// A payload survives the link layer in every frame format, and one flipped bit is always noticed.
///
/// The first two bytes choose the bit, the rest is the payload.
pub fn link_formats(bytes: &[u8]) {
    let Some((choice, payload)) = bytes.split_first_chunk() else {
        return;
    };
    let choice = usize::from(u16::from_le_bytes(*choice));
    let repr = link::Repr {
        control: link::Control::SEND_NO_REPLY,
        address: METER,
    };
    let Ok(bare) = repr.emit(payload) else {
        assert!(payload.len() > link::Repr::MAX_PAYLOAD);
        return;
    };
    assert!(link::Frame::new_checked(&bare).is_ok_and(|frame| frame.payload() == payload));
    for format in [Format::A, Format::B] {
        let Ok(on_air) = format.emit(&bare) else {
            continue;
        };
        assert_eq!(link::strip(format, &on_air).as_deref(), Ok(&bare[..]));
        let damaged = flip(&on_air, choice);
        assert!(
            link::strip(format, &damaged).is_err(),
            "bit {choice} of {format:?}"
        );
    }
    if let Ok(frame) = LongFrame::emit(link::Control::RESPONSE, 1, payload) {
        assert!(LongFrame::new_checked(&frame).is_ok_and(|frame| frame.payload() == payload));
        assert!(LongFrame::new_checked(&flip(&frame, choice)).is_err());
    }
}

/// Any bytes are a telegram or an error, whoever reads them with whatever key.
pub fn telegram(bytes: &[u8]) {
    let mut buffer = Buffer::new();
    let mut joined = Vec::new();
    let des = "0001020304050607".parse().ok();
    let keys = [Some(key(0)), Some(key(1)), des, None];
    for key in &keys {
        let mut assembler = Assembler::new();
        let outcome = open(
            bytes,
            key.as_ref(),
            &mut assembler,
            &mut joined,
            &mut buffer,
            |plain| {
                // A sender with a key is believed only what was encrypted or authenticated with it.
                let declares_nothing = plain.security == crate::telegram::Security::None;
                let is_authentic = plain.authentication == Authentication::Mac;
                assert!(key.is_none() || !declares_nothing || is_authentic);
            },
        );
        if let Err(error) = outcome {
            assert!(
                error.offset <= bytes.len(),
                "{error} in {} bytes",
                bytes.len()
            );
        }
    }
}

/// Any payload is records or an error, and what is made of it stays in proportion to it.
pub fn records(bytes: &[u8]) {
    let mut records = Records::new(Reader::in_layer(Layer::Apl, 0, bytes));
    let mut count = 0;
    for record in &mut records {
        match record {
            Ok(record) => {
                count += 1;
                assert!(len_of(&record.value) <= 8 * bytes.len() + MOST_DIGITS);
            }
            Err(error) => assert!(error.offset <= bytes.len(), "{error}"),
        }
    }
    // A record has two bytes at least.
    assert!(count <= bytes.len().div_ceil(2), "{count} records");
    let Ok(telegram) = Draft::new(METER, 0x78, bytes).encode(None) else {
        return;
    };
    if let Ok(reading) = Decoder::new(None).decode(&telegram) {
        // Profiles are unfolded: each of their elements is a record, and has one byte at least.
        assert!(reading.records.len() <= bytes.len() + 1);
        let unknown = Profile::unknown(METER.manufacturer);
        let fields = reading.fields(&unknown);
        assert!(fields.len() <= 2 * reading.records.len());
        let names: HashSet<_> = fields.iter().map(|field| &field.name).collect();
        assert_eq!(names.len(), fields.len(), "{names:?}");
    }
}

/// Whatever the bytes are, an explanation has each of them in exactly one part, and comes to the same end as decoding.
pub fn explanation(bytes: &[u8]) {
    for key in [None, Some(key(0))] {
        let explanation = Decoder::new(key.clone()).explain(bytes);
        let mut at = 0;
        for part in &explanation.parts {
            assert_eq!(part.offset, at, "{part:?}");
            assert!(!part.bytes.is_empty(), "{part:?}");
            assert_eq!(bytes.get(at..at + part.bytes.len()), Some(&*part.bytes));
            let decrypted = part.decrypted.as_ref();
            assert!(decrypted.is_none_or(|decrypted| decrypted.len() == part.bytes.len()));
            at += part.bytes.len();
        }
        assert_eq!(at, bytes.len());
        assert_eq!(explanation.outcome, Decoder::new(key).decode(bytes));
        assert!(explanation.failed_at.is_none_or(|at| at <= bytes.len()));
    }
}

/// A sequence of telegrams, each with its length before it, joins fragments without ever growing beyond the limit.
pub fn fragments(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    let mut assembler = Assembler::new();
    let mut joined = Vec::new();
    let mut buffer = Buffer::new();
    let key = key(0);
    while let Ok(length) = reader.byte() {
        let Ok(telegram) = reader.take(length.into()) else {
            return;
        };
        let _ = open(
            telegram,
            Some(&key),
            &mut assembler,
            &mut joined,
            &mut buffer,
            |_| {},
        );
        assert!(joined.len() <= Assembler::MAX_MESSAGE);
    }
}

/// What is encoded and encrypted decodes to the same, in every security mode; one flipped bit of what a CRC or a MAC
/// covers is always noticed, and so is another key.
///
/// The first bytes choose mode, key, numbers and bit; the rest is the payload.
pub fn security(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    let (Ok(&[mode, key_number, access_number, status]), Ok(counter), Ok(choice)) =
        (reader.take_array(), reader.u32(), reader.u16())
    else {
        return;
    };
    let payload = reader.rest();
    let (ci, protection) = match mode % 8 {
        0 => (0x78, None),
        1 => (0x79, None),
        2 => (0x7A, Some(Protection::Mode5)),
        3 => (0x72, Some(Protection::Mode5)),
        4 => (
            0x7A,
            Some(Protection::Mode7 {
                counter,
                tag_len: 8,
            }),
        ),
        5 => (
            0x72,
            Some(Protection::Mode7 {
                counter,
                tag_len: 16,
            }),
        ),
        6 => (
            0x7B,
            Some(Protection::Mode10 {
                counter,
                tag_len: 8,
            }),
        ),
        _ => (
            0x73,
            Some(Protection::Mode10 {
                counter,
                tag_len: 16,
            }),
        ),
    };
    let session = SessionNumber::new(counter & SessionNumber::MAX_MINUTES, access_number & 0x0F);
    let header = ell::Header {
        communication_control: status,
        access_number: AccessNumber(access_number),
        receiver: (mode & 0x10 != 0).then_some(ADAPTER),
        session: session.filter(|_| protection.is_none()),
    };
    let draft = Draft {
        ell: Some(header),
        meter: METER,
        access_number: AccessNumber(access_number),
        status,
        protection: protection.unwrap_or(Protection::None),
        ..Draft::new(ADAPTER, ci, payload)
    };
    let key = key(key_number);
    let Ok(bytes) = draft.encode(Some(&key)) else {
        assert!(payload.len() > 100, "{} bytes do not fit", payload.len());
        return;
    };
    let with = |bytes: &[u8], key| {
        let mut same = false;
        let (mut assembler, mut joined, mut buffer) = (Assembler::new(), Vec::new(), Buffer::new());
        let check = |plain: &Plain<'_>| same = plain.bytes.starts_with(payload) && plain.ci == ci;
        open(
            bytes,
            Some(key),
            &mut assembler,
            &mut joined,
            &mut buffer,
            check,
        )
        .map(|()| same)
    };
    assert_eq!(with(&bytes, &key), Ok(true));
    if protection == Some(Protection::Mode5) {
        return;
    }
    // The extended link layer's CRC covers what it encrypts, a MAC all from the transport layer's CI on.
    let link = link::Frame::HEADER_LEN + if header.receiver.is_some() { 11 } else { 3 };
    let start = match protection {
        None => link + 4,
        Some(Protection::Mode7 { tag_len, .. }) => link + 9 + tag_len,
        Some(_) => link,
    };
    let mut damaged = bytes[..start].to_vec();
    damaged.extend(flip(&bytes[start..], choice.into()));
    assert!(
        with(&damaged, &key).is_err(),
        "{protection:?}, bit {choice}"
    );
}

/// Headers that can be read are written as they were.
pub fn headers(bytes: &[u8]) {
    if let Ok(Some(header)) = ell::Header::read(&mut Reader::new(bytes)) {
        let mut written = Vec::new();
        let key = key(0);
        let payload_less = header.write(METER, Some(&key), &[], &mut written);
        assert_eq!(payload_less, Ok(()));
        assert_eq!(
            ell::Header::read(&mut Reader::new(&written)),
            Ok(Some(header))
        );
    }
    if let Ok(Some(header)) = afl::Header::read(&mut Reader::new(bytes)) {
        let mut written = Vec::new();
        header.write(&mut written);
        assert_eq!(
            afl::Header::read(&mut Reader::new(&written)),
            Ok(Some(header))
        );
    }
    let mut reader = Reader::new(bytes);
    if let Ok((header, _)) = tpl::Header::read(&mut reader) {
        let mut written = Vec::new();
        header.write(&mut written);
        assert_eq!(Some(written.as_slice()), bytes.get(..reader.offset()));
    }
}

/// Any serial bytes in any chunks give the same messages and skip the same number of bytes, and none is lost.
///
/// The first byte chooses the chunks, the rest is the stream.
pub fn serial_stream(bytes: &[u8]) {
    let Some((chunk, stream)) = bytes.split_first() else {
        return;
    };
    let (messages, skipped) = deframe(stream, stream.len().max(1));
    assert_eq!(
        deframe(stream, usize::from(*chunk) + 1),
        (messages.clone(), skipped)
    );
    let taken: usize = messages.iter().map(|message| message.encode().len()).sum();
    assert_eq!(taken + skipped, stream.len());
    for message in &messages {
        assert_eq!(Message::parse(&message.encode()).as_ref(), Ok(message));
        if let Ok(Some(request)) = Request::parse(message) {
            assert_eq!(Request::parse(&request.to_message()), Ok(Some(request)));
        }
        if let Ok(Some(answer)) = Answer::parse(message) {
            assert_eq!(Answer::parse(&answer.to_message()), Ok(Some(answer)));
        }
    }
}

/// A message whose CRC is right survives what stands before and behind it, and one flipped bit never gives a message
/// with a CRC.
///
/// The first three bytes choose the lengths of the garbage and the bit, then comes the garbage, the rest is the payload.
pub fn serial_garbage(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    let Ok(&[before, behind, choice]) = reader.take_array() else {
        return;
    };
    let (Ok(before), Ok(behind)) = (
        reader.take((before % 64).into()),
        reader.take((behind % 64).into()),
    ) else {
        return;
    };
    let payload = reader.rest();
    let message = Message {
        time_stamp: Some(1),
        raw_rssi: Some(2),
        has_crc: true,
        ..Message::new(
            2,
            3,
            payload
                .get(..payload.len().min(255))
                .unwrap_or_default()
                .to_vec(),
        )
    };
    let good = message.encode();
    let stream = [before, &good, behind].concat();
    // Garbage that is a message with a right CRC itself, and reaches into the good one, would be believed.
    let overlaps = (0..before.len())
        .filter(|&start| before[start] == 0xA5)
        .any(|start| {
            (before.len() - start + 1..=stream.len() - start).any(|length| {
                Message::parse(&stream[start..start + length]).is_ok_and(|message| message.has_crc)
            })
        });
    if !overlaps {
        assert!(deframe(&stream, 7).0.contains(&message));
    }
    let damaged = flip(&good, choice.into());
    assert!(
        !deframe(&damaged, 7)
            .0
            .iter()
            .any(|found| found.has_crc && found.payload == message.payload)
    );
}

fn deframe(stream: &[u8], chunk: usize) -> (Vec<Message>, usize) {
    let mut deframer = Deframer::new();
    let (mut messages, mut skipped) = (Vec::new(), 0);
    for chunk in stream.chunks(chunk).map(Some).chain([None]) {
        match chunk {
            Some(bytes) => deframer.push(bytes),
            None => deframer.pause(),
        }
        while let Some(event) = deframer.next() {
            match event {
                Event::Message(message) => messages.push(message),
                Event::Discarded { count, .. } => {
                    assert!(count > 0);
                    skipped += count;
                }
            }
        }
    }
    assert!(!deframer.is_waiting());
    (messages, skipped)
}

/// All stages, from bytes to the payload.
fn open(
    bytes: &[u8],
    key: Option<&MeterKey>,
    assembler: &mut Assembler,
    joined: &mut Vec<u8>,
    buffer: &mut Buffer,
    check: impl FnOnce(&Plain<'_>),
) -> Result<(), Error> {
    let bytes = link::normalise(bytes)?;
    let telegram = Telegram::parse(&bytes)?.join(assembler, joined)?;
    if let Some(plain) = telegram.proprietary() {
        assert_eq!(plain.authentication, Authentication::None);
    }
    let plain = match key {
        Some(key) => telegram.decrypt(key, buffer),
        None => telegram.published(buffer),
    }?;
    check(&plain);
    Ok(())
}

/// How long a value is when it is written down.
fn len_of(value: &Value) -> usize {
    value.to_string().len()
}

/// One bit flipped, chosen modulo their number.
fn flip(bytes: &[u8], choice: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let bit = choice % (bytes.len() * 8).max(1);
    if let Some(byte) = bytes.get_mut(bit / 8) {
        *byte ^= 1 << (bit % 8);
    }
    bytes
}

fn key(number: u8) -> MeterKey {
    MeterKey::from(&Key::from_bytes([number; 16]))
}

const METER: Address = Address::from_link([0x2D, 0x2C, 0x57, 0x68, 0x66, 0x32, 0x30, 0x02]);
const ADAPTER: Address = Address::from_link([0x93, 0x44, 0x11, 0x22, 0x33, 0x44, 0x01, 0x37]);
/// A 32-bit real number as a decimal: the smallest has 45 digits behind the point, and the VIF and ten VIFEs may move it.
const MOST_DIGITS: usize = 160;
