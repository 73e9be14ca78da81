//! What all children of the tree share: the log, who is told about them, and the way up.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use slog::{Logger, crit, error, info, warn};
use tokio::sync::watch;

use super::monitor::Monitor;
use super::panics::catch;
use super::policy::{Decision, Exit, Jitter};

/// The root of the tree. One per running system.
pub struct Root {
    log: Logger,
    observe: Box<dyn Fn(&Report<'_>) + Send + Sync>,
    gave_up: watch::Sender<Option<GaveUp>>,
    children: Mutex<Vec<Weak<Monitor>>>,
    chance: RandomState,
}

/// Something happened to a child.
pub struct Report<'a> {
    /// To whom.
    pub child: &'a Monitor,
    /// What.
    pub event: Event,
    /// Why, without secrets.
    pub reason: &'a str,
}

/// What can happen to a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A life ended.
    Exited {
        /// How.
        exit: Exit,
        /// And what follows.
        decision: Decision,
        /// A message was in hand and is lost.
        lost: bool,
    },
    /// A parked child is tried again.
    Resumed,
}

/// Why the whole tree has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GaveUp {
    /// The child that exceeded its budget.
    pub child: String,
    /// How its last life ended.
    pub reason: String,
}

impl Root {
    /// `observe` is called for every report, on the child's thread, after it was logged: count, publish, never wait.
    pub fn new(log: Logger, observe: impl Fn(&Report<'_>) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            log,
            observe: Box::new(observe),
            gave_up: watch::Sender::new(None),
            children: Mutex::new(Vec::new()),
            chance: RandomState::new(),
        })
    }

    /// Resolves when a child has exceeded its budget and its policy is to give up: the program must end.
    pub async fn gave_up(&self) -> GaveUp {
        let mut changes = self.gave_up.subscribe();
        loop {
            if let Some(gave_up) = changes.borrow_and_update().clone() {
                return gave_up;
            }
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// All children that live, back off or are parked, in order of start.
    pub fn children(&self) -> Vec<Arc<Monitor>> {
        let mut children = Vec::new();
        self.for_each_child(|child| children.push(Arc::clone(child)));
        children
    }

    /// The same without a list, for whoever looks at all of many children often. `visit` must not start children.
    pub fn for_each_child(&self, mut visit: impl FnMut(&Arc<Monitor>)) {
        let children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        children
            .iter()
            .filter_map(Weak::upgrade)
            .for_each(|child| visit(&child));
    }

    pub(super) fn add(&self, child: &Arc<Monitor>) {
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        // The ended are cleared away only when there is no room left, and then much room is made, so that this costs little per child.
        if children.len() == children.capacity() {
            children.retain(|child| child.strong_count() > 0);
            let living = children.len();
            children.reserve(living.max(8));
        }
        children.push(Arc::downgrade(child));
    }

    pub(super) fn give_up(&self, child: &Monitor, reason: &str) {
        let gave_up = GaveUp {
            child: child.to_string(),
            reason: reason.to_owned(),
        };
        // The first reason is the one that counts.
        self.gave_up.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(gave_up);
            is_first
        });
    }

    pub(super) fn report(&self, child: &Monitor, event: Event, reason: &str) {
        // Neither a log drain nor an observer may take a child's supervisor with it.
        let told = catch(|| {
            self.write(child, event, reason);
            (self.observe)(&Report {
                child,
                event,
                reason,
            });
        });
        if let Err(panic) = told {
            let _ = catch(|| crit!(self.log, "a report failed"; "reason" => panic.to_string()));
        }
    }

    fn write(&self, child: &Monitor, event: Event, reason: &str) {
        let log = match child.instance() {
            Some(meter) => self
                .log
                .new(slog::o!("actor" => child.role().name, "meter" => meter.to_string())),
            None => self.log.new(slog::o!("actor" => child.role().name)),
        };
        match event {
            Event::Exited {
                decision: Decision::Done,
                exit: Exit::Requested,
                ..
            } => info!(log, "stopped"; "reason" => reason),
            Event::Exited {
                decision: Decision::Done,
                ..
            } => warn!(log, "ended"; "reason" => reason),
            Event::Exited {
                decision: Decision::Restart { after },
                lost,
                ..
            } => {
                error!(log, "restarting"; "reason" => reason, "after_ms" => after.as_millis() as u64, "message_lost" => lost);
            }
            Event::Exited {
                decision: Decision::Park { .. },
                lost,
                ..
            } => {
                error!(log, "parked: too many restarts"; "reason" => reason, "message_lost" => lost);
            }
            Event::Exited {
                decision: Decision::GiveUp,
                lost,
                ..
            } => {
                crit!(log, "giving up: too many restarts"; "reason" => reason, "message_lost" => lost);
            }
            Event::Resumed => info!(log, "trying again"; "reason" => reason),
        }
    }

    pub(super) fn jitter(&self) -> Jitter {
        Jitter(self.chance.hash_one(super::monitor::now()) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_that_have_ended_leave_no_growing_list() {
        let root = Root::new(Logger::root(slog::Discard, slog::o!()), |_| {});
        let living: Vec<_> = (0..100)
            .map(|_| Monitor::new(&crate::tree::METER_HANDLER, None))
            .collect();
        living.iter().for_each(|child| root.add(child));
        for _ in 0..10_000 {
            root.add(&Monitor::new(&crate::tree::METER_HANDLER, None));
        }
        assert!(root.children.lock().unwrap().capacity() < 500);
        assert_eq!(root.children().len(), 100);
    }
}
