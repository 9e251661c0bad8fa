//! Waiting for what other programs do in their own time.

use std::thread;
use std::time::{Duration, Instant};

/// Waits until `condition` holds, or panics with what was waited for.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    until_some(what, || condition().then_some(()));
}

/// Waits until there is something, and returns it, or panics with what was waited for.
pub fn until_some<T>(what: &str, find: impl FnMut() -> Option<T>) -> T {
    within_some(PATIENCE, what, find)
}

/// Waits no longer than `time` until `condition` holds, or panics with what was waited for.
pub fn within(time: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    within_some(time, what, || condition().then_some(()));
}

fn within_some<T>(time: Duration, what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + time;
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(Instant::now() < end, "waited {} s in vain until {what}", time.as_secs());
        thread::sleep(STEP);
    }
}

/// Waits until nothing is left, or panics with what is.
pub fn until_none(what: &str, left: impl Fn() -> Vec<String>) {
    let end = Instant::now() + PATIENCE;
    loop {
        let left = left();
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < end, "after {} s there still are {what}: {left:?}", PATIENCE.as_secs());
        thread::sleep(STEP);
    }
}

/// Checks that `condition` holds all the time, for as long as given: for what must not happen.
pub fn throughout(time: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        assert!(condition(), "it did not stay so that {what}");
        thread::sleep(STEP);
    }
}

/// As long as a user would wait before asking what is wrong; far more than anything here takes.
pub const PATIENCE: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(25);
