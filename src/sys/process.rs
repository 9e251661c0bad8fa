//! Limits of this process, and who may look into it.

use std::ffi::CStr;

use rustix::fs::Mode;
use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit, umask,
};

use super::at::SysError;
use super::privileges::{self, Capabilities};
use super::proc;

/// Raises the number of files that may be open to what the administrator allows at most. Many publishes at once
/// need a few descriptors each, and the usual soft limit is from a time of `select`.
pub fn raise_open_files() -> Result<(), SysError> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
        .map_err(|errno| SysError::new("setrlimit", "RLIMIT_NOFILE", errno))
}

/// Keeps what this process makes from now on to itself, until its mode is set: above all sockets, which have their mode
/// from the moment at which they can be connected to.
pub fn keep_new_files_private() {
    umask(Mode::from_raw_mode(0o077));
}

/// The name that `ps` and `top` show of this thread: of one that was started by a link, it would be the link's.
pub fn set_name(name: &CStr) {
    // It is for people, and nothing depends on it.
    rustix::thread::set_name(name).ok();
}

/// Keeps the memory of this process, which holds secrets, out of core dumps, and processes without privileges from
/// reading it.
pub fn hide_memory() -> Result<(), SysError> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|errno| SysError::new("prctl", "PR_SET_DUMPABLE", errno))?;
    // Belt and braces: a kernel that pipes core dumps to a program does not ask for the first alone.
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
        .map_err(|errno| SysError::new("setrlimit", "RLIMIT_CORE", errno))
}

/// Keeps the memory of this process, with all that it will ever use, out of swap. Pages are locked as they are
/// touched, so that stacks and buffers cost no more than before.
///
/// Where a limit would hold for what is used later, nothing is locked: a process that runs into it has no memory at
/// all. That is so without CAP_SYS_RESOURCE to lift it and without CAP_IPC_LOCK to pass it, which the kernel takes from
/// the initial user namespace alone.
pub fn lock_memory() -> Result<(), SysError> {
    if let Err(errno) = setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None })
        && !(privileges::has(Capabilities::IPC_LOCK)? && is_initial_user_namespace()?)
    {
        return Err(SysError::new("setrlimit", "RLIMIT_MEMLOCK", errno));
    }
    mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)
        .map_err(|errno| SysError::new("mlockall", "", errno))
}

fn is_initial_user_namespace() -> Result<bool, SysError> {
    let map = proc::read("/proc/self/uid_map")?;
    Ok(map.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).eq([
        &b"0"[..],
        b"0",
        b"4294967295",
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        raise_open_files().unwrap();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
