//! A counting semaphore that serves in the order of arrival.
//!
//! Whoever asks for much waits at the head of the queue until so much is free, and nobody who asks for little overtakes
//! it: large requests are not starved by small ones. It knows nothing of what it counts.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::lock::{Condvar, Mutex, MutexGuard};

/// So many permits; clones share them.
#[derive(Clone)]
pub struct Semaphore(Arc<Shared>);

struct Shared {
    total: u64,
    state: Mutex<State>,
    /// Permits were given back, or the head of the queue has left it.
    changed: Condvar,
}

struct State {
    free: u64,
    /// The tickets of those that wait, in the order in which they came.
    queue: VecDeque<u64>,
    next_ticket: u64,
}

/// Permits that are held; given back when dropped.
#[must_use = "the permits are given back when this is dropped"]
pub struct Permit {
    semaphore: Semaphore,
    held: u64,
}

impl Semaphore {
    /// A semaphore of `total` permits.
    pub fn new(total: u64) -> Semaphore {
        let state = State { free: total, queue: VecDeque::new(), next_ticket: 0 };
        Semaphore(Arc::new(Shared { total, state: Mutex::new(state), changed: Condvar::new() }))
    }

    /// Waits for `permits`, or for all that there are where more are asked for. `None` when `give_up` said so first; it
    /// is asked a few times a second.
    pub fn acquire(&self, permits: u64, give_up: impl Fn() -> bool) -> Option<Permit> {
        let held = permits.min(self.0.total);
        let mut state = self.lock();
        let ticket = state.next_ticket;
        state.next_ticket = ticket.wrapping_add(1);
        state.queue.push_back(ticket);
        while state.queue.front() != Some(&ticket) || state.free < held {
            if give_up() {
                state.queue.retain(|waiting| *waiting != ticket);
                drop(state);
                self.0.changed.notify_all();
                return None;
            }
            state = self.0.changed.wait_timeout(state, LOOK_AGAIN).0;
        }
        state.queue.pop_front();
        state.free -= held;
        let is_next_waiting = !state.queue.is_empty();
        drop(state);
        if is_next_waiting {
            self.0.changed.notify_all();
        }
        Some(Permit { semaphore: self.clone(), held })
    }

    /// How many permits there are.
    pub fn total(&self) -> u64 {
        self.0.total
    }

    /// How many are held now.
    pub fn held(&self) -> u64 {
        self.0.total - self.lock().free
    }

    /// True while somebody waits for permits.
    pub fn is_awaited(&self) -> bool {
        !self.lock().queue.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.semaphore.lock();
        state.free += self.held;
        let is_awaited = !state.queue.is_empty();
        drop(state);
        // Waking nobody is a system call too.
        if is_awaited {
            self.semaphore.0.changed.notify_all();
        }
    }
}

/// Those that wait ask so often whether they still should.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    fn never() -> bool {
        false
    }

    /// Waits until so many are in the queue.
    fn until_queued(semaphore: &Semaphore, count: usize) {
        while semaphore.lock().queue.len() != count {
            thread::yield_now();
        }
    }

    #[test]
    fn what_is_held_is_not_free_until_it_is_dropped() {
        let semaphore = Semaphore::new(10);
        let permit = semaphore.acquire(7, never).unwrap();
        assert_eq!((semaphore.held(), semaphore.total()), (7, 10));
        assert!(semaphore.acquire(4, || true).is_none());
        drop(permit);
        assert_eq!(semaphore.held(), 0);
        assert!(semaphore.acquire(4, || true).is_some());
    }

    #[test]
    fn who_asks_for_more_than_there_is_gets_all_of_it_alone() {
        let semaphore = Semaphore::new(10);
        let permit = semaphore.acquire(u64::MAX, never).unwrap();
        assert_eq!(semaphore.held(), 10);
        assert!(semaphore.acquire(1, || true).is_none());
        drop(permit);
    }

    #[test]
    fn who_asks_for_little_does_not_overtake_who_asks_for_much() {
        let semaphore = Semaphore::new(10);
        let first = semaphore.acquire(5, never).unwrap();
        let (tell, told) = mpsc::channel();
        thread::scope(|scope| {
            for (queued, (name, permits)) in [("much", 10), ("little", 1)].into_iter().enumerate() {
                let (semaphore, tell) = (semaphore.clone(), tell.clone());
                scope.spawn(move || {
                    let _permit = semaphore.acquire(permits, never).unwrap();
                    tell.send(name).unwrap();
                });
                until_queued(&first.semaphore, queued + 1);
            }
            assert!(told.try_recv().is_err(), "one was served although there is no room for the first");
            drop(first);
        });
        drop(tell);
        assert_eq!(told.iter().collect::<Vec<_>>(), ["much", "little"]);
    }

    #[test]
    fn who_leaves_the_head_of_the_queue_lets_the_next_one_in() {
        let semaphore = Semaphore::new(10);
        let _first = semaphore.acquire(5, never).unwrap();
        let has_left = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| assert!(semaphore.acquire(10, || has_left.load(Ordering::Relaxed)).is_none()));
            until_queued(&semaphore, 1);
            let next = scope.spawn(|| semaphore.acquire(5, never).is_some());
            until_queued(&semaphore, 2);
            has_left.store(true, Ordering::Relaxed);
            assert!(next.join().unwrap());
        });
        assert_eq!(semaphore.lock().queue.len(), 0);
    }
}
