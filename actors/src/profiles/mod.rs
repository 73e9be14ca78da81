//! Profiles: what is known of the types of meters, changed while the gateway runs.
//!
//! [`Directory`] reads the operator's files, [`Watch`] looks at them again and again, and [`InForce`] is where the meters' handlers find the
//! set that is in force: they see a change by its generation with their next telegram, and lose nothing else of what they know.

mod directory;
mod in_force;
mod watch;

pub use directory::{Directory, FileMistake, FileProfile};
pub use in_force::InForce;
pub use watch::Watch;

#[cfg(test)]
mod tests;
