//! The benchmark: what the driver costs and how fast it is, measured from kubelet's side of the socket.
//!
//! The driver, the API server double and the provider are processes of their own, so that each one's memory and
//! processor time are its own; this process plays kubelet. Everything is measured in one run, on whatever
//! machine this is, and shown beside the figures that the project aims at. Nothing here passes or fails: a
//! figure is to be read together with the machine.
//!
//! `make bench` runs it; `--json FILE` writes the figures for programs, `--plain-http` takes TLS out of the way
//! between driver and API server double.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[path = "../support/mod.rs"]
mod support;

mod load;
mod parts;
mod process;
mod report;
mod stage;

use std::process::ExitCode;

use report::Report;
use stage::Stage;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, part, directory] = arguments.as_slice()
        && first == parts::FLAG
    {
        parts::play(part, directory.as_ref());
        return ExitCode::SUCCESS;
    }
    match Options::parse(&arguments) {
        Ok(options) => run(&options),
        Err(argument) => {
            eprintln!("unknown argument {argument:?}; known are --json FILE and --plain-http");
            ExitCode::from(2)
        }
    }
}

#[derive(Default)]
struct Options {
    json: Option<String>,
    plain_http: bool,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Options, String> {
        let mut options = Options::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match (argument.as_str(), argument.strip_prefix("--json=")) {
                ("--plain-http", _) => options.plain_http = true,
                (_, Some(file)) => options.json = Some(file.to_owned()),
                ("--json", _) => options.json = Some(rest.next().ok_or("--json")?.clone()),
                _ => return Err(argument.clone()),
            }
        }
        Ok(options)
    }
}

fn run(options: &Options) -> ExitCode {
    let mut report = Report::new(options.plain_http);
    let mut stage = Stage::set(options.plain_http);
    stage.starts(&mut report);
    stage.one_after_another(&mut report);
    stage.one_caller(&mut report);
    stage.many_callers(&mut report);
    stage.burst(&mut report);
    print!("{}", report.table());
    let Some(file) = &options.json else {
        return ExitCode::SUCCESS;
    };
    match std::fs::write(file, report.json()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("could not write {file}: {error}");
            ExitCode::FAILURE
        }
    }
}
