//! How much happens in a minute, from the counters at two times. Computed when somebody asks, so it needs no timer.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use omnigate_actors::counters::{Count, Counters};
use serde_json::{Map, Value, json};

/// What is counted, and its name in the status.
const RATES: [(Count, &str); 3] = [
    (Count::TelegramsReceived, "telegrams_per_minute"),
    (Count::Readings, "readings_per_minute"),
    (Count::MessagesPublished, "messages_per_minute"),
];

/// The counters as they were when somebody asked.
pub struct Rates(VecDeque<Sample>);

struct Sample {
    at: Instant,
    values: [u64; RATES.len()],
}

impl Rates {
    /// Counts from now on.
    pub fn start(counters: &Counters, now: Instant) -> Self {
        Self(VecDeque::from([Sample::of(counters, now)]))
    }

    /// The section `rates`: over the last minute, or longer if nobody asked for longer, or since the start.
    pub fn section(&mut self, counters: &Counters, now: Instant) -> Value {
        let latest = Sample::of(counters, now);
        // The first one stays the youngest that is old enough.
        while self
            .0
            .get(1)
            .is_some_and(|second| now.duration_since(second.at) >= WINDOW)
        {
            self.0.pop_front();
        }
        let mut section = Map::new();
        if let Some(first) = self.0.front() {
            let seconds = now.duration_since(first.at).as_secs_f64().max(1.0);
            section.insert("seconds".to_owned(), json!(seconds.round()));
            for ((_, name), (before, after)) in
                RATES.iter().zip(first.values.iter().zip(latest.values))
            {
                let rate = after.saturating_sub(*before) as f64 * 60.0 / seconds;
                section.insert((*name).to_owned(), json!((rate * 10.0).round() / 10.0));
            }
        }
        if self
            .0
            .back()
            .is_none_or(|last| now.duration_since(last.at) >= RESOLUTION)
        {
            self.0.push_back(latest);
        }
        section.into()
    }
}

impl Sample {
    fn of(counters: &Counters, at: Instant) -> Self {
        Self {
            at,
            values: RATES.map(|(count, _)| counters.value(count)),
        }
    }
}

const WINDOW: Duration = Duration::from_secs(60);
/// Asked more often than this, no more is remembered.
const RESOLUTION: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_the_last_minute() {
        let (counters, start) = (Counters::new(), Instant::now());
        let mut rates = Rates::start(&counters, start);
        let mut at = |seconds: u64, telegrams: u64| {
            counters.add(Count::TelegramsReceived, telegrams);
            let section = rates.section(&counters, start + Duration::from_secs(seconds));
            let number = |name: &str| section[name].as_f64().unwrap();
            (number("seconds"), number("telegrams_per_minute"))
        };
        assert_eq!(at(0, 0), (1.0, 0.0));
        assert_eq!(at(30, 30), (30.0, 60.0));
        assert_eq!(at(60, 0), (60.0, 30.0));
        assert_eq!(at(90, 3), (60.0, 3.0));
        assert_eq!(at(1000, 91), (910.0, 6.0), "nobody has asked for long");
    }

    #[test]
    fn asking_often_fills_no_memory() {
        let (counters, start) = (Counters::new(), Instant::now());
        let mut rates = Rates::start(&counters, start);
        for step in 0..10_000 {
            rates.section(&counters, start + Duration::from_millis(100 * step));
        }
        assert!(rates.0.len() < 20);
    }
}
