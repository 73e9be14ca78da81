//! A setting that may change while the program runs.

use std::sync::{Arc, PoisonError, RwLock};

/// Clones are the same setting: what one of them sets, the others get from then on. It outlives the lives of the actors that hold it.
#[derive(Debug)]
pub struct Changeable<T>(Arc<RwLock<Arc<T>>>);

impl<T> Changeable<T> {
    /// With this value for now.
    pub fn new(value: T) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(value))))
    }

    /// The value now.
    pub fn get(&self) -> Arc<T> {
        // Nothing that is done under the lock can panic half-way.
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Another value from now on.
    pub fn set(&self, value: T) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
    }
}

impl<T> Clone for Changeable<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> From<T> for Changeable<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_clones_get_what_one_sets() {
        let setting = Changeable::from(1);
        let (clone, before) = (setting.clone(), setting.get());
        clone.set(2);
        assert_eq!((*before, *setting.get()), (1, 2));
    }
}
