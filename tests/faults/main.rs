//! Faults: each case injects one into the real driver program, whose surroundings are real doubles on real sockets, and
//! asserts three things: what the pod sees, which series rise, and what is left afterwards.
//!
//! `make faults` plays all cases and prints the table; `make faults CASE=text` plays those whose names contain the
//! text. A case notes only what it has asserted, so the table is what happened.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a case that cannot go on has failed"
)]
#![allow(clippy::disallowed_methods, reason = "the cases set their own stage")]

mod cases;
mod census;
mod hold;
mod node;
mod runner;
mod series;
mod sheet;
mod table;

use std::process::ExitCode;
use std::time::Instant;

use runner::{BUDGET, Case};

fn main() -> ExitCode {
    let text = std::env::args().nth(1).unwrap_or_default();
    let chosen: Vec<Case> = cases::all().into_iter().filter(|case| case.name.contains(&text)).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = cases::all().into_iter().map(|case| case.name).collect();
        eprintln!("no case contains {text:?}; there are:\n  {}", names.join("\n  "));
        return ExitCode::from(2);
    }
    let begun = Instant::now();
    let played = runner::play(&chosen);
    let took = begun.elapsed();
    let failed = played.iter().filter(|played| played.outcome.is_err()).count();
    print!("{}", table::render(&played));
    println!("{} faults injected in {:.0} s", played.len(), took.as_secs_f64());
    if took > BUDGET {
        println!("that is longer than the {} s that are meant for it", BUDGET.as_secs());
    }
    println!("{} passed, {failed} failed", played.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
