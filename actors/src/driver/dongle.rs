//! What to say to the dongle and when: configuration, regular checks and the recovery ladder. Pure: events and the time go in,
//! actions and the time of the next look come out; the port is elsewhere.
//!
//! After opening: device info (is it an iM871A?), reset, about two seconds, link mode, and the configuration read back. Then at
//! an interval a ping and the configuration read back, so that a dongle which stopped answering or lost its link mode (because it
//! rebooted by itself, say) is noticed although nothing else says so. What does not go well is climbed, one rung at a time, until
//! it goes well again:
//!
//! | rung | what is done |
//! |---|---|
//! | ping | it is asked whether it is there |
//! | set link mode | the link mode is set again and read back |
//! | reset | the module is reset and configured again |
//! | reopen | the port is closed and opened, the module reset and configured again; the same again with pauses of up to 30 s |
//!
//! A dongle that answers but hears nothing for much longer than the meters' own rhythm (see [`super::rhythm`]) climbs the same
//! ladder, with time on each rung for a telegram to come. At its top it is left alone for twice as long as before.

mod plan;
mod wanted;
mod words;

use std::collections::VecDeque;
use std::time::Instant;

use wmbus::im871a::{Answer, Config, DeviceInfo, LinkMode, Request};

use self::plan::{Plan, Step, Work};
use super::rhythm::Rhythm;

pub use self::wanted::{Timing, Wanted, WantedError};
pub use self::words::{Action, Cause, Condition, Note, Rung};

/// The dongle as seen from the gateway, over all its openings and closings.
#[derive(Debug)]
pub struct Dongle {
    timing: Timing,
    wanted: Wanted,
    rhythm: Rhythm,
    phase: Phase,
    trouble: Option<Trouble>,
    info: Option<DeviceInfo>,
    /// When the last telegram came, if the receiver listened without a break since.
    last_telegram: Option<Instant>,
    /// Since when nothing is heard although it listens.
    quiet_since: Instant,
    /// The ladder did not end this silence.
    silent: bool,
    /// Bytes of garbage since the last valid message.
    garbage: usize,
    /// Attempts to reopen without success in between.
    attempts: u32,
    actions: VecDeque<Action>,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Closed,
    Working(Work),
    Listening {
        next_check: Instant,
    },
    /// It is no iM871A, or does not answer whatever is done: the port stays open, for telegrams may come all the same.
    Pausing {
        until: Instant,
        refused: bool,
    },
}

#[derive(Debug, Clone, Copy)]
struct Trouble {
    cause: Cause,
    rung: Rung,
    since: Instant,
    /// Until when a telegram would show that the rung helped.
    proof_until: Option<Instant>,
}

impl Dongle {
    /// No port is open.
    pub fn new(wanted: Wanted, timing: Timing, now: Instant) -> Self {
        Self {
            timing,
            wanted,
            rhythm: Rhythm::new(timing.patience),
            phase: Phase::Closed,
            trouble: None,
            info: None,
            last_telegram: None,
            quiet_since: now,
            silent: false,
            garbage: 0,
            attempts: 0,
            actions: VecDeque::new(),
        }
    }

    /// The port is open.
    pub fn opened(&mut self, now: Instant) {
        self.garbage = 0;
        let plan = match self.trouble {
            // What did not answer before may not say what it is either, and a reset may be all it needs.
            Some(Trouble {
                rung: Rung::Reopen, ..
            }) => Plan::Reset,
            _ => Plan::Open,
        };
        self.begin(plan, now);
    }

    /// The port is closed; `unplugged` unless that was [`Action::Reopen`].
    pub fn closed(&mut self, unplugged: bool) {
        self.phase = Phase::Closed;
        self.info = None;
        self.actions.clear();
        if unplugged {
            self.trouble = None;
            self.last_telegram = None;
            self.silent = false;
            self.attempts = 0;
        }
    }

