//! Sequence: which of a meter's numbered telegrams are new, which were heard before, and which to believe only later.
//!
//! A telegram's session number counts the meter's minutes and its telegrams within one (EN 13757-4, ELL II); it advances with real time
//! and never goes back while the meter lives. So:
//!
//! * a number heard before is a duplicate;
//! * a number up to [`LATE`] behind the highest that was not heard before is merely late;
//! * a number further ahead than the time that has passed, plus [`AHEAD`], is held until a second one that fits it confirms it: one lucky
//!   forgery cannot lock the real meter out;
//! * a number further behind is held, not published. The meter's clock may have been reset: that is believed when [`RESET_AFTER`]
//!   telegrams advance with the wall clock, the register does not fall, and nothing of the old sequence is heard meanwhile. Then the held
//!   readings are published. A recording that somebody replays fails one of the three.
//!
//! # What an attacker can still do
//! The payload's CRC is no authentication: who sends about 65,536 forgeries gets one through, and its values are believed if its number
//! fits. Two forgeries that fit each other move the sequence ahead; the real meter's telegrams are then held until its
//! [`RESET_AFTER`]th. Who silences the real meter can replay a recording at its own pace if no energy was used since. Readings say how far
//! they are authenticated.

use jiff::{SignedDuration, Timestamp};
use wmbus::ell::SessionNumber;

/// The numbers of one meter's telegrams, with the readings that are held. `R` is a reading, `V` the value of a register.
#[derive(Debug, Clone)]
pub struct Sequence<R, V> {
    position: Option<Position<V>>,
    /// The first of a jump ahead.
    jump: Option<Box<Held<R, V>>>,
    /// The beginning of what may be a reset of the meter's clock.
    reset: Vec<Held<R, V>>,
}

/// A telegram as the sequence sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step<V> {
    /// Its session number.
    pub number: SessionNumber,
    /// When it was received.
    pub at: Timestamp,
    /// The value of a register that never falls, if the meter has one.
    pub register: Option<V>,
}

/// What to do with a reading.
#[derive(Debug, Clone, PartialEq)]
pub enum Admission<R> {
    /// Publish it. So many held ones before it are thereby disproved.
    Publish {
        /// The reading.
        reading: R,
        /// Held readings that are dropped: the old sequence is alive.
        disproved: usize,
    },
    /// Publish these, oldest first: the held ones and the one that confirms them.
    PublishHeld(Vec<R>),
    /// Keep quiet: it is held.
    Held,
    /// Drop it: heard before, or its register is lower than one that was published.
    Duplicate,
}

#[derive(Debug, Clone)]
struct Position<V> {
    highest: Step<V>,
    /// Bit n: the number n behind the highest was heard.
    heard: u128,
}

#[derive(Debug, Clone)]
struct Held<R, V> {
    step: Step<V>,
    reading: R,
}

impl<R, V: PartialOrd + Copy> Sequence<R, V> {
    /// Of a meter that was never heard.
    pub const fn new() -> Self {
        Self {
            position: None,
            jump: None,
            reset: Vec::new(),
        }
    }

    /// Goes on from the highest number that an earlier run of the program published.
    pub fn after(highest: Step<V>) -> Self {
        Self {
            position: Some(Position::at(highest)),
            ..Self::new()
        }
    }

    /// The highest number published.
    pub fn highest(&self) -> Option<Step<V>> {
        self.position.as_ref().map(|position| position.highest)
    }

    /// Takes the next verified reading.
    pub fn admit(&mut self, step: Step<V>, reading: R) -> Admission<R> {
        let Some(position) = &mut self.position else {
            self.position = Some(Position::at(step));
            return Admission::Publish {
                reading,
                disproved: 0,
            };
        };
        match position.place(&step) {
            Place::Next => position.advance(step),
            Place::Late(bit) => position.heard |= bit,
            Place::Heard => return Admission::Duplicate,
            Place::FarAhead => return self.admit_jump(step, reading),
            Place::FarBehind => return self.admit_reset(step, reading),
        }
        let disproved = self.reset.len() + usize::from(self.jump.is_some());
        self.reset = Vec::new();
        self.jump = None;
        Admission::Publish { reading, disproved }
    }

