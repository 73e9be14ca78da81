//! Messages out of a stream of serial bytes.

use super::message::{Header, Message, START};
use super::{DEVICE_MANAGEMENT, RADIO_LINK, id};
use crate::error::Layer;
use crate::link::Control;
use crate::reader::Reader;

/// Makes messages of serial bytes, however they are cut, and says what it skipped.
///
/// A good message is never lost to garbage before it, even if that garbage looks like the beginning of a longer
/// message: what fails is dropped byte by byte, and what it seemed to contain is looked at again. A message whose CRC
/// is right is preferred to one without a CRC that seems to contain it.
///
/// ```
/// use wmbus::im871a::{Deframer, Event, Message, Why};
/// let mut deframer = Deframer::new();
/// deframer.push(&[0x00, 0xFF, 0xA5, 0x01]);
/// assert_eq!(deframer.next(), Some(Event::Discarded { count: 2, why: Why::NoStart }));
/// assert_eq!(deframer.next(), None);
/// deframer.push(&[0x02, 0x00]);
/// assert_eq!(deframer.next(), Some(Event::Message(Message::new(1, 0x02, vec![]))));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Deframer {
    buffer: Vec<u8>,
    /// Bytes at the front of `buffer` that are done with.
    done: usize,
    /// No more bytes will come for what is incomplete.
    paused: bool,
}

/// What [`Deframer`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message.
    Message(Message),
    /// Bytes that belong to no message.
    Discarded {
        /// How many.
        count: usize,
        /// Why.
        why: Why,
    },
}

/// Why bytes were skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// They stand before the start of a message.
    NoStart,
    /// They begin like a message, but no message has such a header.
    Header,
    /// A message's CRC is wrong.
    Crc,
    /// A message without a CRC seemed to contain one whose CRC is right.
    Unverified,
    /// A message broke off.
    Incomplete,
}

impl Deframer {
    /// No bytes yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the bytes that were read. Call [`next`](Self::next) until it gives `None`, then read on: then the buffer
    /// stays below the length of one message and one read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.done);
        self.done = 0;
        self.paused = false;
        self.buffer.extend_from_slice(bytes);
    }

    /// The stream has paused for longer than any message takes (48 ms at 57,600 baud), or has ended: what is
    /// incomplete will not be completed. Call [`next`](Self::next) until it gives `None` after this too.
    pub const fn pause(&mut self) {
        self.paused = true;
    }

    /// Is the beginning of a message waiting for the rest?
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.waiting().is_empty()
    }

    /// The next message, or the next bytes skipped; `None` until more bytes are pushed.
    #[expect(
        clippy::should_implement_trait,
        reason = "it is no iterator: after `None` there may be more"
    )]
    pub fn next(&mut self) -> Option<Event> {
        let (count, event) = match find(self.waiting(), self.paused) {
            Found::Message { message, count } => (count, Event::Message(message)),
            Found::Garbage { count, why } => (count, Event::Discarded { count, why }),
            Found::Incomplete => return None,
        };
        self.done += count;
        Some(event)
    }

    fn waiting(&self) -> &[u8] {
        self.buffer.get(self.done..).unwrap_or_default()
    }
}

enum Found {
    Message { message: Message, count: usize },
    Garbage { count: usize, why: Why },
    Incomplete,
}

