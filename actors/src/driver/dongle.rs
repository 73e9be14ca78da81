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
//! | reopen | the port is closed, opened and everything is done from the beginning; again with pauses of up to 30 s |
//!
//! A dongle that answers but hears nothing for much longer than the meters' own rhythm (see [`super::rhythm`]) climbs the same
//! ladder, with time on each rung for a telegram to come. At its top it is left alone for twice as long as before.

use std::collections::VecDeque;
use std::str::FromStr;
use std::time::{Duration, Instant};

use serde::Serialize;
use wmbus::im871a::{Answer, Config, DeviceInfo, LinkMode, Request};

use super::rhythm::{Patience, Rhythm};

/// How long things take and how often they are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long a command may stay unanswered. Default: 1 s.
    pub answer: Duration,
    /// How long the module needs after a reset before it takes a link mode. Default: 2 s.
    pub settle: Duration,
    /// Time between two checks. Default: 30 s.
    pub check: Duration,
    /// First pause between two attempts to reopen; it doubles up to [`Timing::longest_pause`]. Default: 1 s.
    pub first_pause: Duration,
    /// Longest pause between two attempts to reopen, or to open a port that refuses. Default: 30 s.
    pub longest_pause: Duration,
    /// What silences are suspicious.
    pub patience: Patience,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(1),
            settle: Duration::from_secs(2),
            check: Duration::from_secs(30),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(30),
            patience: Patience::default(),
        }
    }
}

/// A rung of the ladder, lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rung {
    /// Ask whether it is there.
    Ping,
    /// Set the link mode again.
    SetLinkMode,
    /// Reset the module.
    Reset,
    /// Close the port and open it again.
    Reopen,
}

/// Why the ladder is climbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A command stayed unanswered.
    NoAnswer,
    /// A command stayed unanswered and what comes instead is garbage.
    Babbling,
    /// It has, or takes, another configuration than the one it is given.
    Misconfigured,
    /// It answers but no telegram came for much longer than the meters' own rhythm.
    NoTelegrams,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Send this to the dongle.
    Send(Request),
    /// Close the port and open it again.
    Reopen,
    /// Tell the operator.
    Tell(Note),
}

/// What the operator is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// It is an iM871A.
    Identified(DeviceInfo),
    /// What is there is something else; it is left alone.
    WrongModule(DeviceInfo),
    /// The firmware does not know the link mode that was asked for.
    LinkModeUnavailable {
        /// What is set instead.
        instead: LinkMode,
    },
    /// It is configured, checked, and hears telegrams of this mode.
    Listening(LinkMode),
    /// A rung of the ladder.
    Step {
        /// What is done.
        rung: Rung,
        /// Why.
        cause: Cause,
    },
    /// All is well again.
    Recovered {
        /// What was wrong.
        cause: Cause,
        /// The last rung.
        rung: Rung,
        /// From the first rung to now.
        lasted: Duration,
    },
    /// The whole ladder was climbed, the dongle answers, and still no telegram comes.
    SilenceGoesOn {
        /// How long from now until the next climb.
        patience: Duration,
    },
}

/// Which telegrams the gateway wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Those of one link mode.
    Mode(LinkMode),
    /// Those of C1 and T1 together, which firmware 0x14 and later can hear; older firmware hears C1 only.
    C1AndT1,
}

impl FromStr for Wanted {
    type Err = WantedError;

    /// Reads the setting: a link mode's name, or `c1t1`.
    fn from_str(setting: &str) -> Result<Self, WantedError> {
        if setting.eq_ignore_ascii_case(C1_AND_T1) {
            return Ok(Self::C1AndT1);
        }
        setting.parse().map(Self::Mode).map_err(|_| WantedError)
    }
}

/// The setting names no link mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not one of {C1_AND_T1}, {}", LinkMode::ALL.map(|(_, name)| name).join(", "))]
pub struct WantedError;

