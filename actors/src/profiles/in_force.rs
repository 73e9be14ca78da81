//! The set of profiles that is in force.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use wmbus::Profiles;

/// Shared by whoever looks profiles up.
pub struct InForce {
    profiles: Mutex<Arc<Profiles>>,
    generation: AtomicU32,
}

impl InForce {
    /// These, until others take their place.
    pub fn new(profiles: Arc<Profiles>) -> Self {
        Self {
            profiles: Mutex::new(profiles),
            generation: AtomicU32::new(0),
        }
    }

    /// The profiles, and their generation.
    pub fn snapshot(&self) -> (Arc<Profiles>, u32) {
        let profiles = self.profiles.lock().unwrap_or_else(PoisonError::into_inner);
        (Arc::clone(&profiles), self.generation())
    }

    /// The profiles.
    pub fn profiles(&self) -> Arc<Profiles> {
        self.snapshot().0
    }

    /// Rises with every change, so that a handler sees a change without asking for the profiles.
    pub fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    /// Puts others in their place. Handlers use them from the next telegram on.
    pub fn replace(&self, profiles: Arc<Profiles>) {
        let mut current = self.profiles.lock().unwrap_or_else(PoisonError::into_inner);
        *current = profiles;
        self.generation.fetch_add(1, Ordering::Release);
    }
}

impl Default for InForce {
    /// The embedded ones.
    fn default() -> Self {
        Self::new(Profiles::embedded())
    }
}

impl fmt::Debug for InForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InForce(generation {})", self.generation())
    }
}