    /// A telegram came.
    pub fn heard(&mut self, now: Instant) {
        self.garbage = 0;
        self.silent = false;
        let gap = self
            .last_telegram
            .replace(now)
            .map(|last| now.saturating_duration_since(last));
        self.quiet_since = now;
        match self.trouble {
            // It answers as it should, and what was done last made it hear again: this gap was the dongle's, not the meters'.
            Some(Trouble {
                cause: Cause::NoTelegrams,
                ..
            }) => self.recovered(now),
            Some(_) => {}
            None => {
                if let Some(gap) = gap {
                    self.rhythm.natural_gap(gap);
                }
            }
        }
    }

    /// Bytes came that belong to no message.
    pub fn garbage(&mut self, bytes: usize, now: Instant) {
        self.garbage = self.garbage.saturating_add(bytes);
        if let Phase::Listening { next_check } = &mut self.phase
            && self.garbage > SUSPICIOUS_GARBAGE
            // At most ten times in the usual interval.
            && *next_check <= now + self.timing.check * 9 / 10
        {
            *next_check = now;
        }
    }

    /// An answer came.
    pub fn answered(&mut self, answer: &Answer, now: Instant) {
        self.garbage = 0;
        let Phase::Working(work) = self.phase else {
            return;
        };
        match (work.current(), answer) {
            (Some(Step::Ping), Answer::Ping) | (Some(Step::Reset), Answer::Reset) => {
                self.next_step(work, now)
            }
            (Some(Step::Identify), Answer::DeviceInfo(info)) => self.identified(*info, work, now),
            // What it really took is asked next: firmware versions differ in what this answer says.
            (Some(Step::SetConfig), Answer::SetConfig { .. }) => self.next_step(work, now),
            (Some(Step::Verify), Answer::Config(config)) => {
                if agrees(config, &self.configuration()) {
                    self.next_step(work, now);
                } else if let Some(work) = work.once_more() {
                    self.enter(work, now);
                } else {
                    self.climb(Cause::Misconfigured, now);
                }
            }
            // An answer to an earlier try, or unasked.
            _ => {}
        }
    }

    /// Somebody wants it reset. Where it is in trouble already, the ladder is at that.
    pub fn reset(&mut self, now: Instant) {
        if let (Phase::Listening { .. }, None) = (self.phase, self.trouble) {
            let (cause, rung) = (Cause::Asked, Rung::Reset);
            self.trouble = Some(Trouble {
                cause,
                rung,
                since: now,
                proof_until: None,
            });
            self.tell(Note::Step { rung, cause });
            self.begin(Plan::Reset, now);
        }
    }

    /// The time that [`Dongle::deadline`] asked for has come.
    pub fn tick(&mut self, now: Instant) {
        match self.phase {
            Phase::Closed => {}
            Phase::Pausing { until, .. } if now >= until => self.reopen(),
            Phase::Pausing { .. } => {}
            Phase::Working(work) if now >= work.until => self.timed_out(work, now),
            Phase::Working(_) => {}
            Phase::Listening { next_check } => {
                if now >= self.silence_ends() {
                    self.climb(Cause::NoTelegrams, now);
                } else if now >= next_check {
                    self.begin(Plan::Check, now);
                }
            }
        }
    }

