//! What the threads of a soak write down: what was done, what was refused while a provider was away, and what must not
//! have been.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Shared by all threads.
#[derive(Default)]
pub struct Ledger {
    pub publishes: Count,
    pub refusals: Count,
    pub given_up: Count,
    pub refreshes: Count,
    pub rotations: Count,
    pub questions: Count,
    pub unpublishes: Count,
    pub files: Count,
    pub secrets: Count,
    pub changes: Count,
    pub restarts: Count,
    pub events: Count,
    faults: Mutex<Vec<String>>,
    is_stopped: AtomicBool,
}

/// A number that rises.
#[derive(Default)]
pub struct Count(AtomicU64);

impl Count {
    /// One more.
    pub fn add(&self) {
        self.add_many(1);
    }

    pub fn add_many(&self, many: u64) {
        self.0.fetch_add(many, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Ledger {
    /// Something that must not be. It is shown at once, and everybody comes to an end.
    pub fn fault(&self, fault: impl Display) {
        eprintln!("  FAULT   {fault}");
        locked(&self.faults).push(fault.to_string());
        self.is_stopped.store(true, Ordering::SeqCst);
    }

    /// What must not have been.
    pub fn faults(&self) -> Vec<String> {
        locked(&self.faults).clone()
    }

    pub fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::SeqCst)
    }

    /// Calls that the driver has answered.
    pub fn calls(&self) -> u64 {
        [&self.publishes, &self.refusals, &self.refreshes, &self.questions, &self.unpublishes]
            .map(Count::get)
            .iter()
            .sum()
    }

    /// Volumes that are published.
    pub fn live(&self) -> u64 {
        (self.publishes.get() + self.given_up.get()).saturating_sub(self.unpublishes.get())
    }

    /// All of it, for people.
    pub fn rows(&self) -> [(&'static str, u64); 12] {
        [
            ("publishes", self.publishes.get()),
            ("publishes refused while a provider was away", self.refusals.get()),
            ("pods given up before they were published", self.given_up.get()),
            ("calls about live volumes", self.refreshes.get()),
            ("of them those that brought new content", self.rotations.get()),
            ("questions about a volume's state", self.questions.get()),
            ("unpublishes", self.unpublishes.get()),
            ("files read and compared", self.files.get()),
            ("Secrets compared", self.secrets.get()),
            ("changes of secrets in their stores", self.changes.get()),
            ("restarts of providers", self.restarts.get()),
            ("events posted", self.events.get()),
        ]
    }
}

/// A thread that failed has said why already.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
