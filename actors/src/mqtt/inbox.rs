//! The inbox: what a session tells its actor, in order.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use actix::prelude::Stream;
use zeroize::Zeroizing;

use super::failure::Failure;
use super::session::Connection;

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// There is a connection, and the subscriptions are asked for: what is sent now, the broker gets after them.
    Connected(Connection),
    /// All subscriptions are granted.
    Listening,
    /// The broker refuses a subscription. It is asked for again.
    SubscriptionRefused {
        /// The topic.
        topic: String,
        /// In words.
        failure: Failure,
    },
    /// A message of a subscribed topic.
    Message(Incoming),
    /// So many further messages of the current connection are acknowledged, in the order in which they were sent.
    Acknowledged(usize),
    /// The connection ended, or an attempt failed.
    Disconnected {
        /// Why.
        failure: Failure,
        /// When the next attempt follows.
        retry_in: Duration,
    },
    /// The session has ended, as asked for. The last event.
    Closed,
}

/// A message from the broker. What is in it may be secret: it is wiped and never printed.
pub struct Incoming {
    /// The topic.
    pub topic: String,
    /// The payload; empty if it is larger than [`Config::largest_payload`](super::Config::largest_payload).
    pub payload: Zeroizing<Vec<u8>>,
    /// How large it was.
    pub size: usize,
    /// It was not sent now: the broker kept it.
    pub retained: bool,
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Incoming({}, {} bytes)", self.topic, self.size)
    }
}

/// The events of a session, in batches. Ends when the session's thread has ended.
pub struct Events(Arc<Inbox>);

impl Events {
    pub(super) fn of(inbox: &Arc<Inbox>) -> Self {
        Self(Arc::clone(inbox))
    }
}

impl Stream for Events {
    type Item = VecDeque<Event>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut content = self.0.lock();
        if content.events.is_empty() {
            if content.closed {
                return Poll::Ready(None);
            }
            content.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        content.messages = 0;
        Poll::Ready(Some(std::mem::take(&mut content.events)))
    }
}

/// Filled by the session's thread and the library's, emptied by the actor. Bounded: one entry for any number of acknowledgements, the
/// session's own changes of state, which take time, and so many messages.
pub(super) struct Inbox(Mutex<Content>);

#[derive(Default)]
struct Content {
    /// With at most [`MOST_MESSAGES`] messages among them.
    events: VecDeque<Event>,
    messages: usize,
    overflowed: usize,
    closed: bool,
    waker: Option<Waker>,
}

/// Messages that may wait for the actor. More than that in a moment is a mistake or an attack.
const MOST_MESSAGES: usize = 64;

impl Inbox {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::default()))
    }

    pub(super) fn push(&self, event: Event) {
        self.change(|content| match (content.events.back_mut(), event) {
            (Some(Event::Acknowledged(count)), Event::Acknowledged(more)) => *count += more,
            (_, event) => content.events.push_back(event),
        });
    }

    /// The newest always finds room: it is what the sender wants last. Called by the library's thread, under its lock.
    pub(super) fn push_message(&self, message: Incoming) {
        self.change(|content| {
            content.events.push_back(Event::Message(message));
            content.messages += 1;
            if content.messages > MOST_MESSAGES
                && let Some(oldest) = oldest_of_the_crowd(&content.events)
            {
                content.events.remove(oldest);
                content.messages -= 1;
                content.overflowed += 1;
            }
        });
    }

    /// How many messages were dropped since the last call because too many waited.
    pub(super) fn take_overflow(&self) -> usize {
        std::mem::take(&mut self.lock().overflowed)
    }

    pub(super) fn close(&self) {
        self.change(|content| content.closed = true);
    }

    fn change(&self, change: impl FnOnce(&mut Content)) {
        let mut content = self.lock();
        change(&mut content);
        let waker = content.waker.take();
        drop(content);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        // Nothing that is done under the lock can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of the oldest message of the topic that most messages wait of: who floods one topic does not drive out another's.
fn oldest_of_the_crowd(events: &VecDeque<Event>) -> Option<usize> {
    let mut topics: HashMap<&str, (usize, usize)> = HashMap::new();
    for (place, event) in events.iter().enumerate() {
        if let Event::Message(message) = event {
            topics.entry(&message.topic).or_insert((0, place)).0 += 1;
        }
    }
    let crowd = topics.into_values().max_by_key(|&(count, _)| count);
    crowd.map(|(_, oldest)| oldest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(inbox: &Inbox, topic: &str, number: usize) {
        inbox.push_message(Incoming {
            topic: topic.to_owned(),
            payload: Zeroizing::default(),
            size: number,
            retained: false,
        });
    }

    #[test]
    fn a_flood_drops_its_own_oldest_and_nobody_elses() {
        let inbox = Inbox::new();
        say(&inbox, "stop", 0);
        inbox.push(Event::Listening);
        for number in 1..=1000 {
            say(&inbox, "set", number);
        }
        say(&inbox, "health", 0);
        assert_eq!(inbox.take_overflow(), 1002 - MOST_MESSAGES);
        let waiting: Vec<_> = inbox
            .lock()
            .events
            .drain(..)
            .filter_map(|event| match event {
                Event::Message(message) => Some((message.topic, message.size)),
                _ => None,
            })
            .collect();
        let mut expected = vec![("stop".to_owned(), 0)];
        expected.extend((1001 - (MOST_MESSAGES - 2)..=1000).map(|at| ("set".to_owned(), at)));
        expected.push(("health".to_owned(), 0));
        assert_eq!(waiting, expected);
    }
}
