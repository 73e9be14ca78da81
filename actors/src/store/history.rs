//! History: what meters said over time, thinned out, so that it can be drawn. Pure.
//!
//! A channel's values within a [`Span`] become one [`Point`]: how many there were, their mean, the lowest, the highest and the last. Points
//! of five minutes show power, those of an hour energy per hour and day. The point of the present moment is in memory ([`Recorder`]); when
//! its span is over it goes to the database. So a crash costs at most the points of the present five minutes and hour; the readings
//! themselves are the outbox's care. Values are binary fractions here: they are drawn, not billed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;

use crate::meter::MeterName;
use crate::output::recalc::{Values, stored_values};

/// The length of a point's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Span {
    /// Five minutes.
    Fine,
    /// An hour.
    Hour,
}

impl Span {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Fine, Self::Hour];

    /// In seconds.
    pub const fn seconds(self) -> i64 {
        match self {
            Self::Fine => 300,
            Self::Hour => 3600,
        }
    }

    /// When the point that holds this moment begins.
    pub const fn start(self, second: i64) -> i64 {
        second - second.rem_euclid(self.seconds())
    }
}

/// The values of one channel within one span of time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// When it begins, in seconds since 1970, UTC; a multiple of its span.
    pub start: i64,
    /// How many values there were.
    pub count: u32,
    /// Their mean.
    pub mean: f64,
    /// The lowest.
    pub low: f64,
    /// The highest.
    pub high: f64,
    /// The last.
    pub last: f64,
}

impl Point {
    fn of(start: i64, value: f64) -> Self {
        Self {
            start,
            count: 1,
            mean: value,
            low: value,
            high: value,
            last: value,
        }
    }

    fn add(&mut self, value: f64) {
        self.count = self.count.saturating_add(1);
        self.mean += (value - self.mean) / f64::from(self.count);
        self.low = self.low.min(value);
        self.high = self.high.max(value);
        self.last = value;
    }

    /// Puts the values of a later one of the same time behind its own.
    pub fn merge(&mut self, later: &Self) {
        let count = self.count.saturating_add(later.count);
        self.mean += (later.mean - self.mean) * f64::from(later.count) / f64::from(count);
        self.count = count;
        self.low = self.low.min(later.low);
        self.high = self.high.max(later.high);
        self.last = later.last;
    }
}

/// A point that is complete, with what it belongs to.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// Whose.
    pub meter: Arc<MeterName>,
    /// Of which channel.
    pub channel: u32,
    /// How long.
    pub span: Span,
    /// The values.
    pub point: Point,
}

/// Points of one meter by channel, oldest first.
pub type Points = BTreeMap<u32, Vec<Point>>;

/// The points of the present moment, and those that wait for the database.
#[derive(Debug, Default)]
pub struct Recorder {
    present: HashMap<Arc<MeterName>, Vec<(u32, Span, Point)>>,
    ended: Vec<Ended>,
}

impl Recorder {
    /// Adds a reading's values.
    pub fn record(&mut self, meter: &Arc<MeterName>, received_at: Timestamp, values: &Values) {
        let second = received_at.as_second();
        let present = match self.present.get_mut(meter) {
            Some(present) => present,
            None => self.present.entry(Arc::clone(meter)).or_default(),
        };
        for (channel, value) in numbers(values.as_bytes()) {
            for span in Span::ALL {
                let start = span.start(second);
                let known = present
                    .iter_mut()
                    .find(|(of, length, _)| (*of, *length) == (channel, span));
                match known {
                    Some((.., point)) if point.start == start => point.add(value),
                    Some((.., point)) => {
                        let ended = std::mem::replace(point, Point::of(start, value));
                        self.ended.push(Ended {
                            meter: Arc::clone(meter),
                            channel,
                            span,
                            point: ended,
                        });
                    }
                    None => present.push((channel, span, Point::of(start, value))),
                }
            }
        }
        if let Some(excess @ 1..) = self.ended.len().checked_sub(WAITING) {
            self.ended.drain(..excess);
        }
    }

    /// Takes what is complete at this moment.
    pub fn take_ended(&mut self, now: Timestamp) -> Vec<Ended> {
        self.end(|span, point| span.start(now.as_second()) > point.start);
        std::mem::take(&mut self.ended)
    }

    /// Takes everything.
    pub fn take_all(&mut self) -> Vec<Ended> {
        self.end(|_, _| true);
        std::mem::take(&mut self.ended)
    }

    /// What was taken could not be written.
    pub fn give_back(&mut self, mut ended: Vec<Ended>) {
        ended.append(&mut self.ended);
        self.ended = ended;
    }

