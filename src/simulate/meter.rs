//! Virtual OmniPower meters: what a Kamstrup OmniPower sends, with numbers that fit together.
//!
//! A full telegram, then seven compact ones, and again. The access number counts them. The session number is the minute of the wall
//! clock and the telegram's place in it, so it goes on after a restart; there are sixteen places, so a meter that sends more often
//! than every four seconds runs ahead of the clock. A+ is what P+ amounts to over the interval and rises with every telegram; with
//! 10 Wh to the digit, a shorter interval means a larger load.

use std::time::Duration;

use jiff::Timestamp;
use wmbus::ell::{Header, SessionNumber};
use wmbus::telegram::{AccessNumber, Draft};
use wmbus::{Address, Error, IdentificationNumber, Manufacturer, Medium, MeterKey, crc};

/// A meter that sends one telegram at each interval.
#[derive(Debug)]
pub struct VirtualMeter {
    address: Address,
    key: MeterKey,
    interval: Duration,
    /// Energy drawn, in units of W·ms.
    energy: u128,
    registers: Registers,
    access_number: u8,
    /// Minutes and place in the minute of the last telegram.
    number: Option<u32>,
    sent: u64,
}

/// What the meter's display shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Registers {
    /// A+, active positive energy, in units of 10 Wh.
    pub energy_drawn: u32,
    /// A−, active negative energy, in units of 10 Wh.
    pub energy_fed_in: u32,
    /// P+, active positive power, in W.
    pub power_drawn: u32,
    /// P−, active negative power, in W.
    pub power_fed_in: u32,
}

impl VirtualMeter {
    /// A meter that sends its first telegram at about `now`.
    pub fn new(
        id: IdentificationNumber,
        key: MeterKey,
        interval: Duration,
        now: Timestamp,
    ) -> Self {
        Self::of(KAMSTRUP, id, key, interval, now)
    }

    /// The same under another manufacturer's letters.
    pub fn of(
        manufacturer: Manufacturer,
        id: IdentificationNumber,
        key: MeterKey,
        interval: Duration,
        now: Timestamp,
    ) -> Self {
        let address = Address {
            manufacturer,
            identification: id,
            version: VERSION,
            medium: ELECTRICITY,
        };
        // As if it had been drawing more than it ever will: so it never falls from one run to the next.
        let running = u128::try_from(now.as_millisecond() - BEGAN_AT_MS).unwrap_or(0);
        let energy = running * u128::from(LOAD_SO_FAR);
        Self {
            address,
            key,
            interval,
            energy,
            registers: Registers::default(),
            access_number: 0,
            number: None,
            sent: 0,
        }
    }

    /// Who it is.
    pub fn address(&self) -> Address {
        self.address
    }

    /// How long between two telegrams.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// What its last telegram said.
    pub fn registers(&self) -> Registers {
        self.registers
    }

    /// Its next telegram, from the L field on, without link-layer CRCs.
    ///
    /// # Errors
    /// Those of [`Draft::encode`], which this does not cause.
    pub fn telegram(&mut self, now: Timestamp) -> Result<Vec<u8>, Error> {
        self.advance();
        let number = self.next_number(now);
        let is_full = self.sent.is_multiple_of(TELEGRAMS_OF_A_ROUND);
        let (ci, payload) = if is_full {
            (FULL, self.full())
        } else {
            (COMPACT, self.compact())
        };
        let draft = Draft {
            ell: Some(Header {
                communication_control: 0x20,
                access_number: AccessNumber(self.access_number),
                receiver: None,
                session: SessionNumber::new(
                    number >> 4 & SessionNumber::MAX_MINUTES,
                    (number & 0x0F) as u8,
                ),
            }),
            ..Draft::new(self.address, ci, &payload)
        };
        let telegram = draft.encode(Some(&self.key))?;
        self.sent += 1;
        self.access_number = self.access_number.wrapping_add(1);
        Ok(telegram)
    }

