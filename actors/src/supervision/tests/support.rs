//! The actor that all tests use: it does what its messages say, which is mostly something bad.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::prelude::*;

use crate::supervision::policy::{Backoff, Beyond, Policy, Restart};
use crate::supervision::*;

pub fn policy(intensity: u32, beyond: Beyond) -> Policy {
    policy_that(Restart::Permanent, intensity, beyond)
}

pub fn policy_that(restart: Restart, intensity: u32, beyond: Beyond) -> Policy {
    let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(30), 0).unwrap();
    Policy::new(restart, intensity, Duration::from_secs(60), backoff, beyond).unwrap()
}

/// A role for one test; leaked, as a program's roles live for ever too.
pub fn role(policy: Policy) -> &'static Role {
    role_with(
        policy,
        Shutdown {
            within: Duration::from_secs(5),
            drain: true,
        },
    )
}

pub fn role_with(policy: Policy, shutdown: Shutdown) -> &'static Role {
    Box::leak(Box::new(Role {
        name: "victim",
        policy,
        mailbox: 16,
        wait_limit: Duration::from_secs(5),
        shutdown,
    }))
}

pub fn role_that_waits(wait_limit: Duration) -> &'static Role {
    let shutdown = Shutdown {
        within: Duration::from_secs(5),
        drain: true,
    };
    Box::leak(Box::new(Role {
        name: "victim",
        policy: policy(5, Beyond::GiveUp),
        mailbox: 16,
        wait_limit,
        shutdown,
    }))
}

pub fn root() -> Arc<Root> {
    Root::new(slog::Logger::root(slog::Discard, slog::o!()), |_| {})
}

/// Runs a test on a thread of actix's kind, with tokio's clock standing still except when nobody has anything to do.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap()
    };
    System::with_tokio_rt(runtime).block_on(test)
}

/// What happened, in order, over all lives.
#[derive(Clone, Default)]
pub struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    pub fn note(&self, text: impl Into<String>) {
        self.0.lock().unwrap().push(text.into());
    }

    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A log that writes its lines into the diary: level, text, values in the order in which a person would write them.
impl slog::Drain for Diary {
    type Ok = ();
    type Err = slog::Never;

    fn log(
        &self,
        record: &slog::Record<'_>,
        values: &slog::OwnedKVList,
    ) -> Result<(), slog::Never> {
        struct Values(Vec<String>);
        impl slog::Serializer for Values {
            fn emit_arguments(
                &mut self,
                key: slog::Key,
                value: &std::fmt::Arguments<'_>,
            ) -> slog::Result {
                self.0.push(format!(" {key}={value}"));
                Ok(())
            }
        }
        let (mut outer, mut own) = (Values(Vec::new()), Values(Vec::new()));
        slog::KV::serialize(values, record, &mut outer).unwrap();
        slog::KV::serialize(&record.kv(), record, &mut own).unwrap();
        // slog hands out the values that were added last first.
        outer.0.reverse();
        own.0.reverse();
        let values = outer.0.concat() + &own.0.concat();
        self.note(format!(
            "{} {}{values}",
            record.level().as_short_str(),
            record.msg()
        ));
        Ok(())
    }
}

impl Diary {
    pub fn logger(&self) -> slog::Logger {
        slog::Logger::root(self.clone(), slog::o!())
    }
}

pub type Step = Box<dyn FnOnce(&mut Victim, &mut Context<Victim>) + Send>;

/// Does what `hooks` say at each point of its life.
pub struct Victim {
    pub monitor: Arc<Monitor>,
    pub diary: Diary,
    /// Messages this life has answered: fresh state begins at 0.
    pub answered: u32,
    pub hooks: Hooks,
}

pub type Hook = Option<Arc<dyn Fn(&mut Victim, &mut Context<Victim>) + Send + Sync>>;

#[derive(Clone, Default)]
pub struct Hooks {
    pub started: Hook,
    pub restarting: Hook,
    pub stopping: Option<fn(&mut Victim) -> Running>,
    pub stopped: Hook,
    pub dropped: Option<fn()>,
}

impl Victim {
    pub fn new(monitor: &Arc<Monitor>, diary: &Diary, hooks: &Hooks) -> Self {
        Self {
            monitor: Arc::clone(monitor),
            diary: diary.clone(),
            answered: 0,
            hooks: hooks.clone(),
        }
    }
}

impl Actor for Victim {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.diary.note("started");
        if let Some(hook) = self.hooks.started.clone() {
            hook(self, ctx);
        }
    }

    fn stopping(&mut self, _: &mut Context<Self>) -> Running {
        self.hooks
            .stopping
            .map_or(Running::Stop, |stopping| stopping(self))
    }

    fn stopped(&mut self, ctx: &mut Context<Self>) {
        self.diary.note("stopped");
        if let Some(hook) = self.hooks.stopped.clone() {
            hook(self, ctx);
        }
    }
}

impl Supervised for Victim {
    fn restarting(&mut self, ctx: &mut Context<Self>) {
        self.diary.note("restarting");
        if let Some(hook) = self.hooks.restarting.clone() {
            hook(self, ctx);
        }
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        if let Some(dropped) = self.hooks.dropped {
            dropped();
        }
    }
}

/// Answers how many messages this life has answered.
pub struct Ask;

impl Message for Ask {
    type Result = u32;
}

impl Handler<Ask> for Victim {
    type Result = u32;

    fn handle(&mut self, _: Ask, _: &mut Context<Self>) -> u32 {
        self.answered += 1;
        self.answered
    }
}

/// Runs this inside the handler.
pub struct Do(pub Step);

pub fn act(step: impl FnOnce(&mut Victim, &mut Context<Victim>) + Send + 'static) -> Do {
    Do(Box::new(step))
}

impl Message for Do {
    type Result = ();
}

impl Handler<Do> for Victim {
    type Result = ();

    fn handle(&mut self, Do(step): Do, ctx: &mut Context<Self>) {
        step(self, ctx);
    }
}

/// A victim under a policy of `intensity` restarts a minute.
pub fn start(root: &Arc<Root>, role: &'static Role, hooks: Hooks) -> (Child<Victim>, Diary) {
    let diary = Diary::default();
    let child = supervise(root, role, {
        let diary = diary.clone();
        move |monitor| Victim::new(monitor, &diary, &hooks)
    });
    (child, diary)
}
