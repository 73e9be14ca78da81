//! Dispatcher: looks a telegram's address up and hands it to the meter's handler; nothing else. Receives `Route`; sends `Decode`.
//!
//! Owns its copy of the routing table, which `Meters` publishes. Never waits for a handler: what a meter's queue cannot take is
//! dropped and counted, so one slow meter holds up nobody. Ends only by a bug.

use std::collections::HashMap;
use std::sync::Arc;

use actix::prelude::*;
use slog::{Logger, debug};
use tokio::sync::watch;

use crate::counters::{Count, Counters};
use crate::faults;
use crate::heard::Heard;
use crate::meter::MeterId;
use crate::meter_handler::{Decode, MeterHandler};
use crate::parser::CheckedTelegram;
use crate::rejects::Rejects;

/// The handler of every monitored meter, whose addresses are shared with `Meters`. No recipients: each would be one more place in memory
/// to fetch, for every telegram where there are many meters.
pub type Routes = Arc<HashMap<MeterId, Arc<Addr<MeterHandler>>>>;

/// What every life of the Dispatcher is made from.
#[derive(Clone)]
pub struct Config {
    /// The routing table as `Meters` publishes it.
    pub routes: watch::Receiver<Routes>,
    /// Remembers the meters on the air that nobody monitors.
    pub unknown: Arc<Heard>,
    /// Counts by reason.
    pub counters: Arc<Counters>,
    /// Where a telegram goes that the Dispatcher failed on.
    pub rejects: Rejects,
    /// Where to log.
    pub log: Logger,
}

/// See the [module documentation](self).
pub struct Dispatcher {
    config: Config,
    /// Read again only when `Meters` published a newer one.
    routes: Routes,
}

/// A telegram with a valid link layer.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Route(pub CheckedTelegram);

impl Dispatcher {
    /// One life.
    pub fn new(mut config: Config) -> Self {
        let routes = Arc::clone(&config.routes.borrow_and_update());
        Self { config, routes }
    }

    fn refresh_routes(&mut self) {
        if self.config.routes.has_changed().unwrap_or(false) {
            self.routes = Arc::clone(&self.config.routes.borrow_and_update());
        }
    }
}

impl Actor for Dispatcher {
    type Context = Context<Self>;
}

impl Supervised for Dispatcher {}

impl Handler<Route> for Dispatcher {
    type Result = ();

    fn handle(&mut self, Route(telegram): Route, _: &mut Self::Context) {
        self.refresh_routes();
        let raw = telegram.raw().clone();
        let _hand = self.config.rejects.hold(ACTOR, &raw);
        faults::hit(ACTOR, "");
        let address = telegram.address();
        let Some(handler) = self.routes.get(&MeterId::of(address)) else {
            self.config.counters.increment(Count::UnknownMeter);
            self.config.unknown.remember(&telegram);
            return;
        };
        let dropped = match handler.try_send(Decode(telegram)) {
            Ok(()) => return,
            Err(SendError::Full(_)) => Count::HandlerMailboxFull,
            Err(SendError::Closed(_)) => Count::HandlerGone,
        };
        self.config.counters.increment(dropped);
        debug!(self.config.log, "telegram dropped"; "meter" => %address, "reason" => dropped.name());
    }
}

/// The name in rejects.
const ACTOR: &str = "dispatcher";
