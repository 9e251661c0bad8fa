//! What becomes of system calls that a process has no use for.

use super::ConfigError;

/// What becomes of a system call that is not on the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seccomp {
    /// It ends the process.
    Enforce,
    /// It is made, and the kernel's log names it.
    Log,
    /// There is no list.
    Off,
}

impl Seccomp {
    /// What the flag `--seccomp` says.
    ///
    /// # Errors
    /// It is none of the three words.
    pub fn resolve(text: &str) -> Result<Seccomp, ConfigError> {
        Seccomp::parse(text).ok_or_else(|| ConfigError::value("seccomp", text, "be enforce, log or off"))
    }

    /// From the value of the flag.
    pub fn parse(text: &str) -> Option<Seccomp> {
        [Seccomp::Enforce, Seccomp::Log, Seccomp::Off].into_iter().find(|mode| mode.as_str() == text)
    }

    /// The value of the flag.
    pub fn as_str(self) -> &'static str {
        match self {
            Seccomp::Enforce => "enforce",
            Seccomp::Log => "log",
            Seccomp::Off => "off",
        }
    }
}