/// What stands at the front of `bytes`, and how many of them it takes.
///
/// What follows later changes the answer only if it is `Incomplete`: so any chunking gives the same messages.
fn find(bytes: &[u8], paused: bool) -> Found {
    match bytes.iter().position(|&byte| byte == START) {
        Some(0) => {}
        Some(count) => {
            return Found::Garbage {
                count,
                why: Why::NoStart,
            };
        }
        None if bytes.is_empty() => return Found::Incomplete,
        None => {
            return Found::Garbage {
                count: bytes.len(),
                why: Why::NoStart,
            };
        }
    }
    let incomplete = match paused {
        true => Found::Garbage {
            count: next_start(bytes),
            why: Why::Incomplete,
        },
        false => Found::Incomplete,
    };
    let mut reader = Reader::in_layer(Layer::Hci, 0, bytes);
    let Ok(header) = Header::read(&mut reader) else {
        return incomplete;
    };
    if !is_plausible(header, reader.peek()) {
        let within_header = bytes.get(..Header::LEN).unwrap_or(bytes);
        return Found::Garbage {
            count: next_start(within_header),
            why: Why::Header,
        };
    }
    let count = header.message_len();
    let Some(whole) = bytes.get(..count) else {
        return incomplete;
    };
    if !header.has_crc() {
        match contains_verified(bytes, count) {
            Some(true) => {
                return Found::Garbage {
                    count: next_start(whole),
                    why: Why::Unverified,
                };
            }
            None if !paused => return Found::Incomplete,
            Some(false) | None => {}
        }
    }
    match Message::parse(whole) {
        Ok(message) => Found::Message { message, count },
        Err(_) => Found::Garbage {
            count: next_start(whole),
            why: Why::Crc,
        },
    }
}

/// Is the header one that the dongle or its host sends? With a CRC that is for the CRC to say.
fn is_plausible(header: Header, first: Option<u8>) -> bool {
    if header.has_unknown_bits() {
        return false;
    }
    if header.has_crc() {
        return true;
    }
    match (header.endpoint, header.id) {
        (
            DEVICE_MANAGEMENT,
            id::PING
            | id::PONG
            | id::GET_CONFIG
            | id::RESET
            | id::GET_DEVICE_INFO
            | id::GET_SYSTEM_STATUS,
        ) => header.length == 0,
        (
            DEVICE_MANAGEMENT,
            id::SET_CONFIG_DONE | id::RESET_DONE | id::FACTORY_RESET | id::FACTORY_RESET_DONE,
        ) => header.length <= 1,
        (DEVICE_MANAGEMENT, id::SET_CONFIG | id::CONFIG) => (2..=24).contains(&header.length),
        (DEVICE_MANAGEMENT, id::DEVICE_INFO) => (8..=16).contains(&header.length),
        (DEVICE_MANAGEMENT, id::SYSTEM_STATUS) => (33..=64).contains(&header.length),
        (RADIO_LINK, id::TELEGRAM) => {
            header.length >= 10 && first.is_none_or(|control| Control(control).is_from_meter())
        }
        _ => false,
    }
}

/// Does a message with a right CRC begin within the first `length` bytes, behind the very first? `None` if that cannot
/// be told before more bytes come.
fn contains_verified(bytes: &[u8], length: usize) -> Option<bool> {
    let mut unclear = false;
    for start in 1..length {
        let rest = bytes.get(start..).unwrap_or_default();
        if rest.first() != Some(&START) {
            continue;
        }
        let Ok(header) = Header::read(&mut Reader::in_layer(Layer::Hci, 0, rest)) else {
            unclear = true;
            continue;
        };
        if !header.has_crc() || header.has_unknown_bits() {
            continue;
        }
        match rest.get(..header.message_len()) {
            Some(whole) if Message::parse(whole).is_ok() => return Some(true),
            Some(_) => {}
            None => unclear = true,
        }
    }
    if unclear { None } else { Some(false) }
}