    /// An interval passes.
    fn advance(&mut self) {
        let milliseconds = self.interval.as_millis().max(1);
        // What 10 Wh take, and a little more; at long intervals what a home draws at night.
        let least = (UNIT_OF_ENERGY.div_ceil(milliseconds) + 1).max(300);
        // Up and down by half within a round, at another place for each meter.
        let place = (self.sent + u64::from(self.address.identification.0)) % 16;
        let wave = u128::from(if place < 8 { place } else { 16 - place });
        let power = least + least * wave / 16;
        self.energy += power * milliseconds;
        self.registers = Registers {
            // Both wrap as the real registers do.
            energy_drawn: (self.energy / UNIT_OF_ENERGY) as u32,
            power_drawn: power as u32,
            ..Registers::default()
        };
    }

    /// The minute now and the place in it, or the number after the last.
    fn next_number(&mut self, now: Timestamp) -> u32 {
        let seconds = now.as_second().saturating_sub(CLOCK_BEGAN_AT).max(0);
        let by_the_clock = ((seconds / 60) << 4) | ((seconds % 60) / SECONDS_PER_PLACE);
        let by_the_clock = u32::try_from(by_the_clock).unwrap_or(0);
        let number = self
            .number
            .map_or(by_the_clock, |last| by_the_clock.max(last.wrapping_add(1)));
        self.number = Some(number);
        number
    }

    fn full(&self) -> Vec<u8> {
        let mut payload = Vec::new();
        for (header, value) in RECORDS.iter().zip(self.registers.values()) {
            payload.extend(*header);
            payload.extend(value.to_le_bytes());
        }
        payload
    }

    fn compact(&self) -> Vec<u8> {
        let layout = crc::en13757(&RECORDS.concat());
        let mut payload = layout.to_le_bytes().to_vec();
        payload.extend(crc::en13757(&self.full()).to_le_bytes());
        payload.extend(
            self.registers
                .values()
                .into_iter()
                .flat_map(u32::to_le_bytes),
        );
        payload
    }
}

impl Registers {
    /// In the order of the records.
    fn values(self) -> [u32; 4] {
        [
            self.energy_drawn,
            self.energy_fed_in,
            self.power_drawn,
            self.power_fed_in,
        ]
    }
}