/// What it is doing, for the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// No port is open.
    Closed,
    /// It is being configured.
    Configuring,
    /// It listens.
    Listening,
    /// It listens, and answers, but nothing is heard for suspiciously long; the ladder did not help.
    Silent,
    /// The ladder is being climbed.
    Recovering { cause: Cause, rung: Rung },
    /// It is no iM871A.
    Refused,
}

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
struct Work {
    plan: Plan,
    step: usize,
    tries_left: u32,
    until: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Trouble {
    cause: Cause,
    rung: Rung,
    since: Instant,
    /// Until when a telegram would show that the rung helped.
    proof_until: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    Open,
    Check,
    Ping,
    SetLinkMode,
    Reset,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Ping,
    Identify,
    Reset,
    Settle,
    SetConfig,
    Verify,
}

impl Plan {
    const fn steps(self) -> &'static [Step] {
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
    const fn tries(self) -> u32 {
        match self {
            Self::Open | Self::Reset => 3,
            Self::Ping => 2,
            Self::Check | Self::SetLinkMode => 1,
        }
    }
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
        self.begin(Plan::Open, now);
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
                if config.with(&self.configuration()) == *config {
                    self.next_step(work, now);
                } else {
                    self.climb(Cause::Misconfigured, now);
                }
            }
            // An answer to an earlier try, or unasked.
            _ => {}
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

impl Work {
    fn current(&self) -> Option<Step> {
        self.plan.steps().get(self.step).copied()
    }
}

/// A port with something else is asked again after so many of the longest pauses; replugging is noticed at once.
const PAUSES_FOR_A_STRANGER: u32 = 20;
/// The setting for C1 and T1 together.
const C1_AND_T1: &str = "c1t1";
/// So many bytes of garbage since the last valid message are reason to ask the dongle whether it is well.
const SUSPICIOUS_GARBAGE: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    /// A dongle model that answers, as far as the test wants it to, and a clock.
    struct Bench {
        dongle: Dongle,
        now: Instant,
        answers: bool,
        config: Config,
        firmware: u8,
        notes: Vec<Note>,
        sent: Vec<Request>,
        reopened: u32,
    }

    impl Bench {
        fn new(wanted: Wanted) -> Self {
            let now = Instant::now();
            Self {
                dongle: Dongle::new(wanted, Timing::default(), now),
                now,
                answers: true,
                config: Config::default(),
                firmware: 0x14,
                notes: Vec::new(),
                sent: Vec::new(),
                reopened: 0,
            }
        }

        fn open(wanted: Wanted) -> Self {
            let mut bench = Self::new(wanted);
            bench.dongle.opened(bench.now);
            bench.pass(5);
            assert_eq!(bench.dongle.condition(), Condition::Listening);
            bench.forget();
            bench
        }

        fn forget(&mut self) {
            self.notes.clear();
            self.sent.clear();
            self.reopened = 0;
        }

        /// Lets seconds pass, in which the dongle does what it can.
        fn pass(&mut self, seconds: u64) {
            let end = self.now + Duration::from_secs(seconds);
            loop {
                self.act();
                match self.dongle.deadline() {
                    Some(deadline) if deadline <= end => {
                        self.now = self.now.max(deadline);
                        self.dongle.tick(self.now);
                    }
                    _ => break,
                }
            }
            self.now = end;
        }

        fn act(&mut self) {
            while let Some(action) = self.dongle.next_action() {
                match action {
                    Action::Send(request) => {
                        self.sent.push(request);
                        if self.answers {
                            let answer = self.answer(request);
                            self.dongle.answered(&answer, self.now);
                        }
                    }
                    Action::Reopen => {
                        self.reopened += 1;
                        self.dongle.closed(false);
                        self.dongle.opened(self.now);
                    }
                    Action::Tell(note) => self.notes.push(note),
                }
            }
        }

        fn answer(&mut self, request: Request) -> Answer {
            match request {
                Request::Ping => Answer::Ping,
                Request::Reset => Answer::Reset,
                Request::GetConfig => Answer::Config(self.config),
                Request::SetConfig { config, .. } => {
                    self.config = self.config.with(&config);
                    Answer::SetConfig { status: None }
                }
                Request::DeviceInfo => Answer::DeviceInfo(DeviceInfo {
                    module_type: 0x33,
                    device_mode: 0,
                    firmware: self.firmware,
                    hci_version: 0x16,
                    serial_number: 7,
                }),
                other => panic!("{other:?}"),
            }
        }

        fn hear_every(&mut self, seconds: u64, times: u64) {
            for _ in 0..times {
                self.pass(seconds);
                self.dongle.heard(self.now);
            }
            self.act();
        }