/// Where the next message could begin, behind the first byte: that many bytes are garbage.
fn next_start(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .skip(1)
        .position(|&byte| byte == START)
        .map_or(bytes.len(), |behind| behind + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::im871a::{Answer, Request};

    #[test]
    fn any_chunking_gives_the_same_messages() {
        let mut stream = vec![0x13, 0x37];
        stream.extend(telegram(true));
        stream.extend([0xA5, 0x82, 0x03]);
        stream.extend(telegram(false));
        stream.extend(Request::Ping.to_message().encode());
        let whole = messages(&stream, stream.len());
        assert_eq!(whole.len(), 3);
        for size in 1..stream.len() {
            assert_eq!(messages(&stream, size), whole, "chunks of {size}");
        }
    }

    #[test]
    fn damage_costs_only_the_damaged_message() {
        let mut stream = telegram(true);
        stream[20] ^= 0x10;
        let damaged = stream.len();
        stream.extend(telegram(true));
        let mut deframer = Deframer::new();
        deframer.push(&stream);
        assert_eq!(
            deframer.next(),
            Some(Event::Discarded {
                count: damaged,
                why: Why::Crc
            })
        );
        assert_eq!(
            deframer.next(),
            Some(Event::Message(Message::parse(&telegram(true)).unwrap()))
        );
        assert_eq!(deframer.next(), None);
    }

    // The garbage claims a telegram of 255 bytes, so the good message waits until they came or the stream pauses.
    #[test]
    fn a_pause_frees_what_waits_behind_half_a_message() {
        for claims_crc in [0x80, 0x00] {
            let mut deframer = Deframer::new();
            deframer.push(&[0xA5, claims_crc | 2, 0x03, 0xFF, 0x44]);
            deframer.push(&telegram(true));
            assert_eq!(deframer.next(), None);
            assert!(deframer.is_waiting());
            deframer.pause();
            assert_eq!(
                deframer.next(),
                Some(Event::Discarded {
                    count: 5,
                    why: Why::Incomplete
                })
            );
            assert_eq!(
                deframer.next(),
                Some(Event::Message(Message::parse(&telegram(true)).unwrap()))
            );
            assert_eq!(deframer.next(), None);
            assert!(!deframer.is_waiting());
        }
    }

    #[test]
    fn a_verified_message_inside_an_unverified_one_wins() {
        // A header without CRC that claims 20 bytes, which reach into the good message behind it.
        let mut stream = vec![0xA5, 0x02, 0x03, 20, 0x44, 0, 0, 0];
        stream.extend(telegram(true));
        for size in [1, 5, 11, stream.len()] {
            assert_eq!(
                messages(&stream, size),
                [Message::parse(&telegram(true)).unwrap()],
                "chunks of {size}"
            );
        }
        let mut deframer = Deframer::new();
        deframer.push(&stream);
        assert_eq!(
            deframer.next(),
            Some(Event::Discarded {
                count: 8,
                why: Why::Unverified
            })
        );
    }

    #[test]
    fn an_unverified_message_that_ends_like_a_start_needs_a_pause() {
        let mut bytes = telegram(false);
        *bytes.last_mut().unwrap() = START;
        let mut deframer = Deframer::new();
        deframer.push(&bytes);
        assert_eq!(deframer.next(), None);
        deframer.pause();
        assert_eq!(
            deframer.next(),
            Some(Event::Message(Message::parse(&bytes).unwrap()))
        );
    }

    #[test]
    fn says_what_it_skipped() {
        let mut deframer = Deframer::new();
        deframer.push(&[1, 2, 3, 0xA5, 0x05, 0xA5, 0x11, 0xA5, 0x01, 0x01, 0x05]);
        let skipped = |count, why| Some(Event::Discarded { count, why });
        assert_eq!(deframer.next(), skipped(3, Why::NoStart));
        assert_eq!(deframer.next(), skipped(2, Why::Header), "endpoint 5");
        assert_eq!(deframer.next(), skipped(2, Why::Header), "control bit 0x10");
        assert_eq!(
            deframer.next(),
            skipped(4, Why::Header),
            "a ping has no payload"
        );
        assert_eq!(deframer.next(), None);
    }

    fn messages(stream: &[u8], chunk: usize) -> Vec<Message> {
        let mut deframer = Deframer::new();
        let mut found = Vec::new();
        for chunk in stream.chunks(chunk).map(Some).chain([None]) {
            match chunk {
                Some(bytes) => deframer.push(bytes),
                None => deframer.pause(),
            }
            while let Some(event) = deframer.next() {
                if let Event::Message(message) = event {
                    found.push(message);
                }
            }
        }
        found
    }

    fn telegram(has_crc: bool) -> Vec<u8> {
        let bytes = vec![
            16, 0x44, 0x2D, 0x2C, 0x57, 0x68, 0x66, 0x32, 0x30, 0x02, 0x7A, 1, 2, 3, 4, 5, 6,
        ];
        let telegram = crate::im871a::Telegram {
            bytes,
            time_stamp: None,
            rssi: None,
        };
        Message {
            has_crc,
            ..Answer::Telegram(telegram).to_message()
        }
        .encode()
    }
}
