//! `make soak`: the driver under pods that come and go for as long as one likes, and whether it holds more and more.
//!
//! Ten threads of kubelet's publish, call again and again about, and unpublish the volumes of up to a hundred and ten
//! pods of classes of many kinds, in waves, while secrets change in their stores, are mirrored into Kubernetes Secrets,
//! and providers restart. Every volume is read and compared after every call. A flood comes first, to warm up. After
//! each wave, at rest, it is looked at what the driver and its mounter hold: memory, descriptors, threads, mounts,
//! processor time. `trend` says which series counts as flat, `series` what growth is too little to matter. In the end
//! nothing may be left.
//!
//! `soak [--time 30m] [--seed N] [--json FILE]`. All chance comes from the seed, which is printed; the machine's own
//! timing does not.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a harness that cannot go on ends, and it sets its own stage"
)]

mod chance;
mod finale;
mod lane;
mod ledger;
mod mounted;
mod options;
mod process;
mod report;
mod secrets;
mod series;
mod stage;
mod store;
mod tide;
mod trend;
mod waves;
mod weather;

use std::process::ExitCode;

use crash::verdicts::Verdicts;
use kit::random::Random;
use options::Options;
use stage::Stage;
use waves::Waves;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match Options::parse(&arguments) {
        Ok(options) if run(&options) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("{why}; known are --time 30m, --seed N, --json FILE");
            ExitCode::from(2)
        }
    }
}

/// True when all holds.
fn run(options: &Options) -> bool {
    println!("seed {}", options.seed);
    let mut random = Random::new(options.seed);
    let mut stage = Stage::set(&mut random);
    let mut waves = Waves::new(&stage, &mut random);
    waves.run(options.time);
    let samples = waves.end();
    let judged = series::judge(&samples);
    if samples.len() >= trend::LEAST_POINTS {
        println!("\n{}", report::table(&judged, &samples));
    }
    for (what, count) in stage.ledger.rows() {
        println!("  {what:<46} {count:>9}");
    }
    println!();
    let mut verdicts = Verdicts::default();
    verdicts.check("every call was answered, and every volume whole and current", stage.ledger.faults());
    // A run that a fault has cut short says nothing about its series.
    if !stage.ledger.is_stopped() {
        verdicts.check("every series is flat", report::complaints(&judged));
    }
    if let Some(file) = &options.json {
        let written = std::fs::write(file, report::json(options.seed, &stage, &samples, &judged));
        verdicts.check("the figures are written", written.err().map(|error| format!("{file}: {error}")));
    }
    finale::play(&mut stage, &mut verdicts);
    verdicts.close()
}
