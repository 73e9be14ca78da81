//! The way out of the Driver: telegrams to the Parser, what happens to the log, the counters and the status.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use slog::{Logger, debug, info, warn};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wmbus::im871a::Rssi;

use super::dongle::{Cause, Note, Rung};
use super::status::{DriverState, Recovery, StatusSender};
use crate::clock;
use crate::counters::{Count, Counters};
use crate::faults;
use crate::parser::Parse;
use crate::raw_telegram::RawTelegram;

/// What every source needs to hand on what it has.
#[derive(Clone)]
pub(super) struct Outlet {
    pub parser: Recipient<Parse>,
    pub counters: Arc<Counters>,
    pub status: StatusSender,
    pub permits: Arc<Semaphore>,
    pub log: Logger,
}

impl Outlet {
    /// Hands on a telegram from the radio, which cannot wait.
    pub fn radio(&self, telegram: Vec<u8>, rssi: Option<Rssi>) {
        faults::hit("driver", "");
        let received_at = clock::of_reception();
        self.counters.increment(Count::TelegramsReceived);
        self.status.telegram(received_at);
        match self
            .parser
            .try_send(Parse(RawTelegram::radio(telegram, received_at, rssi)))
        {
            Ok(()) => {}
            Err(SendError::Full(_)) => {
                self.counters.increment(Count::DriverMailboxFull);
                debug!(self.log, "telegram dropped"; "reason" => "parser busy");
            }
            // Nobody is there any more: the program is ending.
            Err(SendError::Closed(_)) => {}
        }
    }

    /// Waits until the system can take one more telegram that must not be lost. Nothing once the system is ending.
    pub async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).acquire_owned().await.ok()
    }

    /// Hands on a telegram that must not be lost.
    pub async fn lossless(&self, telegram: Vec<u8>, permit: OwnedSemaphorePermit) {
        faults::hit("driver", "");
        let received_at = clock::of_reception();
        self.counters.increment(Count::TelegramsReceived);
        self.status.telegram(received_at);
        let mut message = Parse(RawTelegram::lossless(telegram, received_at, permit));
        // The permits are fewer than the mailbox holds, so it is full only while somebody else fills it.
        while let Err(SendError::Full(refused)) = self.parser.try_send(message) {
            message = refused;
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    }

    /// Enters a state.
    pub fn enter(&self, state: DriverState) {
        self.status.enter(state, clock::of_reception());
    }

    /// The source is not usable now, which is said once per reason.
    pub fn waiting(&self, reason: String) {
        let state = DriverState::Waiting { reason };
        if !self.status.is(&state) {
            if let DriverState::Waiting { reason } = &state {
                warn!(self.log, "waiting for the source"; "reason" => reason);
            }
            self.enter(state);
        }
    }

    /// Passes on what the dongle's state machine says.
    pub fn tell(&self, note: Note) {
        match note {
            Note::Identified(info) => {
                info!(self.log, "dongle found";
                    "serial_number" => format!("{:08x}", info.serial_number), "firmware" => format!("{:02x}", info.firmware));
                self.status
                    .update(|status| status.dongle = Some(info.into()));
            }
            Note::WrongModule(info) => {
                warn!(self.log, "this is no iM871A, left alone"; "reason" => format!("module type {:02x}", info.module_type));
                self.status
                    .update(|status| status.dongle = Some(info.into()));
            }
            Note::LinkModeUnavailable { instead } => {
                warn!(self.log, "the dongle's firmware cannot hear C1 and T1 together"; "instead" => %instead);
            }
            Note::Listening(mode) => {
                let mode = mode.to_string();
                info!(self.log, "listening"; "link_mode" => &mode);
                self.status.update(|status| status.link_mode = Some(mode));
            }
            Note::Step { rung, cause } => {
                self.counters.increment(Count::RecoverySteps);
                self.status.update(|status| status.steps.count(rung));
                warn!(self.log, "recovery: {}", doing(rung); "reason" => because(cause));
            }
            Note::Recovered {
                cause,
                rung,
                lasted,
            } => {
                self.status.update(|status| {
                    status.last_recovery = Some(Recovery {
                        at: clock::of_reception(),
                        cause,
                        rung,
                        seconds: lasted.as_secs_f64(),
                    });
                });
                info!(self.log, "recovered: {} helped", doing(rung); "reason" => because(cause), "seconds" => lasted.as_secs_f64());
            }
            Note::SilenceGoesOn { patience } => {
                warn!(self.log, "the dongle answers, and nothing helps"; "reason" => because(Cause::NoTelegrams), "next_attempt_in_seconds" => patience.as_secs());
            }
        }
    }
}

/// A rung in words.
fn doing(rung: Rung) -> &'static str {
    match rung {
        Rung::Ping => "asking the dongle",
        Rung::SetLinkMode => "setting the link mode again",
        Rung::Reset => "resetting the module",
        Rung::Reopen => "opening the port again",
    }
}

/// A cause in words.
fn because(cause: Cause) -> &'static str {
    match cause {
        Cause::NoAnswer => "the dongle does not answer",
        Cause::Babbling => "the dongle sends garbage and does not answer",
        Cause::Misconfigured => "the dongle does not have its configuration",
        Cause::NoTelegrams => "no telegram for much longer than usual",
        Cause::Asked => "somebody asked for it",
    }
}

/// How long a telegram waits before the next attempt.
const RETRY_INTERVAL: Duration = Duration::from_millis(1);
