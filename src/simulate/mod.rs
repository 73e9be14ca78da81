//! A virtual iM871A dongle on a pseudo-terminal, with virtual OmniPower meters around it.
//!
//! For the demo, for the tests, and for whoever wants to try software for the dongle without one.

mod dongle;
mod meter;
mod module;
mod pty;
mod simulation;

pub use self::dongle::{Ailment, Cure, VirtualDongle};
pub use self::meter::{Registers, VirtualMeter};
pub use self::simulation::{EXAMPLE_KEY, Error, Meters, Options, Simulation, run};

#[cfg(test)]
mod with_driver;
