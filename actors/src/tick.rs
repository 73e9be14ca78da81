//! Tick: the moments at which actors look at what nothing tells them of. All have the same, so that an idle thread wakes once for all of its
//! actors, and not for each.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::Instant;

/// The next of the moments that are `interval` apart, by the runtime's clock.
pub(crate) fn next(interval: Duration) -> Instant {
    static ONE: OnceLock<Instant> = OnceLock::new();
    let now = Instant::now();
    // Tests have clocks of their own, so it may be yet to come.
    let one = *ONE.get_or_init(|| now);
    let (since, until) = (now.duration_since(one), one.duration_since(now));
    let since_last = rest(since, interval) + interval - rest(until, interval);
    now + interval - rest(since_last, interval)
}

/// What is left of a time after whole intervals.
fn rest(time: Duration, interval: Duration) -> Duration {
    let nanos = time.as_nanos() % interval.as_nanos().max(1);
    Duration::from_nanos(nanos.try_into().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_have_the_same_moments() {
        let interval = Duration::from_secs(1);
        let first = next(interval);
        assert!(first > Instant::now() && first <= Instant::now() + interval);
        tokio::time::sleep_until(first - interval / 3).await;
        assert_eq!(next(interval), first);
        tokio::time::sleep_until(first).await;
        assert_eq!(next(interval), first + interval);
        let slower = next(3 * interval);
        assert_eq!(rest(slower - first, interval), Duration::ZERO);
    }
}
