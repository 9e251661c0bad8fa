//! What is shown: progress, results as they come, and figures at the end.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::board::{Board, Tally};

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

const TERMINAL_PAUSE: Duration = Duration::from_millis(200);
const LOG_PAUSE: Duration = Duration::from_secs(10);
