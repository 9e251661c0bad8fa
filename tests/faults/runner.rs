//! Plays the cases: those that mostly wait side by side, those that measure alone and last.

use std::any::Any;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::sheet::Sheet;
use crate::table::Played;

/// One named fault.
#[derive(Clone, Copy)]
pub struct Case {
    /// What goes wrong.
    pub name: &'static str,
    /// Whether it bears company.
    pub lane: Lane,
    /// Injects it and asserts what comes of it.
    pub play: fn() -> Sheet,
}

/// How a case goes with others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// It mostly waits.
    Together,
    /// It waits for minutes, so it begins first.
    Long,
    /// It measures time.
    Alone,
}

/// A case that mostly waits.
pub const fn case(name: &'static str, play: fn() -> Sheet) -> Case {
    Case { name, lane: Lane::Together, play }
}

/// Plays all of them and returns what they showed, in the order in which they were given.
pub fn play(cases: &[Case]) -> Vec<Played> {
    note_where_panics_are();
    let begun = Instant::now();
    let played: Mutex<Vec<(usize, Played)>> = Mutex::default();
    let numbered = || cases.iter().enumerate();
    let play = &|(number, case): (usize, &Case)| {
        let one = play_one(case);
        let verdict = if one.outcome.is_ok() { "ok    " } else { "FAILED" };
        let mut played = played.lock().unwrap_or_else(PoisonError::into_inner);
        played.push((number, one));
        let (done, seconds) = (played.len(), begun.elapsed().as_secs_f64());
        eprintln!("[{seconds:5.1} s] {done:>3}/{} {verdict} {}", cases.len(), case.name);
    };
    let of_lane = |lane: Lane| numbered().filter(move |(_, case)| case.lane == lane);
    let queue: Mutex<VecDeque<(usize, &Case)>> = Mutex::new(of_lane(Lane::Together).collect());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    thread::scope(|scope| {
        for long in of_lane(Lane::Long) {
            scope.spawn(move || play(long));
        }
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                while let Some(next) = next() {
                    play(next);
                }
            });
        }
    });
    of_lane(Lane::Alone).for_each(play);
    let mut played = played.into_inner().unwrap_or_else(PoisonError::into_inner);
    played.sort_by_key(|(number, _)| *number);
    played.into_iter().map(|(_, played)| played).collect()
}

fn play_one(case: &Case) -> Played {
    let begun = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(case.play));
    let outcome = outcome.map_err(|panic| {
        let place = PLACE.take();
        format!("{}{place}", words(&*panic))
    });
    Played { name: case.name, outcome, took: begun.elapsed() }
}

thread_local! {
    /// Where this thread panicked last.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A case that fails is told of once, in the table.
fn note_where_panics_are() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|place| format!("\n    at {place}")).unwrap_or_default();
        PLACE.set(place);
    }));
}

fn words(panic: &dyn Any) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words").to_owned()
}

/// They wait for the driver, and the driver for them: more than there are processors.
const SIDE_BY_SIDE: usize = 6;
/// What all of it may take.
pub const BUDGET: Duration = Duration::from_secs(360);