    /// When [`Dongle::tick`] wants to be called next.
    pub fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Closed => None,
            Phase::Pausing { until, .. } => Some(until),
            Phase::Working(work) => Some(work.until),
            Phase::Listening { next_check } => Some(next_check.min(self.silence_ends())),
        }
    }

    /// The next thing to do.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// What it is doing.
    pub fn condition(&self) -> Condition {
        match (self.phase, self.trouble) {
            (Phase::Closed, None) => Condition::Closed,
            (Phase::Pausing { refused: true, .. }, _) => Condition::Refused,
            (_, Some(Trouble { cause, rung, .. })) => Condition::Recovering { cause, rung },
            (
                Phase::Working(Work {
                    plan: Plan::Open, ..
                }),
                None,
            ) => Condition::Configuring,
            _ if self.silent => Condition::Silent,
            _ => Condition::Listening,
        }
    }

    /// What it said it is, since the port was opened.
    pub fn info(&self) -> Option<DeviceInfo> {
        self.info
    }

    /// The link mode that it is told to hear.
    pub fn link_mode(&self) -> LinkMode {
        match self.wanted {
            Wanted::Mode(mode) => mode,
            Wanted::C1AndT1 if self.hears_both() => LinkMode::C2b,
            Wanted::C1AndT1 => LinkMode::C1a,
        }
    }

    /// What it is told. It must not sleep, and the strength of each telegram is wanted.
    fn configuration(&self) -> Config {
        Config {
            link_mode: Some(self.link_mode()),
            auto_power_saving: Some(false),
            attach_rssi: Some(true),
            attach_time_stamp: Some(true),
            ..Config::default()
        }
    }

    fn hears_both(&self) -> bool {
        self.info
            .is_some_and(|info| info.firmware >= LinkMode::C1_T1_FIRMWARE)
    }

    fn identified(&mut self, info: DeviceInfo, work: Work, now: Instant) {
        if info.module_type != DeviceInfo::IM871A {
            self.tell(Note::WrongModule(info));
            self.trouble = None;
            self.phase = Phase::Pausing {
                until: now + self.timing.longest_pause * PAUSES_FOR_A_STRANGER,
                refused: true,
            };
            return;
        }
        if self.info.replace(info) != Some(info) {
            self.tell(Note::Identified(info));
            if self.wanted == Wanted::C1AndT1 && !self.hears_both() {
                self.tell(Note::LinkModeUnavailable {
                    instead: self.link_mode(),
                });
            }
        }
        self.next_step(work, now);
    }

    fn begin(&mut self, plan: Plan, now: Instant) {
        self.enter(
            Work {
                plan,
                step: 0,
                tries_left: plan.tries(),
                repeats_left: MOST_REPEATS,
                until: now,
            },
            now,
        );
    }

    fn next_step(&mut self, work: Work, now: Instant) {
        self.enter(
            Work {
                step: work.step + 1,
                tries_left: work.plan.tries(),
                ..work
            },
            now,
        );
    }

    /// Does the current step of the work, once.
    fn enter(&mut self, work: Work, now: Instant) {
        let Some(step) = work.current() else {
            return self.completed(work.plan, now);
        };
        let request = match step {
            Step::Ping => Some(Request::Ping),
            Step::Identify => Some(Request::DeviceInfo),
            Step::Reset => Some(Request::Reset),
            Step::Settle => None,
            Step::SetConfig => Some(Request::SetConfig {
                persistent: false,
                config: self.configuration(),
            }),
            Step::Verify => Some(Request::GetConfig),
        };
        let pause = if request.is_some() {
            self.timing.answer
        } else {
            self.timing.settle
        };
        self.actions.extend(request.map(Action::Send));
        self.phase = Phase::Working(Work {
            tries_left: work.tries_left.saturating_sub(1),
            until: now + pause,
            ..work
        });
    }

    fn timed_out(&mut self, work: Work, now: Instant) {
        match work.current() {
            // A module too confused to answer may restart all the same.
            Some(Step::Settle | Step::Reset) => self.next_step(work, now),
            _ if work.tries_left > 0 => self.enter(work, now),
            _ if self.garbage > SUSPICIOUS_GARBAGE => self.climb(Cause::Babbling, now),
            _ => self.climb(Cause::NoAnswer, now),
        }
    }

    /// A plan came to its end: the dongle answers and is configured.
    fn completed(&mut self, plan: Plan, now: Instant) {
        let was_open = plan == Plan::Open;
        if was_open {
            self.quiet_since = now;
        }
        if plan != Plan::Check && plan != Plan::Ping {
            self.tell(Note::Listening(self.link_mode()));
        }
        self.attempts = 0;
        self.phase = Phase::Listening {
            next_check: now + self.timing.check,
        };
        match &mut self.trouble {
            Some(Trouble {
                cause: Cause::NoTelegrams,
                rung: Rung::Ping,
                ..
            }) => self.climb(Cause::NoTelegrams, now),
            Some(trouble) if trouble.cause == Cause::NoTelegrams => {
                // A regular check in the middle of the wait proves nothing and changes nothing.
                trouble.proof_until.get_or_insert(now + self.rhythm.proof());
            }
            Some(_) => self.recovered(now),
            None => {}
        }
    }

    /// Until when the silence is not suspicious, or the last rung may still prove itself.
    fn silence_ends(&self) -> Instant {
        match self.trouble {
            Some(Trouble {
                proof_until: Some(until),
                ..
            }) => until,
            _ => self.quiet_since + self.rhythm.patience(),
        }
    }

    /// Takes the next rung.
    fn climb(&mut self, cause: Cause, now: Instant) {
        let rung = match self.trouble {
            None => match (cause, self.phase) {
                // What does not answer right after opening is reset at once; it was asked three times.
                (
                    _,
                    Phase::Working(Work {
                        plan: Plan::Open, ..
                    }),
                ) => Rung::Reset,
                (Cause::Misconfigured, _) => Rung::SetLinkMode,
                _ => Rung::Ping,
            },
            Some(Trouble {
                rung: Rung::Ping, ..
            }) => Rung::SetLinkMode,
            Some(Trouble {
                rung: Rung::SetLinkMode,
                ..
            }) => Rung::Reset,
            Some(Trouble {
                rung: Rung::Reset, ..
            }) => Rung::Reopen,
            Some(Trouble {
                rung: Rung::Reopen, ..
            }) if cause == Cause::NoTelegrams => return self.climbed_in_vain(now),
            Some(Trouble {
                rung: Rung::Reopen, ..
            }) => return self.pause(cause, now),
        };
        if cause != Cause::NoTelegrams {
            self.last_telegram = None;
        }
        let since = self.trouble.map_or(now, |trouble| trouble.since);
        self.trouble = Some(Trouble {
            cause,
            rung,
            since,
            proof_until: None,
        });
        self.tell(Note::Step { rung, cause });
        match rung {
            Rung::Ping => self.begin(Plan::Ping, now),
            Rung::SetLinkMode => self.begin(Plan::SetLinkMode, now),
            Rung::Reset => self.begin(Plan::Reset, now),
            Rung::Reopen => self.reopen(),
        }
    }

    /// It was reopened and still does not do what it is told: again, after a pause in which telegrams may come.
    fn pause(&mut self, cause: Cause, now: Instant) {
        if let Some(trouble) = &mut self.trouble {
            trouble.cause = cause;
        }
        let pause = self
            .timing
            .first_pause
            .saturating_mul(1 << self.attempts.min(16))
            .min(self.timing.longest_pause);
        self.attempts = self.attempts.saturating_add(1);
        self.phase = Phase::Pausing {
            until: now + pause,
            refused: false,
        };
    }

    fn climbed_in_vain(&mut self, now: Instant) {
        self.rhythm.climbed_in_vain();
        self.trouble = None;
        self.silent = true;
        self.quiet_since = now;
        self.tell(Note::SilenceGoesOn {
            patience: self.rhythm.patience(),
        });
    }

    fn recovered(&mut self, now: Instant) {
        if let Some(Trouble {
            cause, rung, since, ..
        }) = self.trouble.take()
        {
            if cause != Cause::NoTelegrams {
                self.quiet_since = now;
            }
            self.tell(Note::Recovered {
                cause,
                rung,
                lasted: now.saturating_duration_since(since),
            });
        }
    }

    fn reopen(&mut self) {
        self.phase = Phase::Closed;
        self.actions.push_back(Action::Reopen);
    }

    fn tell(&mut self, note: Note) {
        self.actions.push_back(Action::Tell(note));
    }
}

/// Whether a configuration read back is the wanted one, as far as the firmware tells it.
fn agrees(told: &Config, wanted: &Config) -> bool {
    let seen = wanted.with(told);
    seen.with(wanted) == seen
}

/// So often a module that did not keep its configuration is given more time and told again.
const MOST_REPEATS: u32 = 2;
/// A port with something else is asked again after so many of the longest pauses; replugging is noticed at once.
const PAUSES_FOR_A_STRANGER: u32 = 20;
/// So many bytes of garbage since the last valid message are reason to ask the dongle whether it is well.
const SUSPICIOUS_GARBAGE: usize = 512;

#[cfg(test)]
mod tests;
