//! The outbox: readings on their way to the broker.
//!
//! One row is one telegram's reading. It goes through these states:
//!
//! * *waiting* from [`Outbox::push`] on; an implementation that writes to disk hands a row out only after it was committed;
//! * *sent* from [`Outbox::next`] on, which hands out the oldest row of each meter in turn, each row once;
//! * gone after [`Outbox::remove`], when all its messages are acknowledged;
//! * waiting again after [`Outbox::rewind`], when the connection was lost or the Publisher began a new life: in its old place, so that the
//!   order within a meter never changes.
//!
//! When there is no more room the oldest waiting row is dropped and counted; rows that were sent are not, for they are few and about to go.
//!
//! [`MemoryOutbox`] keeps everything in memory: it survives the Publisher, not the program.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::counters::{Count, Counters};
use crate::meter::MeterName;
use crate::raw_telegram::RawTelegram;

/// What the Publisher needs of an outbox. All methods return at once, from any thread.
pub trait Outbox: Send + Sync {
    /// Takes a reading in. Its telegram is kept until the reading is as safe as the outbox makes it, so that a source that loses nothing
    /// waits that long.
    fn push(&self, reading: NewRow, telegram: RawTelegram);

    /// The next row to send, if one can be sent now.
    fn next(&self) -> Option<Arc<Row>>;

    /// A row that was sent has arrived.
    fn remove(&self, id: RowId);

    /// All rows that were sent and not removed wait again.
    fn rewind(&self);

    /// Woken when [`Outbox::next`] may have a row.
    fn ready(&self) -> &Notify;

    /// How it stands.
    fn state(&self) -> OutboxState;
}

/// A reading that is to go into the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRow {
    /// Whose reading it is.
    pub meter: Arc<MeterName>,
    /// When the telegram was received.
    pub received_at: Timestamp,
    /// The reading, as [`crate::recalc::Values`] encodes it.
    pub body: Box<[u8]>,
}

/// A reading in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What it is called as long as the program runs.
    pub id: RowId,
    /// The reading.
    pub reading: NewRow,
}

/// Names a row. Of one meter, the older row has the lower one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId(pub u64);

/// How an outbox stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutboxState {
    /// Rows that wait to be sent.
    pub waiting: usize,
    /// Rows that were sent and are not acknowledged.
    pub sent: usize,
    /// About how much room they take, in bytes.
    pub bytes: usize,
    /// When the oldest of them was received.
    pub oldest: Option<Timestamp>,
    /// Rows dropped because there was no room, since the program started.
    pub dropped: u64,
}

/// An outbox in memory. A source that loses nothing waits until its readings are acknowledged.
pub struct MemoryOutbox {
    limit: usize,
    counters: Arc<Counters>,
    ready: Notify,
    content: Mutex<Content>,
}

#[derive(Default)]
struct Content {
    next_id: u64,
    waiting: BTreeMap<RowId, Held>,
    sent: BTreeMap<RowId, Held>,
    /// The waiting rows of each meter, oldest first.
    queues: HashMap<Arc<MeterName>, VecDeque<RowId>>,
    /// The meters with waiting rows, in the order of their turns.
    turns: VecDeque<Arc<MeterName>>,
    bytes: usize,
    dropped: u64,
}

struct Held {
    row: Arc<Row>,
    /// Of a source that loses nothing.
    _telegram: Option<RawTelegram>,
}

