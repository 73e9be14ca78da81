//! The announcements on their way: what the broker has yet to hear of meters, apart from readings.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::messages::News;
use crate::meter::MeterName;

/// In memory: after a start of the program every meter is announced again. Clones are the same list. One entry per meter: the latest.
#[derive(Clone, Default)]
pub struct Announcements(Arc<Mutex<Content>>);

#[derive(Default)]
struct Content {
    waiting: HashMap<Arc<MeterName>, News>,
    /// The keys of `waiting`, oldest first.
    order: VecDeque<Arc<MeterName>>,
    /// Oldest first.
    sent: VecDeque<(Arc<MeterName>, News)>,
}

impl Announcements {
    /// This is to be told of the meter.
    pub fn add(&self, meter: &Arc<MeterName>, news: News) {
        let mut content = self.content();
        if content.waiting.insert(Arc::clone(meter), news).is_none() {
            content.order.push_back(Arc::clone(meter));
        }
    }

    /// How many are waiting or sent.
    pub fn len(&self) -> usize {
        let content = self.content();
        content.waiting.len() + content.sent.len()
    }

    /// Whether all have arrived.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The oldest that waits; it is sent from now on.
    pub(super) fn next(&self) -> Option<(Arc<MeterName>, News)> {
        let mut content = self.content();
        let meter = content.order.pop_front()?;
        let news = content.waiting.remove(&meter)?;
        content.sent.push_back((Arc::clone(&meter), news.clone()));
        Some((meter, news))
    }

    /// What [`next`](Self::next) gave last makes no message.
    pub(super) fn nothing_to_tell(&self) {
        self.content().sent.pop_back();
    }

    /// The oldest that was sent has arrived.
    pub(super) fn acknowledged(&self) {
        self.content().sent.pop_front();
    }

    /// All that were sent and did not arrive wait again, in front of the others, except where there is a later one for the meter.
    pub(super) fn rewind(&self) {
        let mut content = self.content();
        while let Some((meter, news)) = content.sent.pop_back() {
            if let Entry::Vacant(none) = content.waiting.entry(Arc::clone(&meter)) {
                none.insert(news);
                content.order.push_front(meter);
            }
        }
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        // Nothing that is done under the lock can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(number: u32) -> Arc<MeterName> {
        Arc::new(MeterName {
            manufacturer_key: "kam".to_owned(),
            device_id: number.to_string(),
        })
    }

    fn profile(model: &str) -> News {
        let mut profile = wmbus::Profile::unknown(wmbus::Manufacturer(0x2C2D));
        profile.model = model.to_owned();
        News::Introduced(Arc::new(profile))
    }

    fn take(announcements: &Announcements) -> Vec<(String, String)> {
        std::iter::from_fn(|| announcements.next())
            .map(|(meter, news)| match news {
                News::Introduced(profile) => (meter.device_id.clone(), profile.model.clone()),
                News::Removed => (meter.device_id.clone(), "removed".to_owned()),
            })
            .collect()
    }

    #[test]
    fn each_meter_has_one_and_the_latest_counts() {
        let announcements = Announcements::default();
        announcements.add(&meter(1), profile("old"));
        announcements.add(&meter(2), profile("b"));
        announcements.add(&meter(1), profile("new"));
        assert_eq!(
            take(&announcements),
            [
                ("1".to_owned(), "new".to_owned()),
                ("2".to_owned(), "b".to_owned())
            ]
        );
        assert_eq!(announcements.len(), 2);
        announcements.acknowledged();
        announcements.add(&meter(3), profile("c"));
        announcements.add(&meter(2), profile("later"));
        announcements.add(&meter(1), profile("again"));
        announcements.rewind();
        let order: Vec<_> = take(&announcements)
            .into_iter()
            .map(|(meter, _)| meter)
            .collect();
        assert_eq!(order, ["3", "2", "1"]);
        (0..3).for_each(|_| announcements.acknowledged());
        assert!(announcements.is_empty());
    }

    #[test]
    fn what_was_lost_is_sent_again_in_front() {
        let announcements = Announcements::default();
        for number in 1..=3 {
            announcements.add(&meter(number), profile("a"));
        }
        announcements.next();
        announcements.next();
        announcements.acknowledged();
        announcements.rewind();
        let order: Vec<_> = take(&announcements)
            .into_iter()
            .map(|(meter, _)| meter)
            .collect();
        assert_eq!(order, ["2", "3"]);
    }
}
