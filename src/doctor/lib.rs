//! `secrets-store-csi-driver doctor`: says in a short list what is right with a driver and what it depends on, what is
//! wrong and how to mend it, and what could not be looked at.
//!
//! It only looks: it takes no lock, writes nothing, and asks of the API server what the driver's own roles permit. It
//! is run beside the driver, in its pod, and takes its settings from the command line of the driver that runs there.
//! Each check is a file; in each, looking is one function and judging others, which know nothing but what was seen.
//!
//! The threat is text from outside on an administrator's terminal, and a secret in a report that is passed on: the
//! report makes everything printable, and no check ever holds a secret but the token, which only the client sees.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests set their own stage"))]

mod api_server;
mod csi_driver;
mod csi_socket;
mod custom_resources;
mod driver_process;
mod examination;
mod finding;
mod health;
mod kernel;
mod kubelet_directory;
mod lapse;
mod message_size;
mod options;
mod page;
mod permissions;
mod pod;
mod providers;
mod registration;
mod report;
mod subject;
mod support;
mod volumes;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use self::driver_process::Running;
use self::examination::Check;
use self::finding::{Counts, Finding};
use self::options::{Options, Output, Stop};
use self::report::Head;
use self::subject::Subject;
use base::build_info::BuildInfo;
use config::process_environment;

/// Runs the doctor when the first argument asks for it; none when the program was started for something else.
///
/// Exit code 0 means that nothing is wrong (there may be warnings), 1 that something is, 2 a wrong command line.
pub fn main() -> Option<ExitCode> {
    let mut arguments = std::env::args_os();
    let program = arguments.next().unwrap_or_default();
    if arguments.next()? != SUBCOMMAND {
        return None;
    }
    let told = match settle(&program, &arguments.collect::<Vec<_>>()) {
        Ok((options, running)) => {
            let (text, code) = examine(options, running);
            print(io::stdout(), &text).map(|()| code)
        }
        Err(Stop::Version) => {
            print(io::stdout(), &format!("{}\n", BuildInfo::current().json())).map(|()| ExitCode::SUCCESS)
        }
        Err(Stop::Help(usage)) => print(io::stderr(), &usage).map(|()| ExitCode::SUCCESS),
        Err(Stop::Wrong(problem)) => {
            print(io::stderr(), &problem).map(|()| ExitCode::from(WRONG_COMMAND_LINE))
        }
    };
    // A report that nobody could read is as good as none.
    Some(told.unwrap_or(ExitCode::FAILURE))
}

/// The options on top of those of the driver that runs here, where they can be read.
fn settle(program: &OsString, arguments: &[OsString]) -> Result<(Options, Running), Stop> {
    let running = driver_process::find(options::like(arguments)?, program);
    let driver = match &running {
        Running::Found { arguments, .. } => arguments.as_slice(),
        _ => &[],
    };
    match (options::resolve(driver, arguments, process_environment), running) {
        (Err(Stop::Wrong(_)), Running::Found { pid, arguments: strange }) if !strange.is_empty() => {
            let options = options::resolve(&[], arguments, process_environment)?;
            Ok((options, Running::Strange { pid }))
        }
        (resolved, running) => resolved.map(|options| (options, running)),
    }
}

fn examine(options: Options, running: Running) -> (String, ExitCode) {
    let output = options.output;
    let (node, origin) = (options.config.node_id.clone(), driver_process::origin(&running));
    let subject = Arc::new(Subject::new(options, running));
    let findings: Vec<Finding> = examination::examine(&subject, CHECKS, LONGEST_EXAMINATION);
    let head = Head { version: BuildInfo::current().version, node: &node, driver: &origin };
    let text = match output {
        Output::Json => report::json(&head, &findings),
        Output::Text => report::text(&head, &findings, is_colourful()),
    };
    let code = if Counts::of(&findings).wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    (text, code)
}

fn is_colourful() -> bool {
    io::stdout().is_terminal() && process_environment("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn print(mut to: impl Write, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes())?;
    to.flush()
}

/// From what everything depends on to what depends on it.
const CHECKS: &[Check<Subject>] = &[
    ("driver-process", |subject| vec![driver_process::judge(&subject.running)]),
    ("kernel", kernel::check),
    ("kubelet-directory", kubelet_directory::check),
    ("csi-socket", csi_socket::check),
    ("registration", registration::check),
    ("healthz", health::check),
    ("metrics", health::check_metrics),
    ("volumes", volumes::check),
    ("provider", providers::check),
    ("message-size", message_size::check),
    ("api-server", api_server::check),
    ("token", api_server::check_token),
    ("permission", permissions::check),
    ("permission-sync", permissions::check_sync),
    ("crd", custom_resources::check),
    ("csidriver", csi_driver::check),
    ("pod", pod::check),
    ("logs", support::check),
];

/// The first argument that asks for the doctor.
const SUBCOMMAND: &str = "doctor";
/// As the driver's own command line has it.
const WRONG_COMMAND_LINE: u8 = 2;
/// Three questions in a row to somebody who answers none of them.
const LONGEST_EXAMINATION: Duration = Duration::from_secs(15);
