//! `make crash`: the driver is killed, again and again, while pods read what it writes.
//!
//! First at moments of chance: one driver after the other is killed under publishes, rotations, unpublishes and syncs,
//! and started again at once. Readers look at every volume all the time and must never see a mix of two states, a file
//! that is not whole, or a volume without content; and in the end nothing may be left. Then at each system call of a
//! publish, a rotation and an unpublish, and with errors at the same places.
//!
//! `crash [--kills N] [--seed N] [--only kills|calls] [--full 1] [--case TEXT]`, of which the last picks system calls
//! by what a fault says of them. All chance comes from the seed, which is printed; the machine's own timing does not.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a harness that cannot go on ends, and it sets its own stage"
)]

mod board;
mod calls;
mod finale;
mod kubelet;
mod lives;
mod options;
mod phase;
mod process;
mod readers;
mod report;
mod scene;
mod secrets;
mod stage;

use std::process::ExitCode;

use crash::verdicts::Verdicts;
use kit::random::Random;
use options::Options;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let options = match Options::parse(&arguments) {
        Ok(options) => options,
        Err(argument) => {
            eprintln!(
                "unknown argument {argument:?}; known are --kills N, --seed N, --only kills|calls, --full 1, --case TEXT"
            );
            return ExitCode::from(2);
        }
    };
    println!("seed {}", options.seed);
    let mut random = Random::new(options.seed);
    let mut verdicts = Verdicts::default();
    if options.kills > 0 {
        scene::play(options.kills, &mut random, &mut verdicts);
    }
    if options.calls {
        calls::play(&options, &mut random, &mut verdicts);
    }
    if verdicts.close() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
