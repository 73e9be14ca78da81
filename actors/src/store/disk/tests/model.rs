//! The store against a plain list of all readings: pushed, sent, removed, in any order, with restarts of both kinds in between.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::support::{Run, Set, identify};
use super::vfs::Medium;
use crate::store::disk::Limits;
use crate::store::outbox::RowId;

#[derive(Debug, Clone)]
enum Action {
    Push {
        of: u32,
        times: usize,
    },
    /// Sends so many readings.
    Next(usize),
    RemoveSent(usize),
    Rewind,
    Pass(u64),
    /// The program ends in good order and starts again.
    Restart,
    /// The program is killed and starts again.
    Kill,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => (0..4_u32, 1..4_usize).prop_map(|(of, times)| Action::Push { of, times }),
        1 => (0..4_u32).prop_map(|of| Action::Push { of, times: 700 }),
        5 => (1..6_usize).prop_map(Action::Next),
        1 => Just(Action::Next(600)),
        5 => any::<usize>().prop_map(Action::RemoveSent),
        1 => Just(Action::Rewind),
        4 => (1..2000_u64).prop_map(Action::Pass),
        1 => Just(Action::Restart),
        1 => Just(Action::Kill),
    ]
}

/// A reading that was pushed, in the order of pushing.
#[derive(Debug, Clone)]
struct Kept {
    of: u32,
    number: u64,
    at: Instant,
    sent: Option<RowId>,
    removed: Option<Instant>,
}

struct Model {
    kept: Vec<Kept>,
    pushed: u64,
    /// The meters were served in turns since here.
    served: Vec<u32>,
    rewound: bool,
}

impl Model {
    fn waits(&self, of: u32) -> bool {
        self.kept
            .iter()
            .any(|kept| kept.of == of && kept.sent.is_none() && kept.removed.is_none())
    }

    /// Checks one reading that the store hands out.
    fn check_next(&mut self, of: u32, number: u64, id: RowId) -> Result<(), TestCaseError> {
        let oldest = self
            .kept
            .iter_mut()
            .find(|kept| kept.of == of && kept.sent.is_none() && kept.removed.is_none());
        let oldest = oldest.ok_or_else(|| TestCaseError::fail("nothing of this meter waits"))?;
        prop_assert_eq!(oldest.number, number, "not the oldest of its meter");
        oldest.sent = Some(id);
        if !self.rewound {
            // Who waits goes in this turn or the next.
            let before: Vec<_> = (0..self.served.len())
                .filter(|&at| self.served[at] == of)
                .collect();
            if let [.., last_but_one, _] = before[..] {
                for other in (0..4).filter(|&other| other != of && self.waits(other)) {
                    prop_assert!(
                        self.served[last_but_one..].contains(&other),
                        "meter {} had to wait for a third of {}",
                        other,
                        of
                    );
                }
            }
            self.served.push(of);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]
    #[test]
    fn agrees_with_a_plain_list(actions in proptest::collection::vec(action(), 1..80), seed in any::<u64>()) {
        let set = Set::of(0..4);
        // Short, so that it is copied and begun anew.
        let limits = Limits { log: 32 << 10, ..Limits::default() };
        let mut medium = Medium::new(Default::default(), seed);
        let mut run = Run::start(&medium, limits, &set, Instant::now());
        let mut model = Model { kept: Vec::new(), pushed: 0, served: Vec::new(), rewound: false };
        for action in actions {
            match action {
                Action::Push { of, times } => {
                    for _ in 0..times {
                        run.push(of, model.pushed);
                        model.kept.push(Kept { of, number: model.pushed, at: run.now, sent: None, removed: None });
                        model.pushed += 1;
                    }
                    // What was pushed counts for the turns from now on.
                    model.served.clear();
                }
                Action::Next(times) => {
                    // Long enough for a commit, so that all of them can be had.
                    run.pass(Duration::from_millis(100));
                    for _ in 0..times {
                        run.turn();
                        match run.next() {
                            Some(row) => {
                                let (of, number) = identify(&row.reading);
                                model.check_next(of, number, row.id)?;
                            }
                            None => prop_assert!((0..4).all(|of| !model.waits(of)), "there is more"),
                        }
                    }
                }
                Action::RemoveSent(which) => {
                    let sent: Vec<_> = model.kept.iter_mut().filter(|kept| kept.sent.is_some() && kept.removed.is_none()).collect();
                    let count = sent.len();
                    if let Some(kept) = sent.into_iter().nth(which.checked_rem(count).unwrap_or(0)) {
                        run.remove(kept.sent.unwrap());
                        kept.removed = Some(run.now);
                    }
                }
                Action::Rewind => {
                    run.shared.rewind();
                    model.kept.iter_mut().filter(|kept| kept.removed.is_none()).for_each(|kept| kept.sent = None);
                    model.rewound = true;
                }
                Action::Pass(milliseconds) => run.pass(Duration::from_millis(milliseconds)),
                Action::Restart | Action::Kill => {
                    let killed = matches!(action, Action::Kill);
                    if !killed {
                        let now = run.now;
                        run.worker.finish(now);
                    }
                    medium = Medium::new(medium.kept_by_system(), seed);
                    run = Run::start(&medium, limits, &set, run.now);
                    let found: BTreeSet<u64> = run.take_numbers().into_iter().collect();
                    run.shared.rewind();
                    for kept in &model.kept {
                        let age = run.now - kept.at;
                        let there = found.contains(&kept.number);
                        match kept.removed {
                            // A deletion may be late, but not for ever.
                            Some(at) if !killed || run.now - at > Duration::from_secs(6) => prop_assert!(!there),
                            Some(_) => {}
                            None if killed && age < Duration::from_secs(1) => {}
                            None => prop_assert!(there, "reading {} is missing, {:?} old", kept.number, age),
                        }
                    }
                    model.kept.retain(|kept| found.contains(&kept.number));
                    prop_assert_eq!(model.kept.len(), found.len());
                    for kept in &mut model.kept {
                        (kept.sent, kept.removed) = (None, None);
                    }
                    // Everything was sent and taken back.
                    model.rewound = true;
                }
            }
            model.kept.retain(|kept| kept.removed.is_none_or(|at| run.now - at <= Duration::from_secs(6)));
            let waiting = model.kept.iter().filter(|kept| kept.sent.is_none() && kept.removed.is_none()).count();
            let sent = model.kept.iter().filter(|kept| kept.sent.is_some() && kept.removed.is_none()).count();
            let state = run.shared.state();
            prop_assert_eq!((state.waiting, state.sent, state.dropped), (waiting, sent, 0));
        }
    }
}
