//! What this process may do, given up for good: capabilities, and new ones through a program that it runs.
//!
//! Everything here is about the calling thread, and inherited by those that it starts: call it before there are others.

use rustix::io::Errno;
use rustix::thread::{CapabilitySets, set_capabilities, set_no_new_privs};

use super::at::SysError;

/// Parts of root's power, as capabilities(7) names them.
pub use rustix::thread::CapabilitySet as Capabilities;

/// True when the process has it and uses it.
pub fn has(one: Capabilities) -> Result<bool, SysError> {
    let held = rustix::thread::capabilities(None).map_err(|errno| SysError::new("capget", "", errno))?;
    Ok(held.effective.contains(one))
}

/// Keeps these of the capabilities that the process has, and can never get another one back.
pub fn keep_only(kept: Capabilities) -> Result<(), SysError> {
    let held = rustix::thread::capabilities(None).map_err(|errno| SysError::new("capget", "", errno))?;
    rustix::thread::clear_ambient_capability_set()
        .map_err(|errno| SysError::new("prctl", "PR_CAP_AMBIENT_CLEAR_ALL", errno))?;
    // While CAP_SETPCAP is still there. A process that lacks it cannot gain anything from the set either.
    if held.effective.contains(Capabilities::SETPCAP) {
        for bit in 0..u64::BITS {
            let one = Capabilities::from_bits_retain(1 << bit);
            if kept.contains(one) {
                continue;
            }
            match rustix::thread::remove_capability_from_bounding_set(one) {
                Ok(()) => {}
                // The kernel knows none of this number, nor of any above it.
                Err(Errno::INVAL) => break,
                Err(errno) => return Err(SysError::new("prctl", "PR_CAPBSET_DROP", errno)),
            }
        }
    }
    let kept = kept.intersection(held.permitted);
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: Capabilities::empty() };
    set_capabilities(None, sets).map_err(|errno| SysError::new("capset", "", errno))
}

/// No program that this process starts gets more rights than it has itself, set-user-id or not.
pub fn never_gain_any() -> Result<(), SysError> {
    set_no_new_privs(true).map_err(|errno| SysError::new("prctl", "PR_SET_NO_NEW_PRIVS", errno))
}
