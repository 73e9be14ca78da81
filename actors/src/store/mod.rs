//! What outlives an actor's life.

pub mod disk;
pub mod history;
pub mod meter_table;
pub mod outbox;
