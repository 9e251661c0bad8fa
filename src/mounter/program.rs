//! How the second process is started, what it gives up, and how its end is noticed.
//!
//! It is the same program with the argument `mounter`, an empty environment, and the driver's socket in the place of
//! its standard input. It says nothing in the log: what it has to say goes to the driver.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use super::client::MounterClient;
use super::protocol::{Answer, LONGEST_MESSAGE};
use super::service::{Base, Service};
use base::shutdown;
use config::Seccomp;
use confinement::Role;
use sys::at::{Errno, SysError};
use sys::message::Messages;
use sys::mount::Limits;
use sys::process;

/// What the mounter is told once, so that nobody can ask it for anything else later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Kubelet's directory of pods, below which every volume lies; `None` for anywhere.
    pub pods_dir: Option<PathBuf>,
    /// Limits of every volume.
    pub limits: Limits,
    /// What becomes of a system call that is not on the list.
    pub seccomp: Seccomp,
}

/// A running mounter.
#[derive(Debug)]
pub struct Mounter {
    /// Who asks it.
    pub client: MounterClient,
    /// Whether the kernel lets it mount, and how.
    pub mounting: Mounting,
    /// The process, whose end is the driver's.
    pub process: Process,
}

/// What a mount on trial has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mounting {
    /// Volumes can be mounted.
    Works {
        /// Nothing has shown that their content could be swapped to disk.
        keeps_out_of_swap: bool,
    },
    /// They can't.
    Fails(SysError),
}

/// The second process.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Its number.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Ended {
        Ended(self.0.wait())
    }
}

/// How the mounter ended.
#[derive(Debug)]
pub struct Ended(io::Result<ExitStatus>);

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Ok(status) => write!(f, "the mounter has ended ({status})")?,
            Err(error) => write!(f, "the mounter cannot be watched: {error}")?,
        }
        if self.0.as_ref().is_ok_and(confinement::was_ended_by_filter) {
            f.write_str(": it made a system call that its list lacks; --seccomp=log finds which")?;
        }
        Ok(())
    }
}

/// Starts the mounter and waits until it has given up what it does not need. To be called before this process has
/// other threads, and while it still has the right to mount.
pub fn start(settings: &Settings) -> Result<Mounter, StartError> {
    let (ours, theirs) = Messages::pair().map_err(StartError::Socket)?;
    #[expect(
        clippy::disallowed_methods,
        reason = "this program itself, which is the one that the image holds"
    )]
    let mut command = Command::new(THIS_PROGRAM);
    command
        .arg0(std::env::args_os().next().unwrap_or_default())
        .args(settings.to_arguments())
        .env_clear()
        .stdin(OwnedFd::from(theirs))
        // For a panic alone. Nothing is opened for it: a container needs to hold no other file than this program.
        .stdout(Stdio::inherit())
        .stderr(Stdio::inherit())
        // Ctrl-C in a terminal is for the driver, which ends the mounter when it needs it no longer.
        .process_group(0);
    let process = command.spawn().map_err(StartError::Spawn)?;
    // The command holds the other end, whose closing tells that the process is gone.
    drop(command);
    ours.give_up_after(START_PATIENCE).map_err(StartError::Socket)?;
    let mut buffer = [0; LONGEST_MESSAGE];
    let received = ours.receive(&mut buffer).map_err(StartError::Socket)?;
    let mounting = match buffer.get(..received.bytes).and_then(Answer::decode) {
        Some(Answer::Ready { keeps_out_of_swap }) => Mounting::Works { keeps_out_of_swap },
        Some(Answer::MayNotMount(error)) => Mounting::Fails(error),
        Some(Answer::Failed(error)) => return Err(StartError::Refused(error)),
        Some(Answer::Done | Answer::Nothing) | None => {
            return Err(StartError::Ended(Process(process).wait()));
        }
    };
    Ok(Mounter { client: MounterClient::new(ours), mounting, process: Process(process) })
}

