//! What each process of ours gives up before anybody else's bytes reach it: capabilities, new privileges, a memory that
//! others can look into, and every system call that is not on its list.
//!
//! It works on the calling thread and is inherited by those that it starts, so it comes before the first of them.
//! SECURITY.md justifies what is kept.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests set their own stage"))]

mod calls;
mod filter;

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use config::Seccomp;
use sys::at::SysError;
use sys::privileges::{self, Capabilities};
use sys::process;

/// Which process this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The driver: parses, decides, writes, does everything but mounting.
    Driver,
    /// Its second process: mounts, and does nothing else.
    Mounter,
    /// The operator: talks to the API server, and answers over the network. It reads a few files and writes none.
    Operator,
}

impl Role {
    /// The capabilities that it keeps; nothing else can ever be had again.
    pub fn capabilities(self) -> Capabilities {
        match self {
            // CHOWN: files belong to the pod's fsGroup. DAC_OVERRIDE: providers' sockets, and files whose mode shuts
            // their owner out. FOWNER: modes of what a provider wrote under another uid. IPC_LOCK: memory that stays
            // out of swap, whatever the limit.
            Role::Driver => Capabilities::CHOWN
                .union(Capabilities::DAC_OVERRIDE)
                .union(Capabilities::FOWNER)
                .union(Capabilities::IPC_LOCK),
            Role::Mounter => Capabilities::SYS_ADMIN,
            Role::Operator => Capabilities::empty(),
        }
    }
}

/// Gives up everything that the role does not need.
pub fn confine(role: Role, seccomp: Seccomp) -> Result<(), SysError> {
    process::hide_memory()?;
    privileges::keep_only(role.capabilities())?;
    privileges::never_gain_any()?;
    filter::install(role, seccomp)
}

/// True when the kernel ended the process for a system call that its list lacks.
pub fn was_ended_by_filter(status: &ExitStatus) -> bool {
    status.signal() == Some(libc::SIGSYS)
}

#[cfg(test)]
mod tests;
