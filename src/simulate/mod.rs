//! A virtual iM871A dongle on a pseudo-terminal, with virtual OmniPower meters around it.
//!
//! For the demo, for the tests, and for whoever wants to try software for the dongle without one.

mod dongle;
mod module;
mod pty;

pub use self::dongle::{Ailment, Cure, VirtualDongle};

#[cfg(test)]
mod with_driver;
