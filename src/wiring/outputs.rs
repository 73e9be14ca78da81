//! The outputs that the settings switch on.

use std::sync::Arc;

use omnigate_actors::counters::Counters;
use omnigate_actors::output::catalogue::Catalogue;
use omnigate_actors::output::recalc::ReCalc;
use omnigate_actors::output::state::{self, State};
use omnigate_actors::output::{Output, Outputs};
use omnigate_actors::store::meter_table::MeterTable;
use slog::Logger;

use crate::settings::Settings;

/// Makes them.
pub fn outputs(
    settings: &Settings,
    meters: &Arc<MeterTable>,
    catalogue: &Arc<Catalogue>,
    counters: &Arc<Counters>,
    log: Logger,
) -> Outputs {
    let mut outputs: Vec<Box<dyn Output>> = Vec::new();
    if settings.recalc.enabled {
        let topics = settings.gateway.id.topics().clone();
        outputs.push(Box::new(ReCalc::new(topics)));
    }
    if settings.state.enabled {
        outputs.push(Box::new(State::new(state::Config {
            base: settings.state.base_topic.clone(),
            retain: settings.state.retain,
            meters: Arc::clone(meters),
            catalogue: Arc::clone(catalogue),
            counters: Arc::clone(counters),
            log,
        })));
    }
    Outputs::new(outputs, Arc::clone(counters))
}
