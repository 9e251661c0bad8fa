//! The benchmark: what the driver costs and how fast it is, measured from kubelet's side of the socket.
//!
//! The driver, the API server double and the provider are processes of their own, so that each one's memory and
//! processor time are its own; this process plays kubelet. Everything is measured in one run, on whatever
//! machine this is, and shown beside the figures that the project aims at. Nothing here passes or fails: a
//! figure is to be read together with the machine.
//!
//! `make bench` runs it; `--json FILE` writes the figures for programs, `--plain-http` takes TLS out of the way
//! between driver and API server double, `--scene NAME` plays that scene alone, for a profiler to watch, or those where
//! it is given more than once. Unless
//! TMPDIR says otherwise, kubelet's directory is on a tmpfs: a disk's file system, asked to make and remove a
//! thousand directories a second, would be most of what is measured.
//!
//! Where `--scene` is given more than once, it plays those scenes. `--page FILE` and `--compare A B` measure nothing:
//! they show what earlier runs have written (see `page.rs` and `compare.rs`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a benchmark that cannot go on should stop there"
)]
#![allow(clippy::disallowed_methods, reason = "the benchmark sets its own stage")]

mod build;
mod compare;
mod line;
mod load;
mod numbers;
mod page;
mod parts;
mod process;
mod report;
mod shape;
mod stage;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use report::Report;
use stage::Stage;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [parts::FLAG, part, directory] => {
            parts::play(part, directory.as_ref());
            return ExitCode::SUCCESS;
        }
        [compare::FLAG, a, b] => return compare::run(a, b),
        [page::FLAG, file] => return page::run(file),
        _ => {}
    }
    match Options::parse(&arguments) {
        Ok(options) => run(&options),
        Err(argument) => {
            let scenes = SCENES.map(|(name, _)| name).join(", ");
            eprintln!(
                "unknown argument {argument:?}; known are --json FILE, --plain-http, --scene NAME ({scenes}), \
                 and alone --page FILE and --compare A[,A…] B[,B…]"
            );
            ExitCode::from(2)
        }
    }
}

#[derive(Default)]
struct Options {
    json: Option<String>,
    plain_http: bool,
    scenes: Vec<&'static str>,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Options, String> {
        let mut options = Options::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match (argument.as_str(), argument.strip_prefix("--json=")) {
                ("--plain-http", _) => options.plain_http = true,
                (_, Some(file)) => options.json = Some(file.to_owned()),
                ("--scene", _) => {
                    let name = rest.next().ok_or("--scene")?;
                    let scene = SCENES.iter().find(|(scene, _)| scene == name);
                    options.scenes.push(scene.ok_or(name.as_str())?.0);
                }
                ("--json", _) => options.json = Some(rest.next().ok_or("--json")?.clone()),
                _ => return Err(argument.clone()),
            }
        }
        Ok(options)
    }
}

fn run(options: &Options) -> ExitCode {
    let memory = std::path::Path::new(MEMORY);
    if std::env::var_os("TMPDIR").is_none() && memory.is_dir() {
        tempfile::env::override_temp_dir(memory).expect("nothing has overridden it yet");
    }
    let mut stage = Stage::set(options.plain_http);
    let mut report = Report::new(options.plain_http, stage.build);
    for (name, play) in SCENES {
        if options.scenes.is_empty() || options.scenes.contains(&name) {
            play(&mut stage, &mut report);
        }
    }
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

/// A tmpfs on every Linux.
const MEMORY: &str = "/dev/shm";

type Scene = fn(&mut Stage, &mut Report);

/// In the order in which they are played.
const SCENES: [(&str, Scene); 11] = [
    ("starts", Stage::starts),
    ("live", Stage::one_after_another),
    ("one", Stage::one_caller),
    ("sizes", Stage::sizes),
    ("many", Stage::sixteen_callers),
    ("crowd", Stage::sixty_four_callers),
    ("burst", Stage::burst),
    ("secrets", Stage::secrets),
    ("steady", Stage::steady),
    ("growth", Stage::growth),
    ("operator", Stage::operator),
];
