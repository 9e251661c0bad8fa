//! A gate at which a script waits until its test lets it through.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::PATIENCE;

/// Closed at first; clones are the same gate. Dropping any clone on the test's side does not open it: a script that
/// nobody lets through goes on after [`PATIENCE`], so that a failed test ends.
#[derive(Clone, Default)]
pub struct Gate {
    shared: Arc<(Mutex<bool>, Condvar)>,
}

impl Gate {
    /// Lets everybody through, from now on.
    pub fn open(&self) {
        *self.lock() = true;
        self.shared.1.notify_all();
    }

    /// Waits until the gate is open.
    pub fn wait(&self) {
        let waited = self.shared.1.wait_timeout_while(self.lock(), PATIENCE, |open| !*open);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