    fn admit_jump(&mut self, step: Step<V>, reading: R) -> Admission<R> {
        match self.jump.take() {
            Some(first) if first.step.number == step.number => {
                self.jump = Some(first);
                Admission::Duplicate
            }
            Some(first) if step.follows(&first.step) => {
                self.position = Some(Position::at(step));
                self.reset = Vec::new();
                Admission::PublishHeld(vec![first.reading, reading])
            }
            _ => {
                self.jump = Some(Box::new(Held { step, reading }));
                Admission::Held
            }
        }
    }

    fn admit_reset(&mut self, step: Step<V>, reading: R) -> Admission<R> {
        if self
            .reset
            .iter()
            .any(|held| held.step.number == step.number)
            || self.falls(&step)
        {
            return Admission::Duplicate;
        }
        let fits = match (self.reset.first(), self.reset.last()) {
            (Some(first), Some(last)) => step.follows(&last.step) && step.follows(&first.step),
            _ => true,
        };
        if !fits || self.reset.len() >= HELD_AT_MOST {
            self.reset.clear();
        }
        self.reset.push(Held { step, reading });
        let believed = self.reset.len() >= RESET_AFTER
            && self
                .reset
                .first()
                .is_some_and(|first| step.at.duration_since(first.step.at) >= RESET_LASTS);
        if !believed {
            return Admission::Held;
        }
        self.position = Some(Position::at(step));
        self.jump = None;
        Admission::PublishHeld(
            std::mem::take(&mut self.reset)
                .into_iter()
                .map(|held| held.reading)
                .collect(),
        )
    }

    /// Whether the register is lower than the last one published.
    fn falls(&self, step: &Step<V>) -> bool {
        let published = self
            .position
            .as_ref()
            .and_then(|position| position.highest.register);
        matches!((published, step.register), (Some(published), Some(now)) if now < published)
    }
}

impl<R, V: PartialOrd + Copy> Default for Sequence<R, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V: PartialOrd + Copy> Step<V> {
    /// Whether this may be a later telegram of the meter that sent the other: its number is higher by as much as time has passed, and
    /// its register is not lower.
    fn follows(&self, earlier: &Self) -> bool {
        let by_number = SignedDuration::from_mins(
            i64::from(self.number.minutes()) - i64::from(earlier.number.minutes()),
        );
        let by_clock = self.at.duration_since(earlier.at);
        let falls = matches!((earlier.register, self.register), (Some(earlier), Some(now)) if now < earlier);
        position_of(self.number) > position_of(earlier.number)
            && (by_number - by_clock).abs() <= DRIFT
            && !falls
    }
}

/// Where a number stands in relation to the highest.
enum Place {
    Next,
    Late(u128),
    Heard,
    FarAhead,
    FarBehind,
}

impl<V: Copy> Position<V> {
    fn at(highest: Step<V>) -> Self {
        Self { highest, heard: 1 }
    }

    fn place(&self, step: &Step<V>) -> Place {
        let (number, highest) = (position_of(step.number), position_of(self.highest.number));
        let minutes = SignedDuration::from_mins(
            i64::from(step.number.minutes()) - i64::from(self.highest.number.minutes()),
        );
        if number > highest {
            let elapsed = step
                .at
                .duration_since(self.highest.at)
                .max(SignedDuration::ZERO);
            return if minutes <= elapsed + AHEAD {
                Place::Next
            } else {
                Place::FarAhead
            };
        }
        match 1_u128.checked_shl(highest - number) {
            Some(bit) if -minutes <= LATE => {
                if self.heard & bit == 0 {
                    Place::Late(bit)
                } else {
                    Place::Heard
                }
            }
            _ => Place::FarBehind,
        }
    }

