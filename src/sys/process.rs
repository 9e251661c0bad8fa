//! Limits of this process, and who may look into it.

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

use super::at::SysError;

/// Raises the number of files that may be open to what the administrator allows at most. Many publishes at once
/// need a few descriptors each, and the usual soft limit is from a time of `select`.
pub fn raise_open_files() -> Result<(), SysError> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
        .map_err(|errno| SysError::new("setrlimit", "RLIMIT_NOFILE", errno))
}

/// Keeps the memory of this process, which holds secrets, out of core dumps, and processes without privileges from
/// reading it.
pub fn hide_memory() -> Result<(), SysError> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|errno| SysError::new("prctl", "PR_SET_DUMPABLE", errno))
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
