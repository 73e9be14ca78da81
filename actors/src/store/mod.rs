//! What outlives an actor's life.

pub mod meter_table;
pub mod outbox;
