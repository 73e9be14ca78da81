//! A child's place in the tree, as data.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::policy::Policy;

/// Everything that all children of one kind have in common. The program's roles are the table in [`crate::tree`].
#[derive(Debug)]
pub struct Role {
    /// As in logs, faults and the status: `meter_handler`.
    pub name: &'static str,
    /// When it is restarted.
    pub policy: Policy,
    /// How many messages its mailbox holds before senders are told that it is full.
    pub mailbox: usize,
    /// How long a wait marked by [`super::Monitor::waiting`] is healthy.
    pub wait_limit: Duration,
    /// How it is stopped.
    pub shutdown: Shutdown,
}

/// How a child is stopped on request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shutdown {
    /// After this it is no longer asked: it is dropped where it stands.
    pub within: Duration,
    /// Whether what is in its mailbox when it is asked to stop is handled first.
    pub drain: bool,
}

/// Which of several children of one role: whatever names it, shared with others that need the name.
pub type Instance = Arc<dyn fmt::Display + Send + Sync>;
