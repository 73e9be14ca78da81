//! Supervision: what keeps the actors running.
//!
//! An actor is started with [`supervise`] (on this Arbiter) or [`supervise_on`] (on another), as a [`Child`] with a [`Role`]. When it
//! panics, fails ([`Monitor::fail`]) or stops by itself, it is made anew as its role's [`policy`] says: the first time at once, then after
//! longer and longer pauses; beyond its budget it is parked, or the [`Root`] gives up and the program ends. [`heartbeat`] notices what
//! hangs. Who supervises whom is said in [`crate::tree`].
//!
//! # What can be relied on
//! * The address stays valid from the start until the child has stopped for good, also while it backs off or is parked.
//! * Messages that wait in the mailbox are handled by the next life. A parked child refuses them, and each is counted.
//! * The message in hand is lost, counted, and never tried again; whoever sent it and waits gets `MailboxError::Closed`, which means *not
//!   answered*. A handler that puts its telegram down with [`crate::rejects::Rejects::hold`] finds it among the rejects.
//! * Every life begins with an actor that was made for it, in a context of its own: no state, timer, spawned future or cancelled handle of
//!   an earlier life is left. What is to survive is kept outside the actor, by the closure that makes it.
//! * A panic anywhere in a child's code, its making, its timers and its destructors included, ends that life and nothing else, unless a
//!   destructor panics while another panic unwinds: that ends every Rust program.
//! * A handler that hangs holds up its whole thread. Nothing can end it but the end of the process.
//!
//! # How it is done
//! actix's own supervisor does not survive a panic. Polling an actor's `ContextFut` inside `catch_unwind` does; its `restart()` would then
//! reuse the context and the actor. Here the mailbox is kept outside the context (`mail.rs`) and each life gets a new context and a new
//! actor (`supervised.rs`): fresh by construction and not by care, and a parked child's mail can be thrown away. It costs about 400 bytes
//! per child more than a plain actor.
//!
//! # How an actor is written for it
//! ```
//! use std::sync::Arc;
//! use actix::prelude::*;
//! use omnigate_actors::raw_telegram::RawTelegram;
//! use omnigate_actors::rejects::Rejects;
//! use omnigate_actors::supervision::{self, Monitor, Root, Stopped, supervise};
//! use omnigate_actors::{faults, tree};
//!
//! /// What all lives share.
//! #[derive(Clone)]
//! struct Config { rejects: Rejects }
//!
//! struct Parser { config: Config, monitor: Arc<Monitor>, parsed: usize }
//!
//! impl Parser {
//!     /// Called for each life.
//!     fn new(config: &Config, monitor: &Arc<Monitor>) -> Self {
//!         Self { config: config.clone(), monitor: Arc::clone(monitor), parsed: 0 }
//!     }
//! }
//!
//! impl Actor for Parser { type Context = Context<Self>; }
//!
//! /// `restarting` is called on every new actor but the first: for what a restart alone requires.
//! impl Supervised for Parser {}
//!
//! struct Parse(RawTelegram);
//! impl Message for Parse { type Result = usize; }
//!
//! impl Handler<Parse> for Parser {
//!     type Result = usize;
//!
//!     fn handle(&mut self, Parse(raw): Parse, ctx: &mut Context<Self>) -> usize {
//!         let _hand = self.config.rejects.hold("parser", &raw);
//!         faults::hit("parser", "");
//!         // Pure code that a telegram from outside may bring to panic: a rejection like any other.
//!         match supervision::catch(|| raw.bytes()[0]) {
//!             Ok(0xFF) => self.monitor.fail(ctx, "this cannot go on"),
//!             Ok(_) => self.parsed += 1,
//!             Err(panic) => self.config.rejects.push("parser", &raw, &panic.to_string()),
//!         }
//!         self.parsed
//!     }
//! }
//!
//! System::new().block_on(async {
//!     let config = Config { rejects: Rejects::new(100) };
//!     let root = Root::new(slog::Logger::root(slog::Discard, slog::o!()), |_report| { /* count it */ });
//!     let child = supervise(&root, &tree::PARSER, {
//!         let config = config.clone();
//!         move |monitor| Parser::new(&config, monitor)
//!     });
//!     let parse = |bytes: &[u8]| child.addr.send(Parse(RawTelegram::radio(bytes, jiff::Timestamp::UNIX_EPOCH, None)));
//!     assert_eq!(parse(&[1]).await, Ok(1));
//!     assert_eq!(parse(&[]).await, Ok(1));
//!     assert_eq!(parse(&[0xFF]).await, Ok(1));
//!     assert_eq!(parse(&[1]).await, Ok(1));
//!     assert_eq!((config.rejects.total(), child.handle.monitor.restarts()), (1, 1));
//!     assert_eq!(child.stop().await, Stopped::Clean);
//! });
//! ```

mod child;
mod control;
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
