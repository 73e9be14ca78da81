//! Duplicates: the same telegram heard twice, through a repeater or a second dongle, is one reading.

use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::{SignedDuration, Timestamp};
use wmbus::Reading;

use crate::parser::CheckedTelegram;

/// The telegrams of one meter that were heard lately.
#[derive(Debug, Clone, Default)]
pub struct Recent {
    /// At most [`DEPTH`]; takes no room for the many meters whose telegrams are numbered.
    seen: Vec<Seen>,
    /// Where the next one goes when there are so many.
    next: u8,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    fingerprint: u64,
    at: Timestamp,
}

impl Recent {
    /// Remembers a verified telegram; `false` if it was heard before.
    ///
    /// A session number never comes twice from the same meter, so a numbered telegram is compared with all that are remembered. Of
    /// telegrams without one, only those count as the same that come within `REPEAT_WITHIN`: a meter at rest may honestly send the
    /// same bytes again.
    pub fn admit(&mut self, reading: &Reading, telegram: &CheckedTelegram) -> bool {
        let at = telegram.raw().received_at();
        let numbered = reading.session.is_some();
        let fingerprint = fingerprint(reading, telegram.bytes());
        let known = self.seen.iter().any(|seen| {
            seen.fingerprint == fingerprint
                && (numbered || at.duration_since(seen.at).abs() <= REPEAT_WITHIN)
        });
        if known {
            return false;
        }
        let seen = Seen { fingerprint, at };
        match self.seen.get_mut(usize::from(self.next)) {
            Some(oldest) => *oldest = seen,
            None => self.seen.push(seen),
        }
        self.next = (self.next + 1) % DEPTH as u8;
        true
    }
}

/// A repeater may change the link layer, never the session number; without one, the bytes have to do.
fn fingerprint(reading: &Reading, bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    match reading.session {
        Some(session) => (session, reading.access_number).hash(&mut hasher),
        None => bytes.hash(&mut hasher),
    }
    hasher.finish()
}

/// Telegrams of one meter that are remembered.
const DEPTH: usize = 8;

/// How long after a telegram without a session number a repeater may still bring it.
const REPEAT_WITHIN: SignedDuration = SignedDuration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw_telegram::RawTelegram;
    use wmbus::telegram::Draft;
    use wmbus::{Address, Decoder, Medium};

    /// A water meter that does not encrypt and shows this volume.
    fn telegram(volume: u8, second: i64) -> (Reading, CheckedTelegram) {
        let address = Address {
            manufacturer: "KAM".parse().unwrap(),
            identification: "12345678".parse().unwrap(),
            version: 1,
            medium: Medium(7),
        };
        let payload = [0x04, 0x13, volume, 0, 0, 0];
        let bytes = Draft::new(address, 0x7A, &payload).encode(None).unwrap();
        let at = Timestamp::from_second(second).unwrap();
        let telegram = CheckedTelegram::check(RawTelegram::radio(bytes, at, None)).unwrap();
        let reading = Decoder::new(None).decode(telegram.bytes()).unwrap();
        (reading, telegram)
    }

    #[test]
    fn the_same_bytes_soon_after_are_a_duplicate_and_later_are_not() {
        let mut recent = Recent::default();
        for (volume, second, new) in [
            (1, 0, true),
            (1, 3, false),
            (2, 4, true),
            (1, 9, false),
            (1, 60, true),
        ] {
            let (reading, telegram) = telegram(volume, second);
            assert_eq!(
                recent.admit(&reading, &telegram),
                new,
                "{volume} at {second} s"
            );
        }
    }
}
