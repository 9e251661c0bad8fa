//! Lets a bounded number of requests, or of whatever else takes memory, through at once.
//!
//! There is no rate limit: the server's own answers (429, Retry-After) say when to slow down. What is bounded
//! is how many sockets and buffers a burst of pods can make this process hold. The gate knows nothing of
//! requests.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// A counting semaphore with a patience.
pub struct Gate {
    free: Mutex<usize>,
    freed: Condvar,
}

/// The right to have one request under way; given back when dropped.
pub struct Pass<'a>(&'a Gate);

impl Gate {
    /// A gate that lets `width` holders in at once.
    pub fn new(width: usize) -> Gate {
        Gate { free: Mutex::new(width), freed: Condvar::new() }
    }

    /// Waits for a free place, at most `patience`; `None` when there was none in that time.
    pub fn enter(&self, patience: Duration) -> Option<Pass<'_>> {
        // A panic cannot leave the count half-changed, so a poisoned lock is still good.
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.freed.wait_timeout_while(free, patience, |free| *free == 0);
        let (mut free, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *free = free.checked_sub(1)?;
        Some(Pass(self))
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut free = self.0.free.lock().unwrap_or_else(PoisonError::into_inner);
        *free = free.saturating_add(1);
        drop(free);
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_gate_turns_away_after_the_patience_and_lets_in_once_a_pass_is_dropped() {
        let gate = Gate::new(1);
        let pass = gate.enter(Duration::ZERO);
        assert!(pass.is_some());
        assert!(gate.enter(Duration::from_millis(5)).is_none());
        drop(pass);
        assert!(gate.enter(Duration::ZERO).is_some());
    }

    #[test]
    fn a_waiter_is_woken_by_the_pass_it_waits_for() {
        let gate = Gate::new(1);
        let pass = gate.enter(Duration::ZERO);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| gate.enter(Duration::from_secs(60)).is_some());
            drop(pass);
            assert!(waiter.join().unwrap());
        });
    }
}
