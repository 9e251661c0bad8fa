//! Whether the driver is ready and alive, as its subsystems see it.
//!
//! Ready is said by nobody: each subsystem holds a latch until it first succeeded, or as long as it cannot do its part,
//! and the driver is ready when no latch is left. What may delay readiness is thus visible where latches are handed
//! out. Nothing here knows a subsystem, HTTP or the clock.

use std::sync::{Arc, Mutex, PoisonError};

/// The latches that are still held. Clones share them.
#[derive(Clone, Default)]
pub struct Readiness {
    held: Arc<Mutex<Vec<&'static str>>>,
}

impl Readiness {
    /// Nothing is waited for yet, which counts as ready: hand out every latch before anybody may ask.
    pub fn new() -> Readiness {
        Readiness::default()
    }

    /// A latch for one subsystem. `name` is what the body of `/readyz` shows. Names may repeat.
    pub fn latch(&self, name: &'static str) -> Latch {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).push(name);
        Latch { readiness: self.clone(), name }
    }

    /// The names of the latches still held, in the order in which they were handed out; empty means ready.
    pub fn pending(&self) -> Vec<&'static str> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// True when no latch is held.
    pub fn is_ready(&self) -> bool {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
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
        let mut held = self.readiness.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = held.iter().position(|name| *name == self.name) {
            held.remove(place);
        }
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
    fn a_latch_can_be_released_from_another_thread() {
        let readiness = Readiness::new();
        let latch = readiness.latch("pods");
        std::thread::spawn(move || latch.release()).join().unwrap();
        assert!(readiness.is_ready());
    }
}
