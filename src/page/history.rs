//! What a meter's history says: consumption per hour and day from the points of a register that only rises.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, ZonedDateTime};
use omnigate_actors::store::history::{Point, Span};

/// What was consumed in a span of time, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Consumption {
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) amount: f64,
}

/// What was consumed in each hour. Hours without a value, and those in which the register fell because the meter was exchanged, are absent.
pub(super) fn per_hour(points: &[Point]) -> Vec<Consumption> {
    let length = Span::Hour.seconds();
    let mut before: Option<&Point> = None;
    let mut hours = Vec::new();
    for point in points {
        let base = match before {
            Some(before) if before.start + length == point.start => before.last,
            _ => point.low,
        };
        before = Some(point);
        hours.extend(rise(point.start, point.start + length, base, point.last));
    }
    hours
}

/// What was consumed on each day of this time zone. What was consumed while nothing was heard counts to the day on which it was heard again.
pub(super) fn per_day(points: &[Point], zone: &TimeZone) -> Vec<Consumption> {
    let mut days = Vec::new();
    let mut before: Option<f64> = None;
    let same_day = |one: &Point, other: &Point| day(one.start, zone) == day(other.start, zone);
    for points in points.chunk_by(same_day) {
        let (Some(first), Some(last)) = (points.first(), points.last()) else {
            continue;
        };
        if let Some((from, to)) = day(first.start, zone) {
            days.extend(rise(from, to, before.unwrap_or(first.low), last.last));
        }
        before = Some(last.last);
    }
    days
}

/// Midnight before this moment, and after it.
fn day(second: i64, zone: &TimeZone) -> Option<(i64, i64)> {
    let midnight = zoned(second, zone)?.start_of_day().ok()?;
    let next = midnight.checked_add(1.day()).ok()?;
    Some((
        midnight.timestamp().as_second(),
        next.timestamp().as_second(),
    ))
}

/// This moment on the clocks of a time zone.
pub(super) fn zoned(second: i64, zone: &TimeZone) -> Option<ZonedDateTime> {
    Some(
        Timestamp::from_second(second)
            .ok()?
            .to_zoned_datetime(zone.clone()),
    )
}

fn rise(from: i64, to: i64, base: f64, last: f64) -> Option<Consumption> {
    let amount = last - base;
    (amount >= 0.0).then_some(Consumption { from, to, amount })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(start: i64, low: f64, last: f64) -> Point {
        Point {
            start,
            count: 2,
            mean: low,
            low,
            high: last,
            last,
        }
    }

    #[test]
    fn an_hour_counts_from_the_end_of_the_one_before() {
        let points = [
            point(0, 1.0, 2.0),
            point(3600, 2.5, 4.0),
            // A gap, then another meter, whose register begins lower.
            point(4 * 3600, 9.0, 10.0),
            point(5 * 3600, 0.0, 0.5),
            point(6 * 3600, 0.5, 1.5),
        ];
        let amounts: Vec<_> = per_hour(&points)
            .iter()
            .map(|hour| (hour.from / 3600, hour.amount))
            .collect();
        assert_eq!(amounts, [(0, 1.0), (1, 2.0), (4, 1.0), (6, 1.0)]);
    }

    #[test]
    fn a_day_has_as_many_hours_as_its_clocks_say() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let time = |text: &str| text.parse::<Timestamp>().unwrap().as_second();
        // The clocks were put forward on 29 March 2026.
        let points = [
            point(time("2026-03-28T12:00:00Z"), 10.0, 11.0),
            point(time("2026-03-28T23:00:00Z"), 11.0, 12.0),
            point(time("2026-03-29T21:00:00Z"), 15.0, 16.0),
            point(time("2026-03-29T22:00:00Z"), 16.0, 17.0),
        ];
        let days = per_day(&points, &zone);
        let amounts: Vec<_> = days
            .iter()
            .map(|day| ((day.to - day.from) / 3600, day.amount))
            .collect();
        assert_eq!(amounts, [(24, 1.0), (23, 5.0), (24, 1.0)]);
        assert_eq!(days[1].from, time("2026-03-28T23:00:00Z"));
    }
}