impl MemoryOutbox {
    /// An empty outbox that holds at most about `limit` bytes.
    pub fn new(limit: usize, counters: Arc<Counters>) -> Self {
        Self {
            limit,
            counters,
            ready: Notify::new(),
            content: Mutex::default(),
        }
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        // Nothing that is done under the lock can panic half-way.
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outbox for MemoryOutbox {
    fn push(&self, reading: NewRow, telegram: RawTelegram) {
        let mut content = self.content();
        content.push(reading, Some(telegram).filter(RawTelegram::is_lossless));
        let mut dropped = 0;
        while content.bytes > self.limit && content.drop_oldest() {
            dropped += 1;
        }
        content.dropped += dropped;
        drop(content);
        self.counters.increment(Count::OutboxAccepted);
        if dropped > 0 {
            self.counters.add(Count::OutboxDropped, dropped);
        }
        self.ready.notify_one();
    }

    fn next(&self) -> Option<Arc<Row>> {
        self.content().next()
    }

    fn remove(&self, id: RowId) {
        let mut content = self.content();
        if let Some(held) = content.sent.remove(&id) {
            content.bytes -= held.weight();
        }
    }

    fn rewind(&self) {
        self.content().rewind();
        self.ready.notify_one();
    }

    fn ready(&self) -> &Notify {
        &self.ready
    }

    fn state(&self) -> OutboxState {
        let content = self.content();
        let oldest = [&content.sent, &content.waiting]
            .into_iter()
            .filter_map(|rows| rows.first_key_value())
            .map(|(_, held)| held.row.reading.received_at)
            .min();
        OutboxState {
            waiting: content.waiting.len(),
            sent: content.sent.len(),
            bytes: content.bytes,
            oldest,
            dropped: content.dropped,
        }
    }
}

impl Content {
    fn push(&mut self, reading: NewRow, telegram: Option<RawTelegram>) {
        let id = RowId(self.next_id);
        self.next_id += 1;
        self.forget_idle_meters();
        let queue = self.queues.entry(Arc::clone(&reading.meter)).or_default();
        if queue.is_empty() {
            self.turns.push_back(Arc::clone(&reading.meter));
        }
        queue.push_back(id);
        let held = Held {
            row: Arc::new(Row { id, reading }),
            _telegram: telegram,
        };
        self.bytes += held.weight();
        self.waiting.insert(id, held);
    }

    fn next(&mut self) -> Option<Arc<Row>> {
        let meter = self.turns.pop_front()?;
        let queue = self.queues.get_mut(&meter)?;
        let id = queue.pop_front()?;
        if !queue.is_empty() {
            self.turns.push_back(meter);
        }
        let held = self.waiting.remove(&id)?;
        let row = Arc::clone(&held.row);
        self.sent.insert(id, held);
        Some(row)
    }

    fn rewind(&mut self) {
        // From the youngest to the oldest, each to the front: afterwards the oldest is first everywhere.
        while let Some((id, held)) = self.sent.pop_last() {
            let meter = &held.row.reading.meter;
            let queue = self.queues.entry(Arc::clone(meter)).or_default();
            if queue.is_empty() {
                self.turns.push_front(Arc::clone(meter));
            }
            queue.push_front(id);
            self.waiting.insert(id, held);
        }
    }

    /// Whether there was one.
    fn drop_oldest(&mut self) -> bool {
        let Some((id, held)) = self.waiting.pop_first() else {
            return false;
        };
        self.bytes -= held.weight();
        let meter = &held.row.reading.meter;
        if let Some(queue) = self.queues.get_mut(meter) {
            // Of its meter it is the oldest too.
            queue.pop_front_if(|first| *first == id);
            if queue.is_empty() {
                self.turns.retain(|other| other != meter);
            }
        }
        true
    }

    /// Meters come and go with the set; their empty queues need not stay.
    fn forget_idle_meters(&mut self) {
        if self.queues.len() >= FEW_METERS.max(4 * self.turns.len()) {
            self.queues.retain(|_, queue| !queue.is_empty());
        }
    }
}

impl Held {
    fn weight(&self) -> usize {
        self.row.reading.body.len() + OVERHEAD
    }
}

/// A row without its body, with its places in the maps that lead to it.
const OVERHEAD: usize = 256;

/// So many empty queues do not matter.
const FEW_METERS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn meter(number: usize) -> Arc<MeterName> {
        Arc::new(MeterName {
            manufacturer_key: "kam".to_owned(),
            device_id: number.to_string(),
        })
    }

    fn row(number: usize, second: i64) -> NewRow {
        NewRow {
            meter: meter(number),
            received_at: Timestamp::from_second(second).unwrap(),
            body: Box::new([0; 44]),
        }
    }

    fn radio() -> RawTelegram {
        RawTelegram::radio([], Timestamp::UNIX_EPOCH, None)
    }

    fn outbox(rows: usize) -> MemoryOutbox {
        MemoryOutbox::new(rows * 300, Arc::default())
    }

    fn drain(outbox: &MemoryOutbox) -> Vec<(String, i64)> {
        std::iter::from_fn(|| outbox.next())
            .map(|row| {
                let NewRow {
                    meter, received_at, ..
                } = &row.reading;
                (meter.device_id.clone(), received_at.as_second())
            })
            .collect()
    }

    fn named(rows: &[(usize, i64)]) -> Vec<(String, i64)> {
        rows.iter()
            .map(|&(meter, second)| (meter.to_string(), second))
            .collect()
    }

    #[test]
    fn meters_take_turns_and_each_is_served_oldest_first() {
        let outbox = outbox(100);
        for (meter, second) in [(1, 1), (1, 2), (1, 3), (2, 4), (3, 5), (2, 6)] {
            outbox.push(row(meter, second), radio());
        }
        assert_eq!(
            drain(&outbox),
            named(&[(1, 1), (2, 4), (3, 5), (1, 2), (2, 6), (1, 3)])
        );
        assert_eq!(outbox.next(), None);
    }

    #[test]
    fn what_was_sent_comes_again_in_its_old_place() {
        let outbox = outbox(100);
        for (meter, second) in [(1, 1), (1, 2), (2, 3), (1, 4)] {
            outbox.push(row(meter, second), radio());
        }
        let first = outbox.next().unwrap();
        let second = outbox.next().unwrap();
        assert_eq!(second.reading.received_at.as_second(), 3);
        outbox.remove(second.id);
        outbox.push(row(3, 5), radio());
        outbox.rewind();
        assert_eq!(outbox.state().waiting, 4);
        assert_eq!(outbox.next(), Some(first));
        assert_eq!(drain(&outbox), named(&[(3, 5), (1, 2), (1, 4)]));
    }

    #[test]
    fn the_oldest_waiting_rows_go_first_when_it_is_full() {
        let counters: Arc<Counters> = Arc::default();
        let outbox = MemoryOutbox::new(3 * 300, Arc::clone(&counters));
        outbox.push(row(1, 1), radio());
        let sent = outbox.next().unwrap();
        for second in 2..=6 {
            outbox.push(row(second as usize % 2, second), radio());
        }
        assert_eq!(outbox.state().dropped, 3);
        assert_eq!(counters.value(Count::OutboxDropped), 3);
        assert_eq!(counters.value(Count::OutboxAccepted), 6);
        assert_eq!(outbox.state().oldest.unwrap().as_second(), 1);
        outbox.remove(sent.id);
        assert_eq!(drain(&outbox), named(&[(0, 6), (1, 5)]));
        assert_eq!(outbox.state().bytes, 2 * 300);
    }

    #[test]
    fn a_source_that_loses_nothing_waits_until_its_reading_is_gone() {
        let permits = Arc::new(tokio::sync::Semaphore::new(1));
        let outbox = outbox(100);
        let permit = Arc::clone(&permits).try_acquire_owned().unwrap();
        outbox.push(
            row(1, 1),
            RawTelegram::lossless([], Timestamp::UNIX_EPOCH, permit),
        );
        let sent = outbox.next().unwrap();
        assert_eq!(permits.available_permits(), 0);
        outbox.remove(sent.id);
        assert_eq!(permits.available_permits(), 1);
    }

    #[test]
    fn meters_that_are_gone_leave_nothing_behind() {
        let outbox = outbox(100);
        for number in 0..10 * FEW_METERS {
            outbox.push(row(number, 0), radio());
            let id = outbox.next().unwrap().id;
            outbox.remove(id);
        }
        assert!(outbox.content().queues.len() <= FEW_METERS);
        assert_eq!(outbox.state(), OutboxState::default());
    }

    #[derive(Debug, Clone)]
    enum Action {
        Push(usize),
        Next,
        RemoveSent(usize),
        Rewind,
    }

    fn action() -> impl Strategy<Value = Action> {
        prop_oneof![
            4 => (0..4_usize).prop_map(Action::Push),
            4 => Just(Action::Next),
            2 => any::<usize>().prop_map(Action::RemoveSent),
            1 => Just(Action::Rewind),
        ]
    }

    proptest! {
        /// Against a plain list of all rows with a mark for those that were sent.
        #[test]
        fn agrees_with_a_plain_list(actions in proptest::collection::vec(action(), 1..200)) {
            const ROOM: usize = 12;
            let outbox = outbox(ROOM);
            let mut model: Vec<(u64, String, bool)> = Vec::new();
            let mut pushed = 0;
            let mut dropped = 0;
            for action in actions {
                match action {
                    Action::Push(number) => {
                        outbox.push(row(number, pushed as i64), radio());
                        model.push((pushed, number.to_string(), false));
                        pushed += 1;
                        if model.len() > ROOM {
                            let oldest = model.iter().position(|(_, _, sent)| !sent).unwrap();
                            model.remove(oldest);
                            dropped += 1;
                        }
                    }
                    Action::Next => match outbox.next() {
                        None => prop_assert!(model.iter().all(|(_, _, sent)| *sent)),
                        Some(next) => {
                            let meter = &next.reading.meter.device_id;
                            let oldest = model.iter_mut().find(|(_, of, sent)| of == meter && !sent).unwrap();
                            prop_assert_eq!(oldest.0, next.id.0);
                            oldest.2 = true;
                        }
                    },
                    Action::RemoveSent(which) => {
                        let sent: Vec<u64> = model.iter().filter(|(_, _, sent)| *sent).map(|(id, _, _)| *id).collect();
                        if !sent.is_empty() {
                            let id = sent[which % sent.len()];
                            outbox.remove(RowId(id));
                            model.retain(|(of, _, _)| *of != id);
                        }
                    }
                    Action::Rewind => {
                        outbox.rewind();
                        model.iter_mut().for_each(|(_, _, sent)| *sent = false);
                    }
                }
                let state = outbox.state();
                prop_assert_eq!(state.waiting, model.iter().filter(|(_, _, sent)| !sent).count());
                prop_assert_eq!(state.sent, model.iter().filter(|(_, _, sent)| *sent).count());
                prop_assert_eq!(state.bytes, model.len() * 300);
                prop_assert_eq!(state.dropped, dropped);
                prop_assert_eq!(state.oldest.map(|oldest| oldest.as_second() as u64), model.first().map(|(id, _, _)| *id));
            }
        }
    }
}
