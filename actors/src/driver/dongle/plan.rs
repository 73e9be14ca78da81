//! What is done step by step: after opening, at the regular checks, on the rungs of the ladder.

use std::time::Instant;

/// What is worked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    Open,
    Check,
    Ping,
    SetLinkMode,
    Reset,
}

/// One request and its answer, or the time that the module needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Ping,
    Identify,
    Reset,
    Settle,
    SetConfig,
    Verify,
}

impl Plan {
    pub const fn steps(self) -> &'static [Step] {
        match self {
            Self::Open => &[
                Step::Identify,
                Step::Reset,
                Step::Settle,
                Step::SetConfig,
                Step::Verify,
            ],
            Self::Check | Self::Ping => &[Step::Ping, Step::Verify],
            Self::SetLinkMode => &[Step::SetConfig, Step::Verify],
            Self::Reset => &[
                Step::Reset,
                Step::Settle,
                Step::Identify,
                Step::SetConfig,
                Step::Verify,
            ],
        }
    }

    /// How often a command is sent before the plan has failed.
    pub const fn tries(self) -> u32 {
        match self {
            Self::Open | Self::Reset => 3,
            Self::Ping => 2,
            Self::Check | Self::SetLinkMode => 1,
        }
    }
}

/// How far a plan is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    pub plan: Plan,
    pub step: usize,
    pub tries_left: u32,
    pub repeats_left: u32,
    pub until: Instant,
}

impl Work {
    pub fn current(&self) -> Option<Step> {
        self.plan.steps().get(self.step).copied()
    }

    /// Back to where the module is given time after a reset, unless that was too often, or it was not reset.
    pub fn once_more(self) -> Option<Self> {
        let step = self
            .plan
            .steps()
            .iter()
            .position(|&step| step == Step::Settle)?;
        let repeats_left = self.repeats_left.checked_sub(1)?;
        Some(Self {
            step,
            tries_left: self.plan.tries(),
            repeats_left,
            ..self
        })
    }
}