        fn steps(&self) -> Vec<Rung> {
            let rung = |note: &Note| {
                if let Note::Step { rung, .. } = note {
                    Some(*rung)
                } else {
                    None
                }
            };
            self.notes.iter().filter_map(rung).collect()
        }

        fn recoveries(&self) -> Vec<(Cause, Rung)> {
            let recovery = |note: &Note| {
                if let Note::Recovered { cause, rung, .. } = note {
                    Some((*cause, *rung))
                } else {
                    None
                }
            };
            self.notes.iter().filter_map(recovery).collect()
        }
    }

    const C1A: Wanted = Wanted::Mode(LinkMode::C1a);

    #[test]
    fn after_opening_it_is_identified_reset_given_time_configured_and_checked() {
        let mut bench = Bench::new(C1A);
        bench.dongle.opened(bench.now);
        bench.pass(1);
        assert_eq!(bench.sent, [Request::DeviceInfo, Request::Reset]);
        bench.pass(2);
        let config = Config {
            link_mode: Some(LinkMode::C1a),
            auto_power_saving: Some(false),
            attach_rssi: Some(true),
            attach_time_stamp: Some(true),
            ..Config::default()
        };
        assert_eq!(
            bench.sent[2..],
            [
                Request::SetConfig {
                    persistent: false,
                    config
                },
                Request::GetConfig
            ]
        );
        assert_eq!(bench.dongle.condition(), Condition::Listening);
        assert!(
            matches!(
                bench.notes[..],
                [Note::Identified(_), Note::Listening(LinkMode::C1a)]
            ),
            "{:?}",
            bench.notes
        );
    }

    #[test]
    fn c1_and_t1_together_needs_firmware_that_can() {
        let mut bench = Bench::open(Wanted::C1AndT1);
        assert_eq!(bench.config.link_mode, Some(LinkMode::C2b));
        bench = Bench::new(Wanted::C1AndT1);
        bench.firmware = 0x13;
        bench.dongle.opened(bench.now);
        bench.pass(5);
        assert_eq!(bench.config.link_mode, Some(LinkMode::C1a));
        assert!(bench.notes.contains(&Note::LinkModeUnavailable {
            instead: LinkMode::C1a
        }));
    }

    #[test]
    fn another_module_is_left_alone() {
        let mut bench = Bench::new(C1A);
        bench.answers = false;
        bench.dongle.opened(bench.now);
        bench.act();
        let info = DeviceInfo {
            module_type: 0x36,
            device_mode: 0,
            firmware: 1,
            hci_version: 1,
            serial_number: 1,
        };
        bench.dongle.answered(&Answer::DeviceInfo(info), bench.now);
        bench.pass(590);
        assert_eq!(bench.sent, [Request::DeviceInfo]);
        assert_eq!(bench.notes, [Note::WrongModule(info)]);
        assert_eq!(bench.dongle.condition(), Condition::Refused);
        bench.pass(12);
        assert_eq!(bench.reopened, 1, "but asked again some time");
    }

    #[test]
    fn a_healthy_dongle_is_checked_and_otherwise_left_in_peace() {
        let mut bench = Bench::open(C1A);
        bench.hear_every(16, 225);
        assert_eq!(bench.notes, []);
        assert_eq!(bench.sent.len(), 2 * 3600 / 30);
        assert!(
            bench
                .sent
                .iter()
                .all(|request| matches!(request, Request::Ping | Request::GetConfig))
        );
    }

    #[test]
    fn a_deaf_dongle_climbs_to_the_top_and_pauses_there_longer_and_longer() {
        let mut bench = Bench::open(C1A);
        bench.answers = false;
        bench.pass(33);
        assert_eq!(bench.steps(), [Rung::Ping, Rung::SetLinkMode, Rung::Reset]);
        bench.pass(3600);
        assert_eq!(
            bench.steps(),
            [Rung::Ping, Rung::SetLinkMode, Rung::Reset, Rung::Reopen]
        );
        assert!(
            (90..120).contains(&bench.reopened),
            "{} times in an hour",
            bench.reopened
        );
        bench.answers = true;
        bench.pass(40);
        assert_eq!(bench.recoveries(), [(Cause::NoAnswer, Rung::Reopen)]);
        assert_eq!(bench.dongle.condition(), Condition::Listening);
    }

