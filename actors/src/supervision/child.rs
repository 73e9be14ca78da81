//! Starting and stopping children.

use std::sync::Arc;
use std::time::Duration;

use actix::dev::channel::{AddressReceiver, channel};
use actix::prelude::{Actor, Addr, ArbiterHandle, Context, Supervised};

use super::control::Order;
use super::monitor::Monitor;
use super::role::{Instance, Role};
use super::root::Root;
use super::supervised::Lives;

/// What to start.
#[derive(Clone)]
pub struct ChildSpec {
    /// Its place in the tree.
    pub role: &'static Role,
    /// Which of several of that role: the meter's name.
    pub instance: Option<Instance>,
}

impl From<&'static Role> for ChildSpec {
    fn from(role: &'static Role) -> Self {
        Self {
            role,
            instance: None,
        }
    }
}

/// A running child. Keep it: when it is dropped, the child is asked to stop.
pub struct Child<A: Actor> {
    /// Valid from now on until the child has stopped, through all its restarts.
    pub addr: Addr<A>,
    /// How to see it and stop it.
    pub handle: Handle,
}

/// A running child without its type. Keep it: when it is dropped, the child is asked to stop.
pub struct Handle {
    /// What can be seen of it.
    pub monitor: Arc<Monitor>,
}

/// How a stop went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// As asked.
    Clean,
    /// Not within its role's deadline; it was dropped where it stood.
    Dropped,
    /// It did not even leave its code: its thread hangs.
    Hangs,
}

/// Starts a child on the current thread, which must be an Arbiter's (or in a [`tokio::task::LocalSet`]).
///
/// `make` makes the actor, once for each life, so every life begins with fresh state; it runs like the actor's own code: a panic in it is
/// an exit like any other. It gets the child's monitor, for the actor to mark its waits.
pub fn supervise<A, F>(root: &Arc<Root>, spec: impl Into<ChildSpec>, make: F) -> Child<A>
where
    A: Actor<Context = Context<A>> + Supervised,
    F: FnMut(&Arc<Monitor>) -> A + 'static,
{
    let (child, charge, queue) = prepare(root, spec.into());
    actix_rt::spawn(Lives::new(charge, queue, make));
    child
}

/// Starts a child on an Arbiter's thread. The address is valid at once.
pub fn supervise_on<A, F>(
    arbiter: &ArbiterHandle,
    root: &Arc<Root>,
    spec: impl Into<ChildSpec>,
    make: F,
) -> Child<A>
where
    A: Actor<Context = Context<A>> + Supervised,
    F: FnMut(&Arc<Monitor>) -> A + Send + 'static,
{
    let (child, charge, queue) = prepare(root, spec.into());
    arbiter.spawn_fn(move || {
        actix_rt::spawn(Lives::new(charge, queue, make));
    });
    child
}

fn prepare<A: Actor<Context = Context<A>>>(
    root: &Arc<Root>,
    spec: ChildSpec,
) -> (Child<A>, Charge, AddressReceiver<A>) {
    let (sender, queue) = channel(spec.role.mailbox);
    let monitor = Monitor::new(spec.role, spec.instance);
    root.add(&monitor);
    let charge = Charge {
        root: Arc::clone(root),
        monitor: Arc::clone(&monitor),
    };
    (
        Child {
            addr: Addr::new(sender),
            handle: Handle { monitor },
        },
        charge,
        queue,
    )
}

/// A child in the care of its supervisor. When this is dropped the child has ended, however that came.
pub(super) struct Charge {
    pub(super) root: Arc<Root>,
    pub(super) monitor: Arc<Monitor>,
}

impl Drop for Charge {
    fn drop(&mut self) {
        let expected = self.monitor.control.order() != Order::Run;
        self.monitor.end();
        if !expected {
            self.root.give_up(&self.monitor, "its thread ended");
        }
    }
}

impl<A: Actor> Child<A> {
    /// See [`Handle::stop`].
    pub async fn stop(self) -> Stopped {
        self.handle.stop().await
    }
}

impl Handle {
    /// Asks the child to stop and waits for it, at most as long as its role allows.
    ///
    /// If the role says so, it first handles the messages that are in its mailbox; then `stopping` and `stopped` are called, as by
    /// `ctx.stop()`. While `stopping` answers `Running::Continue`, the child goes on, until the deadline.
    pub async fn stop(self) -> Stopped {
        /// To leave its code when dropped where it stands.
        const MERCY: Duration = Duration::from_millis(500);
        let mut ended = self.monitor.control.ended();
        self.monitor.control.give(Order::Stop);
        if tokio::time::timeout(self.monitor.role().shutdown.within, &mut ended)
            .await
            .is_ok()
        {
            return Stopped::Clean;
        }
        self.monitor.control.give(Order::Kill);
        match tokio::time::timeout(MERCY, ended).await {
            Ok(_) => Stopped::Dropped,
            Err(_) => Stopped::Hangs,
        }
    }
}

/// Stops children one after the other, the last started first, and says how each went. `children` is in order of start.
pub async fn stop_in_reverse(children: Vec<Handle>) -> Vec<(Arc<Monitor>, Stopped)> {
    let mut stopped = Vec::with_capacity(children.len());
    for child in children.into_iter().rev() {
        let monitor = Arc::clone(&child.monitor);
        stopped.push((monitor, child.stop().await));
    }
    stopped
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.monitor.control.give(Order::Stop);
    }
}
