//! Sighting: what was heard of one meter, whether it is monitored or not.

use std::time::Duration;

use jiff::Timestamp;
use wmbus::im871a::Rssi;
use wmbus::{Address, Security};

use crate::parser::CheckedTelegram;

/// What was heard of one meter. Nothing of it is verified: these are a telegram's own words.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sighting {
    /// Whose telegrams they claim to be.
    pub address: Address,
    /// How the last declares itself protected; `None` if its headers cannot be read.
    pub security: Option<Security>,
    /// How many were heard.
    pub telegrams: u64,
    /// When the last was.
    pub last_heard: Timestamp,
    /// How loud the last was.
    pub rssi: Option<Rssi>,
    gaps: Gaps,
}

impl Sighting {
    /// The first telegram.
    pub fn of(telegram: &CheckedTelegram) -> Self {
        Self {
            address: telegram.address(),
            security: telegram.security(),
            telegrams: 1,
            last_heard: telegram.raw().received_at(),
            rssi: telegram.raw().rssi(),
            gaps: Gaps::default(),
        }
    }

    /// A further telegram.
    pub fn again(&mut self, telegram: &CheckedTelegram) {
        let last_heard = self.last_heard;
        *self = Self {
            telegrams: self.telegrams + 1,
            gaps: self.gaps,
            ..Self::of(telegram)
        };
        let gap = self.last_heard.duration_since(last_heard);
        self.gaps.add(Duration::try_from(gap).unwrap_or_default());
    }

    /// How often it sends: the median of the last gaps, so that a telegram that was missed now and then does not count. `None` before the
    /// second telegram.
    pub fn interval(&self) -> Option<Duration> {
        self.gaps.median()
    }

    /// Whether it is silent for longer than can be by chance: six of its intervals, and two minutes at least. `now` is from the same clock
    /// as its telegrams' times.
    pub fn is_silent(&self, now: Timestamp) -> bool {
        let limit = self
            .interval()
            .map(|interval| SILENT_AT_LEAST.max(interval.saturating_mul(6)));
        let silence = Duration::try_from(now.duration_since(self.last_heard)).unwrap_or_default();
        limit.is_some_and(|limit| silence > limit)
    }
}

/// Short silences of meters that send often are no news.
const SILENT_AT_LEAST: Duration = Duration::from_secs(120);

/// The times between the last telegrams, in milliseconds; 0 for none.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Gaps {
    millis: [u32; 8],
    next: u8,
}

impl Gaps {
    fn add(&mut self, gap: Duration) {
        if gap < REPEATED_WITHIN {
            return;
        }
        if let Some(place) = self.millis.get_mut(usize::from(self.next)) {
            *place = u32::try_from(gap.as_millis()).unwrap_or(u32::MAX);
        }
        self.next = (self.next + 1) % self.millis.len() as u8;
    }

    fn median(&self) -> Option<Duration> {
        let mut known = self.millis;
        known.sort_unstable();
        let first = known.iter().position(|gap| *gap > 0)?;
        let known = known.get(first..)?;
        let median = known.get((known.len() - 1) / 2)?;
        Some(Duration::from_millis((*median).into()))
    }
}

/// What comes sooner is the same telegram through a repeater or a second receiver, or the clock was set back.
const REPEATED_WITHIN: Duration = Duration::from_secs(1);

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::raw_telegram::RawTelegram;
    use wmbus::telegram::Draft;
    use wmbus::{IdentificationNumber, Medium};

    /// A plain telegram of a KAM meter with this number, at this second.
    pub(crate) fn telegram(number: u32, second: i64) -> CheckedTelegram {
        let address = Address {
            manufacturer: "KAM".parse().unwrap(),
            identification: IdentificationNumber(
                u32::from_str_radix(&number.to_string(), 16).unwrap(),
            ),
            version: 0x30,
            medium: Medium(2),
        };
        let bytes = Draft::new(address, 0x78, &[0x04, 0x04, 1, 0, 0, 0])
            .encode(None)
            .unwrap();
        let at = Timestamp::from_second(second).unwrap();
        CheckedTelegram::check(RawTelegram::radio(bytes, at, Some(Rssi::from_dbm(-71)))).unwrap()
    }

    fn heard_at(seconds: &[i64]) -> Sighting {
        let mut sighting = Sighting::of(&telegram(1, seconds[0]));
        for &second in &seconds[1..] {
            sighting.again(&telegram(1, second));
        }
        sighting
    }

    #[test]
    fn the_last_telegram_counts() {
        let sighting = heard_at(&[100, 116]);
        assert_eq!(sighting.telegrams, 2);
        assert_eq!(sighting.last_heard, Timestamp::from_second(116).unwrap());
        assert_eq!(sighting.rssi, Some(Rssi::from_dbm(-71)));
        assert_eq!(sighting.security, Some(Security::None));
    }

    #[test]
    fn silence_is_measured_by_its_own_interval() {
        let is_silent = |seconds: &[i64], now| {
            heard_at(seconds).is_silent(Timestamp::from_second(now).unwrap())
        };
        assert!(!is_silent(&[1000], 100_000), "its interval is not known");
        assert!(!is_silent(&[1000, 1016], 1136));
        assert!(is_silent(&[1000, 1016], 1137));
        assert!(!is_silent(&[1000, 1900], 7300));
        assert!(is_silent(&[1000, 1900], 7301));
        assert!(!is_silent(&[1000, 1016], 0), "the clock was set back");
    }

    #[test]
    fn missed_and_repeated_telegrams_do_not_change_the_interval() {
        let interval = |seconds: &[i64]| heard_at(seconds).interval().map(|gap| gap.as_secs());
        assert_eq!(interval(&[7]), None);
        assert_eq!(interval(&[0, 16]), Some(16));
        assert_eq!(interval(&[0, 16, 32, 80, 96, 112]), Some(16));
        assert_eq!(interval(&[0, 0, 16, 16, 32]), Some(16));
        // The clock was set back.
        assert_eq!(interval(&[1000, 0, 16, 32]), Some(16));
        // Only the last gaps count.
        let slower: Vec<_> = (0..9).chain((1..10).map(|gap| 8 + 60 * gap)).collect();
        assert_eq!(interval(&slower), Some(60));
    }
}
