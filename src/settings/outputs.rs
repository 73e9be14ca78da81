//! The sections that switch on the forms in which readings are published. At least one must be on.

use omnigate_actors::output::base_topic::BaseTopic;
use serde::Deserialize;

use super::document::{Keys, Mistake};
use super::values::from_text;

/// `[recalc]`: the cloud's interface.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReCalc {
    /// Whether readings are published as the ReCalc API, version 2, has them. Default: `true`. Set messages are heard in either case.
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// `[state]`: one JSON object per meter.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Whether readings are published as one JSON object for each telegram. Default: `false`.
    #[serde(default)]
    pub enabled: bool,
    /// What its topics begin with: 1 to 64 letters, digits, `-`, `_`, `.`, and `/` between levels. No two gateways at one broker may share
    /// it. Default: `omnigate`.
    #[serde(default, deserialize_with = "from_text")]
    pub base_topic: BaseTopic,
    /// Whether the broker keeps the last state of each meter. Default: `true`.
    #[serde(default = "yes")]
    pub retain: bool,
}

/// `[home_assistant]`: the description of the meters for Home Assistant.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HomeAssistant {
    /// Whether the meters are described; needs the state output, which clears what was described where this is switched off. Default:
    /// `false`.
    #[serde(default)]
    pub enabled: bool,
    /// What the topics begin with where Home Assistant looks, written as `base_topic` is. Default: `homeassistant`.
    #[serde(default = "BaseTopic::homeassistant", deserialize_with = "from_text")]
    pub prefix: BaseTopic,
}

impl HomeAssistant {
    pub(super) fn contradictions(&self, state: &State, keys: &Keys, mistakes: &mut Vec<Mistake>) {
        if self.enabled && !state.enabled {
            mistakes.push(keys.mistake(
                "enabled",
                "Home Assistant would find no values: state must be enabled too",
            ));
        }
    }
}

impl ReCalc {
    pub(super) fn contradictions(&self, state: &State, keys: &Keys, mistakes: &mut Vec<Mistake>) {
        if !self.enabled && !state.enabled {
            mistakes.push(keys.mistake(
                "enabled",
                "nothing would be published: recalc or state must be enabled",
            ));
        }
    }
}

const fn yes() -> bool {
    true
}
