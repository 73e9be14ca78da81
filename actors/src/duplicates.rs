//! Duplicates: the same telegram heard twice, through a repeater or a second dongle, is one reading.

use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::{SignedDuration, Timestamp};
use wmbus::Reading;

/// The telegrams of one meter that were heard lately.
#[derive(Debug, Clone, Default)]
pub struct Recent {
    seen: [Option<Seen>; DEPTH],
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
    /// telegrams without one, only those count as the same that come within [`REPEAT_WITHIN`]: a meter at rest may honestly send the
    /// same bytes again.
    pub fn admit(&mut self, reading: &Reading, bytes: &[u8], at: Timestamp) -> bool {
        let numbered = reading.session.is_some();
        let fingerprint = fingerprint(reading, bytes);
        let known = self.seen.iter().flatten().any(|seen| {
            seen.fingerprint == fingerprint
                && (numbered || at.duration_since(seen.at).abs() <= REPEAT_WITHIN)
        });
        if known {
            return false;
        }
        if let Some(cell) = self.seen.get_mut(usize::from(self.next)) {
            *cell = Some(Seen { fingerprint, at });
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
