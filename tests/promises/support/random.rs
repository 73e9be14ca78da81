//! Decisions by chance that can be repeated: SplitMix64.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::time::Duration;

pub struct Random(u64);

impl Random {
    /// A seed that nobody chose.
    pub fn seed() -> u64 {
        RandomState::new().hash_one(()) >> 32
    }

    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ word >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ word >> 31
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A time in this range of milliseconds.
    pub fn duration(&mut self, milliseconds: Range<u64>) -> Duration {
        let span = milliseconds.end - milliseconds.start;
        Duration::from_millis(milliseconds.start + self.below(span))
    }
}
