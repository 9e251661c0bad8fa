//! Which Secrets are to be looked at, and when: each key once, by one worker at a time, later after each failure.
//!
//! The state is pure and takes the time as an argument; [`Queue`] puts it behind a lock that is never held while
//! anybody works. What it remembers is bounded by the keys that its users add and drop.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::kube::jitter::Jitter;
use crate::kube::types::ObjectKey;

/// The work that waits.
#[derive(Default)]
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
    /// The key is due after `delay`, or earlier if it was so already.
    pub fn add(&self, key: &ObjectKey, delay: Duration) {
        self.lock().add(key, Instant::now() + delay);
        self.news.notify_all();
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
                Next::Wait(Some(time)) => {
                    self.news.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
                }
                Next::Wait(None) => self.news.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Takes that very key, due or not, as soon as nobody works on it; false when `patience` ran out before.
    pub fn take(&self, key: &ObjectKey, patience: Duration) -> bool {
        let busy = |state: &mut State| !state.take(key);
        let waited = self.news.wait_timeout_while(self.lock(), patience, busy);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Gives a key back.
    pub fn done(&self, key: &ObjectKey, how: Done) {
        let mut jitter = Jitter::unlike_others();
        self.lock().done(key, how, Instant::now(), |bound| jitter.below(bound));
        self.news.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs between two changes of the state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct State {
    entries: HashMap<ObjectKey, Entry>,
}

#[derive(Default)]
struct Entry {
    due: Option<Instant>,
    is_busy: bool,
    failures: u32,
}

#[derive(Debug, PartialEq, Eq)]
enum Next {
    Due(ObjectKey),
    /// Nothing is due for that time; `None` when nothing waits at all.
    Wait(Option<Duration>),
}

impl State {
    fn add(&mut self, key: &ObjectKey, at: Instant) {
        let entry = self.entries.entry(key.clone()).or_default();
        entry.due = Some(entry.due.map_or(at, |due| due.min(at)));
    }

    fn forget(&mut self, key: &ObjectKey) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.due = None;
            if !entry.is_busy {
                self.entries.remove(key);
            }
        }
    }

    /// The key that has waited longest, of those that are due and that nobody works on.
    fn next(&mut self, now: Instant) -> Next {
        let waiting = self.entries.iter_mut().filter(|(_, entry)| !entry.is_busy);
        let first =
            waiting.filter_map(|(key, entry)| Some((entry.due?, key, entry))).min_by_key(|first| first.0);
        match first {
            None => Next::Wait(None),
            Some((due, _, _)) if due > now => Next::Wait(Some(due - now)),
            Some((_, key, entry)) => {
                entry.due = None;
                entry.is_busy = true;
                Next::Due(key.clone())
            }
        }
    }

    fn take(&mut self, key: &ObjectKey) -> bool {
        let entry = self.entries.entry(key.clone()).or_default();
        if entry.is_busy {
            return false;
        }
        entry.due = None;
        entry.is_busy = true;
        true
    }

    fn done(&mut self, key: &ObjectKey, how: Done, now: Instant, below: impl FnOnce(Duration) -> Duration) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        entry.is_busy = false;
        let pause = match how {
            Done::Settled => None,
            Done::Later(time) => Some(time),
            Done::Failed => Some(backoff(entry.failures, below)),
        };
        entry.failures = if how == Done::Failed { entry.failures.saturating_add(1) } else { 0 };
        if let Some(pause) = pause {
            self.add(key, now + pause);
        } else if entry.due.is_none() {
            self.entries.remove(key);
        }
    }
}

/// The pause after that many failures before this one: doubling, and up to a quarter longer, so that the nodes of a
/// cluster do not stay in step.
fn backoff(failures: u32, below: impl FnOnce(Duration) -> Duration) -> Duration {
    let pause = FIRST_PAUSE.saturating_mul(1 << failures.min(16)).min(LONGEST_PAUSE);
    pause + below(pause / 4)
}