    #[test]
    fn one_lost_answer_costs_one_more_ping() {
        let mut bench = Bench::open(C1A);
        bench.answers = false;
        bench.pass(28);
        bench.answers = true;
        bench.pass(10);
        assert_eq!(bench.steps(), [Rung::Ping]);
        assert_eq!(bench.recoveries(), [(Cause::NoAnswer, Rung::Ping)]);
    }

    #[test]
    fn a_lost_link_mode_is_set_again() {
        let mut bench = Bench::open(C1A);
        bench.config.link_mode = Some(LinkMode::S1);
        bench.pass(31);
        assert_eq!(bench.steps(), [Rung::SetLinkMode]);
        assert_eq!(
            bench.recoveries(),
            [(Cause::Misconfigured, Rung::SetLinkMode)]
        );
        assert_eq!(bench.config.link_mode, Some(LinkMode::C1a));
    }

    #[test]
    fn silence_is_measured_by_the_meters_own_rhythm() {
        let mut bench = Bench::open(C1A);
        bench.hear_every(16, 10);
        bench.pass(100);
        assert_eq!(bench.steps(), []);
        bench.pass(30);
        assert_eq!(bench.steps(), [Rung::Ping, Rung::SetLinkMode]);
        bench.pass(33);
        assert_eq!(bench.steps(), [Rung::Ping, Rung::SetLinkMode, Rung::Reset]);
        bench.hear_every(5, 1);
        assert_eq!(bench.recoveries(), [(Cause::NoTelegrams, Rung::Reset)]);
        assert_eq!(bench.dongle.condition(), Condition::Listening);
    }

    #[test]
    fn meters_that_are_really_silent_do_not_have_it_reset_for_ever() {
        let mut bench = Bench::open(C1A);
        bench.hear_every(16, 10);
        bench.forget();
        bench.pass(24 * 3600);
        let climbs = bench
            .notes
            .iter()
            .filter(|note| matches!(note, Note::SilenceGoesOn { .. }))
            .count();
        assert!((6..12).contains(&climbs), "{climbs} climbs in a day");
        assert_eq!(bench.reopened, climbs as u32);
        assert_eq!(bench.dongle.condition(), Condition::Silent);
        bench.hear_every(1, 1);
        assert_eq!(bench.dongle.condition(), Condition::Listening);
    }

    #[test]
    fn a_rhythm_of_an_hour_is_learned() {
        let mut bench = Bench::open(C1A);
        bench.hear_every(3600, 10);
        bench.forget();
        bench.hear_every(3600, 48);
        assert_eq!(bench.steps(), []);
    }

    #[test]
    fn garbage_makes_it_ask_at_once() {
        let mut bench = Bench::open(C1A);
        bench.pass(10);
        bench.answers = false;
        for _ in 0..20 {
            bench.dongle.garbage(100, bench.now);
        }
        bench.pass(4);
        assert!(
            bench.notes.contains(&Note::Step {
                rung: Rung::Ping,
                cause: Cause::Babbling
            }),
            "{:?}",
            bench.notes
        );
    }

    #[test]
    fn garbage_from_a_dongle_that_answers_is_not_answered_with_a_flood() {
        let mut bench = Bench::open(C1A);
        for _ in 0..600 {
            bench.dongle.garbage(600, bench.now);
            bench.pass(1);
            bench.dongle.heard(bench.now);
        }
        assert!(
            bench.sent.len() <= 2 * 600 / 3,
            "{} requests in 600 s",
            bench.sent.len()
        );
        assert_eq!(bench.steps(), []);
    }

    #[test]
    fn unplugging_ends_every_trouble() {
        let mut bench = Bench::open(C1A);
        bench.answers = false;
        bench.pass(40);
        bench.dongle.closed(true);
        assert_eq!(bench.dongle.condition(), Condition::Closed);
        assert_eq!(bench.dongle.deadline(), None);
        bench.answers = true;
        bench.dongle.opened(bench.now);
        bench.pass(5);
        assert_eq!(bench.dongle.condition(), Condition::Listening);
        assert_eq!(bench.recoveries(), []);
    }

    #[test]
    fn the_setting_names_a_mode_or_both() {
        assert_eq!("c1a".parse(), Ok(C1A));
        assert_eq!("C1T1".parse(), Ok(Wanted::C1AndT1));
        assert!(
            "x".parse::<Wanted>()
                .unwrap_err()
                .to_string()
                .contains("c1a")
        );
    }
}