/// Runs the mounter when the first argument asks for it; none when the program was started for something else.
pub fn main() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != SUBCOMMAND {
        return None;
    }
    let arguments: Vec<OsString> = arguments.collect();
    let requests = io::stdin().as_fd().try_clone_to_owned().map(Messages::from);
    let (Some(settings), Ok(requests)) = (Settings::from_arguments(&arguments), requests) else {
        eprintln!("this is a part of the driver, which starts it itself");
        return Some(ExitCode::from(USAGE));
    };
    let base = Base::open(settings.pods_dir.as_deref());
    let confined = base.and_then(|base| {
        let service = Service::new(base, settings.limits);
        process::set_name(c"mounter");
        // The driver drains its calls first.
        shutdown::outlive_signals().map_err(|_| SysError::new("sigaction", "", Errno::INVAL))?;
        confinement::confine(Role::Mounter, settings.seccomp).map(|()| service)
    });
    Some(match confined {
        Ok(service) => serve(service, &requests),
        Err(error) => {
            // Nobody there to hear it: the driver has ended, and so does this process.
            let _ = requests.send(&Answer::Failed(error).encode(), None);
            ExitCode::FAILURE
        }
    })
}

fn serve(mut service: Service, requests: &Messages) -> ExitCode {
    let greeted = requests.send(&service.probe().encode(), None);
    match greeted.and_then(|()| service.serve(requests)) {
        Ok(()) => ExitCode::SUCCESS,
        // The driver is gone, or so is the socket to it.
        Err(_) => ExitCode::FAILURE,
    }
}

impl Settings {
    fn to_arguments(&self) -> [OsString; 5] {
        [
            SUBCOMMAND.into(),
            self.pods_dir.as_deref().unwrap_or_else(|| Path::new("")).into(),
            self.limits.bytes.to_string().into(),
            self.limits.inodes.to_string().into(),
            self.seccomp.as_str().into(),
        ]
    }

    fn from_arguments(arguments: &[OsString]) -> Option<Settings> {
        let [pods_dir, bytes, inodes, seccomp] = arguments else { return None };
        let number = |text: &OsStr| text.to_str()?.parse().ok();
        Some(Settings {
            pods_dir: (!pods_dir.is_empty()).then(|| PathBuf::from(pods_dir)),
            limits: Limits { bytes: number(bytes)?, inodes: number(inodes)? },
            seccomp: Seccomp::parse(seccomp.to_str()?)?,
        })
    }
}

/// Why the mounter could not be started.
#[derive(Debug)]
pub enum StartError {
    /// It ended at once.
    Ended(Ended),
    /// It could not get ready.
    Refused(SysError),
    /// No connection to it.
    Socket(SysError),
    /// The program could not be started a second time.
    Spawn(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Ended(ended) => ended.fmt(f),
            StartError::Refused(error) => write!(
                f,
                "the mounter could not get ready: {error}; it needs --kubelet-pods-dir to exist, CAP_SYS_ADMIN, and a \
                 kernel with seccomp, or --seccomp=off"
            ),
            StartError::Socket(error) => write!(f, "the mounter cannot be reached: {error}"),
            StartError::Spawn(error) => write!(f, "could not start the mounter, {THIS_PROGRAM}: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

/// What runs here, whatever has become of its path.
pub const THIS_PROGRAM: &str = "/proc/self/exe";
/// The first argument, by which `ps` tells the two processes apart too.
pub const SUBCOMMAND: &str = "mounter";
/// It is there within a millisecond or two.
const START_PATIENCE: Duration = Duration::from_secs(10);
/// Exit code of sysexits.h for a wrong command line.
const USAGE: u8 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_back_from_the_command_line_as_they_were() {
        for pods_dir in [None, Some(PathBuf::from("/var/lib/kubelet/pods"))] {
            let limits = Limits { bytes: 33_554_432, inodes: 4096 };
            let settings = Settings { pods_dir, limits, seccomp: Seccomp::Log };
            let [subcommand, rest @ ..] = settings.to_arguments();
            assert_eq!(subcommand, SUBCOMMAND);
            assert_eq!(Settings::from_arguments(&rest), Some(settings));
        }
    }

    #[test]
    fn a_command_line_that_no_driver_gives_is_none() {
        let wrong: [&[&str]; 4] =
            [&[], &["/pods", "1", "2"], &["/pods", "x", "2", "enforce"], &["/pods", "1", "2", "perhaps"]];
        for arguments in wrong {
            let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
            assert_eq!(Settings::from_arguments(&arguments), None, "{arguments:?}");
        }
    }
}
