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
//! The payload's CRC is no authentication:
//!
//! * who sends about 65,536 forgeries, which takes minutes, gets one through, and its values are believed if its number fits;
//! * who hears a telegram that the gateway does not, and knows what it says, can send it with other values in its place: the encryption
//!   hides values but does not bind them together, and the CRC can be corrected without the key;
//! * two forgeries that fit each other move the sequence ahead. The real meter's telegrams are then held until its [`RESET_AFTER`]th, and
//!   longer if a further forgery fits the moved sequence meanwhile. Whatever a forgery says of the register, it does not outlast that;
//! * who silences the real meter can replay a recording of it at its own pace, if less energy was used since than in its last
//!   [`RESET_AFTER`] telegrams.
//!
//! Telegrams without a session number, of other meters than Kamstrup's, do not come here: a recording of one that is replayed later than a
//! repeater would is published ([`crate::duplicates`]). Each reading says how far it is authenticated
//! ([`Reading::authentication`](wmbus::Reading::authentication)); with a message authentication code none of this is possible but a replay.

mod floor;

use jiff::{SignedDuration, Timestamp};
use wmbus::ell::SessionNumber;

use crate::clock;

use floor::Floor;

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
    /// Drop it: heard before, or its register is lower than those that were published.
    Duplicate,
}

/// The latest numbers published: all that the next run of the program has to know to go on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window<V> {
    /// The highest, with the register that a reset meter must not fall below.
    pub highest: Step<V>,
    /// Bit n: the number n behind the highest was heard.
    pub heard: u128,
}

#[derive(Debug, Clone)]
struct Position<V> {
    highest: Step<V>,
    /// Bit n: the number n behind the highest was heard.
    heard: u128,
    floor: Floor<V>,
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

    /// Goes on where an earlier run of the program stopped.
    pub fn resume(window: Window<V>) -> Self {
        let floor = Floor::known(window.highest.register);
        Self {
            position: Some(Position {
                heard: window.heard,
                ..Position::at(window.highest, floor)
            }),
            ..Self::new()
        }
    }

    /// The latest numbers published, if there are any.
    pub fn window(&self) -> Option<Window<V>> {
        self.position.as_ref().map(|position| Window {
            highest: Step {
                register: position.floor.value(),
                ..position.highest
            },
            heard: position.heard,
        })
    }

