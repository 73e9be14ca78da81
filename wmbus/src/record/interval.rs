//! Stored values without a date of their own, dated by the interval between them (EN 13757-3, table 12, VIF FD 24 to
//! FD 29).
//!
//! The interval and the date of the newest value stand at the storage number of that value; each higher storage number
//! holds the value one interval older.

use super::date::Moment;
use super::{Quantity, Record};
use crate::unit::Unit;

/// Dates the stored values, where the meter tells their interval.
#[inline]
pub(crate) fn date(records: &mut [Record]) {
    let told = records
        .iter()
        .any(|record| record.quantity == Quantity::StorageInterval);
    if told {
        date_by(records);
    }
}

fn date_by(records: &mut [Record]) {
    let Some((first, step, newest)) = records.iter().find_map(|record| interval(record, records))
    else {
        return;
    };
    let dated: Vec<u64> = records
        .iter()
        .filter(|record| record.time_of_storage().is_some())
        .map(|record| record.storage)
        .collect();
    for record in records {
        if record.unit == Unit::None || record.time.is_some() || dated.contains(&record.storage) {
            continue;
        }
        let older = record.storage.checked_sub(first);
        let older = older.filter(|&older| older <= MOST);
        record.time = older.and_then(|older| step.before(newest, older as i32));
    }
}

/// The storage number of the newest value, the interval, and the newest value's date.
fn interval(record: &Record, records: &[Record]) -> Option<(u64, Step, Moment)> {
    if record.quantity != Quantity::StorageInterval {
        return None;
    }
    let number = record.value.decimal()?;
    let number = i32::try_from(number.mantissa()).ok()?;
    if !(1..=MOST as i32).contains(&number) {
        return None;
    }
    let step = match record.unit {
        Unit::Month => Step::Months(number),
        Unit::Year => Step::Months(number * 12),
        Unit::Day => Step::Seconds(i64::from(number) * 86_400),
        Unit::Hour => Step::Seconds(i64::from(number) * 3_600),
        Unit::Minute => Step::Seconds(i64::from(number) * 60),
        _ => Step::Seconds(number.into()),
    };
    let newest = records
        .iter()
        .filter(|other| other.storage == record.storage)
        .find_map(Record::time_of_storage)?;
    Some((record.storage, step, newest))
}

#[derive(Clone, Copy)]
enum Step {
    Months(i32),
    Seconds(i64),
}

impl Step {
    fn before(self, newest: Moment, steps: i32) -> Option<Moment> {
        match self {
            Self::Months(months) => newest.plus_months(-months * steps),
            Self::Seconds(seconds) => newest.plus_seconds(seconds, -steps),
        }
    }
}

/// The highest storage number above the newest value's, and the longest interval, that make sense.
const MOST: u64 = 1000;
