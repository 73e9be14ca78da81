//! The MQTT session: one connection to the broker that comes back by itself, over `paho-mqtt`.
//!
//! An actor starts a [`Session`] and reads its [`Events`]; it sends with [`Session::send`] on the [`Connection`] that the last
//! [`Event::Connected`] gave it, and counts [`Event::Acknowledged`]. It keeps what it has sent until then: after
//! [`Event::Disconnected`] nothing more of the old connection is acknowledged, and on the next connection it sends again.
//!
//! # Why a thread of its own
//! The C library below holds one lock for all clients while it works, and waits for that lock in every call. So no actor calls it: each
//! session has a thread that does, and the actors' threads never wait for a broker.
//!
//! # What of the library is not used, and what is done instead
//! * it aborts the program when a connection breaks while it writes: it never gets to see that, see `relay.rs`;
//! * its persistence does not force anything to disk: what is not acknowledged is the outbox's business;
//! * its automatic reconnect has been reported to stop for good, and does not subscribe again: the session makes a new client for every
//!   attempt, waits in between ([`Backoff`](crate::supervision::policy::Backoff)), and subscribes after every connect, with a clean
//!   session. What the broker answers to a subscription is checked; a refused one is reported and asked for again;
//! * it waits for ever for acknowledgements: when none comes for [`Broker::ack_timeout`] the client is replaced, under the same id;
//! * it stops its threads with the last client, and a client that comes at that moment hangs: one idle client is kept for ever;
//! * it frees a client inside its own callback if that held the last reference: clients are kept a while after their last callback;
//! * its connect options print their password: they are never printed.
mod client;
mod config;
mod failure;
mod inbox;
mod link;
mod relay;
mod retired;
mod session;
mod subscriptions;
mod worker;

pub use config::{Broker, BrokerUrl, Config, Subscription, Tls, UrlError};
pub use failure::Failure;
pub use inbox::{Event, Events, Incoming};
pub use session::{Connection, Outgoing, QoS, Session, Turn};
