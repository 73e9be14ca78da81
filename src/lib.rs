//! omnigate, a smart-meter gateway: the program around the actors. Command line, settings, logging, wiring.

pub mod check_config;
pub mod cli;
pub mod control;
pub mod decode;
#[cfg(feature = "demo")]
pub mod demo;
pub mod exit;
pub mod logging;
pub mod meters;
pub mod overview;
pub mod page;
pub mod profiles;
pub mod settings;
pub mod setup;
pub mod simulate;
mod table;
pub mod terminal;
pub mod wiring;
