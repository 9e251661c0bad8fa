//! The driver as two processes: starts the mounter, then gives up what only the mounter needs.

use std::io;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use base::shutdown::Shutdown;
use config::{DriverConfig, Seccomp};
use confinement::Role;
use mounter::client::MounterClient;
use mounter::program::{self, Ended, Mounter, Mounting, Process, Settings};
use sys::at::SysError;
use sys::process;
use volume::limits::ContentLimits;

/// Starts the mounter and confines this process. The first thing of all that can be done without other threads.
pub fn separate(
    config: &DriverConfig,
    limits: ContentLimits,
) -> Result<(MounterClient, Process), SeparationError> {
    if let Err(error) = process::raise_open_files() {
        log::warn!(error:% = error; "could not raise the limit of open files");
    }
    if config.kubelet_pods_dir.is_none() {
        log::warn!(
            "without --kubelet-pods-dir a volume may be mounted anywhere on this node: name kubelet's directory of pods"
        );
    }
    let settings = Settings {
        pods_dir: config.kubelet_pods_dir.clone(),
        limits: limits.file_system(),
        seccomp: config.seccomp,
    };
    let Mounter { client, mounting, process } =
        program::start(&settings).map_err(SeparationError::Mounter)?;
    match mounting {
        Mounting::Works { keeps_out_of_swap: true } => {}
        Mounting::Works { keeps_out_of_swap: false } => log::warn!(
            "this kernel or namespace does not keep a tmpfs out of swap: use nodes without swap, or with encrypted swap"
        ),
        Mounting::Fails(error) => log::error!(error:% = error;
            "this process may not mount: it has to be root with CAP_SYS_ADMIN, in a privileged container"),
    }
    if let Err(error) = process::lock_memory() {
        log::warn!(error:% = error; "could not keep this process's memory out of swap: use nodes without swap, or with encrypted swap");
    }
    confinement::confine(Role::Driver, config.seccomp).map_err(SeparationError::Confinement)?;
    match config.seccomp {
        Seccomp::Enforce => {}
        Seccomp::Log => {
            log::warn!("--seccomp=log: system calls that are not on the list are only logged, by the kernel")
        }
        Seccomp::Off => log::warn!("--seccomp=off: every system call is allowed"),
    }
    log::debug!(mounter = process.id(); "the mounter runs, and this process cannot mount");
    Ok((client, process))
}

/// Stops the driver when the mounter ends: without it no volume can be made or taken down, and a new start finds a
/// clean one.
pub fn stop_with(mounter: Process, shutdown: Shutdown) -> io::Result<MounterWatch> {
    let (ended, cause) = mpsc::channel();
    let wait = move || {
        let how = mounter.wait();
        // While the driver stops, that is what the mounter does.
        if !shutdown.is_triggered() && ended.send(how).is_ok() {
            shutdown.trigger();
        }
    };
    // Never joined: it only waits, and ends with the process.
    thread::Builder::new().name("mounter-watch".to_owned()).spawn(wait)?;
    Ok(MounterWatch(cause))
}

/// Knows whether the driver stops because the mounter has ended.
#[derive(Debug)]
pub struct MounterWatch(Receiver<Ended>);

impl MounterWatch {
    /// How the mounter ended, if that is why.
    pub fn cause(&self) -> Option<Ended> {
        self.0.try_recv().ok()
    }
}

/// Why the driver could not become two processes.
#[derive(Debug)]
pub enum SeparationError {
    /// This process could not give up what it has to.
    Confinement(SysError),
    /// The other one could not be started.
    Mounter(program::StartError),
}

impl std::fmt::Display for SeparationError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SeparationError::Confinement(error) => write!(
                f,
                "could not give up the privileges that the driver does not need: {error}; it needs root, and a kernel \
                 with seccomp or --seccomp=off"
            ),
            SeparationError::Mounter(error) => error.fmt(f),
        }
    }
}