    fn advance(&mut self, step: Step<V>) {
        let ahead = position_of(step.number) - position_of(self.highest.number);
        self.heard = self.heard.checked_shl(ahead).unwrap_or(0) | 1;
        self.highest = step;
    }
}

/// All bits of a session number that count.
fn position_of(number: SessionNumber) -> u32 {
    number.minutes() << 4 | u32::from(number.session())
}

/// How far behind the highest number a late one may be. 16 numbers a minute: the window has 96.
pub const LATE: SignedDuration = SignedDuration::from_mins(5);

/// How much further than time has passed a number may be ahead.
pub const AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// Telegrams that must agree before a reset of the meter's clock is believed.
pub const RESET_AFTER: usize = 20;

/// How long they must take, at least: a recording cannot be played in an instant.
const RESET_LASTS: SignedDuration = SignedDuration::from_mins(2);

/// How far a meter's minutes and the clock may disagree between two telegrams.
const DRIFT: SignedDuration = SignedDuration::from_secs(90);

/// Readings held at once.
const HELD_AT_MOST: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_800_000_000;

    const NOTHING: [i64; 0] = [];

    /// A virtual meter that sends every 16 s, four times a minute, and never uses less energy than before.
    struct Meter {
        /// Minutes of its clock at `START`.
        epoch: i64,
    }

    impl Meter {
        fn send(&self, nth: i64) -> (Step<i64>, i64) {
            let second = nth * 16;
            let minutes = u32::try_from(self.epoch + second / 60).unwrap();
            let number =
                SessionNumber::new(minutes, u8::try_from(second % 60 / 16).unwrap()).unwrap();
            let at = Timestamp::from_second(START + second).unwrap();
            (
                Step {
                    number,
                    at,
                    register: Some(1000 + nth),
                },
                nth,
            )
        }
    }

    fn published(sequence: &mut Sequence<i64, i64>, (step, reading): (Step<i64>, i64)) -> Vec<i64> {
        match sequence.admit(step, reading) {
            Admission::Publish { reading, .. } => vec![reading],
            Admission::PublishHeld(readings) => readings,
            Admission::Held | Admission::Duplicate => vec![],
        }
    }

    #[test]
    fn every_telegram_of_a_living_meter_is_published_once() {
        let meter = Meter { epoch: 50_000 };
        let mut sequence = Sequence::new();
        for nth in 0..1000 {
            assert_eq!(published(&mut sequence, meter.send(nth)), [nth]);
            assert_eq!(sequence.admit(meter.send(nth).0, nth), Admission::Duplicate);
        }
    }

    #[test]
    fn late_is_not_replayed() {
        let meter = Meter { epoch: 50_000 };
        let mut sequence = Sequence::new();
        for nth in [0, 1, 2, 3, 10] {
            published(&mut sequence, meter.send(nth));
        }
        assert_eq!(published(&mut sequence, meter.send(7)), [7]);
        assert_eq!(published(&mut sequence, meter.send(5)), [5]);
        assert_eq!(sequence.admit(meter.send(7).0, 7), Admission::Duplicate);
        assert_eq!(published(&mut sequence, meter.send(11)), [11]);
    }

    #[test]
    fn after_a_silence_the_number_may_be_ahead_by_as_much() {
        let meter = Meter { epoch: 50_000 };
        let mut sequence = Sequence::new();
        published(&mut sequence, meter.send(0));
        assert_eq!(published(&mut sequence, meter.send(100_000)), [100_000]);
    }

    #[test]
    fn one_lucky_forgery_does_not_lock_the_meter_out() {
        let meter = Meter { epoch: 50_000 };
        let mut sequence = Sequence::new();
        published(&mut sequence, meter.send(0));
        let forged = Step {
            at: meter.send(1).0.at,
            ..Meter { epoch: 9_000_000 }.send(1).0
        };
        assert_eq!(sequence.admit(forged, -1), Admission::Held);
        assert_eq!(sequence.admit(forged, -1), Admission::Duplicate);
        let (step, reading) = meter.send(2);
        assert_eq!(
            sequence.admit(step, reading),
            Admission::Publish {
                reading,
                disproved: 1
            }
        );
        assert_eq!(
            sequence.admit(forged, -1),
            Admission::Held,
            "it has to begin again"
        );
    }

    #[test]
    fn a_jump_ahead_is_believed_when_a_second_telegram_fits_it() {
        let mut sequence = Sequence::new();
        published(&mut sequence, Meter { epoch: 50_000 }.send(0));
        let set_forward = Meter { epoch: 90_000 };
        assert_eq!(published(&mut sequence, set_forward.send(1)), NOTHING);
        assert_eq!(published(&mut sequence, set_forward.send(2)), [1, 2]);
        assert_eq!(published(&mut sequence, set_forward.send(3)), [3]);
    }

    #[test]
    fn a_reset_clock_is_believed_after_twenty_telegrams_and_nothing_is_lost() {
        let mut sequence = Sequence::new();
        published(&mut sequence, Meter { epoch: 50_000 }.send(0));
        let reset = Meter { epoch: 7 };
        for nth in 1..20 {
            assert_eq!(published(&mut sequence, reset.send(nth)), NOTHING);
        }
        assert_eq!(
            published(&mut sequence, reset.send(20)),
            (1..=20).collect::<Vec<_>>()
        );
        assert_eq!(published(&mut sequence, reset.send(21)), [21]);
    }

    #[test]
    fn a_recording_played_fast_is_never_believed() {
        let meter = Meter { epoch: 50_000 };
        let mut sequence = Sequence::new();
        for nth in 0..200 {
            published(&mut sequence, meter.send(nth));
        }
        for round in 0..10 {
            for nth in 0..100 {
                let (old, reading) = meter.send(nth);
                let at = Timestamp::from_second(START + 4000 + round).unwrap();
                // Even if no energy was used since.
                let step = Step {
                    at,
                    register: Some(1199),
                    ..old
                };
                assert_eq!(published(&mut sequence, (step, reading)), NOTHING);
            }
        }
    }

    #[test]
    fn a_recording_played_at_its_own_pace_is_not_believed_while_the_register_was_lower() {
        let meter = Meter { epoch: 50_000 };
        let mut sequence = Sequence::new();
        for nth in 0..200 {
            published(&mut sequence, meter.send(nth));
        }
        for nth in 0..100 {
            let (old, reading) = meter.send(nth);
            let step = Step {
                at: meter.send(nth + 200).0.at,
                ..old
            };
            assert_eq!(sequence.admit(step, reading), Admission::Duplicate);
        }
    }

    #[test]
    fn a_recording_is_not_believed_while_the_old_sequence_is_heard() {
        let meter = Meter { epoch: 50_000 };
        let mut sequence = Sequence::new();
        for nth in 0..200 {
            published(&mut sequence, meter.send(nth));
        }
        for nth in 0..100 {
            let (old, reading) = meter.send(nth);
            let step = Step {
                at: meter.send(nth + 200).0.at,
                register: None,
                ..old
            };
            assert_eq!(published(&mut sequence, (step, reading)), NOTHING);
            if nth % 15 == 0 {
                assert_eq!(published(&mut sequence, meter.send(nth + 200)), [nth + 200]);
            }
        }
    }

    #[test]
    fn goes_on_where_an_earlier_run_stopped() {
        let meter = Meter { epoch: 50_000 };
        let mut sequence = Sequence::new();
        published(&mut sequence, meter.send(100));
        let mut next_run = Sequence::after(sequence.highest().unwrap());
        assert_eq!(next_run.admit(meter.send(100).0, 100), Admission::Duplicate);
        assert_eq!(
            published(&mut next_run, meter.send(10)),
            NOTHING,
            "a replay"
        );
        assert_eq!(published(&mut next_run, meter.send(101)), [101]);
    }
}
