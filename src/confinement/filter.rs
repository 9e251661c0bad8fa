//! The lists as programs for the kernel.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

use super::Role;
use super::calls::{self, Call, Condition};
use config::Seccomp;
use sys::at::{Errno, SysError};

/// Installs what the role may call. It stays for the life of the process.
pub fn install(role: Role, seccomp: Seccomp) -> Result<(), SysError> {
    let otherwise = match seccomp {
        Seccomp::Enforce => SeccompAction::KillProcess,
        Seccomp::Log => SeccompAction::Log,
        Seccomp::Off => return Ok(()),
    };
    let programs =
        programs(role, otherwise).map_err(|_| SysError::new("seccomp", "the list", Errno::INVAL))?;
    programs.iter().try_for_each(|program| seccompiler::apply_filter(program).map_err(refused))
}

/// The kernel asks all of them about each call, and does the strictest of what they say. The list of what is permitted
/// comes last, since it does not permit to install another one.
pub(super) fn programs(role: Role, otherwise: SeccompAction) -> Result<[BpfProgram; 3], BackendError> {
    let (unknown, refused) =
        (SeccompAction::Errno(errno(Errno::NOSYS)), SeccompAction::Errno(errno(Errno::ACCESS)));
    Ok([
        compile(calls::UNKNOWN, unknown, SeccompAction::Allow)?,
        compile(calls::EXECUTABLE_MEMORY, refused, SeccompAction::Allow)?,
        compile(calls::permitted(role), SeccompAction::Allow, otherwise)?,
    ])
}

fn compile<'a>(
    calls: impl IntoIterator<Item = &'a Call>,
    matched: SeccompAction,
    otherwise: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for call in calls {
        let alternatives = rules.entry(call.number).or_default();
        if !call.only.is_empty() {
            let conditions = call.only.iter().map(condition).collect::<Result<_, _>>()?;
            alternatives.push(SeccompRule::new(conditions)?);
        }
    }
    let architecture = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, otherwise, matched, architecture)?.try_into()
}

fn condition(condition: &Condition) -> Result<SeccompCondition, BackendError> {
    let (argument, operator, value) = match *condition {
        Condition::Equal { argument, value } => (argument, SeccompCmpOp::Eq, value),
        Condition::None { argument, of } => (argument, SeccompCmpOp::MaskedEq(of), 0),
        Condition::All { argument, of } => (argument, SeccompCmpOp::MaskedEq(of), of),
        Condition::ThisProcess { argument } => (argument, SeccompCmpOp::Eq, u64::from(std::process::id())),
    };
    // The kernel looks at the lower half of all of these.
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
}

fn refused(error: seccompiler::Error) -> SysError {
    let errno = match error {
        seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error) => from_io(&error),
        _ => Errno::INVAL,
    };
    SysError::new("seccomp", "", errno)
}

fn from_io(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::INVAL)
}

fn errno(errno: Errno) -> u32 {
    errno.raw_os_error().unsigned_abs()
}