/// Where the API server is away, the client itself has bridged a few seconds before anything counts as failed.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// A minute with the quarter: nobody is told when a quota has room again, and a pod waits for its variables.
const LONGEST_PAUSE: Duration = Duration::from_secs(48);

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("team", name)
    }

    /// The least and the most that chance adds.
    fn none(_bound: Duration) -> Duration {
        Duration::ZERO
    }

    fn most(bound: Duration) -> Duration {
        bound / 64 * 63
    }

    fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    #[test]
    fn a_key_is_handed_out_once_and_to_one_worker() {
        let (mut state, now) = (State::default(), Instant::now());
        state.add(&key("a"), now);
        state.add(&key("a"), now + seconds(5));
        assert_eq!(state.next(now), Next::Due(key("a")));
        assert_eq!(state.next(now), Next::Wait(None));
        assert!(!state.take(&key("a")), "somebody works on it");
        state.done(&key("a"), Done::Settled, now, none);
        assert_eq!(state.next(now + seconds(9)), Next::Wait(None), "the earlier date covered both");
        assert!(state.entries.is_empty());
    }

    #[test]
    fn what_is_added_during_the_work_is_done_after_it() {
        let (mut state, now) = (State::default(), Instant::now());
        assert!(state.take(&key("a")));
        state.add(&key("a"), now);
        assert_eq!(state.next(now), Next::Wait(None));
        state.done(&key("a"), Done::Settled, now, none);
        assert_eq!(state.next(now), Next::Due(key("a")));
    }

    #[test]
    fn the_longest_waiting_key_comes_first_and_none_before_its_time() {
        let (mut state, now) = (State::default(), Instant::now());
        state.add(&key("later"), now + seconds(3));
        state.add(&key("second"), now + seconds(2));
        state.add(&key("first"), now + seconds(1));
        assert_eq!(state.next(now), Next::Wait(Some(seconds(1))));
        assert_eq!(state.next(now + seconds(2)), Next::Due(key("first")));
        assert_eq!(state.next(now + seconds(2)), Next::Due(key("second")));
        assert_eq!(state.next(now + seconds(2)), Next::Wait(Some(seconds(1))));
    }

    #[test]
    fn pauses_grow_with_failures_up_to_a_bound_and_success_forgets_them() {
        let (mut state, now) = (State::default(), Instant::now());
        let fail = |state: &mut State, below: fn(Duration) -> Duration| {
            state.take(&key("a"));
            state.done(&key("a"), Done::Failed, now, below);
            state.entries[&key("a")].due.unwrap() - now
        };
        assert_eq!(fail(&mut state, none), seconds(1));
        assert_eq!(fail(&mut state, none), seconds(2));
        assert!(fail(&mut state, most) > seconds(4));
        for _ in 0..40 {
            assert!(fail(&mut state, most) <= seconds(60));
        }
        assert!(fail(&mut state, most) > seconds(59) && fail(&mut state, none) == LONGEST_PAUSE);
        state.take(&key("a"));
        state.done(&key("a"), Done::Later(seconds(1)), now, none);
        assert_eq!(fail(&mut state, none), seconds(1), "later is no failure");
    }

    #[test]
    fn a_dropped_key_is_forgotten_even_while_somebody_works_on_it() {
        let (mut state, now) = (State::default(), Instant::now());
        state.add(&key("a"), now);
        state.forget(&key("a"));
        assert_eq!(state.next(now), Next::Wait(None));
        state.take(&key("b"));
        state.add(&key("b"), now);
        state.forget(&key("b"));
        state.done(&key("b"), Done::Settled, now, none);
        assert!(state.entries.is_empty());
        state.done(&key("c"), Done::Failed, now, none);
        assert!(state.entries.is_empty(), "nobody asked for it");
    }

    #[test]
    fn a_waiting_worker_and_a_waiting_publish_are_woken() {
        let queue = Queue::default();
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| queue.next());
            queue.add(&key("a"), Duration::ZERO);
            assert_eq!(worker.join().unwrap(), key("a"));
            assert!(!queue.take(&key("a"), Duration::from_millis(5)));
            let publish = scope.spawn(|| queue.take(&key("a"), seconds(60)));
            queue.done(&key("a"), Done::Settled);
            assert!(publish.join().unwrap());
        });
    }
}
