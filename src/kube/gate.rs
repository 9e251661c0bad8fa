//! Lets a bounded number of requests, or of whatever else takes memory, through at once.
//!
//! There is no rate limit: the server's own answers (429, Retry-After) say when to slow down. What is bounded
//! is how many sockets and buffers a burst of pods can make this process hold. The gate knows nothing of
//! requests: whoever asks says whether it comes before the others that wait.

use std::time::Duration;

use base::lock::{Condvar, Mutex, MutexGuard};

/// A counting semaphore with a patience and two lines.
pub struct Gate {
    state: Mutex<State>,
    first: Condvar,
    second: Condvar,
}

struct State {
    free: usize,
    /// How many wait who go first.
    first: usize,
}

/// The line that one waits in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Goes before the other, as long as anybody is in it.
    First,
    /// Waits until nobody is in the first.
    Second,
}

/// The right to have one request under way; given back when dropped.
pub struct Pass<'a>(&'a Gate);

impl Gate {
    /// A gate that lets `width` holders in at once.
    pub fn new(width: usize) -> Gate {
        let state = Mutex::new(State { free: width, first: 0 });
        Gate { state, first: Condvar::new(), second: Condvar::new() }
    }

    /// Waits for a free place, at most `patience`; `None` when there was none in that time.
    pub fn enter(&self, line: Line, patience: Duration) -> Option<Pass<'_>> {
        let mut state = self.lock();
        let (is_first, called) = match line {
            Line::First => (1, &self.first),
            Line::Second => (0, &self.second),
        };
        state.first += is_first;
        let has_to_wait = |state: &mut State| state.free == 0 || (is_first == 0 && state.first > 0);
        let waited = called.wait_timeout_while(state, patience, has_to_wait);
        let (mut state, waited) = waited;
        state.first -= is_first;
        let pass = (!waited.timed_out()).then(|| {
            state.free -= 1;
            Pass(self)
        });
        self.call_next(&state);
        pass
    }

    /// Wakes one for whom there is a place, if there is one: each who enters or gives up wakes the next.
    fn call_next(&self, state: &State) {
        if state.free > 0 {
            let line = if state.first > 0 { &self.first } else { &self.second };
            line.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.free = state.free.saturating_add(1);
        self.0.call_next(&state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_gate_turns_away_after_the_patience_and_lets_in_once_a_pass_is_dropped() {
        let gate = Gate::new(1);
        let pass = gate.enter(Line::Second, Duration::ZERO);
        assert!(pass.is_some());
        assert!(gate.enter(Line::Second, Duration::from_millis(5)).is_none());
        drop(pass);
        assert!(gate.enter(Line::Second, Duration::ZERO).is_some());
    }

    #[test]
    fn a_waiter_is_woken_by_the_pass_it_waits_for() {
        let gate = Gate::new(1);
        let pass = gate.enter(Line::Second, Duration::ZERO);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| gate.enter(Line::Second, Duration::from_secs(60)).is_some());
            drop(pass);
            assert!(waiter.join().unwrap());
        });
    }

    #[test]
    fn who_is_in_the_first_line_goes_before_everybody_in_the_second() {
        let gate = Gate::new(1);
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let pass = gate.enter(Line::Second, Duration::ZERO);
            for number in 0..8 {
                let line = if number == 7 { Line::First } else { Line::Second };
                let (gate, tell) = (&gate, tell.clone());
                scope.spawn(move || {
                    let pass = gate.enter(line, Duration::from_secs(60));
                    tell.send((line, pass.is_some())).unwrap();
                });
            }
            while gate.state.lock().first == 0 {
                std::thread::yield_now();
            }
            drop(pass);
            assert_eq!(told.recv().unwrap(), (Line::First, true));
            assert!(told.iter().take(7).all(|(_, entered)| entered));
        });
    }

    #[test]
    fn who_gives_up_in_the_first_line_lets_the_second_go_on() {
        let gate = Gate::new(1);
        std::thread::scope(|scope| {
            let pass = gate.enter(Line::Second, Duration::ZERO);
            let first = scope.spawn(|| gate.enter(Line::First, Duration::from_millis(5)).is_some());
            assert!(!first.join().unwrap());
            let second = scope.spawn(|| gate.enter(Line::Second, Duration::from_secs(60)).is_some());
            drop(pass);
            assert!(second.join().unwrap());
        });
    }
}
