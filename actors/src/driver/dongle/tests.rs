//! The state machine against a model of a dongle, in its own time.

use std::time::Duration;

use super::*;

/// A dongle model that answers, as far as the test wants it to, and a clock.
struct Bench {
    dongle: Dongle,
    now: Instant,
    answers: bool,
    /// From then on a reset has it answer again.
    curable_from: Option<Instant>,
    config: Config,
    firmware: u8,
    /// Time after a reset in which a link mode is not kept.
    starts_within: Duration,
    reset_at: Instant,
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
            curable_from: None,
            config: stored(),
            firmware: 0x14,
            starts_within: Duration::from_secs(2),
            reset_at: now,
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
                    let curable = self.curable_from.is_some_and(|from| self.now >= from);
                    self.answers |= curable && request == Request::Reset;
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
            Request::Reset => {
                self.reset_at = self.now;
                self.config = stored();
                Answer::Reset
            }
            Request::GetConfig => Answer::Config(self.config),
            Request::SetConfig { config, .. } => {
                if self.now >= self.reset_at + self.starts_within {
                    self.config = self.config.with(&config);
                }
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

/// What the model starts with.
fn stored() -> Config {
    Config {
        link_mode: Some(LinkMode::S1),
        ..Config::default()
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
fn a_module_that_is_slow_to_start_is_told_again_and_not_reset_again() {
    let mut bench = Bench::new(C1A);
    bench.starts_within = Duration::from_secs(5);
    bench.dongle.opened(bench.now);
    bench.pass(7);
    assert_eq!(bench.dongle.condition(), Condition::Listening);
    assert_eq!(bench.config.link_mode, Some(LinkMode::C1a));
    assert_eq!(bench.steps(), []);
}

#[test]
fn a_module_that_never_keeps_its_configuration_is_no_endless_loop() {
    let mut bench = Bench::new(C1A);
    bench.starts_within = Duration::from_secs(100_000);
    bench.dongle.opened(bench.now);
    bench.pass(600);
    assert_eq!(bench.steps(), [Rung::Reset, Rung::Reopen]);
    assert!(
        bench.reopened < 40,
        "{} times in ten minutes",
        bench.reopened
    );
}

#[test]
fn a_firmware_that_tells_only_part_of_its_configuration_is_believed() {
    let wanted = Bench::new(C1A).dongle.configuration();
    let told = Config {
        link_mode: Some(LinkMode::C1a),
        power_level: Some(7),
        ..Config::default()
    };
    assert!(agrees(&told, &wanted));
    let other = Config {
        link_mode: Some(LinkMode::S1),
        ..told
    };
    assert!(!agrees(&other, &wanted));
    let mute = Config {
        attach_rssi: Some(false),
        ..told
    };
    assert!(!agrees(&mute, &wanted));
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
fn a_deaf_dongle_is_reset_at_every_attempt_and_not_only_on_the_way_to_the_top() {
    let mut bench = Bench::open(C1A);
    bench.answers = false;
    bench.curable_from = Some(bench.now + Duration::from_secs(600));
    bench.pass(600);
    assert_eq!(bench.recoveries(), []);
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

#[test]
fn it_is_reset_when_somebody_asks() {
    let mut bench = Bench::open(C1A);
    bench.dongle.reset(bench.now);
    bench.pass(5);
    assert!(bench.sent.contains(&Request::Reset));
    assert_eq!(bench.dongle.condition(), Condition::Listening);
    let step = Note::Step {
        rung: Rung::Reset,
        cause: Cause::Asked,
    };
    assert_eq!(bench.notes[0], step);
    assert!(matches!(
        bench.notes.last(),
        Some(Note::Recovered {
            cause: Cause::Asked,
            ..
        })
    ));
}

#[test]
fn a_reset_that_somebody_asks_for_does_not_disturb_the_ladder() {
    let mut bench = Bench::open(C1A);
    bench.answers = false;
    bench.pass(31);
    bench.forget();
    bench.dongle.reset(bench.now);
    bench.act();
    assert_eq!(bench.notes, []);
}
