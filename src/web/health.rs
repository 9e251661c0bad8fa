//! Whether the driver is ready and alive, as its subsystems see it.
//!
//! Ready is said by nobody: each subsystem holds a latch until it first succeeded, or as long as it cannot do its part,
//! and the driver is ready when no latch is left. What may delay readiness is thus visible where latches are handed
//! out. Nothing here knows a subsystem or HTTP.

use std::sync::Arc;
use std::time::Duration;

use base::lock::{Condvar, Mutex, MutexGuard};

/// The latches that are still held. Clones share them.
#[derive(Clone, Default)]
pub struct Readiness {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    latches: Mutex<Latches>,
    changed: Condvar,
}

#[derive(Default)]
struct Latches {
    held: Vec<&'static str>,
    is_ending: bool,
}

impl Readiness {
    /// Nothing is waited for yet, which counts as ready: hand out every latch before anybody may ask.
    pub fn new() -> Readiness {
        Readiness::default()
    }

    /// A latch for one subsystem. `name` is what the body of `/readyz` shows. Names may repeat.
    pub fn latch(&self, name: &'static str) -> Latch {
        self.lock().held.push(name);
        Latch { readiness: self.clone(), name }
    }

    /// The names of the latches still held, in the order in which they were handed out; empty means ready.
    pub fn pending(&self) -> Vec<&'static str> {
        self.lock().held.clone()
    }

    /// The same, as soon as it is empty or `patience` is over.
    pub fn await_ready(&self, patience: Duration) -> Vec<&'static str> {
        let is_unsettled = |latches: &mut Latches| !latches.held.is_empty() && !latches.is_ending;
        let waited = self.shared.changed.wait_timeout_while(self.lock(), patience, is_unsettled);
        let (latches, _) = waited;
        latches.held.clone()
    }

    /// The process ends: nobody is kept waiting any more.
    pub fn end(&self) {
        self.lock().is_ending = true;
        self.shared.changed.notify_all();
    }

    /// True when no latch is held.
    pub fn is_ready(&self) -> bool {
        self.lock().held.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Latches> {
        self.shared.latches.lock()
    }
}

/// Holds readiness back until it is released or dropped.
///
/// A subsystem that gives up before its first success must keep its latch, or the driver would seem ready.
#[must_use = "readiness is held back only while the latch lives"]
pub struct Latch {
    readiness: Readiness,
    name: &'static str,
}

impl Latch {
    /// The subsystem has succeeded for the first time.
    pub fn release(self) {}
}

impl Drop for Latch {
    fn drop(&mut self) {
        let held = &mut self.readiness.lock().held;
        if let Some(place) = held.iter().position(|name| *name == self.name) {
            held.remove(place);
        }
        self.readiness.shared.changed.notify_all();
    }
}

/// Asks the process whether it can still do its work. Clones ask the same.
#[derive(Clone)]
pub struct Liveness {
    check: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
}

impl Liveness {
    /// `check` runs at each probe, on the prober's thread, and has to return well within the probe's timeout.
    /// Its error is shown to whoever asks, so it says what is stuck and nothing else.
    pub fn new(check: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Liveness {
        Liveness { check: Arc::new(check) }
    }

    /// Runs the check.
    ///
    /// # Errors
    /// What the check found.
    pub fn check(&self) -> Result<(), String> {
        (self.check)()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_means_that_no_latch_is_left() {
        let readiness = Readiness::new();
        let classes = readiness.latch("classes");
        let server = readiness.clone().latch("csi server");
        assert_eq!(readiness.pending(), ["classes", "csi server"]);
        server.release();
        assert_eq!(readiness.pending(), ["classes"]);
        assert!(!readiness.is_ready());
        drop(classes);
        assert!(readiness.is_ready());
    }

    #[test]
    fn latches_of_one_name_count_separately() {
        let readiness = Readiness::new();
        let (one, two) = (readiness.latch("pods"), readiness.latch("pods"));
        one.release();
        assert_eq!(readiness.pending(), ["pods"]);
        two.release();
        assert!(readiness.is_ready());
    }

    #[test]
    fn whoever_waits_is_answered_once_the_last_latch_is_released() {
        let readiness = Readiness::new();
        let (one, two) = (readiness.latch("one"), readiness.latch("two"));
        let waiters = [readiness.clone(), readiness.clone()]
            .map(|waiting| std::thread::spawn(move || waiting.await_ready(Duration::from_secs(60))));
        one.release();
        assert_eq!(readiness.await_ready(Duration::from_millis(1)), ["two"]);
        assert!(waiters.iter().all(|waiter| !waiter.is_finished()));
        two.release();
        for waiter in waiters {
            assert!(waiter.join().unwrap().is_empty());
        }
        assert!(readiness.await_ready(Duration::from_secs(60)).is_empty(), "there is nothing to wait for");
    }

    #[test]
    fn a_wait_ends_with_its_patience_and_with_the_process_and_says_what_is_missing() {
        let readiness = Readiness::new();
        let _pods = readiness.latch("pods");
        for _ in 0..2 {
            assert_eq!(readiness.await_ready(Duration::from_millis(1)), ["pods"]);
        }
        readiness.end();
        assert_eq!(readiness.await_ready(Duration::from_secs(60)), ["pods"]);
    }

    #[test]
    fn a_latch_can_be_released_from_another_thread() {
        let readiness = Readiness::new();
        let latch = readiness.latch("pods");
        std::thread::spawn(move || latch.release()).join().unwrap();
        assert!(readiness.is_ready());
    }
}
