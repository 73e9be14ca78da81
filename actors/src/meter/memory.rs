//! What a meter's memory is on disk: what of it must outlive the program, in few bytes.
//!
//! Written with each reading, and in the same transaction, so that a telegram whose reading is on disk is not believed a second time after
//! a restart. The encoding begins with its version; what a later version wrote, or what is damaged, is not understood, and the meter begins
//! as one that was never heard: that is a warning, never a failure.
//!
//! Held readings and the telegrams heard within seconds are not kept: they would be old.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wmbus::ell::SessionNumber;
use wmbus::{Address, Decimal, Key, Learned, Reader, crc};

use super::Memory;
use crate::sequence::{Sequence, Step, Window};

/// See the [module documentation](self). A version that was released is never changed; what comes later is a new one, at the end.
#[derive(Serialize, Deserialize)]
enum Encoded {
    V1(V1),
}

#[derive(Serialize, Deserialize)]
struct V1 {
    /// Tells whether the meter has the same key still. What is only good with it is dropped otherwise.
    key_check: Option<u16>,
    readings: u64,
    refused: u64,
    sequence: Option<SequenceV1>,
    message_counter: Option<u32>,
    layouts: Option<LayoutsV1>,
}

#[derive(Serialize, Deserialize)]
struct SequenceV1 {
    /// As on the air.
    number: [u8; 4],
    /// Milliseconds since 1970, UTC.
    at: i64,
    /// Mantissa and exponent.
    register: Option<(i64, i8)>,
    heard: u128,
}

#[derive(Serialize, Deserialize)]
struct LayoutsV1 {
    /// As on the air.
    address: [u8; Address::LEN],
    headers: Vec<Vec<u8>>,
}

/// Bytes that are no memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what is remembered of the meter is damaged, or of a later version")]
pub struct Unreadable;

impl Memory {
    /// What is to be kept on disk; nothing before the meter gave a reading.
    pub fn to_keep(&self) -> Option<Box<[u8]>> {
        (self.readings > 0).then(|| self.to_bytes())
    }

    fn to_bytes(&self) -> Box<[u8]> {
        let encoded = Encoded::V1(V1 {
            key_check: self.key_check,
            readings: self.readings,
            refused: self.refused,
            sequence: self.sequence.window().map(SequenceV1::from),
            message_counter: self.message_counter,
            layouts: self.learned.as_ref().map(|learned| LayoutsV1 {
                address: learned.address().to_link(),
                headers: learned.layouts().map(<[u8]>::to_vec).collect(),
            }),
        });
        let mut usual = [0; USUAL_LENGTH];
        match postcard::to_slice(&encoded, &mut usual) {
            Ok(bytes) => (&*bytes).into(),
            // Numbers and lists of them: nothing but the length could make it fail.
            Err(_) => postcard::to_allocvec(&encoded).unwrap_or_default().into(),
        }
    }

    /// What was kept, of a meter whose key gives this check.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn from_bytes(bytes: &[u8], key_check: Option<u16>) -> Result<Self, Unreadable> {
        let (Encoded::V1(v1), rest) = postcard::take_from_bytes(bytes).map_err(|_| Unreadable)?;
        if !rest.is_empty() {
            return Err(Unreadable);
        }
        let sequence = match v1.sequence {
            Some(sequence) => Sequence::resume(sequence.try_into()?),
            None => Sequence::new(),
        };
        let same_key = v1.key_check == key_check;
        let layouts = v1.layouts.filter(|_| same_key);
        Ok(Self {
            key_check,
            readings: v1.readings,
            refused: v1.refused,
            sequence,
            message_counter: v1.message_counter.filter(|_| same_key),
            learned: layouts.map(Learned::try_from).transpose()?,
            ..Self::default()
        })
    }
}

/// What is kept of a meter without learned layouts is not longer.
const USUAL_LENGTH: usize = 80;

impl From<Window<Decimal>> for SequenceV1 {
    fn from(Window { highest, heard }: Window<Decimal>) -> Self {
        Self {
            number: highest.number.to_bytes(),
            at: highest.at.as_millisecond(),
            register: highest
                .register
                .map(|register| (register.mantissa(), register.exponent())),
            heard,
        }
    }
}

impl TryFrom<SequenceV1> for Window<Decimal> {
    type Error = Unreadable;

    fn try_from(stored: SequenceV1) -> Result<Self, Unreadable> {
        let number =
            SessionNumber::read(&mut Reader::new(&stored.number)).map_err(|_| Unreadable)?;
        Ok(Self {
            highest: Step {
                number,
                at: time(stored.at)?,
                register: stored
                    .register
                    .map(|(mantissa, exponent)| Decimal::new(mantissa, exponent)),
            },
            heard: stored.heard,
        })
    }
}

