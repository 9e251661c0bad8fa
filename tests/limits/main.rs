//! Attacks on the driver's life: each is made on the real driver program in a control group of the memory that the
//! manifests give it, and meanwhile other pods come and go, whose every publish is timed.
//!
//! `make limits` makes all of them and prints the table; `make limits CASE=text` those whose names contain the text.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "an attack that does not go as it should has failed"
)]
#![allow(clippy::disallowed_methods, reason = "the attacks set their own stage")]

mod attacks;
mod group;
mod neighbour;
mod node;
mod table;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use table::Row;

fn main() -> ExitCode {
    let text = std::env::args().nth(1).unwrap_or_default();
    let chosen: Vec<_> = attacks::all().into_iter().filter(|(name, _)| name.contains(&text)).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = attacks::all().into_iter().map(|(name, _)| name).collect();
        eprintln!("no attack contains {text:?}; there are:\n  {}", names.join("\n  "));
        return ExitCode::from(2);
    }
    if let Err(why) = group::Group::make("trial", group::SHIPPED_BYTES) {
        println!("no attack was made: control groups with a limit of memory cannot be made here ({why})");
        return ExitCode::SUCCESS;
    }
    let begun = Instant::now();
    let mut rows = Vec::new();
    for (name, attack) in chosen {
        let outcome = catch_unwind(AssertUnwindSafe(attack)).map_err(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
        });
        eprintln!(
            "[{:5.1} s] {:6} {name}",
            begun.elapsed().as_secs_f64(),
            if outcome.is_ok() { "ok" } else { "FAILED" }
        );
        rows.push(Row { name, outcome });
    }
    let failed = rows.iter().filter(|row| row.outcome.is_err()).count();
    print!("{}", table::render(&rows));
    println!("{} attacks in {:.0} s", rows.len(), begun.elapsed().as_secs_f64());
    println!("{} passed, {failed} failed", rows.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
