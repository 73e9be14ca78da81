//! The program's parts that its tests use too.

pub mod simulate;