/// A meter's letters and version.
const KAMSTRUP: Manufacturer = Manufacturer(0x2C2D);
const VERSION: u8 = 0x30;
const ELECTRICITY: Medium = Medium(0x02);
/// CI of a frame with record headers, and of one without.
const FULL: u8 = 0x78;
const COMPACT: u8 = 0x79;
/// DIF and VIF of A+, A−, P+ and P−: 32-bit integers in 10 Wh and W, VIFE 3C for what is fed in.
const RECORDS: [&[u8]; 4] = [
    &[0x04, 0x04],
    &[0x04, 0x84, 0x3C],
    &[0x04, 0x2B],
    &[0x04, 0xAB, 0x3C],
];
/// One full telegram and seven compact ones.
const TELEGRAMS_OF_A_ROUND: u64 = 8;
/// 10 Wh in W·ms.
const UNIT_OF_ENERGY: u128 = 36_000_000;
/// What was drawn before this run, in W: as much as a load of 10 Wh every second and half as much again.
const LOAD_SO_FAR: u32 = 54_100;
/// When that began: 2026-01-01, in ms since 1970.
const BEGAN_AT_MS: i64 = 1_767_225_600_000;
/// When the meters' minutes began: 2020-01-01, in s since 1970.
const CLOCK_BEGAN_AT: i64 = 1_577_836_800;
/// A minute has fifteen of sixteen places.
const SECONDS_PER_PLACE: i64 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use wmbus::{Buffer, Telegram};

    const NOW: &str = "2026-11-24T02:00:00Z";

    fn meter(interval: u64) -> (VirtualMeter, MeterKey, Timestamp) {
        let key = || {
            "9A25139E3244CC2E391A8EF6B915B697"
                .parse::<MeterKey>()
                .unwrap()
        };
        let now = NOW.parse().unwrap();
        let id = "32666857".parse().unwrap();
        (
            VirtualMeter::new(id, key(), Duration::from_secs(interval), now),
            key(),
            now,
        )
    }

    /// CI and payload of the next telegrams, and what the meter showed.
    fn telegrams(count: u32, interval: u64) -> Vec<(u8, Vec<u8>, Registers)> {
        let (mut meter, key, mut now) = meter(interval);
        let mut seen = Vec::new();
        for number in 0..count {
            let bytes = meter.telegram(now).unwrap();
            let telegram = Telegram::parse(&bytes).unwrap();
            assert_eq!(telegram.address().to_string(), "KAM-32666857-30-02");
            assert_eq!(bytes[12], number as u8, "access number");
            let mut buffer = Buffer::new();
            let plain = telegram.decrypt(&key, &mut buffer).unwrap();
            seen.push((plain.ci, plain.bytes.to_vec(), meter.registers()));
            now += jiff::SignedDuration::from_secs(interval as i64);
        }
        seen
    }

    #[test]
    fn a_round_is_one_full_telegram_and_seven_compact_ones() {
        let ci: Vec<u8> = telegrams(17, 16).into_iter().map(|(ci, ..)| ci).collect();
        let mut expected = [0x79; 17];
        expected[0] = 0x78;
        expected[8] = 0x78;
        expected[16] = 0x78;
        assert_eq!(ci, expected);
    }

    #[test]
    fn both_kinds_carry_the_registers_as_the_real_ones_do() {
        for (ci, payload, registers) in telegrams(8, 16) {
            let [a, b, c, d] = registers.values().map(u32::to_le_bytes);
            let full = [
                &[0x04, 0x04],
                &a[..],
                &[0x04, 0x84, 0x3C],
                &b,
                &[0x04, 0x2B],
                &c,
                &[0x04, 0xAB, 0x3C],
                &d,
            ]
            .concat();
            if ci == 0x78 {
                assert_eq!(payload, full);
            } else {
                // 138C is the layout's signature in captured telegrams.
                let crc = crc::en13757(&full).to_le_bytes();
                assert_eq!(payload, [&[0x13, 0x8C], &crc[..], &a, &b, &c, &d].concat());
            }
        }
    }

    #[test]
    fn energy_rises_with_every_telegram_by_what_the_power_amounts_to() {
        for interval in [1, 4, 16, 300] {
            let seen = telegrams(100, interval);
            let mut expected = f64::from(seen[0].2.energy_drawn);
            for pair in seen.windows(2) {
                let (before, after) = (pair[0].2, pair[1].2);
                assert!(
                    after.energy_drawn > before.energy_drawn,
                    "{before:?} {after:?}"
                );
                expected += f64::from(after.power_drawn) * interval as f64 / 36_000.0;
                assert!((f64::from(after.energy_drawn) - expected).abs() <= 1.0);
            }
        }
    }

    #[test]
    fn session_numbers_follow_the_clock_and_never_repeat() {
        for interval in [1, 4, 16, 70] {
            let (mut meter, _, start) = meter(interval);
            let mut last = None;
            for step in 0..200 {
                let now = start + jiff::SignedDuration::from_secs(step * interval as i64);
                let bytes = meter.telegram(now).unwrap();
                let number = u32::from_le_bytes(bytes[13..17].try_into().unwrap()) & 0x1FFF_FFFF;
                assert!(last < Some(number));
                last = Some(number);
                let minutes = (now.as_second() - CLOCK_BEGAN_AT) / 60;
                assert!(interval < 4 || i64::from(number >> 4) == minutes);
            }
        }
    }

    #[test]
    fn another_run_goes_on_above_the_last() {
        let (mut first, _, now) = meter(1);
        for second in 0..600 {
            first
                .telegram(now + jiff::SignedDuration::from_secs(second))
                .unwrap();
        }
        let later = now + jiff::SignedDuration::from_secs(600);
        let key = "9A25139E3244CC2E391A8EF6B915B697".parse().unwrap();
        let mut second = VirtualMeter::new(
            first.address().identification,
            key,
            Duration::from_secs(1),
            later,
        );
        second.telegram(later).unwrap();
        assert!(second.registers().energy_drawn > first.registers().energy_drawn);
    }
}
