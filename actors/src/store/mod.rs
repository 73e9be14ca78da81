//! What outlives an actor's life.

pub mod outbox;
