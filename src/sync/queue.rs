//! Which Secrets are to be looked at, and when: each key once, by one worker at a time, later after each failure.
//!
//! Namespaces take turns: a Secret waits for one of each other namespace at most, however many these have. And a
//! namespace has no more than its share of the workers, so that requests about it that hang do not hold up the rest.
//!
//! The [`State`] is pure; [`Queue`] puts it behind a lock that is never held while anybody works. What it remembers is
//! bounded by the keys that its users add and drop.

mod state;

use std::time::{Duration, Instant};

use base::backoff::Jitter;
use base::lock::{Condvar, Mutex, MutexGuard};
use kube::types::ObjectKey;

pub use state::Ticket;
use state::{Next, State};

/// The work that waits.
pub struct Queue {
    state: Mutex<State>,
    news: Condvar,
}

/// How a piece of work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// Nothing is left to do.
    Settled,
    /// It failed: again after a pause that grows with each failure.
    Failed,
    /// Again after that time, without this being a failure.
    Later(Duration),
}

impl Queue {
    /// A queue that hands out the keys of one namespace to that many workers at a time.
    pub fn new(workers_of_one: usize) -> Queue {
        Queue { state: Mutex::new(State::new(workers_of_one)), news: Condvar::new() }
    }

    /// The key is due after `delay`, or earlier if it was so already.
    pub fn add(&self, key: &ObjectKey, delay: Duration) {
        self.add_all(std::slice::from_ref(key), delay);
    }

    /// The same for each of them.
    pub fn add_all(&self, keys: &[ObjectKey], delay: Duration) {
        let mut state = self.lock();
        let at = Instant::now() + delay;
        keys.iter().for_each(|key| state.add(key, at));
        drop(state);
        self.news.notify_all();
    }

    /// The key is due after `delay` at the latest. Answers what [`Queue::is_served`] is asked with.
    pub fn ask(&self, key: &ObjectKey, delay: Duration) -> Ticket {
        let ticket = self.lock().ask(key, Instant::now() + delay);
        self.news.notify_all();
        ticket
    }

    /// True when work on the key has begun since it was asked for, and ended without a failure.
    pub fn is_served(&self, key: &ObjectKey, ticket: Ticket) -> bool {
        self.lock().is_served(key, ticket)
    }

    /// Forgets the key; who works on it goes on.
    pub fn forget(&self, key: &ObjectKey) {
        self.lock().forget(key);
    }

    /// Waits for a key that is due, and hands it out. Whoever takes a key gives it back with [`Queue::done`].
    pub fn next(&self) -> ObjectKey {
        let mut state = self.lock();
        loop {
            state = match state.next(Instant::now()) {
                Next::Due(key) => return key,
                Next::Wait(Some(time)) => self.news.wait_timeout(state, time).0,
                Next::Wait(None) => self.news.wait(state),
            }
        }
    }

    /// Takes that very key, due or not, as soon as nobody works on it; false when `patience` ran out before.
    pub fn take(&self, key: &ObjectKey, patience: Duration) -> bool {
        let busy = |state: &mut State| !state.take(key);
        let waited = self.news.wait_timeout_while(self.lock(), patience, busy);
        !waited.1.timed_out()
    }

    /// Gives a key back.
    pub fn done(&self, key: &ObjectKey, how: Done) {
        let mut jitter = Jitter::from_entropy();
        self.lock().done(key, how, Instant::now(), |bound| jitter.below(bound));
        self.news.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(namespace: &str) -> ObjectKey {
        ObjectKey::new(namespace, "db")
    }

    #[test]
    fn a_waiting_worker_and_a_waiting_publish_are_woken() {
        let queue = Queue::new(1);
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| queue.next());
            queue.add(&key("a"), Duration::ZERO);
            assert_eq!(worker.join().unwrap(), key("a"));
            assert!(!queue.take(&key("a"), Duration::from_millis(5)));
            let publish = scope.spawn(|| queue.take(&key("a"), Duration::from_secs(60)));
            queue.done(&key("a"), Done::Settled);
            assert!(publish.join().unwrap());
        });
    }

    #[test]
    fn a_worker_that_waits_for_its_namespaces_share_is_woken_when_another_is_done() {
        let queue = Queue::new(1);
        let other = ObjectKey::new("a", "other");
        queue.add(&key("a"), Duration::ZERO);
        assert_eq!(queue.next(), key("a"));
        queue.add(&other, Duration::ZERO);
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| queue.next());
            queue.done(&key("a"), Done::Settled);
            assert_eq!(worker.join().unwrap(), other);
        });
    }
}
