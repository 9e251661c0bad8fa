//! What is shown: progress, results as they come, and figures at the end.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::board::{Board, Tally};

/// Counts what held and what did not.
#[derive(Default)]
pub struct Verdicts {
    passed: u64,
    failed: u64,
}

impl Verdicts {
    /// An expectation; what is in the way of it is shown.
    pub fn check(&mut self, expected: &str, faults: &[String]) {
        if faults.is_empty() {
            self.passed += 1;
            println!("  ok      {expected}");
            return;
        }
        self.failed += 1;
        println!("  FAILED  {expected}");
        for fault in faults.iter().take(MOST_FAULTS) {
            println!("          {fault}");
        }
    }

    /// Many of a kind, which have been shown in another way.
    pub fn add(&mut self, passed: u64, failed: u64) {
        self.passed += passed;
        self.failed += failed;
    }

    /// The closing line. True when nothing failed.
    pub fn close(&self) -> bool {
        println!("{} passed, {} failed", self.passed, self.failed);
        self.failed == 0 && self.passed > 0
    }
}

/// Where a long run is.
pub struct Progress {
    begun: Instant,
    shown: Option<Instant>,
    is_terminal: bool,
}

impl Progress {
    pub fn start() -> Progress {
        Progress { begun: Instant::now(), shown: None, is_terminal: std::io::stdout().is_terminal() }
    }

    /// Now and then a line, on a terminal always the same one.
    pub fn show(&mut self, board: &Board, kills: u64, of: u64) {
        let tally = &board.tally;
        self.line(|| {
            format!(
                "{kills} of {of} kills, {} publishes, {} rotations, {} unpublishes, {} looks",
                Tally::get(&tally.publishes),
                Tally::get(&tally.rotations),
                Tally::get(&tally.unpublishes),
                Tally::get(&tally.looks),
            )
        });
    }

    /// Shows a line if it is time for one.
    pub fn line(&mut self, text: impl FnOnce() -> String) {
        let pause = if self.is_terminal { TERMINAL_PAUSE } else { LOG_PAUSE };
        if self.shown.is_some_and(|shown| shown.elapsed() < pause) {
            return;
        }
        self.shown = Some(Instant::now());
        let seconds = self.begun.elapsed().as_secs();
        if self.is_terminal {
            print!("\r\x1b[K  {seconds:>3} s  {}", text());
            drop(std::io::stdout().flush());
        } else {
            println!("  {seconds:>3} s  {}", text());
        }
    }

    /// Makes room for what comes next, and tells how long it took.
    pub fn end(&self) -> Duration {
        if self.is_terminal {
            print!("\r\x1b[K");
        }
        self.begun.elapsed()
    }
}

const MOST_FAULTS: usize = 20;
const TERMINAL_PAUSE: Duration = Duration::from_millis(200);
const LOG_PAUSE: Duration = Duration::from_secs(10);