impl TryFrom<LayoutsV1> for Learned {
    type Error = Unreadable;

    fn try_from(stored: LayoutsV1) -> Result<Self, Unreadable> {
        let address = Address::from_link(stored.address);
        Self::new(address, stored.headers.iter().map(|headers| &**headers)).map_err(|_| Unreadable)
    }
}

fn time(milliseconds: i64) -> Result<Timestamp, Unreadable> {
    Timestamp::from_millisecond(milliseconds).map_err(|_| Unreadable)
}

/// Tells one key from another; too short to say anything about it.
pub(super) fn check(key: &Key) -> u16 {
    crc::en13757(key.as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::refusal::Refusal;

    fn key() -> Key {
        "9A25139E3244CC2E391A8EF6B915B697".parse().unwrap()
    }

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect()
    }

    /// Version 1, put together by hand: 5 readings, 2 refused; session number 14,448 minutes 1, received 2020-10-25T10:08:00.9Z with a
    /// register of 206·10, numbers 0 and 2 behind it heard; message counter 7; of KAM 32666857 version 30 medium 02 the layout 04 13 02 59.
    const WRITTEN_BY_VERSION_1: &str =
        "0001bdcd0305020101870320889ed5f3ab5d019c0301050107012d2c576866323002010404130259";

    #[test]
    fn what_was_written_is_read_by_every_later_version() {
        let written = bytes(WRITTEN_BY_VERSION_1);
        let memory = Memory::from_bytes(&written, Some(check(&key()))).unwrap();
        assert_eq!((memory.readings, memory.refused), (5, 2));
        assert_eq!(memory.message_counter, Some(7));
        let window = memory.sequence.window().unwrap();
        assert_eq!(window.highest.number.minutes(), 14_448);
        assert_eq!(window.highest.at, "2020-10-25T10:08:00.9Z".parse().unwrap());
        assert_eq!(window.highest.register, Some(Decimal::new(206, 1)));
        assert_eq!(window.heard, 0b101);
        let learned = memory.learned.as_ref().unwrap();
        assert_eq!(learned.address().to_string(), "KAM-32666857-30-02");
        assert_eq!(
            learned.layouts().collect::<Vec<_>>(),
            [[0x04, 0x13, 0x02, 0x59]]
        );
        assert_eq!(&*memory.to_bytes(), written);
    }

    #[test]
    fn a_meter_that_was_hardly_heard_takes_few_bytes() {
        let bytes = Memory::default().to_bytes();
        assert!(bytes.len() < 10, "{bytes:?}");
        let memory = Memory::from_bytes(&bytes, None).unwrap();
        assert_eq!(memory.sequence.window(), None);
    }

    /// A new key may begin a new count, and what an old key proved is not proved by it. The session number is the meter's clock.
    #[test]
    fn with_another_key_only_the_session_number_counts() {
        let written = bytes(WRITTEN_BY_VERSION_1);
        for other in [None, Some(Key::from_bytes([7; 16]))] {
            let memory = Memory::from_bytes(&written, other.as_ref().map(check)).unwrap();
            assert!(memory.sequence.window().is_some());
            assert_eq!(memory.message_counter, None);
            assert_eq!(memory.learned, None);
        }
    }

    #[test]
    fn damage_and_later_versions_are_told() {
        let written = bytes(WRITTEN_BY_VERSION_1);
        let read = |bytes: &[u8]| Memory::from_bytes(bytes, Some(check(&key()))).err();
        for end in 0..written.len() {
            assert_eq!(read(&written[..end]), Some(Unreadable), "{end} bytes");
        }
        assert_eq!(read(&[&written[..], &[0]].concat()), Some(Unreadable));
        assert_eq!(read(&[&[1], &written[1..]].concat()), Some(Unreadable));
    }

    #[test]
    fn the_message_counter_must_rise() {
        let mut memory = Memory::default();
        assert!(memory.count(100).is_ok());
        assert!(matches!(memory.count(100), Err(Refusal::Duplicate)));
        assert!(matches!(memory.count(99), Err(Refusal::Replayed)));
        assert!(memory.count(101).is_ok());
        let mut later = Memory::from_bytes(&memory.to_bytes(), None).unwrap();
        assert!(matches!(later.count(100), Err(Refusal::Replayed)));
        assert!(later.count(102).is_ok());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = Memory::from_bytes(&bytes, None);
        }
    }
}