    /// Adds to the points of a meter what the database does not have yet.
    pub fn add_to(&self, points: &mut Points, meter: &MeterName, span: Span) {
        let ended = self
            .ended
            .iter()
            .filter(|ended| *ended.meter == *meter && ended.span == span)
            .map(|ended| (ended.channel, &ended.point));
        let present = self.present.get(meter).into_iter().flatten();
        let present = present
            .filter(|(_, length, _)| *length == span)
            .map(|(channel, _, point)| (*channel, point));
        for (channel, point) in ended.chain(present) {
            let points = points.entry(channel).or_default();
            match points.iter_mut().rfind(|known| known.start == point.start) {
                Some(known) => known.merge(point),
                None => points.push(*point),
            }
        }
    }

    fn end(&mut self, is_over: impl Fn(Span, &Point) -> bool) {
        self.present.retain(|meter, present| {
            present.retain(|(channel, span, point)| {
                let over = is_over(*span, point);
                if over {
                    self.ended.push(Ended {
                        meter: Arc::clone(meter),
                        channel: *channel,
                        span: *span,
                        point: *point,
                    });
                }
                !over
            });
            !present.is_empty()
        });
    }
}

/// The channels' numbers and values.
fn numbers(stored: &[u8]) -> impl Iterator<Item = (u32, f64)> {
    stored_values(stored).filter_map(|[channel, _, value]| {
        let value: f64 = std::str::from_utf8(value).ok()?.parse().ok()?;
        let channel = std::str::from_utf8(channel).ok()?.parse().ok()?;
        value.is_finite().then_some((channel, value))
    })
}

/// Points that may wait for a database that does not work; about 10 MB.
const WAITING: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn meter() -> Arc<MeterName> {
        Arc::new(MeterName {
            manufacturer_key: "kam".to_owned(),
            device_id: "32666857".to_owned(),
        })
    }

    fn record(recorder: &mut Recorder, second: i64, energy: &str) {
        let values = format!("1\t\"accumulated-power\"\t{energy}\n3\t\"power\"\t100\n");
        let received_at = Timestamp::from_second(second).unwrap();
        recorder.record(&meter(), received_at, &Values::stored(values.as_bytes()));
    }

    fn of(ended: &[Ended], channel: u32, span: Span) -> Vec<(i64, u32, f64, f64)> {
        ended
            .iter()
            .filter(|ended| (ended.channel, ended.span) == (channel, span))
            .map(|ended| {
                let point = ended.point;
                (point.start, point.count, point.mean, point.last)
            })
            .collect()
    }

    #[test]
    fn values_of_a_span_become_one_point() {
        let mut recorder = Recorder::default();
        for (second, energy) in [(3600, "1"), (3700, "2"), (3899, "6"), (3900, "7")] {
            record(&mut recorder, second, energy);
        }
        let ended = recorder.take_ended(Timestamp::from_second(3901).unwrap());
        assert_eq!(of(&ended, 1, Span::Fine), [(3600, 3, 3.0, 6.0)]);
        assert_eq!(of(&ended, 3, Span::Fine), [(3600, 3, 100.0, 100.0)]);
        assert_eq!(of(&ended, 1, Span::Hour), []);
        let ended = recorder.take_ended(Timestamp::from_second(7200).unwrap());
        assert_eq!(of(&ended, 1, Span::Fine), [(3900, 1, 7.0, 7.0)]);
        assert_eq!(of(&ended, 1, Span::Hour), [(3600, 4, 4.0, 7.0)]);
        assert!(recorder.take_all().is_empty());
    }

    #[test]
    fn what_could_not_be_written_waits_within_bounds_and_is_shown() {
        let mut recorder = Recorder::default();
        for hour in 0..=2 {
            record(&mut recorder, hour * 3600, "1");
        }
        let ended = recorder.take_ended(Timestamp::from_second(7200).unwrap());
        recorder.give_back(ended);
        let mut points = Points::new();
        points.insert(1, vec![Point::of(0, 3.0)]);
        recorder.add_to(&mut points, &meter(), Span::Hour);
        let shown: Vec<_> = points[&1]
            .iter()
            .map(|point| (point.start, point.count, point.mean))
            .collect();
        assert_eq!(shown, [(0, 2, 2.0), (3600, 1, 1.0), (7200, 1, 1.0)]);
        for hour in 3..30_000 {
            record(&mut recorder, hour * 3600, "1");
        }
        assert_eq!(recorder.ended.len(), WAITING);
    }

    #[test]
    fn values_that_are_no_numbers_are_left_out() {
        let values: Vec<_> = numbers(b"1\t\"a\"\tnull\n2\t\"a\"\t2.5\nx\t\"a\"\t1\n\n3").collect();
        assert_eq!(values, [(2, 2.5)]);
    }
}
