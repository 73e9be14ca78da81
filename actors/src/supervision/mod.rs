//! Supervision: what keeps the actors running.
//!
//! An actor is started with [`supervise`] (on this Arbiter) or [`supervise_on`] (on another). When it panics, fails or stops by itself, it
//! is made anew, according to its [`Role`]'s [`policy`]; its address stays valid and the messages that wait in its mailbox survive.
//!
//! # How an actor is written for it
//! ```
//! use std::sync::Arc;
//! use actix::prelude::*;
//! use omnigate_actors::supervision::Monitor;
//!
//! struct Doubler { monitor: Arc<Monitor>, served: u32 }
//! struct Double(u32);
//! impl Message for Double { type Result = u32; }
//!
//! impl Doubler {
//!     /// Called for each life: fresh state, from the configuration that the closure given to `supervise` keeps.
//!     fn new(monitor: &Arc<Monitor>) -> Self { Self { monitor: Arc::clone(monitor), served: 0 } }
//! }
//! impl Actor for Doubler { type Context = Context<Self>; }
//! impl Supervised for Doubler {}
//! impl Handler<Double> for Doubler {
//!     type Result = u32;
//!     fn handle(&mut self, Double(number): Double, ctx: &mut Context<Self>) -> u32 {
//!         self.served += 1;
//!         number.checked_mul(2).unwrap_or_else(|| { self.monitor.fail(ctx, "number too large"); 0 })
//!     }
//! }
//! ```
mod child;
pub mod heartbeat;
mod mail;
mod monitor;
mod panics;
pub mod policy;
mod role;
mod root;
mod supervised;

pub use child::{Child, ChildSpec, Handle, Stopped, stop_in_reverse, supervise, supervise_on};
pub use monitor::{LastExit, Monitor, State, Wait, Waiting};
pub(crate) use panics::bounded;
pub use panics::{Panic, catch, unwinding};
pub use role::{Instance, Role, Shutdown};
pub use root::{Event, GaveUp, Report, Root};

#[cfg(test)]
mod tests;