    /// Takes the next verified reading.
    pub fn admit(&mut self, step: Step<V>, reading: R) -> Admission<R> {
        let Some(position) = &mut self.position else {
            self.position = Some(Position::at(step, Floor::new().with(step.register)));
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
                let floor = self.floor().with(first.step.register).with(step.register);
                self.position = Some(Position::at(step, floor));
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
        let believed = std::mem::take(&mut self.reset);
        let floor = believed
            .iter()
            .fold(Floor::new(), |floor, held| floor.with(held.step.register));
        self.position = Some(Position::at(step, floor));
        self.jump = None;
        Admission::PublishHeld(believed.into_iter().map(|held| held.reading).collect())
    }

    fn floor(&self) -> Floor<V> {
        self.position
            .as_ref()
            .map_or(Floor::new(), |position| position.floor)
    }

    /// Whether the register is lower than it was when the numbers were still higher.
    fn falls(&self, step: &Step<V>) -> bool {
        self.floor().is_above(step.register)
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
        let by_clock = elapsed(earlier.at, self.at);
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

impl<V: PartialOrd + Copy> Position<V> {
    fn at(highest: Step<V>, floor: Floor<V>) -> Self {
        Self {
            highest,
            heard: 1,
            floor,
        }
    }

    fn place(&self, step: &Step<V>) -> Place {
        let (number, highest) = (position_of(step.number), position_of(self.highest.number));
        let minutes = SignedDuration::from_mins(
            i64::from(step.number.minutes()) - i64::from(self.highest.number.minutes()),
        );
        if number > highest {
            let elapsed = elapsed(self.highest.at, step.at).max(SignedDuration::ZERO);
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
        self.floor = self.floor.with(step.register);
    }
}

/// How much time has passed for certain: between a time and one since the system's start, none.
fn elapsed(from: Timestamp, to: Timestamp) -> SignedDuration {
    if clock::is_since_boot(from) == clock::is_since_boot(to) {
        to.duration_since(from)
    } else {
        SignedDuration::ZERO
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

/// Readings held at once. What agrees for [`RESET_LASTS`] and [`DRIFT`] is less: 16 numbers a minute.
const HELD_AT_MOST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    /// The telegrams of a meter whose clock shows something else and whose register is what an attacker likes.
    fn forged(epoch: i64, nth: i64, register: i64) -> (Step<i64>, i64) {
        let (step, reading) = Meter { epoch }.send(nth);
        let register = Some(register);
        (Step { register, ..step }, -reading)
    }

    #[test]
    fn two_forgeries_hold_the_meter_up_for_twenty_telegrams_whatever_register_they_show() {
        for register in [i64::MIN, 0, 1500, i64::MAX] {
            let meter = Meter { epoch: 50_000 };
            let mut sequence = Sequence::new();
            for nth in 0..100 {
                assert_eq!(published(&mut sequence, meter.send(nth)), [nth]);
            }
            assert_eq!(
                published(&mut sequence, forged(9_000_000, 100, register)),
                NOTHING
            );
            assert_eq!(
                published(&mut sequence, forged(9_000_000, 101, register)),
                [-100, -101]
            );
            let mut after: Vec<i64> = Vec::new();
            for nth in 102..200 {
                after.extend(published(&mut sequence, meter.send(nth)));
            }
            assert_eq!(after, (102..200).collect::<Vec<_>>(), "{register}");
        }
    }

    #[test]
    fn a_forgery_that_is_the_first_ever_heard_does_not_lock_the_meter_out() {
        for register in [0, i64::MAX] {
            let meter = Meter { epoch: 50_000 };
            let mut sequence = Sequence::new();
            published(&mut sequence, forged(9_000_000, 0, register));
            let mut after: Vec<i64> = Vec::new();
            for nth in 1..100 {
                after.extend(published(&mut sequence, meter.send(nth)));
            }
            assert_eq!(after, (1..100).collect::<Vec<_>>(), "{register}");
        }
    }

    #[test]
    fn forgeries_within_the_sequence_do_not_lock_the_meter_out_after_a_reset() {
        let mut sequence = Sequence::new();
        for nth in 0..100 {
            published(&mut sequence, Meter { epoch: 50_000 }.send(nth));
            if nth % 10 == 5 {
                let (step, _) = Meter { epoch: 50_000 }.send(nth);
                let number =
                    SessionNumber::new(step.number.minutes(), step.number.session() + 5).unwrap();
                let register = Some(i64::MAX);
                let lucky = Step {
                    number,
                    register,
                    ..step
                };
                assert_eq!(published(&mut sequence, (lucky, -nth)), [-nth]);
            }
        }
        let reset = Meter { epoch: 7 };
        let mut after: Vec<i64> = Vec::new();
        for nth in 101..150 {
            after.extend(published(&mut sequence, reset.send(nth)));
        }
        assert_eq!(after, (101..150).collect::<Vec<_>>());
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

    /// The clock is set from 1970 to the time, and stands in 1970 again after a restart: nothing is lost, and nothing is believed sooner.
    #[test]
    fn a_clock_that_is_set_costs_nothing() {
        let meter = Meter { epoch: 50_000 };
        let in_1970 = |nth| {
            let (step, reading) = meter.send(nth);
            let at = Timestamp::from_second(100 + nth * 16).unwrap();
            (Step { at, ..step }, reading)
        };
        let mut sequence = Sequence::new();
        assert_eq!(published(&mut sequence, in_1970(0)), [0]);
        assert_eq!(published(&mut sequence, meter.send(1)), [1]);
        assert_eq!(published(&mut sequence, in_1970(2)), [2]);
        // An hour ahead of what is known to have passed.
        assert_eq!(published(&mut sequence, meter.send(227)), NOTHING);
        assert_eq!(published(&mut sequence, meter.send(228)), [227, 228]);
    }

    #[test]
    fn goes_on_where_an_earlier_run_stopped() {
        let meter = Meter { epoch: 50_000 };
        let mut sequence = Sequence::new();
        published(&mut sequence, meter.send(98));
        published(&mut sequence, meter.send(100));
        let mut next_run = Sequence::resume(sequence.window().unwrap());
        assert_eq!(next_run.admit(meter.send(100).0, 100), Admission::Duplicate);
        assert_eq!(next_run.admit(meter.send(98).0, 98), Admission::Duplicate);
        assert_eq!(published(&mut next_run, meter.send(99)), [99], "only late");
        assert_eq!(
            published(&mut next_run, meter.send(10)),
            NOTHING,
            "a replay"
        );
        assert_eq!(published(&mut next_run, meter.send(101)), [101]);
    }

    proptest! {
        /// An attacker who has recordings only, and plays them as he likes, among the telegrams of a meter that uses energy.
        #[test]
        fn recordings_neither_come_through_nor_keep_the_meter_from_it(
            moves in proptest::collection::vec((0..8_i64, 0..400_usize, 0..120_i64), 1..400)
        ) {
            let meter = Meter { epoch: 50_000 };
            let mut sequence = Sequence::new();
            let mut recordings: Vec<(Step<i64>, i64)> = Vec::new();
            let (mut nth, mut seen) = (0, std::collections::HashSet::new());
            for (kind, which, pause) in moves {
                if kind < 3 {
                    nth += 1 + pause / 60;
                    recordings.push(meter.send(nth));
                    prop_assert_eq!(published(&mut sequence, meter.send(nth)), [nth]);
                    prop_assert!(seen.insert(nth));
                } else if let Some(&(step, reading)) = recordings.get(which) {
                    let at = meter.send(nth).0.at + SignedDuration::from_secs(pause % 16);
                    let replayed = published(&mut sequence, (Step { at, ..step }, reading));
                    prop_assert_eq!(replayed, NOTHING);
                }
                prop_assert!(sequence.reset.len() <= HELD_AT_MOST);
            }
        }

        /// One who can make any telegram pass fills no memory.
        #[test]
        fn what_is_held_is_bounded(steps in proptest::collection::vec((0..2_000_u32, 0..16_u8, 0..4_i64), 1..600)) {
            let mut sequence = Sequence::new();
            let mut at = Timestamp::from_second(START).unwrap();
            sequence.admit(Meter { epoch: 9_000_000 }.send(0).0, 0);
            for (minutes, session, pause) in steps {
                at += SignedDuration::from_secs(pause);
                let number = SessionNumber::new(minutes / 500, session).unwrap();
                sequence.admit(Step { number, at, register: None::<i64> }, 0);
                prop_assert!(sequence.reset.len() <= HELD_AT_MOST);
            }
        }
    }
}
