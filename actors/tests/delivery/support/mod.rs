//! What the tests stand on: a real broker, a network that can fail, a watcher, certificates.
pub mod broker;
pub mod certificates;
pub mod network;
pub mod system;
pub mod watcher;

use std::time::{Duration, Instant};

use actix::prelude::Stream;
use omnigate_actors::mqtt::{
    Broker as Address, Config, Event, Events, QoS, Session, Subscription, Turn,
};
use omnigate_actors::supervision::policy::Backoff;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

/// Longer than anything takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until there is an answer.
pub fn wait_for<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait_within(PATIENCE, what, look)
}

/// The same for what takes long.
pub fn wait_for_long<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait_within(60 * PATIENCE, what, look)
}

fn wait_within<T>(patience: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A port of the loopback address that nobody uses.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// The broker at this URL, tried again soon, but with so much time to answer that a busy machine does not look like a lost connection.
pub fn address(url: &str) -> Address {
    Address {
        keep_alive: Duration::from_secs(30),
        connect_timeout: Duration::from_secs(20),
        ack_timeout: Duration::from_secs(30),
        backoff: Backoff::new(Duration::from_millis(50), Duration::from_millis(500), 50).unwrap(),
        ..Address::at(url.parse().unwrap())
    }
}

/// The same for a broker that is to be given up.
pub fn impatient(url: &str) -> Address {
    Address {
        connect_timeout: Duration::from_secs(5),
        ack_timeout: Duration::from_secs(5),
        ..address(url)
    }
}

/// A session's settings without will and subscriptions.
pub fn config(address: Address, client_id: &str) -> Config {
    Config {
        broker: address.into(),
        client_id: client_id.to_owned(),
        will: None,
        subscriptions: Vec::new(),
        window: 20,
        largest_payload: 1000,
        counters: Arc::default(),
    }
}

/// A subscription at QoS 1.
pub fn wanted(topic: &str) -> Subscription {
    Subscription {
        topic: topic.to_owned(),
        qos: QoS::AtLeastOnce,
    }
}

/// A logger that shows what a failed test did.
pub fn log() -> slog::Logger {
    slog::Logger::root(slog::Fuse(Printer), slog::o!())
}

struct Printer;

impl slog::Drain for Printer {
    type Ok = ();
    type Err = slog::Never;

    fn log(&self, record: &slog::Record<'_>, _: &slog::OwnedKVList) -> Result<(), slog::Never> {
        struct Pairs(String);
        impl slog::Serializer for Pairs {
            fn emit_arguments(
                &mut self,
                key: slog::Key,
                value: &std::fmt::Arguments<'_>,
            ) -> slog::Result {
                self.0 += &format!(" {key}={value}");
                Ok(())
            }
        }
        let mut pairs = Pairs(String::new());
        slog::KV::serialize(&record.kv(), record, &mut pairs).unwrap();
        println!("{} {}{}", record.level(), record.msg(), pairs.0);
        Ok(())
    }
}

/// A session whose events a test awaits on its own thread.
pub struct Observed {
    pub session: Session,
    events: Events,
    seen: VecDeque<Event>,
}

impl Observed {
    pub fn start(config: Config) -> Self {
        Self::start_in_turn(config, &Turn::default())
    }

    pub fn start_in_turn(config: Config, turn: &Turn) -> Self {
        let (session, events) = Session::start(config, turn, log()).unwrap();
        Self {
            session,
            events,
            seen: VecDeque::new(),
        }
    }

    /// The next event, or `None` after the last; fails when none comes.
    pub fn next(&mut self) -> Option<Event> {
        self.next_within(PATIENCE).expect("an event in time")
    }

    /// The next event if one comes within this time.
    pub fn next_within(&mut self, time: Duration) -> Option<Option<Event>> {
        let deadline = Instant::now() + time;
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        while self.seen.is_empty() {
            match Pin::new(&mut self.events).poll_next(&mut Context::from_waker(&waker)) {
                Poll::Ready(Some(events)) => self.seen = events,
                Poll::Ready(None) => return Some(None),
                Poll::Pending => {
                    let left = deadline.checked_duration_since(Instant::now())?;
                    std::thread::park_timeout(left);
                }
            }
        }
        Some(self.seen.pop_front())
    }

    /// Skips events until this finds what it looks for.
    pub fn until<T>(&mut self, mut look: impl FnMut(Event) -> Option<T>) -> T {
        loop {
            let event = self.next().expect("more events");
            println!("{event:?}");
            if let Some(found) = look(event) {
                return found;
            }
        }
    }

    /// Waits until there is a connection.
    pub fn connected(&mut self) -> omnigate_actors::mqtt::Connection {
        self.until(|event| match event {
            Event::Connected(connection) => Some(connection),
            _ => None,
        })
    }

    /// Waits until the connection ends or an attempt fails, and says why.
    pub fn disconnected(&mut self) -> String {
        self.until(|event| match event {
            Event::Disconnected { failure, .. } => Some(failure.to_string()),
            _ => None,
        })
    }

    /// Waits until all subscriptions are granted.
    pub fn listening(&mut self) {
        self.until(|event| matches!(event, Event::Listening).then_some(()));
    }

    /// Waits for so many acknowledgements.
    pub fn acknowledged(&mut self, count: usize) {
        let mut seen = 0;
        self.until(|event| match event {
            Event::Acknowledged(more) => {
                seen += more;
                (seen >= count).then_some(())
            }
            _ => None,
        });
        assert_eq!(seen, count);
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
