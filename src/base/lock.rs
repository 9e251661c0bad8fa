//! The standard library's mutex and condition variable, without poison.
//!
//! A panic ends the process (see [`panics`](crate::panics)), so no thread meets a lock whose holder has panicked. Only
//! unit tests unwind. There a poisoned lock says nothing but that a test has failed, which its own panic has told.

use std::sync::{self, PoisonError, WaitTimeoutResult};
use std::time::Duration;

pub use std::sync::MutexGuard;

/// [`std::sync::Mutex`], whose lock is always granted.
#[derive(Debug, Default)]
pub struct Mutex<T>(sync::Mutex<T>);

/// [`std::sync::Condvar`], for guards of [`Mutex`].
#[derive(Debug, Default)]
pub struct Condvar(sync::Condvar);

impl<T> Mutex<T> {
    /// An unlocked mutex.
    pub const fn new(value: T) -> Mutex<T> {
        Mutex(sync::Mutex::new(value))
    }

    /// Waits until the lock is free and takes it.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Condvar {
    /// A condition that no thread waits for.
    pub const fn new() -> Condvar {
        Condvar(sync::Condvar::new())
    }

    /// Wakes one thread that waits.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes all threads that wait.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }

    /// Gives the lock up, waits to be woken, and takes the lock again.
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.0.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits as long as the condition holds.
    pub fn wait_while<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        self.0.wait_while(guard, condition).unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits to be woken, at most `limit`.
    pub fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        limit: Duration,
    ) -> (MutexGuard<'a, T>, WaitTimeoutResult) {
        self.0.wait_timeout(guard, limit).unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits as long as the condition holds, at most `limit`.
    pub fn wait_timeout_while<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        limit: Duration,
        condition: impl FnMut(&mut T) -> bool,
    ) -> (MutexGuard<'a, T>, WaitTimeoutResult) {
        self.0.wait_timeout_while(guard, limit, condition).unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn a_lock_whose_holder_has_panicked_in_a_test_is_granted() {
        let (mutex, condvar) = (Mutex::new(1), Condvar::new());
        let holder = catch_unwind(AssertUnwindSafe(|| {
            let mut guard = mutex.lock();
            *guard = 2;
            panic!("on purpose");
        }));
        assert!(holder.is_err());
        assert_eq!(*mutex.lock(), 2);
        let (guard, waited) = condvar.wait_timeout(mutex.lock(), Duration::from_millis(1));
        assert!(*guard == 2 && waited.timed_out());
    }
}
