//! The sections of the status object that show the running system.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use omnigate_actors::counters::Counters;
use omnigate_actors::driver::status::StatusSender;
use omnigate_actors::heard::Heard;
use omnigate_actors::meter::Condition;
use omnigate_actors::status::StatusBoard;
use omnigate_actors::store::meter_table::MeterTable;
use omnigate_actors::supervision::{Monitor, Root, State};
use serde_json::{Map, Value, json};

use super::rates::Rates;
use crate::overview::actor_state;

/// What the sections show.
pub struct Shown {
    /// The actors.
    pub root: Arc<Root>,
    /// The source.
    pub driver: StatusSender,
    /// The monitored meters.
    pub meters: Arc<MeterTable>,
    /// The others on the air.
    pub unknown: Arc<Heard>,
    /// What is counted.
    pub counters: Arc<Counters>,
}

impl Shown {
    /// Adds the sections `driver`, `actors`, `meters` and `rates`. What the source does is told at once.
    pub fn on(self, board: &Arc<StatusBoard>) {
        let Self {
            root,
            driver,
            meters,
            unknown,
            counters,
        } = self;
        let (mut changes, touched) = (driver.subscribe(), Arc::clone(board));
        actix_rt::spawn(async move {
            while changes.changed().await.is_ok() {
                touched.touch();
            }
        });
        let driver = driver.subscribe();
        board.add("driver", move || {
            serde_json::to_value(&*driver.borrow()).unwrap_or_default()
        });
        board.add("actors", move || actors(&root));
        board.add("meters", move || overview(&meters, &unknown));
        let rates = Mutex::new(Rates::start(&counters, Instant::now()));
        board.add("rates", move || {
            let mut rates = rates.lock().unwrap_or_else(PoisonError::into_inner);
            rates.section(&counters, Instant::now())
        });
    }
}

/// Each service actor by its name; the handlers together.
fn actors(root: &Root) -> Value {
    let mut actors = Map::new();
    let (mut handlers, mut restarts, mut parked, mut refused) = (0_u64, 0_u64, Vec::new(), 0);
    root.for_each_child(|child| {
        if child.instance().is_none() {
            actors.insert(child.role().name.to_owned(), actor(child));
            return;
        }
        handlers += 1;
        restarts += u64::from(child.restarts());
        refused += child.refused();
        if matches!(child.state(), State::Parked { .. }) && parked.len() < PARKED_SHOWN {
            parked.push(child.to_string());
        }
    });
    actors.insert(
        "meter_handlers".to_owned(),
        json!({"running": handlers, "restarts": restarts, "refused": refused, "parked": parked}),
    );
    actors.into()
}

fn actor(child: &Monitor) -> Value {
    json!({
        "state": actor_state(&child.state()),
        "restarts": child.restarts(),
        "last_reason": child.last_exit().map(|exit| exit.reason),
        "messages_lost": child.lost(),
    })
}

/// How many meters are in which condition, and how many others are on the air.
fn overview(meters: &MeterTable, unknown: &Heard) -> Value {
    let (mut unheard, mut reading, mut refused) = (0, 0, Map::new());
    for meter in meters.snapshot().values() {
        match meter.memory().condition {
            Condition::Unheard => unheard += 1,
            Condition::Reading => reading += 1,
            Condition::Refused(reason) => {
                let list = refused.entry(reason).or_insert_with(|| json!([]));
                if let Some(list) = list.as_array_mut().filter(|list| list.len() < PARKED_SHOWN) {
                    list.push(json!(meter.name.to_string()));
                }
            }
        }
    }
    json!({"unheard": unheard, "reading": reading, "refused": refused, "not_monitored": unknown.list().len()})
}

/// Names in a list; the status object is small.
const PARKED_SHOWN: usize = 20;
